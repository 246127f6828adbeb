/* The engine of one node: workers, partitions, apps. What `s4 run`, `s4 node`, the tests and the
 * simulator stand on; it opens no socket itself, and files in its store only.
 *
 * Groups: before start; any thread; by hand (engines created with `threads = false` are stepped by
 * one thread, which then is every thread). Calls marked `done` answer later through a callback, on
 * some thread of the engine: it must not block and must not call back into the engine; it may run
 * before the call returns.
 */
#ifndef PE_HOST_ENGINE_H
#define PE_HOST_ENGINE_H

#include "pe/bundle/bundle.h"
#include "pe/host/plugin.h"
#include "pe/output/query.h"
#include "pe/output/tail.h"
#include "router/intake/feed.h"
#include "router/link/link.h"
#include "runtime/actor/pool.h"
#include "runtime/base/clock.h"
#include "runtime/base/diag.h"
#include "runtime/base/log.h"
#include "runtime/store/store.h"

#define ENGINE_SLOTS_DEFAULT       64
#define ENGINE_SLOTS_MAX           4096 /* with intakes they fit in a record's 16-bit source */
#define ENGINE_WORKERS_MAX         64
#define ENGINE_NODES_MAX           (LINK_INTAKES_MAX / 2)
#define ENGINE_APPS_MAX            64
#define ENGINE_FLUSH_US_DEFAULT    150
#define ENGINE_MEMORY_SOFT_DEFAULT (256 * MIB)
#define ENGINE_MEMORY_HARD_DEFAULT (2048 * MIB)
#define ENGINE_REMOTE_WAITING      16    /* blocks for other nodes, before sources wait */
#define ENGINE_POOL_THREADS        2     /* of requests */
#define ENGINE_REQUESTS_MAX        4096  /* outstanding, per app */
#define ENGINE_PRODUCERS_MAX       16384 /* per partition, whose last batch is remembered */

struct block;
struct block_pool;
struct engine;

/* The way to the other nodes: takes a block (its hold goes along) for block->worker; called on the
 * workers' threads. */
struct engine_remote {
    void (*send)(void *user, const char *app, uint64_t schema, struct block *block);
    /* Adds what the other nodes have begun and ended (engine_flight), so that a drain sees all.
     * NULL: a drain is of this node alone, and whoever drains all looks at all (engine_activity).
     */
    void (*flight)(void *user, const char *app, uint64_t *begun, uint64_t *ended);
    /* Blocks that cannot leave yet, because the other nodes give no credit or the network is
     * slower: sources wait for them. When there are no more than half of ENGINE_REMOTE_WAITING
     * again, engine_credit is called. Any thread. NULL: there are none. */
    uint32_t (*waiting)(void *user);
    void *user;
};

struct engine_options {
    uint32_t workers;    /* 0: 1 */
    uint32_t slots;      /* 0: ENGINE_SLOTS_DEFAULT */
    size_t block_size;   /* 0: BLOCK_SIZE_DEFAULT */
    uint64_t flush_us;   /* 0: default; how long a record waits in an open block */
    size_t memory_soft;  /* bytes that wait in blocks: sources get no credit above it; 0: default */
    size_t memory_hard;  /* the app that holds most of it is paused above it; 0: default */
    bool threads;        /* false: engine_step does everything */
    bool feed_thread;    /* feeds get a thread of their own; false: worker 0 steps them when idle */
    uint64_t seed;       /* of ids and random numbers; 0: from the kernel */
    uint32_t nodes;      /* numbers of nodes that there are, alike in slots; 0: 1 */
    uint32_t node;       /* which of them this is */
    const uint16_t *map; /* with nodes > 1: the worker of each slot, numbered node *
                            ENGINE_WORKERS_MAX + worker, and behind them all: nobody's; borrowed for
                            the call. NULL: slots go round nodes that are alike in workers, for good
                          */
    const uint64_t *genesis; /* the version of the map at which each source's generation began
                                [links_count]; borrowed for the call; NULL: none has begun anew */
    const struct engine_remote *remote; /* NULL: there is no other node */
    bool apps_wait;                     /* apps take no input before engine_open */
    struct block_pool *blocks; /* where its blocks come from, borrowed, of the same block size;
                                  outlives it; NULL: a pool of its own */
    struct pool *requests;     /* runs requests; NULL: ENGINE_POOL_THREADS threads of its own */
    const struct clock *clock; /* NULL: the machine's */
    struct store *store;       /* where partitions are saved, this engine's alone; NULL: nowhere */
    const struct log *log;
    /* An alarm (paused app, parked key, full output, ...): one line for people, and it is counted.
     * Any thread; must not block. */
    void (*alarm)(void *user, const char *app, const char *text);
    /* A record or frame was lost below, which must not happen: the node should stop with this
     * error. */
    void (*fault)(void *user, const char *text);
    void *user;
};

/* Before start. */
s4_status engine_create(const struct engine_options *options, struct engine **engine,
                        struct diag *diag) MUST_USE;
s4_status engine_start(struct engine *engine, struct diag *diag) MUST_USE; /* starts the threads */
/* Stops at once: what waits is dropped. Joins the threads. */
void engine_stop(struct engine *engine);
void engine_destroy(struct engine *engine); /* NULL is fine */

/* By hand: does a bounded piece of work; false when there was none. */
bool engine_step(struct engine *engine);
bool engine_step_worker(struct engine *engine, uint32_t worker);
/* By hand: publishes a snapshot of a partition in the engine's store, between two runs. It is
 * certain when this returns S4_OK; else there is the one before it or this one, whole. S4_STATE:
 * there is no store. */
s4_status engine_save(struct engine *engine, const char *app_name, uint32_t slot,
                      struct diag *diag) MUST_USE;
/* By hand: drops a partition and loads it from its snapshot. S4_NOT_FOUND: there is none;
 * S4_CORRUPT, S4_VERSION: it cannot be used. When this fails, the partition is as it was. */
s4_status engine_load(struct engine *engine, const char *app_name, uint32_t slot,
                      struct diag *diag) MUST_USE;

/* ---- apps; one control thread at a time ---------------------------------------------------- */

/* Runs an app: takes its bundle (for graph and schema) and its loaded plugin (held). Returns when
 * its partitions exist and its start callback and singletons ran. S4_EXISTS: the name is taken.
 * S4_TYPE, S4_INVALID: a stream that is from another app does not go with it. */
s4_status engine_deploy(struct engine *engine, const struct bundle *bundle, struct plugin *plugin,
                        struct diag *diag) MUST_USE;
/* With engine_options.apps_wait: the app takes batches, and its feeds are stepped, from now on;
 * what it emits is understood by the other nodes. Other names are ignored. Any thread. */
void engine_open(struct engine *engine, const char *name);
/* Stops taking events for the app, drops what waits (counted in *dropped), calls its stop callback,
 * frees it. Apps whose streams are from its hear nothing until it is deployed again. */
s4_status engine_undeploy(struct engine *engine, const char *name, uint64_t *dropped,
                          struct diag *diag) MUST_USE;

/* S4_STATE, and their names: other apps hear streams of this one, so it should not be undeployed
 * without need. *n: how many of their streams do. Any thread. */
s4_status engine_hearers(struct engine *engine, const char *name, uint32_t *n,
                         struct diag *diag) MUST_USE;

/* ---- events in; any thread ----------------------------------------------------------------- */

/* Steps a feed until it ends (feed.h): what `s4 run --inject` and sources are. stream NULL: the
 * app's own source callback. The feed is borrowed until its `closed` upcall. */
s4_status engine_feed(struct engine *engine, const char *app_name, const char *stream_name,
                      struct feed *feed, struct diag *diag) MUST_USE;
/* `closed` (may be NULL) is called on the intake's thread when the source has ended: S4_END, what
 * it failed with, or S4_CANCELLED; it must not block. */
typedef void source_closed(void *user, s4_status status);
s4_status engine_feed_source(struct engine *engine, const char *app_name, source_closed *closed,
                             void *user, struct diag *diag) MUST_USE;
/* Ends the feeds and sources of an app (NULL: of every app) before their next step: they are closed
 * with S4_CANCELLED. Returns at once. */
void engine_feed_cancel(struct engine *engine, const char *app_name);

/* A batch of a client's events for one stream, being put together; one thread. */
struct injection;
enum injection_ack { INJECTION_TAKEN, INJECTION_APPLIED };
/* `producer` and `number` make repeats harmless: a producer's numbers rise by one, and a number
 * that was taken before is answered S4_DUPLICATE. producer 0: no such protection. */
s4_status engine_inject_begin(struct engine *engine, const char *app_name, const char *stream_name,
                              uint64_t producer, uint64_t number, struct injection **injection,
                              struct diag *diag) MUST_USE;
/* The stream's type. */
const struct type *injection_type(const struct injection *injection);
/* S4_TOO_LARGE: one of the event's keys is over RECORD_KEY_MAX, or there are too many. One that is
 * added all the same becomes a dead letter. */
s4_status injection_check_keys(const struct injection *injection, const struct value *event,
                               struct diag *diag) MUST_USE;
/* Adds one event, copied. S4_TOO_LARGE and the like, with the injection as it was before. */
s4_status injection_add(struct injection *injection, const struct value *event,
                        struct diag *diag) MUST_USE;
void injection_destroy(struct injection *injection);
/* Hands the batch over (*injection becomes NULL). S4_AGAIN: above the soft mark, the stream blocks,
 * or the app is not open yet; try again later, *injection is kept. S4_SHED: above the mark, the
 * stream sheds; it is dropped and counted. S4_PAUSED: the app is paused at the hard mark.
 * S4_UNAVAILABLE: the slot of its producer is not here, or about to leave or only about to run (a
 * map that is on its way says where; try again then), or the app is being undeployed; *injection is
 * kept. `done` gets S4_OK, S4_DUPLICATE, or why not. */
typedef void injection_done(void *user, s4_status status);
s4_status engine_inject(struct engine *engine, struct injection **injection, enum injection_ack ack,
                        injection_done *done, void *user) MUST_USE;

/* ---- other nodes ---------------------------------------------------------------------------- */

/* A block from another node, for one of this node's workers; *block is taken on success. It is
 * checked as bytes that nobody vouches for. `taken` is called when its records are in their
 * partitions' runs, `applied` when all are executed, on a worker's thread; they must not block. */
typedef void engine_block_fn(void *user, const uint64_t token[2]);
struct engine_arrival {
    /* NULL, or called before `applied`, by engine_arrived itself or on a worker's thread: the
     * block's records for this slot are not for this node, or have left it while they waited, and
     * are dropped here. */
    void (*not_mine)(void *user, const uint64_t token[2], uint16_t slot);
    engine_block_fn *taken;
    engine_block_fn *applied;
    void *user;
    uint64_t token[2];
    uint64_t version; /* of the map, when the block was closed */
};
s4_status engine_arrived(struct engine *engine, const char *app_name, uint64_t schema,
                         struct block **block, const struct engine_arrival *arrival,
                         struct diag *diag) MUST_USE;
/* Sources may go on; see engine_remote.waiting. Any thread. */
void engine_credit(struct engine *engine);
/* Checks the records of a block that another node closed, and which all came from one slot: they
 * will be sent on from here. */
s4_status engine_block_check(struct engine *engine, const char *app_name, uint64_t schema,
                             const struct block *block, uint32_t source,
                             struct diag *diag) MUST_USE;
/* Blocks that were made of records which had begun in others (block_pick): a drain counts them. */
void engine_begun(struct engine *engine, const char *app_name, uint64_t blocks);
/* A block of this node's own records comes back to it, for block->worker, while the engine stands
 * still: its slot was another's meanwhile. It is before all that is emitted after that. The hold
 * goes along; false: the app is not here any more, and it was dropped. */
bool engine_hand(struct engine *engine, const char *app_name, struct block *block);
/* Adds this node's counts of blocks begun and ended; any thread. */
void engine_flight(struct engine *engine, const char *name, uint64_t *begun, uint64_t *ended);
/* A number that rises with whatever happens to the app (NULL: to any): when two drains of every
 * node, the second begun after the first ended, found the same numbers, and everything that was
 * sent had been applied, then nothing was in flight in between. Any thread. */
uint64_t engine_activity(struct engine *engine, const char *name);
struct block_pool *engine_pool(struct engine *engine);

/* ---- answers out; any thread --------------------------------------------------------------- */

/* Pins an output in every partition (each between two runs), then `done` gets the pins, which it
 * owns (query_pins_destroy) and may read on any thread. "dead_letters" is an output of every app.
 * With a key (of a table, as a person writes it) only the row of that key is pinned, and only the
 * partition of its slot is asked if no other can have it; if that is on another node, there are no
 * pins. `home` says which partition it is. */
typedef void pins_done(void *user, s4_status status, struct query_pins *pins);
s4_status engine_pin(struct engine *engine, const char *app_name, const char *name, const char *key,
                     pins_done *done, void *user, struct diag *diag) MUST_USE;

/* Follows an output from now on, in every partition of this node (each between two runs); then
 * `done` gets the tail, the caller's to read on any one thread and to tail_close. It may outlive
 * the app and the engine; TAIL_ENDED comes when no partition is left: the app is undeployed, the
 * engine ends, or all slots have left.
 *
 * A slot that comes later has a tail of its own, which `arrived` gets, the receiver's as the first
 * one; it ends when the slot leaves. NULL: there was no memory for it. It is called by whoever
 * calls engine_slot_go, and must not call the engine. */
struct engine_tail_options {
    const char *key;          /* as in tail_options */
    const char *prefix;       /* the same */
    bool kept;                /* the rows that are there come first */
    size_t bytes_max;         /* of each worker's queue, a multiple of 8; 0: TAIL_BYTES_DEFAULT */
    void (*wake)(void *user); /* as in tail_options */
    void (*arrived)(void *user, struct tail *tail); /* NULL: slots that come are not followed */
    void *user; /* with `arrived`: one of its own for each call, until engine_tail_leave */
};
typedef void tail_done(void *user, s4_status status, struct tail *tail);
s4_status engine_tail(struct engine *engine, const char *app_name, const char *name,
                      const struct engine_tail_options *options, tail_done *done, void *user,
                      struct diag *diag) MUST_USE;

/* After `done`, of a tail with `arrived`: this is not called any more. */
void engine_tail_leave(struct engine *engine, const char *app_name, const void *user);

/* Asks the living instance of a key through its query callback. The key is text parts, as a person
 * writes them ("alice" or "alice,7"). The reply is a value of the class's reply type, valid during
 * the callback. S4_NOT_FOUND: no such instance; it is never made. */
typedef void reply_done(void *user, s4_status status, const struct value *reply, const char *cause);
s4_status engine_ask(struct engine *engine, const char *app_name, const char *name, const char *key,
                     reply_done *done, void *user, struct diag *diag) MUST_USE;

/* Counts the living instances of a prototype. */
typedef void count_done(void *user, s4_status status, uint64_t count);
s4_status engine_count(struct engine *engine, const char *app_name, const char *name,
                       count_done *done, void *user, struct diag *diag) MUST_USE;

/* Waits until nothing of the app (NULL: of any app) is in flight. With `finish`, then ends its
 * input: event clocks go to the end of time, due timers fire, each instance with changes since its
 * last output gets one output call, until nothing more arises. Feeds must have ended (or be
 * stopped) before. */
struct engine_drained {
    uint64_t waiting_timers;  /* processing timers that still wait: reported, not fired */
    uint64_t waiting_answers; /* instances that wait for an answer (only without `finish`) */
    uint64_t rounds;          /* of finishing that caused something */
};
typedef void drain_done(void *user, s4_status status, const struct engine_drained *drained);
s4_status engine_drain(struct engine *engine, const char *name, bool finish, drain_done *done,
                       void *user, struct diag *diag) MUST_USE;

/* ---- what it does; any thread -------------------------------------------------------------- */

struct engine_counters {
    uint64_t injected;  /* events that came from outside */
    uint64_t applied;   /* records whose run was executed */
    uint64_t emitted;   /* records emitted by PEs */
    uint64_t published; /* rows */
    uint64_t dead_letters;
    uint64_t absent_keys; /* how often an event gave a subscription no record: no key */
    uint64_t unheard;     /* events emitted on a stream without subscribers */
    uint64_t shed;
    uint64_t duplicates;
    uint64_t instances; /* living now */
    uint64_t created;
    uint64_t removed; /* by TTL, bound or request */
    uint64_t waiting; /* instances that wait for an answer, now */
    uint64_t mailbox; /* records in mailboxes, now */
    uint64_t mailbox_dropped;
    uint64_t parked;       /* keys parked after failures */
    uint64_t rows_dropped; /* by outputs that drop the oldest */
    uint64_t rows_refused;
    uint64_t requests;
    uint64_t answers_dropped; /* who asked has gone */
    uint64_t timers;          /* set, now */
    uint64_t state_bytes;     /* of instances, accounted */
    uint64_t exported;        /* events on streams that other apps hear */
    uint64_t imported;        /* events heard of other apps */
    uint64_t imports_lost;    /* not heard: too large, or out of memory */
};

struct engine_prototype_status {
    char name[72];
    uint64_t events, failures, instances, created, removed;
    uint64_t sampled_ns; /* mean time of a handler, sampled; 0: none yet */
};

struct engine_app_status {
    char name[72];
    char version[72];
    char build_id[48];
    bool paused;
    struct engine_counters counters;
    uint64_t queued_bytes; /* in blocks that wait */
    uint64_t copied_bytes; /* of these: copied out for partitions that take nothing now */
    uint32_t n_prototypes;
    struct engine_prototype_status prototypes[64];
};

struct engine_status {
    uint64_t uptime_us;
    uint32_t workers, slots;
    size_t memory, memory_soft, memory_hard; /* of blocks */
    uint64_t astray;   /* records that came for an app that was undeployed meanwhile: dropped */
    uint64_t obsolete; /* records of a dead node's slots that others still held: dropped */
    uint32_t n_apps;
    struct engine_app_status *apps; /* mem_free */
};
s4_status engine_status(struct engine *engine, struct engine_status *status) MUST_USE;

/* For a handler of SIGSEGV and the like: writes what the calling thread was running (bundle, build
 * id, prototype, key, event) to a file descriptor, or nothing if it ran no plugin's code. */
void engine_crash_note(int fd); /* async-signal-safe */

#endif
