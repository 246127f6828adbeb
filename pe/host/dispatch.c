/* From a run to its instances: the hot loop.
 *
 * What records further on will touch is fetched ahead: the index word of the record
 * HOST_AHEAD_INDEX places on, the entry of the one HOST_AHEAD_ENTRY on, across the runs of a block.
 * Per record: the link is judged, the event is decoded once into the worker's scratch, and handed
 * to each prototype that hears the pair. Clock, counters and memory marks are looked at per run or
 * block.
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
    if (record->stream >= RECORD_STREAM_RESERVED)
        return host_engine_record(ctx, record);
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

#define BUSY (INSTANCE_WAITING | INSTANCE_QUEUED | INSTANCE_PARKED)

/* The hot path: a pair with one plain handler, an instance that exists and takes events. False: the
 * general way must look. The caller has set the context up for the pair. */
static inline bool dispatch_fast(struct host_ctx *ctx, const struct host_pair *pair,
                                 struct instances *table, uint32_t now_ms, uint8_t dirty,
                                 const struct record *record)
{
    uint32_t number =
        instances_find(table, record->key_hash, record_key(record), record_key_len(record));
    if (UNLIKELY(number == INSTANCE_NONE))
        return false;
    struct instance *instance = instances_at(table, number);
    const void *event = host_decode(ctx->worker, pair, record);
    if (UNLIKELY((instance->flags & BUSY) | instance->failures | !event))
        return false;
    instance->last_ms = now_ms;
    instance->flags |= dirty;
    ctx->number = number;
    emitter_begin(ctx->emitter);
    s4_status status = pair->fast(&ctx->pub, instance_state(table, instance), event);
    if (LIKELY(host_call_is_plain(ctx, status)))
        host_call_commit(ctx);
    else
        host_event_end(ctx, ctx->prototype, number, record, status);
    return true;
}

static inline uint8_t next_hop(const struct record *record)
{
    return (uint8_t)(record->hop + (record->hop < UINT8_MAX));
}

static inline const struct record *record_at(const char *data, uint16_t offset)
{
    return (const struct record *)(const void *)(data + (size_t)offset * 8);
}

/* What the record will touch, if it is for the same prototype as the one at hand, as most are; if
 * not, nothing is lost but the fetch. Records behind this run in the block's order belong to other
 * partitions, mostly the next to run. */
static inline const struct instances *table_of(const struct host_app *app,
                                               const struct record *record, uint32_t prototype)
{
    return &app->partitions[record->dst]->tables[prototype];
}

static inline void fetch_index(const struct host_app *app, const struct record *record,
                               uint32_t prototype)
{
    instances_prefetch_index(table_of(app, record, prototype), record->key_hash);
}

static inline void fetch_entry(const struct host_app *app, const struct record *record,
                               uint32_t prototype)
{
    instances_prefetch_entry(table_of(app, record, prototype), record->key_hash);
}

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

static inline uint32_t first_hearer(const struct host_app *app, const struct record *record)
{
    return record->stream < app->n_pairs ? app->pairs[record->stream].subs[0].prototype : 0;
}

/* Who got how many: counted per stretch of one stream, not per event. */
static void count_stretch(struct host_ctx *ctx, uint16_t stream, uint32_t n)
{
    if (stream >= ctx->app->n_pairs)
        return;
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    const struct host_pair *pair = &ctx->app->pairs[stream];
    for (uint32_t s = 0; s < pair->n_subs; s++)
        count_add(&counters->prototypes[pair->subs[s].prototype].events, n);
}

static inline void fetch_ahead(const struct host_app *app, const char *data, const uint16_t *order,
                               uint32_t i, uint32_t all, uint32_t hearer)
{
    if (UNLIKELY(i + HOST_AHEAD_INDEX >= all))
        return;
    fetch_index(app, record_at(data, order[i + HOST_AHEAD_INDEX]), hearer);
    fetch_entry(app, record_at(data, order[i + HOST_AHEAD_ENTRY]), hearer);
}

/* A stretch of records of one stream whose pair is fast, from i on; answers where it ends: at n, at
 * another stream, or at a record that needs the general way. */
HOT static uint32_t stretch_fast(struct host_ctx *ctx, const struct host_pair *pair,
                                 const char *data, const uint16_t *order, uint32_t i, uint32_t n,
                                 uint32_t all)
{
    struct host_partition *p = ctx->partition;
    const struct host_app *app = ctx->app;
    uint32_t hearer = pair->fast_prototype;
    struct instances *table = &p->tables[hearer];
    uint32_t now_ms = p->now_ms[hearer];
    uint16_t stream = pair->route.number;
    ctx->prototype = &ctx->app->prototypes[hearer];
    ctx->table = table;
    ctx->kind = CALL_EVENT;
    uint8_t dirty = ctx->prototype->dirty_flag;
    uint8_t hop = record_at(data, order[i])->hop;
    ctx->emission.hop = next_hop(record_at(data, order[i]));
    for (; i < n && !ctx->yield; i++) {
        fetch_ahead(app, data, order, i, all, hearer);
        const struct record *record = record_at(data, order[i]);
        if (UNLIKELY(record->stream != stream || !link_is_next(&p->links_in, record)))
            break;
        ctx->record = record;
        if (UNLIKELY(record->hop != hop)) {
            hop = record->hop;
            ctx->emission.hop = next_hop(record);
        }
        if (UNLIKELY(!dispatch_fast(ctx, pair, table, now_ms, dirty, record)))
            break;
        link_count(&p->links_in, record);
    }
    return i;
}

/* One record, the general way. False: the partition stalls. */
static bool dispatch_one(struct host_ctx *ctx, const struct record *record)
{
    struct host_partition *p = ctx->partition;
    if (!p->resuming) {
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

/* The records [i, n) of a run; order[n..all) are those of later runs. Above the hard memory mark a
 * run ends early at a record that filled a block, so that its app is paused in time. */
static uint32_t dispatch_group(struct host_ctx *ctx, const char *data, const uint16_t *order,
                               uint32_t i, uint32_t n, uint32_t all)
{
    const struct host_app *app = ctx->app;
    while (i < n && !ctx->yield) {
        const struct record *record = record_at(data, order[i]);
        uint16_t stream = record->stream;
        uint32_t start = i;
        if (stream < app->n_pairs && app->pairs[stream].fast && !ctx->partition->resuming)
            i = stretch_fast(ctx, &app->pairs[stream], data, order, i, n, all);
        bool stalls = false;
        if (i < n && !ctx->yield && (i == start || record_at(data, order[i])->stream == stream)) {
            fetch_ahead(app, data, order, i, all, first_hearer(app, record));
            stalls = !dispatch_one(ctx, record_at(data, order[i]));
            i += !stalls;
        }
        count_stretch(ctx, stream, i - start);
        if (stalls)
            break;
    }
    return i;
}

/* The head start that a block's first records need. */
static void fetch_first(const struct host_app *app, const char *data, const uint16_t *order,
                        uint32_t all)
{
    uint32_t hearer = first_hearer(app, record_at(data, order[0]));
    uint32_t n = (uint32_t)size_min(all, HOST_AHEAD_INDEX);
    for (uint32_t i = 0; i < n; i++)
        fetch_index(app, record_at(data, order[i]), hearer);
    n = (uint32_t)size_min(all, HOST_AHEAD_ENTRY);
    for (uint32_t i = 0; i < n; i++)
        fetch_entry(app, record_at(data, order[i]), hearer);
}

static uint32_t dispatch_timed(struct host_ctx *ctx, const char *data, const uint16_t *order,
                               uint32_t i, uint32_t n, uint32_t all)
{
    uint64_t started_ns = host_now_ns();
    uint32_t end = dispatch_group(ctx, data, order, i, n, all);
    sample(ctx, record_at(data, order[i]), started_ns, end - i);
    return end;
}

static uint32_t run_records(void *user, struct partition *base, struct run *run)
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
    const char *data = run_data(run);
    const uint16_t *order = run_order(run);
    uint32_t all = run_behind(run);
    uint32_t n = run->count - i > BUDGET_DEFAULT ? i + BUDGET_DEFAULT : run->count; /* a turn */
    host_enter(worker, p, worker_now_us(worker->actor));
    if (run->first == 0 && i == 0)
        fetch_first(p->app, data, order, all);
    if (UNLIKELY(worker->runs++ % HOST_SAMPLE == 0))
        i = dispatch_timed(ctx, data, order, i, n, all);
    else
        i = dispatch_group(ctx, data, order, i, n, all);
    asan_poison(worker->event, HOST_EVENT_SIZE); /* an event is valid until its handler returns */
    ctx->record = NULL;
    count_add(&host_counters(worker, p->app)->applied, i - from);
    host_run_end(ctx);
    host_leave(worker);
    return i;
}

/* After anything that ran on a partition: event timers that its time has passed, mailboxes whose
 * turn it is, and when it wants to be called next. */
void host_run_end(struct host_ctx *ctx)
{
    struct host_partition *p = ctx->partition;
    if (UNLIKELY(p->turns.size > 0))
        host_turns(ctx);
    if (p->app->event_time && UNLIKELY(p->due_us <= p->now_us))
        host_partition_tick(ctx);
    host_partition_due(p);
    p->turn++;
}

static struct partition *find_partition(void *user, uint16_t number, uint16_t slot)
{
    struct host_worker *worker = user;
    struct host_app *app = host_app_of(worker->engine, number);
    struct host_partition *p = app ? app->partitions[slot] : NULL;
    return p ? &p->base : NULL;
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
    if (worker->engine->options.feed_thread && queued < HOST_FEED_WINDOW / 2)
        inbox_wake(&worker->engine->feed_inbox); /* it has credit again; a load if it is awake */
}

static bool flush(void *user)
{
    struct host_worker *worker = user;
    bool any = false;
    for (uint32_t i = 0; i < ENGINE_APPS_MAX; i++)
        if (host_app_at(worker->engine, i) && worker->emitters[i].n_open)
            any |= emitter_flush(&worker->emitters[i]);
    return any;
}

const struct worker_ops host_worker_ops = {
    .partition = find_partition,
    .records = run_records,
    .block_taken = host_block_taken,
    .block_copied = host_block_copied,
    .block_done = block_done,
    .flush = flush,
    .tick = host_tick,
    .idle = host_idle,
    .wait = NULL,
};
