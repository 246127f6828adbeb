/* Joins an engine to the other nodes of a fixed cluster: blocks for their workers go out through a
 * net, theirs come in, credit and acknowledgement go back.
 *
 * Workers hand blocks and answers over through one lock-free stack; peers_step, which one thread
 * calls (a thread of its own where there are several workers), does all that touches the net.
 */
#ifndef PE_HOST_PEERS_H
#define PE_HOST_PEERS_H

#include "pe/host/engine.h"
#include "runtime/net/net.h"

struct peers;

/* The remote that goes into engine_options; the engine follows with peers_join. */
s4_status peers_create(uint32_t nodes, uint32_t node, struct peers **peers) MUST_USE;
void peers_destroy(struct peers *peers); /* after the engine has stopped; NULL is fine */
const struct engine_remote *peers_remote(struct peers *peers);

/* The upcalls for net_create, with `peers` as user. */
extern const struct net_upcalls peers_upcalls;

/* engine and net are borrowed; `others` are the engines of the other nodes if they live in this
 * process, so that a drain counts what is on its way between them (NULL: unknown). */
void peers_join(struct peers *peers, struct engine *engine, struct net *net,
                struct engine *const *others);
/* Node `node` is the net's peer `peer`. */
void peers_route(struct peers *peers, uint32_t node, uint32_t peer);

/* Stepping thread: sends, receives, acknowledges. True: there was work. */
bool peers_step(struct peers *peers);

/* Why the node must stop, or NULL: a session failed, or a node is silent for too long. Any thread.
 */
const char *peers_fault(const struct peers *peers);

#endif
