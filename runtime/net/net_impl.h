/* What a node's connections are to net.c (the calls from above), net_slots.c (sessions, and their
 * upcalls) and net_visitors.c (who comes from outside). Private to these. */
#ifndef RUNTIME_NET_NET_IMPL_H
#define RUNTIME_NET_NET_IMPL_H

#include "runtime/base/rng.h"
#include "runtime/net/envelope.h"
#include "runtime/net/net.h"

#define NET_BACKOFF_US     20000u   /* before the next connection, at first */
#define NET_BACKOFF_MAX_US 2000000u /* it doubles up to this */
#define NET_STEADY_US      1000000u /* a connection that held so long: begin with the first */

/* A session, and the connection that it has now. */
struct link_slot {
    struct net *net;
    struct session *session; /* owned */
    uint64_t peer;           /* the transport's, while linked */
    uint32_t number;         /* acceptors: never used again. Openers: the peer's index */
    bool opener;
    bool linked; /* there is a connection, or one is being made */
    bool ended;  /* nobody wants it any more */
    /* openers: */
    char address[TRANSPORT_ADDRESS_MAX];
    uint64_t up_us;    /* when the connection came up; 0: it did not */
    uint64_t retry_us; /* when to make another, while not linked */
    uint64_t backoff_us;
    bool warned; /* of what keeps it from its peer, since it was last steady */
};

struct slot_list {
    struct link_slot **slots;
    size_t count;
    size_t capacity;
};

/* A connection from outside that has not said who it is. */
struct visitor {
    uint64_t peer;
    uint64_t until_us;
};

struct net {
    struct net_options options;
    struct self self;
    struct rng rng;
    struct slot_list out;                      /* by peer index; NULL: free */
    struct slot_list in;                       /* removed when over */
    uint32_t accepted;                         /* sessions of `in` so far */
    struct visitor visitors[NET_VISITORS_MAX]; /* oldest first */
    size_t visitors_count;
    uint64_t dead[NET_DEAD_MAX]; /* incarnations; the oldest is overwritten */
    uint64_t dead_count;         /* so far */
    bool closing;
    struct session_counters ended_out, ended_in; /* of removed sessions */
    uint64_t refused;
};

static inline uint64_t net_now(const struct net *net)
{
    return net->options.clock->mono_us(net->options.clock);
}

/* ---- net_slots.c ---- */

/* A session with its place in the list, which is one of the net's two. S4_FULL: NET_PEERS_MAX. */
s4_status net_slot_add(struct net *net, struct slot_list *list, const char *name,
                       uint64_t incarnation, struct link_slot **slot) MUST_USE;
void net_slot_destroy(struct link_slot *slot);
struct link_slot *net_slot_of_peer(const struct net *net, uint64_t peer);
void net_slot_unlink(struct link_slot *slot);      /* ends its connection */
void net_slot_retry_later(struct link_slot *slot); /* opener: the connection is gone */
void net_slot_connect(struct link_slot *slot);     /* opener: makes one, or will try again */
/* Makes the connections that are due. True: there was one. */
bool net_slots_reopen(struct net *net);

extern const struct transport_upcalls net_transport_upcalls; /* user: struct net */

/* ---- net_visitors.c ---- */

void net_visitor_came(struct net *net, uint64_t peer);
/* Consumes the block. A peer that is no visitor is ignored. */
void net_visitor_says(struct net *net, uint64_t peer, const void *bytes, size_t size,
                      struct block *block);
void net_visitor_left(struct net *net, uint64_t peer, const char *reason);
void net_visitors_step(struct net *net); /* those that say nothing have to go */
uint64_t net_visitors_deadline_us(const struct net *net);

#endif
