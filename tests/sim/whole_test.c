/* The whole cluster, by seeds: any seed keeps the rules, comes to rest, and loses nothing; and a
 * seed runs the same way twice.
 *
 *     S4_SEED, S4_SEEDS   from which one, and how many
 *     S4_FAULTS           kinds of faults that there may be, a mask; S4_NODES, S4_BATCHES,
 *     S4_PRODUCERS, S4_FAULTS_US   how much of each there may be, at most
 *     S4_LOUD             what happens is printed
 */
#include "tests/support/suite.h"

#include <stdio.h>

#include "tests/sim/whole.h"

#define SEEDS_QUICK 30

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static struct whole_draw most(void)
{
    return (struct whole_draw){ .nodes = (uint32_t)number("S4_NODES", WHOLE_NODES),
                                .faults = (uint32_t)number("S4_FAULTS", UINT32_MAX),
                                .batches = (uint32_t)number("S4_BATCHES", UINT32_MAX),
                                .producers = (uint32_t)number("S4_PRODUCERS", UINT32_MAX),
                                .faults_us = number("S4_FAULTS_US", UINT64_MAX) };
}

static void live(struct whole *whole, uint64_t seed, const struct whole_draw *limits)
{
    fprintf(stderr, "seed %llu: ", (unsigned long long)seed);
    whole_live(whole, seed, limits);
    whole_close(whole);
    fprintf(stderr, "%u nodes, faults %x, %llu deaths, %llu moved, %llu acked, %llu in doubt\n",
            whole->draw.nodes, whole->draw.faults, (unsigned long long)whole->deaths,
            (unsigned long long)whole->moved, (unsigned long long)whole->acked,
            (unsigned long long)whole->in_doubt);
    ck_assert_msg(whole->broken[0] == 0, "seed %llu: %s", (unsigned long long)seed, whole->broken);
}

START_TEST(any_seed_keeps_the_rules_and_settles)
{
    static struct whole whole;
    uint64_t first = number("S4_SEED", 1), n = number("S4_SEEDS", SEEDS_QUICK);
    struct whole_draw limits = most();
    for (uint64_t seed = first; seed < first + n; seed++)
        live(&whole, seed, &limits);
}
END_TEST

START_TEST(a_seed_runs_the_same_way_twice)
{
    static struct whole whole;
    uint64_t first = number("S4_SEED", 1), n = number("S4_SEEDS", SEEDS_QUICK) / 10;
    struct whole_draw limits = most();
    for (uint64_t seed = first; seed < first + n; seed++) {
        live(&whole, seed, &limits);
        uint64_t trace = whole.trace;
        live(&whole, seed, &limits);
        ck_assert_uint_eq(whole.trace, trace);
    }
}
END_TEST

/* One of a line's limits. */
static void limit(struct whole_draw *limits, const char *name, const char *value)
{
    uint64_t n = strtoull(value, NULL, 0);
    if (strcmp(name, "faults") == 0)
        limits->faults = (uint32_t)n;
    else if (strcmp(name, "nodes") == 0)
        limits->nodes = (uint32_t)n;
    else if (strcmp(name, "producers") == 0)
        limits->producers = (uint32_t)n;
    else if (strcmp(name, "batches") == 0)
        limits->batches = (uint32_t)n;
    else if (strcmp(name, "faults_us") == 0)
        limits->faults_us = n;
    else
        ck_abort_msg("%s: no such limit", name);
}

START_TEST(seeds_that_failed_once)
{
    static struct whole whole;
    char line[256];
    FILE *file = fopen(WHOLE_SEEDS, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) {
        struct whole_draw limits = most();
        char *at = line, *end = NULL;
        line[strcspn(line, "#\n")] = '\0';
        uint64_t seed = strtoull(at, &end, 10);
        if (end == at)
            continue;
        for (at = end; *(at += strspn(at, " ")); at = end) {
            end = at + strcspn(at, " ");
            end += *end ? 1 : 0;
            char *value = strchr(at, '=');
            ck_assert_ptr_nonnull(value);
            *value = '\0';
            limit(&limits, at, value + 1);
        }
        live(&whole, seed, &limits);
    }
    fclose(file);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("whole");
    suite_add(suite, "failed_once", seeds_that_failed_once, 600);
    suite_add(suite, "seeds", any_seed_keeps_the_rules_and_settles, 1200);
    suite_add(suite, "replay", a_seed_runs_the_same_way_twice, 1200);
    return suite;
}
