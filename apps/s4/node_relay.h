/* Requests to the other nodes of the cluster, as a client sends them, on the control thread: one
 * DEALER for each member, made when it is first needed. A call ends with a reply, or without one:
 * the member has gone, or gave no sign of life for a while.
 */
#ifndef APPS_S4_NODE_RELAY_H
#define APPS_S4_NODE_RELAY_H

#include "apps/s4/node.h"

#define RELAY_SILENCE_US 5000000 /* without a sign of life */
#define RELAY_RESEND_US  2000000 /* the same; a numbered batch is sent again, and waited for */
#define RELAY_CALLS_MAX  (NODE_REQUESTS_MAX * MAP_MEMBERS_MAX)

s4_status relay_create(struct node *node) MUST_USE;
void relay_destroy(struct node *node);

/* Sends what the client asked on to a member; its answer comes to node_relayed, in any case, in a
 * later step. */
void relay_send(struct node *node, struct request *request, uint32_t member,
                const S4__Control__Request *message);
/* The request ends: its answers are not wanted any more. */
void relay_forget(struct request *request);
/* A newer map: who has gone will not answer. */
void relay_changed(struct node *node);

/* What to poll: at most MAP_MEMBERS_MAX; how many. */
size_t relay_sockets(struct node *node, zmq_pollitem_t *items);
/* Takes answers, and ends calls that are too old. */
void relay_step(struct node *node, uint64_t now_us);

#endif
