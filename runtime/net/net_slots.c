/* A net's sessions: which one a message belongs to, and what sessions and the transport tell.
 *
 * A session is made by net_connect, or by a HELLO from outside (net_visitors.c). Which session a
 * message belongs to is the connection that it came by. A session that lost its connection stays;
 * if it was opened here another connection is made, after a while that doubles each time and is
 * drawn, so that nodes which lost each other at the same moment do not all come back at the same
 * moment.
 */
#include "runtime/net/net_impl.h"

#include "runtime/base/mem.h"

struct link_slot *net_slot_of_peer(const struct net *net, uint64_t peer)
{
    const struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            struct link_slot *slot = lists[l]->slots[i];
            if (slot && slot->linked && slot->peer == peer)
                return slot;
        }
    }
    return NULL;
}

void net_slot_unlink(struct link_slot *slot)
{
    if (slot->linked)
        transport_disconnect(slot->net->options.transport, slot->peer);
    slot->linked = false;
}

void net_slot_retry_later(struct link_slot *slot)
{
    struct net *net = slot->net;
    uint64_t now = net_now(net);
    bool steady = slot->up_us && now - slot->up_us >= NET_STEADY_US;
    uint64_t longer = slot->backoff_us ? 2 * slot->backoff_us : NET_BACKOFF_US;
    slot->backoff_us = steady                        ? NET_BACKOFF_US
                       : longer < NET_BACKOFF_MAX_US ? longer
                                                     : NET_BACKOFF_MAX_US;
    slot->retry_us = now + slot->backoff_us / 2 + rng_below(&net->rng, slot->backoff_us / 2 + 1);
    slot->up_us = 0;
    slot->warned &= !steady;
}

/* What has to be said of a connection: once loud, and then for those who look for it. Of a node
 * that was never there it is nothing; what comes in is lost with what goes out. */
static enum log_level level_of(struct link_slot *slot)
{
    bool loud = slot->opener && !slot->warned && session_state(slot->session) != SESSION_NEW;
    slot->warned |= loud;
    return loud ? LOG_WARN : LOG_DEBUG;
}

void net_slot_connect(struct link_slot *slot)
{
    struct net *net = slot->net;
    struct diag diag = { 0 };
    slot->linked = transport_connect_to(net->options.transport, session_peer_wanted(slot->session),
                                        slot->address, &slot->peer, &diag) == S4_OK;
    if (slot->linked)
        return;
    log_write(net->options.log, slot->warned ? LOG_DEBUG : LOG_WARN, "%s", diag.text);
    slot->warned = true;
    net_slot_retry_later(slot);
}

bool net_slots_reopen(struct net *net)
{
    bool any = false;
    for (size_t i = 0; i < net->out.count; i++) {
        struct link_slot *slot = net->out.slots[i];
        if (!slot || slot->linked || session_is_over(slot->session) ||
            net_now(net) < slot->retry_us)
            continue;
        any = true;
        net_slot_connect(slot);
    }
    return any;
}

/* ---- what sessions tell -------------------------------------------------------------------- */

static void on_opened(void *user, struct session *session)
{
    struct link_slot *slot = user;
    if (slot->opener && slot->net->options.upcalls->peer_up)
        slot->net->options.upcalls->peer_up(slot->net->options.user, slot->number);
}

static void on_arrived(void *user, struct session *session, const struct session_frame *frame,
                       struct block *block)
{
    struct link_slot *slot = user;
    struct net_arrival arrival = {
        .peer = session_peer_name(session),
        .incarnation = session_peer_incarnation(session),
        .app = frame->app,
        .schema = frame->schema,
        .version = frame->version,
        .token = { .session = slot->number, .lane = frame->lane, .frame = frame->frame },
    };
    slot->net->options.upcalls->block_arrived(slot->net->options.user, &arrival, block);
}

static void on_not_mine(void *user, struct session *session, const struct session_frame *frame,
                        const struct block *block, uint32_t number)
{
    struct link_slot *slot = user;
    const struct net_options *options = &slot->net->options;
    struct diag diag = { 0 };
    if (options->upcalls->not_mine) {
        options->upcalls->not_mine(options->user, slot->number, frame, block, number);
        return;
    }
    diag_set(&diag, S4_PROTOCOL, "it did not take the records for slot %u, which is its own",
             number);
    session_refuse(session, &diag);
}

static void tell_lost(struct link_slot *slot, const char *reason)
{
    log_write(slot->net->options.log, level_of(slot), "the connection %s %s is lost: %s",
              slot->opener ? "to" : "from", session_peer_name(slot->session), reason);
    if (slot->opener)
        net_slot_retry_later(slot);
}

static void on_broken(void *user, struct session *session, const char *reason)
{
    struct link_slot *slot = user;
    net_slot_unlink(slot);
    tell_lost(slot, reason);
}

/* Whether another session with the same node is unheard, too. */
static bool is_unheard_otherwise(const struct net *net, const struct link_slot *slot)
{
    const char *name = session_peer_name(slot->session);
    uint64_t incarnation = session_peer_incarnation(slot->session);
    const struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct link_slot *other = lists[l]->slots[i];
            if (other && other != slot && !session_is_over(other->session) &&
                session_is_unheard(other->session) &&
                session_peer_incarnation(other->session) == incarnation &&
                strcmp(session_peer_name(other->session), name) == 0)
                return true;
        }
    }
    return false;
}

static void on_unheard(void *user, struct session *session, bool heard)
{
    struct link_slot *slot = user;
    const struct net_options *options = &slot->net->options;
    struct net_silence silence = {
        .peer = session_peer_name(session),
        .incarnation = session_peer_incarnation(session),
        .heard = heard,
        .ever = session_state(session) != SESSION_NEW,
    };
    if (options->upcalls->unheard && !is_unheard_otherwise(slot->net, slot))
        options->upcalls->unheard(options->user, &silence);
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
    slot->net->options.upcalls->failed(slot->net->options.user, session_peer_name(session),
                                       session_peer_incarnation(session), diag);
}

static const struct session_upcalls session_upcalls = {
    .opened = on_opened,
    .arrived = on_arrived,
    .not_mine = on_not_mine,
    .broken = on_broken,
    .unheard = on_unheard,
    .closed = on_closed,
    .failed = on_failed,
};

/* ---- slots --------------------------------------------------------------------------------- */

void net_slot_destroy(struct link_slot *slot)
{
    if (!slot)
        return;
    session_destroy(slot->session);
    mem_free(slot);
}

/* A place that is free, or a new one behind the others. */
static s4_status find_place(struct slot_list *list, size_t *place)
{
    void *slots = list->slots;
    for (*place = 0; *place < list->count && list->slots[*place]; ++*place)
        ;
    if (*place == NET_PEERS_MAX)
        return S4_FULL;
    if (!mem_grow(&slots, &list->capacity, *place + 1, sizeof(struct link_slot *)))
        return S4_NO_MEMORY;
    list->slots = slots;
    return S4_OK;
}

s4_status net_slot_add(struct net *net, struct slot_list *list, const char *name,
                       uint64_t incarnation, struct link_slot **slot)
{
    bool opener = list == &net->out;
    size_t place;
    TRY(find_place(list, &place));
    struct link_slot *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->net = net;
    fresh->opener = opener;
    struct session_options options = {
        .opener = opener,
        .transport = net->options.transport,
        .clock = net->options.clock,
        .self = &net->self,
        .peer = name,
        .peer_incarnation = incarnation,
        .number = opener ? rng_next(&net->rng) | 1 : 0,
        .window = net->options.window,
        .unheard_us = net->options.unheard_us,
        .upcalls = &session_upcalls,
        .user = fresh,
    };
    s4_status status = session_create(&options, &fresh->session);
    if (status != S4_OK) {
        mem_free(fresh);
        return status;
    }
    fresh->number = opener ? (uint32_t)place : ++net->accepted;
    list->slots[place] = fresh;
    if (place == list->count)
        list->count++;
    *slot = fresh;
    return S4_OK;
}

/* ---- what the transport tells -------------------------------------------------------------- */

static void on_peer_connected(void *user, uint64_t peer, bool opened)
{
    struct net *net = user;
    if (!opened) {
        net_visitor_came(net, peer);
        return;
    }
    struct link_slot *slot = net_slot_of_peer(net, peer);
    if (!slot)
        return;
    slot->up_us = net_now(net);
    session_connected(slot->session, peer);
}

static void on_message(void *user, uint64_t peer, const void *envelope, size_t size,
                       struct block *block)
{
    struct link_slot *slot = net_slot_of_peer(user, peer);
    if (slot)
        session_receive(slot->session, envelope, size, block);
    else
        net_visitor_says(user, peer, envelope, size, block);
}

static void on_peer_closed(void *user, uint64_t peer, const char *reason)
{
    struct link_slot *slot = net_slot_of_peer(user, peer);
    if (!slot) {
        net_visitor_left(user, peer, reason);
        return;
    }
    slot->linked = false;
    session_disconnected(slot->session);
    if (!session_is_over(slot->session))
        tell_lost(slot, reason);
}

const struct transport_upcalls net_transport_upcalls = {
    .connected = on_peer_connected,
    .received = on_message,
    .closed = on_peer_closed,
};
