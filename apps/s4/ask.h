/* One request to another node, waited for; for threads that may wait. */
#ifndef APPS_S4_ASK_H
#define APPS_S4_ASK_H

#include "router/client/control.h"
#include "runtime/base/diag.h"
#include "runtime/net/keyring.h"

/* `ring`, `name` and `uri` as for socket_open. *reply is the caller's, whatever its status is.
 * S4_UNAVAILABLE: no sign of life for `timeout_ms`. */
s4_status ask_node(struct keyring *ring, const char *name, const char *uri,
                   S4__Control__Request *request, uint32_t timeout_ms, S4__Control__Reply **reply,
                   struct diag *diag) MUST_USE;

#endif
