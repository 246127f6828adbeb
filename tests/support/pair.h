/* Two nodes in one process, each an engine with a net, joined by one of the transports; a fixed map
 * of slots. On one thread under a simulated clock, or with threads. */
#ifndef TESTS_SUPPORT_PAIR_H
#define TESTS_SUPPORT_PAIR_H

#include <pthread.h>

#include "pe/host/peers.h"
#include "runtime/base/rng.h"
#include "tests/support/ends.h"
#include "tests/support/rig.h"

struct pair {
    enum ends_kind kind;
    struct rig rigs[2];
    struct peers *peers[2];
    struct net *nets[2];
    struct sim_net *sim;
    struct clock_sim clock;
    pthread_t steppers[2];
    _Atomic bool stop;
    bool faulty; /* a fault is expected */
};

/* `options`: app, manifest, slots, workers, block size, seed; threads follow from the kind. */
void pair_start(struct pair *pair, enum ends_kind kind, const struct rig_options *options);
void pair_stop(struct pair *pair);

/* By hand: one step of something that `draw` chooses; false after many steps without work. */
bool pair_step(struct pair *pair, struct rng *draw);
/* Drains both until neither causes anything more. */
void pair_finish(struct pair *pair);

#endif
