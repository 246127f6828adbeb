/* What a node's connections are to net.c (the calls from above) and net_slots.c (the upcalls from
 * below). Private to these two. */
#ifndef RUNTIME_NET_NET_IMPL_H
#define RUNTIME_NET_NET_IMPL_H

#include "runtime/base/rng.h"
#include "runtime/net/envelope.h"
#include "runtime/net/net.h"

struct link_slot {
    struct net *net;
    struct session *session; /* owned */
    uint64_t peer;           /* the transport's */
    uint32_t number;         /* of this node's sessions; never reused. Openers: the peer's index */
    bool opener;
    bool opened;
    bool gone; /* the transport forgot the peer */
};

struct slot_list {
    struct link_slot **slots;
    size_t count;
    size_t capacity;
};

struct net {
    struct net_options options;
    char node[ENVELOPE_NAME_MAX + 1];
    struct rng rng;
    struct slot_list out; /* by peer index, kept to the end */
    struct slot_list in;  /* removed when over */
    uint32_t accepted;    /* sessions of `in` so far */
    bool closing;
    struct session_counters ended; /* of removed `in` sessions */
    uint64_t refused;
};

/* A session with its place in the list, which is one of the net's two. S4_FULL: NET_PEERS_MAX. */
s4_status net_slot_add(struct net *net, struct slot_list *list, const char *name,
                       struct link_slot **slot) MUST_USE;
void net_slot_destroy(struct link_slot *slot);

extern const struct transport_upcalls net_transport_upcalls; /* user: struct net */

#endif
