/* Which connections are alive: ZeroMQ does not say so on the socket, its monitor does.
 *
 * A DEALER has one connection, so its events are that peer's. A ROUTER's events name the descriptor
 * of a connection; the first message of a connection tells its descriptor too (ZMQ_SRCFD), and that
 * is how the two are joined. Descriptors are used again, so the order matters: before a connection
 * is entered in the table, all events up to now are read, and whoever had its descriptor is closed.
 *
 * Events overtake messages, since they come by another socket. A peer whose connection ended is
 * only marked here; the step closes it when there is nothing more to read.
 */
#include "runtime/net/transport_zmq_impl.h"

#include <zmq.h>

#include "runtime/base/mem.h"

#define DEALER_EVENTS                                                             \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |                     \
     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
#define ROUTER_EVENTS GATE_EVENTS
#define FD_MAX        (1 << 20)

s4_status zmonitor_open(struct transport_zmq *zmq, void *socket, void **monitor,
                        struct zwatch *watch)
{
    char name[64];
    snprintf(name, sizeof name, "inproc://s4-monitor-%p-%llu", (void *)zmq,
             (unsigned long long)++zmq->monitors);
    int events = socket == zmq->router ? ROUTER_EVENTS : DEALER_EVENTS;
    if (zmq_socket_monitor(socket, name, events) != 0)
        return S4_IO;
    int linger = 0, unlimited = 0; /* a full queue would stop ZeroMQ's thread */
    void *pair = zmq_socket(zmq->context, ZMQ_PAIR);
    if (!pair || zmq_setsockopt(pair, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_setsockopt(pair, ZMQ_RCVHWM, &unlimited, sizeof unlimited) != 0 ||
        zmq_connect(pair, name) != 0 || zwatch_open(zmq, pair, watch) != S4_OK) {
        if (pair)
            zmq_close(pair);
        zmq_socket_monitor(socket, NULL, 0);
        return S4_IO;
    }
    *monitor = pair;
    return S4_OK;
}

void zmonitor_close(struct transport_zmq *zmq, void *socket, void *monitor)
{
    int fd;
    size_t size = sizeof fd;
    if (zmq_getsockopt(monitor, ZMQ_FD, &fd, &size) == 0)
        waker_unwatch(&zmq->transport.waker, fd);
    zmq_socket_monitor(socket, NULL, 0);
    zmq_close(monitor);
}

/* One event: two frames, number and value, then an address. False: there is none. */
static bool read_event(void *monitor, uint16_t *event, int32_t *value,
                       char address[TRANSPORT_ADDRESS_MAX])
{
    unsigned char bytes[6];
    if (zmq_recv(monitor, bytes, sizeof bytes, ZMQ_DONTWAIT) != sizeof bytes)
        return false;
    memcpy(event, bytes, sizeof *event);
    memcpy(value, bytes + 2, sizeof *value);
    int size = zmq_recv(monitor, address, TRANSPORT_ADDRESS_MAX - 1, ZMQ_DONTWAIT);
    if (size >= 0)
        address[size_min((size_t)size, TRANSPORT_ADDRESS_MAX - 1)] = '\0';
    return size >= 0;
}

static void set_alive(struct transport_zmq *zmq, int fd, bool alive)
{
    size_t word = (size_t)fd / 64;
    if (fd < 0 || fd >= FD_MAX)
        return;
    if (word >= zmq->alive_words) {
        size_t before = zmq->alive_words, capacity = before;
        void *words = zmq->alive;
        if (!mem_grow(&words, &capacity, word + 1, sizeof *zmq->alive))
            return; /* its peer will count as gone: refused rather than unseen */
        zmq->alive = words;
        zmq->alive_words = capacity;
        memset(zmq->alive + before, 0, (capacity - before) * sizeof *zmq->alive);
    }
    uint64_t bit = (uint64_t)1 << (fd % 64);
    zmq->alive[word] = alive ? zmq->alive[word] | bit : zmq->alive[word] & ~bit;
}

bool zmonitor_is_alive(const struct transport_zmq *zmq, int fd)
{
    size_t word = (size_t)fd / 64;
    return fd >= 0 && word < zmq->alive_words && (zmq->alive[word] >> (fd % 64) & 1);
}

static void mark_closing(struct zpeer *peer, const char *reason)
{
    if (peer->state == ZPEER_UP) {
        peer->state = ZPEER_CLOSING;
        peer->watch.ready = true; /* to be read to its end */
        snprintf(peer->reason, sizeof peer->reason, "%s", reason);
    } else if (peer->state == ZPEER_DEAD && !peer->dealer) {
        peer->gone = true; /* the step that reads to the end frees it */
    }
}

void zmonitor_read_router(struct transport_zmq *zmq)
{
    uint16_t event;
    int32_t fd;
    char address[TRANSPORT_ADDRESS_MAX];
    zmq->router_monitor_watch.ready = false;
    while (zmq->router_monitor && read_event(zmq->router_monitor, &event, &fd, address)) {
        gate_note(&zmq->gate, event, fd, address);
        if (event == ZMQ_EVENT_LISTENING)
            continue;
        set_alive(zmq, fd, event == ZMQ_EVENT_ACCEPTED);
        zmq->router_watch.ready |= event == ZMQ_EVENT_DISCONNECTED; /* to be read to its end */
        for (size_t i = 0; i < zmq->count && event == ZMQ_EVENT_DISCONNECTED; i++) {
            struct zpeer *peer = zmq->peers[i];
            if (peer && !peer->dealer && peer->fd == fd)
                mark_closing(peer, "the other side ended it, or was silent for too long");
        }
    }
}

static size_t read_dealer(struct transport_zmq *zmq, struct zpeer *peer)
{
    uint16_t event;
    int32_t value;
    char address[TRANSPORT_ADDRESS_MAX];
    size_t events = 0;
    if (!peer->monitor_watch.ready)
        return 0;
    peer->monitor_watch.ready = false;
    while (peer->monitor && read_event(peer->monitor, &event, &value, address)) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED && peer->state == ZPEER_CONNECTING) {
            peer->state = ZPEER_UP;
            peer->watch.ready = true;
            events++;
            zmq->transport.upcalls->connected(zmq->transport.user, peer->number, true);
        } else if (event == ZMQ_EVENT_DISCONNECTED) {
            mark_closing(peer, "the other side ended it, or was silent for too long");
        } else if (peer->state == ZPEER_CONNECTING) {
            events += zkeys_failed(zmq, peer, event);
        }
    }
    return events;
}

size_t zmonitor_step(struct transport_zmq *zmq)
{
    size_t events = 0;
    if (zmq->router_monitor_watch.ready)
        zmonitor_read_router(zmq);
    for (size_t i = 0; i < zmq->count; i++) {
        if (zmq->peers[i])
            events += read_dealer(zmq, zmq->peers[i]);
    }
    return events;
}
