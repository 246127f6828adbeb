/* Jobs wait in an array without order: every step draws one, so that answers overtake each other in
 * all ways that threads could bring about, and one seed repeats them. */
#include "runtime/actor/pool_sim.h"

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

struct pool_sim {
    struct pool pool;
    struct rng rng;
    uint32_t waiting;
    uint32_t waiting_max;
    struct job *jobs[];
};

static struct pool_sim *sim_of(struct pool *pool)
{
    return CONTAINER_OF(pool, struct pool_sim, pool);
}

static s4_status submit(struct pool *pool, struct job *job)
{
    struct pool_sim *sim = sim_of(pool);
    if (sim->waiting == sim->waiting_max)
        return S4_FULL;
    sim->jobs[sim->waiting++] = job;
    return S4_OK;
}

static struct job *draw(struct pool_sim *sim)
{
    uint64_t at = rng_below(&sim->rng, sim->waiting);
    struct job *job = sim->jobs[at];
    sim->jobs[at] = sim->jobs[--sim->waiting];
    return job;
}

bool pool_sim_step(struct pool *pool)
{
    struct pool_sim *sim = sim_of(pool);
    if (sim->waiting == 0)
        return false;
    struct job *job = draw(sim);
    job->run(job);
    job->done(job, S4_OK);
    return true;
}

uint32_t pool_sim_waiting(const struct pool *pool)
{
    return ((const struct pool_sim *)(const void *)pool)->waiting;
}

static void destroy(struct pool *pool)
{
    struct pool_sim *sim = sim_of(pool);
    while (sim->waiting > 0) {
        struct job *job = draw(sim);
        job->done(job, S4_CANCELLED);
    }
    mem_free(sim);
}

s4_status pool_sim_create(uint32_t waiting_max, uint64_t seed, struct pool **pool)
{
    if (waiting_max == 0)
        return S4_RANGE;
    struct pool_sim *sim = mem_zalloc(sizeof *sim + waiting_max * sizeof(struct job *));
    if (!sim)
        return S4_NO_MEMORY;
    sim->pool = (struct pool){ .submit = submit, .destroy = destroy };
    sim->waiting_max = waiting_max;
    rng_init(&sim->rng, seed);
    *pool = &sim->pool;
    return S4_OK;
}
