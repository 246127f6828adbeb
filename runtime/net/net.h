/* A node's connections to other nodes: what the node sees of transport and sessions.
 *
 * A block goes out with net_send on a lane to a peer, and arrives at the other node's block_arrived
 * with a token; the receiver gives the token back twice, to net_credit when the block's records are
 * in their partitions' runs and to net_applied when they are applied. Blocks are released here when
 * the other node has applied them.
 *
 * Connections that are lost are made again, and what they lost goes again: nothing of that is seen
 * here but time. A node that is silent for long is told of (`unheard`); that it is dead is for
 * others to decide, who then end its sessions (net_end). What else ends a session is told by
 * `failed`, once for each; the other sessions go on.
 *
 * One thread, the one that steps; other threads only call net_wake, and hand blocks and tokens over
 * through queues of their own.
 */
#ifndef RUNTIME_NET_NET_H
#define RUNTIME_NET_NET_H

#include "runtime/base/log.h"
#include "runtime/net/session.h"

#define NET_PEERS_MAX      256u               /* sessions of each direction */
#define NET_VISITORS_MAX   64u                /* connections from outside before their HELLO */
#define NET_VISIT_US       5000000u           /* for which they may say nothing */
#define NET_DEAD_MAX       256u               /* incarnations that are not listened to any more */
#define NET_UNHEARD_US     SESSION_UNHEARD_US /* silence that is told */
#define NET_UNHEARD_MIN_US SESSION_UNHEARD_MIN_US

struct net;

/* Names a frame that arrived; plain data, may travel through other threads. A token of a session
 * that is over is ignored. */
struct net_token {
    uint32_t session;
    uint32_t lane;
    uint64_t frame;
};

/* Strings are borrowed for the call. */
struct net_arrival {
    const char *peer; /* the node that sent it */
    uint64_t incarnation;
    const char *app;
    uint64_t schema;
    uint64_t version; /* of the sender's map when it closed the block */
    struct net_token token;
};

/* Strings are borrowed for the call. */
struct net_silence {
    const char *peer; /* "?": nobody ever answered */
    uint64_t incarnation;
    bool heard; /* again; else nothing was heard for unheard_us */
    bool ever;  /* it was heard before */
};

/* Called by net_step only; `failed` also by net_send and net_refuse. They may call net, not destroy
 * it. */
struct net_upcalls {
    /* The block becomes the callee's; see session_upcalls.arrived. */
    void (*block_arrived)(void *user, const struct net_arrival *arrival, struct block *block);
    void (*peer_up)(void *user, uint32_t peer); /* for the first time; may be NULL */
    /* The other node did not take the records for `slot` in a frame that is still held here. Once
     * for each, before the frame is let go. The block is borrowed. NULL: it may not say so. */
    void (*not_mine)(void *user, uint32_t peer, const struct session_frame *frame,
                     const struct block *block, uint32_t slot);
    /* On one of the sessions with it nothing was heard for unheard_us, or on all it is heard again.
     * May be NULL. */
    void (*unheard)(void *user, const struct net_silence *silence);
    /* A session ended because of what the other node is or said. */
    void (*failed)(void *user, const char *peer, uint64_t incarnation, const struct diag *diag);
};

struct net_options {
    struct transport *transport; /* net_create takes it on success; net_destroy destroys it */
    const struct clock *clock;   /* borrowed */
    const struct log *log;       /* borrowed; NULL: silence */
    const char *node;            /* own name; copied */
    uint64_t seed;               /* for session numbers, and when to try again */
    uint32_t window;             /* frames per lane; 0: LANE_WINDOW_DEFAULT */
    uint64_t unheard_us;         /* 0: NET_UNHEARD_US; else NET_UNHEARD_MIN_US or more */
    const struct net_upcalls *upcalls;
    void *user;
};

struct net_counters {
    struct session_counters out, in; /* sums over the sessions of each direction, ended ones too */
    uint64_t refused;                /* connections that did not open a session */
};

/* A lane's number from the global numbers of its two workers. */
static inline uint32_t net_lane(uint16_t source, uint16_t destination)
{
    return (uint32_t)source << 16 | destination;
}

s4_status net_create(const struct net_options *options, struct net **net,
                     struct diag *diag) MUST_USE;
void net_destroy(struct net *net); /* releases every block; NULL is fine */

s4_status net_bind(struct net *net, const char *address, struct diag *diag) MUST_USE;
const char *net_address(const struct net *net); /* as it came out: real port or path */
/* Once, before the first net_connect: what this node is in its cluster. The incarnation is drawn at
 * each start, and not 0. Who says HELLO before is told to come again. */
void net_identify(struct net *net, uint64_t cluster, uint64_t incarnation);
/* Opens a session to a node; it may be sent to at once, and frames wait until it is up. `name`: who
 * must answer there, NULL: anyone; `incarnation` 0: any, and from the first answer on the same. An
 * address that is none is tried again like one that nobody answers at: only this node knows it, and
 * it must not harm what is between others. S4_FULL: NET_PEERS_MAX. */
s4_status net_connect(struct net *net, const char *name, uint64_t incarnation, const char *address,
                      uint32_t *peer, struct diag *diag) MUST_USE;

/* See session_send: what is sent on a session that failed is held like other frames, until net_end.
 * The app is a name, the schema the hash of its graph and types, the version that
 * of the sender's map when it closed the block (0: it has none). */
s4_status net_send(struct net *net, uint32_t peer, uint32_t lane, const char *app, uint64_t schema,
                   uint64_t version, struct block **block) MUST_USE;
/* What the other node is not known to have applied; see session_walk. fn must not call net. */
void net_walk(const struct net *net, uint32_t peer, session_held_fn *fn, void *user);
void net_credit(struct net *net, const struct net_token *token);
void net_applied(struct net *net, const struct net_token *token);
/* Before net_applied: the frame's records for this slot were not taken. */
void net_not_mine(struct net *net, const struct net_token *token, uint32_t slot);

/* Its incarnation is dead, or its session failed: what is held for it is dropped, and the peer's
 * index is free when the step is over. At any time. */
void net_end(struct net *net, uint32_t peer);
/* The same for what comes from there; and who says HELLO as this incarnation is refused from now
 * on. */
void net_end_from(struct net *net, const char *name, uint64_t incarnation);
/* The same, for what it sent: it is told, and so is `failed` if there was a session. */
void net_refuse(struct net *net, const char *name, uint64_t incarnation, const struct diag *diag);

/* Receives up to `max` messages and sends what can go. True: there was work. */
bool net_step(struct net *net, size_t max);
/* Sleeps until there may be work for net_step, net_wake was called, or the time is over. */
void net_wait(struct net *net, uint64_t timeout_us);
void net_wake(struct net *net);           /* any thread */
struct waker *net_waker(struct net *net); /* that net_wait sleeps on; for others of its thread */

/* Ends the sessions that were opened here, each when its frames are acknowledged. Step on until
 * net_is_closed: every session, of both directions, is over, or nothing was heard on it for
 * unheard_us and nothing is owed to it. */
void net_close(struct net *net);
bool net_is_closed(const struct net *net);

/* When net_step has something to do at the latest, if nothing comes: for whoever moves a simulated
 * clock. UINT64_MAX: never. */
uint64_t net_deadline_us(const struct net *net);

bool net_is_drained(const struct net *net); /* every frame sent from here is acknowledged */
struct net_counters net_counters(const struct net *net);

#endif
