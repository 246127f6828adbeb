/* Slots: which one a key's hash belongs to, and which worker of which node owns a slot. Pure
 * functions over a table. Whoever emits by it reads it only when it is told that it changed; others
 * may read it at any time. */
#ifndef ROUTER_MAP_SLOTS_H
#define ROUTER_MAP_SLOTS_H

#include <stdatomic.h>

#include "runtime/base/base.h"

/* The slot of a hash: its top bits spread over any count of slots. */
static inline uint32_t slot_of_hash(uint64_t hash, uint32_t slots)
{
    return (uint32_t)(((hash >> 32) * slots) >> 32);
}

/* A destination is a worker, numbered through all nodes: each node has as many numbers. */
struct slot_map {
    uint32_t slots;
    _Atomic uint16_t *worker; /* per slot; relaxed: who owns it is told before it is used */
};

static inline uint16_t slot_worker(const struct slot_map *map, uint32_t slot)
{
    return atomic_load_explicit(&map->worker[slot], memory_order_relaxed);
}

/* The fixed map: slots round robin over nodes, then over each node's workers. `stride`: how many
 * numbers a node has. */
static inline uint16_t slot_fixed_worker(uint32_t slot, uint32_t nodes, uint32_t workers,
                                         uint32_t stride)
{
    uint32_t node = slot % nodes;
    return (uint16_t)(node * stride + (slot / nodes) % workers);
}

#endif
