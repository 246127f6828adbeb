/* The engine of a node: makes workers and puts the parts together; apps come and go in deploy.c.
 *
 * Locks: `lock` guards control (apps, feeds, drains) and is never taken per event. Whatever touches
 * a partition runs on its worker: control sends a message to every worker (fanout.c) and waits.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include <sched.h>
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

/* ---- workers ------------------------------------------------------------------------------- */

/* A worker's emitter hands a block on: to itself, or to another worker of this node. */
void host_send_from_worker(void *user, struct block *block)
{
    struct host_worker *worker = user;
    if (UNLIKELY(host_memory(worker->engine) >= worker->engine->options.memory_hard)) {
        worker->ctx.yield = true;
        worker_yield(worker->actor);
    }
    host_send(worker->engine, worker, block);
}

void host_send_from_outside(void *user, struct block *block)
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
    buffer_init(&w->exports.events);
    buffer_init(&w->exports.batch);
    w->exports.links = mem_calloc(engine->map.slots, sizeof *w->exports.links);
    if (!w->exports.links)
        return S4_NO_MEMORY;
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
    buffer_fini(&w->exports.events);
    buffer_fini(&w->exports.batch);
    mem_free(w->exports.links);
    keys_fini(&w->keys);
    if (w->event)
        asan_unpoison(w->event, HOST_EVENT_SIZE);
    mem_free(w->event);
}

/* A worker may look for more before it sleeps if every thread that has work all the time can have a
 * core of its own. */
static uint32_t spins_for(const struct engine *engine)
{
    cpu_set_t cores;
    uint32_t busy = engine->n_workers + engine->options.feed_thread;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        return 0;
    return busy <= (uint32_t)CPU_COUNT(&cores) ? HOST_SPINS : 0;
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
                                          .flush_us = engine->options.flush_us,
                                          .spins = spins_for(engine) };
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
    if (o->nodes > ENGINE_NODES_MAX || o->node >= o->nodes)
        return diag_set(diag, S4_RANGE, "node %u of %u, at most %u nodes are allowed", o->node,
                        o->nodes, ENGINE_NODES_MAX);
    for (uint32_t slot = 0; o->map && slot < o->slots; slot++)
        if (o->map[slot] > o->nodes * ENGINE_WORKERS_MAX) /* as many: nobody's */
            return diag_set(diag, S4_RANGE, "slot %u: worker %u, there are %u", slot, o->map[slot],
                            o->nodes * ENGINE_WORKERS_MAX);
    return S4_OK;
}

static s4_status build(struct engine *engine)
{
    const struct engine_options *o = &engine->options;
    engine->n_workers = o->workers;
    uint32_t stride = o->nodes == 1 ? o->workers : ENGINE_WORKERS_MAX;
    engine->first_worker = o->node * stride;
    engine->all_workers = o->nodes * stride;
    engine->map.slots = o->slots;
    engine->map.worker = mem_calloc(o->slots, sizeof *engine->map.worker);
    engine->feed_intake = link_intake(o->slots, 2 * o->node);
    engine->inject_intake = link_intake(o->slots, 2 * o->node + 1);
    engine->slots = mem_calloc(o->slots, sizeof *engine->slots);
    engine->genesis = mem_calloc(links_count(o->slots), sizeof *engine->genesis);
    if (!engine->map.worker || !engine->slots || !engine->genesis)
        return S4_NO_MEMORY;
    if (o->genesis)
        memcpy(engine->genesis, o->genesis, links_count(o->slots) * sizeof *engine->genesis);
    for (uint32_t slot = 0; slot < o->slots; slot++) {
        uint16_t worker =
            o->map ? o->map[slot] : slot_fixed_worker(slot, o->nodes, o->workers, stride);
        engine->map.worker[slot] = worker;
        if ((uint32_t)worker - engine->first_worker < engine->n_workers)
            engine->slots[slot] =
                (struct host_slot){ .state = SLOT_RUNS,
                                    .worker = (uint16_t)(worker - engine->first_worker) };
    }
    engine->pool = o->blocks;
    if (!engine->pool)
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
    pthread_mutex_init(&e->apps_lock, NULL);
    pthread_mutex_init(&e->inject_lock, NULL);
    pthread_mutex_init(&e->feeds_lock, NULL);
    pthread_mutex_init(&e->step_lock, NULL);
    pthread_mutex_init(&e->still.lock, NULL);
    pthread_cond_init(&e->still.changed, NULL);
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
    host_still_stop(engine); /* else a worker may stand for ever */
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
        struct host_partition *p = host_partition_at(app, slot);
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
    for (uint32_t i = 0; engine->workers && i < engine->n_workers; i++) {
        if (!engine->workers[i].actor)
            continue;
        worker_drain_messages(engine->workers[i].actor);
        worker_take_in(engine->workers[i].actor); /* what hangs on blocks goes with their runs */
    }
    for (uint32_t i = 0; i < host_places(engine); i++) {
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
    if (!engine->options.blocks)
        block_pool_destroy(engine->pool);
    mem_free(engine->map.worker);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->apps_lock);
    pthread_mutex_destroy(&engine->inject_lock);
    pthread_mutex_destroy(&engine->feeds_lock);
    pthread_mutex_destroy(&engine->step_lock);
    pthread_mutex_destroy(&engine->still.lock);
    pthread_cond_destroy(&engine->still.changed);
    mem_free(engine->slots);
    mem_free(engine->genesis);
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
