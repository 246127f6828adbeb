/* A network inside one process: the endpoints' side; see the header.
 *
 * Everything is under one mutex: connections (sim_net.c), and each endpoint's inbox, a heap of what
 * is on its way to it by due time. An endpoint's step moves what is due out of its inbox under the
 * lock, one item at a time, and calls upwards without it.
 */
#include "runtime/net/transport_sim.h"

#include "runtime/base/mem.h"
#include "runtime/net/sim_net.h"

static s4_status check_address(const char *address, struct diag *diag)
{
    size_t len = strlen(address);
    return len > 0 && len < TRANSPORT_ADDRESS_MAX
               ? S4_OK
               : diag_set(diag, S4_INVALID, "an address of %zu bytes: wanted 1 to %d", len,
                          TRANSPORT_ADDRESS_MAX - 1);
}

static s4_status sim_bind(struct transport *transport, const char *address, struct diag *diag)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    TRY(check_address(address, diag));
    pthread_mutex_lock(&endpoint->net->lock);
    s4_status status = sim_bind_locked(endpoint, address, diag);
    pthread_mutex_unlock(&endpoint->net->lock);
    return status;
}

static s4_status sim_connect(struct transport *transport, const char *name, const char *address,
                             uint64_t *peer, struct diag *diag)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    TRY(check_address(address, diag));
    pthread_mutex_lock(&endpoint->net->lock);
    s4_status status = sim_connect_locked(endpoint, address, peer);
    pthread_mutex_unlock(&endpoint->net->lock);
    return status == S4_OK ? S4_OK : diag_set(diag, status, "connect: out of memory");
}

static s4_status sim_send(struct transport *transport, uint64_t peer, const void *envelope,
                          size_t size, struct block *block)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    struct sim_net *net = endpoint->net;
    int side;
    pthread_mutex_lock(&net->lock);
    struct sim_conn *conn = sim_conn_find(endpoint, peer, &side);
    bool up = conn && conn->ends[!side].endpoint && !conn->ends[0].closed && !conn->ends[1].closed;
    s4_status status = S4_UNAVAILABLE;
    if (up)
        status = sim_send_locked(net, conn, !side, envelope, size, block);
    else if (conn && (conn->ends[side].untold || conn->hole) && !conn->ends[side].closed)
        status = S4_OK; /* to nowhere */
    pthread_mutex_unlock(&net->lock);
    return status;
}

static void sim_disconnect(struct transport *transport, uint64_t peer)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    struct sim_net *net = endpoint->net;
    int side;
    pthread_mutex_lock(&net->lock);
    struct sim_conn *conn = sim_conn_find(endpoint, peer, &side);
    if (conn && !conn->ends[side].closed) {
        sim_conn_close(net, conn, side, "the other side disconnected");
        sim_conn_drop(net, conn);
    }
    pthread_mutex_unlock(&net->lock);
}

/* The next item that is due, out of the inbox, or NULL. `heard`: its end was still open. */
static struct sim_item *take_due(struct sim_endpoint *endpoint, uint64_t *peer, bool *heard)
{
    struct sim_net *net = endpoint->net;
    struct sim_item *item = NULL;
    pthread_mutex_lock(&net->lock);
    uint64_t now = net->options.clock->mono_us(net->options.clock);
    if (sim_inbox_due_us(&endpoint->inbox) <= now) {
        item = sim_inbox_pop(&endpoint->inbox);
        struct sim_conn *conn = item->conn;
        struct sim_end *end = &conn->ends[item->side];
        *peer = end->peer;
        *heard = !end->closed;
        struct sim_endpoint *sender = conn->ends[!item->side].endpoint;
        if (sender && end->queued >= net->options.queue_max)
            waker_call(&sender->transport.waker); /* there is room again */
        conn->items--;
        end->queued -= item->kind == ITEM_MESSAGE;
        if (item->kind == ITEM_CLOSED)
            end->closed = true;
        sim_conn_drop(net, conn);
    }
    pthread_mutex_unlock(&net->lock);
    return item;
}

static void deliver_message(struct sim_endpoint *endpoint, uint64_t peer, struct sim_item *item)
{
    const struct transport_upcalls *upcalls = endpoint->transport.upcalls;
    struct block *block = NULL;
    if (item->block) {
        block = block_take(endpoint->pool, item->block->used);
        if (!block) {
            sim_disconnect(&endpoint->transport, peer);
            upcalls->closed(endpoint->transport.user, peer, "out of memory for a block");
            return;
        }
        memcpy(block->data, item->block->data, item->block->used);
        block->used = item->block->used;
    }
    sim_item_flip(item, block);
    upcalls->received(endpoint->transport.user, peer, item->envelope, item->size, block);
}

static size_t sim_step(struct transport *transport, size_t max)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    size_t done = 0;
    uint64_t peer;
    bool heard;
    for (struct sim_item *item; done < max && (item = take_due(endpoint, &peer, &heard)); done++) {
        if (heard && item->kind == ITEM_CONNECTED)
            transport->upcalls->connected(transport->user, peer, item->side == 0);
        else if (heard && item->kind == ITEM_MESSAGE)
            deliver_message(endpoint, peer, item);
        else if (heard)
            transport->upcalls->closed(transport->user, peer, item->reason);
        sim_item_destroy(item);
    }
    return done;
}

static void sim_wait(struct transport *transport, uint64_t timeout_us)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    struct sim_net *net = endpoint->net;
    pthread_mutex_lock(&net->lock);
    uint64_t due = sim_inbox_due_us(&endpoint->inbox);
    pthread_mutex_unlock(&net->lock);
    uint64_t now = net->options.clock->mono_us(net->options.clock);
    if (due != UINT64_MAX)
        timeout_us = due <= now ? 0 : due - now < timeout_us ? due - now : timeout_us;
    if (timeout_us > 0)
        waker_wait(&transport->waker, timeout_us);
}

static void sim_destroy(struct transport *transport)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    struct sim_net *net = endpoint->net;
    pthread_mutex_lock(&net->lock);
    sim_endpoint_forget(endpoint);
    pthread_mutex_unlock(&net->lock);
    waker_fini(&endpoint->transport.waker);
    sim_inbox_fini(&endpoint->inbox);
    mem_free(endpoint);
}

static const struct transport_ops sim_ops = {
    .bind = sim_bind,
    .connect = sim_connect,
    .send = sim_send,
    .disconnect = sim_disconnect,
    .step = sim_step,
    .wait = sim_wait,
    .destroy = sim_destroy,
};

s4_status sim_net_endpoint(struct sim_net *net, struct block_pool *pool,
                           struct transport **transport)
{
    struct sim_endpoint *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->transport.ops = &sim_ops;
    fresh->net = net;
    fresh->pool = pool;
    s4_status status = waker_init(&fresh->transport.waker);
    if (status != S4_OK) {
        mem_free(fresh);
        return status;
    }
    pthread_mutex_lock(&net->lock);
    fresh->next = net->endpoints;
    net->endpoints = fresh;
    pthread_mutex_unlock(&net->lock);
    *transport = &fresh->transport;
    return S4_OK;
}
