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
    struct host_app *app; /* NULL: all, together: what one emits another may hear */
    struct engine *engine;
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

/* The next of the drain's apps, from *place on; NULL: there are no more. */
static struct host_app *next_app(const struct drain *d, uint32_t *place)
{
    while (*place < host_places(d->engine)) {
        struct host_app *app = host_app_at(d->engine, (*place)++);
        if (app && (!d->app || app == d->app))
            return app;
    }
    return NULL;
}

/* Without others' counts it is of this node alone: what it took over, and handed over, begins and
 * ends here. */
static uint64_t add_ended(const struct host_app *app, uint64_t *others_begun)
{
    const struct engine_remote *remote = app->engine->options.remote;
    uint64_t others_ended = 0;
    if (remote && remote->flight)
        remote->flight(remote->user, app->graph->app, others_begun, &others_ended);
    else if (remote)
        others_ended = atomic_load(&app->went);
    return count_ended(app) + others_ended;
}

static uint64_t add_begun(const struct host_app *app)
{
    const struct engine_remote *remote = app->engine->options.remote;
    uint64_t n = count_begun(app);
    return remote && !remote->flight ? n - atomic_load(&app->begun_again) + atomic_load(&app->came)
                                     : n;
}

static bool has_answers(const struct drain *d)
{
    const struct host_app *app;
    for (uint32_t place = 0; (app = next_app(d, &place));)
        if (atomic_load(&app->outstanding) > 0)
            return false;
    return true;
}

/* What has ended is read of all apps before what has begun of any: a run of one begins a block of
 * another before its own ends. */
static bool is_quiet(const struct drain *d, uint64_t *begun)
{
    const struct host_app *app;
    uint64_t ended = 0;
    *begun = 0;
    bool answers = has_answers(d);
    for (uint32_t place = 0; (app = next_app(d, &place));)
        ended += add_ended(app, begun);
    for (uint32_t place = 0; (app = next_app(d, &place));)
        *begun += add_begun(app);
    return answers && ended == *begun && has_answers(d);
}

/* Anything that is in no block: mail that waits for a turn. */
static void finish_app(struct host_worker *worker, struct host_app *app, struct drain *d)
{
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

static void finish_on_worker(struct host_worker *worker, struct host_app *any, void *user)
{
    struct drain *d = user;
    struct host_app *app;
    for (uint32_t place = 0; (app = next_app(d, &place));)
        finish_app(worker, app, d);
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

static bool is_paused(const struct drain *d)
{
    const struct host_app *app;
    for (uint32_t place = 0; (app = next_app(d, &place));)
        if (atomic_load_explicit(&app->paused, memory_order_relaxed))
            return true;
    return false;
}

/* One step; true: the drain is over, with *status. */
static bool drain_step(struct drain *d, s4_status *status, bool *any)
{
    uint64_t begun;
    uint32_t place = 0;
    struct host_app *some = next_app(d, &place);
    *status = is_paused(d) ? S4_PAUSED : S4_OK;
    if (!some || *status != S4_OK)
        return d->phase != DRAIN_ASKED || atomic_load(&d->answered); /* no worker has it */
    switch (d->phase) {
    case DRAIN_WAIT:
        if (is_quiet(d, &d->seen)) {
            d->phase = DRAIN_AGAIN;
            *any = true;
        }
        return false;
    case DRAIN_AGAIN:
        d->phase = DRAIN_WAIT;
        if (!is_quiet(d, &begun) || begun != d->seen)
            return false;
        atomic_store(&d->arose, 0);
        atomic_store(&d->timers, 0);
        atomic_store(&d->answers, 0);
        atomic_store(&d->answered, false);
        if (host_ask_workers(some, finish_on_worker, finish_answered, d) == S4_OK)
            d->phase = DRAIN_ASKED;
        *any = true;
        return false;
    default:
        if (!atomic_load(&d->answered))
            return false;
        d->phase = DRAIN_WAIT;
        *any = true;
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

/* Takes the first drain of the app alone (NULL: any) that no worker is busy with. One of all apps
 * goes on without an app that goes. */
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

/* ---- control ------------------------------------------------------------------------------- */

s4_status engine_drain(struct engine *engine, const char *name, bool finish, drain_done *done,
                       void *user, struct diag *diag)
{
    struct host_app *only = name ? host_app_find(engine, name) : NULL;
    if (name && !only)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", name);
    struct drain *d = mem_zalloc(sizeof *d);
    if (!d)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    d->app = only;
    d->engine = engine;
    d->finish = finish;
    d->done = done;
    d->user = user;
    pthread_mutex_lock(&engine->drains_lock);
    d->next = engine->drains;
    engine->drains = d;
    atomic_fetch_add(&engine->n_drains, 1);
    pthread_mutex_unlock(&engine->drains_lock);
    worker_wake(engine->workers[0].actor);
    return S4_OK;
}
