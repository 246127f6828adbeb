/* What comes in: is it the next message of this session, may it come now, and what follows from it.
 *
 * Nothing here trusts the other side, and every way in which it can be wrong ends in session_fail
 * with a sentence that names it: the reason is all that a person will have.
 */
#include "runtime/net/session_impl.h"

#include <ctype.h>

static void receive_hello(struct session *session, const Envelope *envelope)
{
    session->number = envelope->session;
    memcpy(session->peer_name, envelope->node, strlen(envelope->node) + 1);
    if (envelope->version != ENVELOPE_VERSION) {
        session_fail(session, S4_VERSION, "it speaks version %u of the protocol, this node %d",
                     envelope->version, ENVELOPE_VERSION);
        return;
    }
    struct diag diag = { 0 };
    s4_status status = S4_OK;
    if (session->options.upcalls->accept)
        status = session->options.upcalls->accept(session->options.user, session,
                                                  session->peer_name, &diag);
    if (status != S4_OK) {
        session_fail(session, status, "%s", diag.text);
        return;
    }
    session->state = SESSION_OPEN;
    session->pending |= PENDING_WELCOME;
    session->options.upcalls->opened(session->options.user, session);
}

static void receive_welcome(struct session *session, const Envelope *envelope)
{
    const char *wanted = session->peer_name;
    if (envelope->version != ENVELOPE_VERSION)
        session_fail(session, S4_VERSION, "it speaks version %u of the protocol, this node %d",
                     envelope->version, ENVELOPE_VERSION);
    else if (wanted[0] && strcmp(wanted, envelope->node) != 0)
        session_fail(session, S4_PROTOCOL, "node %s answered at this address", envelope->node);
    else if (envelope->frame == 0 || envelope->frame > LANE_WINDOW_MAX)
        session_fail(session, S4_PROTOCOL, "a window of %llu frames, wanted 1 to %d",
                     (unsigned long long)envelope->frame, LANE_WINDOW_MAX);
    if (session->state == SESSION_FAILED)
        return;
    memcpy(session->peer_name, envelope->node, strlen(envelope->node) + 1);
    session->first_limit = envelope->frame;
    session->answer_us = 0;
    session->state = SESSION_OPEN;
    session_out_opened(session);
    session->options.upcalls->opened(session->options.user, session);
}

static void receive_bye(struct session *session, const Envelope *envelope)
{
    if (envelope->reason) {
        char reason[ENVELOPE_REASON_MAX + 1];
        snprintf(reason, sizeof reason, "%s", envelope->reason);
        for (char *c = reason; *c; c++)
            *c = isprint((unsigned char)*c) ? *c : '?';
        session->parted = true; /* no BYE in answer to a BYE with a reason */
        session_fail(session, S4_FAILED, "the other side ended it: %s", reason);
    } else if (session->options.opener && session->bye_said) {
        session_end(session);
    } else if (session->options.opener) {
        session_fail(session, S4_PROTOCOL, "BYE while frames are not acknowledged");
    } else if (!session_in_is_drained(session)) {
        session_fail(session, S4_PROTOCOL, "BYE while frames are not applied");
    } else {
        session->pending |= PENDING_BYE;
        session_step(session);
    }
}

/* Whether a message of this type may come now (rule 9). */
static bool is_expected(const struct session *session, S4__Wire__Envelope__Type type)
{
    bool opener = session->options.opener;
    switch (type) {
    case TYPE(HELLO):
        return !opener && session->state == SESSION_NEW;
    case TYPE(WELCOME):
        return session->state == SESSION_OPENING;
    case TYPE(DATA):
        return !opener && session->state == SESSION_OPEN;
    case TYPE(ACK):
    case TYPE(CREDIT):
        return opener && session->state >= SESSION_OPEN;
    case TYPE(BYE):
        return session->state != SESSION_NEW;
    case TYPE(PING):
        return session->state == SESSION_OPEN || session->state == SESSION_CLOSING;
    default:
        return false;
    }
}

static bool check_place(struct session *session, const Envelope *envelope)
{
    const char *type = envelope_type_name(envelope->type);
    uint64_t due = session->serial_in + 1;
    if (session->number && envelope->session != session->number)
        session_fail(session, S4_PROTOCOL, "%s of another session", type);
    else if (envelope->serial > due)
        session_fail(session, S4_PROTOCOL,
                     "message %llu (%s) where %llu was due: messages are lost",
                     (unsigned long long)envelope->serial, type, (unsigned long long)due);
    else if (envelope->serial < due)
        session_fail(session, S4_PROTOCOL, "message %llu (%s) came again, %llu was due",
                     (unsigned long long)envelope->serial, type, (unsigned long long)due);
    else if (!is_expected(session, envelope->type))
        session_fail(session, S4_PROTOCOL, "%s, which cannot come now", type);
    return session->state != SESSION_FAILED;
}

static void dispatch(struct session *session, const Envelope *envelope, struct block **block)
{
    session->serial_in++;
    session->counters.controls_received += envelope->type != TYPE(DATA);
    switch (envelope->type) {
    case TYPE(HELLO):
        receive_hello(session, envelope);
        break;
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
    default:
        break; /* PING: its serial was all */
    }
}

void session_receive(struct session *session, const void *bytes, size_t size, struct block *block)
{
    struct envelope_arena arena;
    const Envelope *envelope;
    struct diag diag;
    if (session_is_over(session)) {
        if (block)
            block_release(block);
        return;
    }
    s4_status status = envelope_read(bytes, size, &arena, &envelope, &diag);
    if (status != S4_OK)
        session_fail(session, status, "%s", diag.text);
    else if (block && envelope->type != TYPE(DATA))
        session_fail(session, S4_MALFORMED, "%s with a block", envelope_type_name(envelope->type));
    else if (check_place(session, envelope))
        dispatch(session, envelope, &block);
    if (block)
        block_release(block);
}
