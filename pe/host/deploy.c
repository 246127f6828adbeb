/* Apps come and go while the engine runs (README.md, rule 16). Control threads, under the engine's
 * lock; what touches a partition runs on its worker (fanout.c).
 *
 *   deploy    emitters, partitions, `start`; the app is in the table; its singletons are made;
 *             streams of other apps and its own are connected (imports.c)
 *   undeploy  no more input; requests are waited for; the app leaves the table, and with it every
 *             block that still comes for it; `stop`
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

static s4_status make_emitter(struct host_app *app, struct emitter *emitter, uint32_t emits_max,
                              uint32_t *touched, void (*send)(void *, struct block *), void *user)
{
    struct engine *engine = app->engine;
    struct emitter_options options = { .map = &engine->map,
                                       .pool = engine->pool,
                                       .workers = engine->all_workers + (engine->all_workers > 1),
                                       .app = app->number,
                                       .touched = touched,
                                       .send = send,
                                       .user = user };
    return emitter_init(emitter, &options, emits_max);
}

static s4_status make_emitters(struct host_app *app)
{
    struct engine *engine = app->engine;
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        struct host_worker *w = &engine->workers[i];
        TRY(make_emitter(app, &w->emitters[app->number % ENGINE_APPS_MAX], app->emits_max,
                         &w->ctx.touched, host_send_from_worker, w));
        memset(host_counters(w, app), 0, sizeof(struct host_counters));
    }
    bool own_thread = engine->options.feed_thread;
    TRY(make_emitter(app, &app->feed_emitter, UINT32_MAX, &engine->feeder.ctx.touched,
                     own_thread ? host_send_from_outside : host_send_from_worker,
                     own_thread ? (void *)engine : (void *)&engine->workers[0]));
    emitter_source(&app->feed_emitter, engine->feed_intake, app->feed_links);
    TRY(make_emitter(app, &app->inject_emitter, UINT32_MAX, NULL, host_send_from_outside, engine));
    emitter_source(&app->inject_emitter, engine->inject_intake, app->inject_links);
    return S4_OK;
}

static s4_status make_partitions(struct host_app *app)
{
    struct engine *engine = app->engine;
    for (uint32_t slot = 0; slot < engine->map.slots; slot++) {
        const struct host_slot *here = &engine->slots[slot];
        if (here->state == SLOT_ELSEWHERE)
            continue;
        struct host_worker *worker = &engine->workers[here->worker];
        TRY(host_partition_place(app, worker, slot));
        if (here->state == SLOT_HELD) /* no worker has heard of it */
            partition_hold(worker->actor, app->bases[slot]);
    }
    return S4_OK;
}

static s4_status call_app(struct host_app *app, enum call_kind kind, s4_status (*fn)(s4_ctx *),
                          char *cause, size_t size)
{
    if (!fn)
        return S4_OK;
    struct host_ctx ctx;
    host_ctx_init(&ctx, &app->engine->feeder);
    ctx.pub.host = &host_services_quiet;
    ctx.app = app;
    ctx.kind = (uint8_t)kind;
    ctx.emission.time = app->engine->options.clock->wall_us(app->engine->options.clock);
    host_running = &ctx;
    s4_status status = fn(&ctx.pub);
    host_running = NULL;
    status = ctx.failed != S4_OK ? ctx.failed : status;
    if (cause)
        snprintf(cause, size, "%s", ctx.cause[0] ? ctx.cause : s4_status_text(status));
    return status;
}

void host_app_stop(struct host_app *app)
{
    if (app->started)
        (void)!call_app(app, CALL_STOP, app->code->stop, NULL, 0);
    app->started = false;
}

void host_partition_start(struct host_worker *worker, struct host_partition *p)
{
    struct host_app *app = p->app;
    if (p->begun)
        return;
    p->begun = true;
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        struct host_prototype *prototype = &app->prototypes[i];
        if (!prototype->singleton || prototype->singleton_slot != p->base.slot)
            continue;
        host_enter(worker, p, worker_now_us(worker->actor));
        struct host_ctx *ctx = &worker->ctx;
        uint32_t number;
        static const char none[32];
        s4_status status = host_instance_make(ctx, prototype, hash_bytes("", 0), none, 0, &number);
        if (status != S4_OK)
            host_dead_letter(ctx, NULL, prototype, status, ctx->cause);
        ctx->cause[0] = '\0';
        host_partition_due(p);
        host_leave(worker);
    }
}

static void start_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (p && p->worker == worker && p->base.stalled != PARTITION_HELD)
            host_partition_start(worker, p);
    }
}

/* An app that no worker has heard of. */
static void give_up(struct host_app *app)
{
    for (uint32_t i = 0; i < app->engine->n_workers; i++)
        emitter_fini(&app->engine->workers[i].emitters[app->number % ENGINE_APPS_MAX]);
    host_app_destroy(app);
}

static s4_status deploy(struct engine *engine, const struct bundle *bundle, struct plugin *plugin,
                        struct diag *diag)
{
    const char *name = bundle->graph->app;
    if (host_app_find(engine, name))
        return diag_set(diag, S4_EXISTS, "app \"%s\" is deployed already: undeploy it first", name);
    if (engine->n_apps == ENGINE_APPS_MAX)
        return diag_set(diag, S4_FULL, "%d apps are deployed, which is the most", ENGINE_APPS_MAX);
    while (host_app_at(engine, engine->next_app % ENGINE_APPS_MAX))
        engine->next_app++;
    struct host_app *app;
    TRY(host_app_create(engine, bundle, plugin, (uint16_t)engine->next_app, &app, diag));
    s4_status status = host_imports_check(app, diag);
    if (status != S4_OK) {
        give_up(app);
        return status;
    }
    status = make_emitters(app);
    if (status == S4_OK)
        status = make_partitions(app);
    if (status != S4_OK) {
        give_up(app);
        return diag_set(diag, status, "app \"%s\": %s", name, s4_status_text(status));
    }
    char cause[HOST_CAUSE_MAX];
    status = call_app(app, CALL_START, app->code->start, cause, sizeof cause);
    if (status != S4_OK) {
        give_up(app);
        return diag_set(diag, S4_FAILED, "app \"%s\": its start callback failed: %s", name, cause);
    }
    app->started = true;
    atomic_store(&app->open, !engine->options.apps_wait);
    uint32_t place = app->number % ENGINE_APPS_MAX;
    atomic_store_explicit(&engine->apps[place], app, memory_order_release);
    if (place >= host_places(engine)) /* pairs with its acquire */
        atomic_store_explicit(&engine->places, place + 1, memory_order_release);
    engine->next_app++;
    engine->n_apps++;
    host_imports_connect(engine); /* nothing of what it emits is missed */
    host_on_workers(app, start_on_worker, NULL);
    app->hears = true;
    host_imports_connect(engine);
    return S4_OK;
}

s4_status engine_deploy(struct engine *engine, const struct bundle *bundle, struct plugin *plugin,
                        struct diag *diag)
{
    pthread_mutex_lock(&engine->lock);
    s4_status status = deploy(engine, bundle, plugin, diag);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

void engine_open(struct engine *engine, const char *name)
{
    pthread_mutex_lock(&engine->apps_lock);
    struct host_app *app = host_app_find(engine, name);
    bool opened = app && !atomic_exchange(&app->open, true);
    pthread_mutex_unlock(&engine->apps_lock);
    if (opened)
        engine_credit(engine);
}

/* ---- undeploy ------------------------------------------------------------------------------ */

static void clear_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    _Atomic uint64_t *dropped = user;
    worker_take_in(worker->actor); /* a batch that came last is answered, too */
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (!p || p->worker != worker)
            continue;
        atomic_fetch_add(dropped, host_partition_clear(worker, p));
        buffer_clear(&p->turns); /* what is in mailboxes goes with them */
    }
}

/* The app is out of the table: blocks that still come for it are dropped by the worker. */
static void forget_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    clear_on_worker(worker, app, user);
    emitter_fini(&worker->emitters[app->number % ENGINE_APPS_MAX]);
}

/* Nothing posts for the app any more; what was posted, for turns, is run while it is still there.
 */
static void settle_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    worker_drain_messages(worker->actor);
}

/* Answers that wait for a slot that comes or goes are nobody's any more; those that come now, too.
 */
static void forget_held(struct host_worker *worker, struct host_app *app, void *user)
{
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (p && p->worker == worker && p->base.stalled == PARTITION_HELD)
            host_jobs_forget(p);
    }
}

static void wait_for_answers(struct host_app *app)
{
    while (atomic_load(&app->outstanding) > 0)
        host_control_wait(app->engine);
}

s4_status engine_undeploy(struct engine *engine, const char *name, uint64_t *dropped,
                          struct diag *diag)
{
    pthread_mutex_lock(&engine->lock);
    struct host_app *app = host_app_find(engine, name);
    if (!app) {
        pthread_mutex_unlock(&engine->lock);
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", name);
    }
    atomic_store(&app->closing, true);
    pthread_mutex_lock(&engine->inject_lock); /* nobody injects into it any more */
    pthread_mutex_unlock(&engine->inject_lock);
    app->hears = false;
    host_imports_connect(engine);
    host_feeds_close(engine, app);
    host_drains_cancel(engine, app);
    host_on_workers(app, forget_held, NULL);
    wait_for_answers(app);
    _Atomic uint64_t lost = 0;
    host_on_workers(app, clear_on_worker, &lost);
    atomic_store(&engine->apps[app->number % ENGINE_APPS_MAX], NULL);
    engine->n_apps--;
    pthread_mutex_lock(&engine->apps_lock); /* nobody but the workers has found it any more */
    pthread_mutex_unlock(&engine->apps_lock);
    host_on_workers(app, forget_on_worker, &lost);
    host_on_workers(app, settle_on_worker, NULL);
    host_app_stop(app);
    host_app_destroy(app);
    pthread_mutex_unlock(&engine->lock);
    if (dropped)
        *dropped = lost;
    return S4_OK;
}
