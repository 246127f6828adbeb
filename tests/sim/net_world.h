/* Nodes that send frames to each other over a bad network, on one thread under a simulated clock,
 * all drawn from a seed; and the rules that must hold whatever happens.
 *
 * While two incarnations live: what one sends to the other is applied there once, lane by lane in
 * order, with the bytes and the version that it was sent with; nothing is let go before it is
 * applied; what was not taken is heard of once, before the frame is let go; no session ends. A
 * frame never comes over its credit. A lane that nobody takes from holds up no other. After the
 * faults have ended, everything settles.
 */
#ifndef TESTS_SIM_NET_WORLD_H
#define TESTS_SIM_NET_WORLD_H

#include "runtime/base/rng.h"
#include "runtime/net/net.h"
#include "runtime/net/transport_sim.h"

enum {
    WORLD_NODES = 3,
    WORLD_CLUSTER = 5,
    WORLD_LANES = 3,
    WORLD_FRAMES = 200, /* on a lane from one incarnation to another, at most */
    WORLD_PATHS = 96,
    WORLD_OWED = 4096,
};

/* A lane from one incarnation of a node to one of another, as both should see it. */
struct world_lane {
    uint64_t sent, arrived, returned, applied, checked;
    uint64_t versions[WORLD_FRAMES + 1];
    bool is_applied[WORLD_FRAMES + 1];
    uint8_t said[WORLD_FRAMES + 1], heard[WORLD_FRAMES + 1]; /* of what was not taken */
};

struct world_path {
    uint64_t from, to; /* incarnations */
    struct world_lane lanes[WORLD_LANES];
};

/* A frame that has come and is not applied. */
struct world_owed {
    struct net_token token;
    struct world_path *path;
    bool credited;
};

struct world_node {
    struct world *world;
    uint32_t index;
    char name[2];
    uint64_t incarnation;
    struct block_pool *pool;
    struct transport *transport;
    struct net *net;
    uint32_t peers[WORLD_NODES]; /* of the others, as net numbers them */
    uint64_t known[WORLD_NODES]; /* the incarnation that it was told of */
    bool unheard[WORLD_NODES];
    uint64_t paused_until_us, stepped_us, back_us;
    struct world_owed owed[WORLD_OWED];
    size_t owed_count;
};

/* What a seed has in it. */
struct world_draw {
    uint32_t nodes, window;
    uint32_t rates[SIM_FAULTS];
    uint32_t delay_max_us;
    uint32_t sends;                    /* one in so many rounds */
    uint32_t blocks, pauses, restarts; /* the same; 0: never */
    uint64_t faults_us;                /* for so long there are faults */
    enum sim_fault planned;            /* one more, at the message of this number */
    uint64_t planned_at;
    int stuck_lane; /* nobody takes from it until the end; -1: there is none */
    bool closes;
};

struct world {
    struct world_draw draw;
    struct rng rng;
    struct clock_sim clock;
    struct sim_net *sim;
    struct world_node nodes[WORLD_NODES];
    struct world_path *paths[WORLD_PATHS];
    size_t paths_count;
    uint64_t version; /* of the map, which the frames carry */
    uint64_t incarnations;
    uint64_t blocked_until_us[WORLD_NODES][WORLD_NODES];
    bool healed, released;
    uint64_t trace;               /* a hash of all that happened */
    struct net_counters counters; /* of all nodes, those before a restart too */
    uint64_t not_mine, silences, restarts, messages;
    char broken[400]; /* the first rule that was broken; "": none was */
};

/* Lives through a seed, with `world` zeroed memory or what was closed before. `draw` NULL: it is
 * drawn, too. */
void world_live(struct world *world, uint64_t seed, const struct world_draw *draw);
void world_close(struct world *world);

/* ---- net_world.c ---- */

/* A rule is broken: which, by a format and what goes with it. The first counts. */
#define world_broke(world, ...)                                            \
    do {                                                                   \
        if ((world)->broken[0] == 0)                                       \
            snprintf((world)->broken, sizeof(world)->broken, __VA_ARGS__); \
    } while (0)
uint64_t world_below(struct world *world, uint64_t n);
bool world_one_in(struct world *world, uint32_t n);
struct block_pool *world_pool(uint32_t index);
void world_node_start(struct world *world, uint32_t index);
void world_node_stop(struct world_node *node);
void world_connect_to(struct world_node *node, struct world_node *other);
/* It starts again; the others are told by and by. */
void world_restart(struct world *world, uint32_t index);
/* Somebody else decided that the old incarnation is dead. */
void world_tell_restart(struct world_node *node, struct world_node *other);
void world_unblock(struct world *world, uint32_t from, uint32_t to);
bool world_node_step(struct world_node *node); /* true: there was work */
void world_check_paths(struct world *world);
bool world_is_settled(struct world *world);

#endif
