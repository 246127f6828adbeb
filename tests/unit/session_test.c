/* One session, the other side played by hand: each rule broken once. How two of them get on over a
 * bad network is in tests/sim/net_test.c. */
#include "tests/support/suite.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/ends.h"
#include "tests/support/solo.h"

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

/* protobuf-c wants strings that could be written to. */
static char mallory[] = "mallory", odd_name[] = "a\nb", no_room[] = "no \x01room";

/* One bad message at an open acceptor. It ends the session; or the connection, and with the next
 * one the right message comes. */
static void acceptor_hears(void (*change)(Envelope *envelope), s4_status code, const char *text)
{
    struct solo solo;
    solo_start(&solo, false);
    struct block *block = ends_block(solo.pool, 1);
    Envelope envelope = solo_data(block, 1);
    envelope.has_serial = true;
    envelope.serial = 2;
    change(&envelope);
    solo_hear(&solo, &envelope, block);
    ck_assert_int_eq(solo.arrived, 0);
    if (code != S4_AGAIN) {
        solo_end(&solo, code, text);
        return;
    }
    solo_end_conn(&solo, text);
    solo_hello(&solo, 0);
    solo_hear_data(&solo, 1);
    ck_assert_int_eq(solo.arrived, 1);
    ck_assert_uint_eq(session_counters(solo.session).reopened, 1);
    solo_close(&solo);
}

static void gap(Envelope *envelope)
{
    envelope->frame = 2;
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
    acceptor_hears(gap, S4_AGAIN, "lane 5: frame 2 where 1 was due: frames are lost");
    acceptor_hears(wrong_checksum, S4_AGAIN, "lane 5: frame 1 is damaged");
    acceptor_hears(wrong_size, S4_AGAIN, "were announced");
    acceptor_hears(wrong_serial, S4_AGAIN, "message 3 (DATA) where 2 was due");
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

/* What came before falls, be it the same message or the same frame in another. */
START_TEST(repeats_fall)
{
    struct solo solo;
    solo_start(&solo, false);
    solo_hear_data(&solo, 1);
    solo_hear_data(&solo, 2);
    solo.serial--;
    solo_hear_data(&solo, 2);
    solo_hear_data(&solo, 1);
    solo_hear_data(&solo, 0);
    solo_hear_data(&solo, 3);
    ck_assert_int_eq(solo.arrived, 3);
    ck_assert_uint_eq(solo.last.frame, 3);
    ck_assert_uint_eq(session_counters(solo.session).frames_repeated, 3);
    ck_assert_int_eq(solo.broken + solo.failed, 0);
    solo_close(&solo);
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

/* Who answers may be somebody else. */
static void opener_is_welcomed(void (*change)(Envelope *envelope), s4_status code, const char *text)
{
    struct solo solo;
    solo_open(&solo, true);
    solo_connect(&solo);
    ck_assert_str_eq(solo.fake.last->node, "dora");
    ck_assert_str_eq(solo.fake.last->peer, "carl");
    ck_assert_uint_eq(solo.fake.last->cluster, 7);
    ck_assert_uint_eq(solo.fake.last->incarnation, 70);
    ck_assert(!solo.fake.last->has_peer_incarnation);
    Envelope welcome = solo_envelope(TYPE(WELCOME));
    change(&welcome);
    solo_hear(&solo, &welcome, NULL);
    solo_end(&solo, code, text);
}

static void other_version(Envelope *envelope)
{
    envelope->version = 9;
}
static void other_cluster(Envelope *envelope)
{
    envelope->cluster = 0xabc;
}
static void other_name(Envelope *envelope)
{
    envelope->node = mallory;
}
static void no_window(Envelope *envelope)
{
    envelope->frame = 0;
}
static void big_window(Envelope *envelope)
{
    envelope->frame = LANE_WINDOW_MAX + 1;
}
static void a_lane(Envelope *envelope)
{
    envelope->count = 1;
}

START_TEST(greetings_are_checked)
{
    struct solo solo;
    opener_is_welcomed(other_version, S4_VERSION, "carl speaks version 9 of the protocol, dora");
    opener_is_welcomed(other_cluster, S4_PROTOCOL, "carl belongs to cluster abc, dora to 7");
    opener_is_welcomed(other_name, S4_PROTOCOL, "node mallory answered at this address");
    opener_is_welcomed(no_window, S4_PROTOCOL, "a window of 0 frames");
    opener_is_welcomed(big_window, S4_PROTOCOL, "a window of 4097 frames");
    opener_is_welcomed(a_lane, S4_PROTOCOL, "it knows 1 lanes, and there are 0");

    solo_open(&solo, true);
    solo_connect(&solo);
    Envelope bye = solo_envelope(TYPE(BYE));
    bye.reason = no_room;
    solo_hear(&solo, &bye, NULL);
    solo_end(&solo, S4_FAILED, "the other side ended it: no ?room");

    solo_start(&solo, true); /* who was there once must be the same ever after */
    session_disconnected(solo.session);
    solo_connect(&solo);
    ck_assert_uint_eq(solo.fake.last->peer_incarnation, 30);
    Envelope welcome = solo_envelope(TYPE(WELCOME));
    welcome.incarnation = 31;
    solo_hear(&solo, &welcome, NULL);
    solo_end(&solo, S4_PROTOCOL, "incarnation 1f of it answered, wanted 1e");

    solo_start(&solo, false);
    solo_hear_simple(&solo, TYPE(HELLO));
    solo_end(&solo, S4_PROTOCOL, "HELLO, which cannot come now");
}
END_TEST

static void check_hello(void (*change)(Envelope *envelope), s4_status code, const char *text)
{
    Envelope hello = solo_envelope(TYPE(HELLO));
    struct diag diag = { 0 };
    change(&hello);
    ck_assert_int_eq(greeting_check_hello(&solo_self, &hello, &diag), code);
    ck_assert_msg(strstr(diag.text, text) != NULL, "%s", diag.text);
}

static void right(Envelope *envelope)
{
    static char name[] = "dora";
    envelope->peer = name;
    envelope->has_peer_incarnation = true;
    envelope->peer_incarnation = 70;
}
static void for_another(Envelope *envelope)
{
    envelope->peer = mallory;
}
static void for_earlier(Envelope *envelope)
{
    envelope->has_peer_incarnation = true;
    envelope->peer_incarnation = 69;
}
static void nothing(Envelope *envelope)
{
}

START_TEST(hellos_are_checked)
{
    static const struct self starting = { .name = "dora" };
    Envelope hello = solo_envelope(TYPE(HELLO));
    struct diag diag = { 0 };
    check_hello(nothing, S4_OK, "");
    check_hello(right, S4_OK, "");
    check_hello(other_version, S4_VERSION, "carl speaks version 9 of the protocol, dora version 2");
    check_hello(other_cluster, S4_PROTOCOL, "carl belongs to cluster abc, dora to 7");
    check_hello(for_another, S4_PROTOCOL, "this is node dora, not mallory");
    check_hello(for_earlier, S4_PROTOCOL, "this node dora is incarnation 46, not 45");
    ck_assert_int_eq(greeting_check_hello(&starting, &hello, &diag), S4_AGAIN);
}
END_TEST

static void opener_hears(S4__Wire__Envelope__Type type, uint64_t frame, const char *text)
{
    struct solo solo;
    solo_start(&solo, true);
    for (int i = 0; i < 6; i++)
        solo_send_one(&solo, S4_OK);
    struct session_counters counters = session_counters(solo.session);
    ck_assert_uint_eq(counters.frames_sent, 4);
    ck_assert_uint_eq(counters.frames_waiting, 2);
    ck_assert_uint_eq(counters.stalls, 2);
    Envelope ack = solo_envelope(TYPE(ACK));
    ack.frame = 2;
    solo_hear(&solo, &ack, NULL);
    ck_assert_uint_eq(session_counters(solo.session).frames_held, 4);
    Envelope bad = solo_envelope(type);
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
    opener_hears(TYPE(NOT_MINE), 2, "lane 5: slot 0 of frame 2 was not taken");
    opener_hears(TYPE(NOT_MINE), 5, "lane 5: slot 0 of frame 5 was not taken");
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
    solo_connect(&solo);
    solo_hear_simple(&solo, TYPE(WELCOME));
    session_step(solo.session);
    ck_assert_uint_eq(session_counters(solo.session).frames_waiting, 1);
    Envelope ack = solo_envelope(TYPE(ACK));
    ack.frame = 2;
    solo_hear(&solo, &ack, NULL);
    check_walk(&solo, blocks, " 3.1 3.2 3.3 5.3 5.4 5.5");
    session_disconnected(solo.session);
    check_walk(&solo, blocks, " 3.1 3.2 3.3 5.3 5.4 5.5");
    solo_close(&solo);
}
END_TEST

/* Whoever decides about nodes has yet to say what becomes of what is sent to it. */
START_TEST(what_failed_keeps_frames)
{
    struct solo solo;
    const struct block *blocks[5] = { 0 };
    solo_start(&solo, true);
    struct block *block = ends_block(solo.pool, 1);
    blocks[3] = block;
    ck_assert_int_eq(solo_send(&solo, 5, "words", &block), S4_OK);
    solo_hear_simple(&solo, TYPE(WELCOME));
    ck_assert_int_eq(solo.failed, 1);
    uint64_t sent = solo.fake.sent;
    block = ends_block(solo.pool, 2);
    blocks[4] = block;
    ck_assert_int_eq(solo_send(&solo, 5, "words", &block), S4_OK);
    ck_assert_uint_eq(solo.fake.sent, sent);
    check_walk(&solo, blocks, " 5.1 5.2");
    session_cut(solo.session, "over");
    ck_assert_int_eq(session_state(solo.session), SESSION_FAILED);
    solo_close(&solo);

    solo_start(&solo, true);
    session_cut(solo.session, "over");
    ck_assert_str_eq(solo.fake.last->reason, "over");
    ck_assert_int_eq(solo.failed + solo.closed, 0);
    solo_send_one(&solo, S4_STATE);
    solo_close(&solo);
}
END_TEST

START_TEST(sends_are_checked)
{
    struct solo solo;
    solo_open(&solo, true);
    struct block *block = ends_block(solo.pool, 3);
    uint32_t used = block->used;
    solo_send_one(&solo, S4_OK); /* before the connection: waits */
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
    solo_send_one(&solo, S4_STATE);
    solo_connect(&solo);
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
        Envelope envelope = solo_data(block, 1);
        envelope.lane = i;
        solo_hear(&solo, &envelope, block);
        ck_assert_int_eq(solo.failed, i == SESSION_LANES_MAX);
    }
    solo_end(&solo, S4_FULL, "more than 4096 lanes");
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
        else if (kind == 2)
            solo_open(&solo, true);
        else
            solo_reopen(&solo, 1);
        if (kind == 2)
            solo_connect(&solo);
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
    Envelope envelope = type == TYPE(DATA) ? solo_data(block, 1) : solo_envelope(type);
    if (type == TYPE(LANES))
        solo_add_lane(&envelope, 5, 3, 2, 5);
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
    for (int type = TYPE(HELLO); type <= TYPE(LANES); type++) {
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
        Envelope envelope = solo_data(block, 1);
        mem_fail_after(tries);
        solo_hear(&solo, &envelope, block);
        mem_fail_after(-1);
        ck_assert_int_eq(solo.broken + solo.arrived, 1);
        failed += solo.broken;
        if (solo.broken)
            ck_assert_ptr_nonnull(strstr(solo.reason, "out of memory"));
        solo_close(&solo);
    }
    ck_assert_int_gt(failed, 1);
    struct session_options options = { .peer = "a", .opener = true, .number = 1 };
    struct session *session = NULL;
    mem_fail_after(0);
    ck_assert_int_eq(session_create(&options, &session), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_ptr_null(session);
    options.peer = "a b";
    ck_assert_int_eq(session_create(&options, &session), S4_INVALID);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("session");
    suite_add(suite, "acceptor", acceptor_names_what_is_wrong, 10);
    suite_add(suite, "repeats", repeats_fall, 10);
    suite_add(suite, "credit", acceptor_minds_credit, 10);
    suite_add(suite, "acks", acknowledgements_are_cumulative_and_coalesced, 10);
    suite_add(suite, "greetings", greetings_are_checked, 10);
    suite_add(suite, "hellos", hellos_are_checked, 10);
    suite_add(suite, "opener", opener_names_what_is_wrong, 10);
    suite_add(suite, "walk", what_is_held_can_be_walked, 10);
    suite_add(suite, "keeps", what_failed_keeps_frames, 10);
    suite_add(suite, "sends", sends_are_checked, 10);
    suite_add(suite, "limits", lanes_and_apps_have_limits, 30);
    suite_add(suite, "flipped", truncated_and_flipped_envelopes_are_refused, 60);
    suite_add(suite, "random", random_envelopes_never_crash, 60);
    suite_add(suite, "memory", memory_out_is_an_answer, 10);
    return suite;
}
