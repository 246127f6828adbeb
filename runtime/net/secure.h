/* ZeroMQ sockets that keys guard, and the limits of handshakes. Any thread, one at a time, for each
 * socket; before its bind or connect. */
#ifndef RUNTIME_NET_SECURE_H
#define RUNTIME_NET_SECURE_H

#include <zmq.h>

#include "runtime/net/address.h"
#include "runtime/net/zap.h"

#define SECURE_HANDSHAKE_MS 3000 /* a connection that has not shaken hands by then is closed */
#define SECURE_BACKLOG      256  /* connections that the kernel keeps for a listener */

/* How long a handshake may take, how many may wait, and IPv6 if the address needs it. */
s4_status secure_limits(void *socket, const struct address *address, struct diag *diag) MUST_USE;

/* What the socket listens on from now on is for who has a key of the domain (zap.h). */
s4_status secure_listen(void *socket, struct keyring *ring, const char *domain,
                        struct diag *diag) MUST_USE;
/* What it listens on from now on, ipc, needs no key: the rest stays as it is. */
s4_status secure_listen_local(void *socket, struct diag *diag) MUST_USE;

/* It connects with the own key, to the node `name` (NULL: the only one there is); another node's
 * key, or none, does not get through. `turn` as in keyring_of_node. `key`: which one it is; may be
 * NULL. */
s4_status secure_connect(void *socket, struct keyring *ring, const char *name, uint64_t turn,
                         uint8_t key[CURVE_BYTES], struct diag *diag) MUST_USE;

/* Whose key this message's sender proved; false: none (ring without ZAP, or by ipc). */
bool secure_sender(zmq_msg_t *message, uint8_t key[CURVE_BYTES]) MUST_USE;
/* Whether it came by ipc, where the handler of handshakes let it in without a key. */
bool secure_is_local(zmq_msg_t *message) MUST_USE;

#endif
