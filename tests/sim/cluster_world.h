/* A simulated cluster: nodes that are the product's own cluster objects, on a simulated
 * coordination service under a simulated clock, with faults by a seed; and the rules that must hold
 * whatever happens, checked after every step. What the nodes do with slots and bundles is played
 * here.
 *
 * A rule that is broken does not stop the process: `broken` says which, and the run ends.
 */
#ifndef TESTS_SIM_CLUSTER_WORLD_H
#define TESTS_SIM_CLUSTER_WORLD_H

#include "router/coord/cluster.h"
#include "router/coord/coord_sim.h"
#include "runtime/base/rng.h"

#define WORLD_NODES    6
#define WORLD_VERSIONS 4096 /* of the map, in one run */
#define WORLD_TASKS    64
#define WORLD_SESSION  2000000u

struct world;

/* What a node has to do at a time of its own. */
struct task {
    enum { TASK_CHECK, TASK_LOAD, TASK_MOVE } kind;
    uint64_t due_us;
    char app[MAP_NAME_MAX + 1];
    uint64_t id; /* deployment, or move */
    uint32_t slot;
};

struct sim_node {
    struct world *world;
    char name[2];
    struct cluster *cluster; /* NULL: it does not run */
    struct coord *coord;     /* its session, or NULL */
    bool crashes, stopped, standby;
    bool killed; /* its session was ended by hand: then no clock says so */
    uint32_t workers;
    uint64_t resume_us; /* stopped or down: until then; UINT64_MAX: by hand */
    bool joined;
    uint64_t incarnation, version; /* told last */
    struct task tasks[WORLD_TASKS];
    size_t n_tasks;
};

struct world {
    struct clock_sim clock;
    struct coord_world *service;
    struct coord *operator_coord; /* of people */
    struct rng rng;
    struct sim_node nodes[WORLD_NODES];
    struct map *map;                   /* as it was decided last */
    int64_t map_version;               /* of its entry */
    int64_t epoch_before;              /* leader_epoch's version at the last look */
    uint64_t versions[WORLD_VERSIONS]; /* hash of each version's content; 0: not seen */
    uint64_t created[WORLD_NODES],
        created_by[WORLD_NODES]; /* each node entry and its incarnation */
    uint64_t used[1024];         /* incarnations that were seen */
    size_t n_used;
    uint64_t trace;
    bool faults, away;
    bool loud;      /* S4_LOUD: what goes into the trace is printed */
    uint32_t rates; /* which kinds of faults there are */
    uint64_t fault_us;
    uint64_t drawn;
    uint32_t founded;
    size_t steps, moves, bumps, leaders;
    char broken[DIAG_TEXT_MAX + 128]; /* "": no rule was */
};

/* A cluster `t` is founded; no node runs. */
void world_open(struct world *world, uint64_t seed, uint32_t slots);
void world_close(struct world *world);

void world_start(struct world *world, uint32_t node, uint32_t workers, bool standby);
void world_crash(struct world *world, uint32_t node);
/* One step: time goes on to when something is due, at most by_us. */
void world_step(struct world *world, uint64_t by_us);
void world_run(struct world *world, uint64_t us);
/* No fault any more, and everybody runs. */
void world_heal(struct world *world);
/* Steps until everything is as it is to be; false: not within `us`, world->broken says what. */
bool world_settle(struct world *world, uint64_t us);
/* The whole life of a seed: faults, then healing, then settling. */
void world_live(struct world *world, uint64_t seed);

static inline uint64_t world_draw(struct world *world, uint64_t n)
{
    return rng_below(&world->rng, n);
}
/* Something that happens, into the trace's hash. */
void world_trace(struct world *world, char what, const struct sim_node *node, uint64_t number);
/* cluster_faults.c: a mishap, and when the next one is due. */
void world_befall(struct world *world);
/* Whether every node that there can be could load this deployment. */
bool world_loads_all(uint64_t id);

/* A rule is broken; the first one is kept. */
#define world_broke(world, ...)                                            \
    do {                                                                   \
        if ((world)->broken[0] == 0)                                       \
            snprintf((world)->broken, sizeof(world)->broken, __VA_ARGS__); \
    } while (0)

/* cluster_rules.c: looks at what was decided since the last look. */
void rules_look(struct world *world);
void rules_told(struct sim_node *node, const struct map *old, const struct map *map);
void rules_joined(struct sim_node *node, uint64_t incarnation);

#endif
