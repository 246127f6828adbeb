/* Nodes of a cluster in one process, on one thread, by a seed: their engines, what makes nodes of
 * them (pe/node), between them a ferry that delivers late, and a leader that follows a dice. The
 * map is the leader's; each node learns of it in its own time.
 */
#ifndef TESTS_SUPPORT_NODES_H
#define TESTS_SUPPORT_NODES_H

#include "pe/node/node.h"
#include "runtime/base/rng.h"
#include "tests/support/rig.h"

#define NODES_MAX 4

struct nodes_options {
    const s4_app *app;
    const char *manifest; /* app.yaml's text; NULL: the code's settings */
    uint64_t seed;
    uint32_t nodes; /* to begin with: each a member with its part of the slots */
    uint32_t slots;
    uint32_t workers;
    size_t block_size;
    uint32_t moves;      /* that the leader will order */
    uint32_t deaths;     /* of nodes; each comes back as another incarnation */
    uint32_t failing_in; /* one move in so many is taken back; 0: none */
    uint32_t copy_step;  /* see node_options */
    uint32_t slow;       /* frames from one drawn node to another come so many times later; 0: no */
};

struct carried; /* a frame of the ferry */

struct carried_list {
    struct carried *first;
    struct carried **end;
};

struct one_node {
    struct ferry ferry; /* first */
    uint32_t index;
    bool alive;
    uint64_t incarnation;
    struct rig rig;
    struct node *node;
    struct node_upcalls upcalls;
    struct carried_list to[NODES_MAX]; /* held until applied */
    uint64_t opened[NODES_MAX];        /* the incarnation that is open there; 0: none */
    uint64_t next_number;
};

struct nodes {
    struct nodes_options options;
    struct rng rng;
    struct clock_sim clock;
    struct one_node all[NODES_MAX];
    struct map *map;
    uint64_t version_done; /* of the move that its target reported as done, or failed */
    bool done_well;
    uint32_t slow_from, slow_to;
    bool healed; /* nothing is slow, nobody dies, no slot moves */
    uint32_t moves_left, deaths_left;
    uint64_t commits, taken_back, refused, joins;
};

void nodes_start(struct nodes *nodes, const struct nodes_options *options);
void nodes_stop(struct nodes *nodes);
/* One step of something drawn; false after many steps without work: all has settled. */
bool nodes_step(struct nodes *nodes);
/* Heals, until all has settled under the last map. */
void nodes_settle(struct nodes *nodes);
/* Settles, after a time in which all that is put out now and then has been. */
void nodes_pass_time(struct nodes *nodes, uint64_t us);
/* Ends the input: drains all until none causes anything more. */
void nodes_finish(struct nodes *nodes);
/* The rows of an output on all nodes, sorted; the caller frees it. */
char *nodes_rows(struct nodes *nodes, const char *output);
/* The same order for other rows; frees `text`. */
char *nodes_sorted(char *text);

#endif
