/* The engine of a node: makes workers and puts the parts together; deploys and undeploys apps.
 *
 * Locks: `lock` guards control (apps, feeds, drains) and is never taken per event. Whatever touches
 * a partition runs on its worker: control sends a message to every worker (fanout.c) and waits.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include <stdarg.h>
#include <time.h>

#include "pe/host/snapshot.h"
#include "runtime/base/asan.h"
#include "runtime/base/hash.h"

uint64_t host_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void engine_fault(struct engine *engine, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_write(engine->options.log, LOG_ERROR, "%s", text);
    if (atomic_exchange(&engine->faulted, true))
        return;
    if (engine->options.fault)
        engine->options.fault(engine->options.user, text);
}

void host_log(struct host_ctx *ctx, enum log_level level, const char *text)
{
    log_write(ctx->app->engine->options.log, level, "%s: %s", ctx->app->graph->app, text);
}

/* ---- workers ------------------------------------------------------------------------------- */

/* A worker's emitter hands a block on: to itself, or to another worker of this node. */
static void send_from_worker(void *user, struct block *block)
{
    struct host_worker *worker = user;
    if (UNLIKELY(host_memory(worker->engine) >= worker->engine->options.memory_hard)) {
        worker->ctx.yield = true;
        worker_yield(worker->actor);
    }
    host_send(worker->engine, worker, block);
}

static void send_from_outside(void *user, struct block *block)
{
    host_send(user, NULL, block);
}

void host_send(struct engine *engine, struct host_worker *from, struct block *block)
{
    struct host_app *app = host_app_of(engine, block->app);
    if (app)
        atomic_fetch_add_explicit(&app->queued, block->capacity, memory_order_relaxed);
    if (UNLIKELY(block->worker - engine->first_worker >= engine->n_workers)) {
        host_send_remote(engine, app, block);
        return;
    }
    struct host_worker *to = &engine->workers[block->worker - engine->first_worker];
    if (from && to == from)
        worker_keep(to->actor, block);
    else
        worker_send(to->actor, block);
}

void host_ctx_init(struct host_ctx *ctx, struct host_worker *worker)
{
    *ctx = (struct host_ctx){ .pub = { .host = &host_services }, .worker = worker };
}

static s4_status worker_init(struct engine *engine, struct host_worker *w, uint32_t index)
{
    w->engine = engine;
    w->index = index;
    w->due_us = HOST_NEVER;
    host_ctx_init(&w->ctx, w);
    arena_init(&w->arena);
    buffer_init(&w->row);
    buffer_init(&w->links);
    keys_init(&w->keys);
    w->event = mem_aligned(CACHE_LINE, HOST_EVENT_SIZE + CACHE_LINE);
    return w->event ? S4_OK : S4_NO_MEMORY;
}

static void worker_fini(struct host_worker *w)
{
    for (uint32_t i = 0; i < ENGINE_APPS_MAX; i++)
        if (w->emitters[i].open)
            emitter_fini(&w->emitters[i]);
    for (uint32_t i = 0; i < KEY_PARTS_MAX; i++)
        buffer_fini(&w->key_parts[i]);
    arena_fini(&w->arena);
    buffer_fini(&w->row);
    buffer_fini(&w->links);
    keys_fini(&w->keys);
    if (w->event)
        asan_unpoison(w->event, HOST_EVENT_SIZE);
    mem_free(w->event);
}

static s4_status make_workers(struct engine *engine)
{
    engine->workers = mem_aligned(CACHE_LINE, engine->n_workers * sizeof *engine->workers);
    if (!engine->workers)
        return S4_NO_MEMORY;
    memset(engine->workers, 0, engine->n_workers * sizeof *engine->workers);
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        struct host_worker *w = &engine->workers[i];
        TRY(worker_init(engine, w, i));
        struct worker_options options = { .ops = &host_worker_ops,
                                          .user = w,
                                          .clock = engine->options.clock,
                                          .slots = engine->map.slots,
                                          .flush_us = engine->options.flush_us };
        TRY(worker_create(&options, &w->actor));
    }
    return worker_init(engine, &engine->feeder, UINT32_MAX);
}

/* ---- the engine ---------------------------------------------------------------------------- */

static void fill_defaults(struct engine_options *o)
{
    if (!o->workers)
        o->workers = 1;
    if (!o->slots)
        o->slots = ENGINE_SLOTS_DEFAULT;
    if (!o->block_size)
        o->block_size = BLOCK_SIZE_DEFAULT;
    if (!o->flush_us)
        o->flush_us = ENGINE_FLUSH_US_DEFAULT;
    if (!o->memory_soft)
        o->memory_soft = ENGINE_MEMORY_SOFT_DEFAULT;
    if (!o->memory_hard)
        o->memory_hard = size_max(ENGINE_MEMORY_HARD_DEFAULT, o->memory_soft);
    if (!o->clock)
        o->clock = &clock_real;
    if (!o->nodes)
        o->nodes = 1;
    if (!o->seed)
        o->seed = rng_seed_real();
}

static s4_status check_options(const struct engine_options *o, struct diag *diag)
{
    if (o->workers > ENGINE_WORKERS_MAX)
        return diag_set(diag, S4_RANGE, "%u workers, at most %d are allowed", o->workers,
                        ENGINE_WORKERS_MAX);
    if (o->slots > ENGINE_SLOTS_MAX)
        return diag_set(diag, S4_RANGE, "%u slots, at most %d are allowed", o->slots,
                        ENGINE_SLOTS_MAX);
    if (o->block_size < BLOCK_SIZE_MIN || o->block_size > BLOCK_SIZE_MAX || o->block_size % 64 != 0)
        return diag_set(diag, S4_RANGE,
                        "blocks of %zu bytes, wanted %zu to %zu and a multiple of 64",
                        o->block_size, (size_t)BLOCK_SIZE_MIN, (size_t)BLOCK_SIZE_MAX);
    if (o->memory_hard < o->memory_soft)
        return diag_set(diag, S4_RANGE, "the hard memory mark (%zu) is below the soft one (%zu)",
                        o->memory_hard, o->memory_soft);
    if (o->nodes > LINK_INTAKES_MAX / 2 || o->node >= o->nodes)
        return diag_set(diag, S4_RANGE, "node %u of %u, at most %u nodes are allowed", o->node,
                        o->nodes, LINK_INTAKES_MAX / 2);
    return S4_OK;
}

static s4_status build(struct engine *engine)
{
    const struct engine_options *o = &engine->options;
    engine->n_workers = o->workers;
    engine->first_worker = o->node * o->workers;
    engine->all_workers = o->nodes * o->workers;
    engine->map.slots = o->slots;
    engine->map.worker = mem_calloc(o->slots, sizeof *engine->map.worker);
    engine->feed_intake = link_intake(o->slots, 2 * o->node);
    engine->inject_intake = link_intake(o->slots, 2 * o->node + 1);
    if (!engine->map.worker)
        return S4_NO_MEMORY;
    for (uint32_t slot = 0; slot < o->slots; slot++)
        engine->map.worker[slot] = slot_fixed_worker(slot, o->nodes, o->workers);
    TRY(block_pool_create(o->block_size, &engine->pool));
    TRY(inbox_init(&engine->feed_inbox));
    engine->requests = o->requests;
    if (!engine->requests) {
        TRY(pool_create(ENGINE_POOL_THREADS, ENGINE_REQUESTS_MAX, &engine->own_requests));
        engine->requests = engine->own_requests;
    }
    return make_workers(engine);
}

s4_status engine_create(const struct engine_options *options, struct engine **engine,
                        struct diag *diag)
{
    struct engine_options filled = *options;
    fill_defaults(&filled);
    TRY(check_options(&filled, diag));
    struct engine *e = mem_aligned(CACHE_LINE, sizeof *e);
    if (!e)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    memset(e, 0, sizeof *e);
    e->options = filled;
    e->feed_inbox.wake_fd = -1;
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->inject_lock, NULL);
    pthread_mutex_init(&e->feeds_lock, NULL);
    pthread_mutex_init(&e->changed_lock, NULL);
    pthread_mutex_init(&e->drains_lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    s4_status status = build(e);
    if (status != S4_OK) {
        engine_destroy(e);
        return diag_set(diag, status, "the engine cannot be made: %s", s4_status_text(status));
    }
    status = e->options.store ? snapshot_sweep(e->options.store, diag) : S4_OK;
    if (status != S4_OK) {
        engine_destroy(e);
        return status;
    }
    e->started_us = e->options.clock->mono_us(e->options.clock);
    *engine = e;
    return S4_OK;
}

s4_status engine_start(struct engine *engine, struct diag *diag)
{
    engine->started = true;
    if (!engine->options.threads)
        return S4_OK;
    for (uint32_t i = 0; i < engine->n_workers; i++) {
        char name[24];
        snprintf(name, sizeof name, "worker-%u", i);
        TRY(worker_start(engine->workers[i].actor, name) == S4_OK
                ? S4_OK
                : diag_set(diag, S4_UNAVAILABLE, "a thread cannot be started"));
    }
    if (engine->options.feed_thread)
        return host_feed_thread_start(engine, diag);
    return S4_OK;
}

void engine_stop(struct engine *engine)
{
    atomic_store(&engine->stopping, true);
    host_feed_thread_stop(engine);
    for (uint32_t i = 0; i < engine->n_workers; i++)
        worker_stop(engine->workers[i].actor);
    host_feeds_end(engine);
    engine->started = false;
    for (uint32_t i = 0; i < engine->n_workers; i++)
        worker_drain_messages(engine->workers[i].actor);
    host_drains_cancel(engine, NULL);
}

static void destroy_app(struct host_app *app)
{
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = app->partitions[slot];
        if (p)
            partition_clear(p->worker->actor, &p->base);
    }
    host_app_destroy(app);
}

void engine_destroy(struct engine *engine)
{
    if (!engine)
        return;
    if (engine->started)
        engine_stop(engine);
    pool_destroy(engine->own_requests); /* waits for what runs; cancels the rest */
    for (uint32_t i = 0; engine->workers && i < engine->n_workers; i++)
        if (engine->workers[i].actor)
            worker_drain_messages(engine->workers[i].actor);
    for (uint32_t i = 0; i < ENGINE_APPS_MAX; i++) {
        struct host_app *app = host_app_at(engine, i);
        if (app) {
            host_app_stop(app);
            destroy_app(app);
        }
    }
    for (uint32_t i = 0; engine->workers && i < engine->n_workers; i++) {
        worker_destroy(engine->workers[i].actor);
        worker_fini(&engine->workers[i]);
    }
    worker_fini(&engine->feeder);
    if (engine->feed_inbox.wake_fd >= 0)
        inbox_fini(&engine->feed_inbox);
    mem_free(engine->workers);
    block_pool_destroy(engine->pool);
    mem_free(engine->map.worker);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->inject_lock);
    pthread_mutex_destroy(&engine->feeds_lock);
    pthread_mutex_destroy(&engine->changed_lock);
    pthread_mutex_destroy(&engine->drains_lock);
    pthread_cond_destroy(&engine->changed);
    mem_free(engine);
}

struct block_pool *engine_pool(struct engine *engine)
{
    return engine->pool;
}

bool engine_step(struct engine *engine)
{
    bool any = false;
    for (uint32_t i = 0; i < engine->n_workers; i++)
        any |= worker_step(engine->workers[i].actor);
    return any;
}

bool engine_step_worker(struct engine *engine, uint32_t worker)
{
    return worker_step(engine->workers[worker].actor);
}

/* ---- deploy -------------------------------------------------------------------------------- */

static s4_status make_emitter(struct host_app *app, struct emitter *emitter, uint32_t emits_max,
                              uint32_t *touched, void (*send)(void *, struct block *), void *user)
{
    struct engine *engine = app->engine;
    struct emitter_options options = { .map = &engine->map,
                                       .pool = engine->pool,
                                       .workers = engine->all_workers,
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
                         &w->ctx.touched, send_from_worker, w));
        memset(host_counters(w, app), 0, sizeof(struct host_counters));
    }
    bool own_thread = engine->options.feed_thread;
    TRY(make_emitter(app, &app->feed_emitter, UINT32_MAX, &engine->feeder.ctx.touched,
                     own_thread ? send_from_outside : send_from_worker,
                     own_thread ? (void *)engine : (void *)&engine->workers[0]));
    emitter_source(&app->feed_emitter, engine->feed_intake, app->feed_links);
    TRY(make_emitter(app, &app->inject_emitter, UINT32_MAX, NULL, send_from_outside, engine));
    emitter_source(&app->inject_emitter, engine->inject_intake, app->inject_links);
    return S4_OK;
}

static bool is_mine(const struct engine *engine, uint16_t worker)
{
    return worker >= engine->first_worker && worker < engine->first_worker + engine->n_workers;
}

static s4_status make_partitions(struct host_app *app)
{
    struct engine *engine = app->engine;
    uint64_t seed =
        hash_mix(engine->options.seed, hash_bytes(app->graph->app, strlen(app->graph->app)));
    for (uint32_t slot = 0; slot < engine->map.slots; slot++) {
        uint16_t worker = engine->map.worker[slot];
        if (!is_mine(engine, worker))
            continue;
        TRY(host_partition_create(app, &engine->workers[worker - engine->first_worker],
                                  (uint16_t)slot, seed, &app->partitions[slot]));
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

static void make_singletons(struct host_worker *worker, struct host_app *app,
                            struct host_partition *p)
{
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        struct host_prototype *prototype = &app->prototypes[i];
        if (!prototype->singleton || prototype->singleton_slot != p->base.slot)
            continue;
        host_enter(worker, p, worker_now_us(worker->actor));
        struct host_ctx *ctx = &worker->ctx;
        uint32_t number;
        emitter_begin(ctx->emitter);
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
        struct host_partition *p = app->partitions[slot];
        if (p && p->worker == worker)
            make_singletons(worker, app, p);
    }
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
    s4_status status = make_emitters(app);
    if (status == S4_OK)
        status = make_partitions(app);
    if (status != S4_OK) {
        host_app_destroy(app);
        return diag_set(diag, status, "app \"%s\": %s", name, s4_status_text(status));
    }
    char cause[HOST_CAUSE_MAX];
    status = call_app(app, CALL_START, app->code->start, cause, sizeof cause);
    if (status != S4_OK) {
        host_app_destroy(app);
        return diag_set(diag, S4_FAILED, "app \"%s\": its start callback failed: %s", name, cause);
    }
    app->started = true;
    atomic_store_explicit(&engine->apps[app->number % ENGINE_APPS_MAX], app, memory_order_release);
    engine->next_app++;
    engine->n_apps++;
    host_on_workers(app, start_on_worker, NULL);
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

/* ---- undeploy ------------------------------------------------------------------------------ */

static void clear_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    _Atomic uint64_t *dropped = user;
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = app->partitions[slot];
        if (p && p->worker == worker)
            atomic_fetch_add(dropped, partition_clear(worker->actor, &p->base));
    }
}

/* The app is out of the table: blocks that still come for it are dropped by the worker. */
static void forget_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    clear_on_worker(worker, app, user);
    emitter_fini(&worker->emitters[app->number % ENGINE_APPS_MAX]);
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
    host_feeds_close(engine, app);
    host_drains_cancel(engine, app);
    wait_for_answers(app);
    _Atomic uint64_t lost = 0;
    host_on_workers(app, clear_on_worker, &lost);
    atomic_store(&engine->apps[app->number % ENGINE_APPS_MAX], NULL);
    engine->n_apps--;
    host_on_workers(app, forget_on_worker, &lost);
    pthread_mutex_lock(&engine->inject_lock); /* nobody injects into it any more */
    pthread_mutex_unlock(&engine->inject_lock);
    host_app_stop(app);
    host_app_destroy(app);
    pthread_mutex_unlock(&engine->lock);
    if (dropped)
        *dropped = lost;
    return S4_OK;
}

size_t engine_apps(const struct engine *engine)
{
    size_t n = 0;
    for (uint32_t i = 0; i < ENGINE_APPS_MAX; i++)
        n += host_app_at(engine, i) != NULL;
    return n;
}

const struct bundle *engine_bundle(const struct engine *engine, const char *name)
{
    const struct host_app *app = host_app_find(engine, name);
    return app ? app->bundle : NULL;
}
