/* From a run to its instances. What is plain goes through the hot loop of stretch.c; here is what
 * surrounds it, and the general way of a record: the link is judged, the event is decoded once into
 * the worker's scratch, and handed to each prototype that hears the pair. Clock, counters and
 * memory marks are looked at per run or block.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/asan.h"

const void *host_decode(struct host_worker *worker, const struct host_pair *pair,
                        const struct record *record)
{
    if (!pair->plain)
        arena_reset(&worker->arena);
    asan_unpoison(worker->event, HOST_EVENT_SIZE);
    return pair->get(pair->route.codec, (const char *)record, record_attributes(record),
                     worker->event, &worker->arena);
}

/* A repeat is dropped and counted; a gap cannot be while connections do not fail. */
static void judged_away(struct host_ctx *ctx, const struct record *record,
                        enum link_verdict verdict)
{
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    if (verdict == LINK_REPEAT) {
        count_add(&counters->link_repeats, 1);
        return;
    }
    engine_fault(ctx->app->engine,
                 "app %s: link %u -> %u: got record %u, a record before it is missing",
                 ctx->app->graph->app, record->src, record->dst, record->seq);
}

/* One record to all who hear it, the general way. False: the partition stalls before it is done. */
__attribute__((noinline)) static bool dispatch_slowly(struct host_ctx *ctx,
                                                      const struct record *record)
{
    struct host_partition *p = ctx->partition;
    if (record->stream >= RECORD_STREAM_RESERVED) {
        host_engine_record(ctx, record);
        return true;
    }
    struct host_pair *pair = &ctx->app->pairs[record->stream];
    if (ctx->app->event_time && record->time > p->now_us)
        host_time_moves(ctx, record->time);
    const void *event = host_decode(ctx->worker, pair, record);
    if (UNLIKELY(!event)) {
        host_dead_letter(ctx, record, NULL, S4_NO_MEMORY, "out of memory for the decoded event");
        return true;
    }
    for (uint32_t sub = p->resuming ? p->resume_sub : 0; sub < pair->n_subs; sub++) {
        if (UNLIKELY(!host_deliver(ctx, pair, sub, record, event))) {
            p->resume_sub = sub; /* judged already: goes on from here */
            p->resuming = true;
            p->base.stalled = PARTITION_STALLED;
            return false;
        }
        p->resuming = false;
    }
    return true;
}

static inline uint8_t next_hop(const struct record *record)
{
    return (uint8_t)(record->hop + (record->hop < UINT8_MAX));
}

static inline const struct record *record_at(const struct host_span *span, uint32_t i)
{
    return block_record(span->data, &span->order[i]);
}

/* Notes how long the records of a run took, n of them from this one on. */
static void sample(struct host_ctx *ctx, const struct record *record, uint64_t started_ns,
                   uint32_t n)
{
    if (record->stream >= ctx->app->n_pairs || n == 0)
        return;
    uint64_t ns = (host_now_ns() - started_ns) / n;
    struct host_prototype *prototype =
        &ctx->app->prototypes[ctx->app->pairs[record->stream].subs[0].prototype];
    uint64_t before = atomic_load_explicit(&prototype->sampled_ns, memory_order_relaxed);
    uint64_t smooth = before ? before - before / 8 + ns / 8 : ns;
    atomic_store_explicit(&prototype->sampled_ns, smooth, memory_order_relaxed);
}

/* Who got how many: counted per stretch of one stream, not per event. */
static inline void count_stretch(struct host_ctx *ctx, const struct host_pair *pair, uint32_t n)
{
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    for (uint32_t s = 0; s < pair->n_subs; s++)
        count_add(&counters->prototypes[pair->subs[s].prototype].events, n);
}

/* One record, the general way. False: the partition stalls. */
bool host_dispatch_one(struct host_ctx *ctx, const struct record *record)
{
    struct host_partition *p = ctx->partition;
    if (!p->resuming && record->src != HOST_CONTROL) {
        enum link_verdict verdict = link_judge(&p->links_in, record);
        if (UNLIKELY(verdict != LINK_APPLY)) {
            judged_away(ctx, record, verdict);
            return true;
        }
    }
    ctx->record = record;
    ctx->emission.hop = next_hop(record);
    return dispatch_slowly(ctx, record);
}

/* The records of a run from i on. Above the hard memory mark a run ends early at a record that
 * filled a block, so that its app is paused in time. */
HOT static uint32_t dispatch(struct host_ctx *ctx, const struct host_span *span, uint32_t i)
{
    const struct host_app *app = ctx->app;
    bool stalls = false;
    while (i < span->n && !ctx->yield && !stalls) {
        const struct record *record = record_at(span, i);
        uint32_t start = i;
        if (record->stream >= app->n_pairs) { /* the engine's own */
            stalls = !host_dispatch_one(ctx, record);
            i += !stalls;
            continue;
        }
        const struct host_pair *pair = &app->pairs[record->stream];
        if (LIKELY(pair->stretch && !ctx->partition->resuming)) {
            i = pair->stretch(ctx, pair, span, i);
            stalls = ctx->partition->base.stalled;
        } else {
            stalls = !host_dispatch_one(ctx, record);
            i += !stalls;
        }
        count_stretch(ctx, pair, i - start);
    }
    return i;
}

/* After anything that ran on a partition: event timers that its time has passed, mailboxes whose
 * turn it is, and when it wants to be called next. */
static inline void run_end(struct host_ctx *ctx)
{
    struct host_partition *p = ctx->partition;
    if (UNLIKELY(p->turns.size > 0))
        host_turns(ctx);
    if (p->app->event_time && UNLIKELY(p->due_us <= p->now_us))
        host_partition_tick(ctx);
    if (UNLIKELY(p->due_stale))
        host_partition_due(p);
    else if (UNLIKELY(p->due_us < p->worker->due_us && !p->app->event_time))
        p->worker->due_us = p->due_us;
    p->turn++;
}

void host_run_end(struct host_ctx *ctx)
{
    run_end(ctx);
}

HOT static uint32_t run_records(void *user, struct partition *base, struct run *run)
{
    struct host_worker *worker = user;
    struct host_partition *p = CONTAINER_OF(base, struct host_partition, base);
    struct host_ctx *ctx = &worker->ctx;
    if (UNLIKELY(atomic_load_explicit(&p->app->paused, memory_order_relaxed))) {
        base->stalled = PARTITION_PAUSED;
        return run->done;
    }
    uint32_t from = run->done;
    uint32_t i = from;
    const struct host_span span = {
        .data = run->block->data,
        .order = run->order,
        .n = run->count - i > BUDGET_DEFAULT ? i + BUDGET_DEFAULT : run->count, /* a turn */
        .all = run->block->count - run->first,
    };
    host_enter(worker, p, worker_now_us(worker->actor));
    if (run->first == 0 && i == 0)
        host_fetch_first(p->app, &span);
    bool sampled = UNLIKELY(worker->runs++ % HOST_SAMPLE == 0);
    uint64_t started_ns = sampled ? host_now_ns() : 0;
    i = dispatch(ctx, &span, i);
    if (UNLIKELY(sampled))
        sample(ctx, record_at(&span, from), started_ns, i - from);
    asan_poison(worker->event, HOST_EVENT_SIZE); /* an event is valid until its handler returns */
    ctx->record = NULL;
    count_add(&host_counters(worker, p->app)->applied, i - from);
    run_end(ctx);
    host_leave(worker);
    return i;
}

static struct partition *const *find_partitions(void *user, uint16_t number)
{
    const struct host_worker *worker = user;
    const struct host_app *app = host_app_of(worker->engine, number);
    return app ? app->bases : NULL;
}

static void astray(void *user, const struct block *block, uint32_t records)
{
    struct host_worker *worker = user;
    atomic_fetch_add_explicit(&worker->engine->astray, records, memory_order_relaxed);
}

static void block_done(void *user, struct block *block)
{
    struct host_worker *worker = user;
    host_block_applied(block);
    struct host_app *app = host_app_of(worker->engine, block->app);
    if (!app)
        return;
    counter *done = &host_counters(worker, app)->blocks_done;
    atomic_store_explicit(done, count_get(done) + 1, memory_order_release); /* drain reads it */
    if (UNLIKELY(block->copied)) {
        atomic_fetch_sub_explicit(&app->copied, block_bytes(block), memory_order_relaxed);
        return;
    }
    uint64_t queued =
        atomic_fetch_sub_explicit(&app->queued, block->capacity, memory_order_relaxed);
    if (worker->engine->options.feed_thread && queued < host_feed_window(worker->engine) / 2)
        inbox_wake(&worker->engine->feed_inbox); /* it has credit again; a load if it is awake */
}

static bool flush(void *user)
{
    struct host_worker *worker = user;
    bool any = false;
    for (uint32_t i = 0; i < host_places(worker->engine); i++)
        if (host_app_at(worker->engine, i) && worker->emitters[i].n_open)
            any |= emitter_flush(&worker->emitters[i]);
    return any;
}

const struct worker_ops host_worker_ops = {
    .partitions = find_partitions,
    .astray = astray,
    .records = run_records,
    .block_taken = host_block_taken,
    .block_copied = host_block_copied,
    .block_done = block_done,
    .flush = flush,
    .tick = host_tick,
    .idle = host_idle,
    .wait = NULL,
};
