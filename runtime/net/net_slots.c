/* Which session a message belongs to, and what sessions and the transport tell: connections that
 * come and go below become sessions here, and what sessions say goes up.
 *
 * A session is made by net_connect, or when a connection comes up that another node opened. Which
 * session a message belongs to is the connection that it came by. A connection from outside that
 * does not begin with a good HELLO is nobody's session: it is refused, logged and counted, and does
 * not end the node, else anyone who reaches the port could.
 */
#include "runtime/net/net_impl.h"

#include "runtime/base/mem.h"

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
        .version = frame->version,
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

static const struct session_upcalls session_upcalls = {
    .accept = on_accept,
    .opened = on_opened,
    .arrived = on_arrived,
    .closed = on_closed,
    .failed = on_failed,
};

void net_slot_destroy(struct link_slot *slot)
{
    session_destroy(slot->session);
    mem_free(slot);
}

s4_status net_slot_add(struct net *net, struct slot_list *list, const char *name,
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
        .upcalls = &session_upcalls,
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
        s4_status status = net_slot_add(net, &net->in, NULL, &slot);
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

const struct transport_upcalls net_transport_upcalls = {
    .connected = on_peer_connected,
    .received = on_message,
    .closed = on_peer_closed,
};
