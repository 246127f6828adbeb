/* The simulation finds what is wrong: the cluster's code, compiled with mistakes planted in it, one
 * at a time, breaks a rule within 500 seeds; and without any it breaks none. */
#include "tests/support/suite.h"

#include "router/map/planted.h"
#include "tests/sim/cluster_world.h"

#define SEEDS_MAX 500

int planted_bug;

static const char *const names[PLANTED_END] = {
    [PLANTED_NONE] = "none",
    [PLANTED_BLIND_RETRY] = "blind retry",
    [PLANTED_NO_EPOCH_CHECK] = "no epoch check",
    [PLANTED_EQUAL_VERSION] = ">= for >",
    [PLANTED_OLD_VERSION] = "any version",
    [PLANTED_SAME_GENERATION] = "generation kept",
    [PLANTED_SAME_EPOCH] = "epoch kept",
    [PLANTED_NODES_FIRST] = "nodes before the map",
    [PLANTED_NO_STOP] = "no stop",
    [PLANTED_UNREPORTED] = "committed early",
    [PLANTED_ANSWERS_ALWAYS] = "answers always",
};

/* The first seed that breaks a rule; 0: none did. */
static uint64_t find(struct world *world, uint64_t seeds)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        world_live(world, seed);
        bool broken = world->broken[0] != 0;
        world_close(world);
        if (broken)
            return seed;
    }
    return 0;
}

START_TEST(each_planted_bug_is_found)
{
    static struct world world;
    planted_bug = _i;
    uint64_t seed = find(&world, _i == PLANTED_NONE ? 50 : SEEDS_MAX);
    fprintf(stderr, "%s: seed %llu: %s\n", names[_i], (unsigned long long)seed,
            seed ? world.broken : "no rule is broken");
    ck_assert_msg((seed != 0) == (_i != PLANTED_NONE), "%s: seed %llu: %s", names[_i],
                  (unsigned long long)seed, world.broken);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("cluster_planted");
    TCase *bugs = tcase_create("bugs");
    tcase_set_timeout(bugs, 120);
    tcase_add_loop_test(bugs, each_planted_bug_is_found, PLANTED_NONE, PLANTED_END);
    suite_add_tcase(suite, bugs);
    return suite;
}
