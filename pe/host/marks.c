/* The memory marks of a node (README.md, rule 15), looked at by worker 0 once a millisecond, never
 * per event.
 *
 * Above the soft mark sources get no credit (feeds.c, inject.c). Above the hard mark runs end at
 * the next block that they fill, and the app that holds most is paused, with an alarm that names
 * the stream, prototype and key at the head of its longest queue; nothing is dropped. Other apps go
 * on: what a paused app holds no longer counts against the marks. It goes on when memory, its own
 * included, is below the soft mark again.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#define MARKS_EVERY_US 1000u

static struct host_app *heaviest(const struct engine *engine)
{
    struct host_app *found = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (!app || atomic_load_explicit(&app->paused, memory_order_relaxed))
            continue;
        uint64_t waiting = host_waiting_bytes(app);
        if (waiting > most) {
            most = waiting;
            found = app;
        }
    }
    return found;
}

/* The longest queue among a worker's partitions, for the alarm. */
struct culprit {
    struct host_app *app;
    pthread_mutex_t lock;
    uint64_t waiting;
    char text[384];
};

static void describe(struct culprit *c, const struct host_app *app, const struct host_partition *p,
                     const struct record *record)
{
    const struct host_pair *pair =
        record && record->stream < app->n_pairs ? &app->pairs[record->stream] : NULL;
    if (!pair)
        return;
    struct buffer key;
    buffer_init(&key);
    if (pair->route.kind == ROUTE_KEYED)
        (void)!key_format(&pair->route.spec, record_key(record), record_key_len(record), &key);
    snprintf(
        c->text, sizeof c->text,
        "%llu records wait in partition %u, the first on stream %s for prototype %s, key \"%s\"",
        (unsigned long long)c->waiting, p->base.slot, app->streams[pair->stream].name,
        app->prototypes[pair->subs[0].prototype].name, key.size ? buffer_text(&key) : "");
    buffer_fini(&key);
}

static void look_for_culprit(struct host_worker *worker, struct host_app *app, void *user)
{
    struct culprit *c = user;
    pthread_mutex_lock(&c->lock);
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        const struct host_partition *p = host_partition_at(app, slot);
        if (!p || p->worker != worker)
            continue;
        uint64_t waiting = partition_waiting(&p->base);
        if (waiting <= c->waiting || !p->base.oldest)
            continue;
        c->waiting = waiting;
        describe(c, app, p, run_record(p->base.oldest, p->base.oldest->done));
    }
    pthread_mutex_unlock(&c->lock);
}

static void tell(void *user)
{
    struct culprit *c = user;
    const struct engine *engine = c->app->engine;
    host_alarm(c->app, "paused at the hard memory mark (%zu of %zu bytes in blocks): %s",
               block_pool_bytes(engine->pool), engine->options.memory_hard,
               c->waiting ? c->text : "nothing of it waits in a partition yet");
    atomic_store(&c->app->alarmed, true);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static void pause_app(struct host_app *app)
{
    atomic_store(&app->paused, true);
    struct culprit *c = mem_zalloc(sizeof *c);
    if (!c)
        return;
    c->app = app;
    pthread_mutex_init(&c->lock, NULL);
    if (host_ask_workers(app, look_for_culprit, tell, c) != S4_OK)
        tell(c);
}

static void resume_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (p && p->worker == worker && p->base.stalled)
            partition_resume(worker->actor, &p->base);
    }
}

static void nothing(void *user)
{
}

static void resume_apps(struct engine *engine)
{
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (!app || !atomic_load_explicit(&app->paused, memory_order_relaxed) ||
            !atomic_load(&app->alarmed))
            continue;
        atomic_store(&app->alarmed, false);
        atomic_store(&app->paused, false);
        if (host_ask_workers(app, resume_on_worker, nothing, NULL) != S4_OK) {
            atomic_store(&app->alarmed, true); /* once more in a millisecond */
            atomic_store(&app->paused, true);
            continue;
        }
        log_write(engine->options.log, LOG_INFO, "%s: goes on, memory is below the soft mark",
                  app->graph->app);
    }
}

size_t host_memory(const struct engine *engine)
{
    size_t bytes = block_pool_bytes(engine->pool);
    size_t paused = atomic_load_explicit(&engine->paused_bytes, memory_order_relaxed);
    return bytes > paused ? bytes - paused : 0;
}

static void count_paused(struct engine *engine)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < host_places(engine); i++) {
        const struct host_app *app = host_app_at(engine, i);
        if (app && atomic_load_explicit(&app->paused, memory_order_relaxed))
            bytes += host_waiting_bytes(app);
    }
    atomic_store_explicit(&engine->paused_bytes, bytes, memory_order_relaxed);
}

void host_marks(struct host_worker *worker, uint64_t now_us)
{
    struct engine *engine = worker->engine;
    if (worker->index != 0 || now_us - engine->marks_us < MARKS_EVERY_US)
        return;
    engine->marks_us = now_us;
    count_paused(engine);
    if (UNLIKELY(host_memory(engine) >= engine->options.memory_hard)) {
        struct host_app *app = heaviest(engine);
        if (app)
            pause_app(app);
    } else if (block_pool_bytes(engine->pool) < engine->options.memory_soft) {
        resume_apps(engine);
    }
}
