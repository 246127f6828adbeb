/* What the files of the host share: an app as it runs in a node, its partitions, and the context of
 * a call. Private to pe/host. The functions on them: host_run.h for what happens in a run,
 * host_control.h for what happens around runs.
 *
 *   engine           the node: workers, apps, feeds
 *   host_app         one deployed app: streams, pairs, prototypes; immutable while it runs, but for
 *                    atomics
 *   host_worker      what one thread has of its own: emitters, scratch, context, counters
 *   host_partition   (app, slot): instances, timers, outputs, link counters; owned by a worker
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

#define HOST_SAMPLE       256         /* one run in so many is timed */
#define HOST_FEED_WINDOW  (512 * KIB) /* of an app on its way, per worker, before its feeds wait */
#define HOST_COPIED_PART  2    /* of the soft mark: for what all apps' records copied out hold */
#define HOST_CATCH_UP_MAX 4096 /* see host_time_moves */
#define HOST_SPINS        400  /* looks before a worker sleeps: some 10 to 20 us */
#define HOST_NEVER        UINT64_MAX
#define HOST_END_OF_TIME  (UINT64_MAX - 1)
#define HOST_TOUCHED      4u /* a service did or failed something */
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

struct host_ctx;
struct host_pair;

/* Records of one block in the order of their partitions: those of a run, and behind them those of
 * the runs that follow. */
struct host_span {
    const char *data;
    const struct block_place *order;
    uint32_t n;   /* the run ends here */
    uint32_t all; /* and the block's last one here */
};

/* Runs a stretch of a pair's records; answers where it ends (stretch.c). */
typedef uint32_t host_stretch_fn(struct host_ctx *ctx, const struct host_pair *pair,
                                 const struct host_span *span, uint32_t i);

struct host_pair {
    struct route route;
    codec_get_fn *get;
    host_stretch_fn *stretch; /* if nothing stands between an event and its only handler (no TTL,
                                 trigger, output by events or small budget); else NULL */
    event_fn *fast;           /* that handler */
    uint32_t fast_prototype;
    bool plain; /* the type decodes without the arena */
    uint32_t stream;
    uint32_t n_subs;
    struct host_subscription *subs; /* owned */
};

/* Who hears a stream of one app in others (imports.c). */
struct host_hearer {
    struct host_app *app;
    uint32_t stream; /* its */
};

struct host_hearers {
    uint32_t n;
    struct host_hearer list[];
};

struct host_stream {
    const char *name; /* borrowed from the graph */
    const struct type *type;
    struct codec *codec; /* owned */
    bool internal;
    bool shed;
    uint32_t n_routes;
    const struct route **routes; /* owned array, into the pairs */
    struct intake_stream intake; /* the same for feeds and injections */
    struct time_attribute clock;
    struct host_hearers *_Atomic hearers; /* owned; NULL: nobody. Control puts another in its place;
                                             release there pairs with acquire in host_hearers */
};

/* Valid until the end of the run, or of the feeds' step. */
static inline const struct host_hearers *host_hearers(const struct host_stream *stream)
{
    return atomic_load_explicit(&stream->hearers, memory_order_acquire);
}

/* What emitting to a stream needs that has only one route, in an app without an event clock, and
 * that no other app hears. */
struct host_simple {
    const ProtobufCMessageDescriptor *_Atomic descriptor; /* of its events; NULL: it is not simple;
                                                             relaxed: hearers come and go */
    const struct route *route;
};

static inline const ProtobufCMessageDescriptor *
host_simple_descriptor(const struct host_simple *simple)
{
    return atomic_load_explicit(&simple->descriptor, memory_order_relaxed);
}

struct host_output {
    const char *name;
    const struct type *type;
    struct codec *codec; /* owned */
    bool table;
    char *key_text; /* "a,b", owned; NULL for a log */
    struct key_spec key;
    struct output_limits limits;
    _Atomic bool astray; /* of a table: some partition here may have rows of other slots' keys;
                            relaxed, whoever heard of such a row sees it */
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
    uint32_t extra_turn; /* only with a budget below BUDGET_DEFAULT: they count */
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
    counter injected, applied, emitted, published, dead_letters, unheard, shed, duplicates, created,
        removed, instances, waiting, mailbox, mailbox_dropped, parked, requests, answers,
        answers_dropped, link_repeats, dropped, blocks_copied, blocks_done, timers, state_bytes,
        imports_lost;
    struct {
        counter events, failures, created, removed, instances;
    } prototypes[GRAPH_PROTOTYPES_MAX];
    struct {
        counter exported, imported; /* events */
    } streams[GRAPH_STREAMS_MAX];
};

struct host_partition;

/* What only the workers know of an app's partitions, as far as they have answered. */
struct host_sums {
    _Atomic bool asked; /* the workers are adding; cleared by the last one */
    _Atomic uint64_t dropped, refused, timers;
    uint64_t dropped_last, refused_last, timers_last; /* under the engine's lock */
};

#define HOST_LINES_MAX 100 /* that an app's code logs in a second, of each level */

struct host_lines {
    _Atomic uint64_t second; /* of the node's clock, in which n were to be logged */
    _Atomic uint64_t n;
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
    struct host_simple *emits;        /* by stream: for handlers */
    struct host_simple *source_emits; /* for the source: those that give one record for any event;
                                         the second half of `emits` */
    struct host_pair *pairs;
    struct host_prototype *prototypes;
    struct host_output *outputs;
    struct host_request *requests;
    struct output_limits dead_limits;
    void *params;                               /* owned */
    void *data;                                 /* s4_set_app_data */
    struct host_partition *_Atomic *partitions; /* [slots]; NULL: not here. Written while the
                                                   workers stand still (host_partition_at) */
    struct partition **bases;                   /* [slots]: the workers' parts of them */
    _Atomic bool paused;
    _Atomic bool open;      /* for input; else it waits for engine_open */
    _Atomic bool closing;   /* no more input: undeploy. Set before inject_lock is taken once */
    _Atomic uint32_t holds; /* the engine's and one of each injection: the last frees it */
    struct host_sums sums;
    _Atomic uint64_t queued;      /* bytes of blocks on their way */
    _Atomic uint64_t copied;      /* bytes of what was copied out of them because it must wait */
    _Atomic uint64_t outstanding; /* requests */
    _Atomic uint64_t begun_again; /* blocks that were made of others' records (engine_begun) */
    _Atomic uint64_t came;        /* blocks from the remote: to a worker of this node */
    _Atomic uint64_t went;        /* blocks to the remote */
    struct host_counters feed_counters; /* written by the intake's thread */
    struct emitter feed_emitter;        /* of the intake's thread */
    uint32_t *feed_links;
    struct emitter inject_emitter; /* under the engine's inject_lock */
    uint32_t *inject_links;
    uint64_t n_feeds;     /* so far, under feeds_lock */
    counter inject_shed;  /* under inject_lock */
    _Atomic bool alarmed; /* paused, and the alarm was told */
    bool started;
    bool hears; /* its streams are connected with other apps'; under the engine's lock */
    struct host_lines lines[LOG_DEBUG + 1]; /* any thread */
    pthread_mutex_t followers_lock;
    struct host_follower *followers; /* tail.c */
};

/* ---- partitions ---------------------------------------------------------------------------- */

struct host_output_state {
    struct table *table; /* one of the two */
    struct rowlog *log;
    struct tails *tails; /* who follows it; NULL: nobody */
};

struct host_partition {
    struct partition base; /* the worker's part */
    struct host_app *app;
    struct host_worker *worker;
    uint64_t now_us;          /* this partition's time: of its last run */
    uint32_t turn;            /* counts runs, and whatever stands for one; goes round */
    uint64_t due_us;          /* the earliest of all below, or before it */
    bool due_stale;           /* something below has changed: host_partition_due finds it again */
    struct instances *tables; /* per prototype */
    uint64_t *heap_bytes;     /* per prototype: s4_alloc */
    uint64_t *output_due_us;  /* per prototype; HOST_NEVER: nothing to put out */
    uint64_t *ttl_due_us;     /* per prototype */
    struct timers *timers;
    struct host_output_state *outputs;
    uint64_t astray; /* bit per output that has had rows of other slots' keys */
    struct rowlog *dead;
    struct tails *dead_tails;
    struct links_in links_in;
    uint32_t *links_out; /* per destination slot */
    bool begun;          /* its singletons were made, or it was loaded */
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
    struct message leave_message;    /* the same, at its end */
    struct request_job *jobs;        /* asked, and not answered: newest first */
    struct request_job *loaded_jobs; /* to be asked again, newest first */
    struct buffer producers;         /* struct host_producer: the last batch per producer */
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
    bool yield;         /* memory is above the hard mark: the run goes on later */
    uint32_t touched;   /* what the call's end must know: HOST_TOUCHED, and the emitter's bits */
    s4_status failed;   /* the first failure of a service in this call */
    uint64_t outputs;   /* bit per output that this call published to */
    uint32_t published; /* rows of this call */
    struct request_job *jobs; /* asked in this call, newest first */
    struct emission emission;
    uint64_t run_us;             /* the time of events that have none of their own */
    const struct record *record; /* the event; NULL: none */
    struct feeder *feeder;       /* CALL_SOURCE */
    char cause[HOST_CAUSE_MAX];
    bool replied; /* CALL_QUERY: with this, in the worker's scratch */
    struct value reply;
};

/* What a run emits that other apps hear (exports.c). */
struct host_exports {
    struct buffer events;
    size_t kept;         /* bytes of them: those of calls that have ended well */
    uint32_t n;          /* of this call */
    uint8_t hop;         /* the most */
    struct buffer batch; /* being put together */
    uint32_t *links;     /* [slots] of HOST_CONTROL, which nobody reads */
};

struct host_worker {
    struct engine *engine;
    uint32_t index;
    struct worker *actor;
    struct host_ctx ctx;
    struct emitter emitters[ENGINE_APPS_MAX]; /* by app number modulo; zeroed: none */
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
    struct message stand;                   /* see still.c */
    struct host_exports exports;
};

static inline struct host_counters *host_counters(struct host_worker *worker,
                                                  const struct host_app *app)
{
    return &worker->counters[app->number % ENGINE_APPS_MAX];
}

/* ---- the engine ---------------------------------------------------------------------------- */

struct feed_entry;
struct drain;

/* Standing still (still.c). */
struct host_still {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t standing;   /* workers that do; under `lock` */
    _Atomic bool wanted; /* written under `lock`; relaxed for feeds, which only look early */
    bool reached;        /* the steppers' thread only: all stand, and no block is open */
};

/* How a slot is here. */
enum host_slot_state { SLOT_ELSEWHERE, SLOT_RUNS, SLOT_HELD };

struct host_slot {
    uint8_t state;
    uint16_t worker; /* its number in the node */
    uint32_t opened; /* which coming it is: what was posted for one before is not for this one */
    uint64_t epoch;  /* the version of the map at which it came */
};

struct engine {
    struct engine_options options;
    struct block_pool *pool;
    struct pool *requests;     /* the pool that runs requests */
    struct pool *own_requests; /* the same if the engine made it */
    struct slot_map map;
    struct host_slot *slots; /* [map.slots]: what is here; under `lock`, written while still */
    uint32_t slots_opened;   /* so far; likewise */
    uint64_t *genesis;       /* [links_count]: the version at which a source's numbers began;
                                likewise */
    struct host_still still;
    uint32_t n_workers;    /* of this node */
    uint32_t first_worker; /* its number through all nodes */
    uint32_t all_workers;  /* numbers below; this number itself is nowhere */
    struct host_worker *workers;
    _Atomic uint64_t astray;   /* records that came for an app or a partition that is not here */
    _Atomic uint64_t obsolete; /* of sources that have begun anew meanwhile: dropped */
    _Atomic uint32_t places;   /* of the next, those below have been used; only grows, under lock */
    struct host_app *_Atomic apps[ENGINE_APPS_MAX]; /* by number modulo; release in deploy pairs
                                                       with acquire in host_app_at */
    uint32_t next_app;                              /* under lock */
    _Atomic uint32_t n_apps;                        /* written under lock */
    pthread_mutex_t lock;       /* control: deploy, undeploy, drains; never per event */
    pthread_mutex_t feeds_lock; /* the list of feeds */
    pthread_mutex_t step_lock;  /* a step of the feeds; taken before feeds_lock */
    struct feed_entry *feeds;
    _Atomic uint32_t n_feeds;
    uint16_t feed_intake;
    struct inbox feed_inbox; /* how the intake's thread is woken */
    pthread_t feed_thread;
    bool has_feed_thread;
    struct host_worker feeder;   /* the intake's own context and scratch */
    pthread_mutex_t apps_lock;   /* who is no worker finds and uses an app under it, for a moment:
                                    undeploy takes it once nobody can find the app any more */
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

/* The worker of this node that a slot is routed to, or NULL: it is another node's. Any thread. */
static inline struct host_worker *host_home(const struct engine *engine, uint32_t slot)
{
    uint32_t worker = slot_worker(&engine->map, slot) - engine->first_worker;
    return worker < engine->n_workers ? &engine->workers[worker] : NULL;
}

/* The app's partition of a slot if it is here, or NULL. Only its worker may look into it. */
static inline struct host_partition *host_partition_at(const struct host_app *app, uint32_t slot)
{
    return atomic_load_explicit(&app->partitions[slot], memory_order_acquire);
}

/* The apps: at places below host_places, each of which may be NULL. */
static inline uint32_t host_places(const struct engine *engine)
{
    return atomic_load_explicit(&engine->places, memory_order_acquire);
}

static inline struct host_app *host_app_at(const struct engine *engine, uint32_t place)
{
    return atomic_load_explicit(&engine->apps[place], memory_order_acquire);
}

#endif
