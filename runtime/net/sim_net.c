/* The simulated net: who is connected with whom, and what is on its way.
 *
 * A connection's items get due times that never go back, and equal times are told apart by a
 * running number, so a connection is a FIFO; that a cut and a close are items too keeps them behind
 * what was sent before. A block on its way is held, not copied; the receiving thread copies it into
 * its pool.
 */
#include "runtime/net/sim_net.h"

#include "runtime/base/mem.h"

/* Under the lock. The receiver's inbox has room. */
static void sim_enqueue(struct sim_net *net, struct sim_item *item, uint64_t late_us)
{
    struct sim_end *end = &item->conn->ends[item->side];
    uint64_t now = net->options.clock->mono_us(net->options.clock);
    uint64_t delay = late_us;
    if (net->options.delay_max_us)
        delay += rng_below(&net->rng, net->options.delay_max_us + 1ull);
    item->due_us = now + delay > end->last_due_us ? now + delay : end->last_due_us;
    item->number = net->numbers++;
    end->last_due_us = item->due_us;
    end->queued += item->kind == ITEM_MESSAGE;
    item->conn->items++;
    sim_inbox_push(&end->endpoint->inbox, item);
    waker_call(&end->endpoint->transport.waker);
}

bool sim_is_blocked(const struct sim_net *net, const struct sim_endpoint *from,
                    const struct sim_endpoint *to)
{
    for (size_t i = 0; i < net->blocks_count; i++) {
        if (net->blocks[i].from == &from->transport && net->blocks[i].to == &to->transport)
            return true;
    }
    return false;
}

/* Under the lock: frees a connection that nobody can name any more. */
void sim_conn_drop(struct sim_net *net, struct sim_conn *conn)
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
void sim_conn_close(struct sim_net *net, struct sim_conn *conn, int side, const char *reason)
{
    struct sim_end *other = &conn->ends[!side];
    conn->ends[side].closed = true;
    if (!other->endpoint) {
        other->closed = true;
    } else if (conn->hole) {
        return; /* it will never know */
    } else if (conn->ends[side].endpoint && !other->closed &&
               sim_is_blocked(net, conn->ends[side].endpoint, other->endpoint)) {
        other->untold = true;
    } else if (!other->closed) {
        struct sim_item *item = sim_inbox_room(&other->endpoint->inbox, 1)
                                    ? sim_item_create(ITEM_CLOSED, conn, !side, 0)
                                    : NULL;
        CHECK(item); /* a test's memory; a close must not get lost */
        item->reason = reason;
        other->untold = false;
        sim_enqueue(net, item, 0);
    }
}

struct sim_conn *sim_conn_find(const struct sim_endpoint *endpoint, uint64_t peer, int *side)
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
    sim_enqueue(net, items[0], 0);
    sim_enqueue(net, items[1], 0);
    return S4_OK;
}

static struct sim_endpoint *find_bound(const struct sim_net *net, const char *address)
{
    struct sim_endpoint *endpoint = net->endpoints;
    while (endpoint && strcmp(endpoint->transport.address, address) != 0)
        endpoint = endpoint->next;
    return endpoint;
}

s4_status sim_bind_locked(struct sim_endpoint *endpoint, const char *address, struct diag *diag)
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

s4_status sim_connect_locked(struct sim_endpoint *endpoint, const char *address, uint64_t *peer)
{
    struct sim_net *net = endpoint->net;
    struct sim_conn *conn = mem_zalloc(sizeof *conn);
    if (!conn)
        return S4_NO_MEMORY;
    snprintf(conn->address, sizeof conn->address, "%s", address);
    conn->ends[0] = (struct sim_end){ .endpoint = endpoint, .peer = ++endpoint->peers };
    struct sim_endpoint *to = find_bound(net, address);
    bool reached = to && !sim_is_blocked(net, endpoint, to) && !sim_is_blocked(net, to, endpoint);
    if (reached && join(net, conn, to) != S4_OK) {
        mem_free(conn);
        return S4_NO_MEMORY;
    }
    conn->next = net->conns;
    net->conns = conn;
    *peer = conn->ends[0].peer;
    return S4_OK;
}

static enum sim_fault draw_fault(struct sim_net *net)
{
    enum sim_fault fault = SIM_NO_FAULT;
    net->messages++;
    for (int i = SIM_NO_FAULT + 1; i < SIM_FAULTS; i++) {
        if (net->rates[i] && rng_below(&net->rng, 1000000) < net->rates[i])
            fault = (enum sim_fault)i;
    }
    if (net->planned != SIM_NO_FAULT && net->planned_at == net->messages)
        fault = net->planned;
    net->faults[fault]++;
    return fault;
}

s4_status sim_send_locked(struct sim_net *net, struct sim_conn *conn, int side,
                          const void *envelope, size_t size, struct block *block)
{
    struct sim_end *to = &conn->ends[side];
    net->messages += conn->hole;
    if (conn->hole || sim_is_blocked(net, conn->ends[!side].endpoint, to->endpoint))
        return S4_OK;
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
    uint64_t late = fault == SIM_LATE ? rng_below(&net->rng, SIM_LATE_MAX_US) : 0;
    int copies = fault == SIM_DUPLICATE                                       ? 2
                 : fault == SIM_DROP || fault == SIM_CUT || fault == SIM_HOLE ? 0
                                                                              : 1;
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
        sim_enqueue(net, items[i], late);
    }
    conn->hole |= fault == SIM_HOLE;
    if (fault == SIM_CUT) {
        sim_conn_close(net, conn, side, "cut by the simulated net");
        conn->ends[side].closed = false; /* both ends have yet to hear of it */
        sim_conn_close(net, conn, !side, "cut by the simulated net");
        conn->ends[!side].closed = false;
    }
    return S4_OK;
}

static void tell_end(struct sim_net *net, struct sim_conn *conn, int side)
{
    struct sim_endpoint *from = conn->ends[!side].endpoint, *to = conn->ends[side].endpoint;
    if (!conn->ends[side].untold || !to || (from && sim_is_blocked(net, from, to)))
        return;
    sim_conn_close(net, conn, !side, "it was closed meanwhile");
}

void sim_unblock_locked(struct sim_net *net)
{
    for (struct sim_conn *conn = net->conns; conn; conn = conn->next) {
        struct sim_endpoint *from = conn->ends[0].endpoint;
        struct sim_endpoint *to = find_bound(net, conn->address);
        bool waits = !conn->ends[1].endpoint && !conn->ends[0].closed && from && to;
        if (waits && !sim_is_blocked(net, from, to) && !sim_is_blocked(net, to, from))
            CHECK(join(net, conn, to) == S4_OK); /* a test's memory */
        tell_end(net, conn, 0);
        tell_end(net, conn, 1);
    }
}

void sim_endpoint_forget(struct sim_endpoint *endpoint)
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
                sim_conn_close(net, conn, side, "the other side is gone");
            conn->ends[side].endpoint = NULL;
        }
        sim_conn_drop(net, conn);
    }
    struct sim_endpoint **at = &net->endpoints;
    while (*at != endpoint)
        at = &(*at)->next;
    *at = endpoint->next;
}

/* ---- the net itself ------------------------------------------------------------------------- */

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

void sim_net_plan(struct sim_net *net, enum sim_fault fault, uint64_t message)
{
    pthread_mutex_lock(&net->lock);
    net->planned = fault;
    net->planned_at = message;
    pthread_mutex_unlock(&net->lock);
}

void sim_net_rates(struct sim_net *net, const uint32_t per_million[SIM_FAULTS])
{
    pthread_mutex_lock(&net->lock);
    memcpy(net->rates, per_million, sizeof net->rates);
    pthread_mutex_unlock(&net->lock);
}

void sim_net_block(struct sim_net *net, const struct transport *from, const struct transport *to,
                   bool blocked)
{
    size_t i = 0;
    pthread_mutex_lock(&net->lock);
    while (i < net->blocks_count && (net->blocks[i].from != from || net->blocks[i].to != to))
        i++;
    if (blocked && i == net->blocks_count) {
        CHECK(i < SIM_BLOCKS_MAX);
        net->blocks[net->blocks_count++] = (struct sim_block){ from, to };
    } else if (!blocked && i < net->blocks_count) {
        net->blocks[i] = net->blocks[--net->blocks_count];
        sim_unblock_locked(net);
    }
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
