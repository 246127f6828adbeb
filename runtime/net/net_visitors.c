/* Who comes from outside: a connection is a visitor until it has said HELLO, and that says which
 * session it is for.
 *
 * A HELLO for a session that is known takes the place of that session's connection, if it is the
 * newer one: the opener counts its connections, and an older HELLO may come behind a newer one. For
 * a session that is not known it makes one, unless frames of it were acknowledged: then whoever
 * acknowledged them is gone, and with him what they did. A connection that does not begin with a
 * good HELLO is nobody's: it is refused, logged and counted, and does not end the node, else anyone
 * who reaches the port could.
 */
#include "runtime/net/net_impl.h"

typedef unsigned long long ull;

static bool forget(struct net *net, uint64_t peer)
{
    for (size_t i = 0; i < net->visitors_count; i++) {
        if (net->visitors[i].peer != peer)
            continue;
        net->visitors_count--;
        memmove(&net->visitors[i], &net->visitors[i + 1],
                (net->visitors_count - i) * sizeof *net->visitors);
        return true;
    }
    return false;
}

static void refuse(struct net *net, uint64_t peer, const char *why)
{
    net->refused++;
    log_write(net->options.log, LOG_WARN, "refused a connection: %s", why);
    transport_disconnect(net->options.transport, peer);
}

/* Tells it why. */
static void turn_away(struct net *net, uint64_t peer, const Envelope *hello, const char *why,
                      bool again)
{
    char bytes[TRANSPORT_ENVELOPE_MAX], reason[ENVELOPE_REASON_MAX + 1];
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    snprintf(reason, sizeof reason, "%s", why);
    envelope.type = S4__WIRE__ENVELOPE__TYPE__BYE;
    envelope.has_session = envelope.has_serial = true;
    envelope.session = hello->session;
    envelope.serial = 1;
    envelope.reason = reason;
    envelope.has_again = again;
    envelope.again = again;
    size_t size = envelope_pack(&envelope, bytes);
    s4_status status = transport_send(net->options.transport, peer, bytes, size, NULL);
    (void)status; /* a courtesy */
    if (!again) {
        refuse(net, peer, why);
        return;
    }
    log_write(net->options.log, LOG_DEBUG, "%s is to come again: %s", hello->node, why);
    transport_disconnect(net->options.transport, peer);
}

static bool is_dead(const struct net *net, uint64_t incarnation)
{
    for (size_t i = 0; i < NET_DEAD_MAX && i < net->dead_count; i++) {
        if (net->dead[i] == incarnation)
            return true;
    }
    return false;
}

static struct link_slot *find_node(const struct net *net, const Envelope *hello)
{
    for (size_t i = 0; i < net->in.count; i++) {
        struct link_slot *slot = net->in.slots[i];
        if (!session_is_over(slot->session) &&
            session_peer_incarnation(slot->session) == hello->incarnation &&
            strcmp(session_peer_name(slot->session), hello->node) == 0)
            return slot;
    }
    return NULL;
}

static void adopt(struct link_slot *slot, uint64_t peer, const Envelope *hello)
{
    net_slot_unlink(slot);
    slot->peer = peer;
    slot->linked = true;
    session_greeted(slot->session, peer, hello);
}

static void begin(struct net *net, uint64_t peer, const Envelope *hello)
{
    struct link_slot *slot;
    char why[DIAG_TEXT_MAX];
    s4_status status = net_slot_add(net, &net->in, NULL, 0, &slot);
    if (status == S4_OK) {
        adopt(slot, peer, hello);
        return;
    }
    snprintf(why, sizeof why, "%s (limit %u)", s4_status_text(status), NET_PEERS_MAX);
    turn_away(net, peer, hello, why, true);
}

static void greet(struct net *net, uint64_t peer, const Envelope *hello)
{
    struct link_slot *slot = find_node(net, hello);
    struct diag diag = { 0 };
    s4_status status =
        greeting_check_name(transport_peer_name(net->options.transport, peer), hello, &diag);
    if (status == S4_OK)
        status = greeting_check_hello(&net->self, hello, &diag);
    if (status == S4_OK && is_dead(net, hello->incarnation))
        status = diag_set(&diag, S4_STATE, "incarnation %llx of %s is over here",
                          (ull)hello->incarnation, hello->node);
    if (status == S4_OK && slot && session_number(slot->session) != hello->session)
        status = diag_set(&diag, S4_EXISTS, "a node named %s is connected already", hello->node);
    if (status == S4_OK && !slot && hello->resumes)
        status = diag_set(&diag, S4_NOT_FOUND,
                          "%s knows nothing of session %llx, of which it acknowledged frames",
                          net->self.name, (ull)hello->session);
    if (status != S4_OK)
        turn_away(net, peer, hello, diag.text, status == S4_AGAIN);
    else if (!slot)
        begin(net, peer, hello);
    else if (session_is_newer(slot->session, hello))
        adopt(slot, peer, hello);
    else
        transport_disconnect(net->options.transport, peer); /* given up by who opened it */
}

void net_visitor_came(struct net *net, uint64_t peer)
{
    if (net->visitors_count == NET_VISITORS_MAX) { /* who means it says HELLO at once */
        uint64_t oldest = net->visitors[0].peer;
        forget(net, oldest);
        refuse(net, oldest, "it said nothing, and others came");
    }
    net->visitors[net->visitors_count++] =
        (struct visitor){ .peer = peer, .until_us = net_now(net) + NET_VISIT_US };
}

void net_visitor_says(struct net *net, uint64_t peer, const void *bytes, size_t size,
                      struct block *block)
{
    struct envelope_arena arena;
    const Envelope *envelope;
    struct diag diag = { 0 };
    bool visitor = forget(net, peer), with_block = block != NULL;
    if (block)
        block_release(block);
    if (!visitor)
        return;
    s4_status status = envelope_read(bytes, size, &arena, &envelope, &diag);
    if (status == S4_OK &&
        (envelope->type != S4__WIRE__ENVELOPE__TYPE__HELLO || with_block || envelope->serial != 1))
        status = diag_set(&diag, S4_PROTOCOL, "%s, which cannot come now",
                          envelope_type_name(envelope->type));
    if (status == S4_OK)
        greet(net, peer, envelope);
    else
        refuse(net, peer, diag.text);
}

void net_visitor_left(struct net *net, uint64_t peer, const char *reason)
{
    if (!forget(net, peer))
        return;
    net->refused++;
    log_write(net->options.log, LOG_WARN, "refused a connection: it closed before a HELLO: %s",
              reason);
}

void net_visitors_step(struct net *net)
{
    while (net->visitors_count > 0 && net_now(net) >= net->visitors[0].until_us) {
        uint64_t peer = net->visitors[0].peer;
        forget(net, peer);
        refuse(net, peer, "it said nothing");
    }
}

uint64_t net_visitors_deadline_us(const struct net *net)
{
    return net->visitors_count > 0 ? net->visitors[0].until_us : UINT64_MAX;
}
