/* What the files of the host share: an app as it runs in a node, its partitions, and the context of
 * a call. Private to pe/host.
 *
 *   struct engine      the node: workers, apps, feeds
 *   struct host_app    one deployed app: streams, pairs, prototypes; immutable while it runs, but
 * for atomics struct host_worker what one thread has of its own: emitters, scratch, context,
 * counters struct host_partition   (app, slot): instances, timers, outputs, link counters; owned by
 * a worker
 */
#ifndef PE_HOST_HOST_H
#define PE_HOST_HOST_H

#include <stdatomic.h>

#include <s4/s4.h>

#include "pe/host/engine.h"
#include "pe/host/instances.h"
#include "router/emit/emitter.h"
#include "router/intake/intake.h"
#include "runtime/actor/mailbox.h"
#include "runtime/actor/pool.h"
#include "runtime/actor/timers.h"
#include "runtime/actor/worker.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

#define HOST_AHEAD_INDEX  16        /* records ahead whose index word is fetched */
#define HOST_AHEAD_ENTRY  8         /* and whose entry is */
#define HOST_SAMPLE       256       /* one run in so many is timed */
#define HOST_FEED_WINDOW  (4 * MIB) /* of an app's blocks on their way, before its feeds wait */
#define HOST_COPIED_PART  2    /* of the soft mark: for what all apps' records copied out hold */
#define HOST_CATCH_UP_MAX 4096 /* see host_time_moves */
#define HOST_NEVER        UINT64_MAX
#define HOST_END_OF_TIME  (UINT64_MAX - 1)
#define HOST_CAUSE_MAX    256
#define HOST_EVENT_SIZE   (SCHEMA_IMAGE_MAX + MESSAGE_BASE)
#define HOST_OUTPUTS_MAX  64 /* one bit each in a call's mask */
#define HOST_DEAD_LETTERS "dead_letters"

/* A counter with one writer and any readers. */
typedef _Atomic uint64_t counter;

static inline void count_add(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void count_sub(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

static inline uint64_t count_get(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* ---- the app ------------------------------------------------------------------------------- */

typedef s4_status event_fn(s4_ctx *ctx, void *self, const void *event);
typedef s4_status answer_fn(s4_ctx *ctx, void *self, s4_status result, const void *answer);
typedef s4_status request_fn(s4_job *job, const void *question);

struct host_subscription {
    uint32_t prototype;
    event_fn *on_event;
};

struct host_pair {
    struct route route;
    codec_get_fn *get;
    event_fn *fast; /* its only handler, if nothing stands between an event and it (no TTL,
                       trigger, output by events or mailbox); else NULL */
    uint32_t fast_prototype;
    bool plain; /* the type decodes without the arena */
    uint32_t stream;
    uint32_t n_subs;
    struct host_subscription *subs; /* owned */
};

struct host_stream {
    const char *name; /* borrowed from the graph */
    const struct type *type;
    const ProtobufCMessageDescriptor *descriptor; /* the type's */
    struct codec *codec;                          /* owned */
    bool internal;
    bool shed;
    uint32_t n_routes;
    const struct route **routes; /* owned array, into the pairs */
    const struct route *simple;  /* the only one, if it always gives one record and no event clock
                                    runs; else NULL */
    struct intake_stream intake; /* the same for feeds and injections */
    struct time_attribute clock;
};

struct host_output {
    const char *name;
    const struct type *type;
    struct codec *codec; /* owned */
    bool table;
    char *key_text; /* "a,b", owned; NULL for a log */
    struct key_spec key;
    struct output_limits limits;
};

struct host_request {
    const s4_request *request;
    struct codec *question; /* owned */
    struct codec *answer;   /* owned */
};

struct host_prototype {
    uint32_t number;
    const char *name;
    const s4_class *of;
    void *params; /* owned */
    const struct type *reply;
    struct codec *reply_codec;  /* owned; NULL: no query */
    const struct key_spec *key; /* of its keyed subscriptions; NULL: keyless */
    bool singleton;
    uint16_t singleton_slot;
    struct instances_options table;
    uint32_t extra_trigger; /* offsets in the extra part; INSTANCE_NONE: not there */
    uint32_t extra_gap;
    uint32_t extra_output;
    uint32_t extra_heap;
    uint32_t extra_mailbox;
    uint32_t extra_life; /* which of all the partition's instances it is: answers find it by that */
    uint8_t dirty_flag;  /* INSTANCE_DIRTY if it has an output callback */
    bool before;         /* TTL or gap: looked at before an event */
    bool after;          /* trigger or output by events: looked at after one */
    uint64_t ttl_ms;
    uint64_t trigger_events;
    uint64_t trigger_gap_us;
    uint64_t output_events;
    uint64_t output_every_us;
    bool output_aligned;
    uint64_t bytes_max;
    bool refuse; /* a full bound refuses instead of removing the oldest */
    struct mailbox_limits mailbox;
    uint32_t mailbox_full; /* as in the graph */
    uint32_t budget;
    answer_fn **answers;         /* by request number; owned */
    _Atomic uint64_t sampled_ns; /* per record, smoothed; any worker writes */
};

struct host_counters {
    counter injected, applied, emitted, published, dead_letters, absent_keys, unheard, shed,
        duplicates, created, removed, instances, waiting, mailbox, mailbox_dropped, parked,
        requests, answers, answers_dropped, link_repeats, dropped, blocks_copied, blocks_done,
        timers, state_bytes;
    struct {
        counter events, failures, created, removed, instances;
    } prototypes[GRAPH_PROTOTYPES_MAX];
};

struct host_partition;

/* What only the workers know of an app's partitions, as far as they have answered. */
struct host_sums {
    _Atomic bool asked; /* the workers are adding; cleared by the last one */
    _Atomic uint64_t dropped, refused, timers;
    uint64_t dropped_last, refused_last, timers_last; /* under the engine's lock */
};

struct host_app {
    struct engine *engine;
    uint16_t number;
    struct bundle *bundle; /* held */
    struct plugin *plugin; /* held */
    const s4_app *code;
    const S4__Graph__Graph *graph; /* the bundle's */
    struct schema *types;          /* of the plugin's descriptors; owned */
    struct schema *dead_schema;    /* of a dead letter; owned */
    struct codec *dead_codec;      /* owned */
    bool event_time;
    uint32_t emits_max;
    uint32_t parked_after;
    uint32_t n_streams, n_pairs, n_prototypes, n_outputs, n_requests;
    struct host_stream *streams;
    struct host_pair *pairs;
    struct host_prototype *prototypes;
    struct host_output *outputs;
    struct host_request *requests;
    struct output_limits dead_limits;
    void *params;                       /* owned */
    void *data;                         /* s4_set_app_data */
    struct host_partition **partitions; /* [slots]; NULL where another node owns the slot */
    _Atomic bool paused;
    _Atomic bool closing; /* no more input: undeploy */
    struct host_sums sums;
    _Atomic uint64_t queued;      /* bytes of blocks on their way */
    _Atomic uint64_t copied;      /* bytes of what was copied out of them because it must wait */
    _Atomic uint64_t outstanding; /* requests */
    struct host_counters feed_counters; /* written by the intake's thread */
    struct emitter feed_emitter;        /* of the intake's thread */
    uint32_t *feed_links;
    struct emitter inject_emitter; /* under the engine's inject_lock */
    uint32_t *inject_links;
    uint64_t n_feeds;     /* so far, under feeds_lock */
    counter inject_shed;  /* under inject_lock */
    _Atomic bool alarmed; /* paused, and the alarm was told */
    bool started;
};

/* ---- partitions ---------------------------------------------------------------------------- */

struct host_output_state {
    struct table *table; /* one of the two */
    struct rowlog *log;
};

struct host_partition {
    struct partition base; /* the worker's part */
    struct host_app *app;
    struct host_worker *worker;
    uint64_t now_us;          /* this partition's time: of its last run */
    uint64_t due_us;          /* the earliest of all below */
    struct instances *tables; /* per prototype */
    uint64_t *heap_bytes;     /* per prototype: s4_alloc */
    uint32_t *now_ms;         /* per prototype: now_us as its table counts */
    uint64_t *output_due_us;  /* per prototype; HOST_NEVER: nothing to put out */
    uint64_t *ttl_due_us;     /* per prototype */
    struct timers *timers;
    struct host_output_state *outputs;
    struct rowlog *dead;
    struct links_in links_in;
    uint32_t *links_out; /* per destination slot */
    uint32_t next_id;    /* of this millisecond */
    uint64_t last_id_ms;
    uint64_t lives; /* instances made that may ask: each has its number */
    struct rng rng;
    /* A run that stalled: which subscription of its next record comes next. */
    bool resuming;
    uint32_t resume_sub;
    uint32_t resume_number; /* of a broadcast: the instance that stalled */
    /* Instances with mail that wait for their turn: numbers with their prototype, oldest first. */
    struct buffer turns;
    struct message turn_message; /* to its own worker: take turns */
    bool turn_posted;
    struct buffer producers; /* struct host_producer: the last batch per producer */
    uint64_t last_probe;
    struct buffer probes; /* struct probe: batches whose records are being applied */
};

struct host_producer {
    uint64_t id;
    uint64_t last;
};

/* ---- a call -------------------------------------------------------------------------------- */

enum call_kind {
    CALL_START = 1,
    CALL_STOP,
    CALL_SOURCE,
    CALL_CREATE,
    CALL_EVENT,
    CALL_TRIGGER,
    CALL_TIMER,
    CALL_OUTPUT,
    CALL_QUERY,
    CALL_REMOVE,
    CALL_ANSWER,
    CALL_SAVE,
    CALL_LOAD
};

struct request_job;

struct host_ctx {
    s4_ctx pub; /* first: what the plugin has */
    struct host_worker *worker;
    struct host_app *app;
    struct host_partition *partition; /* NULL outside one */
    struct host_prototype *prototype;
    struct instances *table;
    struct emitter *emitter;
    uint32_t number; /* of the instance */
    uint8_t kind;
    bool asked;
    bool wait;
    bool yield;               /* memory is above the hard mark: the run goes on later */
    uint32_t touched;         /* a service did or failed what the call's end must know */
    s4_status failed;         /* the first failure of a service in this call */
    uint64_t outputs;         /* bit per output that this call published to */
    uint32_t published;       /* rows of this call */
    struct request_job *jobs; /* asked in this call, newest first */
    struct emission emission;
    uint64_t run_us;             /* the time of events that have none of their own */
    const struct record *record; /* the event; NULL: none */
    struct feeder *feeder;       /* CALL_SOURCE */
    char cause[HOST_CAUSE_MAX];
    bool replied; /* CALL_QUERY: with this, in the worker's scratch */
    struct value reply;
};

struct host_worker {
    struct engine *engine;
    uint32_t index;
    struct worker *actor;
    struct host_ctx ctx;
    struct emitter emitters[ENGINE_APPS_MAX]; /* by app number modulo; zeroed: none */
    uint16_t emitter_app[ENGINE_APPS_MAX];
    struct host_counters counters[ENGINE_APPS_MAX];
    struct arena arena;
    char *event;         /* scratch for decoded events, SCHEMA_IMAGE_MAX + base */
    struct buffer row;   /* scratch for encoded rows */
    struct buffer links; /* scratch for a batch: the links' counters before it */
    struct keys keys;    /* scratch for tables' keys */
    struct buffer key_parts[KEY_PARTS_MAX]; /* scratch for s4_key */
    uint64_t runs;                          /* for sampling */
    uint32_t sweep_at;                      /* the slot whose outputs are swept next */
    uint64_t due_us;                        /* the earliest of its partitions */
};

static inline struct host_counters *host_counters(struct host_worker *worker,
                                                  const struct host_app *app)
{
    return &worker->counters[app->number % ENGINE_APPS_MAX];
}

/* ---- the engine ---------------------------------------------------------------------------- */

struct feed_entry;
struct drain;

struct engine {
    struct engine_options options;
    struct block_pool *pool;
    struct pool *requests;     /* the pool that runs requests */
    struct pool *own_requests; /* the same if the engine made it */
    struct slot_map map;
    uint32_t n_workers;    /* of this node */
    uint32_t first_worker; /* its number through all nodes */
    uint32_t all_workers;
    struct host_worker *workers;
    struct host_app *_Atomic apps[ENGINE_APPS_MAX]; /* by number modulo; release in deploy pairs
                                                       with acquire in host_app_at */
    uint32_t next_app;                              /* under lock */
    _Atomic uint32_t n_apps;                        /* written under lock */
    pthread_mutex_t lock;       /* control: deploy, undeploy, drains; never per event */
    pthread_mutex_t feeds_lock; /* the list of feeds */
    struct feed_entry *feeds;
    _Atomic uint32_t n_feeds;
    uint16_t feed_intake;
    struct inbox feed_inbox; /* how the intake's thread is woken */
    pthread_t feed_thread;
    bool has_feed_thread;
    struct host_worker feeder;   /* the intake's own context and scratch */
    pthread_mutex_t inject_lock; /* batches of clients: once per batch */
    uint16_t inject_intake;
    pthread_mutex_t changed_lock; /* control waits on `changed` for answers of workers */
    pthread_cond_t changed;
    pthread_mutex_t drains_lock;
    struct drain *drains;
    _Atomic uint32_t n_drains;
    _Atomic bool stopping;
    _Atomic bool faulted;
    bool started;
    uint64_t started_us;
    uint64_t marks_us;           /* worker 0: when the memory marks were looked at */
    _Atomic size_t paused_bytes; /* of paused apps' blocks, then; relaxed, for host_memory */
};

/* ---- app.c --------------------------------------------------------------------------------- */

s4_status host_app_create(struct engine *engine, const struct bundle *bundle, struct plugin *plugin,
                          uint16_t number, struct host_app **app, struct diag *diag) MUST_USE;
void host_app_destroy(struct host_app *app);
struct host_app *host_app_of(const struct engine *engine, uint16_t number);
struct host_app *host_app_at(const struct engine *engine, uint32_t place);
struct host_app *host_app_find(const struct engine *engine, const char *name);
const struct host_output *host_output_find(const struct host_app *app, const char *name,
                                           uint32_t *number);
struct host_prototype *host_prototype_find(const struct host_app *app, const char *name);

/* ---- partition.c --------------------------------------------------------------------------- */

s4_status host_partition_create(struct host_app *app, struct host_worker *worker, uint16_t slot,
                                uint64_t seed, struct host_partition **partition) MUST_USE;
void host_partition_destroy(struct host_partition *partition);
/* The whole state between two runs, and back into a fresh partition of the same app and slot. */
s4_status host_partition_save(struct host_partition *partition, struct buffer *out) MUST_USE;
s4_status host_partition_load(struct host_partition *partition, const char **at, const char *end,
                              struct diag *diag) MUST_USE;
/* Sets due_us from what it is made of, and tells the worker. */
void host_partition_due(struct host_partition *partition);

/* ---- call.c: one call into a plugin, whole or taken back ------------------------------------ */

/* Starts a run (or anything that stands for one) on a partition at a time. */
void host_enter(struct host_worker *worker, struct host_partition *partition, uint64_t now_us);
void host_leave(struct host_worker *worker);

void host_times(struct host_partition *partition);

/* Ends a call that did more than emit, or failed: commits or takes back. Answers the call's status.
 */
s4_status host_call_end(struct host_ctx *ctx, s4_status returned);

/* Did the call do nothing but emit, and succeed? The hot path asks only this. */
static inline bool host_call_is_plain(const struct host_ctx *ctx, s4_status returned)
{
    return ((uint32_t)returned | ctx->touched) == 0;
}

/* The end of such a call. */
static inline void host_call_commit(struct host_ctx *ctx)
{
    struct emitter *emitter = ctx->emitter;
    if (emitter->emitted == 0)
        return;
    count_add(&host_counters(ctx->worker, ctx->app)->emitted, emitter->emitted);
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

/* A message as a value of its own in `out` (grown, overwritten), and back into a struct. */
s4_status host_encode(const struct codec *codec, const ProtobufCMessage *message,
                      struct buffer *out, struct value *value) MUST_USE;
void *host_decode_row(const struct codec *codec, const struct buffer *row, void *message,
                      struct arena *arena);

/* ---- dispatch.c ---------------------------------------------------------------------------- */

extern const struct worker_ops host_worker_ops;
/* After anything that ran on a partition: due event timers, turns of mailboxes, the next due time.
 */
void host_run_end(struct host_ctx *ctx);
/* Decodes a record into the worker's scratch; NULL: out of memory. */
const void *host_decode(struct host_worker *worker, const struct host_pair *pair,
                        const struct record *record);

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
/* The instance's wait is over: its mail is owed turns. */
void host_owe_turn(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number);
/* Has host_turns called again after other runs. */
void host_turn_later(struct host_partition *partition);
/* Gives waiting instances their turns; true: there was one. */
bool host_turns(struct host_ctx *ctx);
void host_mailbox_clear(struct host_ctx *ctx, struct host_prototype *prototype,
                        struct instance *instance);
s4_status host_ask(struct host_ctx *ctx, const s4_request *request,
                   const ProtobufCMessage *question) MUST_USE;
s4_status host_job_answer(s4_job *pub, const ProtobufCMessage *message) MUST_USE;
void host_jobs_submit(struct host_ctx *ctx);
void host_jobs_drop(struct host_ctx *ctx);
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

/* ---- context.c ----------------------------------------------------------------------------- */

/* What a plugin gets in callbacks about events, in `source`, and where it must not emit. */
extern const struct s4_host host_services;
extern const struct s4_host host_services_source;
extern const struct s4_host host_services_quiet;
/* Takes a failure of the emitter over into the context. */
void host_emit_failed(struct host_ctx *ctx);
/* Frees what the instance got from s4_alloc; how many bytes that was. */
uint64_t host_heap_clear(const struct host_prototype *prototype, struct instances *table,
                         struct instance *instance);
const char *host_key_terminated(struct host_ctx *ctx, uint32_t part, const char *text, size_t size);

struct host_loader {
    const char *at;
    const char *end;
};

/* ---- engine.c ------------------------------------------------------------------------------ */

void host_ctx_init(struct host_ctx *ctx, struct host_worker *worker);
/* Hands a block to its destination; from: the worker that runs this, or NULL. */
void host_send(struct engine *engine, struct host_worker *from, struct block *block);
uint64_t host_now_ns(void); /* for samples only */
/* A fault below that cannot happen while connections do not fail: the node stops with this error.
 */
void engine_fault(struct engine *engine, const char *format, ...) PRINTF(2, 3);
void host_log(struct host_ctx *ctx, enum log_level level, const char *text);
void host_app_stop(struct host_app *app);

/* ---- fanout.c: control asks the workers ----------------------------------------------------- */

/* Runs fn(worker, app, user) on every worker's thread, between two runs, and waits for all of them.
 * Not from a worker. */
void host_on_workers(struct host_app *app,
                     void (*fn)(struct host_worker *worker, struct host_app *app, void *user),
                     void *user);
/* The same without waiting: `done` comes on the last worker. */
s4_status host_ask_workers(struct host_app *app,
                           void (*fn)(struct host_worker *worker, struct host_app *app, void *user),
                           void (*done)(void *user), void *user) MUST_USE;
/* Waits a moment for the workers to get on; engines without threads are stepped. */
void host_control_wait(struct engine *engine);
void host_control_wake(struct engine *engine);

/* ---- feeds.c ------------------------------------------------------------------------------- */

bool host_feeds_step(struct engine *engine);
void host_feeds_wake(struct engine *engine);
void host_feed_flush(struct engine *engine);
s4_status host_feed_thread_start(struct engine *engine, struct diag *diag) MUST_USE;
void host_feed_thread_stop(struct engine *engine);
void host_feeds_close(struct engine *engine, struct host_app *app);
void host_feeds_end(struct engine *engine);
/* May the app's sources bring in more? */
bool host_has_credit(const struct host_app *app);
/* What of the app waits in blocks: on their way, and copied out. */
static inline uint64_t host_waiting_bytes(const struct host_app *app)
{
    return atomic_load_explicit(&app->queued, memory_order_relaxed) +
           atomic_load_explicit(&app->copied, memory_order_relaxed);
}
struct host_stream *host_stream_find(const struct host_app *app, const char *name);
s4_status host_stream_for_injection(struct engine *engine, const char *app_name, const char *name,
                                    struct host_app **app, struct host_stream **stream,
                                    struct diag *diag) MUST_USE;
/* Around one event of a source that may give several records. */
void host_source_emits(struct host_ctx *ctx);
void host_source_emitted(struct host_ctx *ctx, s4_status status);

/* ---- inject.c ------------------------------------------------------------------------------ */

/* A record of the engine's own: an injected batch, a probe, its answer. */
bool host_engine_record(struct host_ctx *ctx, const struct record *record);
void host_probes_drop(struct host_partition *partition);

/* ---- drain.c, marks.c ---------------------------------------------------------------------- */

bool host_drains_step(struct engine *engine);
/* The threads have ended, or the app (if not NULL) takes no input any more. */
void host_drains_cancel(struct engine *engine, struct host_app *app);
/* The bytes in blocks that count against the marks: those of paused apps stay where they are, and
 * must not hold the others up. */
size_t host_memory(const struct engine *engine);
/* Pauses and resumes apps by the memory marks. */
void host_marks(struct host_worker *worker, uint64_t now_us);

/* ---- remote.c ------------------------------------------------------------------------------ */

void host_send_remote(struct engine *engine, struct host_app *app, struct block *block);
void host_block_taken(void *user, struct block *block);
void host_block_copied(void *user, const struct block *block, struct block *copy);
void host_block_applied(struct block *block);

/* ---- crash.c ------------------------------------------------------------------------------- */

extern _Thread_local struct host_ctx *host_running; /* what this thread runs; NULL: nothing */
extern _Thread_local const struct request_job *host_running_request; /* whose function it runs */

/* ---- worker_ops ---------------------------------------------------------------------------- */

uint64_t host_tick(void *user);
bool host_idle(void *user);

#endif
