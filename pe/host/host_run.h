/* What happens to a partition in a run: calls into the plugin, waiting, timers, state. All of it on
 * the partition's worker, between host_enter and host_leave, unless it says otherwise
 * (README.md, rules 1 to 12).
 */
#ifndef PE_HOST_HOST_RUN_H
#define PE_HOST_HOST_RUN_H

#include "pe/host/host.h"

/* ---- partition.c --------------------------------------------------------------------------- */

s4_status host_partition_create(struct host_app *app, struct host_worker *worker, uint16_t slot,
                                uint64_t seed, struct host_partition **partition) MUST_USE;
void host_partition_destroy(struct host_partition *partition);
/* Makes one and puts it in its place, where there is none: before the app is in the table, or while
 * the workers stand still. */
s4_status host_partition_place(struct host_app *app, struct host_worker *worker,
                               uint32_t slot) MUST_USE;
/* Frees what an instance owns outside its entry. */
void host_owned_clear(struct host_prototype *prototype, struct instances *table,
                      struct instance *instance);
/* Loads another state and drops the one before; when that fails, it stays. */
s4_status host_partition_reload(struct host_partition *partition, const char *saved, size_t size,
                                struct diag *diag) MUST_USE;
/* The same between two runs, with what its worker counts as being there now (gauges.c). */
s4_status host_partition_replace(struct host_partition *partition, const char *saved, size_t size,
                                 struct diag *diag) MUST_USE;
/* It will be destroyed: what is in it is not there any more. */
void host_partition_uncount(struct host_partition *partition);
/* Makes its singletons, once in its life, wherever that is. */
void host_partition_start(struct host_worker *worker, struct host_partition *partition);
/* Drops what waits for it; how many records, and events of other apps. Batches of clients are
 * answered: not taken. */
uint64_t host_partition_clear(struct host_worker *worker, struct host_partition *partition);
/* Sets due_us from what it is made of, and tells the worker. */
void host_partition_due(struct host_partition *partition);

/* ---- partition_save.c ----------------------------------------------------------------------- */

/* The whole state between two runs, and back into a fresh partition of the same app and slot. Cuts
 * between instances and rows; NULL: none. */
s4_status host_partition_save(struct host_partition *partition, struct buffer *out,
                              struct cuts *cuts) MUST_USE;
/* A look ahead at a partition that runs: appends instances and rows as they are in the whole now,
 * some `bytes` of them, going on where the look was, which is zeroed in the beginning. Between two
 * looks everything may change. */
struct host_look {
    uint32_t part; /* prototypes, then outputs */
    size_t at;
};
s4_status host_partition_save_some(struct host_partition *partition, struct host_look *look,
                                   size_t bytes, struct buffer *out, struct cuts *cuts,
                                   bool *over) MUST_USE;
s4_status host_partition_load(struct host_partition *partition, const char **at, const char *end,
                              struct diag *diag) MUST_USE;

/* ---- call.c: one call into a plugin, whole or taken back ------------------------------------ */

extern _Thread_local struct host_ctx *host_running; /* what this thread runs; NULL: nothing */

/* Starts a run (or anything that stands for one) on a partition at a time. */
static inline void host_enter(struct host_worker *worker, struct host_partition *partition,
                              uint64_t now_us)
{
    struct host_ctx *ctx = &worker->ctx;
    struct host_app *app = partition->app;
    host_running = ctx;
    if (!app->event_time && now_us > partition->now_us)
        partition->now_us = now_us;
    ctx->app = app;
    ctx->partition = partition;
    ctx->emitter = &worker->emitters[app->number % ENGINE_APPS_MAX];
    ctx->emitter->now_us = now_us;
    ctx->run_us = partition->now_us;
    ctx->yield = false;
    ctx->emission =
        (struct emission){ .time = partition->now_us, .keyless = partition->base.slot, .hop = 1 };
    emitter_source(ctx->emitter, partition->base.slot, partition->links_out);
}

/* What other apps hear of it leaves (exports.c). */
void host_exports_send(struct host_worker *worker);

static inline void host_leave(struct host_worker *worker)
{
    host_running = NULL;
    if (UNLIKELY(worker->exports.kept > 0))
        host_exports_send(worker);
    worker->ctx.partition = NULL;
    worker->ctx.prototype = NULL;
    worker->ctx.record = NULL;
}

/* What last_ms of an instance is at the partition's time. */
static inline uint32_t host_now_ms(struct host_partition *partition,
                                   const struct host_prototype *prototype)
{
    return instances_now(&partition->tables[prototype->number], partition->now_us / 1000);
}

/* Ends a call that did more than emit, or failed: commits or takes back. Answers the call's status.
 */
s4_status host_call_end(struct host_ctx *ctx, s4_status returned);

/* Did the call do nothing but emit, and succeed? The hot path asks only this. */
static inline bool host_call_is_plain(const struct host_ctx *ctx, s4_status returned)
{
    return ((uint32_t)returned | (ctx->touched & ~(uint32_t)EMITTER_WROTE)) == 0;
}

/* The end of such a call. */
static inline void host_call_commit(struct host_ctx *ctx)
{
    struct emitter *emitter = ctx->emitter;
    if (LIKELY(ctx->touched == 0))
        return;
    ctx->touched = 0;
    count_add(&host_counters(ctx->worker, ctx->app)->emitted, emitter_emitted(emitter));
    emitter_commit(emitter);
}

/* Calls one of the class's plain callbacks of an instance. */
s4_status host_call(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                    enum call_kind kind, s4_status (*fn)(s4_ctx *, void *));

/* The event's way into an instance: waits, TTL, creation, the call, what follows. False: the
 * partition must stall before this record. */
bool host_deliver(struct host_ctx *ctx, struct host_pair *pair, uint32_t sub,
                  const struct record *record, const void *event);
/* Like it for an instance that exists and takes events. */
void host_deliver_now(struct host_ctx *ctx, struct host_prototype *prototype, event_fn *on_event,
                      uint32_t number, const struct record *record, const void *event);

/* The end of an event's call that did more than emit, or failed. */
void host_event_end(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                    const struct record *record, s4_status returned);

/* Makes an instance of a key and calls create. */
s4_status host_instance_make(struct host_ctx *ctx, struct host_prototype *prototype, uint64_t hash,
                             const char *key, size_t len, uint32_t *number) MUST_USE;
void host_instance_remove(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                          bool callback);

/* The output callback, for one instance. */
void host_output_call(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number);
/* What a call other than an event's came to: removal, or a dead letter. */
void host_call_came_to(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                       s4_status status);

/* An event that could not be handled. */
void host_dead_letter(struct host_ctx *ctx, const struct record *record,
                      const struct host_prototype *prototype, s4_status status, const char *cause);
void host_alarm(struct host_app *app, const char *format, ...) PRINTF(2, 3);

/* ---- dispatch.c ---------------------------------------------------------------------------- */

extern const struct worker_ops host_worker_ops;
/* After anything that ran on a partition: due event timers, turns of mailboxes, the next due time.
 * It ends the turn.
 */
void host_run_end(struct host_ctx *ctx);
/* One record, the general way. False: the partition stalls. */
bool host_dispatch_one(struct host_ctx *ctx, const struct record *record);
/* Decodes a record into the worker's scratch; NULL: out of memory. */
const void *host_decode(struct host_worker *worker, const struct host_pair *pair,
                        const struct record *record);
uint64_t host_now_ns(void); /* for samples only */

/* ---- stretch.c ----------------------------------------------------------------------------- */

host_stretch_fn *host_stretch_of(const struct codec *codec);
/* The head start that a block's first records need. */
void host_fetch_first(const struct host_app *app, const struct host_span *span);

/* ---- waiting.c, requests.c, queries.c ------------------------------------------------------ */

struct host_query;

enum mail_kind { MAIL_RECORD = 1, MAIL_TIMER, MAIL_QUERY };

/* Which of the partition's instances it is, of a prototype that may ask. */
uint64_t *host_life(const struct host_prototype *prototype, struct instances *table,
                    struct instance *instance);
struct mailbox **host_mailbox(const struct host_prototype *prototype, struct instances *table,
                              struct instance *instance);
/* Puts a record into an instance's mailbox; false: stall. */
bool host_park(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
               uint32_t pair, uint32_t sub, const struct record *record);
/* The same for a timer (false: out of memory) and for a query (dropped if it does not fit). */
bool host_park_timer(struct host_ctx *ctx, struct host_prototype *prototype,
                     const struct timer *timer);
void host_park_query(struct host_ctx *ctx, struct host_query *query, uint32_t number);
void host_timer_call(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                     uint64_t id);
/* Takes one off the instance's share of this turn; false: it has had it. */
bool host_turn_has_room(struct host_ctx *ctx, const struct host_prototype *prototype,
                        uint32_t number);
/* What is in its mailbox, if anything, is owed turns. */
void host_owe_turn(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number);
/* Has host_turns called again after other runs. */
void host_turn_later(struct host_partition *partition);
/* Gives instances with mail their turns; true: there was one. */
bool host_turns(struct host_ctx *ctx);
void host_mailbox_clear(struct host_ctx *ctx, struct host_prototype *prototype,
                        struct instance *instance);
s4_status host_ask(struct host_ctx *ctx, const s4_request *request,
                   const ProtobufCMessage *question) MUST_USE;
s4_status host_job_answer(s4_job *pub, const ProtobufCMessage *message) MUST_USE;
void host_jobs_submit(struct host_ctx *ctx);
void host_jobs_drop(struct host_ctx *ctx);
/* What a partition has asked and has no answer to, as part of its state. Loaded ones run again with
 * host_jobs_again. */
s4_status host_jobs_save(const struct host_partition *partition, struct buffer *out) MUST_USE;
s4_status host_jobs_load(struct host_partition *partition, const char **at, const char *end,
                         struct diag *diag) MUST_USE;
void host_jobs_again(struct host_partition *partition);
/* The answers that came while it was held. */
void host_jobs_go(struct host_worker *worker, struct host_partition *partition);
/* Nobody waits for them any more. */
void host_jobs_forget(struct host_partition *partition);
const struct host_app *host_job_app(const s4_job *pub);

/* A query for an instance; embedded in the asker's struct. */
struct host_query {
    struct message message;
    struct host_app *app;
    struct host_prototype *prototype;
    uint16_t slot;
    char *key; /* owned, 16 readable bytes behind */
    size_t key_len;
    uint64_t hash;
    reply_done *done;
    void *user;
};
/* Runs it now and frees it. */
void host_query_run(struct host_ctx *ctx, struct host_query *query, uint32_t number);
void host_query_drop(struct host_query *query, s4_status status);
/* Sends it to the worker that owns its key. */
void host_query_post(struct host_query *query);

/* ---- tick.c -------------------------------------------------------------------------------- */

/* An event moves the partition's time: what is due by then comes before it, each at its time. */
void host_time_moves(struct host_ctx *ctx, uint64_t to_us);
/* Timers, outputs every t and TTL that are due at the partition's time. */
void host_partition_tick(struct host_ctx *ctx);
/* The end of input: what it caused; 0: nothing arose. */
uint64_t host_partition_finish(struct host_ctx *ctx);

/* ---- context.c, publish.c, heap.c ------------------------------------------------------------ */

/* What a plugin gets in callbacks about events, in `source`, and where it must not emit. */
extern const struct s4_host host_services;
extern const struct s4_host host_services_source;
extern const struct s4_host host_services_quiet;
/* Takes a failure of the emitter over into the context. */
void host_emit_failed(struct host_ctx *ctx);
/* Frees what the instance got from s4_alloc; how many bytes that was. */
uint64_t host_heap_clear(const struct host_prototype *prototype, struct instances *table,
                         struct instance *instance);

/* ---- tail.c: an output that somebody follows, which is rare --------------------------------- */

/* Publishes to a table, and offers the row and those that it made room from. */
s4_status host_tails_publish(struct host_partition *partition, struct host_output_state *state,
                             const struct key_at *key, const char *bytes,
                             const struct value *row) MUST_USE;
/* A row that was appended to a log; rows that a table lost, by the changes from this one on. */
void host_tails_append(struct host_partition *partition, struct host_output_state *state,
                       const struct value *row);
void host_tails_removed(struct host_partition *partition, struct host_output_state *state,
                        uint32_t change);
void host_tails_call_end(struct tails *tails, bool commit);
void host_tails_dead(struct host_partition *partition, const struct value *row);
void host_tails_sweep(struct host_partition *partition);
/* The partition goes, or its state is another from now on: whoever follows it hears of no more. */
void host_tails_end(struct host_partition *partition);

struct host_loader {
    const char *at;
    const char *end;
};
/* Around one event of a source that may give several records (feeds.c). */
void host_source_emits(struct host_ctx *ctx);
void host_source_emitted(struct host_ctx *ctx, s4_status status);

/* ---- lines.c ------------------------------------------------------------------------------- */

void host_log(struct host_ctx *ctx, enum log_level level, const char *text);
void host_log_end(struct host_app *app); /* tells what was left out and not told */

/* ---- records.c, inject.c: records of the engine's own --------------------------------------- */

enum engine_stream {
    STREAM_INJECT = RECORD_STREAM_RESERVED, /* a client's batch, from an intake of this node */
    STREAM_PROBE,                           /* behind a batch's events: have they been applied? */
    STREAM_PROBED,                          /* they have */
    STREAM_NOTHING,                         /* keeps the place of one that was taken out */
    STREAM_CONTROL,                         /* from HOST_CONTROL: on no link */
    STREAM_IMPORT,                          /* the same: events of another app, of the same slot */
};

#define HOST_CONTROL UINT16_MAX /* as a record's source: this node's engine, without numbers */

enum host_control_kind { CONTROL_FORGET = 1 };

/* Does what a record of the engine's own says. */
void host_engine_record(struct host_ctx *ctx, const struct record *record);
/* What came from another node, or with a slot (`moved`): may it be handed to a worker? */
s4_status host_engine_record_check(const struct host_app *app, const struct record *record,
                                   bool moved, struct diag *diag) MUST_USE;
/* A block with one record of HOST_CONTROL for a partition; NULL: out of memory. */
struct block *host_control_block(struct host_app *app, uint32_t slot, enum host_control_kind kind,
                                 uint32_t source, uint64_t version);
void host_batch_came(struct host_ctx *ctx, const struct record *record);
void host_probe_came(struct host_ctx *ctx, const struct record *record);
void host_probe_answered(struct host_ctx *ctx, const struct record *record);
s4_status host_probe_check(const struct host_app *app, const struct record *record,
                           struct diag *diag) MUST_USE;
/* An event that comes in through this partition: goes on to its keys, or to the dead letters; `how`
 * is for these: "injected". */
void host_event_came(struct host_ctx *ctx, const struct host_stream *stream,
                     const struct value *event, const struct emission *emission, const char *how);
/* A batch that nobody will take. */
void host_batch_drop(const struct record *record);
void host_probes_drop(struct host_partition *partition);

/* ---- exports.c: events that other apps hear ---------------------------------------------------
 */

/* Takes a copy of what the call emits; the call's end keeps it or takes it back. Of a source: hands
 * it on. Only for streams that somebody hears. S4_FULL: over emits_max. */
s4_status host_export(struct host_ctx *ctx, const struct host_stream *stream,
                      const ProtobufCMessage *event) MUST_USE;
/* The same for an event that came in; it is kept. */
void host_export_value(struct host_ctx *ctx, const struct host_stream *stream,
                       const struct value *event);
void host_exports_call_end(struct host_worker *worker, bool commit);
/* An event that a feed or source gave: to those who hear the stream, if any. The intake's thread.
 */
void host_export_feed(struct host_app *app, uint32_t stream, const struct value *event,
                      const struct emission *emission);
void host_import_came(struct host_ctx *ctx, const struct record *record);
uint32_t host_import_count(const struct record *record);
/* One that came with a slot: not trusted. */
s4_status host_import_check(const struct host_app *app, const struct record *record,
                            struct diag *diag) MUST_USE;

/* ---- crash.c ------------------------------------------------------------------------------- */

extern _Thread_local const struct request_job *host_running_request; /* whose function it runs */

#endif
