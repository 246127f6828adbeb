/* The client of a node: deploy, inject, query, from a C or C++ program. Link with `s4-client`
 * (pkg-config).
 *
 *     s4_client *client;
 *     if (s4_client_create(NULL, &client) != S4_OK)
 *         abort();
 *     if (s4_client_connect(client) != S4_OK)
 *         errx(1, "%s", s4_client_message(client));
 *     s4_batch batch = { .app = "words", .stream = "lines", .format = S4_CLIENT_TEXT,
 *                        .ack = S4_CLIENT_APPLIED, .bytes = "to be\nor not\n", .size = 13 };
 *     s4_injected taken;
 *     if (s4_client_inject(client, &batch, &taken) != S4_OK)
 *         errx(1, "%s", s4_client_message(client));
 *     s4_client_destroy(client);
 *
 * Threads: a client belongs to one thread at a time; several clients may live in one process. Calls
 * block until the node answers. No thread runs inside; what arrives is looked at during calls.
 *
 * Errors: every call that answers S4_OK did what it says; otherwise its outputs are untouched and
 * s4_client_message tells why, in words for people. S4_UNAVAILABLE: no node there, or it has not
 * been heard of for `timeout_ms`; a node that is only slow says so and is waited for.
 *
 * Ownership: what a call takes is the caller's and not looked at after the call, unless it says so.
 * What it gives is the caller's to destroy (s4_rows, s4_node_status) or lies in the client and is
 * valid until the next call (messages, results of injecting).
 */
#ifndef S4_CLIENT_H
#define S4_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <s4/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S4_CLIENT_API __attribute__((visibility("default")))
#define S4_CLIENT_USE S4_CLIENT_API __attribute__((warn_unused_result))

#define S4_CLIENT_BUNDLE_MAX ((size_t)64 << 20) /* bytes of a bundle to deploy */
#define S4_CLIENT_BATCH_MAX  ((size_t)8 << 20)  /* bytes of a batch */
#define S4_CLIENT_WINDOW_MAX 1024

typedef struct s4_client s4_client;

/* Zeroed members mean the default. */
typedef struct s4_client_options {
    const char *node; /* a node's directory, ipc://PATH, or tcp://HOST:PORT; default: $S4_NODE, else
                         $XDG_RUNTIME_DIR/s4, else /tmp/s4-UID */
    uint32_t timeout_ms; /* without a sign of life while something is outstanding; default 10,000 */
    uint32_t window;     /* batches under way before s4_client_inject_start blocks; default 8 */
    uint64_t producer;  /* who injects; default: drawn. A program that repeats its batches after its
                           own restart gives the producer and `number` that it had */
    uint64_t number;    /* of the first batch; default 1 */
    const char *keys;   /* for a node that is reached by tcp: a directory of keys (s4-keygen(1));
                           default: $S4_KEYS, else none, and nothing beyond this machine is reached */
    const char *secret; /* the file of the own key pair; default: the only one in the directory */
    const char *server; /* the node's name among the keys; default: the only one there */
} s4_client_options;

/* Makes a client; options may be NULL. Talks to nobody. */
S4_CLIENT_USE s4_status s4_client_create(const s4_client_options *options, s4_client **client);
/* Finds the node and agrees on the protocol. S4_UNAVAILABLE, S4_VERSION; S4_PERMISSION: it does not
 * admit this key, or wants one; others: a key that cannot be used. Once. */
S4_CLIENT_USE s4_status s4_client_connect(s4_client *client);
/* Gives up what is outstanding, without its callbacks. NULL is fine. */
S4_CLIENT_API void s4_client_destroy(s4_client *client);

/* Why the last call failed; never NULL. */
S4_CLIENT_API const char *s4_client_message(const s4_client *client);
/* Where it is or will be connected: "ipc:///run/user/1000/s4/control". */
S4_CLIENT_API const char *s4_client_endpoint(const s4_client *client);
/* The node's release; "" before the connection. */
S4_CLIENT_API const char *s4_client_release(const s4_client *client);

/* ---- applications -------------------------------------------------------------------------- */

typedef struct s4_deployed {
    const char *app;
    const char *version;
    const char *build_id;
} s4_deployed;

/* Deploys the bundle of `size` bytes. S4_EXISTS: an app of that name is there. `deployed` may be
 * NULL; its texts lie in the client. */
S4_CLIENT_USE s4_status s4_client_deploy(s4_client *client, const void *bundle, size_t size,
                                         s4_deployed *deployed);
/* Stops the app. `dropped`: events that waited; may be NULL. S4_STATE: other apps hear its streams,
 * as s4_client_message says. */
S4_CLIENT_USE s4_status s4_client_undeploy(s4_client *client, const char *app, uint64_t *dropped);
/* Also then: they hear nothing of it until an app of that name is deployed again. `detached`: how
 * many of their streams; may be NULL. */
S4_CLIENT_USE s4_status s4_client_undeploy_forced(s4_client *client, const char *app,
                                                  uint64_t *dropped, uint32_t *detached);

typedef struct s4_drained {
    uint64_t waiting_timers;  /* processing timers that still wait, with `finish` */
    uint64_t waiting_answers; /* instances that wait for an answer, without */
} s4_drained;

/* Waits until nothing of the app (NULL: of any app) is in flight. With `finish`, also ends its
 * input: event clocks go to the end of time and every instance gets its last output call. */
S4_CLIENT_USE s4_status s4_client_drain(s4_client *client, const char *app, bool finish,
                                        s4_drained *drained);
/* Has a node of the cluster hand its slots to the others, and waits until it has none. It lives on
 * without any, until it is started anew. S4_NOT_FOUND: there is no such node; S4_STATE: no other
 * one could take them, or the node that was asked belongs to no cluster. */
S4_CLIENT_USE s4_status s4_client_drain_node(s4_client *client, const char *node);
/* The node drains (unless `now`), answers, and ends; in a cluster it first hands its slots over. */
S4_CLIENT_USE s4_status s4_client_stop(s4_client *client, bool now);

/* ---- events in ----------------------------------------------------------------------------- */

typedef enum s4_client_format {
    S4_CLIENT_JSON = 1, /* an object per line; blank lines give nothing */
    S4_CLIENT_TEXT = 2, /* a line fills the type's one string attribute */
    S4_CLIENT_PB = 3,   /* each message after its length as a varint */
} s4_client_format;

typedef enum s4_client_ack {
    S4_CLIENT_TAKEN = 1,   /* its events are in the queues of their keys */
    S4_CLIENT_APPLIED = 2, /* every handler that they were addressed to returned */
} s4_client_ack;

typedef struct s4_batch {
    const char *app;
    const char *stream;
    s4_client_format format;
    s4_client_ack ack;
    const void *bytes; /* whole lines or messages */
    size_t size;       /* at most S4_CLIENT_BATCH_MAX */
} s4_batch;

typedef struct s4_reject {
    uint64_t line; /* in the batch, from 1 (S4_CLIENT_PB: the number of the message) */
    const char *message;
} s4_reject;

/* What became of a batch. S4_OK: taken or applied, but for the rejected lines. S4_SHED: dropped by
 * the stream's policy; S4_PAUSED: the app is paused; S4_UNAVAILABLE: nobody knows: inject it again
 * under the same number, a repeat is recognised. */
typedef struct s4_injected {
    uint64_t number;
    s4_status status;
    const char *message; /* why not; "" if S4_OK */
    bool duplicate;      /* it had been taken before */
    uint64_t accepted;   /* events */
    uint64_t rejected;   /* lines that could not be read */
    size_t n_rejects;    /* the first of them, at most 1,000 */
    const s4_reject *rejects;
} s4_injected;

/* Injects a batch and waits for what becomes of it: answers result->status. The result is filled
 * whenever the node answered, and lies in the client. */
S4_CLIENT_USE s4_status s4_client_inject(s4_client *client, const s4_batch *batch,
                                         s4_injected *result);

/* Injects a batch (copied) without waiting, unless `window` batches are under way. `done` is called
 * once per batch that was started, during a later call on this client and on its thread, in any
 * order; it must not call the client. `result` is valid during the call. */
typedef void s4_injected_fn(void *user, const s4_injected *result);
S4_CLIENT_USE s4_status s4_client_inject_start(s4_client *client, const s4_batch *batch,
                                               s4_injected_fn *done, void *user);
/* Waits until every started batch is done. S4_UNAVAILABLE: the node is silent; the batches that it
 * did not answer are done with that status. */
S4_CLIENT_USE s4_status s4_client_inject_finish(s4_client *client);

/* ---- answers out --------------------------------------------------------------------------- */

typedef struct s4_query {
    const char *app;
    const char *output; /* "dead_letters": the events whose handlers failed */
    const char *key;    /* the row of this key, as text ("alice", "alice,7"); NULL: all */
    const char *prefix; /* rows whose key starts so; NULL: all */
    uint64_t top;       /* only the n rows that are greatest by the column `by`; 0: all */
    const char *by;
    uint64_t limit; /* at most so many rows; 0: the node's limit */
    bool text;      /* also as a table for people: s4_rows_text */
    bool stale;     /* also from nodes that have lost touch with their cluster: others may have
                       taken them for dead, and own their slots by now */
} s4_query;

typedef struct s4_rows s4_rows;

/* Reads an output. Each partition's rows are as they were between two of its events; across
 * partitions there is no common moment: s4_rows_fresh says for each. */
S4_CLIENT_USE s4_status s4_client_query(s4_client *client, const s4_query *query, s4_rows **rows);
/* Asks the living instance of a key; one row. S4_NOT_FOUND: there is none; it is never made. */
S4_CLIENT_USE s4_status s4_client_ask(s4_client *client, const char *app, const char *prototype,
                                      const char *key, bool text, s4_rows **rows);
/* The same, also from a node that has lost touch with its cluster (s4_query). */
S4_CLIENT_USE s4_status s4_client_ask_stale(s4_client *client, const char *app,
                                            const char *prototype, const char *key, bool text,
                                            s4_rows **rows);
/* How many instances of a prototype live. */
S4_CLIENT_USE s4_status s4_client_count(s4_client *client, const char *app, const char *prototype,
                                        uint64_t *count);

S4_CLIENT_API void s4_rows_destroy(s4_rows *rows); /* NULL is fine */
S4_CLIENT_API size_t s4_rows_count(const s4_rows *rows);
S4_CLIENT_API bool s4_rows_more(const s4_rows *rows); /* there are more beyond the limit */
S4_CLIENT_API size_t s4_rows_columns(const s4_rows *rows);
/* These borrow from `rows`; the index is below the count. */
S4_CLIENT_API const char *s4_rows_column(const s4_rows *rows, size_t index);
S4_CLIENT_API const char *s4_rows_json(const s4_rows *rows, size_t index);
S4_CLIENT_API const void *s4_rows_pb(const s4_rows *rows, size_t index, size_t *size);
/* Aligned columns under their names, if it was asked for; else "". */
S4_CLIENT_API const char *s4_rows_text(const s4_rows *rows);
/* The partitions that were asked (for a key mostly one): their numbers, and the time up to which
 * each is applied, microseconds. */
S4_CLIENT_API size_t s4_rows_partitions(const s4_rows *rows);
S4_CLIENT_API uint32_t s4_rows_partition(const s4_rows *rows, size_t index);
S4_CLIENT_API uint64_t s4_rows_fresh(const s4_rows *rows, size_t index);

/* ---- subscriptions ------------------------------------------------------------------------- */

typedef struct s4_tail_options {
    const char *app;
    const char *output; /* "dead_letters": the events whose handlers failed */
    const char *key;    /* only the row of this key, as in s4_query; NULL: all */
    const char *prefix; /* only rows whose key starts so; NULL: all */
    bool kept;          /* the rows that are there come first: a table's, in no order, or what a log
                           keeps */
} s4_tail_options;

typedef enum s4_tail_kind {
    S4_TAIL_KEPT = 1,      /* a row that was there before */
    S4_TAIL_ROW = 2,       /* appended to a log; the row of its key from now on in a table */
    S4_TAIL_REMOVED = 3,   /* from a table; the row as it was */
    S4_TAIL_MISSED = 4,    /* here changes were left out, since this reader is too slow */
    S4_TAIL_CAUGHT_UP = 5, /* all rows that were there before have come */
    S4_TAIL_ENDED = 6,     /* the app was undeployed, or the node has stopped */
} s4_tail_kind;

typedef struct s4_tail_item {
    s4_tail_kind kind;
    uint32_t partition;
    uint64_t number;  /* of the change in its partition, rising by one; of a table more, when the
                         partition moved to another node; of the last one missed */
    uint64_t time_us; /* the partition's time of the change */
    uint64_t missed;  /* S4_TAIL_MISSED: how many */
    const char *json; /* of a row; else NULL */
    const void *pb;
    size_t pb_size;
    const char *why; /* S4_TAIL_ENDED; else NULL */
} s4_tail_item;

typedef struct s4_tail s4_tail;

/* Follows an output: every change from now on, in order within each partition. The node keeps a
 * bounded number of bytes for a reader that is slow, then leaves changes out and says how many,
 * where they were: what comes and what was missed are all. In a cluster it is of all nodes; around
 * a move of a partition `number` tells the order, and what a node that dies had not told is lost.
 * S4_UNAVAILABLE: a node was silent for a while, and is back. At most one per client at a time:
 * S4_STATE. The tail is the caller's to s4_tail_destroy, before its client. */
S4_CLIENT_USE s4_status s4_client_tail(s4_client *client, const s4_tail_options *options,
                                       s4_tail **tail);
/* The next item, which lies in the tail until the next call on it. S4_AGAIN: none came for
 * `wait_ms` (0: looks only). S4_UNAVAILABLE and others: the subscription is over. */
S4_CLIENT_USE s4_status s4_tail_next(s4_tail *tail, uint32_t wait_ms, s4_tail_item *item);
/* Ends the subscription, without waiting for the node. NULL is fine. */
S4_CLIENT_API void s4_tail_destroy(s4_tail *tail);

/* ---- status -------------------------------------------------------------------------------- */

typedef struct s4_counter {
    const char *name; /* "injected", "applied", "dead_letters", ... */
    uint64_t value;
} s4_counter;

typedef struct s4_prototype_status {
    const char *name;
    size_t n_counters;
    const s4_counter *counters;
} s4_prototype_status;

typedef struct s4_app_status {
    const char *name;
    const char *version;
    const char *build_id;
    bool paused; /* at the hard memory mark */
    size_t n_counters;
    const s4_counter *counters;
    size_t n_prototypes;
    const s4_prototype_status *prototypes;
} s4_app_status;

/* A node of a cluster, as the map has it that the asked node has. */
typedef struct s4_member {
    const char *name;
    const char *state;   /* "active", "joining", "standby", "draining", "cannot load" */
    const char *why;     /* what keeps it from having slots; "" */
    const char *clients; /* where clients reach it */
    const char *release;
    uint32_t workers;
    uint32_t slots;                      /* that it owns */
    const struct s4_node_status *status; /* without `cluster`; NULL: it did not answer */
} s4_member;

/* A bundle that the cluster runs, checks, or refused. */
typedef struct s4_cluster_app {
    const char *name;
    const char *version;
    const char *build_id;
    const char *phase; /* "running", "checked now", "refused" */
    const char *why;   /* it was refused; "" */
} s4_cluster_app;

#define S4_NO_MEMBER UINT32_MAX
#define S4_NO_SLOT   UINT32_MAX

typedef struct s4_cluster_status {
    const char *name;
    const char *self;   /* the asked node */
    const char *leader; /* "": it is not known who leads */
    uint64_t version;   /* of the map; rises by one with each change */
    size_t n_members;
    const s4_member *members;
    size_t n_slots;
    const uint32_t *owners; /* of each slot: which of `members`; S4_NO_MEMBER */
    uint32_t moving;        /* the slot that moves now; S4_NO_SLOT */
    size_t n_apps;
    const s4_cluster_app *apps;
} s4_cluster_status;

typedef struct s4_node_status {
    const char *release;
    uint64_t pid;
    size_t n_counters;
    const s4_counter *counters;
    size_t n_apps;
    const s4_app_status *apps;
    size_t n_alarms; /* the latest, oldest first */
    const char *const *alarms;
    const s4_cluster_status *cluster; /* of a node that belongs to one; else NULL */
} s4_node_status;

/* What the node does; in a cluster also what the others do, which it asks: `cluster`. The caller's
 * to destroy. */
S4_CLIENT_USE s4_status s4_client_status(s4_client *client, s4_node_status **status);
S4_CLIENT_API void s4_node_status_destroy(s4_node_status *status); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
