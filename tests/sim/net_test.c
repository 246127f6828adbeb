/* Sessions over a bad network: seeds of everything together (net_world.h), and one fault at each
 * message of a conversation. */
#include "tests/support/suite.h"

#include "runtime/base/planted.h"
#include "tests/sim/net_world.h"

#define SEEDS_QUICK 60
#define TWICE_EVERY 20 /* seeds: it must go the same way again */

#ifdef PLANTED_BUGS
int planted_bug;
#endif

static struct world world;

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);
    return given ? strtoull(given, NULL, 10) : otherwise;
}

static uint64_t live(uint64_t seed, const struct world_draw *draw)
{
    world_live(&world, seed, draw);
    if (world.broken[0])
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, world.broken);
    ck_assert_str_eq(world.broken, "");
    world_close(&world);
    return world.trace;
}

START_TEST(seeds)
{
    uint64_t n = number_of("S4_SEEDS", SEEDS_QUICK), first = number_of("S4_SEED", 1);
    struct session_counters out = { 0 };
    uint64_t not_mine = 0, silences = 0, restarts = 0, repeated = 0;
#ifdef PLANTED_BUGS
    planted_bug = (int)number_of("S4_PLANTED", 0);
#endif
    for (uint64_t seed = first; seed < first + n; seed++) {
        uint64_t trace = live(seed, NULL);
        if (seed % TWICE_EVERY == 0)
            ck_assert_uint_eq(live(seed, NULL), trace);
        out.reopened += world.counters.out.reopened;
        out.frames_resent += world.counters.out.frames_resent;
        out.frames_sent += world.counters.out.frames_sent;
        repeated += world.counters.in.frames_repeated;
        not_mine += world.not_mine;
        silences += world.silences;
        restarts += world.restarts;
    }
    fprintf(
        stderr,
        "%llu seeds: %llu frames, %llu of them again, %llu dropped as repeats, %llu connections "
        "made again, %llu not taken, %llu silences, %llu restarts\n",
        (unsigned long long)n, (unsigned long long)out.frames_sent,
        (unsigned long long)out.frames_resent, (unsigned long long)repeated,
        (unsigned long long)out.reopened, (unsigned long long)not_mine,
        (unsigned long long)silences, (unsigned long long)restarts);
    if (n >= SEEDS_QUICK) { /* what is to be shown was there */
        ck_assert_uint_gt(out.reopened, n * 5);
        ck_assert_uint_gt(out.frames_resent, n * 5);
        ck_assert_uint_gt(repeated, n / 2);
        ck_assert_uint_gt(not_mine, n * 5);
        ck_assert_uint_gt(silences, n);
        ck_assert_uint_gt(restarts, n / 4);
    }
}
END_TEST

/* Two nodes, for as long as it takes to say everything that there is to say, until they close. */
START_TEST(a_fault_at_each_message)
{
    struct world_draw draw = {
        .nodes = 2, .window = 2, .sends = 2, .faults_us = 200000, .stuck_lane = -1, .closes = true
    };
    live(7, &draw);
    uint64_t messages = world.messages, clean = world.counters.out.frames_sent;
    ck_assert_uint_eq(world.counters.out.reopened, 0);
    ck_assert_uint_eq(world.counters.out.frames_resent, 0);
    ck_assert_uint_gt(clean, 20);
    for (int fault = SIM_NO_FAULT + 1; fault < SIM_FAULTS; fault++) {
        uint64_t reopened = 0;
        for (uint64_t at = 1; at <= messages; at++) {
            draw.planned = (enum sim_fault)fault;
            draw.planned_at = at;
            live(7, &draw);
            reopened += world.counters.out.reopened;
        }
        fprintf(stderr, "fault %d at each of %llu messages: %llu connections made again\n", fault,
                (unsigned long long)messages, (unsigned long long)reopened);
        bool costs = fault != SIM_DUPLICATE && fault != SIM_LATE;
        ck_assert(costs ? reopened > messages / 2 : reopened < messages / 2);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("net_sim");
    suite_add(suite, "faults", a_fault_at_each_message, 120);
    suite_add(suite, "seeds", seeds, 1200);
    return suite;
}
