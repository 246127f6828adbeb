/* The network inside one process: what every transport does, and its faults. */
#include "tests/support/suite.h"

#include "runtime/base/rng.h"
#include "tests/support/transport_check.h"

START_TEST(sim_keeps_order)
{
    transport_check_order(ENDS_SIM);
    transport_check_order(ENDS_INPROC);
}
END_TEST

START_TEST(sim_keeps_limits)
{
    transport_check_limits(ENDS_SIM);
    transport_check_full(ENDS_SIM);
    transport_check_full(ENDS_INPROC);
}
END_TEST

START_TEST(sim_tells_ends)
{
    transport_check_close(ENDS_SIM);
    transport_check_close(ENDS_INPROC);
    transport_check_addresses(ENDS_SIM);
}
END_TEST

START_TEST(inproc_waits_and_wakes)
{
    transport_check_wake(ENDS_INPROC);
}
END_TEST

START_TEST(inproc_serves_two_threads)
{
    transport_check_threads(ENDS_INPROC);
}
END_TEST

/* --- faults --- */

struct heard {
    uint64_t peer;
    uint32_t numbers[64];
    size_t count;
    int flips, closed;
};

static void hear_connected(void *user, uint64_t peer, bool opened)
{
    ((struct heard *)user)->peer = peer;
}

static void hear(void *user, uint64_t peer, const void *envelope, size_t size, struct block *block)
{
    struct heard *heard = user;
    const unsigned char *bytes = envelope;
    unsigned bits = 0;
    for (size_t i = 4; i < size; i++)
        bits += (unsigned)__builtin_popcount(bytes[i]);
    for (size_t i = 0; block && i < block->used; i++)
        bits += (unsigned)__builtin_popcount((unsigned char)block->data[i]);
    heard->flips += bits != 0;
    memcpy(&heard->numbers[heard->count++], bytes, 4);
    if (block)
        block_release(block);
}

static void hear_closed(void *user, uint64_t peer, const char *reason)
{
    ((struct heard *)user)->closed++;
}

static const struct transport_upcalls hear_upcalls = {
    .connected = hear_connected,
    .received = hear,
    .closed = hear_closed,
};

/* Ten messages of zeros but for a number, with a fault at the fifth. */
static void run_fault(enum sim_fault fault, struct heard heard[2])
{
    struct ends ends;
    struct diag diag;
    uint64_t peer;
    ends_open(&ends, ENDS_SIM, 5, 0);
    memset(heard, 0, 2 * sizeof *heard);
    for (int i = 0; i < 2; i++)
        transport_attach(ends.transports[i], &hear_upcalls, &heard[i]);
    ck_assert_int_eq(transport_connect(ends.transports[0], "b", &peer, &diag), S4_OK);
    ck_assert_int_eq(transport_bind(ends.transports[1], "b", &diag), S4_OK); /* after connect */
    while (transport_step(ends.transports[0], 10) == 0)
        ends_idle(&ends, 0);
    sim_net_plan(ends.sim, fault, 5);
    for (uint32_t n = 1; n <= 10; n++) {
        unsigned char envelope[64] = { (unsigned char)n };
        struct block *block = block_take(ends.pools[0], 512);
        memset(block->data, 0, 512);
        block->used = 512;
        ck_assert_int_eq(transport_send(ends.transports[0], peer, envelope, 64, block), S4_OK);
        block_release(block);
    }
    ck_assert_uint_eq(sim_net_messages(ends.sim), 10);
    ck_assert_uint_eq(sim_net_faults(ends.sim, fault), fault == SIM_NO_FAULT ? 10 : 1);
    for (int i = 0; i < 100; i++) {
        transport_step(ends.transports[0], 10);
        transport_step(ends.transports[1], 10);
        ends_idle(&ends, 0);
    }
    ends_close(&ends);
}

START_TEST(faults_are_what_they_say)
{
    static const size_t counts[] = {
        [SIM_NO_FAULT] = 10, [SIM_DROP] = 9, [SIM_DUPLICATE] = 11, [SIM_FLIP] = 10,
        [SIM_CUT] = 4,       [SIM_HOLE] = 4, [SIM_LATE] = 10,
    };
    for (int fault = SIM_NO_FAULT; fault < SIM_FAULTS; fault++) {
        struct heard heard[2];
        run_fault((enum sim_fault)fault, heard);
        ck_assert_uint_eq(heard[1].count, counts[fault]);
        ck_assert_int_eq(heard[1].flips, fault == SIM_FLIP);
        ck_assert_int_eq(heard[0].closed, fault == SIM_CUT);
        ck_assert_int_eq(heard[1].closed, fault == SIM_CUT);
    }
}
END_TEST

static void blocked_steps(struct ends *ends)
{
    for (int i = 0; i < 20; i++) {
        transport_step(ends->transports[0], 10);
        transport_step(ends->transports[1], 10);
        ends_idle(ends, 0);
    }
}

/* One way only: what goes the other way arrives. Ends and connections come when it is over. */
START_TEST(blocked_directions_are_silent)
{
    struct ends ends;
    struct heard heard[2] = { 0 };
    struct diag diag;
    uint64_t peer, later;
    ends_open(&ends, ENDS_SIM, 5, 0);
    for (int i = 0; i < 2; i++)
        transport_attach(ends.transports[i], &hear_upcalls, &heard[i]);
    ck_assert_int_eq(transport_bind(ends.transports[1], "b", &diag), S4_OK);
    ck_assert_int_eq(transport_connect(ends.transports[0], "b", &peer, &diag), S4_OK);
    blocked_steps(&ends);
    uint64_t other = heard[1].peer;
    ck_assert_uint_ne(other, 0);
    sim_net_block(ends.sim, ends.transports[0], ends.transports[1], true);
    ck_assert_int_eq(transport_send(ends.transports[0], peer, "there", 5, NULL), S4_OK);
    ck_assert_int_eq(transport_send(ends.transports[1], other, "back", 5, NULL), S4_OK);
    ck_assert_int_eq(transport_connect(ends.transports[0], "b", &later, &diag), S4_OK);
    blocked_steps(&ends);
    ck_assert_uint_eq(heard[0].count, 1);
    ck_assert_uint_eq(heard[1].count, 0);
    ck_assert_uint_eq(heard[0].peer, peer);
    transport_disconnect(ends.transports[0], peer);
    blocked_steps(&ends);
    ck_assert_int_eq(heard[1].closed, 0);
    ck_assert_int_eq(transport_send(ends.transports[1], other, "lost", 5, NULL), S4_OK);
    sim_net_block(ends.sim, ends.transports[0], ends.transports[1], false);
    blocked_steps(&ends);
    ck_assert_int_eq(heard[1].closed, 1);
    ck_assert_uint_eq(heard[0].count, 1);
    ck_assert_uint_eq(heard[0].peer, later);
    ck_assert_int_eq(transport_send(ends.transports[1], other, "gone", 5, NULL), S4_UNAVAILABLE);
    ends_close(&ends);
}
END_TEST

/* Two connections with delays: each keeps its order, together they are mixed. */
START_TEST(connections_overtake_each_other)
{
    struct ends ends;
    struct heard heard[2] = { 0 };
    struct diag diag;
    uint64_t peers[2];
    ends_open(&ends, ENDS_SIM, suite_seed(), 0);
    for (int i = 0; i < 2; i++)
        transport_attach(ends.transports[i], &hear_upcalls, &heard[i]);
    ck_assert_int_eq(transport_bind(ends.transports[1], "b", &diag), S4_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(transport_connect(ends.transports[0], "b", &peers[i], &diag), S4_OK);
    for (uint32_t n = 0; n < 60; n++)
        ck_assert_int_eq(transport_send(ends.transports[0], peers[n % 2], &n, 4, NULL), S4_OK);
    while (heard[1].count < 60) {
        transport_step(ends.transports[0], 3);
        transport_step(ends.transports[1], 3);
        ends_idle(&ends, 1);
    }
    uint32_t last[2] = { 0 };
    bool mixed = false;
    for (size_t i = 0; i < 60; i++) {
        uint32_t n = heard[1].numbers[i];
        ck_assert(n <= 1 || n > last[n % 2]);
        mixed |= n != i;
        last[n % 2] = n;
    }
    ck_assert(mixed);
    ends_close(&ends);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("transport_sim");
    suite_add(suite, "order", sim_keeps_order, 30);
    suite_add(suite, "limits", sim_keeps_limits, 30);
    suite_add(suite, "ends", sim_tells_ends, 30);
    suite_add(suite, "wake", inproc_waits_and_wakes, 30);
    suite_add(suite, "threads", inproc_serves_two_threads, 30);
    suite_add(suite, "faults", faults_are_what_they_say, 30);
    suite_add(suite, "blocked", blocked_directions_are_silent, 10);
    suite_add(suite, "overtake", connections_overtake_each_other, 30);
    return suite;
}
