/* Sessions over the simulated network: everything arrives once and in order, or the fault is named.
 * The other side played by hand: each rule broken once. */
#include "tests/support/suite.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/net/session.h"
#include "tests/support/ends.h"
#include "tests/support/fake_transport.h"

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

/* --- two sessions that talk --- */

enum { LANES = 3, OWED_MAX = 4096 };

/* A block that arrived and is not applied yet. */
struct owed {
    uint32_t lane;
    uint64_t frame;
    bool credited;
};

struct talk {
    struct ends ends;
    struct rng rng;
    uint32_t window;
    struct session *sessions[2]; /* opener, acceptor */
    uint64_t blocks;             /* to send on each lane */
    uint64_t sent[LANES], arrived[LANES], returned[LANES];
    struct owed owed[OWED_MAX];
    size_t owed_count;
    bool closing;
};

static uint64_t seed_of(uint32_t lane, uint64_t frame)
{
    return (uint64_t)lane << 40 | frame;
}

static void talk_arrived(void *user, struct session *session, const struct session_frame *frame,
                         struct block *block)
{
    struct talk *talk = user;
    uint64_t seed = seed_of(frame->lane, frame->frame);
    ck_assert_uint_lt(frame->lane, LANES);
    ck_assert_uint_eq(frame->frame, ++talk->arrived[frame->lane]);
    ck_assert_uint_le(frame->frame, talk->returned[frame->lane] + talk->window);
    ck_assert_str_eq(frame->app, frame->lane ? "words" : "counts.v2");
    ck_assert_uint_eq(frame->schema, frame->lane * 77);
    ck_assert_uint_eq(frame->version, frame->frame - 1);
    ck_assert_uint_eq(block->worker, (uint16_t)seed);
    ck_assert_uint_eq(block->hops, (uint8_t)(seed >> 16));
    ck_assert_uint_eq(block->count, 1 + block->used / 64);
    ends_check_block(block, seed);
    block_release(block);
    ck_assert_uint_lt(talk->owed_count, OWED_MAX);
    talk->owed[talk->owed_count++] = (struct owed){ .lane = frame->lane, .frame = frame->frame };
}

static void talk_ignore(void *user, struct session *session)
{
}

static void talk_failed(void *user, struct session *session, const struct diag *diag)
{
    ck_assert_int_eq(session_state(session), SESSION_FAILED);
    ck_assert_int_ne(diag->code, S4_OK);
}

static const struct session_upcalls talk_upcalls = {
    .opened = talk_ignore,
    .arrived = talk_arrived,
    .closed = talk_ignore,
    .failed = talk_failed,
};

static void end_connected(void *user, uint64_t peer, bool opened)
{
    struct talk *talk = user;
    session_connected(talk->sessions[opened ? 0 : 1], peer);
}

static void opener_received(void *user, uint64_t peer, const void *envelope, size_t size,
                            struct block *block)
{
    session_receive(((struct talk *)user)->sessions[0], envelope, size, block);
}

static void acceptor_received(void *user, uint64_t peer, const void *envelope, size_t size,
                              struct block *block)
{
    session_receive(((struct talk *)user)->sessions[1], envelope, size, block);
}

static void opener_closed(void *user, uint64_t peer, const char *reason)
{
    session_disconnected(((struct talk *)user)->sessions[0], reason);
}

static void acceptor_closed(void *user, uint64_t peer, const char *reason)
{
    session_disconnected(((struct talk *)user)->sessions[1], reason);
}

static const struct transport_upcalls end_upcalls[2] = {
    { end_connected, opener_received, opener_closed },
    { end_connected, acceptor_received, acceptor_closed },
};

static void talk_open(struct talk *talk, uint64_t seed, uint64_t blocks, uint32_t window,
                      uint32_t queue_max)
{
    struct diag diag;
    uint64_t peer;
    memset(talk, 0, sizeof *talk);
    ends_open(&talk->ends, ENDS_SIM, seed, queue_max);
    rng_init(&talk->rng, seed);
    talk->blocks = blocks;
    talk->window = window;
    for (int i = 0; i < 2; i++) {
        struct session_options options = {
            .opener = i == 0,
            .transport = talk->ends.transports[i],
            .clock = talk->ends.clock,
            .node = i == 0 ? "anna" : "bert",
            .peer = i == 0 ? "bert" : NULL,
            .number = i == 0 ? 99 : 0,
            .window = window,
            .upcalls = &talk_upcalls,
            .user = talk,
        };
        ck_assert_int_eq(session_create(&options, &talk->sessions[i]), S4_OK);
        transport_attach(talk->ends.transports[i], &end_upcalls[i], talk);
    }
    ck_assert_int_eq(transport_bind(talk->ends.transports[1], "b", &diag), S4_OK);
    ck_assert_int_eq(transport_connect(talk->ends.transports[0], "b", &peer, &diag), S4_OK);
}

static void talk_close(struct talk *talk)
{
    for (int i = 0; i < 2; i++)
        session_destroy(talk->sessions[i]);
    ends_close(&talk->ends);
}

static bool talk_send(struct talk *talk)
{
    uint32_t lane = (uint32_t)rng_below(&talk->rng, LANES);
    enum session_state state = session_state(talk->sessions[0]);
    if (talk->sent[lane] == talk->blocks || state > SESSION_OPEN)
        return false;
    struct block *block = ends_block(talk->ends.pools[0], seed_of(lane, talk->sent[lane] + 1));
    struct session_frame frame = {
        .lane = lane,
        .app = lane ? "words" : "counts.v2",
        .schema = lane * 77,
        .version = talk->sent[lane], /* the first has none */
    };
    ck_assert_int_eq(session_send(talk->sessions[0], &frame, &block), S4_OK);
    ck_assert_ptr_null(block);
    talk->sent[lane]++;
    return true;
}

/* A random one of the blocks that are here is credited, or applied. */
static void talk_settle(struct talk *talk)
{
    if (talk->owed_count == 0)
        return;
    size_t i = rng_below(&talk->rng, talk->owed_count);
    struct owed *owed = &talk->owed[i];
    if (!owed->credited) {
        session_credit(talk->sessions[1], owed->lane);
        talk->returned[owed->lane]++;
        owed->credited = true;
    } else {
        session_applied(talk->sessions[1], owed->lane, owed->frame);
        *owed = talk->owed[--talk->owed_count];
    }
}

static bool talk_is_over(const struct talk *talk)
{
    return session_is_over(talk->sessions[0]) && session_is_over(talk->sessions[1]);
}

/* Until both are over, or a simulated minute has passed. */
static void talk_run(struct talk *talk)
{
    uint64_t end_us = talk->ends.sim_clock.now_us + 60000000;
    while (!talk_is_over(talk) && talk->ends.sim_clock.now_us < end_us) {
        bool work = talk_send(talk);
        for (uint64_t n = rng_below(&talk->rng, 4); n > 0; n--)
            talk_settle(talk);
        for (int i = 0; i < 2; i++) {
            work |= transport_step(talk->ends.transports[i], 1 + rng_below(&talk->rng, 5)) > 0;
            work |= session_step(talk->sessions[i]);
        }
        uint64_t sent = talk->sent[0] + talk->sent[1] + talk->sent[2];
        if (sent == LANES * talk->blocks && !session_is_over(talk->sessions[0]))
            session_close(talk->sessions[0]);
        if (!work && talk->owed_count == 0)
            ends_idle(&talk->ends, 0);
        else
            clock_sim_advance(&talk->ends.sim_clock, 20);
    }
}

static void check_all_arrived(const struct talk *talk)
{
    for (int i = 0; i < 2; i++)
        ck_assert_msg(session_state(talk->sessions[i]) == SESSION_CLOSED, "%s",
                      session_diag(talk->sessions[i])->text);
    struct session_counters out = session_counters(talk->sessions[0]);
    struct session_counters in = session_counters(talk->sessions[1]);
    ck_assert_uint_eq(out.frames_sent, LANES * talk->blocks);
    ck_assert_uint_eq(out.frames_applied, out.frames_sent);
    ck_assert_uint_eq(in.frames_received, out.frames_sent);
    ck_assert_uint_eq(in.bytes_received, out.bytes_sent);
    ck_assert_uint_eq(out.frames_held + out.frames_waiting + out.bytes_held, 0);
}

START_TEST(everything_arrives_once_in_order)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 60; round++) {
        struct talk talk;
        uint32_t window = 1 + (uint32_t)rng_below(&rng, 40);
        uint32_t queue = 1 + (uint32_t)rng_below(&rng, 10) * 10; /* a transport that puts off */
        talk_open(&talk, rng_next(&rng), 1 + rng_below(&rng, 100), window, queue);
        talk_run(&talk);
        check_all_arrived(&talk);
        struct session_counters out = session_counters(talk.sessions[0]);
        struct session_counters in = session_counters(talk.sessions[1]);
        ck_assert_uint_eq(in.controls_sent, out.controls_received);
        ck_assert_uint_eq(out.controls_sent, in.controls_received);
        ck_assert_str_eq(session_peer_name(talk.sessions[0]), "bert");
        ck_assert_str_eq(session_peer_name(talk.sessions[1]), "anna");
        talk_close(&talk);
    }
}
END_TEST

/* A fault at each message of a conversation, one at a time: nothing wrong is handed up
 * (talk_arrived sees to that), and what went wrong has the right name; or it did not matter, and
 * all arrived. */
static void fault_everywhere(enum sim_fault fault, const char *name, const char *other_name)
{
    uint64_t seed = suite_seed();
    struct talk talk;
    talk_open(&talk, seed, 6, 2, 0);
    talk_run(&talk);
    check_all_arrived(&talk);
    uint64_t messages = sim_net_messages(talk.ends.sim), harmless = 0;
    talk_close(&talk);
    ck_assert_uint_gt(messages, 40);
    for (uint64_t at = 1; at <= messages; at++) {
        talk_open(&talk, seed, 6, 2, 0);
        sim_net_plan(talk.ends.sim, fault, at);
        talk_run(&talk);
        ck_assert(talk_is_over(&talk));
        bool named = false, failed = false;
        for (int i = 0; i < 2; i++) {
            const char *text = session_diag(talk.sessions[i])->text;
            failed |= session_state(talk.sessions[i]) == SESSION_FAILED;
            named |= strstr(text, name) || strstr(text, other_name);
        }
        ck_assert_uint_eq(sim_net_faults(talk.ends.sim, fault), 1);
        ck_assert_msg(named == failed, "%s / %s", session_diag(talk.sessions[0])->text,
                      session_diag(talk.sessions[1])->text);
        if (!failed)
            check_all_arrived(&talk);
        harmless += !failed;
        talk_close(&talk);
    }
    ck_assert_uint_le(harmless, 2); /* only around the last BYE */
}

START_TEST(drops_are_named)
{
    fault_everywhere(SIM_DROP, "are lost", "no answer");
}
END_TEST

START_TEST(repeats_are_named)
{
    fault_everywhere(SIM_DUPLICATE, "came again", "came again");
}
END_TEST

START_TEST(flips_are_named)
{
    fault_everywhere(SIM_FLIP, "damaged", "damaged");
}
END_TEST

START_TEST(cuts_are_named)
{
    fault_everywhere(SIM_CUT, "the connection closed", "cut");
}
END_TEST

/* --- one session, the other side played by hand --- */

/* protobuf-c wants strings that could be written to. */
static char carl[] = "carl", mallory[] = "mallory", words[] = "words", odd_name[] = "a\nb",
            no_room[] = "no \x01room";

static struct block_pool *solo_pool; /* one for all: a pool begins with 2 MiB */

struct solo {
    struct fake_transport fake;
    struct clock_sim clock;
    struct block_pool *pool;
    struct session *session;
    uint64_t serial; /* of what the other side said */
    int opened, arrived, closed, failed;
    struct session_frame last;
    s4_status accept;
};

static s4_status solo_accept(void *user, struct session *session, const char *node,
                             struct diag *diag)
{
    struct solo *solo = user;
    return solo->accept == S4_OK ? S4_OK : diag_set(diag, solo->accept, "not you, %s", node);
}

static void solo_opened(void *user, struct session *session)
{
    ((struct solo *)user)->opened++;
}

static void solo_arrived(void *user, struct session *session, const struct session_frame *frame,
                         struct block *block)
{
    struct solo *solo = user;
    solo->arrived++;
    solo->last = *frame;
    block_release(block);
}

static void solo_closed(void *user, struct session *session)
{
    ((struct solo *)user)->closed++;
}

static void solo_failed(void *user, struct session *session, const struct diag *diag)
{
    ((struct solo *)user)->failed++;
}

static const struct session_upcalls solo_upcalls = {
    .accept = solo_accept,
    .opened = solo_opened,
    .arrived = solo_arrived,
    .closed = solo_closed,
    .failed = solo_failed,
};

static Envelope envelope_of(S4__Wire__Envelope__Type type)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = type;
    envelope.has_version = type == TYPE(HELLO) || type == TYPE(WELCOME);
    envelope.version = ENVELOPE_VERSION;
    if (envelope.has_version)
        envelope.node = carl;
    envelope.has_frame = type != TYPE(HELLO) && type != TYPE(BYE) && type != TYPE(PING);
    envelope.frame = type == TYPE(WELCOME) ? 4 : 1;
    envelope.has_lane = type == TYPE(DATA) || type == TYPE(ACK) || type == TYPE(CREDIT);
    envelope.lane = 5;
    return envelope;
}

static void solo_hear(struct solo *solo, Envelope *envelope, struct block *block)
{
    char bytes[TRANSPORT_ENVELOPE_MAX];
    if (!envelope->has_session) {
        envelope->has_session = true;
        envelope->session = 42;
    }
    if (!envelope->has_serial) {
        envelope->has_serial = true;
        envelope->serial = ++solo->serial;
    }
    session_receive(solo->session, bytes, envelope_pack(envelope, bytes), block);
}

static void solo_hear_simple(struct solo *solo, S4__Wire__Envelope__Type type)
{
    Envelope envelope = envelope_of(type);
    solo_hear(solo, &envelope, NULL);
}

static Envelope data_envelope(const struct block *block, uint64_t frame)
{
    Envelope envelope = envelope_of(TYPE(DATA));
    envelope.frame = frame;
    envelope.app = words;
    envelope.has_schema = envelope.has_worker = envelope.has_records = envelope.has_bytes =
        envelope.has_checksum = envelope.has_hops = true;
    envelope.records = block->count;
    envelope.bytes = block->used;
    envelope.checksum = hash_bytes(block->data, block->used);
    return envelope;
}

static void solo_hear_data(struct solo *solo, uint64_t frame)
{
    struct block *block = ends_block(solo->pool, frame);
    Envelope envelope = data_envelope(block, frame);
    solo_hear(solo, &envelope, block);
}

static void solo_open(struct solo *solo, bool opener)
{
    memset(solo, 0, sizeof *solo);
    fake_transport_init(&solo->fake);
    clock_sim_init(&solo->clock, 1000);
    if (!solo_pool)
        ck_assert_int_eq(block_pool_create(BLOCK_SIZE_DEFAULT, &solo_pool), S4_OK);
    solo->pool = solo_pool;
    struct session_options options = {
        .opener = opener,
        .transport = &solo->fake.transport,
        .clock = &solo->clock.clock,
        .node = "dora",
        .peer = opener ? "carl" : NULL,
        .number = opener ? 42 : 0,
        .window = 4,
        .upcalls = &solo_upcalls,
        .user = solo,
    };
    ck_assert_int_eq(session_create(&options, &solo->session), S4_OK);
}

/* Up to the open state. */
static void solo_start(struct solo *solo, bool opener)
{
    solo_open(solo, opener);
    session_connected(solo->session, FAKE_PEER);
    solo_hear_simple(solo, opener ? TYPE(WELCOME) : TYPE(HELLO));
    session_step(solo->session);
    ck_assert_int_eq(session_state(solo->session), SESSION_OPEN);
    ck_assert_int_eq(solo->opened, 1);
}

static void solo_close(struct solo *solo)
{
    session_destroy(solo->session);
    ck_assert_uint_eq(block_pool_bytes(solo->pool), 0);
}

/* It failed once, for this reason, and said so to the other side. */
static void solo_end(struct solo *solo, s4_status code, const char *text)
{
    const struct diag *diag = session_diag(solo->session);
    ck_assert_int_eq(solo->failed, 1);
    ck_assert_int_eq(session_state(solo->session), SESSION_FAILED);
    ck_assert_msg(diag->code == code && strstr(diag->text, text), "%d %s", diag->code, diag->text);
    if (solo->fake.last && solo->fake.last->reason) {
        ck_assert_int_eq(solo->fake.last->type, TYPE(BYE));
        ck_assert_ptr_nonnull(strstr(diag->text, solo->fake.last->reason));
    }
    solo_hear_simple(solo, TYPE(PING)); /* the dead hear nothing */
    ck_assert(!session_step(solo->session));
    session_disconnected(solo->session, "later");
    ck_assert_int_eq(solo->failed, 1);
    solo_close(solo);
}

static s4_status solo_send(struct solo *solo, uint32_t lane, const char *app, struct block **block)
{
    struct session_frame frame = { .lane = lane, .app = app, .schema = 1, .version = 9 };
    return session_send(solo->session, &frame, block);
}

static void send_one(struct solo *solo, s4_status wanted)
{
    struct block *block = ends_block(solo->pool, 1);
    ck_assert_int_eq(solo_send(solo, 5, "words", &block), wanted);
    ck_assert((block == NULL) == (wanted == S4_OK));
    if (block)
        block_release(block);
}

/* One bad message at an open acceptor. */
static void acceptor_hears(void (*change)(Envelope *envelope), s4_status code, const char *text)
{
    struct solo solo;
    solo_start(&solo, false);
    struct block *block = ends_block(solo.pool, 1);
    Envelope envelope = data_envelope(block, 1);
    envelope.has_serial = true;
    envelope.serial = 2;
    change(&envelope);
    solo_hear(&solo, &envelope, block);
    ck_assert_int_eq(solo.arrived, 0);
    solo_end(&solo, code, text);
}

static void gap(Envelope *envelope)
{
    envelope->frame = 2;
}
static void repeat(Envelope *envelope)
{
    envelope->frame = 0;
}
static void wrong_checksum(Envelope *envelope)
{
    envelope->checksum ^= 1;
}
static void wrong_size(Envelope *envelope)
{
    envelope->bytes += 8;
}
static void wrong_serial(Envelope *envelope)
{
    envelope->serial = 3;
}
static void old_serial(Envelope *envelope)
{
    envelope->serial = 1;
}
static void wrong_session(Envelope *envelope)
{
    envelope->has_session = true;
    envelope->session = 41;
}
static void no_app(Envelope *envelope)
{
    envelope->app = NULL;
}
static void odd_app(Envelope *envelope)
{
    envelope->app = odd_name;
}
static void odd_size(Envelope *envelope)
{
    envelope->bytes = 12;
}
static void no_records(Envelope *envelope)
{
    envelope->records = 0;
}
static void big_worker(Envelope *envelope)
{
    envelope->worker = UINT16_MAX + 1;
}
static void ack_at_acceptor(Envelope *envelope)
{
    envelope->type = TYPE(ACK);
}
static void unknown_type(Envelope *envelope)
{
    envelope->type = (S4__Wire__Envelope__Type)77;
}

START_TEST(acceptor_names_what_is_wrong)
{
    acceptor_hears(gap, S4_PROTOCOL, "lane 5: frame 2 where 1 was due: frames are lost");
    acceptor_hears(repeat, S4_PROTOCOL, "lane 5: frame 0 came again");
    acceptor_hears(wrong_checksum, S4_CORRUPT, "lane 5: frame 1 is damaged");
    acceptor_hears(wrong_size, S4_PROTOCOL, "were announced");
    acceptor_hears(wrong_serial, S4_PROTOCOL, "message 3 (DATA) where 2 was due");
    acceptor_hears(old_serial, S4_PROTOCOL, "message 1 (DATA) came again");
    acceptor_hears(wrong_session, S4_PROTOCOL, "DATA of another session");
    acceptor_hears(no_app, S4_MALFORMED, "DATA without the name of an app");
    acceptor_hears(odd_app, S4_MALFORMED, "DATA without the name of an app");
    acceptor_hears(odd_size, S4_MALFORMED, "DATA without a size in eights");
    acceptor_hears(no_records, S4_MALFORMED, "DATA without records");
    acceptor_hears(big_worker, S4_MALFORMED, "DATA without worker");
    acceptor_hears(ack_at_acceptor, S4_MALFORMED, "ACK with a block");
    acceptor_hears(unknown_type, S4_MALFORMED, "unknown message type 77");
}
END_TEST

START_TEST(acceptor_minds_credit)
{
    struct solo solo;
    solo_start(&solo, false);
    for (uint64_t frame = 1; frame <= 4; frame++)
        solo_hear_data(&solo, frame);
    ck_assert_int_eq(solo.arrived, 4);
    session_credit(solo.session, 5);
    session_step(solo.session);
    ck_assert_int_eq(solo.fake.last->type, TYPE(CREDIT));
    ck_assert_uint_eq(solo.fake.last->frame, 5);
    solo_hear_data(&solo, 5);
    ck_assert_int_eq(solo.arrived, 5);
    solo_hear_data(&solo, 6);
    ck_assert_int_eq(solo.arrived, 5);
    solo_end(&solo, S4_PROTOCOL, "lane 5: frame 6 came over its credit of 5");
}
END_TEST

START_TEST(acknowledgements_are_cumulative_and_coalesced)
{
    struct solo solo;
    solo_start(&solo, false);
    for (uint64_t frame = 1; frame <= 4; frame++)
        solo_hear_data(&solo, frame);
    uint64_t sent = solo.fake.sent;
    session_applied(solo.session, 5, 2);
    session_applied(solo.session, 5, 3);
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent); /* 1 is missing */
    session_applied(solo.session, 5, 1);
    for (int i = 0; i < 4; i++)
        session_credit(solo.session, 5);
    solo.fake.status = S4_FULL;
    session_step(solo.session);
    solo.fake.status = S4_OK;
    ck_assert_uint_eq(session_deadline_us(solo.session), 1000 + SESSION_RETRY_US);
    session_applied(solo.session, 5, 4);
    ck_assert(session_step(solo.session));
    ck_assert_uint_eq(solo.fake.sent, sent + 2); /* one CREDIT, one ACK */
    ck_assert_int_eq(solo.fake.last->type, TYPE(ACK));
    ck_assert_uint_eq(solo.fake.last->frame, 4);
    ck_assert(!session_step(solo.session));
    solo_hear_simple(&solo, TYPE(BYE));
    ck_assert_int_eq(solo.closed, 1);
    ck_assert_int_eq(solo.fake.last->type, TYPE(BYE));
    session_credit(solo.session, 5); /* over: ignored */
    solo_close(&solo);
}
END_TEST

START_TEST(greetings_are_checked)
{
    struct solo solo;
    solo_open(&solo, false);
    session_connected(solo.session, FAKE_PEER);
    Envelope hello = envelope_of(TYPE(HELLO));
    hello.version = 9;
    solo_hear(&solo, &hello, NULL);
    solo_end(&solo, S4_VERSION, "it speaks version 9 of the protocol, this node 1");

    solo_open(&solo, false);
    session_connected(solo.session, FAKE_PEER);
    solo.accept = S4_EXISTS;
    solo_hear_simple(&solo, TYPE(HELLO));
    solo_end(&solo, S4_EXISTS, "session from carl: not you, carl");

    solo_open(&solo, false);
    session_connected(solo.session, FAKE_PEER);
    solo_hear_data(&solo, 1);
    solo_end(&solo, S4_PROTOCOL, "DATA, which cannot come now");

    solo_start(&solo, false);
    solo_hear_simple(&solo, TYPE(HELLO));
    solo_end(&solo, S4_PROTOCOL, "HELLO, which cannot come now");

    solo_open(&solo, true);
    session_connected(solo.session, FAKE_PEER);
    ck_assert_int_eq(solo.fake.last->type, TYPE(HELLO));
    ck_assert_str_eq(solo.fake.last->node, "dora");
    Envelope welcome = envelope_of(TYPE(WELCOME));
    welcome.node = mallory;
    solo_hear(&solo, &welcome, NULL);
    solo_end(&solo, S4_PROTOCOL, "node mallory answered at this address");

    solo_open(&solo, true);
    session_connected(solo.session, FAKE_PEER);
    welcome = envelope_of(TYPE(WELCOME));
    welcome.frame = LANE_WINDOW_MAX + 1;
    solo_hear(&solo, &welcome, NULL);
    solo_end(&solo, S4_PROTOCOL, "a window of 4097 frames");

    solo_open(&solo, true);
    session_connected(solo.session, FAKE_PEER);
    Envelope bye = envelope_of(TYPE(BYE));
    bye.reason = no_room;
    solo_hear(&solo, &bye, NULL);
    solo_end(&solo, S4_FAILED, "the other side ended it: no ?room");
}
END_TEST

static void opener_hears(S4__Wire__Envelope__Type type, uint64_t frame, const char *text)
{
    struct solo solo;
    solo_start(&solo, true);
    for (int i = 0; i < 6; i++)
        send_one(&solo, S4_OK);
    struct session_counters counters = session_counters(solo.session);
    ck_assert_uint_eq(counters.frames_sent, 4);
    ck_assert_uint_eq(counters.frames_waiting, 2);
    ck_assert_uint_eq(counters.stalls, 2);
    Envelope ack = envelope_of(TYPE(ACK));
    ack.frame = 2;
    solo_hear(&solo, &ack, NULL);
    ck_assert_uint_eq(session_counters(solo.session).frames_held, 4);
    Envelope bad = envelope_of(type);
    bad.frame = frame;
    solo_hear(&solo, &bad, NULL);
    solo_end(&solo, S4_PROTOCOL, text);
}

START_TEST(opener_names_what_is_wrong)
{
    opener_hears(TYPE(ACK), 5, "frame 5 acknowledged where 2 to 4 was possible");
    opener_hears(TYPE(ACK), 1, "frame 1 acknowledged where 2 to 4 was possible");
    opener_hears(TYPE(CREDIT), 3, "credit up to frame 3 after 4");
    opener_hears(TYPE(CREDIT), 5000, "credit up to frame 5000 after 4");
    opener_hears(TYPE(BYE), 0, "BYE while frames are not acknowledged");
    opener_hears(TYPE(WELCOME), 4, "WELCOME, which cannot come now");
    opener_hears(TYPE(HELLO), 0, "HELLO, which cannot come now");
}
END_TEST

struct walked {
    size_t count;
    struct session_frame frames[8];
    const struct block *blocks[8];
};

static void on_held(void *user, const struct session_frame *frame, const struct block *block)
{
    struct walked *walked = user;
    ck_assert_uint_lt(walked->count, ARRAY_LEN(walked->frames));
    ck_assert_str_eq(frame->app, frame->lane == 3 ? "sums" : "words");
    ck_assert_uint_eq(frame->schema, 1);
    ck_assert_uint_eq(frame->version, 9);
    walked->frames[walked->count] = *frame;
    walked->blocks[walked->count++] = block;
}

static void check_walk(struct solo *solo, const struct block *const *blocks, const char *wanted)
{
    struct walked walked = { 0 };
    char text[64] = "";
    session_walk(solo->session, on_held, &walked);
    for (size_t i = 0; i < walked.count; i++) {
        const struct session_frame *frame = &walked.frames[i];
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, " %u.%u", frame->lane, (unsigned)frame->frame);
        ck_assert_ptr_eq(walked.blocks[i], blocks[(frame->lane == 5 ? 3 : 0) + frame->frame - 1]);
    }
    ck_assert_str_eq(text, wanted);
}

/* Sent or not, on a connection or not: held is what is not acknowledged. */
START_TEST(what_is_held_can_be_walked)
{
    static const uint32_t lanes[] = {
        5, 3, 5, 3, 5, 3, 5, 5,
    }; /* more than the window on 5 */
    const struct block *blocks[ARRAY_LEN(lanes)] = { 0 };
    size_t at[] = { 0, 3 };
    struct solo solo;
    solo_open(&solo, true);
    check_walk(&solo, blocks, "");
    for (size_t i = 0; i < ARRAY_LEN(lanes); i++) {
        struct block *block = ends_block(solo.pool, i);
        blocks[at[lanes[i] == 5]++] = block;
        ck_assert_int_eq(solo_send(&solo, lanes[i], lanes[i] == 3 ? "sums" : "words", &block),
                         S4_OK);
    }
    check_walk(&solo, blocks, " 3.1 3.2 3.3 5.1 5.2 5.3 5.4 5.5");
    session_connected(solo.session, FAKE_PEER);
    solo_hear_simple(&solo, TYPE(WELCOME));
    session_step(solo.session);
    ck_assert_uint_eq(session_counters(solo.session).frames_waiting, 1);
    Envelope ack = envelope_of(TYPE(ACK));
    ack.frame = 2;
    solo_hear(&solo, &ack, NULL);
    check_walk(&solo, blocks, " 3.1 3.2 3.3 5.3 5.4 5.5");
    session_disconnected(solo.session, "gone");
    check_walk(&solo, blocks, " 3.1 3.2 3.3 5.3 5.4 5.5");
    solo_close(&solo);
}
END_TEST

START_TEST(sends_are_checked)
{
    struct solo solo;
    solo_open(&solo, true);
    struct block *block = ends_block(solo.pool, 3);
    uint32_t used = block->used;
    send_one(&solo, S4_OK); /* before the connection: waits */
    block->used = used + 4;
    ck_assert_int_eq(solo_send(&solo, 1, "words", &block), S4_INVALID);
    block->used = 0;
    ck_assert_int_eq(solo_send(&solo, 1, "words", &block), S4_INVALID);
    block->used = TRANSPORT_BLOCK_MAX + 8;
    ck_assert_int_eq(solo_send(&solo, 1, "words", &block), S4_TOO_LARGE);
    block->used = used;
    ck_assert_int_eq(solo_send(&solo, 1, "wo rds", &block), S4_INVALID);
    ck_assert_int_eq(solo_send(&solo, 1, "", &block), S4_INVALID);
    char name[ENVELOPE_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    name[ENVELOPE_NAME_MAX + 1] = '\0';
    ck_assert_int_eq(solo_send(&solo, 1, name, &block), S4_INVALID);
    name[ENVELOPE_NAME_MAX] = '\0';
    ck_assert_int_eq(solo_send(&solo, 1, name, &block), S4_OK);
    session_close(solo.session);
    send_one(&solo, S4_STATE);
    session_connected(solo.session, FAKE_PEER);
    ck_assert_int_eq(session_counters(solo.session).frames_sent, 0);
    solo_hear_simple(&solo, TYPE(WELCOME)); /* what waited goes now */
    session_step(solo.session);
    ck_assert_uint_eq(session_counters(solo.session).frames_sent, 2);
    ck_assert_int_eq(session_state(solo.session), SESSION_CLOSING);
    solo_close(&solo);
}
END_TEST

START_TEST(lanes_and_apps_have_limits)
{
    struct solo solo;
    solo_open(&solo, true);
    struct block *block;
    for (uint32_t i = 0; i <= SESSION_LANES_MAX; i++) {
        block = ends_block(solo.pool, 0);
        ck_assert_int_eq(solo_send(&solo, i, "words", &block),
                         i < SESSION_LANES_MAX ? S4_OK : S4_FULL);
    }
    ck_assert_uint_eq(session_lanes(solo.session), SESSION_LANES_MAX);
    block_release(block);
    for (uint32_t i = 0; i < SESSION_APPS_MAX; i++) { /* with "words" one more than there may be */
        char app[16];
        snprintf(app, sizeof app, "app%u", i);
        block = ends_block(solo.pool, 0);
        ck_assert_int_eq(solo_send(&solo, 0, app, &block),
                         i + 1 < SESSION_APPS_MAX ? S4_OK : S4_FULL);
    }
    block_release(block);
    solo_close(&solo);

    solo_start(&solo, false);
    for (uint32_t i = 0; i <= SESSION_LANES_MAX; i++) {
        block = ends_block(solo.pool, 0);
        Envelope envelope = data_envelope(block, 1);
        envelope.lane = i;
        solo_hear(&solo, &envelope, block);
        ck_assert_int_eq(solo.failed, i == SESSION_LANES_MAX);
    }
    solo_end(&solo, S4_FULL, "more than 4096 lanes");
}
END_TEST

/* The transport puts off WELCOME just when a PING is due: the PING waits behind it. */
START_TEST(nothing_overtakes)
{
    struct solo solo;
    solo_open(&solo, false);
    session_connected(solo.session, FAKE_PEER);
    solo.fake.status = S4_FULL;
    solo_hear_simple(&solo, TYPE(HELLO));
    session_step(solo.session);
    clock_sim_advance(&solo.clock, SESSION_PING_US);
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, 0);
    solo.fake.status = S4_OK;
    solo.fake.refusals = 1;
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, 0);
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, 2);
    ck_assert_int_eq(solo.fake.last->type, TYPE(PING));
    solo_close(&solo);
}
END_TEST

START_TEST(time_is_minded)
{
    struct solo solo;
    solo_open(&solo, true);
    ck_assert_uint_eq(session_deadline_us(solo.session), UINT64_MAX);
    session_connected(solo.session, FAKE_PEER);
    ck_assert_uint_eq(session_deadline_us(solo.session), 1000 + SESSION_HANDSHAKE_US);
    clock_sim_advance(&solo.clock, SESSION_HANDSHAKE_US - 1);
    session_step(solo.session);
    ck_assert_int_eq(session_state(solo.session), SESSION_OPENING);
    clock_sim_advance(&solo.clock, 1);
    session_step(solo.session);
    solo_end(&solo, S4_TIMEOUT, "no answer to HELLO within 30 s");

    solo_start(&solo, true);
    uint64_t sent = solo.fake.sent;
    for (int i = 0; i < 10; i++) { /* silence of the other side is not judged */
        clock_sim_advance(&solo.clock, SESSION_PING_US - 1);
        session_step(solo.session);
        ck_assert_uint_eq(solo.fake.sent, sent + (uint64_t)i);
        ck_assert_uint_eq(session_deadline_us(solo.session), solo.clock.now_us + 1);
        clock_sim_advance(&solo.clock, 1);
        session_step(solo.session);
        ck_assert_int_eq(solo.fake.last->type, TYPE(PING));
    }
    session_close(solo.session);
    session_step(solo.session);
    ck_assert_int_eq(solo.fake.last->type, TYPE(BYE));
    clock_sim_advance(&solo.clock, SESSION_HANDSHAKE_US);
    session_step(solo.session);
    solo_end(&solo, S4_TIMEOUT, "no answer to BYE within 30 s");
}
END_TEST

/* --- what is not an envelope --- */

/* Feeds bytes to a session in each state and side; only crashes and leaks matter. */
static void feed_all(const void *bytes, size_t size)
{
    for (int kind = 0; kind < 4; kind++) {
        struct solo solo;
        if (kind < 2)
            solo_start(&solo, kind == 0);
        else
            solo_open(&solo, kind == 2);
        if (kind >= 2)
            session_connected(solo.session, FAKE_PEER);
        session_receive(solo.session, bytes, size, ends_block(solo.pool, 1));
        session_step(solo.session);
        solo_close(&solo);
    }
}

static void reseal(char *bytes, size_t size)
{
    uint64_t seal = hash_bytes(bytes, size);
    bytes[size] = 0x79;
    memcpy(bytes + size + 1, &seal, sizeof seal);
}

static size_t sample(S4__Wire__Envelope__Type type, char *bytes)
{
    struct solo solo;
    solo_open(&solo, true);
    struct block *block = ends_block(solo.pool, 1);
    Envelope envelope = type == TYPE(DATA) ? data_envelope(block, 1) : envelope_of(type);
    envelope.has_session = envelope.has_serial = true;
    envelope.session = 42;
    envelope.serial = 2;
    size_t size = envelope_pack(&envelope, bytes);
    block_release(block);
    solo_close(&solo);
    return size;
}

START_TEST(truncated_and_flipped_envelopes_are_refused)
{
    struct envelope_arena arena;
    const Envelope *envelope;
    struct diag diag;
    for (int type = TYPE(HELLO); type <= TYPE(PING); type++) {
        char whole[TRANSPORT_ENVELOPE_MAX], bytes[TRANSPORT_ENVELOPE_MAX];
        size_t size = sample((S4__Wire__Envelope__Type)type, whole);
        ck_assert_int_eq(envelope_read(whole, size, &arena, &envelope, &diag), S4_OK);
        for (size_t cut = 0; cut < size; cut++) {
            s4_status status = envelope_read(whole, cut, &arena, &envelope, &diag);
            ck_assert(status == S4_CORRUPT || status == S4_MALFORMED);
            memcpy(bytes, whole, cut);
            if (cut + 9 > size)
                continue;
            reseal(bytes, cut);
            feed_all(bytes, cut + 9);
        }
        for (size_t bit = 0; bit < 8 * size; bit++) {
            memcpy(bytes, whole, size);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
            ck_assert_int_eq(envelope_read(bytes, size, &arena, &envelope, &diag), S4_CORRUPT);
            reseal(bytes, size - 9);
            feed_all(bytes, size);
        }
    }
}
END_TEST

START_TEST(random_envelopes_never_crash)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 3000; round++) {
        char bytes[TRANSPORT_ENVELOPE_MAX + 1];
        size_t size = rng_below(&rng, rng_below(&rng, 2) ? 64 : sizeof bytes + 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)rng_next(&rng);
        if (size >= 9 && size <= TRANSPORT_ENVELOPE_MAX && rng_below(&rng, 8) > 0)
            reseal(bytes, size - 9);
        feed_all(bytes, size);
    }
}
END_TEST

/* --- out of memory --- */

START_TEST(memory_out_is_an_answer)
{
    struct solo solo;
    solo_start(&solo, true);
    struct block *block = ends_block(solo.pool, 1);
    int tries = 0;
    for (s4_status status = S4_NO_MEMORY; status != S4_OK; tries++) {
        mem_fail_after(tries);
        status = solo_send(&solo, 1, "words", &block);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || (status == S4_NO_MEMORY && block));
    }
    ck_assert_int_gt(tries, 3);
    solo_close(&solo);

    int failed = 0;
    for (tries = 0; failed == tries; tries++) {
        solo_start(&solo, false);
        block = ends_block(solo.pool, 1);
        Envelope envelope = data_envelope(block, 1);
        mem_fail_after(tries);
        solo_hear(&solo, &envelope, block);
        mem_fail_after(-1);
        ck_assert_int_eq(solo.failed + solo.arrived, 1);
        failed += solo.failed;
        if (solo.failed)
            ck_assert_int_eq(session_diag(solo.session)->code, S4_NO_MEMORY);
        solo_close(&solo);
    }
    ck_assert_int_gt(failed, 1);
    struct session_options options = { .node = "a", .opener = true, .number = 1 };
    struct session *session = NULL;
    mem_fail_after(0);
    ck_assert_int_eq(session_create(&options, &session), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_ptr_null(session);
    options.node = "a b";
    ck_assert_int_eq(session_create(&options, &session), S4_INVALID);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("session");
    suite_add(suite, "arrives", everything_arrives_once_in_order, 60);
    suite_add(suite, "drops", drops_are_named, 60);
    suite_add(suite, "repeats", repeats_are_named, 60);
    suite_add(suite, "flips", flips_are_named, 60);
    suite_add(suite, "cuts", cuts_are_named, 60);
    suite_add(suite, "acceptor", acceptor_names_what_is_wrong, 10);
    suite_add(suite, "credit", acceptor_minds_credit, 10);
    suite_add(suite, "acks", acknowledgements_are_cumulative_and_coalesced, 10);
    suite_add(suite, "greetings", greetings_are_checked, 10);
    suite_add(suite, "opener", opener_names_what_is_wrong, 10);
    suite_add(suite, "walk", what_is_held_can_be_walked, 10);
    suite_add(suite, "sends", sends_are_checked, 10);
    suite_add(suite, "limits", lanes_and_apps_have_limits, 30);
    suite_add(suite, "overtakes", nothing_overtakes, 10);
    suite_add(suite, "time", time_is_minded, 10);
    suite_add(suite, "flipped", truncated_and_flipped_envelopes_are_refused, 60);
    suite_add(suite, "random", random_envelopes_never_crash, 60);
    suite_add(suite, "memory", memory_out_is_an_answer, 10);
    return suite;
}
