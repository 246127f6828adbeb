/* Lanes by number: a sorted array. A session has few lanes and finds one per frame, not per record.
 * The entries' lanes are the caller's. One thread. */
#ifndef RUNTIME_NET_LANE_TABLE_H
#define RUNTIME_NET_LANE_TABLE_H

#include "runtime/base/base.h"

struct lane_entry {
    uint32_t number;
    void *lane;
};

struct lane_table {
    struct lane_entry *entries; /* ascending */
    size_t count;
    size_t capacity;
};

void lane_table_fini(struct lane_table *table); /* zeroed memory is an empty table */
void *lane_table_find(const struct lane_table *table, uint32_t number);
/* The number must be new. */
s4_status lane_table_add(struct lane_table *table, uint32_t number, void *lane) MUST_USE;

#endif
