/* Slots: which one a key's hash belongs to, and which worker of which node owns a slot. Pure
 * functions over a table; changed only between two runs of everybody who reads it. */
#ifndef ROUTER_MAP_SLOTS_H
#define ROUTER_MAP_SLOTS_H

#include "runtime/base/base.h"

/* The slot of a hash: its top bits spread over any count of slots. */
static inline uint32_t slot_of_hash(uint64_t hash, uint32_t slots)
{
    return (uint32_t)(((hash >> 32) * slots) >> 32);
}

/* A destination is a worker, numbered through all nodes: node * workers + worker. */
struct slot_map {
    uint32_t slots;
    uint16_t *worker; /* per slot */
};

/* The fixed map: slots round robin over nodes, then over each node's workers. */
static inline uint16_t slot_fixed_worker(uint32_t slot, uint32_t nodes, uint32_t workers)
{
    uint32_t node = slot % nodes;
    return (uint16_t)(node * workers + (slot / nodes) % workers);
}

#endif
