/* Instances that wait for answers move with their slots, where they ask again: nothing overtakes
 * and nothing is lost. By a seed, as in move_test.
 */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "tests/support/gates_app.h"
#include "tests/support/nodes.h"

#define GATES       20u
#define ROUNDS      12
#define STEPS       150
#define SEEDS_QUICK 30

/* A full one stalls its partition. */
static const char small_mailboxes[] = "app: gates\nversion: 1.0.0\nprototypes:\n  all:\n"
                                      "    mailbox: {max: 1, full: block}\n";

static uint32_t given[GATES], last[GATES];
static uint64_t answers;

static void saw_step(uint32_t gate, uint32_t number, uint32_t steps)
{
    ck_assert_uint_lt(gate, GATES);
    ck_assert_uint_eq(number, last[gate] + 1);
    ck_assert_uint_eq(steps, number - 1); /* its state has counted all before */
    last[gate] = number;
}

static void saw_answer(uint32_t gate, uint32_t left)
{
    answers++;
}

static void some_steps(struct rng *draw, struct buffer *lines)
{
    buffer_clear(lines);
    for (int i = 0; i < STEPS; i++) {
        uint32_t gate = (uint32_t)rng_below(draw, GATES);
        uint32_t act = rng_below(draw, 3) ? GATE_PASS : (uint32_t)rng_below(draw, GATE_ASK + 1);
        ck_assert_int_eq(buffer_printf(lines, "{\"gate\":%u,\"number\":%u,\"act\":%u}\n", gate,
                                       ++given[gate], act),
                         S4_OK);
    }
    ck_assert_ptr_nonnull(buffer_text(lines));
}

static uint64_t run_seed(uint64_t seed)
{
    struct nodes nodes;
    struct rng draw;
    struct buffer lines;
    buffer_init(&lines);
    rng_init(&draw, seed);
    struct nodes_options options = {
        .app = &s4_plugin,
        .manifest = rng_below(&draw, 2) ? small_mailboxes : NULL,
        .seed = seed,
        .nodes = 2 + (uint32_t)rng_below(&draw, 3),
        .slots = 4,
        .workers = 1 + (uint32_t)rng_below(&draw, 2),
        .block_size = 1 * KIB,
        .moves = 100,
        .failing_in = rng_below(&draw, 2) ? 4 : 0,
        .copy_step = rng_below(&draw, 2) ? 64 : 1 * KIB,
    };
    memset(given, 0, sizeof given);
    memset(last, 0, sizeof last);
    answers = 0;
    gate_watch = (struct gate_watch){ saw_step, saw_answer };
    fprintf(stderr, "seed %llu: %u nodes", (unsigned long long)seed, options.nodes);
    nodes_start(&nodes, &options);
    for (int i = 0; i < ROUNDS; i++) {
        some_steps(&draw, &lines);
        rig_feed(&nodes.all[0].rig, "steps", lines.data); /* one sender: its order is kept */
    }
    nodes_settle(&nodes);
    for (uint32_t gate = 0; gate < GATES; gate++)
        ck_assert_uint_eq(last[gate], given[gate]);
    uint64_t asked = 0;
    for (uint32_t i = 0; i < options.nodes; i++) {
        struct engine_counters c = rig_counters(&nodes.all[i].rig);
        ck_assert_uint_eq(c.waiting + c.answers_dropped + c.dead_letters, 0);
        asked += c.requests;
    }
    fprintf(stderr, ", %llu moves\n", (unsigned long long)nodes.commits);
    nodes_stop(&nodes);
    buffer_fini(&lines);
    return asked - answers;
}

START_TEST(seeds)
{
    const char *given_n = getenv("S4_SEEDS");
    uint64_t n = given_n ? strtoull(given_n, NULL, 10) : SEEDS_QUICK;
    const char *from = getenv("S4_SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    uint64_t again = 0; /* requests that ran where their asker had moved to */
    for (uint64_t seed = first; seed < first + n; seed++)
        again += run_seed(seed);
    if (n >= SEEDS_QUICK)
        ck_assert_uint_gt(again, n);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("move_waiting");
    suite_add(suite, "seeds", seeds, 1200);
    return suite;
}
