/* What comes in: is it the next message of this connection, may it come now, and what follows from
 * it.
 *
 * Nothing here trusts the other side. What a network can do to messages, lose, repeat or damage
 * them, costs the connection at most. What only another program can do ends the session, with a
 * sentence that names it: the reason is all that a person will have.
 */
#include "runtime/net/planted.h"
#include "runtime/net/session_impl.h"

#include <ctype.h>

typedef unsigned long long ull;

static void receive_welcome(struct session *session, const Envelope *envelope)
{
    struct diag diag = { 0 };
    const char *proved = transport_peer_name(session->options.transport, session->conn.peer);
    s4_status status = greeting_check_welcome(session->options.self, session->peer_name,
                                              session->peer_incarnation, envelope, &diag);
    if (status == S4_OK)
        status = greeting_check_name(proved, envelope, &diag);
    if (status != S4_OK) {
        session_fail(session, status, "%s", diag.text);
        return;
    }
    if (envelope->count > session->lanes.count) {
        session_fail(session, S4_PROTOCOL, "it knows %u lanes, and there are %zu", envelope->count,
                     session->lanes.count);
        return;
    }
    memcpy(session->peer_name, envelope->node, strlen(envelope->node) + 1);
    session->peer_incarnation = envelope->incarnation;
    session->first_limit = envelope->frame;
    session->conn.lanes = envelope->count;
    session->conn.state = CONN_RESUMING;
    if (envelope->count == 0)
        session_out_resume(session);
}

static void receive_reason(struct session *session, const Envelope *envelope)
{
    char reason[ENVELOPE_REASON_MAX + 1];
    snprintf(reason, sizeof reason, "%s", envelope->reason);
    for (char *c = reason; *c; c++)
        *c = isprint((unsigned char)*c) ? *c : '?';
    session->parted = true; /* no BYE in answer to a BYE with a reason */
    if (envelope->again)
        session_break(session, "the other side gave it up: %s", reason);
    else
        session_fail(session, S4_FAILED, "the other side ended it: %s", reason);
}

static void receive_bye(struct session *session, const Envelope *envelope)
{
    if (envelope->reason) {
        receive_reason(session, envelope);
    } else if (session->options.opener && session->conn.bye_said) {
        session_end(session);
    } else if (session->options.opener) {
        session_fail(session, S4_PROTOCOL, "BYE while frames are not acknowledged");
    } else if (!session_in_is_drained(session)) {
        session_fail(session, S4_PROTOCOL, "BYE while frames are not applied");
    } else {
        session->conn.pending |= PENDING_BYE;
        session_step(session);
    }
}

static void receive_ping(struct session *session, const Envelope *envelope)
{
    if (envelope->has_notice &&
        (session->options.opener || !session_notices_heard(session, envelope->notice)))
        session_fail(session, S4_PROTOCOL, "it heard of %llu frames that were not taken",
                     (ull)envelope->notice);
}

/* Whether a message of this type may come now (rule 9). */
static bool is_expected(const struct session *session, S4__Wire__Envelope__Type type)
{
    bool opener = session->options.opener;
    enum conn_state state = session->conn.state;
    switch (type) {
    case TYPE(WELCOME):
        return opener && state == CONN_GREETING;
    case TYPE(LANES):
        return opener && state == CONN_RESUMING;
    case TYPE(NOT_MINE):
        return opener && state >= CONN_RESUMING;
    case TYPE(DATA):
        return !opener && state == CONN_UP;
    case TYPE(ACK):
    case TYPE(CREDIT):
        return opener && state == CONN_UP;
    case TYPE(BYE):
        return true;
    case TYPE(PING):
        return state >= CONN_RESUMING;
    default:
        return false; /* HELLO is the first of a connection, and does not come here */
    }
}

static bool check_place(struct session *session, const Envelope *envelope)
{
    const char *type = envelope_type_name(envelope->type);
    uint64_t due = session->conn.serial_in + 1;
    if (envelope->session != session->number) {
        session_fail(session, S4_PROTOCOL, "%s of another session", type);
    } else if (envelope->serial > due && !PLANTED(PLANTED_GAP_UNCHECKED)) {
        session_break(session, "message %llu (%s) where %llu was due: messages are lost",
                      (ull)envelope->serial, type, (ull)due);
    } else if (envelope->serial < due) {
        session->counters.frames_repeated += envelope->type == TYPE(DATA);
    } else if (!is_expected(session, envelope->type)) {
        session_fail(session, S4_PROTOCOL, "%s, which cannot come now", type);
    } else {
        return true;
    }
    return false;
}

static void dispatch(struct session *session, const Envelope *envelope, struct block **block)
{
    session->conn.serial_in++;
    session->counters.controls_received += envelope->type != TYPE(DATA);
    switch (envelope->type) {
    case TYPE(WELCOME):
        receive_welcome(session, envelope);
        break;
    case TYPE(DATA):
        session_in_data(session, envelope, *block);
        *block = NULL;
        break;
    case TYPE(ACK):
        session_out_ack(session, envelope);
        break;
    case TYPE(CREDIT):
        session_out_credit(session, envelope);
        break;
    case TYPE(BYE):
        receive_bye(session, envelope);
        break;
    case TYPE(LANES):
        session_out_lanes(session, envelope);
        break;
    case TYPE(NOT_MINE):
        session_out_not_mine(session, envelope);
        break;
    default:
        receive_ping(session, envelope);
        break;
    }
}

void session_receive(struct session *session, const void *bytes, size_t size, struct block *block)
{
    struct envelope_arena arena;
    const Envelope *envelope;
    struct diag diag;
    if (session_is_cut_off(session)) {
        if (block)
            block_release(block);
        return;
    }
    session->spoken = true;
    s4_status status = envelope_read(bytes, size, &arena, &envelope, &diag);
    if (status == S4_CORRUPT)
        session_break(session, "%s", diag.text);
    else if (status != S4_OK)
        session_fail(session, status, "%s", diag.text);
    else if (block && envelope->type != TYPE(DATA))
        session_fail(session, S4_MALFORMED, "%s with a block", envelope_type_name(envelope->type));
    else if (check_place(session, envelope))
        dispatch(session, envelope, &block);
    if (block)
        block_release(block);
}
