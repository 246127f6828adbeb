/* Control asks the workers: one message each, run between two runs; the last one answers
 * (README.md, rule 13). */
#include "pe/host/host_control.h"

#include <time.h>

struct fanout {
    struct host_app *app;
    void (*fn)(struct host_worker *worker, struct host_app *app, void *user);
    void (*done)(void *user);
    void *user;
    _Atomic uint32_t left;
    struct part {
        struct message message;
        struct fanout *whole;
    } parts[];
};

static void part_run(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct fanout *f = CONTAINER_OF(message, struct part, message)->whole;
    f->fn(worker, f->app, f->user);
    if (atomic_fetch_sub(&f->left, 1) != 1)
        return;
    struct engine *engine = worker->engine;
    f->done(f->user);
    mem_free(f);
    host_control_wake(engine);
}

s4_status host_ask_workers(struct host_app *app,
                           void (*fn)(struct host_worker *worker, struct host_app *app, void *user),
                           void (*done)(void *user), void *user)
{
    struct engine *engine = app->engine;
    struct fanout *f = mem_zalloc(sizeof *f + engine->n_workers * sizeof f->parts[0]);
    if (!f)
        return S4_NO_MEMORY;
    *f = (struct fanout){
        .app = app, .fn = fn, .done = done, .user = user, .left = engine->n_workers
    };
    uint32_t n = engine->n_workers;
    for (uint32_t i = 0; i < n; i++) {
        f->parts[i].whole = f;
        f->parts[i].message.run = part_run;
    }
    for (uint32_t i = 0; i < n; i++) /* the last one may free it */
        worker_post(engine->workers[i].actor, &f->parts[i].message);
    return S4_OK;
}

struct waiting {
    void (*fn)(struct host_worker *worker, struct host_app *app, void *user);
    void *user;
    _Atomic bool done;
};

static void waiting_run(struct host_worker *worker, struct host_app *app, void *user)
{
    struct waiting *w = user;
    w->fn(worker, app, w->user);
}

static void waiting_done(void *user)
{
    struct waiting *w = user;
    atomic_store(&w->done, true);
}

void host_on_workers(struct host_app *app,
                     void (*fn)(struct host_worker *worker, struct host_app *app, void *user),
                     void *user)
{
    struct engine *engine = app->engine;
    if (!engine->started || !engine->options.threads) {
        for (uint32_t i = 0; i < engine->n_workers; i++)
            fn(&engine->workers[i], app, user);
        return;
    }
    struct waiting w = { .fn = fn, .user = user };
    while (host_ask_workers(app, waiting_run, waiting_done, &w) != S4_OK)
        host_control_wait(engine); /* a hundred bytes will come free */
    while (!atomic_load(&w.done))
        host_control_wait(engine);
}

void host_control_wake(struct engine *engine)
{
    pthread_mutex_lock(&engine->changed_lock);
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->changed_lock);
}

void host_control_wait(struct engine *engine)
{
    if (!engine->started || !engine->options.threads) {
        engine_step(engine);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&engine->changed_lock);
    pthread_cond_timedwait(&engine->changed, &engine->changed_lock, &until);
    pthread_mutex_unlock(&engine->changed_lock);
}
