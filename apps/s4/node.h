/* A node: the engine behind a ROUTER socket.
 *
 *     peers  --ROUTER-->  control thread  --calls-->  engine
 *                          |    ^    ^                   |
 *                          |    |    '---- done list ----'  upcalls, on the engine's threads
 *                          v    '--------- done list ----.
 *                        two job threads: one changes apps, one reads status and rows
 *
 * The control thread owns sockets, requests and the list of apps; it never waits for anything but
 * poll. Whatever takes time happens in the engine or on a job thread, and comes back through the
 * done list, which a request is in at most once. While a request waits, its client is told so again
 * and again (status AGAIN). Functions without another word are the control thread's.
 */
#ifndef APPS_S4_NODE_H
#define APPS_S4_NODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

#include "apps/s4/alarms.h"
#include "apps/s4/bundles.h"
#include "apps/s4/input.h"
#include "apps/s4/member.h"
#include "pe/host/engine.h"
#include "router/client/control.h"
#include "router/client/endpoint.h"
#include "runtime/net/gate.h"
#include "runtime/net/secure.h"

#define NODE_REQUESTS_MAX  1024        /* under way, of all clients */
#define NODE_WAITING_BYTES (256 * MIB) /* of batches that wait for memory; more are refused */
#define NODE_TAILS_MAX     64          /* live subscriptions, of all clients */
#define NODE_SIGN_US       250000      /* how often a waiting client is told */
#define NODE_RETRY_MS      5           /* how often a batch that waits for memory is tried again */

struct node;
struct node_tail;
struct fan;
struct relay;

/* A deployed app. */
struct node_app {
    struct bundle *bundle;   /* held; NULL: this place is free */
    atomic_bool source_open; /* cleared by the engine's upcall */
    bool source_here;        /* it was started on this node */
    bool closing;            /* is being undeployed: nothing is asked of it any more */
    struct node *node;
};

/* Who sent something, as far as keys tell. */
struct node_sender {
    bool local; /* by ipc, to a socket that is guarded for tcp */
    bool keyed;
    uint8_t key[CURVE_BYTES];
};

/* A request under way. */
struct request {
    struct node *node;
    struct request *prev, *next; /* of all, by age */
    zmq_msg_t peer;
    struct node_sender sender;
    S4__Control__Request *message; /* owned */
    uint64_t told_us;              /* when its client heard of it last */
    bool held_back;                /* waits: for memory (inject), for sources to end (drain), for
                                      what is asked of the app (undeploy) */
    bool gone;                     /* its peer cannot be reached */
    uint64_t retry_us;             /* held back: not tried again before */

    /* Filled by an upcall or a job thread before it is done. */
    struct request *done_next;
    s4_status status;
    struct diag diag;
    union {
        struct query_pins *pins;
        uint64_t count; /* instances, dropped events */
        struct engine_drained drained;
    } got;
    void *packed; /* the reply, if the job made it; owned */
    size_t packed_size;

    /* Inject. */
    struct injection *injection;
    size_t bytes; /* of the batch */
    uint64_t accepted, rejected;
    S4__Control__Reject *rejects; /* owned, with their texts */
    S4__Control__Reject **reject_list;
    size_t n_rejects, rejects_capacity;

    /* Deploy, query, ask: the app's; held. */
    struct bundle *bundle;
    struct plugin *plugin;

    struct node_tail *tail; /* of a request about one */
    uint32_t detached;      /* undeploy: streams of other apps */
    bool carries;           /* it is in no list, and carries the tail's calls to other nodes */
    struct fan *fan;        /* other nodes are asked, too; owned */
    uint32_t n_calls;       /* other nodes' answers outstanding */
    uint64_t deployment;    /* deploy in a cluster: its number; 0: not asked for yet */
    bool in_cluster;        /* waits for a map that answers it */
    bool waits_to_serve;    /* for its app, which is about to run, or for the asking node's map */
    bool asked_cluster;     /* the cluster's answer is outstanding */

    struct request *job_next;
};

/* A thread that does one thing after the other. */
struct node_jobs {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    struct request *first, *last;
    bool end;
    pthread_t thread;
};

enum node_stop { NODE_RUNS, NODE_LEAVES, NODE_ENDS_SOURCES, NODE_DRAINS, NODE_ENDED };

struct node {
    struct engine_options options;
    struct endpoint place;
    struct keyring *ring;        /* owned; NULL: no keys, and nothing but this machine */
    struct zap *zap;             /* of who connects by tcp; NULL: no keys, or no tcp */
    const char *listen;          /* tcp://...; NULL: none */
    char tcp[ENDPOINT_TEXT_MAX]; /* the same with its port; "" */

    bool made_dir; /* by this process */
    bool bound;    /* the socket is this process's */
    int lock_fd;
    void *context;
    void *socket;
    void *monitor; /* of its connections */
    struct gate gate;
    int wake;
    int signals;
    struct engine *engine;
    struct node_app apps[ENGINE_APPS_MAX];
    struct request *requests, *requests_last;
    size_t n_requests;
    size_t n_held_back;
    size_t waiting_bytes;
    uint64_t dropped;        /* by the app that ended last */
    struct node_tail *tails; /* node_tail.c */
    size_t n_tails;
    uint64_t last_tail; /* the number of the newest */
    struct alarms alarms;
    enum node_stop stop;
    bool stopped_by_signal;
    bool at_once; /* what does not end is not waited for */

    /* In a cluster. */
    struct member *member; /* NULL: it is in none */
    struct member_options membership;
    struct map *map; /* the newest one; owned */
    uint32_t self;
    struct bundles *bundles;
    struct relay *relay;             /* node_relay.c */
    char clients[ENDPOINT_TEXT_MAX]; /* where clients of other machines, or of this one, come */
    bool asked_to_leave;

    struct node_jobs changes, reads;

    pthread_mutex_t lock; /* of all below */
    struct request *done, *done_last;
    bool drained; /* for the stop */
};

/* node_place.c: takes the directory, binds the sockets. Answers an exit code; what is wrong is
 * told. */
int node_place_take(struct node *node) MUST_USE;
int node_bind(struct node *node) MUST_USE;
int node_ready(const struct node *node) MUST_USE; /* says so */
void node_place_leave(struct node *node);
void node_count_connections(struct node *node); /* the monitor has something */

/* node_keys.c: reads the keys, if there are any; what is wrong is told. Exit code. */
int node_keys_open(struct node *node, const char *dir, const char *secret) MUST_USE;
/* Guards the socket for what is bound by tcp next; and no more. */
s4_status node_keys_guard(struct node *node, const struct address *address,
                          struct diag *diag) MUST_USE;
s4_status node_keys_unguard(struct node *node, struct diag *diag) MUST_USE;
/* Whether they may ask for anything: the key may have been removed since they connected. */
bool node_keys_admit(const struct node *node, const struct node_sender *sender) MUST_USE;
struct node_sender node_keys_sender(zmq_msg_t *message);

/* node_serve.c */
void node_serve(struct node *node, zmq_msg_t *peer, zmq_msg_t *part);
void node_serve_again(struct node *node, struct request *request); /* its app is here now */
void node_finish(struct node *node, struct request *request);      /* its done came */
bool node_sources_open(struct node *node, const char *app);        /* NULL: of any */
/* The app, or NULL and the request is answered. */
struct node_app *node_app_of(struct node *node, struct request *request, const char *name);
/* Requests held back: tries them again. */
void node_try_again(struct node *node);

/* Apps that came and went: in a cluster by the map, else by a request. Takes the bundle. */
void node_app_began(struct node *node, struct bundle *bundle);
void node_app_ended(struct node *node, const char *name, uint64_t dropped);
void node_app_stays(struct node *node, const char *name); /* it could not be undeployed */
/* In a cluster one node runs an app's source: the owner of a slot that the app's name hashes to. */
void node_sources(struct node *node);
void node_deployed(struct request *request, const char *app, const char *version,
                   const char *build_id);
void node_undeployed(struct request *request);

/* node_inject.c */
void node_inject(struct node *node, struct request *request);
void node_inject_again(struct node *node, struct request *request);
void node_inject_finish(struct node *node, struct request *request);
/* What the owner of the producer's slot answered; NULL: nothing, though it may have been `sent` to
 * it. Borrowed. */
void node_inject_relayed(struct node *node, struct request *request,
                         const S4__Control__Reply *reply, bool sent);

/* node_tail.c. False: the request is of another kind. */
bool node_tail_serve(struct node *node, struct request *request) MUST_USE;
bool node_tail_finish(struct request *request) MUST_USE; /* its done came */
void node_tail_pack(struct request *request);            /* job thread */
/* In a cluster: nothing comes from its slots here any more. */
void node_tails_app_ended(struct node *node, const char *app);
/* What another node answered to a tail; takes the reply; NULL: nothing. */
void node_tail_relayed(struct request *carrier, uint32_t member, S4__Control__Reply *reply);
/* Reads what was woken, and drops whose client has gone. */
void node_tails_step(struct node *node, uint64_t now_us);
/* The engine has stopped: whoever waits is told the rest and the end. */
void node_tails_end(struct node *node);

/* node_jobs.c; done is for any thread. */
void node_jobs_start(struct node *node);
void node_jobs_stop(struct node *node);
void node_jobs_push(struct node_jobs *jobs, struct request *request);
void node_done(struct request *request);

/* node_rows.c, node_status.c; any thread. They pack the reply into the request, or set its status
 * and diag. */
void node_status_pack(struct request *request);
void node_rows_pack(struct request *request);
void node_answer_pack(struct request *request, const struct value *value);

/* node_reply.c. Every one ends and frees the request. */
void request_fail(struct request *request, s4_status status, const char *format, ...) PRINTF(3, 4);
void request_reply(struct request *request, S4__Control__Reply *reply);
void request_send(struct request *request); /* its packed reply, or its failure */
/* Tells the client that it is waited for. */
void request_sign(struct request *request, uint64_t now_us);
void request_destroy(struct request *request);

#endif
