/* Sockets by which one node asks another as a client does. Any thread, one at a time. */
#ifndef APPS_S4_SOCKET_H
#define APPS_S4_SOCKET_H

#include "runtime/net/keyring.h"

/* Sets limits and connects to the node `name`; nothing is known of the other side after it. With
 * keys (`ring`, NULL: none) a node that is reached by tcp must have the key of that name.
 * S4_INVALID: an address that is none; S4_PERMISSION: another machine, without keys; S4_NOT_FOUND:
 * no key. */
s4_status socket_open(void *socket, struct keyring *ring, const char *name, const char *uri,
                      struct diag *diag) MUST_USE;

#endif
