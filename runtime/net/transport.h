/* The transport seam: bytes between nodes, and nothing else.
 *
 * An endpoint belongs to one node and to one thread, the one that steps `net`. A peer is one
 * connection in its whole life: it is opened by `connect` or appears when another node connects,
 * it comes up, carries messages in order, closes once, and never comes back under its number.
 * A message is an envelope (frame 1, small) and, if there is one, a block (frame 2). A successful
 * send promises nothing but that what arrives, arrives in order: the session above counts.
 *
 * Real: transport_zmq.h. In one process, with seeded faults: transport_sim.h.
 */
#ifndef RUNTIME_NET_TRANSPORT_H
#define RUNTIME_NET_TRANSPORT_H

#include "runtime/base/diag.h"
#include "runtime/net/waker.h"
#include "runtime/record/block.h"

#define TRANSPORT_ENVELOPE_MAX (1 * KIB)  /* bytes of frame 1 */
#define TRANSPORT_BLOCK_MAX    RECORD_MAX /* bytes of frame 2 */
#define TRANSPORT_ADDRESS_MAX  256
#define TRANSPORT_PEERS_MAX    1024 /* connections of one endpoint at one time */

struct transport;

/* Called by step only, on the stepping thread. They may call send and disconnect, not destroy. */
struct transport_upcalls {
    /* The peer can be sent to. `opened` tells whether this side called connect. */
    void (*connected)(void *user, uint64_t peer, bool opened);
    /* The envelope is borrowed; the block (NULL: no frame 2) becomes the callee's, with `used` set
     * and nothing else known about it. */
    void (*received)(void *user, uint64_t peer, const void *envelope, size_t size,
                     struct block *block);
    /* The peer is gone, or refused the handshake; its number is dead. Not called after disconnect.
     */
    void (*closed)(void *user, uint64_t peer, const char *reason);
};

struct transport_ops {
    s4_status (*bind)(struct transport *transport, const char *address, struct diag *diag);
    s4_status (*connect)(struct transport *transport, const char *name, const char *address,
                         uint64_t *peer, struct diag *diag);
    s4_status (*send)(struct transport *transport, uint64_t peer, const void *envelope, size_t size,
                      struct block *block);
    void (*disconnect)(struct transport *transport, uint64_t peer);
    const char *(*peer_name)(struct transport *transport, uint64_t peer); /* NULL: knows none */
    size_t (*step)(struct transport *transport, size_t max);
    void (*wait)(struct transport *transport, uint64_t timeout_us);
    void (*destroy)(struct transport *transport);
};

struct transport {
    const struct transport_ops *ops;
    const struct transport_upcalls *upcalls; /* set by transport_attach, before the first step */
    void *user;
    struct waker waker;
    char address[TRANSPORT_ADDRESS_MAX]; /* where it is bound; "" before */
};

/* Before the first bind or connect. */
static inline void transport_attach(struct transport *transport,
                                    const struct transport_upcalls *upcalls, void *user)
{
    transport->upcalls = upcalls;
    transport->user = user;
}

/* Listens; a port or path left to the kernel is resolved, see transport_address. */
static inline MUST_USE s4_status transport_bind(struct transport *transport, const char *address,
                                                struct diag *diag)
{
    return transport->ops->bind(transport, address, diag);
}

static inline const char *transport_address(const struct transport *transport)
{
    return transport->address;
}

/* Begins to connect; tries until the other side answers, refuses, or disconnect is called. `name`:
 * the node that must be there; by its key, where the transport has keys (NULL: any node). */
static inline MUST_USE s4_status transport_connect_to(struct transport *transport, const char *name,
                                                      const char *address, uint64_t *peer,
                                                      struct diag *diag)
{
    return transport->ops->connect(transport, name, address, peer, diag);
}

static inline MUST_USE s4_status transport_connect(struct transport *transport, const char *address,
                                                   uint64_t *peer, struct diag *diag)
{
    return transport->ops->connect(transport, NULL, address, peer, diag);
}

/* The name that a peer has proved by its key; NULL: there are no keys, or no such peer. Valid until
 * the next step. */
static inline const char *transport_peer_name(struct transport *transport, uint64_t peer)
{
    return transport->ops->peer_name ? transport->ops->peer_name(transport, peer) : NULL;
}

/* Never blocks. The envelope is copied; the transport holds the block for as long as it needs it.
 * S4_FULL: not now, try again after a step. S4_UNAVAILABLE: the peer is gone or not up.
 * S4_TOO_LARGE: over TRANSPORT_ENVELOPE_MAX or TRANSPORT_BLOCK_MAX; nothing was sent. */
static inline MUST_USE s4_status transport_send(struct transport *transport, uint64_t peer,
                                                const void *envelope, size_t size,
                                                struct block *block)
{
    if (size > TRANSPORT_ENVELOPE_MAX || (block && block->used > TRANSPORT_BLOCK_MAX))
        return S4_TOO_LARGE;
    return transport->ops->send(transport, peer, envelope, size, block);
}

/* Ends a connection from this side, at once and without an upcall. Unknown peers are ignored. */
static inline void transport_disconnect(struct transport *transport, uint64_t peer)
{
    transport->ops->disconnect(transport, peer);
}

/* Receives up to `max` messages; returns how many messages and events it handed up. */
static inline size_t transport_step(struct transport *transport, size_t max)
{
    return transport->ops->step(transport, max);
}

/* Sleeps until a message or an event may be there, a watched descriptor is readable, another thread
 * called transport_wake, or the time is over. May return early. */
static inline void transport_wait(struct transport *transport, uint64_t timeout_us)
{
    transport->ops->wait(transport, timeout_us);
}

/* Any thread. Not lost when the owner is just about to wait. */
static inline void transport_wake(struct transport *transport)
{
    waker_call(&transport->waker);
}

/* Closes every connection without upcalls; NULL is fine. */
static inline void transport_destroy(struct transport *transport)
{
    if (transport)
        transport->ops->destroy(transport);
}

#endif
