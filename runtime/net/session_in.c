/* The acceptor's half: blocks come in, credit and acknowledgements go back.
 *
 * A frame is handed up only if everything about it is right: its number is the next of its lane,
 * there was credit for it, and its bytes are those that were sent. What goes back is coalesced: a
 * lane with news is linked, and a step says at most one CREDIT and one ACK for it, however many
 * frames were taken in or applied since. A new connection begins with where each lane stands, and
 * that makes up for whatever was lost with the one before.
 */
#include "runtime/net/planted.h"
#include "runtime/net/session_impl.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

typedef unsigned long long ull;

static void link_lane(struct session *session, struct lane_in *lane)
{
    if (lane->linked)
        return;
    lane->linked = true;
    lane->next = session->in_first;
    session->in_first = lane;
}

static s4_status find_lane(struct session *session, uint32_t number, struct lane_in **lane)
{
    *lane = lane_table_find(&session->lanes, number);
    if (*lane)
        return S4_OK;
    if (session->lanes.count == SESSION_LANES_MAX)
        return S4_FULL;
    struct lane_in *fresh = mem_alloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    lane_in_init(fresh, number, session->options.window);
    s4_status status = lane_table_add(&session->lanes, number, fresh);
    if (status != S4_OK) {
        mem_free(fresh);
        return status;
    }
    *lane = fresh;
    return S4_OK;
}

/* Whether the frame is the one that may come now. A repeat falls; after a gap another connection
 * brings what is missing. */
static bool check_number(struct session *session, const struct lane_in *lane, uint64_t frame)
{
    uint64_t wanted = lane->received + 1;
    if (frame > wanted && !PLANTED(PLANTED_GAP_UNCHECKED))
        session_break(session, "lane %u: frame %llu where %llu was due: frames are lost",
                      lane->number, (ull)frame, (ull)wanted);
    else if (frame < wanted)
        session->counters.frames_repeated++;
    else if (frame > lane->limit_said)
        session_fail(session, S4_PROTOCOL, "lane %u: frame %llu came over its credit of %llu",
                     lane->number, (ull)frame, (ull)lane->limit_said);
    else
        return true;
    return false;
}

static bool check_bytes(struct session *session, const Envelope *envelope,
                        const struct block *block)
{
    if (!block || block->used != envelope->bytes)
        session_break(session, "lane %u: frame %llu of %u bytes where %u were announced",
                      envelope->lane, (ull)envelope->frame, block ? block->used : 0,
                      envelope->bytes);
    else if (hash_bytes(block->data, block->used) != envelope->checksum &&
             !PLANTED(PLANTED_DAMAGE_UNCHECKED))
        session_break(session, "lane %u: frame %llu is damaged: its checksum is wrong",
                      envelope->lane, (ull)envelope->frame);
    else
        return true;
    return false;
}

static void hand_up(struct session *session, const Envelope *envelope, struct block *block)
{
    block->count = envelope->records;
    block->worker = (uint16_t)envelope->worker;
    block->hops = (uint8_t)envelope->hops;
    session->counters.frames_received++;
    session->counters.bytes_received += block->used;
    struct session_frame frame = {
        .lane = envelope->lane,
        .frame = envelope->frame,
        .app = envelope->app,
        .schema = envelope->schema,
        .version = envelope->map_version,
    };
    session->options.upcalls->arrived(session->options.user, session, &frame, block);
}

void session_in_data(struct session *session, const Envelope *envelope, struct block *block)
{
    struct lane_in *lane;
    s4_status status = find_lane(session, envelope->lane, &lane);
    if (status == S4_OK && check_number(session, lane, envelope->frame) &&
        check_bytes(session, envelope, block)) {
        status = lane_in_receive(lane);
        if (status == S4_OK) {
            hand_up(session, envelope, block);
            return;
        }
    }
    if (block)
        block_release(block);
    if (status == S4_FULL)
        session_fail(session, status, "more than %u lanes", SESSION_LANES_MAX);
    else if (status != S4_OK) /* later there may be memory again */
        session_break(session, "lane %u: %s", envelope->lane, s4_status_text(status));
}

void session_credit(struct session *session, uint32_t number)
{
    if (session_is_over(session))
        return;
    struct lane_in *lane = lane_table_find(&session->lanes, number);
    CHECK(lane);
    lane_in_return(lane);
    link_lane(session, lane);
}

void session_applied(struct session *session, uint32_t number, uint64_t frame)
{
    if (session_is_over(session))
        return;
    struct lane_in *lane = lane_table_find(&session->lanes, number);
    CHECK(lane);
    lane_in_apply(lane, frame);
    link_lane(session, lane);
}

static s4_status say_bound(struct session *session, S4__Wire__Envelope__Type type, uint32_t lane,
                           uint64_t frame)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = type;
    envelope.has_lane = true;
    envelope.lane = lane;
    envelope.has_frame = true;
    envelope.frame = frame;
    return session_say(session, &envelope, NULL);
}

static s4_status say_news(struct session *session, struct lane_in *lane, bool *said)
{
    if (lane_in_credit_due(lane)) {
        uint64_t limit = lane_in_limit(lane);
        TRY(say_bound(session, TYPE(CREDIT), lane->number, limit));
        lane->limit_said = limit;
        *said = true;
    }
    uint64_t applied = PLANTED(PLANTED_ACKED_EARLY) ? lane->received : lane->applied;
    if (applied > lane->applied_said) {
        TRY(say_bound(session, TYPE(ACK), lane->number, applied));
        lane->applied_said = applied;
        *said = true;
    }
    return S4_OK;
}

static void add_lane(Envelope *envelope, const struct lane_in *lane)
{
    uint64_t *at = envelope->lanes + envelope->n_lanes;
    at[0] = lane->number;
    at[1] = lane->received;
    at[2] = lane->applied;
    at[3] = lane_in_limit(lane);
    envelope->n_lanes += ENVELOPE_LANE_SIZE;
}

/* Where the lanes stand, so many to a message. No frame comes before all were told. */
static s4_status say_lanes(struct session *session, bool *said)
{
    struct session_conn *conn = &session->conn;
    while (conn->lanes_at < conn->lanes) {
        uint64_t numbers[ENVELOPE_LANES_MAX * ENVELOPE_LANE_SIZE];
        const struct lane_entry *entries = session->lanes.entries + conn->lanes_at;
        size_t n = size_min(ENVELOPE_LANES_MAX, conn->lanes - conn->lanes_at);
        Envelope envelope = S4__WIRE__ENVELOPE__INIT;
        envelope.type = TYPE(LANES);
        envelope.lanes = numbers;
        for (size_t i = 0; i < n; i++)
            add_lane(&envelope, entries[i].lane);
        TRY(session_say(session, &envelope, NULL));
        for (size_t i = 0; i < n; i++) {
            struct lane_in *lane = entries[i].lane;
            lane->limit_said = lane_in_limit(lane);
            lane->applied_said = lane->applied;
        }
        conn->lanes_at += (uint32_t)n;
        *said = true;
    }
    conn->state = CONN_UP;
    return S4_OK;
}

bool session_in_step(struct session *session)
{
    bool said = false;
    s4_status status = S4_OK;
    if (!PLANTED(PLANTED_NOT_MINE_LATE) || !session->in_first)
        status = session_notices_say(session, &said); /* before what lets frames go */
    if (status == S4_OK && session->conn.state == CONN_RESUMING)
        status = say_lanes(session, &said);
    while (status == S4_OK && session->in_first) {
        struct lane_in *lane = session->in_first;
        status = say_news(session, lane, &said);
        if (status != S4_OK)
            break;
        session->in_first = lane->next;
        lane->linked = false;
    }
    return said;
}

bool session_in_is_drained(const struct session *session)
{
    for (size_t i = 0; i < session->lanes.count; i++) {
        const struct lane_in *lane = session->lanes.entries[i].lane;
        if (lane->applied != lane->received)
            return false;
    }
    return true;
}

void session_in_fini(struct session *session)
{
    for (size_t i = 0; i < session->lanes.count; i++) {
        lane_in_fini(session->lanes.entries[i].lane);
        mem_free(session->lanes.entries[i].lane);
    }
}
