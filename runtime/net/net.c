/* A node's connections; see the header.
 *
 *   net_send -> session (opener) -> transport ~~~> transport -> session (acceptor) -> block_arrived
 *
 * A session is made by net_connect, or when a connection comes up that another node opened. Which
 * session a message belongs to is the connection that it came by. A connection from outside that
 * does not begin with a good HELLO is nobody's session: it is refused, logged and counted, and does
 * not end the node, else anyone who reaches the port could. Sessions that are over are taken down
 * at the end of a step, because upcalls may run inside them.
 */
#include "runtime/net/net.h"

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/net/envelope.h"

struct link_slot {
    struct net *net;
    struct session *session; /* owned */
    uint64_t peer;           /* the transport's */
    uint32_t number;         /* of this node's sessions; never reused. Openers: the peer's index */
    bool opener;
    bool opened;
    bool gone; /* the transport forgot the peer */
};

struct slot_list {
    struct link_slot **slots;
    size_t count;
    size_t capacity;
};

struct net {
    struct net_options options;
    char node[ENVELOPE_NAME_MAX + 1];
    struct rng rng;
    struct slot_list out; /* by peer index, kept to the end */
    struct slot_list in;  /* removed when over */
    uint32_t accepted;    /* sessions of `in` so far */
    bool closing;
    struct session_counters ended; /* of removed `in` sessions */
    uint64_t refused;
};

static void add_counters(struct session_counters *sum, const struct session_counters *more)
{
    const uint64_t *from = (const uint64_t *)more;
    uint64_t *to = (uint64_t *)sum;
    _Static_assert(sizeof *sum % sizeof *to == 0, "all counters are 64 bits");
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static struct link_slot *find_peer(const struct net *net, uint64_t peer)
{
    const struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            if (lists[l]->slots[i]->peer == peer && !lists[l]->slots[i]->gone)
                return lists[l]->slots[i];
        }
    }
    return NULL;
}

static struct link_slot *find_in(const struct net *net, uint32_t number)
{
    for (size_t i = 0; i < net->in.count; i++) {
        if (net->in.slots[i]->number == number)
            return net->in.slots[i];
    }
    return NULL;
}

static s4_status on_accept(void *user, struct session *session, const char *node, struct diag *diag)
{
    struct link_slot *slot = user;
    const struct slot_list *in = &slot->net->in;
    for (size_t i = 0; i < in->count; i++) {
        const struct link_slot *other = in->slots[i];
        if (other != slot && other->opened && !session_is_over(other->session) &&
            strcmp(session_peer_name(other->session), node) == 0)
            return diag_set(diag, S4_EXISTS, "a node named %s is connected already", node);
    }
    return S4_OK;
}

static void on_opened(void *user, struct session *session)
{
    struct link_slot *slot = user;
    slot->opened = true;
    if (slot->opener && slot->net->options.upcalls->peer_up)
        slot->net->options.upcalls->peer_up(slot->net->options.user, slot->number);
}

static void on_arrived(void *user, struct session *session, const struct session_frame *frame,
                       struct block *block)
{
    struct link_slot *slot = user;
    struct net_arrival arrival = {
        .peer = session_peer_name(session),
        .app = frame->app,
        .schema = frame->schema,
        .token = { .session = slot->number, .lane = frame->lane, .frame = frame->frame },
    };
    slot->net->options.upcalls->block_arrived(slot->net->options.user, &arrival, block);
}

static void on_closed(void *user, struct session *session)
{
    struct link_slot *slot = user;
    log_write(slot->net->options.log, LOG_DEBUG, "session %s %s closed",
              slot->opener ? "to" : "from", session_peer_name(session));
}

static void on_failed(void *user, struct session *session, const struct diag *diag)
{
    struct link_slot *slot = user;
    struct net *net = slot->net;
    if (slot->opener || slot->opened) {
        net->options.upcalls->failed(net->options.user, session_peer_name(session), diag);
        return;
    }
    net->refused++;
    log_write(net->options.log, LOG_WARN, "refused a connection: %s", diag->text);
}

static const struct session_upcalls session_upcalls_of_net = {
    .accept = on_accept,
    .opened = on_opened,
    .arrived = on_arrived,
    .closed = on_closed,
    .failed = on_failed,
};

static void destroy_slot(struct link_slot *slot)
{
    session_destroy(slot->session);
    mem_free(slot);
}

static s4_status add_slot(struct net *net, struct slot_list *list, const char *name,
                          struct link_slot **slot)
{
    bool opener = list == &net->out;
    void *slots = list->slots;
    if (list->count == NET_PEERS_MAX)
        return S4_FULL;
    if (!mem_grow(&slots, &list->capacity, list->count + 1, sizeof(struct link_slot *)))
        return S4_NO_MEMORY;
    list->slots = slots;
    struct link_slot *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->net = net;
    fresh->opener = opener;
    struct session_options options = {
        .opener = opener,
        .transport = net->options.transport,
        .clock = net->options.clock,
        .node = net->node,
        .peer = name,
        .number = opener ? rng_next(&net->rng) | 1 : 0,
        .window = net->options.window,
        .upcalls = &session_upcalls_of_net,
        .user = fresh,
    };
    s4_status status = session_create(&options, &fresh->session);
    if (status != S4_OK) {
        mem_free(fresh);
        return status;
    }
    fresh->number = opener ? (uint32_t)list->count : ++net->accepted;
    list->slots[list->count++] = fresh;
    *slot = fresh;
    return S4_OK;
}

static void on_peer_connected(void *user, uint64_t peer, bool opened)
{
    struct net *net = user;
    struct link_slot *slot = opened ? find_peer(net, peer) : NULL;
    if (!opened) {
        s4_status status = add_slot(net, &net->in, NULL, &slot);
        if (status != S4_OK) {
            net->refused++;
            log_write(net->options.log, LOG_WARN, "refused a connection: %s (limit %u)",
                      s4_status_text(status), NET_PEERS_MAX);
            transport_disconnect(net->options.transport, peer);
            return;
        }
        slot->peer = peer;
    }
    if (slot)
        session_connected(slot->session, peer);
}

static void on_message(void *user, uint64_t peer, const void *envelope, size_t size,
                       struct block *block)
{
    struct link_slot *slot = find_peer(user, peer);
    if (slot)
        session_receive(slot->session, envelope, size, block);
    else if (block)
        block_release(block);
}

static void on_peer_closed(void *user, uint64_t peer, const char *reason)
{
    struct link_slot *slot = find_peer(user, peer);
    if (!slot)
        return;
    slot->gone = true;
    session_disconnected(slot->session, reason);
}

static const struct transport_upcalls transport_upcalls_of_net = {
    .connected = on_peer_connected,
    .received = on_message,
    .closed = on_peer_closed,
};

s4_status net_create(const struct net_options *options, struct net **net, struct diag *diag)
{
    if (!envelope_name_valid(options->node))
        return diag_set(diag, S4_INVALID,
                        "\"%s\" cannot name a node: wanted 1 to %d of letters, digits and .-_:",
                        options->node ? options->node : "", ENVELOPE_NAME_MAX);
    if (options->window > LANE_WINDOW_MAX)
        return diag_set(diag, S4_RANGE, "a window of %u frames: wanted 1 to %d", options->window,
                        LANE_WINDOW_MAX);
    struct net *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    fresh->options = *options;
    memcpy(fresh->node, options->node, strlen(options->node) + 1);
    rng_init(&fresh->rng, options->seed);
    transport_attach(options->transport, &transport_upcalls_of_net, fresh);
    *net = fresh;
    return S4_OK;
}

void net_destroy(struct net *net)
{
    if (!net)
        return;
    struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++)
            destroy_slot(lists[l]->slots[i]);
        mem_free(lists[l]->slots);
    }
    transport_destroy(net->options.transport);
    mem_free(net);
}

s4_status net_bind(struct net *net, const char *address, struct diag *diag)
{
    return transport_bind(net->options.transport, address, diag);
}

const char *net_address(const struct net *net)
{
    return transport_address(net->options.transport);
}

s4_status net_connect(struct net *net, const char *name, const char *address, uint32_t *peer,
                      struct diag *diag)
{
    if (net->closing)
        return diag_set(diag, S4_STATE, "connect to %s while closing", address);
    struct link_slot *slot;
    s4_status status = add_slot(net, &net->out, name, &slot);
    if (status != S4_OK)
        return diag_set(diag, status, "connect to %s: %s", address, s4_status_text(status));
    status = transport_connect(net->options.transport, address, &slot->peer, diag);
    if (status != S4_OK) {
        net->out.count--;
        destroy_slot(slot);
        return status;
    }
    *peer = slot->number;
    return S4_OK;
}

s4_status net_send(struct net *net, uint32_t peer, uint32_t lane, const char *app, uint64_t schema,
                   struct block **block)
{
    CHECK(peer < net->out.count);
    return session_send(net->out.slots[peer]->session, lane, app, schema, block);
}

void net_credit(struct net *net, const struct net_token *token)
{
    struct link_slot *slot = find_in(net, token->session);
    if (slot)
        session_credit(slot->session, token->lane);
}

void net_applied(struct net *net, const struct net_token *token)
{
    struct link_slot *slot = find_in(net, token->session);
    if (slot)
        session_applied(slot->session, token->lane, token->frame);
}

static bool step_list(struct slot_list *list)
{
    bool work = false;
    for (size_t i = 0; i < list->count; i++)
        work |= session_step(list->slots[i]->session);
    return work;
}

static void leave(struct net *net, struct link_slot *slot)
{
    if (!slot->gone)
        transport_disconnect(net->options.transport, slot->peer);
    slot->gone = true;
}

/* A failed opener keeps its connection to the end, so that the reason reaches the other side. */
static void sweep(struct net *net)
{
    for (size_t i = 0; i < net->out.count; i++) {
        if (session_state(net->out.slots[i]->session) == SESSION_CLOSED)
            leave(net, net->out.slots[i]);
    }
    size_t kept = 0;
    for (size_t i = 0; i < net->in.count; i++) {
        struct link_slot *slot = net->in.slots[i];
        if (session_is_over(slot->session)) {
            struct session_counters counters = session_counters(slot->session);
            add_counters(&net->ended, &counters);
            leave(net, slot);
            destroy_slot(slot);
        } else {
            net->in.slots[kept++] = slot;
        }
    }
    net->in.count = kept;
}

bool net_step(struct net *net, size_t max)
{
    bool work = transport_step(net->options.transport, max) > 0;
    work |= step_list(&net->out);
    work |= step_list(&net->in);
    sweep(net);
    return work;
}

uint64_t net_deadline_us(const struct net *net)
{
    uint64_t deadline = UINT64_MAX;
    const struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            uint64_t at = session_deadline_us(lists[l]->slots[i]->session);
            deadline = at < deadline ? at : deadline;
        }
    }
    return deadline;
}

void net_wait(struct net *net, uint64_t timeout_us)
{
    uint64_t deadline = net_deadline_us(net);
    if (deadline != UINT64_MAX) {
        uint64_t now = net->options.clock->mono_us(net->options.clock);
        uint64_t left = deadline > now ? deadline - now : 0;
        timeout_us = left < timeout_us ? left : timeout_us;
    }
    if (timeout_us > 0)
        transport_wait(net->options.transport, timeout_us);
}

void net_wake(struct net *net)
{
    transport_wake(net->options.transport);
}

s4_status net_watch(struct net *net, int fd)
{
    return waker_watch(&net->options.transport->waker, fd);
}

void net_unwatch(struct net *net, int fd)
{
    waker_unwatch(&net->options.transport->waker, fd);
}

void net_close(struct net *net)
{
    net->closing = true;
    for (size_t i = 0; i < net->out.count; i++) {
        if (!session_is_over(net->out.slots[i]->session))
            session_close(net->out.slots[i]->session);
    }
}

/* A connection that never said HELLO is no session and holds nobody up. */
bool net_is_closed(const struct net *net)
{
    const struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct link_slot *slot = lists[l]->slots[i];
            if ((slot->opener || slot->opened) && !session_is_over(slot->session))
                return false;
        }
    }
    return true;
}

bool net_peer_is_up(const struct net *net, uint32_t peer)
{
    CHECK(peer < net->out.count);
    return session_state(net->out.slots[peer]->session) == SESSION_OPEN;
}

bool net_is_drained(const struct net *net)
{
    for (size_t i = 0; i < net->out.count; i++) {
        if (session_counters(net->out.slots[i]->session).frames_held > 0)
            return false;
    }
    return true;
}

struct net_counters net_counters(const struct net *net)
{
    struct net_counters sum = { .in = net->ended, .refused = net->refused };
    for (size_t i = 0; i < net->out.count; i++) {
        struct session_counters counters = session_counters(net->out.slots[i]->session);
        add_counters(&sum.out, &counters);
    }
    for (size_t i = 0; i < net->in.count; i++) {
        struct session_counters counters = session_counters(net->in.slots[i]->session);
        add_counters(&sum.in, &counters);
    }
    return sum;
}
