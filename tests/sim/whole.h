/* A whole cluster in one process, on one thread, by a seed: each node is what a node's process is
 * made of (engine, pe/node, sessions, its part in the cluster), on a simulated network, a simulated
 * coordination service, a simulated clock. Clients inject walks (tests/support/walks_app.h).
 *
 * A rule that is broken does not stop the process: `broken` says which, and the run ends.
 *
 *     whole.c         a seed's life, steps, time
 *     whole_node.c    a node's life
 *     whole_client.c  who injects
 *     whole_fault.c   what befalls them
 *     whole_rule.c    what must hold, at every step and in the end
 */
#ifndef TESTS_SIM_WHOLE_H
#define TESTS_SIM_WHOLE_H

#include "pe/host/slots.h"
#include "pe/node/membership.h"
#include "router/coord/coord_sim.h"
#include "runtime/net/transport_sim.h"
#include "tests/support/rig.h"
#include "tests/support/walks_app.h"

#define WHOLE_NODES      4u
#define WHOLE_SLOTS_MAX  16u
#define WHOLE_SESSION_US 2000000u /* of the coordination service */
#define WHOLE_EPOCHS     4096u    /* versions of the map in one run */
#define WHOLE_EVENTS_MAX 6u       /* in a batch */

enum whole_fault {
    WHOLE_NET,     /* messages are dropped, doubled, damaged, late; connections are cut */
    WHOLE_BLOCK,   /* one node's messages do not reach another */
    WHOLE_PAUSE,   /* a node stands still, for less than its session's life */
    WHOLE_SUSPEND, /* the same, and its clock without sleep stands still too */
    WHOLE_SLOW,    /* a node does little */
    WHOLE_SERVICE, /* the coordination service loses connections, hints, answers */
    WHOLE_AWAY,    /* it is away */
    WHOLE_JUMP,    /* everything stands still, for less than a session's life */
    WHOLE_LEAVE,   /* a node is drained, goes, and comes again */
    WHOLE_JOIN,    /* a node begins late */
    /* From here on nodes may die. */
    WHOLE_CRASH,  /* and starts again */
    WHOLE_EXPIRE, /* its session is ended by the service */
    WHOLE_FREEZE, /* a node stands still for longer than its session lives */
    WHOLE_CUT,    /* a node and the coordination service do not hear each other */
    WHOLE_FAULTS
};

/* What a seed has in it. */
struct whole_draw {
    uint32_t nodes, slots, workers, window;
    size_t block_size;
    uint32_t faults; /* bit per kind */
    uint32_t batches, producers;
    uint64_t faults_us; /* for so long */
};

struct whole;

/* What a bundle's thread has to do, when its time has come. */
struct whole_task {
    uint64_t due_us;
    enum cluster_app what;
    struct map_app app;
};

/* The machine's clocks, as a node has them. */
struct whole_clock {
    struct clock clock;
    const struct whole *whole;
    uint64_t slept_us; /* for so long it was suspended */
};

struct whole_node {
    struct whole *whole;
    uint32_t index;
    char name[8];
    struct whole_clock clock;
    bool up;
    bool over;    /* its membership ended: it begins anew */
    bool crashes; /* nothing is said to the service */
    bool killed;  /* its session was ended by hand: no clock says so */
    bool leaving;
    uint64_t start_us;  /* down: when it starts; UINT64_MAX: never */
    uint64_t paused_us; /* until then; 0: it goes */
    bool suspended;
    uint64_t stopped_us; /* when the pause began */
    uint32_t slow;       /* one step in so many is done; 0: all */
    struct membership *membership;
    struct transport *transport;
    struct coord *coord;
    struct block_pool *blocks;
    struct rig rig;     /* engine and pool; engine NULL: not yet */
    uint64_t engine_us; /* when it is made; UINT64_MAX: there is no map yet */
    struct whole_task tasks[8];
    size_t n_tasks;
};

struct whole_event {
    uint32_t station, walk, hops, number;
};

/* A client that injects batches, one after the other. */
struct whole_producer {
    struct whole *whole;
    uint64_t id;
    uint32_t index, slot;
    uint64_t due_us;
    bool wanted;       /* it has a batch that is not over */
    bool asked;        /* a node has it */
    bool tried;        /* one had it, under this generation of its slot */
    uint64_t asked_of; /* its incarnation */
    uint64_t generation;
    uint64_t life;   /* of its numbers: another one when the generation is */
    uint64_t number; /* of the batch */
    uint64_t serial; /* of what was asked last */
    uint32_t left;   /* batches */
    uint32_t sent[WALKS_STATIONS];
    struct whole_event events[WHOLE_EVENTS_MAX];
    uint32_t n_events;
};

struct whole {
    uint64_t seed;
    struct whole_draw draw;
    struct rng rng;
    struct clock_sim clock;
    struct coord_world *service;
    struct coord *operator_coord; /* of people */
    struct sim_net *net;
    struct whole_node nodes[WHOLE_NODES];
    struct whole_producer producers[WALKS_PRODUCERS];
    uint32_t walks;
    uint64_t blocked_us[WHOLE_NODES][WHOLE_NODES]; /* until then */
    uint64_t cut_us[WHOLE_NODES];
    uint64_t away_us, fault_us, deployed_us;
    bool founding, founded, healed;
    uint64_t owners[WHOLE_SLOTS_MAX][WHOLE_EPOCHS]; /* incarnation that ran it under this epoch */
    struct walks_totals expected;                   /* what acknowledged batches do */
    uint64_t deaths, joins, leaves, acked, in_doubt, retried;
    uint64_t moved, fresh, not_mine, waited, again; /* of nodes that are gone, too */
    uint64_t busy_us; /* when an engine or a client last did something */
    uint64_t idle;    /* steps without work */
    uint64_t jump_us;
    uint64_t steps, trace;
    bool loud; /* S4_LOUD: what happens is printed */
    char broken[DIAG_TEXT_MAX + 128];
};

/* ---- whole.c ---- */

/* A seed's whole life; whole->broken says what was broken. `most`: what it may have at most. */
void whole_live(struct whole *whole, uint64_t seed, const struct whole_draw *most);
void whole_close(struct whole *whole);
void whole_step(struct whole *whole);
void whole_trace(struct whole *whole, char what, uint32_t node, uint64_t number);

static inline uint64_t whole_below(struct whole *whole, uint64_t n)
{
    return rng_below(&whole->rng, n);
}

static inline bool whole_one_in(struct whole *whole, uint64_t n)
{
    return rng_below(&whole->rng, n) == 0;
}

static inline bool whole_has(const struct whole *whole, enum whole_fault fault)
{
    return whole->draw.faults >> fault & 1;
}

/* A rule is broken; the first one is kept. */
#define whole_broke(whole, ...)   \
    ((whole)->broken[0] ? (void)0 \
                        : (void)snprintf((whole)->broken, sizeof(whole)->broken, __VA_ARGS__))

/* ---- whole_node.c ---- */

void whole_node_start(struct whole_node *node);
/* `crash`: nothing is said to anybody. */
void whole_node_stop(struct whole_node *node, bool crash);
/* Something drawn that its threads do. */
bool whole_node_step(struct whole_node *node);
/* When it has something to do by itself, at the latest. */
uint64_t whole_node_due_us(struct whole_node *node);
/* Stands still until then. */
void whole_node_pause(struct whole_node *node, uint64_t until_us, bool suspended);
void whole_node_resume(struct whole_node *node);
/* Whose this incarnation is, and up; NULL. */
struct whole_node *whole_node_of(struct whole *whole, uint64_t incarnation);

/* ---- whole_client.c ---- */

void whole_clients_start(struct whole *whole);
/* So many batches more for each. */
void whole_clients_go_on(struct whole *whole, uint32_t batches);
bool whole_client_step(struct whole *whole);
bool whole_clients_are_done(const struct whole *whole);

/* ---- whole_fault.c ---- */

void whole_befall(struct whole *whole);
void whole_heal(struct whole *whole);

/* ---- whole_rule.c ---- */

void whole_look_at_owners(struct whole *whole);
/* NULL: nothing is under way; else what is. */
const char *whole_unsettled(struct whole *whole);
/* What the nodes' tables say, all together. */
void whole_totals(struct whole *whole, struct walks_totals *totals);
void whole_check_end(struct whole *whole, const struct walks_totals *before);

#endif
