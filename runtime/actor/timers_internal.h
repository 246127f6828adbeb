/* What the files of timers share: the slab and its indexes (timers.c), the wheel and the heap
 * (timers_wheel.c). Nobody else includes it. */
#ifndef RUNTIME_ACTOR_TIMERS_INTERNAL_H
#define RUNTIME_ACTOR_TIMERS_INTERNAL_H

#include "runtime/actor/timers.h"
#include "runtime/base/tagindex.h"

#define TIMERS_NONE       UINT32_MAX
#define TIMERS_TICK_US    1000u
#define TIMERS_GROUP_BITS 6u
#define TIMERS_SLOTS      (1u << TIMERS_GROUP_BITS)
#define TIMERS_LEVELS     10u /* 64 bits of microseconds are 55 of ticks */

struct timers_node {
    struct timer timer;
    uint64_t order; /* of setting */
    uint32_t next;  /* in its slot, or in the chain of free nodes */
    uint32_t prev;
    uint32_t ring_next; /* of the owner */
    uint32_t ring_prev;
    uint32_t place; /* level and slot, or position in the heap */
    bool ready;     /* in the heap */
    bool first;     /* the one of its ring that the index knows */
};

struct timers {
    struct timers_node *nodes;
    uint32_t *heap; /* as long as nodes */
    size_t nodes_capacity;
    size_t heap_capacity;
    uint32_t n_nodes; /* ever used */
    uint32_t n_ready;
    uint32_t count;
    uint32_t max;
    uint32_t free;
    uint64_t orders; /* given out */
    uint64_t tick;
    struct tagindex ids;
    struct tagindex owners;
    uint64_t used[TIMERS_LEVELS]; /* slots that are not empty */
    uint32_t slots[TIMERS_LEVELS][TIMERS_SLOTS];
};

/* Whether a fires before b. */
bool timers_before(const struct timers *timers, uint32_t a, uint32_t b);
/* Into the wheel or the heap, and out again. */
void timers_place(struct timers *timers, uint32_t number);
void timers_displace(struct timers *timers, uint32_t number);
/* Makes the earliest one ready. */
void timers_settle(struct timers *timers);

/* The level of the wheel on which a tick after `timers->tick` lies. */
static inline uint32_t timers_level(const struct timers *timers, uint64_t tick)
{
    return (63 - (uint32_t)__builtin_clzll(tick ^ timers->tick)) / TIMERS_GROUP_BITS;
}

/* Numbers, or TAGINDEX_NONE. */
uint32_t timers_find(const struct timers *timers, uint32_t prototype, uint32_t instance,
                     uint64_t id);
uint32_t timers_find_owner(const struct timers *timers, uint32_t prototype, uint32_t instance);

#endif
