/* The life of a session and of its connections; see the rules in the README.
 *
 *   opener     NEW -WELCOME-> OPEN -close-> CLOSING -BYE, BYE-> CLOSED
 *   acceptor   NEW -HELLO-> OPEN -BYE/BYE-> CLOSED
 *   both       any -the other side is another one, or says what cannot be-> FAILED
 *
 * and within it, once or many times:
 *
 *   opener     DOWN -connected/HELLO-> GREETING -WELCOME-> RESUMING -LANES-> UP
 *   acceptor   DOWN -HELLO/WELCOME, LANES-> RESUMING -all are said-> UP
 *   both       any -lost, damaged, silent-> DOWN
 *
 * Every message carries the session's number and a serial of its direction and connection (rule 4).
 * A transport that loses any message, DATA or not, is found out at the next one, and PING sees to
 * it that there is a next one within a second.
 */
#include "runtime/net/planted.h"
#include "runtime/net/session_impl.h"

#include "runtime/base/mem.h"

s4_status session_create(const struct session_options *options, struct session **session)
{
    if ((options->peer && !envelope_name_valid(options->peer)) ||
        options->window > LANE_WINDOW_MAX || (options->opener && options->number == 0))
        return S4_INVALID;
    struct session *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->options = *options;
    fresh->options.peer = NULL;
    if (options->window == 0)
        fresh->options.window = LANE_WINDOW_DEFAULT;
    if (options->unheard_us == 0)
        fresh->options.unheard_us = SESSION_UNHEARD_US;
    if (options->peer)
        memcpy(fresh->peer_name, options->peer, strlen(options->peer) + 1);
    fresh->peer_incarnation = options->peer_incarnation;
    fresh->number = options->number;
    fresh->out_last = &fresh->out_first;
    fresh->now_us = fresh->heard_us = options->clock->mono_us(options->clock);
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
    mem_free(session->notices.list);
    mem_free(session);
}

/* ---- connections --------------------------------------------------------------------------- */

/* Who was not there himself cannot judge the silence of others. */
static void read_clock(struct session *session)
{
    uint64_t now = session->options.clock->mono_us(session->options.clock);
    if (now - session->now_us >= SESSION_ABSENT_US && !PLANTED(PLANTED_ABSENCE_IS_SILENCE))
        session->heard_us = session->conn.since_us = now;
    session->now_us = now;
}

static void begin_conn(struct session *session, uint64_t peer, enum conn_state state)
{
    read_clock(session);
    session->conn = (struct session_conn){
        .state = state,
        .peer = peer,
        .since_us = session->now_us,
        .said_us = session->now_us,
    };
    session->parted = false;
    session->counters.reopened += session->attempt != 0;
}

void session_connected(struct session *session, uint64_t peer)
{
    CHECK(session->options.opener);
    if (session_is_over(session))
        return;
    begin_conn(session, peer, CONN_GREETING);
    session->attempt++;
    session->conn.pending = PENDING_HELLO;
    session_step(session);
}

bool session_is_newer(const struct session *session, const Envelope *hello)
{
    return hello->attempt > session->attempt;
}

void session_open(struct session *session)
{
    if (session->state != SESSION_NEW)
        return;
    session->state = SESSION_OPEN;
    session->options.upcalls->opened(session->options.user, session);
}

void session_greeted(struct session *session, uint64_t peer, const Envelope *hello)
{
    CHECK(!session->options.opener && !session_is_over(session));
    begin_conn(session, peer, CONN_RESUMING);
    session->conn.serial_in = 1;
    session->spoken = true;
    session->attempt = hello->attempt;
    session->number = hello->session;
    memcpy(session->peer_name, hello->node, strlen(hello->node) + 1);
    session->peer_incarnation = hello->incarnation;
    session->counters.controls_received++;
    if (!PLANTED(PLANTED_NOT_MINE_ONCE))
        session->notices.said = session->notices.heard;
    if (!session_notices_heard(session, hello->notice)) {
        session_fail(session, S4_PROTOCOL, "it heard of %llu frames that were not taken, of %zu",
                     (unsigned long long)hello->notice,
                     (size_t)session->notices.heard + session->notices.count);
        return;
    }
    session->conn.pending = PENDING_WELCOME;
    session_open(session);
    session_step(session);
}

/* Everything is acknowledged when BYE is said; only its answer is lost then. */
void session_disconnected(struct session *session)
{
    bool parting =
        session->options.opener ? session->conn.bye_said : session->conn.pending & PENDING_BYE;
    session->conn = (struct session_conn){ .state = CONN_DOWN };
    if (!session_is_over(session) && parting)
        session_end(session);
}

void session_close(struct session *session)
{
    CHECK(session->options.opener);
    session->close_wanted = true;
    if (session->state == SESSION_NEW && session_out_is_drained(session))
        session_end(session);
}

/* ---- time ---------------------------------------------------------------------------------- */

static bool is_talking(const struct session *session)
{
    return session->conn.state >= CONN_RESUMING && !session->conn.bye_said;
}

/* When a connection that stays silent is given up: so early that another one can be there before
 * the silence is told. */
static uint64_t patience_until(const struct session *session)
{
    uint64_t since = session->conn.since_us, heard = session->heard_us;
    return (since > heard ? since : heard) + session->options.unheard_us / 5 * 3;
}

static void mind_silence(struct session *session)
{
    uint64_t now = session->now_us, bound = session->options.unheard_us;
    if (session->spoken) {
        session->spoken = false;
        session->heard_us = now;
        if (session->unheard) {
            session->unheard = false;
            session->options.upcalls->unheard(session->options.user, session, true);
        }
    }
    if (!session->unheard && now - session->heard_us >= bound) {
        session->unheard = true;
        session->options.upcalls->unheard(session->options.user, session, false);
    }
    if (session->conn.state != CONN_DOWN && now >= patience_until(session) &&
        !PLANTED(PLANTED_SILENCE_UNMINDED))
        session_break(session, "nothing was heard for %llu ms",
                      (unsigned long long)bound / 5 * 3 / 1000);
}

static void mind_time(struct session *session)
{
    read_clock(session);
    uint64_t now = session->now_us;
    if (session->answer_us && now >= session->answer_us && session->conn.bye_said) {
        session_fail(session, S4_TIMEOUT, "no answer to BYE within %u s", SESSION_BYE_US / 1000000);
        return;
    }
    mind_silence(session);
    bool quiet = now - session->conn.said_us >= SESSION_PING_US;
    bool owed = session->notices_heard != session->notices_told;
    if (!session_is_over(session) && is_talking(session) && (quiet || owed))
        session->conn.pending |= PENDING_PING;
}

/* An opener that closes, once there is nothing left to acknowledge. */
static bool step_closing(struct session *session)
{
    if (session->state == SESSION_OPEN && session->close_wanted)
        session->state = SESSION_CLOSING;
    if (session->state != SESSION_CLOSING || session->conn.state != CONN_UP ||
        session->conn.bye_said || !session_out_is_drained(session))
        return false;
    session->conn.pending |= PENDING_BYE;
    return session_say_pending(session);
}

bool session_step(struct session *session)
{
    if (session_is_over(session))
        return false;
    mind_time(session);
    if (session_is_cut_off(session))
        return false;
    bool said = session_say_pending(session);
    if (!session->options.opener && session->conn.bye_said)
        session_end(session);
    if (session->conn.pending || session_is_over(session))
        return said;
    if (!session->options.opener)
        return session_in_step(session) || said;
    said |= session_out_step(session);
    return step_closing(session) || said;
}

uint64_t session_deadline_us(const struct session *session)
{
    if (session_is_over(session))
        return UINT64_MAX;
    if (session->conn.put_off)
        return session->now_us + SESSION_RETRY_US;
    uint64_t deadline = UINT64_MAX, at[5], n = 0;
    if (!session->unheard || session->conn.state != CONN_DOWN)
        at[n++] = session->now_us + SESSION_PING_US; /* else it would look like an absence */
    if (!session->unheard)
        at[n++] = session->heard_us + session->options.unheard_us;
    if (session->conn.state != CONN_DOWN)
        at[n++] = patience_until(session);
    if (session->conn.bye_said)
        at[n++] = session->answer_us;
    if (is_talking(session))
        at[n++] = session->conn.said_us + SESSION_PING_US;
    for (uint64_t i = 0; i < n; i++)
        deadline = at[i] < deadline ? at[i] : deadline;
    return deadline;
}

/* ---- questions ----------------------------------------------------------------------------- */

enum session_state session_state(const struct session *session)
{
    return session->state;
}

bool session_is_over(const struct session *session)
{
    return session->state == SESSION_CLOSED || session->state == SESSION_FAILED;
}

bool session_is_connected(const struct session *session)
{
    return session->conn.state != CONN_DOWN;
}

bool session_is_unheard(const struct session *session)
{
    return session->unheard;
}

bool session_has_state(const struct session *session)
{
    return session->lanes.count > 0;
}

bool session_is_done_with(const struct session *session)
{
    return session->unheard && (session->options.opener ? session_out_is_drained(session)
                                                        : session_in_is_drained(session));
}

uint64_t session_number(const struct session *session)
{
    return session->number;
}

const char *session_peer_wanted(const struct session *session)
{
    return session->peer_name[0] ? session->peer_name : NULL;
}

const char *session_peer_name(const struct session *session)
{
    return session->peer_name[0] ? session->peer_name : "?";
}

uint64_t session_peer_incarnation(const struct session *session)
{
    return session->peer_incarnation;
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
