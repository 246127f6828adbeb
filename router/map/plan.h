/* What the leader decides: the next map, from this one and from what the service holds. A pure
 * function: the same map and the same view give the same next map, whoever leads. Any thread.
 *
 * In one version, at once: moves that are done are committed, and those whose target is gone or
 * that failed are taken back; members whose entry is gone are gone, and their slots start empty on
 * others; nodes join; bundles pass from one phase to the next. When nothing of that is left to do
 * and no slot moves, the next version orders one move, while the shares are not reached.
 */
#ifndef ROUTER_MAP_PLAN_H
#define ROUTER_MAP_PLAN_H

#include "router/map/entry.h"
#include "router/map/map.h"

#define PLAN_ENTRIES_MAX 128 /* of nodes, of bundles, of drains; with more nothing is planned */

/* An entry that somebody made: its name, and what it says; NULL: that cannot be read. Such a node
 * lives, and such a bundle is wanted, as far as anybody can tell. */
struct plan_node {
    const char *name;
    const struct entry_node *entry;
};
struct plan_wanted {
    const char *name;
    const struct entry_wanted *entry;
};

/* What the service holds, each list by name. Read after the map was: so a member whose entry is not
 * in it was there and is gone. */
struct plan_view {
    const struct plan_node *nodes;
    const struct plan_wanted *wanted;
    const struct entry_drain *drains;
    size_t n_nodes, n_wanted, n_drains;
};

struct plan_options {
    bool may_move;       /* a move may begin now */
    uint32_t avoid_slot; /* whose move failed lately: others go first; MAP_SLOTS_MAX: none */
};

struct plan_result {
    bool changed;         /* `next` is a new version, to be written */
    uint32_t moved;       /* moves committed */
    uint32_t failed_slot; /* a move that one side gave up; MAP_SLOTS_MAX: none */
    uint32_t began_slot;  /* the move that begins; MAP_SLOTS_MAX */
};

/* `next` has map's number of slots, and is not map. */
void plan_next(const struct map *map, const struct plan_view *view,
               const struct plan_options *options, struct map *next, struct plan_result *result);

#endif
