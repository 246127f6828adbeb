/* What can be planted in the cluster's decisions (runtime/base/planted.h). */
#ifndef ROUTER_MAP_PLANTED_H
#define ROUTER_MAP_PLANTED_H

#include "runtime/base/planted.h"

enum planted_bug {
    PLANTED_NONE,
    PLANTED_BLIND_RETRY,     /* a write in doubt is made again without looking */
    PLANTED_NO_EPOCH_CHECK,  /* a deposed leader goes on writing */
    PLANTED_EQUAL_VERSION,   /* a map of the same version is applied again: >= for > */
    PLANTED_OLD_VERSION,     /* a map is applied whatever its version */
    PLANTED_SAME_GENERATION, /* what starts empty keeps its generation */
    PLANTED_SAME_EPOCH,      /* a new owner keeps the old one's epoch */
    PLANTED_NODES_FIRST,     /* who lives is read before the map that they are missed in */
    PLANTED_NO_STOP,         /* expired, it goes on as the one that it was */
    PLANTED_UNREPORTED,      /* a move is committed before its target said that all is there */
    PLANTED_ANSWERS_ALWAYS,  /* it answers although its session could have expired */
    PLANTED_END
};

#endif
