/* A new cluster: its entries in the coordination service, made all at once or not at all. For a
 * command, or whoever has a connected session; on that session's thread.
 */
#ifndef ROUTER_COORD_FOUND_H
#define ROUTER_COORD_FOUND_H

#include "router/coord/coord.h"
#include "router/map/entry.h"

/* The caller's memory; lives until `done` was called or the session was destroyed. */
struct found {
    struct coord *coord;
    char name[MAP_NAME_MAX + 1];
    struct entry_spec spec;
    /* Called once, out of coord_step. S4_OK; S4_EXISTS: there is a cluster of this name;
     * S4_UNAVAILABLE: not connected, and surely nothing was made; else what the service says. */
    void (*done)(void *user, s4_status status, const struct diag *why);
    void *user;
};

/* Fill in all of it; `spec.cluster` is drawn by the caller, and not 0. S4_INVALID, with why: a name
 * or a number of slots that is none; then, and whenever it is not S4_OK, `done` is not called. */
s4_status found_start(struct found *found, struct diag *diag) MUST_USE;

#endif
