/* A coordination service in ZooKeeper, by its C client for threads.
 *
 * README.md says what is different here. A destroyed coord's session is ended by a thread of its
 * own; destroy waits for it COORD_ZK_CLOSE_MS at most.
 */
#ifndef ROUTER_COORD_COORD_ZK_H
#define ROUTER_COORD_COORD_ZK_H

#include "router/coord/coord.h"

#define COORD_ZK_HOSTS_MAX 1024 /* bytes of a list of hosts */
#define COORD_ZK_CLOSE_MS                                                   \
    1000 /* that destroy waits; the session may outlive it until it expires \
          */

struct coord_zk_options {
    const char *hosts;         /* "HOST:PORT,HOST:PORT": servers of one service; copied */
    const char *root;          /* the entry that is "/" here, and is there already; NULL: the
                                  service's own; copied */
    uint32_t session_ms;       /* 0: COORD_SESSION_MS_DEFAULT; the service may agree to another */
    const struct clock *clock; /* borrowed; its boot-time clock is used */
};

/* S4_INVALID, S4_TOO_LARGE or S4_RANGE, with what was found and wanted. Nothing is looked up or
 * connected before this returns: no such host (of all), no such root and no permission to read it
 * come as COORD_REFUSED. While nobody answers it is COORD_CONNECTING, and coord_why says so after a
 * second. */
s4_status coord_zk_create(const struct coord_zk_options *options, struct coord **coord,
                          struct diag *diag) MUST_USE;

#endif
