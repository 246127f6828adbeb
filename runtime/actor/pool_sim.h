/* The simulated pool of requests: no threads, a job runs at a drawn later step. One thread. */
#ifndef RUNTIME_ACTOR_POOL_SIM_H
#define RUNTIME_ACTOR_POOL_SIM_H

#include "runtime/actor/pool.h"

/* At most `waiting_max` jobs wait; equal seeds and equal calls give equal orders. */
s4_status pool_sim_create(uint32_t waiting_max, uint64_t seed, struct pool **pool) MUST_USE;

/* Runs one of the waiting jobs, drawn, and its `done`. False: none waits. */
bool pool_sim_step(struct pool *pool);
uint32_t pool_sim_waiting(const struct pool *pool);

#endif
