/* The simulated net to its own files: connections and endpoints, all under its one lock.
 * transport_sim.h is the outside. */
#ifndef RUNTIME_NET_SIM_NET_H
#define RUNTIME_NET_SIM_NET_H

#include <pthread.h>

#include "runtime/base/rng.h"
#include "runtime/net/sim_inbox.h"
#include "runtime/net/transport_sim.h"

struct sim_end {
    struct sim_endpoint *endpoint; /* NULL: not connected yet, or destroyed */
    uint64_t peer;                 /* the connection's number at this end */
    uint64_t last_due_us;          /* of what is on its way to this end */
    uint32_t queued;               /* messages on their way to this end */
    bool closed;                   /* sends no more, hears no more */
    bool untold;                   /* the other end closed, and what tells it was blocked */
};

struct sim_conn {
    struct sim_conn *next;
    struct sim_end ends[2]; /* 0: the one that called connect */
    uint32_t items;         /* that name this connection */
    bool hole;              /* what goes in does not come out */
    char address[TRANSPORT_ADDRESS_MAX];
};

struct sim_endpoint {
    struct transport transport;
    struct sim_net *net;
    struct block_pool *pool; /* borrowed */
    struct sim_endpoint *next;
    struct sim_inbox inbox;
    uint64_t peers; /* connections so far: their numbers */
};

struct sim_block {
    const struct transport *from, *to;
};

struct sim_net {
    pthread_mutex_t lock;
    struct sim_net_options options;
    struct rng rng;
    struct sim_conn *conns;
    struct sim_endpoint *endpoints;
    uint64_t numbers, messages;
    uint64_t faults[SIM_FAULTS];
    enum sim_fault planned;
    uint64_t planned_at;
    uint32_t rates[SIM_FAULTS]; /* in a million */
    struct sim_block blocks[SIM_BLOCKS_MAX];
    size_t blocks_count;
};

/* ---- under the lock ---- */

void sim_conn_drop(struct sim_net *net, struct sim_conn *conn);
void sim_conn_close(struct sim_net *net, struct sim_conn *conn, int side, const char *reason);
struct sim_conn *sim_conn_find(const struct sim_endpoint *endpoint, uint64_t peer, int *side);
s4_status sim_bind_locked(struct sim_endpoint *endpoint, const char *address,
                          struct diag *diag) MUST_USE;
s4_status sim_connect_locked(struct sim_endpoint *endpoint, const char *address,
                             uint64_t *peer) MUST_USE;
bool sim_is_blocked(const struct sim_net *net, const struct sim_endpoint *from,
                    const struct sim_endpoint *to);
/* Ends and connections that can be told of and made now. */
void sim_unblock_locked(struct sim_net *net);
s4_status sim_send_locked(struct sim_net *net, struct sim_conn *conn, int side,
                          const void *envelope, size_t size, struct block *block) MUST_USE;
void sim_endpoint_forget(struct sim_endpoint *endpoint);

#endif
