/* Waiting until nothing is in flight, and the end of input (README.md, rule 14).
 *
 * In flight is what begun counts and ended does not: blocks opened, and those made of records
 * copied out of others, against blocks whose records are all executed or copied out; requests asked
 * against answers. All counters only rise (a block that is taken back before it was sent takes its
 * count along), so reading every `ended` before any `begun` and finding them equal proves a moment
 * at which nothing was in flight; it is done twice.
 *
 * Drains are stepped by worker 0 when it is idle or ticks.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

enum drain_phase { DRAIN_WAIT, DRAIN_AGAIN, DRAIN_ASKED };

struct drain {
    struct drain *next;
    struct host_app *app;
    bool finish;
    uint8_t phase;
    drain_done *done;
    void *user;
    uint64_t rounds;
    uint64_t seen;          /* begun at the first of two equal counts */
    _Atomic uint64_t arose; /* by the workers, in the finishing round */
    _Atomic uint64_t timers;
    _Atomic uint64_t answers;
    _Atomic bool answered; /* all workers have */
};

static uint64_t count_ended(const struct host_app *app)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < app->engine->n_workers; i++)
        n += atomic_load(&host_counters(&app->engine->workers[i], app)->blocks_done);
    return n;
}

static uint64_t count_begun(const struct host_app *app)
{
    const struct engine *engine = app->engine;
    uint64_t n = atomic_load(&app->feed_emitter.begun) + atomic_load(&app->inject_emitter.begun) +
                 atomic_load(&app->begun_again);
    for (uint32_t i = 0; i < engine->n_workers; i++)
        n += atomic_load(&engine->workers[i].emitters[app->number % ENGINE_APPS_MAX].begun) +
             atomic_load(&host_counters(&engine->workers[i], app)->blocks_copied);
    return n;
}

/* Of this node alone: what it took over, and handed over, begins and ends here. */
static bool is_quiet_here(const struct host_app *app, uint64_t *begun)
{
    uint64_t ended = count_ended(app) + atomic_load(&app->went);
    bool answers = atomic_load(&app->outstanding) == 0;
    *begun = count_begun(app) - atomic_load(&app->begun_again) + atomic_load(&app->came);
    return answers && ended == *begun && atomic_load(&app->outstanding) == 0;
}

uint64_t engine_activity(struct engine *engine, const char *name)
{
    uint64_t n = 0;
    pthread_mutex_lock(&engine->apps_lock);
    for (uint32_t i = 0; i < host_places(engine); i++) {
        const struct host_app *app = host_app_at(engine, i);
        if (app && (!name || strcmp(app->graph->app, name) == 0))
            n += count_begun(app) - atomic_load(&app->begun_again) + count_ended(app) +
                 atomic_load(&app->came) + atomic_load(&app->went);
    }
    pthread_mutex_unlock(&engine->apps_lock);
    return n;
}

void engine_flight(struct engine *engine, const char *name, uint64_t *begun, uint64_t *ended)
{
    pthread_mutex_lock(&engine->apps_lock);
    const struct host_app *app = host_app_find(engine, name);
    if (app) {
        *ended += count_ended(app);
        *begun += count_begun(app);
    }
    pthread_mutex_unlock(&engine->apps_lock);
}

static bool is_quiet(const struct host_app *app, uint64_t *begun)
{
    const struct engine_remote *remote = app->engine->options.remote;
    uint64_t others_begun = 0;
    uint64_t others_ended = 0;
    if (remote && !remote->flight)
        return is_quiet_here(app, begun);
    if (remote)
        remote->flight(remote->user, app->graph->app, &others_begun, &others_ended);
    uint64_t ended = count_ended(app) + others_ended;
    bool answers = atomic_load(&app->outstanding) == 0;
    *begun = count_begun(app) + others_begun;
    return answers && ended == *begun && atomic_load(&app->outstanding) == 0;
}

/* Anything that is in no block: mail that waits for a turn. */
static void finish_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    struct drain *d = user;
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (!p || p->worker != worker)
            continue;
        if (p->base.stalled == PARTITION_HELD) { /* it is neither here nor there */
            atomic_fetch_add(&d->arose, 1);
            continue;
        }
        host_enter(worker, p, worker_now_us(worker->actor));
        if (p->turns.size > 0)
            atomic_fetch_add(&d->arose, 1);
        else if (d->finish)
            atomic_fetch_add(&d->arose, host_partition_finish(&worker->ctx));
        host_run_end(&worker->ctx);
        atomic_fetch_add(&d->timers, timers_count(p->timers));
        host_leave(worker);
    }
    atomic_fetch_add(&d->answers, count_get(&host_counters(worker, app)->waiting));
}

static void finish_answered(void *user)
{
    struct drain *d = user;
    atomic_store(&d->answered, true);
}

static void drain_end(struct drain *d, s4_status status)
{
    struct engine_drained drained = { .waiting_timers = atomic_load(&d->timers),
                                      .waiting_answers = atomic_load(&d->answers),
                                      .rounds = d->rounds };
    d->done(d->user, status, &drained);
}

/* One step; true: the drain is over, with *status. */
static bool drain_step(struct drain *d, s4_status *status, bool *any)
{
    uint64_t begun;
    if (atomic_load_explicit(&d->app->paused, memory_order_relaxed)) {
        *status = S4_PAUSED;
        return true;
    }
    switch (d->phase) {
    case DRAIN_WAIT:
        if (is_quiet(d->app, &d->seen)) {
            d->phase = DRAIN_AGAIN;
            *any = true;
        }
        return false;
    case DRAIN_AGAIN:
        d->phase = DRAIN_WAIT;
        if (!is_quiet(d->app, &begun) || begun != d->seen)
            return false;
        atomic_store(&d->arose, 0);
        atomic_store(&d->timers, 0);
        atomic_store(&d->answers, 0);
        atomic_store(&d->answered, false);
        if (host_ask_workers(d->app, finish_on_worker, finish_answered, d) == S4_OK)
            d->phase = DRAIN_ASKED;
        *any = true;
        return false;
    default:
        if (!atomic_load(&d->answered))
            return false;
        d->phase = DRAIN_WAIT;
        *any = true;
        *status = S4_OK;
        d->rounds += atomic_load(&d->arose) > 0;
        return atomic_load(&d->arose) == 0;
    }
}

bool host_drains_step(struct engine *engine)
{
    if (atomic_load_explicit(&engine->n_drains, memory_order_relaxed) == 0)
        return false;
    bool any = false;
    struct drain *over = NULL;
    pthread_mutex_lock(&engine->drains_lock);
    for (struct drain **at = &engine->drains; *at;) {
        struct drain *d = *at;
        s4_status status = S4_OK;
        if (!drain_step(d, &status, &any)) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        atomic_fetch_sub(&engine->n_drains, 1);
        d->next = over;
        d->phase = status == S4_OK;
        over = d;
    }
    pthread_mutex_unlock(&engine->drains_lock);
    while (over) {
        struct drain *next = over->next;
        drain_end(over, over->phase ? S4_OK : S4_PAUSED);
        mem_free(over);
        over = next;
    }
    return any;
}

/* Takes the first drain of the app (NULL: of any) that no worker is busy with. */
static struct drain *take_drain(struct engine *engine, const struct host_app *app, bool *busy)
{
    struct drain *found = NULL;
    *busy = false;
    pthread_mutex_lock(&engine->drains_lock);
    for (struct drain **at = &engine->drains; *at && !found; at = &(*at)->next) {
        if (app && (*at)->app != app)
            continue;
        if ((*at)->phase == DRAIN_ASKED && !atomic_load(&(*at)->answered)) {
            *busy = true;
            continue;
        }
        found = *at;
        *at = found->next;
        atomic_fetch_sub(&engine->n_drains, 1);
        break;
    }
    pthread_mutex_unlock(&engine->drains_lock);
    return found;
}

void host_drains_cancel(struct engine *engine, struct host_app *app)
{
    bool busy;
    struct drain *d;
    while ((d = take_drain(engine, app, &busy)) || busy) {
        if (d) {
            drain_end(d, S4_CANCELLED);
            mem_free(d);
        } else {
            host_control_wait(engine);
        }
    }
}

/* ---- several apps at once ------------------------------------------------------------------ */

struct drain_group {
    _Atomic uint32_t left;
    _Atomic int status;
    _Atomic uint64_t timers;
    _Atomic uint64_t answers;
    _Atomic uint64_t rounds;
    drain_done *done;
    void *user;
};

static void group_done(void *user, s4_status status, const struct engine_drained *drained)
{
    struct drain_group *g = user;
    if (status != S4_OK)
        atomic_store(&g->status, status);
    atomic_fetch_add(&g->timers, drained->waiting_timers);
    atomic_fetch_add(&g->answers, drained->waiting_answers);
    atomic_fetch_add(&g->rounds, drained->rounds);
    if (atomic_fetch_sub(&g->left, 1) != 1)
        return;
    struct engine_drained all = { .waiting_timers = g->timers,
                                  .waiting_answers = g->answers,
                                  .rounds = g->rounds };
    g->done(g->user, (s4_status)atomic_load(&g->status), &all);
    mem_free(g);
}

static s4_status add_drain(struct host_app *app, bool finish, struct drain_group *group)
{
    struct engine *engine = app->engine;
    struct drain *d = mem_zalloc(sizeof *d);
    if (!d)
        return S4_NO_MEMORY;
    d->app = app;
    d->finish = finish;
    d->done = group_done;
    d->user = group;
    atomic_fetch_add(&group->left, 1);
    pthread_mutex_lock(&engine->drains_lock);
    d->next = engine->drains;
    engine->drains = d;
    atomic_fetch_add(&engine->n_drains, 1);
    pthread_mutex_unlock(&engine->drains_lock);
    return S4_OK;
}

s4_status engine_drain(struct engine *engine, const char *name, bool finish, drain_done *done,
                       void *user, struct diag *diag)
{
    struct host_app *only = name ? host_app_find(engine, name) : NULL;
    if (name && !only)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", name);
    struct drain_group *group = mem_zalloc(sizeof *group);
    if (!group)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    group->done = done;
    group->user = user;
    atomic_store(&group->left, 1); /* this function's own */
    s4_status status = S4_OK;
    for (uint32_t i = 0; i < host_places(engine) && status == S4_OK; i++) {
        struct host_app *app = host_app_at(engine, i);
        if (app && (!only || app == only))
            status = add_drain(app, finish, group);
    }
    struct engine_drained none = { 0 };
    group_done(group, status, &none);
    worker_wake(engine->workers[0].actor);
    return S4_OK;
}
