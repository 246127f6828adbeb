/* A network inside one process; see the header.
 *
 * Everything is under one mutex: connections, and each endpoint's inbox, a heap of what is on its
 * way to it by due time. An endpoint's step moves what is due out of its inbox under the lock, one
 * item at a time, and calls upwards without it. A connection's items get due times that never go
 * back, and equal times are told apart by a running number, so a connection is a FIFO; that a cut
 * and a close are items too keeps them behind what was sent before.
 *
 * A block on its way is held, not copied; the copy is made by the receiving thread, into its pool.
 */
#include "runtime/net/transport_sim.h"

#include <pthread.h>

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/net/sim_inbox.h"

struct sim_end {
    struct sim_endpoint *endpoint; /* NULL: not connected yet, or destroyed */
    uint64_t peer;                 /* the connection's number at this end */
    uint64_t last_due_us;          /* of what is on its way to this end */
    uint32_t queued;               /* messages on their way to this end */
    bool closed;                   /* sends no more, hears no more */
};

struct sim_conn {
    struct sim_conn *next;
    struct sim_end ends[2]; /* 0: the one that called connect */
    uint32_t items;         /* that name this connection */
    char address[TRANSPORT_ADDRESS_MAX];
};

struct sim_endpoint {
    struct transport transport;
    struct sim_net *net;
    struct block_pool *pool; /* borrowed */
    struct sim_endpoint *next;
    struct sim_inbox inbox;
    uint64_t peers; /* connections so far: their numbers */
};

struct sim_net {
    pthread_mutex_t lock;
    struct sim_net_options options;
    struct rng rng;
    struct sim_conn *conns;
    struct sim_endpoint *endpoints;
    uint64_t numbers, messages;
    uint32_t rates[SIM_FAULTS];
    uint64_t faults[SIM_FAULTS];
    enum sim_fault planned;
    uint64_t planned_at;
};

/* Under the lock. The receiver's inbox has room. */
static void enqueue(struct sim_net *net, struct sim_item *item)
{
    struct sim_end *end = &item->conn->ends[item->side];
    uint64_t now = net->options.clock->mono_us(net->options.clock);
    uint64_t delay =
        net->options.delay_max_us ? rng_below(&net->rng, net->options.delay_max_us + 1ull) : 0;
    item->due_us = now + delay > end->last_due_us ? now + delay : end->last_due_us;
    item->number = net->numbers++;
    end->last_due_us = item->due_us;
    end->queued += item->kind == ITEM_MESSAGE;
    item->conn->items++;
    sim_inbox_push(&end->endpoint->inbox, item);
    waker_call(&end->endpoint->transport.waker);
}

/* Under the lock: frees a connection that nobody can name any more. */
static void drop_conn(struct sim_net *net, struct sim_conn *conn)
{
    bool live = conn->items > 0 || !conn->ends[0].closed || !conn->ends[1].closed;
    if (live)
        return;
    struct sim_conn **at = &net->conns;
    while (*at != conn)
        at = &(*at)->next;
    *at = conn->next;
    mem_free(conn);
}

/* Under the lock. Tells the other end, which closes when it hears of it. */
static void close_end(struct sim_net *net, struct sim_conn *conn, int side, const char *reason)
{
    struct sim_end *other = &conn->ends[!side];
    conn->ends[side].closed = true;
    if (!other->endpoint) {
        other->closed = true;
    } else if (!other->closed) {
        struct sim_item *item = sim_inbox_room(&other->endpoint->inbox, 1)
                                    ? sim_item_create(ITEM_CLOSED, conn, !side, 0)
                                    : NULL;
        CHECK(item); /* a test's memory; a close must not get lost */
        item->reason = reason;
        enqueue(net, item);
    }
}

static struct sim_conn *find_conn(const struct sim_endpoint *endpoint, uint64_t peer, int *side)
{
    for (struct sim_conn *conn = endpoint->net->conns; conn; conn = conn->next) {
        for (*side = 0; *side < 2; (*side)++) {
            if (conn->ends[*side].endpoint == endpoint && conn->ends[*side].peer == peer)
                return conn;
        }
    }
    return NULL;
}

/* Under the lock. */
static s4_status join(struct sim_net *net, struct sim_conn *conn, struct sim_endpoint *to)
{
    struct sim_item *items[2] = { sim_item_create(ITEM_CONNECTED, conn, 0, 0),
                                  sim_item_create(ITEM_CONNECTED, conn, 1, 0) };
    if (!items[0] || !items[1] || !sim_inbox_room(&conn->ends[0].endpoint->inbox, 2) ||
        !sim_inbox_room(&to->inbox, 2)) {
        sim_item_destroy(items[0]);
        sim_item_destroy(items[1]);
        return S4_NO_MEMORY;
    }
    conn->ends[1].endpoint = to;
    conn->ends[1].peer = ++to->peers;
    enqueue(net, items[0]);
    enqueue(net, items[1]);
    return S4_OK;
}

static struct sim_endpoint *find_bound(const struct sim_net *net, const char *address)
{
    struct sim_endpoint *endpoint = net->endpoints;
    while (endpoint && strcmp(endpoint->transport.address, address) != 0)
        endpoint = endpoint->next;
    return endpoint;
}

static s4_status bind_locked(struct sim_endpoint *endpoint, const char *address, struct diag *diag)
{
    struct sim_net *net = endpoint->net;
    if (find_bound(net, address))
        return diag_set(diag, S4_BUSY, "%s: in use", address);
    snprintf(endpoint->transport.address, TRANSPORT_ADDRESS_MAX, "%s", address);
    for (struct sim_conn *conn = net->conns; conn; conn = conn->next) {
        bool waits = !conn->ends[1].endpoint && !conn->ends[0].closed;
        if (waits && strcmp(conn->address, address) == 0)
            TRY(join(net, conn, endpoint));
    }
    return S4_OK;
}

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
    s4_status status = bind_locked(endpoint, address, diag);
    pthread_mutex_unlock(&endpoint->net->lock);
    return status;
}

static s4_status connect_locked(struct sim_endpoint *endpoint, const char *address, uint64_t *peer)
{
    struct sim_net *net = endpoint->net;
    struct sim_conn *conn = mem_zalloc(sizeof *conn);
    if (!conn)
        return S4_NO_MEMORY;
    snprintf(conn->address, sizeof conn->address, "%s", address);
    conn->ends[0] = (struct sim_end){ .endpoint = endpoint, .peer = ++endpoint->peers };
    struct sim_endpoint *to = find_bound(net, address);
    if (to && join(net, conn, to) != S4_OK) {
        mem_free(conn);
        return S4_NO_MEMORY;
    }
    conn->next = net->conns;
    net->conns = conn;
    *peer = conn->ends[0].peer;
    return S4_OK;
}

static s4_status sim_connect(struct transport *transport, const char *address, uint64_t *peer,
                             struct diag *diag)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    TRY(check_address(address, diag));
    pthread_mutex_lock(&endpoint->net->lock);
    s4_status status = connect_locked(endpoint, address, peer);
    pthread_mutex_unlock(&endpoint->net->lock);
    return status == S4_OK ? S4_OK : diag_set(diag, status, "connect: out of memory");
}

static enum sim_fault draw_fault(struct sim_net *net)
{
    enum sim_fault fault = SIM_NO_FAULT;
    net->messages++;
    if (net->planned != SIM_NO_FAULT && net->planned_at == net->messages)
        fault = net->planned;
    for (int f = SIM_NO_FAULT + 1; f < SIM_FAULTS && fault == SIM_NO_FAULT; f++) {
        if (net->rates[f] && rng_below(&net->rng, net->rates[f]) == 0)
            fault = (enum sim_fault)f;
    }
    net->faults[fault]++;
    return fault;
}

static s4_status send_locked(struct sim_net *net, struct sim_conn *conn, int side,
                             const void *envelope, size_t size, struct block *block)
{
    struct sim_end *to = &conn->ends[side];
    if (to->queued >= net->options.queue_max)
        return S4_FULL;
    if (!sim_inbox_room(&to->endpoint->inbox, 2))
        return S4_NO_MEMORY;
    struct sim_item *items[2] = { sim_item_create(ITEM_MESSAGE, conn, side, size),
                                  sim_item_create(ITEM_MESSAGE, conn, side, size) };
    if (!items[0] || !items[1]) {
        sim_item_destroy(items[0]);
        sim_item_destroy(items[1]);
        return S4_NO_MEMORY;
    }
    enum sim_fault fault = draw_fault(net);
    int copies = fault == SIM_DUPLICATE ? 2 : fault == SIM_DROP || fault == SIM_CUT ? 0 : 1;
    if (fault == SIM_FLIP)
        items[0]->flip = 1 + rng_below(&net->rng, 8 * (size + (block ? block->used : 0)));
    for (int i = 0; i < 2; i++) {
        if (i >= copies) {
            sim_item_destroy(items[i]);
            continue;
        }
        memcpy(items[i]->envelope, envelope, size);
        items[i]->block = block;
        if (block)
            block_hold(block);
        enqueue(net, items[i]);
    }
    if (fault == SIM_CUT) {
        close_end(net, conn, side, "cut by the simulated net");
        conn->ends[side].closed = false; /* both ends have yet to hear of it */
        close_end(net, conn, !side, "cut by the simulated net");
        conn->ends[!side].closed = false;
    }
    return S4_OK;
}

static s4_status sim_send(struct transport *transport, uint64_t peer, const void *envelope,
                          size_t size, struct block *block)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    struct sim_net *net = endpoint->net;
    int side;
    pthread_mutex_lock(&net->lock);
    struct sim_conn *conn = find_conn(endpoint, peer, &side);
    bool up = conn && conn->ends[!side].endpoint && !conn->ends[0].closed && !conn->ends[1].closed;
    s4_status status = up ? send_locked(net, conn, !side, envelope, size, block) : S4_UNAVAILABLE;
    pthread_mutex_unlock(&net->lock);
    return status;
}

static void sim_disconnect(struct transport *transport, uint64_t peer)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    struct sim_net *net = endpoint->net;
    int side;
    pthread_mutex_lock(&net->lock);
    struct sim_conn *conn = find_conn(endpoint, peer, &side);
    if (conn && !conn->ends[side].closed) {
        close_end(net, conn, side, "the other side disconnected");
        drop_conn(net, conn);
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
        drop_conn(net, conn);
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

static void forget_endpoint(struct sim_endpoint *endpoint)
{
    struct sim_net *net = endpoint->net;
    for (struct sim_item *item; (item = sim_inbox_pop(&endpoint->inbox));) {
        item->conn->items--;
        sim_item_destroy(item);
    }
    struct sim_conn *next;
    for (struct sim_conn *conn = net->conns; conn; conn = next) {
        next = conn->next;
        for (int side = 0; side < 2; side++) {
            if (conn->ends[side].endpoint != endpoint)
                continue;
            if (!conn->ends[side].closed)
                close_end(net, conn, side, "the other side is gone");
            conn->ends[side].endpoint = NULL;
        }
        drop_conn(net, conn);
    }
    struct sim_endpoint **at = &net->endpoints;
    while (*at != endpoint)
        at = &(*at)->next;
    *at = endpoint->next;
}

static void sim_destroy(struct transport *transport)
{
    struct sim_endpoint *endpoint = (struct sim_endpoint *)transport;
    struct sim_net *net = endpoint->net;
    pthread_mutex_lock(&net->lock);
    forget_endpoint(endpoint);
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

s4_status sim_net_create(const struct sim_net_options *options, struct sim_net **net)
{
    struct sim_net *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->options = *options;
    if (options->queue_max == 0)
        fresh->options.queue_max = SIM_QUEUE_DEFAULT;
    rng_init(&fresh->rng, options->seed);
    pthread_mutex_init(&fresh->lock, NULL);
    *net = fresh;
    return S4_OK;
}

void sim_net_destroy(struct sim_net *net)
{
    if (!net)
        return;
    CHECK(!net->endpoints && !net->conns);
    pthread_mutex_destroy(&net->lock);
    mem_free(net);
}

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

void sim_net_set_rate(struct sim_net *net, enum sim_fault fault, uint32_t one_in)
{
    pthread_mutex_lock(&net->lock);
    net->rates[fault] = one_in;
    pthread_mutex_unlock(&net->lock);
}

void sim_net_plan(struct sim_net *net, enum sim_fault fault, uint64_t message)
{
    pthread_mutex_lock(&net->lock);
    net->planned = fault;
    net->planned_at = message;
    pthread_mutex_unlock(&net->lock);
}

uint64_t sim_net_messages(struct sim_net *net)
{
    pthread_mutex_lock(&net->lock);
    uint64_t messages = net->messages;
    pthread_mutex_unlock(&net->lock);
    return messages;
}

uint64_t sim_net_faults(struct sim_net *net, enum sim_fault fault)
{
    pthread_mutex_lock(&net->lock);
    uint64_t faults = net->faults[fault];
    pthread_mutex_unlock(&net->lock);
    return faults;
}

uint64_t sim_net_due_us(struct sim_net *net)
{
    uint64_t due = UINT64_MAX;
    pthread_mutex_lock(&net->lock);
    for (struct sim_endpoint *endpoint = net->endpoints; endpoint; endpoint = endpoint->next) {
        uint64_t at = sim_inbox_due_us(&endpoint->inbox);
        due = at < due ? at : due;
    }
    pthread_mutex_unlock(&net->lock);
    return due;
}
