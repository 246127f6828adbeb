/* Keys in the ZeroMQ transport: who gets through, and whose a connection is.
 *
 * A handshake that CURVE has let through proves a key: the server's by being the one that the
 * DEALER was told to expect, a client's by what the handler of handshakes wrote on its messages.
 * The name is the keyring's for that key; what a peer says of itself is for the session to compare.
 *
 * ZeroMQ would try a refused handshake again for ever without a word. Its monitor says what became
 * of each: that a key is not admitted, and that one side wants keys and the other has none, does
 * not get better by itself. A wrong key of the server shows as a connection that ends, and so does
 * a server that is busy or going down: a few are waited for.
 */
#include "runtime/net/transport_zmq_impl.h"

#define FAILURES_MAX 3 /* handshakes that end without a word */

s4_status zkeys_open(struct transport_zmq *zmq, struct diag *diag)
{
    const struct transport_zmq_options *options = &zmq->options;
    struct zap_options zap = { .context = zmq->context,
                               .ring = options->ring,
                               .report = options->report,
                               .user = options->report_user };
    if (!options->ring)
        return S4_OK;
    zmq->ring_version = keyring_version(options->ring);
    return options->context ? S4_OK : zap_start(&zap, &zmq->zap, diag);
}

s4_status zkeys_bind(struct transport_zmq *zmq, struct diag *diag)
{
    if (!zmq->options.ring)
        return S4_OK;
    return secure_listen(zmq->router, zmq->options.ring, ZAP_NODES, diag);
}

/* Enters a key and its name; false: it is nobody's. */
static bool recognise(const struct transport_zmq *zmq, struct zpeer *peer)
{
    peer->keyed = keyring_find(zmq->options.ring, KEYRING_NODE, peer->key, peer->name);
    return peer->keyed;
}

s4_status zkeys_connect(struct transport_zmq *zmq, struct zpeer *peer, const char *name,
                        struct diag *diag)
{
    struct keyring *ring = zmq->options.ring;
    if (!ring)
        return S4_OK;
    TRY(secure_connect(peer->dealer, ring, name, peer->number, peer->key, diag));
    if (!recognise(zmq, peer))
        return diag_set(diag, S4_NOT_FOUND, "the key of %s was just removed",
                        name ? name : "the node");
    return S4_OK;
}

bool zkeys_accept(struct transport_zmq *zmq, struct zpeer *peer, zmq_msg_t *message)
{
    if (!zmq->options.ring)
        return true;
    return secure_sender(message, peer->key) && recognise(zmq, peer);
}

size_t zkeys_step(struct transport_zmq *zmq)
{
    uint64_t version = zmq->options.ring ? keyring_version(zmq->options.ring) : 0;
    size_t events = 0;
    if (version == zmq->ring_version)
        return 0;
    zmq->ring_version = version;
    for (size_t i = 0; i < zmq->count; i++) {
        struct zpeer *peer = zmq->peers[i];
        if (!peer || !peer->number || peer->state == ZPEER_DEAD || recognise(zmq, peer))
            continue;
        zpeer_close_for(zmq, peer, "its key was removed");
        events++;
    }
    return events;
}

bool zkeys_failed(struct transport_zmq *zmq, struct zpeer *peer, uint16_t event)
{
    char reason[160];
    bool keyed = zmq->options.ring;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        snprintf(reason, sizeof reason, "it does not admit this node's key, %s's",
                 keyed ? keyring_own(zmq->options.ring)->name : "nobody");
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        snprintf(reason, sizeof reason,
                 keyed ? "it has no keys, or is no node" : "it wants keys, or is no node");
    else if (keyed && ++peer->failures >= FAILURES_MAX)
        snprintf(reason, sizeof reason, "it has no keys, or not the key of %s, or cannot answer",
                 peer->name);
    else
        return false;
    zpeer_close_for(zmq, peer, reason);
    return true;
}

const char *zkeys_peer_name(struct transport *transport, uint64_t number)
{
    const struct zpeer *peer = zpeer_find((struct transport_zmq *)transport, number);
    return peer && peer->keyed ? peer->name : NULL;
}
