/* Slots of two apps, one of which hears the other, move between nodes while events flow: the rows
 * of the one that hears are those of one node. By a seed, as in move_test.
 */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "tests/support/nodes.h"
#include "tests/support/streams_app.h"

#define EVENTS      600 /* in each */
#define ROUNDS      6
#define SEEDS_QUICK 25

static const char manifest[] =
    "app: hears\nversion: 1.0.0\nstreams:\n  heard: {from: speaks.said}\n";

static struct buffer input[ROUNDS];
static char *expected;

static void make_input(void)
{
    struct rng rng;
    rng_init(&rng, 20101215);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EVENTS; i++) {
            int kind = rng_below(&rng, 4) ? TOLD_PLAIN : (int)rng_below(&rng, TOLD_MANY + 1);
            ck_assert_int_eq(buffer_printf(&input[round],
                                           "{\"user\":\"u%llu\",\"kind\":%d,\"n\":%llu}\n",
                                           (unsigned long long)rng_below(&rng, 120), kind,
                                           (unsigned long long)rng_below(&rng, 9)),
                             S4_OK);
        }
        ck_assert_ptr_nonnull(buffer_text(&input[round]));
    }
}

static void deploy_hearer(struct rig *rig, struct rig_other *other)
{
    struct diag diag = { 0 };
    ck_assert_msg(rig_try_other(rig, streams_app_hears(), "hears", manifest, other, &diag) == S4_OK,
                  "%s", diag.text);
}

/* Both apps are drained, and the one that hears is looked at. */
static void expect(void)
{
    struct rig rig;
    struct rig_other other;
    if (expected)
        return;
    make_input();
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin });
    deploy_hearer(&rig, &other);
    for (int i = 0; i < ROUNDS; i++)
        rig_feed(&rig, "told", input[i].data);
    rig.name = NULL;
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
    rig.name = "hears";
    expected = nodes_sorted(rig_rows(&rig, "sums"));
    ck_assert_uint_gt(strlen(expected), 1000);
    rig_stop(&rig);
    rig_other_fini(&other);
}

static void name_rigs(struct nodes *nodes, const char *name)
{
    for (uint32_t i = 0; i < nodes->options.nodes; i++)
        nodes->all[i].rig.name = name;
}

static uint64_t run_seed(uint64_t seed)
{
    static const size_t blocks[] = { 1 * KIB, 4 * KIB, 64 * KIB };
    struct nodes nodes;
    struct rig_other others[NODES_MAX];
    struct rng draw;
    rng_init(&draw, seed);
    struct nodes_options options = {
        .app = &s4_plugin,
        .seed = seed,
        .nodes = 2 + (uint32_t)rng_below(&draw, 3),
        .slots = rng_below(&draw, 2) ? 4 : 8,
        .workers = 1 + (uint32_t)rng_below(&draw, 2),
        .block_size = blocks[rng_below(&draw, 3)],
        .moves = 60,
        .failing_in = rng_below(&draw, 2) ? 4 : 0,
    };
    fprintf(stderr, "seed %llu: %u nodes", (unsigned long long)seed, options.nodes);
    nodes_start(&nodes, &options);
    for (uint32_t i = 0; i < options.nodes; i++)
        deploy_hearer(&nodes.all[i].rig, &others[i]);
    for (int i = 0; i < ROUNDS; i++)
        rig_feed(&nodes.all[rng_below(&draw, options.nodes)].rig, "told", input[i].data);
    name_rigs(&nodes, NULL);
    nodes_finish(&nodes);
    name_rigs(&nodes, "hears");
    char *found = nodes_rows(&nodes, "sums");
    ck_assert_str_eq(found, expected);
    mem_free(found);
    uint64_t moves = nodes.commits;
    fprintf(stderr, ", %llu moves\n", (unsigned long long)moves);
    nodes_stop(&nodes);
    for (uint32_t i = 0; i < options.nodes; i++)
        rig_other_fini(&others[i]);
    return moves;
}

START_TEST(seeds)
{
    expect();
    const char *given = getenv("S4_SEEDS");
    uint64_t n = given ? strtoull(given, NULL, 10) : SEEDS_QUICK;
    const char *from = getenv("S4_SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    uint64_t moves = 0;
    for (uint64_t seed = first; seed < first + n; seed++)
        moves += run_seed(seed);
    if (n >= SEEDS_QUICK)
        ck_assert_uint_gt(moves, n * 5);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("move_streams");
    suite_add(suite, "seeds", seeds, 1200);
    return suite;
}
