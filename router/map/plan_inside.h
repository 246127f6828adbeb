/* Between the files of the plan; see plan.h. */
#ifndef ROUTER_MAP_PLAN_INSIDE_H
#define ROUTER_MAP_PLAN_INSIDE_H

#include "router/map/plan.h"

struct plan {
    const struct map *map;
    const struct plan_view *view;
    struct map *next;
    struct plan_result *result;
    uint64_t version;                            /* that next will have */
    const struct plan_node *at[MAP_MEMBERS_MAX]; /* the entry of each of next's members */
};

/* plan_apps.c: bundles come, pass from phase to phase, and go. */
void plan_apps(struct plan *plan);
/* What of the running bundles a node reports: all loaded, or a refused one's report in *refused. */
bool plan_apps_loaded(const struct plan *plan, const struct entry_node *node,
                      const struct entry_app **refused);

#endif
