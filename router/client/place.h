/* Where a node is: its directory, its socket, its endpoint. Shared by the node, which makes them,
 * and by clients, which look for them. Any thread. */
#ifndef ROUTER_CLIENT_PLACE_H
#define ROUTER_CLIENT_PLACE_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"

#define PLACE_SOCKET   "control" /* in the directory */
#define PLACE_PATH_MAX 107       /* bytes of a socket's path, the kernel's limit */
#define PLACE_TEXT_MAX 256

struct place {
    char endpoint[PLACE_TEXT_MAX]; /* as ZeroMQ wants it */
    char dir[PLACE_TEXT_MAX];      /* "" if reached through TCP or a socket without a directory */
    char socket[PLACE_TEXT_MAX];   /* the ipc socket's path; "" for TCP */
};

/* `node` is a directory, ipc://PATH or tcp://HOST:PORT; NULL: $S4_NODE, else $XDG_RUNTIME_DIR/s4,
 * else /tmp/s4-UID. S4_INVALID: none of these; S4_TOO_LARGE. */
s4_status place_find(const char *node, struct place *place, struct diag *diag) MUST_USE;

/* Somebody listens on the socket at this path. */
bool place_alive(const char *socket);

#endif
