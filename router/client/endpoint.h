/* Where a node is: its directory, its socket, its endpoint. Shared by the node, which makes them,
 * and by clients, which look for them. Any thread. */
#ifndef ROUTER_CLIENT_ENDPOINT_H
#define ROUTER_CLIENT_ENDPOINT_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"

#define ENDPOINT_SOCKET   "control" /* in the directory */
#define ENDPOINT_PATH_MAX 107       /* bytes of a socket's path, the kernel's limit */
#define ENDPOINT_TEXT_MAX 256

struct endpoint {
    char uri[ENDPOINT_TEXT_MAX];    /* as ZeroMQ wants it */
    char dir[ENDPOINT_TEXT_MAX];    /* "" if reached through TCP or a socket without a directory */
    char socket[ENDPOINT_TEXT_MAX]; /* the ipc socket's path; "" for TCP */
};

/* `node` is a directory, ipc://PATH or tcp://HOST:PORT; NULL: $S4_NODE, else $XDG_RUNTIME_DIR/s4,
 * else /tmp/s4-UID. S4_INVALID: none of these; S4_TOO_LARGE; S4_PERMISSION: another machine, and
 * not `keyed`. */
s4_status endpoint_find(const char *node, bool keyed, struct endpoint *endpoint,
                        struct diag *diag) MUST_USE;

/* The directory of keys: what is given, else $S4_KEYS, else NULL: there are none. */
const char *endpoint_keys(const char *given);

/* Somebody listens on the socket at this path. */
bool endpoint_alive(const char *socket);

#endif
