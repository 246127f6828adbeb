/* What a worker knows of one block: the order of its records, and a run per partition that it has
 * records for. Private to runtime/actor. */
#ifndef RUNTIME_ACTOR_RUNS_H
#define RUNTIME_ACTOR_RUNS_H

#include "runtime/actor/worker.h"

struct block_runs {
    struct block_runs *next; /* in the free list */
    struct block *block;
    uint32_t n_runs;
    uint32_t runs_left;
    uint32_t order_max;
    uint32_t runs_max;
    struct block_place *order; /* partition by partition */
    struct run *runs;
};

/* The records that a run still has to execute, in a block of their own and of just their size, with
 * its one run, which lies in it and goes with it. NULL: out of memory. The other run is as before.
 */
struct run *run_copy(const struct run *run);

#endif
