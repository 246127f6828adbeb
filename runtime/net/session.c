/* The life of a session: what it says and when; see the rules in the README.
 *
 *   opener     NEW -connected/HELLO-> OPENING -WELCOME-> OPEN -close-> CLOSING -BYE, BYE-> CLOSED
 *   acceptor   NEW -HELLO/WELCOME-> OPEN -BYE/BYE-> CLOSED
 *   both       any -something is wrong-> FAILED
 *
 * Every message carries the session's number and a serial of its direction (rule 4). A transport
 * that loses or repeats any message, DATA or not, is found out at the next one, and PING sees to it
 * that there is a next one within a second. So no rule below needs a timer of its own, and silence
 * is never judged: a node may be stopped or busy for as long as it likes.
 *
 * When the transport does not take a message, it is tried again at the next step: what is to be
 * said is always state (a pending bit, a lane that is linked), never a queue of messages.
 */
#include "runtime/net/session_impl.h"

#include "runtime/base/mem.h"

s4_status session_create(const struct session_options *options, struct session **session)
{
    if (!envelope_name_valid(options->node) ||
        (options->peer && !envelope_name_valid(options->peer)) ||
        options->window > LANE_WINDOW_MAX || (options->opener && options->number == 0))
        return S4_INVALID;
    struct session *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->options = *options;
    fresh->options.peer = NULL;
    if (options->window == 0)
        fresh->options.window = LANE_WINDOW_DEFAULT;
    if (options->peer)
        memcpy(fresh->peer_name, options->peer, strlen(options->peer) + 1);
    fresh->number = options->number;
    fresh->out_last = &fresh->out_first;
    *session = fresh;
    return S4_OK;
}

void session_destroy(struct session *session)
{
    if (!session)
        return;
    if (session->options.opener)
        session_out_fini(session);
    else
        session_in_fini(session);
    lane_table_fini(&session->lanes);
    mem_free(session);
}

s4_status session_say(struct session *session, Envelope *envelope, struct block *block)
{
    char bytes[TRANSPORT_ENVELOPE_MAX];
    envelope->has_session = true;
    envelope->session = session->number;
    envelope->has_serial = true;
    envelope->serial = session->serial_out + 1;
    size_t size = envelope_pack(envelope, bytes);
    s4_status status =
        transport_send(session->options.transport, session->peer, bytes, size, block);
    session->put_off = status != S4_OK;
    if (session->put_off) {
        session->counters.transport_full++;
        return status;
    }
    session->serial_out++;
    session->said_us = session->now_us;
    session->counters.controls_sent += block == NULL;
    return S4_OK;
}

static s4_status say_simple(struct session *session, S4__Wire__Envelope__Type type, char *reason)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = type;
    envelope.reason = reason;
    return session_say(session, &envelope, NULL);
}

static s4_status say_greeting(struct session *session, S4__Wire__Envelope__Type type)
{
    char name[ENVELOPE_NAME_MAX + 1];
    memcpy(name, session->options.node, strlen(session->options.node) + 1);
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = type;
    envelope.has_version = true;
    envelope.version = ENVELOPE_VERSION;
    envelope.node = name;
    envelope.has_frame = type == TYPE(WELCOME);
    envelope.frame = session->options.window;
    return session_say(session, &envelope, NULL);
}

void session_fail(struct session *session, s4_status code, const char *format, ...)
{
    if (session_is_over(session))
        return;
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    diag_set(&session->diag, code, "session %s %s: %s", session->options.opener ? "to" : "from",
             session_peer_name(session), text);
    session->state = SESSION_FAILED;
    if (session->connected && session->number && !session->parted) {
        text[ENVELOPE_REASON_MAX] = '\0';
        s4_status status = say_simple(session, TYPE(BYE), text);
        (void)status; /* a courtesy: the other side sees the connection end in any case */
    }
    session->options.upcalls->failed(session->options.user, session, &session->diag);
}

void session_connected(struct session *session, uint64_t peer)
{
    CHECK(session->state == SESSION_NEW);
    session->peer = peer;
    session->connected = true;
    session->now_us = session->options.clock->mono_us(session->options.clock);
    if (!session->options.opener)
        return;
    session->state = SESSION_OPENING;
    session->answer_us = session->now_us + SESSION_HANDSHAKE_US;
    session->pending |= PENDING_HELLO;
    session_step(session);
}

void session_end(struct session *session)
{
    session->state = SESSION_CLOSED;
    session->options.upcalls->closed(session->options.user, session);
}

void session_disconnected(struct session *session, const char *reason)
{
    session->connected = false;
    if (session_is_over(session))
        return;
    bool parting = session->options.opener ? session->bye_said : session->pending & PENDING_BYE;
    if (parting)
        session_end(session); /* everything is acknowledged; only the answer to BYE is lost */
    else
        session_fail(session, S4_UNAVAILABLE, "the connection closed: %s", reason);
}

void session_close(struct session *session)
{
    CHECK(session->options.opener);
    session->close_wanted = true;
    if (session->state == SESSION_NEW && session_out_is_drained(session))
        session_end(session);
}

static s4_status say_one(struct session *session, enum session_pending what)
{
    switch (what) {
    case PENDING_HELLO:
        return say_greeting(session, TYPE(HELLO));
    case PENDING_WELCOME:
        return say_greeting(session, TYPE(WELCOME));
    case PENDING_BYE:
        return say_simple(session, TYPE(BYE), NULL);
    case PENDING_PING:
        return say_simple(session, TYPE(PING), NULL);
    }
    return S4_INVALID;
}

static bool say_pending(struct session *session)
{
    bool said = false;
    for (unsigned what = PENDING_HELLO; what <= PENDING_PING; what <<= 1) {
        if (!(session->pending & what))
            continue;
        if (say_one(session, what) != S4_OK)
            break; /* nothing may overtake it */
        session->pending &= ~what;
        said = true;
        if (what == PENDING_BYE) {
            session->bye_said = true;
            session->answer_us = session->now_us + SESSION_HANDSHAKE_US;
        }
    }
    return said;
}

static bool is_talking(const struct session *session)
{
    return session->connected && !session->bye_said &&
           (session->state == SESSION_OPEN || session->state == SESSION_CLOSING);
}

static void mind_time(struct session *session)
{
    if (session->answer_us && session->now_us >= session->answer_us &&
        (session->state == SESSION_OPENING || session->state == SESSION_CLOSING))
        session_fail(session, S4_TIMEOUT, "no answer to %s within %u s",
                     session->bye_said ? "BYE" : "HELLO", SESSION_HANDSHAKE_US / 1000000);
    else if (is_talking(session) && session->now_us - session->said_us >= SESSION_PING_US)
        session->pending |= PENDING_PING;
}

bool session_step(struct session *session)
{
    if (session_is_over(session) || !session->connected)
        return false;
    session->now_us = session->options.clock->mono_us(session->options.clock);
    mind_time(session);
    if (session_is_over(session))
        return true;
    bool said = say_pending(session);
    if (!session->options.opener && session->bye_said)
        session_end(session);
    if (session->pending || session_is_over(session))
        return said;
    if (session->options.opener)
        said |= session_out_step(session);
    else
        said |= session_in_step(session);
    if (session->state == SESSION_OPEN && session->close_wanted)
        session->state = SESSION_CLOSING;
    if (session->state == SESSION_CLOSING && !session->bye_said &&
        session_out_is_drained(session)) {
        session->pending |= PENDING_BYE;
        said |= say_pending(session);
    }
    return said;
}

uint64_t session_deadline_us(const struct session *session)
{
    if (session_is_over(session) || !session->connected)
        return UINT64_MAX;
    if (session->put_off)
        return session->now_us + SESSION_RETRY_US;
    uint64_t deadline = session->answer_us ? session->answer_us : UINT64_MAX;
    if (is_talking(session) && session->said_us + SESSION_PING_US < deadline)
        deadline = session->said_us + SESSION_PING_US;
    return deadline;
}

enum session_state session_state(const struct session *session)
{
    return session->state;
}

bool session_is_over(const struct session *session)
{
    return session->state == SESSION_CLOSED || session->state == SESSION_FAILED;
}

const char *session_peer_name(const struct session *session)
{
    return session->peer_name[0] ? session->peer_name : "?";
}

const struct diag *session_diag(const struct session *session)
{
    return &session->diag;
}

struct session_counters session_counters(const struct session *session)
{
    struct session_counters counters = session->counters;
    if (session->options.opener)
        session_out_count(session, &counters);
    return counters;
}

size_t session_lanes(const struct session *session)
{
    return session->lanes.count;
}
