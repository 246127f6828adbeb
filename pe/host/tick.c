/* What time does in a partition: timers, outputs every t, TTL; and the end of input.
 *
 * A partition keeps one due time, the earliest of all; its worker the earliest of its partitions.
 * With a processing clock the worker ticks when the wall clock passes it. With an event clock an
 * event does that moves the partition's time past it, before it is handled: the time goes from one
 * due moment to the next, so that each callback sees its own, and then to the event's.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

void host_partition_due(struct host_partition *p)
{
    uint64_t due = timers_due_us(p->timers);
    for (uint32_t i = 0; i < p->app->n_prototypes; i++) {
        if (p->output_due_us[i] < due)
            due = p->output_due_us[i];
        if (p->ttl_due_us[i] < due)
            due = p->ttl_due_us[i];
    }
    p->due_us = due;
    p->due_stale = false;
    if (!p->app->event_time && due < p->worker->due_us)
        p->worker->due_us = due;
}

/* ---- timers -------------------------------------------------------------------------------- */

static bool is_busy(const struct host_partition *p, const struct timer *timer)
{
    const struct instances *table = &p->tables[timer->prototype];
    return (instances_at(table, timer->instance)->flags & (INSTANCE_WAITING | INSTANCE_QUEUED)) !=
           0;
}

static void fire_timer(struct host_ctx *ctx, const struct timer *timer)
{
    struct host_prototype *prototype = &ctx->app->prototypes[timer->prototype];
    if (is_busy(ctx->partition, timer) && host_park_timer(ctx, prototype, timer))
        return;
    host_timer_call(ctx, prototype, timer->instance, timer->id);
}

static uint64_t fire_timers(struct host_ctx *ctx)
{
    struct host_partition *p = ctx->partition;
    struct timer timer;
    uint64_t n = 0;
    /* Those that callbacks set for now or before come in the next tick, not for ever in this one.
     */
    uint64_t most = timers_count(p->timers);
    while (n < most && timers_next(p->timers, p->now_us, &timer)) {
        fire_timer(ctx, &timer);
        n++;
    }
    return n;
}

/* ---- outputs every t, and TTL -------------------------------------------------------------- */

/* One output call for each instance with events since its last one. */
static uint64_t put_out(struct host_ctx *ctx, struct host_prototype *prototype)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    uint64_t n = 0;
    for (uint32_t i = instances_next(table, 0); i != INSTANCE_NONE;
         i = instances_next(table, i + 1)) {
        if (!(instances_at(table, i)->flags & INSTANCE_DIRTY))
            continue;
        host_output_call(ctx, prototype, i);
        n++;
    }
    return n;
}

static void expire(struct host_ctx *ctx, struct host_prototype *prototype)
{
    struct host_partition *p = ctx->partition;
    struct instances *table = &p->tables[prototype->number];
    uint64_t now_ms = p->now_us / 1000;
    uint32_t number;
    while ((number = instances_expired(table, now_ms, prototype->ttl_ms)) != INSTANCE_NONE)
        host_instance_remove(ctx, prototype, number, true);
    uint64_t due_ms = instances_next_due_ms(table, prototype->ttl_ms);
    uint64_t soonest_ms = now_ms + prototype->ttl_ms / 8 + 1; /* bounds what sweeps cost */
    if (due_ms != UINT64_MAX && due_ms < soonest_ms)
        due_ms = soonest_ms;
    p->ttl_due_us[prototype->number] = due_ms == UINT64_MAX ? HOST_NEVER : due_ms * 1000;
}

void host_partition_tick(struct host_ctx *ctx)
{
    struct host_partition *p = ctx->partition;
    ctx->emission.time = p->now_us;
    ctx->emission.hop = 1;
    fire_timers(ctx);
    for (uint32_t i = 0; i < ctx->app->n_prototypes; i++) {
        struct host_prototype *prototype = &ctx->app->prototypes[i];
        if (p->output_due_us[i] <= p->now_us) {
            p->output_due_us[i] = HOST_NEVER; /* armed again by the next event */
            put_out(ctx, prototype);
        }
        if (p->ttl_due_us[i] <= p->now_us)
            expire(ctx, prototype);
    }
    p->due_stale = true;
}

/* ---- event clocks -------------------------------------------------------------------------- */

static void set_time(struct host_ctx *ctx, uint64_t now_us)
{
    struct host_partition *p = ctx->partition;
    p->now_us = now_us;
    ctx->run_us = ctx->emission.time = now_us;
}

/* Timers that are set again and again are caught up with HOST_CATCH_UP_MAX times: one event with a
 * time far ahead must not keep a worker for ever. What is left then sees the event's time. */
static void pass_through(struct host_ctx *ctx, uint64_t to_us)
{
    struct host_partition *p = ctx->partition;
    uint64_t left = (uint64_t)timers_count(p->timers) + HOST_CATCH_UP_MAX;
    for (; p->due_us <= to_us && left > 0; left--) {
        set_time(ctx, p->due_us > p->now_us ? p->due_us : p->now_us);
        host_partition_tick(ctx);
        host_partition_due(p);
    }
    set_time(ctx, to_us);
    if (p->due_us > to_us)
        return;
    host_partition_tick(ctx);
    host_partition_due(p);
}

void host_time_moves(struct host_ctx *ctx, uint64_t to_us)
{
    if (LIKELY(ctx->partition->due_us > to_us)) {
        set_time(ctx, to_us);
        return;
    }
    const struct record *record = ctx->record;
    uint8_t hop = ctx->emission.hop;
    ctx->record = NULL;
    pass_through(ctx, to_us);
    ctx->record = record;
    ctx->emission.hop = hop;
    ctx->emission.time = to_us;
}

/* ---- the end of input ---------------------------------------------------------------------- */

uint64_t host_partition_finish(struct host_ctx *ctx)
{
    struct host_partition *p = ctx->partition;
    uint64_t n = 0;
    ctx->emission.hop = 1;
    if (ctx->app->event_time) {
        /* Timers see the end of time; what they emit and publish keeps the partition's own. */
        uint64_t before = p->now_us;
        p->now_us = HOST_END_OF_TIME;
        ctx->emission.time = before;
        n += fire_timers(ctx);
        p->now_us = before;
    }
    ctx->emission.time = p->now_us;
    for (uint32_t i = 0; i < ctx->app->n_prototypes; i++) {
        if (!ctx->app->prototypes[i].of->output)
            continue;
        p->output_due_us[i] = HOST_NEVER;
        n += put_out(ctx, &ctx->app->prototypes[i]);
    }
    return n;
}

/* ---- the worker's tick --------------------------------------------------------------------- */

static void tick_partition(struct host_worker *worker, struct host_partition *p, uint64_t now_us)
{
    host_enter(worker, p, now_us);
    host_partition_tick(&worker->ctx);
    host_run_end(&worker->ctx);
    host_leave(worker);
}

/* Gives back what ended pins kept, a little at a time: one partition per tick. */
static void sweep_one(struct host_worker *worker, struct host_app *app)
{
    uint32_t slot = worker->sweep_at++ % worker->engine->map.slots;
    struct host_partition *p = host_partition_at(app, slot);
    if (!p || p->worker != worker)
        return;
    for (uint32_t i = 0; i < app->n_outputs; i++) {
        if (p->outputs[i].table)
            table_sweep(p->outputs[i].table);
        else
            rowlog_sweep(p->outputs[i].log);
    }
    rowlog_sweep(p->dead);
    host_tails_sweep(p);
}

static uint64_t tick_app(struct host_worker *worker, struct host_app *app, uint64_t now_us)
{
    uint64_t due = HOST_NEVER;
    if (app->event_time || atomic_load_explicit(&app->paused, memory_order_relaxed))
        return due;
    for (uint32_t slot = 0; slot < worker->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (!p || p->worker != worker)
            continue;
        if (p->base.stalled == PARTITION_HELD)
            continue;
        if (p->due_us <= now_us)
            tick_partition(worker, p, now_us);
        if (p->due_us < due)
            due = p->due_us;
    }
    return due;
}

uint64_t host_tick(void *user)
{
    struct host_worker *worker = user;
    uint64_t now_us = worker_now_us(worker->actor);
    host_marks(worker, now_us);
    for (uint32_t i = 0; i < host_places(worker->engine); i++) {
        struct host_app *app = host_app_at(worker->engine, i);
        if (app)
            sweep_one(worker, app);
    }
    if (worker->index == 0) { /* also while runs keep this one from being idle */
        host_drains_step(worker->engine);
        if (!worker->engine->options.feed_thread)
            host_feeds_step(worker->engine);
    }
    if (worker->due_us <= now_us) {
        worker->due_us = HOST_NEVER;
        for (uint32_t i = 0; i < host_places(worker->engine); i++) {
            struct host_app *app = host_app_at(worker->engine, i);
            if (!app)
                continue;
            uint64_t due = tick_app(worker, app, now_us);
            if (due < worker->due_us)
                worker->due_us = due;
        }
    }
    /* A due time that is set while runs go on is seen within a millisecond. */
    uint64_t look_us = now_us + 1000;
    return worker->due_us < look_us ? worker->due_us : look_us;
}
