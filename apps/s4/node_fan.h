/* A request that all nodes of the cluster answer, each for its own slots: this one asks the others,
 * and puts the answers together. Control thread, but for what says otherwise. */
#ifndef APPS_S4_NODE_FAN_H
#define APPS_S4_NODE_FAN_H

#include "apps/s4/node.h"

#define FAN_PATIENCE_US 5000000 /* while slots move, and nodes come and go */

/* The answers, by member. */
struct fan {
    S4__Control__Reply *replies[MAP_MEMBERS_MAX]; /* owned; NULL: none came */
    uint64_t asked;                               /* members, a bit each */
    uint32_t left;                                /* of them, and of this node's own part */
    uint64_t began_us;
    struct map *map;               /* by which they were asked; owned */
    char leader[MAP_NAME_MAX + 1]; /* "": unknown */
    /* Of a drain: what was counted in the round before. */
    uint64_t activity;
    bool quiet; /* in the round before */
    bool finishing;
};

/* Asks the others; this node's own part comes to fan_own. S4_NO_MEMORY. */
s4_status fan_start(struct node *node, struct request *request) MUST_USE;
void fan_own(struct node *node, struct request *request);
void fan_relayed(struct node *node, struct request *request, uint32_t member,
                 S4__Control__Reply *reply);
void fan_destroy(struct request *request);

/* Of a drain: true: nothing happened anywhere between two rounds, and it is over. */
bool fan_drained(struct request *request);
void fan_retry(struct node *node, struct request *request); /* asks all once more */

/* A query's answers that make a whole: each slot that has an owner is there once. Any thread. */
bool fan_is_whole(const struct request *request);

#endif
