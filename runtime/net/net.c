/* A node's connections; see the header.
 *
 *   net_send -> session (opener) -> transport ~~~> transport -> session (acceptor) -> block_arrived
 *
 * Sessions that are over are taken down at the end of a step, because upcalls (net_slots.c) may run
 * inside them.
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
    struct net *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    fresh->options = *options;
    memcpy(fresh->node, options->node, strlen(options->node) + 1);
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

s4_status net_connect(struct net *net, const char *name, const char *address, uint32_t *peer,
                      struct diag *diag)
{
    if (net->closing)
        return diag_set(diag, S4_STATE, "connect to %s while closing", address);
    struct link_slot *slot;
    s4_status status = net_slot_add(net, &net->out, name, &slot);
    if (status != S4_OK)
        return diag_set(diag, status, "connect to %s: %s", address, s4_status_text(status));
    status = transport_connect(net->options.transport, address, &slot->peer, diag);
    if (status != S4_OK) {
        net->out.count--;
        net_slot_destroy(slot);
        return status;
    }
    *peer = slot->number;
    return S4_OK;
}

s4_status net_send(struct net *net, uint32_t peer, uint32_t lane, const char *app, uint64_t schema,
                   uint64_t version, struct block **block)
{
    CHECK(peer < net->out.count);
    struct session_frame frame = { .lane = lane, .app = app, .schema = schema, .version = version };
    return session_send(net->out.slots[peer]->session, &frame, block);
}

void net_walk(const struct net *net, uint32_t peer, session_held_fn *fn, void *user)
{
    CHECK(peer < net->out.count);
    session_walk(net->out.slots[peer]->session, fn, user);
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
            net_slot_destroy(slot);
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
