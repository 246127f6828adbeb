/* What can be planted in how a node is wired (runtime/base/planted.h), for tests/sim/whole_test.c.
 * The four of early and dead nodes need what seldom comes together; a few hundred seeds may not
 * show them. */
#ifndef PE_NODE_PLANTED_H
#define PE_NODE_PLANTED_H

#include "runtime/base/planted.h"

enum node_planted_bug {
    PLANTED_NOTHING,
    PLANTED_MAP_AT_ONCE,      /* a map is in force before its bundles run here */
    PLANTED_INPUT_AT_ONCE,    /* a bundle takes input before the map that says so is in force */
    PLANTED_EARLY_DROPPED,    /* frames of who is no member yet are taken for done */
    PLANTED_EARLY_OVERTAKEN,  /* what comes behind them is not put off */
    PLANTED_DEAD_HEARD,       /* who has gone from the map is listened to still */
    PLANTED_ANY_INCARNATION,  /* a member is known by its name alone */
    PLANTED_MOVES_UNREPORTED, /* nobody hears that a slot has come */
    PLANTED_GOES_ON_EXPIRED,  /* a node whose membership is over goes on */
    PLANTED_NODE_END
};

#endif
