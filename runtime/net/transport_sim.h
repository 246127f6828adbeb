/* A network inside one process: endpoints with threads of their own, or all on one thread under a
 * simulated clock, with faults drawn from a seed.
 *
 * Messages of one connection and direction stay in order whatever the delays are; messages of
 * different connections overtake each other. Blocks are copied into the receiver's pool, as a real
 * network would. Addresses are any text.
 */
#ifndef RUNTIME_NET_TRANSPORT_SIM_H
#define RUNTIME_NET_TRANSPORT_SIM_H

#include "runtime/base/clock.h"
#include "runtime/net/transport.h"

#define SIM_QUEUE_DEFAULT 1000 /* messages of one connection and direction; then S4_FULL */
#define SIM_BLOCKS_MAX    64   /* directions that are blocked at one time */
#define SIM_LATE_MAX_US   8000000u

struct sim_net;

enum sim_fault {
    SIM_NO_FAULT,
    SIM_DROP,      /* the message does not arrive */
    SIM_DUPLICATE, /* it arrives twice */
    SIM_FLIP,      /* one bit of it is flipped, in either frame */
    SIM_CUT,       /* its connection closes instead */
    SIM_HOLE,      /* nothing of its connection arrives any more, either way, not even its end */
    SIM_LATE,      /* it comes late, by up to SIM_LATE_MAX_US, and what is behind it, too */
    SIM_FAULTS
};

struct sim_net_options {
    const struct clock *clock; /* borrowed; a simulated one: single-threaded use, no waits */
    uint64_t seed;
    uint32_t delay_max_us; /* 0: a message is there at once */
    uint32_t queue_max;    /* 0: SIM_QUEUE_DEFAULT */
};

s4_status sim_net_create(const struct sim_net_options *options, struct sim_net **net) MUST_USE;
void sim_net_destroy(struct sim_net *net); /* after its endpoints; NULL is fine */

/* An endpoint whose arriving blocks come from `pool`. Any thread; then one thread owns it. */
s4_status sim_net_endpoint(struct sim_net *net, struct block_pool *pool,
                           struct transport **transport) MUST_USE;

/* Any thread. A fault for the n-th message that the net carries, counted from 1. */
void sim_net_plan(struct sim_net *net, enum sim_fault fault, uint64_t message);
/* Any thread. From now on faults are drawn: so many of each in a million messages. */
void sim_net_rates(struct sim_net *net, const uint32_t per_million[SIM_FAULTS]);
/* Any thread. Nothing arrives any more that goes from one to the other: no message, no end of a
 * connection; and no connection comes up between them. When that is over, ends are told late. */
void sim_net_block(struct sim_net *net, const struct transport *from, const struct transport *to,
                   bool blocked);
uint64_t sim_net_messages(struct sim_net *net);                     /* sent so far */
uint64_t sim_net_faults(struct sim_net *net, enum sim_fault fault); /* injected so far */
/* When the next message is due, for a simulated clock; UINT64_MAX: nothing is on its way. */
uint64_t sim_net_due_us(struct sim_net *net);

#endif
