/* What a node of a cluster does on its control thread: it follows the map, has bundles run that it
 * wants, asks the other nodes, and leaves. */
#ifndef APPS_S4_NODE_CLUSTER_H
#define APPS_S4_NODE_CLUSTER_H

#include "apps/s4/node.h"

/* Joins, and waits until it is a member: then options are filled for its engine. An exit code. */
int cluster_node_join(struct node *node) MUST_USE;
/* With the engine that was made. */
int cluster_node_start(struct node *node) MUST_USE;
void cluster_node_step(struct node *node); /* takes events and news */
/* Before engine_stop, between that and engine_destroy, after that. */
void cluster_node_stop(struct node *node);
void cluster_node_release(struct node *node);
void cluster_node_destroy(struct node *node);

/* Who owns a slot by the newest map: an index; MAP_NOBODY. */
uint32_t cluster_node_owner(const struct node *node, uint32_t slot);
/* A request that another node did not send, in a cluster. */
bool cluster_node_asks(const struct node *node, const struct request *request);

/* A bundle that was read: the cluster is asked to run it, and the request waits until it does. */
void cluster_node_deploy(struct node *node, struct request *request);
void cluster_node_undeploy(struct node *node, struct request *request);
void cluster_node_drain(struct node *node, struct request *request); /* DRAIN_NODE */
void cluster_node_await(struct node *node, struct request *request); /* AWAIT */
/* Its app, or the map by which it is asked, is not here yet and will be. */
bool cluster_node_awaits(const struct node *node, const struct request *request);
void cluster_node_fetch(struct request *request); /* job thread */
/* The cluster's part of a status, for the job thread. */
void cluster_node_note(struct node *node, struct request *request);

/* It begins to leave; true: it has no slots, or nobody would take them. */
bool cluster_node_leave(struct node *node);

/* From node_relay.c; takes the reply; NULL: there is none, and if it was
 * not sent there never will be. */
void node_relayed(struct node *node, struct request *request, uint32_t member,
                  S4__Control__Reply *reply, bool sent);

#endif
