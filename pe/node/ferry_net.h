/* The ferry over a net: each member that the map names has a session there, known by its name and
 * incarnation, whatever becomes of connections. What comes from a node that this node's map does
 * not name yet waits until it does, as the window of its sender allows.
 *
 * One thread, the one that steps the node; it calls ferry_net_step beside node_step.
 */
#ifndef PE_NODE_FERRY_NET_H
#define PE_NODE_FERRY_NET_H

#include "pe/node/ferry.h"
#include "runtime/net/net.h"

struct node;
struct ferry_net;

struct ferry_net_options {
    struct transport *transport; /* taken on success */
    const struct clock *clock;
    const struct log *log; /* NULL: silence */
    const char *node;      /* own name */
    uint64_t seed;
    uint32_t window; /* frames per lane; 0: LANE_WINDOW_DEFAULT */
};

s4_status ferry_net_create(const struct ferry_net_options *options, struct ferry_net **ferry,
                           struct diag *diag) MUST_USE;
void ferry_net_destroy(struct ferry_net *ferry); /* after node_stop; NULL is fine */

struct ferry *ferry_net_ferry(struct ferry_net *ferry);
struct net *ferry_net_net(struct ferry_net *ferry); /* to bind, to wait, for counters */

/* With whom it may speak from now on; before, and again, node_join. */
void ferry_net_identify(struct ferry_net *ferry, struct node *node, uint64_t cluster,
                        uint64_t incarnation);

/* Receives and sends. True: there was work. */
bool ferry_net_step(struct ferry_net *ferry, size_t max);

/* Whether a member was not heard of for the bound that net has. */
bool ferry_net_is_unheard(const struct ferry_net *ferry, uint32_t node);

#endif
