/* Two connected transports of one kind, for tests that must hold over all of them. */
#ifndef TESTS_SUPPORT_ENDS_H
#define TESTS_SUPPORT_ENDS_H

#include "runtime/net/transport_sim.h"
#include "tests/support/key_place.h"

enum ends_kind {
    ENDS_SIM,    /* one thread, simulated clock, delays drawn from the seed */
    ENDS_INPROC, /* the same network, real clock, no delays: for threads */
    ENDS_TCP,
    ENDS_IPC,
    ENDS_CURVE, /* tcp, with keys: each knows the other alone; end 0 is a, end 1 is b */
};

struct ends {
    enum ends_kind kind;
    struct block_pool *pools[2];
    struct transport *transports[2]; /* NULL: given away, or destroyed */
    const struct clock *clock;
    struct clock_sim sim_clock;
    struct sim_net *sim;        /* NULL with ZeroMQ */
    struct key_place places[2]; /* of keys, and what is read from them; ENDS_CURVE only */
    struct keyring *rings[2];
};

/* `queue_max`: messages per connection and direction, 0: the default. Aborts on any error. */
void ends_open(struct ends *ends, enum ends_kind kind, uint64_t seed, uint32_t queue_max);
/* Checks that every block is back in its pool. */
void ends_close(struct ends *ends);
/* Where end 1 may be bound. */
const char *ends_address(const struct ends *ends);
/* Lets time pass when neither end has work: moves the clock, or waits at end `i` for a while. */
void ends_idle(struct ends *ends, int i);

/* A block whose bytes all follow from `seed`, of a size that follows from it too. */
struct block *ends_block(struct block_pool *pool, uint64_t seed);
void ends_check_block(const struct block *block, uint64_t seed);

#endif
