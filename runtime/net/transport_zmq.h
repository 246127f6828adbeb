/* The transport between processes: ZeroMQ over tcp:// and ipc://.
 *
 * One ROUTER is bound, one DEALER per connect. A port is left to the kernel with `*` or 0, an ipc
 * path with `*`. Messages leave from the block itself; the block's hold comes back on ZeroMQ's I/O
 * thread. What arrives is copied into a block of the pool.
 *
 * Without keys only this machine is listened on and reached. With them every connection, ipc too,
 * is guarded by CURVE: only nodes of the keyring get through, a peer's name is that of its key
 * (transport_peer_name), and a key that is revoked ends its connections.
 */
#ifndef RUNTIME_NET_TRANSPORT_ZMQ_H
#define RUNTIME_NET_TRANSPORT_ZMQ_H

#include "runtime/net/keyring.h"
#include "runtime/net/transport.h"

#define TRANSPORT_ZMQ_QUEUE_DEFAULT 4096 /* messages per connection and direction; then S4_FULL */

struct transport_zmq_options {
    struct block_pool *pool; /* borrowed; outlives the transport, and the context */
    void *context;           /* borrowed; NULL: one of its own */
    uint32_t queue_max;      /* 0: the default */
    struct keyring *ring;    /* borrowed; NULL: no keys. With a context, that has a zap handler */
    void (*report)(void *user, const char *text); /* who was refused, on any thread; NULL: nobody */
    void *report_user;
};

/* S4_UNSUPPORTED: the libzmq that is loaded is older than 4.3.4 (holes that a peer can use). */
s4_status transport_zmq_create(const struct transport_zmq_options *options,
                               struct transport **transport, struct diag *diag) MUST_USE;

/* Whether a libzmq version is good enough; apart, so that it can be tested. */
s4_status transport_zmq_check_version(int major, int minor, int patch, struct diag *diag) MUST_USE;

#endif
