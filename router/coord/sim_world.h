/* The simulated service's inside, for its own files: what is on its way, servers, sessions.
 * coord_sim.h is the outside. One thread.
 *
 *   client --request--> its server --write, FRESH, ping--> the world decides
 *     ^                     |  ^                               |
 *     +--answer, changed----+  +--every write, with a lag------+
 */
#ifndef ROUTER_COORD_SIM_WORLD_H
#define ROUTER_COORD_SIM_WORLD_H

#include "router/coord/coord_queue.h"
#include "router/coord/coord_sim.h"
#include "router/coord/coord_tree.h"
#include "runtime/base/rng.h"

/* A decided write on its way to the servers. */
struct sim_txn {
    uint64_t number, session;
    size_t n; /* ops; 0: the session's end */
    size_t holds;
    struct coord_op ops[COORD_OPS_MAX]; /* what they name: own memory behind this */
};

struct sim_session {
    struct sim_session *next;
    uint64_t id, heard_us;
    bool ended;
};

struct sim_watch {
    struct sim_watch *next;
    struct coord_item *item; /* owned: what it tells */
    uint64_t number;         /* of the last write that its reader saw */
    bool existed;
    bool fired; /* on its way */
};

enum sim_request_kind { SIM_GET, SIM_CHILDREN, SIM_WRITE, SIM_PING };

struct sim_request {
    struct sim_request *next;
    enum sim_request_kind kind;
    unsigned flags;
    bool delayed;
    uint64_t sent_us;
    struct coord_item *item; /* the client's, which may be gone when the connection is */
    struct sim_watch *watch; /* owned, or NULL */
    struct sim_txn *txn;     /* owned, of a write */
    s4_status status;        /* of a write, decided */
    size_t failed_op;
    char path[COORD_PATH_MAX + 1]; /* of the read; of the single creation */
};

struct sim_conn {
    struct sim_client *client; /* NULL: it was cut */
    struct sim_session *session;
    size_t server;
    size_t holds;                    /* events, and the client */
    bool late;                       /* cut, but what it carried arrives, later */
    bool busy;                       /* its server works on a request */
    bool broken;                     /* a message was lost: no more can come */
    uint64_t to_due_us, from_due_us; /* of the last message on its way */
    struct sim_request *head;        /* at the server, in order; the first is being served */
    struct sim_request **tail;
};

enum sim_event_kind {
    SIM_ARRIVE,
    SIM_DECIDE,
    SIM_SERVED,
    SIM_ANSWER,
    SIM_CHANGED,
    SIM_CUT,
    SIM_APPLY,
    SIM_EXPIRE,
    SIM_CONNECT,
    SIM_TICK,
};

struct sim_event {
    struct sim_event *next;
    uint64_t due_us;
    enum sim_event_kind kind;
    struct sim_conn *conn; /* held */
    struct sim_request *request;
    struct sim_watch *watch; /* the client's, good while the connection is */
    struct sim_txn *txn;     /* held */
    size_t server;
    struct sim_session *session;
    struct sim_client *client;
};

struct sim_server {
    struct coord_tree tree;
    uint64_t due_us; /* of the last write on its way to it */
};

struct sim_client {
    struct coord coord;
    struct coord_world *world;
    struct sim_client *next;
    uint32_t number;
    struct sim_session *session; /* NULL: none yet */
    struct sim_conn *conn;       /* NULL: not connected */
    struct coord_queue queue;
    struct coord_queue pending; /* answers that are to come, in order */
    struct sim_watch *watches;
    size_t n_watches;
    bool cut_to, cut_from, stopped, over;
    uint64_t seen;     /* number of the last write seen: it never reads from before it */
    uint64_t heard_us; /* when the service was last heard */
    uint64_t proof_us; /* for coord_sure_until_us */
};

struct coord_world {
    struct coord_sim_options options;
    struct rng rng;
    struct coord_tree tree; /* as decided */
    struct sim_server servers[COORD_SIM_SERVERS_MAX];
    struct sim_session *sessions;
    struct sim_client *clients;
    struct sim_event *events; /* by due time */
    uint64_t numbers;         /* decided writes */
    uint64_t n_sessions;
    uint32_t n_clients;
    bool away;
    uint64_t hash;
    uint64_t faults[COORD_FAULTS];
};

uint64_t sim_now_us(const struct coord_world *world);
bool sim_draw_fault(struct coord_world *world, enum coord_fault fault);
uint64_t sim_draw_us(struct coord_world *world, uint64_t max_us);
void sim_note(struct coord_world *world, uint64_t what, uint64_t who, uint64_t value);

/* Takes a copy; holds what it names. */
void sim_event_add(struct coord_world *world, struct sim_event event);
void sim_event_forget_client(struct coord_world *world, const struct sim_client *client);
void sim_conn_release(struct sim_conn *conn);
void sim_txn_release(struct sim_txn *txn);
void sim_request_destroy(struct sim_request *request);

/* ---- the service: sim_service.c ---- */

struct sim_session *sim_session_start(struct coord_world *world);
void sim_session_end(struct coord_world *world, struct sim_session *session);
void sim_session_due(struct coord_world *world, struct sim_session *session);
void sim_service_arrive(struct coord_world *world, struct sim_conn *conn,
                        struct sim_request *request);
void sim_service_decide(struct coord_world *world, struct sim_conn *conn,
                        struct sim_request *request);
void sim_service_served(struct coord_world *world, struct sim_conn *conn,
                        struct sim_request *request);
void sim_service_apply(struct coord_world *world, size_t server, const struct sim_txn *txn);
/* What a watch is about is not as it was when it was set. */
bool sim_watch_stale(const struct coord_tree *tree, const struct sim_watch *watch);
void sim_watch_fire(struct coord_world *world, struct sim_conn *conn, struct sim_watch *watch);

/* ---- a client's end: coord_sim.c ---- */

void sim_client_answer(struct sim_client *client, struct sim_conn *conn,
                       struct sim_request *request);
void sim_client_changed(struct sim_client *client, struct sim_watch *watch);
void sim_client_lose(struct sim_client *client, const char *why);
void sim_client_connect(struct sim_client *client);
void sim_client_tick(struct sim_client *client);
bool sim_client_hears(struct sim_client *client, struct sim_conn *conn);

#endif
