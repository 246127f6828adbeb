/* Messages that come in by ZeroMQ: which connection they are from, and their bytes into blocks.
 *
 * libzmq's frames below about 9 KB are not 8-aligned, and larger ones would pin its buffers: every
 * frame is copied into a block of the pool. A connection from outside is known from its first
 * message on; its routing id is drawn by the ROUTER.
 */
#include "runtime/net/transport_zmq_impl.h"

#include <zmq.h>

#define PARTS_MAX 3 /* frames of a message, its route included */

struct arrival {
    zmq_msg_t parts[PARTS_MAX + 1]; /* ROUTER: route; envelope; block; what is too many */
    int count;
    bool too_many;
};

static void close_parts(struct arrival *arrival)
{
    for (int i = 0; i < arrival->count; i++)
        zmq_msg_close(&arrival->parts[i]);
    arrival->count = 0;
}

/* One whole message; false: there is none. Parts beyond what any message has are dropped. */
static bool read_message(void *socket, int parts_max, struct arrival *arrival)
{
    bool more = true;
    *arrival = (struct arrival){ 0 };
    while (more) {
        bool fits = arrival->count < parts_max;
        zmq_msg_t *part = &arrival->parts[fits ? arrival->count : PARTS_MAX];
        zmq_msg_init(part);
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(part);
            close_parts(arrival);
            return false;
        }
        more = zmq_msg_more(part);
        if (fits)
            arrival->count++;
        else
            zmq_msg_close(part);
        arrival->too_many |= !fits;
    }
    return true;
}

void zpeer_close_for(struct transport_zmq *zmq, struct zpeer *peer, const char *reason)
{
    uint64_t number = peer->number;
    transport_disconnect(&zmq->transport, number);
    zmq->transport.upcalls->closed(zmq->transport.user, number, reason);
}

/* Frames 1 and 2 of a message, the first at `parts`. */
static void deliver(struct transport_zmq *zmq, struct zpeer *peer, zmq_msg_t *parts, int count)
{
    struct block *block = NULL;
    if (count == 2) {
        size_t size = zmq_msg_size(&parts[1]);
        if (size > TRANSPORT_BLOCK_MAX) {
            zpeer_close_for(zmq, peer, "it sent a block over the limit");
            return;
        }
        block = block_take(zmq->options.pool, size);
        if (!block) {
            zpeer_close_for(zmq, peer, "out of memory for a block");
            return;
        }
        memcpy(block->data, zmq_msg_data(&parts[1]), size);
        block->used = (uint32_t)size;
    }
    zmq->transport.upcalls->received(zmq->transport.user, peer->number, zmq_msg_data(&parts[0]),
                                     zmq_msg_size(&parts[0]), block);
}

static struct zpeer *find_route(const struct transport_zmq *zmq, const void *route, size_t size)
{
    for (size_t i = 0; i < zmq->count; i++) {
        struct zpeer *peer = zmq->peers[i];
        if (peer && peer->number && !peer->dealer && peer->route_size == size &&
            memcmp(peer->route, route, size) == 0)
            return peer;
    }
    return NULL;
}

/* The first message of a connection. NULL: no room for it; its messages are dropped. */
static struct zpeer *accept_peer(struct transport_zmq *zmq, zmq_msg_t *route, zmq_msg_t *envelope)
{
    int fd = zmq_msg_get(envelope, ZMQ_SRCFD);
    zmonitor_read_router(zmq);
    for (size_t i = 0; i < zmq->count; i++) {
        struct zpeer *peer = zmq->peers[i];
        if (peer && !peer->dealer && peer->number && peer->fd == fd && peer->state == ZPEER_UP)
            zpeer_close_for(zmq, peer, "its connection is used by another");
    }
    struct zpeer *peer;
    size_t size = zmq_msg_size(route);
    if (size > ROUTE_MAX || zpeer_add(zmq, &peer) != S4_OK)
        return NULL;
    peer->fd = fd;
    peer->route_size = (uint8_t)size;
    memcpy(peer->route, zmq_msg_data(route), size);
    peer->state = ZPEER_UP;
    if (!zkeys_accept(zmq, peer, envelope))
        peer->state = ZPEER_DEAD; /* what it sends is dropped until it is gone */
    if (peer->state == ZPEER_DEAD)
        return peer;
    uint64_t number = peer->number;
    zmq->transport.upcalls->connected(zmq->transport.user, number, false);
    if (peer->state == ZPEER_UP && !zmonitor_is_alive(zmq, fd)) {
        peer->state = ZPEER_CLOSING; /* it is gone already; its messages are here */
        snprintf(peer->reason, sizeof peer->reason, "the other side ended it");
    }
    return peer;
}

bool zreceive_router(struct transport_zmq *zmq)
{
    struct arrival arrival;
    if (!zmq->router || !zmq->router_watch.ready)
        return false;
    if (!read_message(zmq->router, PARTS_MAX, &arrival)) {
        zmq->router_watch.ready = zmq->router_watch.doubt = false;
        return false;
    }
    if (arrival.count >= 2) {
        zmq_msg_t *route = &arrival.parts[0];
        struct zpeer *peer = find_route(zmq, zmq_msg_data(route), zmq_msg_size(route));
        if (!peer)
            peer = accept_peer(zmq, route, &arrival.parts[1]);
        if (peer && peer->state != ZPEER_DEAD && arrival.too_many)
            zpeer_close_for(zmq, peer, "it sent a message of too many frames");
        else if (peer && peer->state != ZPEER_DEAD)
            deliver(zmq, peer, &arrival.parts[1], arrival.count - 1);
    }
    close_parts(&arrival);
    return true;
}

/* What a socket that is not read yet has to say to itself, so that its descriptor falls silent. */
static void take_in_events(void *socket)
{
    int events;
    size_t size = sizeof events;
    zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);
}

bool zreceive_dealer(struct transport_zmq *zmq, struct zpeer *peer)
{
    struct arrival arrival;
    if (!peer || !peer->dealer || !peer->watch.ready)
        return false;
    if (peer->state != ZPEER_UP && peer->state != ZPEER_CLOSING) {
        take_in_events(peer->dealer);
        peer->watch.ready = false;
        return false;
    }
    if (!read_message(peer->dealer, PARTS_MAX - 1, &arrival)) {
        peer->watch.ready = peer->watch.doubt = false;
        peer->drained = peer->state == ZPEER_CLOSING;
        return false;
    }
    if (arrival.too_many)
        zpeer_close_for(zmq, peer, "it sent a message of too many frames");
    else
        deliver(zmq, peer, arrival.parts, arrival.count);
    close_parts(&arrival);
    return true;
}
