/* What a session says. What is to be said is always state (a pending bit, a lane that is linked, a
 * notice that was not heard), never a queue of messages: when the transport does not take one, it
 * is tried again at the next step, and a new connection begins from the state.
 */
#include "runtime/net/planted.h"
#include "runtime/net/session_impl.h"

s4_status session_say(struct session *session, Envelope *envelope, struct block *block)
{
    struct session_conn *conn = &session->conn;
    char bytes[TRANSPORT_ENVELOPE_MAX];
    envelope->has_session = true;
    envelope->session = session->number;
    envelope->has_serial = true;
    envelope->serial = conn->serial_out + 1;
    size_t size = envelope_pack(envelope, bytes);
    s4_status status = transport_send(session->options.transport, conn->peer, bytes, size, block);
    conn->put_off = status != S4_OK;
    if (conn->put_off) {
        session->counters.transport_full++;
        return status;
    }
    conn->serial_out++;
    conn->said_us = session->now_us;
    session->counters.controls_sent += block == NULL;
    return S4_OK;
}

static s4_status say_hello(struct session *session)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = TYPE(HELLO);
    greeting_sign(&envelope, session->options.self);
    envelope.peer = session->peer_name[0] ? session->peer_name : NULL;
    envelope.has_peer_incarnation = session->peer_incarnation != 0;
    envelope.peer_incarnation = session->peer_incarnation;
    envelope.has_attempt = true;
    envelope.attempt = session->attempt;
    envelope.has_resumes = true;
    envelope.resumes = session->resumes;
    envelope.has_notice = true;
    envelope.notice =
        PLANTED(PLANTED_NOT_MINE_TWICE) ? session->notices_told : session->notices_heard;
    TRY(session_say(session, &envelope, NULL));
    session->notices_told = envelope.notice;
    return S4_OK;
}

static s4_status say_welcome(struct session *session)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = TYPE(WELCOME);
    greeting_sign(&envelope, session->options.self);
    envelope.has_frame = true;
    envelope.frame = session->options.window;
    envelope.has_count = true;
    envelope.count = (uint32_t)session->lanes.count;
    session->conn.lanes = envelope.count;
    return session_say(session, &envelope, NULL);
}

static s4_status say_ping(struct session *session)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = TYPE(PING);
    envelope.has_notice = session->notices_heard != 0;
    envelope.notice = session->notices_heard;
    TRY(session_say(session, &envelope, NULL));
    session->notices_told = session->notices_heard;
    return S4_OK;
}

static s4_status say_bye(struct session *session, char *reason, bool again)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = TYPE(BYE);
    envelope.reason = reason;
    envelope.has_again = again;
    envelope.again = again;
    return session_say(session, &envelope, NULL);
}

void session_say_bye(struct session *session, const char *reason, bool again)
{
    char text[ENVELOPE_REASON_MAX + 1];
    if (session->conn.state == CONN_DOWN || session->parted)
        return;
    snprintf(text, sizeof text, "%s", reason);
    s4_status status = say_bye(session, text, again);
    (void)status; /* a courtesy: the other side sees the connection end, or hears nothing */
}

static s4_status say_one(struct session *session, enum session_pending what)
{
    switch (what) {
    case PENDING_HELLO:
        return say_hello(session);
    case PENDING_WELCOME:
        return say_welcome(session);
    case PENDING_BYE:
        return say_bye(session, NULL, false);
    case PENDING_PING:
        return say_ping(session);
    }
    return S4_INVALID;
}

bool session_say_pending(struct session *session)
{
    bool said = false;
    for (unsigned what = PENDING_HELLO; what <= PENDING_PING; what <<= 1) {
        if (!(session->conn.pending & what))
            continue;
        if (say_one(session, what) != S4_OK)
            break; /* nothing may overtake it */
        session->conn.pending &= ~what;
        said = true;
        if (what == PENDING_BYE) {
            session->conn.bye_said = true;
            session->answer_us = session->now_us + SESSION_BYE_US;
        }
    }
    return said;
}
