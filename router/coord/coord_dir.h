/* A coordination service in a directory of this machine, for several nodes of it and no server.
 *
 * The processes share the directory and one lock in it. A killed process's entries go within
 * COORD_DIR_LOOK_US, when another one looks; those of one that is stopped, when its session's
 * timeout is over. README.md says how it lies on the disk. Needs a file system with flock and
 * rename; not one that several machines share.
 */
#ifndef ROUTER_COORD_COORD_DIR_H
#define ROUTER_COORD_COORD_DIR_H

#include "router/coord/coord.h"

#define COORD_DIR_POLL_US 20000u     /* how soon a change by another process is seen */
#define COORD_DIR_LOOK_US 200000u    /* how often one looks for dead ones */
#define COORD_DIR_LOCK_US 500000u    /* waiting for the lock; then the service is away */
#define COORD_DIR_MAX     (64 * MIB) /* bytes of all entries */

struct coord_dir_options {
    const char *path;          /* made with mode 0700 if it is not there; copied */
    uint32_t session_ms;       /* 0: COORD_SESSION_MS_DEFAULT */
    const struct clock *clock; /* borrowed; its boot-time clock is used */
};

/* S4_IO, S4_PERMISSION and the like, with the path: the directory cannot be made, or is not one's
 * own. */
s4_status coord_dir_create(const struct coord_dir_options *options, struct coord **coord,
                           struct diag *diag) MUST_USE;

#endif
