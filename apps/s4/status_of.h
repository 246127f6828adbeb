/* The engine's counters by name, for people and for the wire. No state. */
#ifndef APPS_S4_STATUS_OF_H
#define APPS_S4_STATUS_OF_H

#include "pe/host/engine.h"

#define STATUS_APP_COUNTERS       27
#define STATUS_PROTOTYPE_COUNTERS 8
#define STATUS_NODE_COUNTERS      8

struct counter_entry {
    const char *name;
    uint64_t value;
};

/* Fill `entries`, which have room for the counts above; answer how many. */
size_t status_of_app(const struct engine_app_status *app, struct counter_entry *entries);
size_t status_of_prototype(const struct engine_prototype_status *prototype,
                           struct counter_entry *entries);
size_t status_of_node(const struct engine_status *status, struct counter_entry *entries);

#endif
