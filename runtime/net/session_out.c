/* The opener's half: blocks go out, credit and acknowledgements come back.
 *
 * A block waits in its lane's ring until there is credit and the transport takes it, and is held
 * there until it is acknowledged as applied. A new connection tells what the other side has of each
 * lane, and the lane goes back to the frame behind; a frame keeps its number, its bytes and the
 * version that it was sent with. The rings are not bounded here; the node's memory marks see the
 * blocks and stop the sources. Lanes with something to send are linked and take turns, one frame
 * each, so that a lane with much credit does not starve another.
 */
#include "runtime/net/planted.h"
#include "runtime/net/session_impl.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

typedef unsigned long long ull;

static void link_lane(struct session *session, struct lane_out *lane)
{
    if (lane->linked || !lane_out_next(lane))
        return;
    lane->linked = true;
    lane->next = NULL;
    *session->out_last = lane;
    session->out_last = &lane->next;
}

static struct lane_out *unlink_first(struct session *session)
{
    struct lane_out *lane = session->out_first;
    session->out_first = lane->next;
    if (!session->out_first)
        session->out_last = &session->out_first;
    lane->linked = false;
    return lane;
}

static void unlink_first_back(struct session *session, struct lane_out *lane)
{
    lane->linked = true;
    lane->next = session->out_first;
    if (!session->out_first)
        session->out_last = &lane->next;
    session->out_first = lane;
}

static s4_status find_app(struct session *session, const char *name, uint32_t *app)
{
    for (uint32_t i = 0; i < session->apps_count; i++) {
        if (strcmp(session->apps[i], name) == 0) {
            *app = i;
            return S4_OK;
        }
    }
    if (!envelope_name_valid(name))
        return S4_INVALID;
    if (session->apps_count == SESSION_APPS_MAX)
        return S4_FULL;
    char *copy = mem_strdup(name);
    if (!copy)
        return S4_NO_MEMORY;
    *app = session->apps_count++;
    session->apps[*app] = copy;
    return S4_OK;
}

static s4_status find_lane(struct session *session, uint32_t number, struct lane_out **lane)
{
    *lane = lane_table_find(&session->lanes, number);
    if (*lane)
        return S4_OK;
    if (session->lanes.count == SESSION_LANES_MAX)
        return S4_FULL;
    struct lane_out *fresh = mem_alloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    lane_out_init(fresh, number, session->first_limit);
    s4_status status = lane_table_add(&session->lanes, number, fresh);
    if (status != S4_OK) {
        mem_free(fresh);
        return status;
    }
    *lane = fresh;
    return S4_OK;
}

static s4_status send_frame(struct session *session, struct lane_out *lane)
{
    const struct lane_frame *frame = lane_out_next(lane);
    struct block *block = frame->block;
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = TYPE(DATA);
    envelope.has_lane = true;
    envelope.lane = lane->number;
    envelope.has_frame = true;
    envelope.frame = lane->sent + 1;
    envelope.app = session->apps[frame->app];
    envelope.has_schema = true;
    envelope.schema = frame->schema;
    envelope.has_map_version = frame->version != 0;
    envelope.map_version =
        PLANTED(PLANTED_RESTAMPED) ? lane_out_held(lane, lane->queued)->version : frame->version;
    envelope.has_worker = true;
    envelope.worker = block->worker;
    envelope.has_records = true;
    envelope.records = block->count;
    envelope.has_bytes = true;
    envelope.bytes = block->used;
    envelope.has_checksum = true;
    envelope.checksum = frame->checksum;
    envelope.has_hops = true;
    envelope.hops = block->hops;
    TRY(session_say(session, &envelope, block));
    lane->sent++;
    session->counters.frames_sent++;
    session->counters.bytes_sent += block->used;
    return S4_OK;
}

/* Whether a lane waits for credit; only a mistake asks that. */
static bool is_stuck(const struct session *session)
{
    bool stuck = false;
    for (size_t i = 0; i < session->lanes.count; i++) {
        const struct lane_out *lane = session->lanes.entries[i].lane;
        stuck |= lane->sent < lane->queued && !lane_out_next(lane);
    }
    return stuck;
}

bool session_out_step(struct session *session)
{
    bool sent = false;
    if (session_is_over(session) || session->conn.state != CONN_UP ||
        (PLANTED(PLANTED_LANES_TOGETHER) && is_stuck(session)))
        return false;
    while (session->out_first) {
        struct lane_out *lane = unlink_first(session);
        if (lane_out_next(lane) && send_frame(session, lane) != S4_OK) {
            unlink_first_back(session, lane);
            break;
        }
        link_lane(session, lane);
        sent = true;
    }
    return sent;
}

s4_status session_send(struct session *session, const struct session_frame *what,
                       struct block **block)
{
    const struct block *given = *block;
    CHECK(session->options.opener);
    if (session->state == SESSION_CLOSING || session->state == SESSION_CLOSED ||
        session->close_wanted)
        return S4_STATE;
    if (given->used > TRANSPORT_BLOCK_MAX)
        return S4_TOO_LARGE;
    if (given->used == 0 || given->used % 8 != 0 || given->count == 0)
        return S4_INVALID;
    struct lane_frame frame = {
        .block = *block,
        .schema = what->schema,
        .version = what->version,
    };
    struct lane_out *lane;
    TRY(find_app(session, what->app, &frame.app));
    TRY(find_lane(session, what->lane, &lane));
    frame.checksum = hash_bytes(given->data, given->used);
    TRY(lane_out_push(lane, &frame));
    *block = NULL;
    link_lane(session, lane);
    session_out_step(session);
    return S4_OK;
}

static struct session_frame frame_of(const struct session *session, const struct lane_out *lane,
                                     uint64_t number, const struct lane_frame *held)
{
    return (struct session_frame){
        .lane = lane->number,
        .frame = number,
        .app = session->apps[held->app],
        .schema = held->schema,
        .version = held->version,
    };
}

static void walk_lane(const struct session *session, const struct lane_out *lane,
                      session_held_fn *fn, void *user)
{
    for (uint64_t number = lane->acked + 1; number <= lane->queued; number++) {
        const struct lane_frame *held = lane_out_held(lane, number);
        struct session_frame frame = frame_of(session, lane, number, held);
        fn(user, &frame, held->block);
    }
}

void session_walk(const struct session *session, session_held_fn *fn, void *user)
{
    CHECK(session->options.opener);
    for (size_t i = 0; i < session->lanes.count; i++)
        walk_lane(session, session->lanes.entries[i].lane, fn, user);
}

static void resume_lane(struct session *session, const uint64_t *told)
{
    struct lane_out *lane = lane_table_find(&session->lanes, (uint32_t)told[0]);
    uint64_t received = told[1], applied = told[2], limit = told[3];
    uint64_t acked = lane ? lane->acked : 0, sent = lane ? lane->sent : 0;
    if (!lane || lane->attempt == session->attempt || limit < received ||
        limit - received > LANE_WINDOW_MAX || !lane_out_resume(lane, received, applied)) {
        session_fail(session, S4_PROTOCOL,
                     "lane %u: %llu frames received, %llu applied and credit up to %llu, where "
                     "%llu were acknowledged and %llu sent",
                     (uint32_t)told[0], (ull)received, (ull)applied, (ull)limit, (ull)acked,
                     (ull)sent);
        return;
    }
    lane->attempt = session->attempt;
    if (!PLANTED(PLANTED_CREDIT_FORGOTTEN))
        lane->limit = limit > lane->limit ? limit : lane->limit;
    if (PLANTED(PLANTED_GOES_ON))
        lane->sent = sent;
    session->counters.frames_applied += applied - acked;
    session->counters.frames_resent += sent - received;
    session->resumes |= applied > 0;
}

void session_out_lanes(struct session *session, const Envelope *envelope)
{
    size_t n = envelope->n_lanes / ENVELOPE_LANE_SIZE;
    if (n > session->conn.lanes) {
        session_fail(session, S4_PROTOCOL, "%zu lanes told of where %u were left", n,
                     session->conn.lanes);
        return;
    }
    session->conn.lanes -= (uint32_t)n;
    for (size_t i = 0; i < n && !session_is_over(session); i++)
        resume_lane(session, envelope->lanes + i * ENVELOPE_LANE_SIZE);
    if (session->conn.lanes == 0 && !session_is_over(session))
        session_out_resume(session);
}

/* A lane that the other side knows nothing of begins at its first frame. */
static bool resume_unknown(struct session *session, struct lane_out *lane)
{
    if (lane->acked > 0) {
        session_fail(session, S4_PROTOCOL,
                     "lane %u: %llu frames were acknowledged, and it knows nothing of them",
                     lane->number, (ull)lane->acked);
        return false;
    }
    session->counters.frames_resent += lane->sent;
    lane->sent = 0;
    lane->limit = session->first_limit > lane->limit ? session->first_limit : lane->limit;
    return true;
}

void session_out_resume(struct session *session)
{
    for (size_t i = 0; i < session->lanes.count; i++) {
        struct lane_out *lane = session->lanes.entries[i].lane;
        if (lane->attempt != session->attempt && !resume_unknown(session, lane))
            return;
        link_lane(session, lane);
    }
    session->conn.state = CONN_UP;
    session_open(session);
}

void session_out_ack(struct session *session, const Envelope *envelope)
{
    struct lane_out *lane = lane_table_find(&session->lanes, envelope->lane);
    uint64_t before = lane ? lane->acked : 0;
    if (!lane || !lane_out_ack(lane, envelope->frame)) {
        session_fail(session, S4_PROTOCOL,
                     "lane %u: frame %llu acknowledged where %llu to %llu was possible",
                     envelope->lane, (ull)envelope->frame, (ull)before,
                     (ull)(lane ? lane->sent : 0));
        return;
    }
    session->counters.frames_applied += lane->acked - before;
    session->resumes |= lane->acked > 0;
}

void session_out_credit(struct session *session, const Envelope *envelope)
{
    struct lane_out *lane = lane_table_find(&session->lanes, envelope->lane);
    if (PLANTED(PLANTED_CREDIT_RELATIVE) && lane) {
        lane->limit += session->first_limit / 4 + 1;
    } else if (!lane || !lane_out_credit(lane, envelope->frame)) {
        session_fail(session, S4_PROTOCOL, "lane %u: credit up to frame %llu after %llu",
                     envelope->lane, (ull)envelope->frame, (ull)(lane ? lane->limit : 0));
        return;
    }
    link_lane(session, lane);
}

void session_out_not_mine(struct session *session, const Envelope *envelope)
{
    const struct lane_out *lane = lane_table_find(&session->lanes, envelope->lane);
    uint64_t due = session->notices_heard + 1;
    if (envelope->notice < due && !PLANTED(PLANTED_NOT_MINE_TWICE))
        return; /* it was heard on a connection before */
    if (envelope->notice > due || !lane || envelope->frame <= lane->acked ||
        envelope->frame > lane->sent || !session->options.upcalls->not_mine) {
        session_fail(session, S4_PROTOCOL,
                     "lane %u: slot %u of frame %llu was not taken, it says (%llu, due was %llu)",
                     envelope->lane, envelope->slot, (ull)envelope->frame, (ull)envelope->notice,
                     (ull)due);
        return;
    }
    session->notices_heard = due;
    const struct lane_frame *held = lane_out_held(lane, envelope->frame);
    struct session_frame frame = frame_of(session, lane, envelope->frame, held);
    session->options.upcalls->not_mine(session->options.user, session, &frame, held->block,
                                       envelope->slot);
}

bool session_out_is_drained(const struct session *session)
{
    for (size_t i = 0; i < session->lanes.count; i++) {
        const struct lane_out *lane = session->lanes.entries[i].lane;
        if (lane->acked != lane->queued)
            return false;
    }
    return true;
}

void session_out_fini(struct session *session)
{
    for (size_t i = 0; i < session->lanes.count; i++) {
        lane_out_fini(session->lanes.entries[i].lane);
        mem_free(session->lanes.entries[i].lane);
    }
    for (uint32_t i = 0; i < session->apps_count; i++)
        mem_free(session->apps[i]);
}

void session_out_count(const struct session *session, struct session_counters *counters)
{
    for (size_t i = 0; i < session->lanes.count; i++) {
        const struct lane_out *lane = session->lanes.entries[i].lane;
        counters->stalls += lane->stalls;
        counters->frames_held += lane->queued - lane->acked;
        counters->frames_waiting += lane->queued - lane->sent;
        counters->bytes_held += lane->bytes;
    }
}
