/* The pool that runs requests: functions that may block, outside any partition. A seam: threads in
 * the product, and a simulated one that runs a job at a later, drawn step (pool_sim.h).
 *
 * A job is embedded in the submitter's struct, which keeps it alive until `done`. For every job
 * that was submitted, `done` is called exactly once: after `run` with S4_OK, or without it with
 * S4_CANCELLED (README.md, rule 13).
 */
#ifndef RUNTIME_ACTOR_POOL_H
#define RUNTIME_ACTOR_POOL_H

#include "runtime/base/base.h"

struct job {
    struct job *next;                                /* the pool's */
    void (*run)(struct job *job);                    /* on a thread of the pool; may block */
    void (*done)(struct job *job, s4_status status); /* the same thread, or the destroyer's */
};

struct pool {
    /* S4_FULL: as many wait as may. Any thread. */
    s4_status (*submit)(struct pool *pool, struct job *job);
    /* Lets running jobs end, cancels the others. NULL pool is fine (pool_destroy). */
    void (*destroy)(struct pool *pool);
};

static inline s4_status pool_submit(struct pool *pool, struct job *job)
{
    return pool->submit(pool, job);
}

static inline void pool_destroy(struct pool *pool)
{
    if (pool)
        pool->destroy(pool);
}

/* The real one: `threads` threads, at most `waiting_max` jobs that wait. */
s4_status pool_create(uint32_t threads, uint32_t waiting_max, struct pool **pool) MUST_USE;

#endif
