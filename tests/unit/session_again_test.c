/* One session, the other side played by hand: connections that are lost and made again, and time.
 */
#include "tests/support/suite.h"

#include "tests/support/ends.h"
#include "tests/support/solo.h"

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

/* The transport puts off WELCOME just when a PING is due: the PING waits behind it. */
START_TEST(nothing_overtakes)
{
    struct solo solo;
    solo_open(&solo, false);
    solo.fake.status = S4_FULL;
    solo_hello(&solo, 0);
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

static void wait_us(struct solo *solo, uint64_t us)
{
    for (; us > 0; us -= us < SESSION_PING_US ? us : SESSION_PING_US) {
        clock_sim_advance(&solo->clock, us < SESSION_PING_US ? us : SESSION_PING_US);
        session_step(solo->session);
    }
}

#define PATIENCE_US (SESSION_UNHEARD_US / 5 * 3)

START_TEST(silence_is_told)
{
    struct solo solo;
    solo_start(&solo, true);
    uint64_t sent = solo.fake.sent;
    for (int i = 0; i < 10; i++) { /* it speaks each second, and hears each second */
        clock_sim_advance(&solo.clock, SESSION_PING_US - 1);
        session_step(solo.session);
        ck_assert_uint_eq(solo.fake.sent, sent + (uint64_t)i);
        ck_assert_uint_eq(session_deadline_us(solo.session), solo.clock.now_us + 1);
        clock_sim_advance(&solo.clock, 1);
        session_step(solo.session);
        ck_assert_int_eq(solo.fake.last->type, TYPE(PING));
        solo_hear_simple(&solo, TYPE(PING));
        session_step(solo.session);
    }
    wait_us(&solo, PATIENCE_US - 1);
    ck_assert_int_eq(solo.broken, 0);
    wait_us(&solo, 1);
    ck_assert_int_eq(solo.unheard, 0);
    solo_end_conn(&solo, "nothing was heard for 3000 ms");
    wait_us(&solo, SESSION_UNHEARD_US - PATIENCE_US - 1);
    ck_assert_int_eq(solo.unheard, 0);
    wait_us(&solo, 1);
    ck_assert_int_eq(solo.unheard, 1);
    ck_assert_uint_eq(session_deadline_us(solo.session), UINT64_MAX);

    solo_connect(&solo); /* the next connection is given as long */
    wait_us(&solo, PATIENCE_US - 1);
    ck_assert_int_eq(solo.broken, 1);
    wait_us(&solo, 1);
    ck_assert_int_eq(solo.broken, 2);
    ck_assert_int_eq(solo.unheard, 1);
    solo_connect(&solo);
    solo_hear_simple(&solo, TYPE(WELCOME));
    session_step(solo.session);
    ck_assert_int_eq(solo.unheard, 1);
    ck_assert_int_eq(solo.heard_again, 1);
    ck_assert_int_eq(solo.opened, 1);
    solo_close(&solo);
}
END_TEST

/* Who slept himself has not heard the others, and that is not their fault. */
START_TEST(absence_is_not_silence)
{
    struct solo solo;
    solo_start(&solo, false);
    clock_sim_advance(&solo.clock, 60 * SESSION_UNHEARD_US);
    session_step(solo.session);
    ck_assert_int_eq(solo.unheard + solo.broken, 0);
    wait_us(&solo, PATIENCE_US - 1);
    ck_assert_int_eq(solo.unheard + solo.broken, 0);
    wait_us(&solo, SESSION_UNHEARD_US - PATIENCE_US + 1);
    ck_assert_int_eq(solo.unheard, 1);
    ck_assert_int_eq(solo.broken, 1);
    clock_sim_advance(&solo.clock, 60 * SESSION_UNHEARD_US);
    solo_hello(&solo, 0);
    session_step(solo.session);
    ck_assert_int_eq(solo.heard_again, 1);
    ck_assert(session_is_connected(solo.session));
    solo_close(&solo);
}
END_TEST

START_TEST(bye_wants_an_answer)
{
    struct solo solo;
    solo_start(&solo, true);
    session_close(solo.session);
    session_step(solo.session);
    ck_assert_int_eq(solo.fake.last->type, TYPE(BYE));
    for (uint64_t us = 0; us < SESSION_BYE_US; us += SESSION_PING_US) {
        ck_assert_int_eq(session_state(solo.session), SESSION_CLOSING);
        solo_hear_simple(&solo, TYPE(PING));
        wait_us(&solo, SESSION_PING_US);
    }
    solo_end(&solo, S4_TIMEOUT, "no answer to BYE within 30 s");

    solo_start(&solo, true);
    session_close(solo.session);
    session_step(solo.session);
    session_disconnected(solo.session); /* all is acknowledged */
    ck_assert_int_eq(solo.closed, 1);
    solo_close(&solo);
}
END_TEST

/* --- connections --- */

START_TEST(frames_go_again)
{
    struct solo solo;
    solo_reopen(&solo, 1);
    uint64_t sent = solo.fake.sent;
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent); /* not before it is told where the lane stands */
    Envelope lanes = solo_envelope(TYPE(LANES));
    solo_add_lane(&lanes, 5, 3, 2, 5);
    solo_hear(&solo, &lanes, NULL);
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent + 2); /* 4 again, and 5 */
    ck_assert_uint_eq(solo.fake.last->frame, 5);
    ck_assert_uint_eq(solo.fake.last->map_version, 9);
    struct session_counters counters = session_counters(solo.session);
    ck_assert_uint_eq(counters.frames_held, 4);
    ck_assert_uint_eq(counters.frames_applied, 2);
    ck_assert_uint_eq(counters.frames_resent, 1);
    ck_assert_uint_eq(counters.reopened, 1);
    ck_assert_int_eq(solo.opened, 1);
    solo_close(&solo);
}
END_TEST

static void lanes_that_cannot_be(uint64_t lane, uint64_t received, uint64_t applied, uint64_t limit)
{
    struct solo solo;
    solo_reopen(&solo, 1);
    Envelope lanes = solo_envelope(TYPE(LANES));
    solo_add_lane(&lanes, lane, received, applied, limit);
    solo_hear(&solo, &lanes, NULL);
    solo_end(&solo, S4_PROTOCOL, "where");
}

START_TEST(where_lanes_stand_is_checked)
{
    struct solo solo;
    lanes_that_cannot_be(4, 3, 2, 5); /* there is no lane 4 */
    lanes_that_cannot_be(5, 3, 0, 5); /* 1 was acknowledged */
    lanes_that_cannot_be(5, 2, 3, 5);
    lanes_that_cannot_be(5, 5, 2, 5); /* 4 were sent */
    lanes_that_cannot_be(5, 3, 2, 2);
    lanes_that_cannot_be(5, 3, 2, 4 + LANE_WINDOW_MAX);

    solo_reopen(&solo, 1);
    Envelope lanes = solo_envelope(TYPE(LANES));
    solo_add_lane(&lanes, 5, 3, 2, 5);
    solo_add_lane(&lanes, 5, 3, 2, 5);
    solo_hear(&solo, &lanes, NULL);
    solo_end(&solo, S4_PROTOCOL, "2 lanes told of where 1 were left");

    solo_reopen(&solo, 0);
    solo_end(&solo, S4_PROTOCOL, "lane 5: 1 frames were acknowledged, and it knows nothing");
}
END_TEST

/* An acceptor's connection goes; what is said meanwhile is told on the next one, and a lane that
 * was credited is never credited less. */
START_TEST(lanes_are_told)
{
    struct solo solo;
    solo_start(&solo, false);
    for (uint64_t frame = 1; frame <= 3; frame++)
        solo_hear_data(&solo, frame);
    session_disconnected(solo.session);
    session_credit(solo.session, 5);
    session_applied(solo.session, 5, 1);
    ck_assert(!session_step(solo.session));
    solo.fake.refusals = 1; /* WELCOME */
    solo_hello(&solo, 0);
    session_step(solo.session);
    ck_assert_int_eq(solo.fake.last->type, TYPE(LANES));
    ck_assert_uint_eq(solo.fake.last->n_lanes, 4);
    static const uint64_t wanted[] = { 5, 3, 1, 5 };
    ck_assert_mem_eq(solo.fake.last->lanes, wanted, sizeof wanted);
    ck_assert(!session_step(solo.session)); /* and nothing of it again */
    solo_hear_data(&solo, 4);
    solo_hear_data(&solo, 5);
    ck_assert_int_eq(solo.arrived, 5);
    solo_close(&solo);
}
END_TEST

START_TEST(many_lanes_are_told)
{
    enum { MANY = 3 * ENVELOPE_LANES_MAX + 1 };
    struct solo solo;
    solo_start(&solo, false);
    for (uint32_t i = 0; i < MANY; i++) {
        struct block *block = ends_block(solo.pool, 0);
        Envelope envelope = solo_data(block, 1);
        envelope.lane = i * 0x1000100; /* the longest there are */
        solo_hear(&solo, &envelope, block);
    }
    session_disconnected(solo.session);
    uint64_t sent = solo.fake.sent;
    solo_hello(&solo, 0);
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent + 1 + 4);
    ck_assert_uint_eq(solo.fake.last->n_lanes, 4);
    solo_close(&solo);
}
END_TEST

/* --- what was not taken --- */

START_TEST(not_mine_is_said_until_it_is_heard)
{
    struct solo solo;
    solo_start(&solo, false);
    for (uint64_t frame = 1; frame <= 3; frame++)
        solo_hear_data(&solo, frame);
    uint64_t sent = solo.fake.sent;
    session_not_mine(solo.session, 5, 2, 7);
    session_not_mine(solo.session, 5, 2, 8);
    for (uint64_t frame = 1; frame <= 3; frame++)
        session_applied(solo.session, 5, frame);
    solo.fake.refusals = 1;
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent); /* nothing overtakes it */
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent + 3);
    ck_assert_int_eq(solo.fake.last->type, TYPE(ACK));
    Envelope ping = solo_envelope(TYPE(PING));
    ping.has_notice = true;
    ping.notice = 1;
    solo_hear(&solo, &ping, NULL);
    session_disconnected(solo.session);
    sent = solo.fake.sent;
    solo_hello(&solo, 1); /* the second is not known to be heard, though it was said */
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent + 3); /* WELCOME, NOT_MINE, LANES */
    ck_assert_int_eq(solo.fake.last->type, TYPE(LANES));
    session_disconnected(solo.session);
    sent = solo.fake.sent;
    solo_hello(&solo, 2);
    session_step(solo.session);
    ck_assert_uint_eq(solo.fake.sent, sent + 2);
    ping.notice = 3;
    ping.has_serial = false;
    solo_hear(&solo, &ping, NULL);
    solo_end(&solo, S4_PROTOCOL, "it heard of 3 frames that were not taken");

    solo_start(&solo, false);
    solo_hello(&solo, 0);
    session_disconnected(solo.session);
    solo_hello(&solo, 1);
    solo_end(&solo, S4_PROTOCOL, "it heard of 1 frames that were not taken, of 0");
}
END_TEST

START_TEST(not_mine_is_heard_once)
{
    struct solo solo;
    solo_reopen(&solo, 1);
    Envelope not_mine = solo_envelope(TYPE(NOT_MINE));
    not_mine.slot = 7;
    not_mine.notice = 0;
    for (uint64_t frame = 2; frame <= 4; frame += 2) {
        not_mine.notice++;
        not_mine.frame = frame;
        not_mine.has_serial = false;
        solo_hear(&solo, &not_mine, NULL);
    }
    ck_assert_str_eq(solo.not_mine, " 5.2/7 5.4/7");
    session_disconnected(solo.session);
    solo_connect(&solo);
    ck_assert_uint_eq(solo.fake.last->notice, 2);
    Envelope welcome = solo_envelope(TYPE(WELCOME));
    welcome.count = 1;
    solo_hear(&solo, &welcome, NULL);
    not_mine.has_serial = false;
    solo_hear(&solo, &not_mine, NULL); /* again */
    Envelope lanes = solo_envelope(TYPE(LANES));
    solo_add_lane(&lanes, 5, 4, 4, 8);
    solo_hear(&solo, &lanes, NULL);
    not_mine.has_serial = false;
    not_mine.notice = 3;
    not_mine.frame = 5;
    session_step(solo.session);
    solo_hear(&solo, &not_mine, NULL);
    ck_assert_str_eq(solo.not_mine, " 5.2/7 5.4/7 5.5/7");
    session_step(solo.session);
    ck_assert_int_eq(solo.fake.last->type, TYPE(PING)); /* that it heard */
    ck_assert_uint_eq(solo.fake.last->notice, 3);
    not_mine.has_serial = false;
    not_mine.notice = 5;
    solo_hear(&solo, &not_mine, NULL);
    solo_end(&solo, S4_PROTOCOL, "(5, due was 4)");
}
END_TEST

START_TEST(not_mine_has_a_limit)
{
    struct solo solo;
    solo_start(&solo, false);
    solo_hear_data(&solo, 1);
    for (uint32_t i = 0; i < SESSION_NOTICES_MAX; i++)
        session_not_mine(solo.session, 5, 1, i & UINT16_MAX);
    ck_assert_int_eq(solo.failed, 0);
    session_not_mine(solo.session, 5, 1, 1);
    solo_end(&solo, S4_FULL, "it has yet to hear of 1048576 frames that were not taken");
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("session_again");
    suite_add(suite, "overtakes", nothing_overtakes, 10);
    suite_add(suite, "silence", silence_is_told, 10);
    suite_add(suite, "absence", absence_is_not_silence, 10);
    suite_add(suite, "bye", bye_wants_an_answer, 10);
    suite_add(suite, "again", frames_go_again, 10);
    suite_add(suite, "stand", where_lanes_stand_is_checked, 10);
    suite_add(suite, "lanes", lanes_are_told, 10);
    suite_add(suite, "many", many_lanes_are_told, 10);
    suite_add(suite, "said", not_mine_is_said_until_it_is_heard, 10);
    suite_add(suite, "heard", not_mine_is_heard_once, 10);
    suite_add(suite, "notices", not_mine_has_a_limit, 30);
    return suite;
}
