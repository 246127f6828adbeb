/* Sockets by which one node asks another as a client does. Any thread, one at a time. */
#ifndef APPS_S4_SOCKET_H
#define APPS_S4_SOCKET_H

#include "runtime/base/base.h"

/* Sets limits and connects; nothing is known of the other side after it. S4_INVALID: an address
 * that is none. */
s4_status socket_open(void *socket, const char *uri) MUST_USE;

#endif
