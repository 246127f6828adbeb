/* A node's connections; see the header.
 *
 *   net_send -> session (opener) -> transport ~~~> transport -> session (acceptor) -> block_arrived
 *
 * Sessions that are over are taken down at the end of a step, because upcalls (net_slots.c) may run
 * inside them. Those that were opened here keep their place until net_end, since their owner knows
 * them by it.
 */
#include "runtime/net/net.h"

#include "runtime/base/mem.h"
#include "runtime/net/net_impl.h"

static void add_counters(struct session_counters *sum, const struct session_counters *more)
{
    const uint64_t *from = (const uint64_t *)more;
    uint64_t *to = (uint64_t *)sum;
    _Static_assert(sizeof *sum % sizeof *to == 0, "all counters are 64 bits");
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static struct link_slot *find_in(const struct net *net, uint32_t number)
{
    for (size_t i = 0; i < net->in.count; i++) {
        if (net->in.slots[i]->number == number)
            return net->in.slots[i];
    }
    return NULL;
}

s4_status net_create(const struct net_options *options, struct net **net, struct diag *diag)
{
    if (!envelope_name_valid(options->node))
        return diag_set(diag, S4_INVALID,
                        "\"%s\" cannot name a node: wanted 1 to %d of letters, digits and .-_:",
                        options->node ? options->node : "", ENVELOPE_NAME_MAX);
    if (options->window > LANE_WINDOW_MAX)
        return diag_set(diag, S4_RANGE, "a window of %u frames: wanted 1 to %d", options->window,
                        LANE_WINDOW_MAX);
    if (options->unheard_us && options->unheard_us < NET_UNHEARD_MIN_US)
        return diag_set(diag, S4_RANGE, "silence of %llu ms: wanted %u ms or more",
                        (unsigned long long)options->unheard_us / 1000, NET_UNHEARD_MIN_US / 1000);
    struct net *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    fresh->options = *options;
    memcpy(fresh->self.name, options->node, strlen(options->node) + 1);
    rng_init(&fresh->rng, options->seed);
    transport_attach(options->transport, &net_transport_upcalls, fresh);
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
            net_slot_destroy(lists[l]->slots[i]);
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

void net_identify(struct net *net, uint64_t cluster, uint64_t incarnation)
{
    CHECK(incarnation != 0 && net->self.incarnation == 0);
    net->self.cluster = cluster;
    net->self.incarnation = incarnation;
}

s4_status net_connect(struct net *net, const char *name, uint64_t incarnation, const char *address,
                      uint32_t *peer, struct diag *diag)
{
    if (net->closing || net->self.incarnation == 0)
        return diag_set(diag, S4_STATE, "connect to %s %s", address,
                        net->closing ? "while closing" : "before this node knows who it is");
    if (strlen(address) >= TRANSPORT_ADDRESS_MAX)
        return diag_set(diag, S4_INVALID, "an address of %zu bytes, wanted up to %d",
                        strlen(address), TRANSPORT_ADDRESS_MAX - 1);
    struct link_slot *slot;
    s4_status status = net_slot_add(net, &net->out, name, incarnation, &slot);
    if (status != S4_OK)
        return diag_set(diag, status, "connect to %s: %s", address, s4_status_text(status));
    memcpy(slot->address, address, strlen(address) + 1);
    net_slot_connect(slot);
    *peer = slot->number;
    return S4_OK;
}

static struct session *session_of(const struct net *net, uint32_t peer)
{
    CHECK(peer < net->out.count && net->out.slots[peer]);
    return net->out.slots[peer]->session;
}

s4_status net_send(struct net *net, uint32_t peer, uint32_t lane, const char *app, uint64_t schema,
                   uint64_t version, struct block **block)
{
    struct session_frame frame = { .lane = lane, .app = app, .schema = schema, .version = version };
    return session_send(session_of(net, peer), &frame, block);
}

void net_walk(const struct net *net, uint32_t peer, session_held_fn *fn, void *user)
{
    session_walk(session_of(net, peer), fn, user);
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

void net_not_mine(struct net *net, const struct net_token *token, uint32_t slot)
{
    struct link_slot *from = find_in(net, token->session);
    if (from)
        session_not_mine(from->session, token->lane, token->frame, slot);
}

void net_end(struct net *net, uint32_t peer)
{
    session_cut(session_of(net, peer), "its other end says that it is over");
    net->out.slots[peer]->ended = true;
}

static bool is_of(const struct session *session, const char *name, uint64_t incarnation)
{
    return !session_is_over(session) && session_peer_incarnation(session) == incarnation &&
           strcmp(session_peer_name(session), name) == 0;
}

void net_end_from(struct net *net, const char *name, uint64_t incarnation)
{
    net->dead[net->dead_count++ % NET_DEAD_MAX] = incarnation;
    for (size_t i = 0; i < net->in.count; i++) {
        struct session *session = net->in.slots[i]->session;
        if (is_of(session, name, incarnation))
            session_cut(session, "this incarnation is over here");
    }
}

void net_refuse(struct net *net, const char *name, uint64_t incarnation, const struct diag *diag)
{
    net->dead[net->dead_count++ % NET_DEAD_MAX] = incarnation;
    for (size_t i = 0; i < net->in.count; i++) {
        struct session *session = net->in.slots[i]->session;
        if (is_of(session, name, incarnation))
            session_refuse(session, diag);
    }
}

static bool step_list(const struct slot_list *list)
{
    bool work = false;
    for (size_t i = 0; i < list->count; i++)
        work |= list->slots[i] && session_step(list->slots[i]->session);
    return work;
}

static void take_down(struct link_slot *slot, struct session_counters *ended)
{
    struct session_counters counters = session_counters(slot->session);
    counters.frames_held = counters.frames_waiting = counters.bytes_held = 0;
    add_counters(ended, &counters);
    net_slot_unlink(slot);
    net_slot_destroy(slot);
}

/* A failed opener keeps its connection to its end, so that the reason reaches the other side. */
static void sweep_out(struct net *net)
{
    for (size_t i = 0; i < net->out.count; i++) {
        struct link_slot *slot = net->out.slots[i];
        if (slot && session_state(slot->session) == SESSION_CLOSED)
            net_slot_unlink(slot);
        if (slot && slot->ended) {
            take_down(slot, &net->ended_out);
            net->out.slots[i] = NULL;
        }
    }
}

/* One that no frame came by and that lost its connection holds nothing: its opener, if he comes
 * back, begins anew. */
static bool is_needless(const struct link_slot *slot)
{
    return session_is_over(slot->session) || (!slot->linked && !session_has_state(slot->session) &&
                                              !session_is_unheard(slot->session));
}

static void sweep_in(struct net *net)
{
    size_t kept = 0;
    for (size_t i = 0; i < net->in.count; i++) {
        struct link_slot *slot = net->in.slots[i];
        if (is_needless(slot))
            take_down(slot, &net->ended_in);
        else
            net->in.slots[kept++] = slot;
    }
    net->in.count = kept;
}

bool net_step(struct net *net, size_t max)
{
    bool work = transport_step(net->options.transport, max) > 0;
    work |= net_slots_reopen(net);
    work |= step_list(&net->out);
    work |= step_list(&net->in);
    net_visitors_step(net);
    sweep_out(net);
    sweep_in(net);
    return work;
}

static uint64_t slot_deadline_us(const struct link_slot *slot)
{
    uint64_t at = session_deadline_us(slot->session);
    bool waits = slot->opener && !slot->linked && !session_is_over(slot->session);
    return waits && slot->retry_us < at ? slot->retry_us : at;
}

uint64_t net_deadline_us(const struct net *net)
{
    uint64_t deadline = net_visitors_deadline_us(net);
    const struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct link_slot *slot = lists[l]->slots[i];
            uint64_t at = slot ? slot_deadline_us(slot) : UINT64_MAX;
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

void net_close(struct net *net)
{
    net->closing = true;
    for (size_t i = 0; i < net->out.count; i++) {
        if (net->out.slots[i] && !session_is_over(net->out.slots[i]->session))
            session_close(net->out.slots[i]->session);
    }
}

bool net_is_closed(const struct net *net)
{
    const struct slot_list *lists[] = { &net->out, &net->in };
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct link_slot *slot = lists[l]->slots[i];
            if (slot && !session_is_over(slot->session) && !session_is_done_with(slot->session))
                return false;
        }
    }
    return true;
}

bool net_is_drained(const struct net *net)
{
    for (size_t i = 0; i < net->out.count; i++) {
        if (net->out.slots[i] && session_counters(net->out.slots[i]->session).frames_held > 0)
            return false;
    }
    return true;
}

struct net_counters net_counters(const struct net *net)
{
    struct net_counters sum = { .out = net->ended_out,
                                .in = net->ended_in,
                                .refused = net->refused };
    for (size_t i = 0; i < net->out.count; i++) {
        if (!net->out.slots[i])
            continue;
        struct session_counters counters = session_counters(net->out.slots[i]->session);
        add_counters(&sum.out, &counters);
    }
    for (size_t i = 0; i < net->in.count; i++) {
        struct session_counters counters = session_counters(net->in.slots[i]->session);
        add_counters(&sum.in, &counters);
    }
    return sum;
}

struct waker *net_waker(struct net *net)
{
    return &net->options.transport->waker;
}
