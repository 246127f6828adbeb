/* A node of a cluster as a whole, under its engine: the session with the coordination service
 * (router/coord), the sessions with the other nodes (ferry_net.h), and what follows the map
 * (node.h), wired to each other.
 *
 *     coordination service <--> cluster --maps--> node <--> ferry_net <--> other nodes
 *                                                  |  ^
 *                                                  v  '-- blocks of the engine's workers
 *                                                engine
 *
 * One thread, the one that steps it. The program gives it a thread (apps/s4/member.h); the
 * simulation steps many of them by hand. Upcalls come out of a step, of membership_join and of
 * membership_report_app.
 *
 * A map is in force here when all bundles run here that it says to run: so what others send by it
 * waits until this node has somebody to take it.
 */
#ifndef PE_NODE_MEMBERSHIP_H
#define PE_NODE_MEMBERSHIP_H

#include "pe/node/ferry_net.h"
#include "pe/node/node.h"
#include "router/coord/cluster.h"

struct membership;

struct membership_upcalls {
    /* A newer map, borrowed, in which this node is member `self`. When the first one has come,
     * membership_engine_options can be called. */
    void (*changed)(void *user, const struct map *map, uint32_t self);
    /* What becomes of a bundle here; membership_report_app answers. */
    void (*app)(void *user, const struct map_app *app, enum cluster_app what);
    /* The membership is over, others may have its slots: nothing of this node may go on. Whoever
     * owns it begins anew with everything; steps do nothing from now on. */
    void (*stopped)(void *user, const struct diag *why);
    /* It never was what it wanted to be, or cannot go on. */
    void (*failed)(void *user, const struct diag *why);
};

struct membership_options {
    const char *cluster;
    /* Who it is; `address` is where it listens for other nodes. */
    const struct entry_node *entry;
    const char *announce; /* to the others, as its address; NULL: what it bound */
    struct transport *transport;
    struct cluster_service service;
    const struct clock *clock;
    const struct log *log; /* NULL: silence */
    uint64_t seed;         /* 0: from the kernel */
    uint32_t window;       /* frames per lane; 0: the default */
    const struct membership_upcalls *upcalls;
    void *user;
};

/* Binds its address and begins to join. Takes the transport in any case; all else that options
 * point to outlives it, except `cluster`, `entry` and `announce`. */
s4_status membership_create(const struct membership_options *options,
                            struct membership **membership, struct diag *diag) MUST_USE;

/* The engine's options that a cluster decides: nodes, slots, map, genesis, remote. After the first
 * map. The arrays are the membership's. */
void membership_engine_options(struct membership *membership, struct engine_options *options);
/* The engine that was made of them, borrowed: the node takes part from now on. */
void membership_join(struct membership *membership, struct engine *engine);
void membership_report_app(struct membership *membership, const struct map_app *app,
                           enum entry_app_state state, const char *why);

/* Looks at the coordination service, if the last look was long enough ago. */
void membership_step_cluster(struct membership *membership);
/* Changes of the map, and messages of other nodes, so many at most. True: there was work. */
bool membership_step_node(struct membership *membership, size_t messages_max);
/* How long it may sleep if nothing comes; and sleeps so long. */
uint64_t membership_timeout_us(struct membership *membership);
void membership_wait(struct membership *membership);

/* To ask it for something, and for what is so now; NULL when it was left. */
struct cluster *membership_cluster(struct membership *membership);
struct net *membership_net(struct membership *membership);
const struct ferry_net *membership_ferry(const struct membership *membership);
struct node *membership_node(struct membership *membership);
bool membership_has_joined(const struct membership *membership);
/* Not 0: everything that was sent has been applied by the other nodes, and nothing is under way
 * here, under the map of this version, the newest that has come. */
uint64_t membership_settled(const struct membership *membership);

/* Its session with the service ends, others get its slots. Before engine_stop. */
void membership_leave(struct membership *membership);
/* Between engine_stop and engine_destroy: lets go of every block. */
void membership_release(struct membership *membership);
void membership_destroy(struct membership *membership); /* after engine_destroy; NULL is fine */

#endif
