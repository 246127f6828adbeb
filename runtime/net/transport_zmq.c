/* Bytes between processes through ZeroMQ; see the header, and rule 12 of the README for options.
 *
 *   node A   DEALER --------connection--------> ROUTER   node B       one DEALER per connect,
 *            (peer of A)                        (peer of B, by route)  one ROUTER per node
 *
 * A peer is one connection. ZeroMQ would reconnect a DEALER silently and lose what was between; so
 * a DEALER whose connection ended is closed, and what comes later is another peer. Routing ids are
 * those that the ROUTER draws: new for each connection, so none can be taken over.
 *
 * Sockets may be closed only when no upcall runs in them; `disconnect` marks, `sweep` closes.
 */
#include "runtime/net/transport_zmq_impl.h"

#include <errno.h>
#include <poll.h>
#include <zmq.h>

#include "runtime/base/mem.h"

#define HEARTBEAT_MS         1000
#define HEARTBEAT_TIMEOUT_MS 5000
#define RECONNECT_MS         100
#define RECONNECT_MAX_MS     2000
#define TCP_MAXRT_MS         10000
#define MESSAGE_MAX          (4 * (int64_t)MIB) /* a backstop: sizes are checked before the send */
#define LOOK_EVERY           4 /* steps of a thread that does not wait in between */
#define SOCKETS_MAX          (3 * TRANSPORT_PEERS_MAX + 8)

static struct transport_zmq *zmq_of(struct transport *transport)
{
    return (struct transport_zmq *)transport;
}

s4_status transport_zmq_check_version(int major, int minor, int patch, struct diag *diag)
{
    if (major * 10000 + minor * 100 + patch >= 40304)
        return S4_OK;
    return diag_set(diag, S4_UNSUPPORTED,
                    "libzmq %d.%d.%d is loaded; wanted 4.3.4 or newer, older ones have holes that "
                    "a peer can use",
                    major, minor, patch);
}

static s4_status zmq_diag(struct diag *diag, const char *what, const char *address)
{
    int error = zmq_errno();
    s4_status status = S4_IO;
    if (error == EADDRINUSE)
        status = S4_BUSY;
    else if (error == EACCES || error == EPERM)
        status = S4_PERMISSION;
    else if (error == EINVAL || error == EPROTONOSUPPORT || error == ENODEV ||
             error == ENOCOMPATPROTO || error == ENAMETOOLONG)
        status = S4_INVALID;
    return diag_set(diag, status, "%s %s: %s", what, address, zmq_strerror(error));
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(const struct transport_zmq *zmq, void *socket)
{
    int queue = (int)zmq->options.queue_max;
    int64_t message_max = MESSAGE_MAX;
    return set_int(socket, ZMQ_LINGER, 0) && set_int(socket, ZMQ_IMMEDIATE, 1) &&
           set_int(socket, ZMQ_SNDHWM, queue) && set_int(socket, ZMQ_RCVHWM, queue) &&
           set_int(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
           set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) &&
           set_int(socket, ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS) &&
           set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
           set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) &&
           set_int(socket, ZMQ_TCP_MAXRT, TCP_MAXRT_MS) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max) == 0;
}

s4_status zwatch_open(struct transport_zmq *zmq, void *socket, struct zwatch *watch)
{
    size_t size = sizeof watch->fd;
    *watch = (struct zwatch){ .ready = true };
    if (zmq_getsockopt(socket, ZMQ_FD, &watch->fd, &size) != 0)
        return S4_IO;
    return waker_watch(&zmq->transport.waker, watch->fd);
}

static void close_socket(struct transport_zmq *zmq, void *socket)
{
    int fd;
    size_t size = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0)
        waker_unwatch(&zmq->transport.waker, fd);
    zmq_close(socket);
}

s4_status zpeer_add(struct transport_zmq *zmq, struct zpeer **peer)
{
    size_t slot = 0;
    while (slot < zmq->count && zmq->peers[slot])
        slot++;
    if (slot == TRANSPORT_PEERS_MAX)
        return S4_FULL;
    void *peers = zmq->peers;
    if (!mem_grow(&peers, &zmq->capacity, slot + 1, sizeof(struct zpeer *)))
        return S4_NO_MEMORY;
    zmq->peers = peers;
    struct zpeer *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->number = ++zmq->numbers;
    fresh->fd = -1;
    zmq->peers[slot] = fresh;
    if (slot == zmq->count)
        zmq->count++;
    *peer = fresh;
    return S4_OK;
}

static void free_peer(struct transport_zmq *zmq, size_t slot)
{
    struct zpeer *peer = zmq->peers[slot];
    zmq->peers[slot] = NULL;
    if (peer->monitor)
        zmonitor_close(zmq, peer->dealer, peer->monitor);
    if (peer->dealer)
        close_socket(zmq, peer->dealer);
    mem_free(peer);
}

struct zpeer *zpeer_find(const struct transport_zmq *zmq, uint64_t number)
{
    for (size_t i = 0; i < zmq->count; i++) {
        if (zmq->peers[i] && zmq->peers[i]->number == number)
            return zmq->peers[i];
    }
    return NULL;
}

static s4_status ztransport_bind(struct transport *transport, const char *address,
                                 struct diag *diag)
{
    struct transport_zmq *zmq = zmq_of(transport);
    struct address read;
    size_t size = sizeof transport->address;
    CHECK(!zmq->router);
    TRY(address_read(address, ADDRESS_LISTEN, zmq->options.ring, &read, diag));
    gate_init(&zmq->gate, 0);
    zmq->router = zmq_socket(zmq->context, ZMQ_ROUTER);
    if (!zmq->router)
        return zmq_diag(diag, "bind", address);
    s4_status status = S4_OK;
    if (!set_options(zmq, zmq->router) || !set_int(zmq->router, ZMQ_ROUTER_MANDATORY, 1))
        status = zmq_diag(diag, "set up", address);
    if (status == S4_OK)
        status = secure_limits(zmq->router, &read, diag);
    if (status == S4_OK)
        status = zkeys_bind(zmq, diag);
    if (status == S4_OK)
        status = zwatch_open(zmq, zmq->router, &zmq->router_watch);
    if (status == S4_OK)
        status = zmonitor_open(zmq, zmq->router, &zmq->router_monitor, &zmq->router_monitor_watch);
    if (status == S4_OK && zmq_bind(zmq->router, read.uri) != 0)
        status = zmq_diag(diag, "bind", address);
    if (status == S4_OK &&
        zmq_getsockopt(zmq->router, ZMQ_LAST_ENDPOINT, transport->address, &size) != 0)
        status = zmq_diag(diag, "bind", address);
    if (status != S4_OK) {
        if (zmq->router_monitor)
            zmonitor_close(zmq, zmq->router, zmq->router_monitor);
        close_socket(zmq, zmq->router);
        zmq->router = zmq->router_monitor = NULL;
    }
    return status;
}

static s4_status ztransport_connect(struct transport *transport, const char *name,
                                    const char *address, uint64_t *number, struct diag *diag)
{
    struct transport_zmq *zmq = zmq_of(transport);
    struct address read;
    struct zpeer *peer;
    TRY(address_read(address, ADDRESS_REACH, zmq->options.ring, &read, diag));
    s4_status status = zpeer_add(zmq, &peer);
    if (status != S4_OK)
        return diag_set(diag, status, "connect %s: %s", address, s4_status_text(status));
    peer->dealer = zmq_socket(zmq->context, ZMQ_DEALER);
    if (!peer->dealer || !set_options(zmq, peer->dealer))
        status = zmq_diag(diag, "set up", address);
    if (status == S4_OK)
        status = secure_limits(peer->dealer, &read, diag);
    if (status == S4_OK)
        status = zkeys_connect(zmq, peer, name, diag);
    if (status == S4_OK)
        status = zwatch_open(zmq, peer->dealer, &peer->watch);
    if (status == S4_OK)
        status = zmonitor_open(zmq, peer->dealer, &peer->monitor, &peer->monitor_watch);
    if (status == S4_OK && zmq_connect(peer->dealer, read.uri) != 0)
        status = zmq_diag(diag, "connect", address);
    if (status != S4_OK) {
        peer->state = ZPEER_DEAD; /* the next sweep frees it */
        peer->number = 0;
        return status;
    }
    *number = peer->number;
    return S4_OK;
}

static void release_block(void *data, void *hint)
{
    block_release(hint);
}

/* S4_FULL also when the connection went away in between: the monitor will say so. */
static s4_status send_status(void)
{
    return zmq_errno() == EHOSTUNREACH ? S4_UNAVAILABLE : S4_FULL;
}

static s4_status send_block(void *socket, struct block *block)
{
    zmq_msg_t message;
    if (zmq_msg_init_data(&message, block->data, block->used, release_block, block) != 0)
        return S4_NO_MEMORY;
    block_hold(block);
    if (zmq_msg_send(&message, socket, ZMQ_DONTWAIT) >= 0)
        return S4_OK;
    s4_status status = send_status();
    zmq_msg_close(&message); /* gives the hold back */
    return status;
}

static s4_status ztransport_send(struct transport *transport, uint64_t number, const void *envelope,
                                 size_t size, struct block *block)
{
    struct transport_zmq *zmq = zmq_of(transport);
    struct zpeer *peer = zpeer_find(zmq, number);
    if (!peer || peer->state != ZPEER_UP)
        return S4_UNAVAILABLE;
    void *socket = peer->dealer ? peer->dealer : zmq->router;
    struct zwatch *watch = peer->dealer ? &peer->watch : &zmq->router_watch;
    watch->doubt = true;
    if (!peer->dealer &&
        zmq_send(socket, peer->route, peer->route_size, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return send_status();
    if (zmq_send(socket, envelope, size, ZMQ_DONTWAIT | (block ? ZMQ_SNDMORE : 0)) < 0)
        return send_status();
    return block ? send_block(socket, block) : S4_OK;
}

static void ztransport_disconnect(struct transport *transport, uint64_t number)
{
    struct zpeer *peer = zpeer_find(zmq_of(transport), number);
    if (peer && peer->state == ZPEER_CLOSING && !peer->dealer)
        peer->gone = true;
    if (peer)
        peer->state = ZPEER_DEAD;
}

/* Tells the user of connections that ended and are read to their end; frees what is dead. */
static size_t sweep(struct transport_zmq *zmq, bool router_drained)
{
    size_t events = 0;
    for (size_t i = 0; i < zmq->count; i++) {
        struct zpeer *peer = zmq->peers[i];
        if (!peer)
            continue;
        if (peer->state == ZPEER_CLOSING && (peer->dealer ? peer->drained : router_drained)) {
            zpeer_close_for(zmq, peer, peer->reason);
            events++;
        }
        bool over = peer->dealer || peer->monitor || peer->number == 0;
        if (peer->state == ZPEER_DEAD && (over || (peer->gone && router_drained)))
            free_peer(zmq, i);
    }
    return events;
}

/* ---- which sockets may have something ------------------------------------------------------ */

static void mark_ready(struct zwatch *watch, int fd)
{
    watch->ready |= watch->fd == fd;
}

/* What the waker's last look saw. */
static void note_ready(struct transport_zmq *zmq)
{
    const struct waker *waker = &zmq->transport.waker;
    zmq->unseen = 0;
    for (size_t i = 1; i < waker->count; i++) {
        if (waker->fds[i].revents == 0)
            continue;
        int fd = waker->fds[i].fd;
        mark_ready(&zmq->router_watch, fd);
        mark_ready(&zmq->router_monitor_watch, fd);
        for (size_t p = 0; p < zmq->count; p++) {
            if (zmq->peers[p] && zmq->peers[p]->dealer) {
                mark_ready(&zmq->peers[p]->watch, fd);
                mark_ready(&zmq->peers[p]->monitor_watch, fd);
            }
        }
    }
}

static bool settle_doubt(struct zwatch *watch)
{
    watch->ready |= watch->doubt;
    watch->doubt = false;
    return watch->ready;
}

/* Whether any socket may have something; those in doubt may. */
static bool settle_doubts(struct transport_zmq *zmq)
{
    bool any = zmq->router && (settle_doubt(&zmq->router_watch) | zmq->router_monitor_watch.ready);
    for (size_t i = 0; i < zmq->count; i++) {
        struct zpeer *peer = zmq->peers[i];
        if (peer && peer->dealer)
            any |= settle_doubt(&peer->watch) | peer->monitor_watch.ready;
    }
    return any;
}

/* A thread that never waits must hear, too: it looks at every few steps. */
static void look_sometimes(struct transport_zmq *zmq)
{
    if (++zmq->unseen < LOOK_EVERY)
        return;
    waker_look(&zmq->transport.waker);
    note_ready(zmq);
    settle_doubts(zmq);
}

/* ---- stepping ------------------------------------------------------------------------------ */

static size_t ztransport_step(struct transport *transport, size_t max)
{
    struct transport_zmq *zmq = zmq_of(transport);
    look_sometimes(zmq);
    size_t done = zmonitor_step(zmq) + zkeys_step(zmq);
    bool router_drained = false, any = true;
    for (size_t messages = 0; any && messages < max;) {
        any = false;
        router_drained = !zreceive_router(zmq);
        any |= !router_drained;
        messages += !router_drained;
        for (size_t i = 0; i < zmq->count && messages < max; i++) {
            size_t slot = (zmq->turn + i) % zmq->count;
            bool read = zreceive_dealer(zmq, zmq->peers[slot]);
            any |= read;
            messages += read;
            done += read;
        }
        zmq->turn++;
        done += !router_drained;
    }
    return done + sweep(zmq, router_drained);
}

static void ztransport_wait(struct transport *transport, uint64_t timeout_us)
{
    struct transport_zmq *zmq = zmq_of(transport);
    if (!settle_doubts(zmq) && waker_wait(&transport->waker, timeout_us))
        note_ready(zmq);
}

static void ztransport_destroy(struct transport *transport)
{
    struct transport_zmq *zmq = zmq_of(transport);
    for (size_t i = 0; i < zmq->count; i++) {
        if (zmq->peers[i])
            free_peer(zmq, i);
    }
    if (zmq->router_monitor)
        zmonitor_close(zmq, zmq->router, zmq->router_monitor);
    if (zmq->router)
        close_socket(zmq, zmq->router);
    zap_stop(zmq->zap);
    if (!zmq->options.context)
        zmq_ctx_term(zmq->context); /* waits until the I/O thread has let go of every block */
    waker_fini(&transport->waker);
    mem_free(zmq->alive);
    mem_free(zmq->peers);
    mem_free(zmq);
}

static const struct transport_ops zmq_ops = {
    .bind = ztransport_bind,
    .connect = ztransport_connect,
    .send = ztransport_send,
    .disconnect = ztransport_disconnect,
    .peer_name = zkeys_peer_name,
    .step = ztransport_step,
    .wait = ztransport_wait,
    .destroy = ztransport_destroy,
};

static s4_status open_context(struct transport_zmq *zmq, struct diag *diag)
{
    zmq->context = zmq->options.context;
    if (zmq->context)
        return S4_OK;
    zmq->context = zmq_ctx_new();
    if (!zmq->context)
        return diag_set(diag, S4_IO, "ZeroMQ does not start: %s", zmq_strerror(zmq_errno()));
    zmq_ctx_set(zmq->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
    return S4_OK;
}

s4_status transport_zmq_create(const struct transport_zmq_options *options,
                               struct transport **transport, struct diag *diag)
{
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    TRY(transport_zmq_check_version(major, minor, patch, diag));
    struct transport_zmq *zmq = mem_zalloc(sizeof *zmq);
    if (!zmq)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    zmq->transport.ops = &zmq_ops;
    zmq->options = *options;
    if (options->queue_max == 0)
        zmq->options.queue_max = TRANSPORT_ZMQ_QUEUE_DEFAULT;
    s4_status status = waker_init(&zmq->transport.waker);
    if (status != S4_OK) {
        mem_free(zmq);
        return diag_set(diag, status, "no event descriptor");
    }
    status = open_context(zmq, diag);
    if (status == S4_OK)
        status = zkeys_open(zmq, diag);
    if (status != S4_OK) {
        if (zmq->context && !options->context)
            zmq_ctx_term(zmq->context);
        waker_fini(&zmq->transport.waker);
        mem_free(zmq);
        return status;
    }
    *transport = &zmq->transport;
    return S4_OK;
}
