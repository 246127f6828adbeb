/* Slots that move between nodes while events flow: wordcount gives the rows that it gives on one
 * node. By a seed: which slots move, who learns of it when, what arrives when, which moves fail.
 */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "tests/support/nodes.h"

extern const s4_app s4_plugin;

#define LINES       1200
#define SEEDS_QUICK 40
#define ROUNDS      4
#define FEEDS       12          /* in each */
#define OUTPUT_US   60000000ull /* every counter has put out its count */
#define DEATHS      2           /* in each */

/* A feed's lines go to few slots, so there are many feeds. */
static struct buffer input[ROUNDS][FEEDS];
static char *expected_counts, *expected_top, *round_counts;

/* So that there are rows before the end, which a node that dies does not see. */
static const char manifest[] = "app: wordcount\nversion: 1.0.0\nprototypes:\n  counters:\n"
                               "    output: {every: 500ms}\n";

static void make_input(void)
{
    struct rng rng;
    rng_init(&rng, 20101215);
    for (int i = 0; i < LINES; i++) {
        char line[200];
        size_t at = 0;
        for (uint64_t words = rng_below(&rng, 12); words > 0; words--) {
            uint64_t rank = 1 + (uint64_t)(rng_unit(&rng) * rng_unit(&rng) * rng_unit(&rng) * 300);
            at += (size_t)snprintf(line + at, sizeof line - at, "word%c%llu ",
                                   (char)('a' + rank % 26), (unsigned long long)rank);
        }
        line[at] = '\0';
        ck_assert_int_eq(
            buffer_printf(&input[i % ROUNDS][i / ROUNDS % FEEDS], "{\"text\":\"%s\"}\n", line),
            S4_OK);
    }
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < FEEDS; k++)
            ck_assert_ptr_nonnull(buffer_text(&input[i][k]));
}

static void feed(struct rig *rig, int round)
{
    for (int k = 0; k < FEEDS; k++)
        rig_feed(rig, "lines", input[round][k].data);
}

static void expect(void)
{
    struct rig rig;
    if (expected_counts)
        return;
    make_input();
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin, .manifest = manifest });
    feed(&rig, 0);
    rig_advance(&rig, OUTPUT_US);
    round_counts = rig_rows(&rig, "counts");
    ck_assert_uint_gt(strlen(round_counts), 1000);
    for (int i = 1; i < ROUNDS; i++)
        feed(&rig, i);
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
    expected_counts = nodes_sorted(rig_rows(&rig, "counts"));
    expected_top = nodes_sorted(rig_rows(&rig, "top"));
    ck_assert_uint_gt(strlen(expected_counts), 1000);
    rig_stop(&rig);
}

static void check_rows(struct nodes *nodes, const char *output, const char *expected)
{
    char *found = nodes_rows(nodes, output);
    ck_assert_str_eq(found, expected);
    mem_free(found);
}

struct totals {
    uint64_t commits, taken_back, not_mine, waited, again, fresh;
    uint64_t copied, rest; /* bytes of slots that moved: while they ran, and after */
};

static const uint32_t copy_steps[] = { 256, 2 * KIB, 256 * KIB };

static void run_seed(uint64_t seed, struct totals *totals)
{
    static const size_t blocks[] = { 1 * KIB, 2 * KIB, 4 * KIB, 64 * KIB };
    struct nodes nodes;
    struct rng draw;
    rng_init(&draw, seed);
    struct nodes_options options = {
        .app = &s4_plugin,
        .manifest = manifest,
        .seed = seed,
        .nodes = 2 + (uint32_t)rng_below(&draw, 3),
        .slots = rng_below(&draw, 2) ? 8 : 16,
        .workers = 1 + (uint32_t)rng_below(&draw, 2),
        .block_size = blocks[rng_below(&draw, 4)],
        .moves = 60,
        .failing_in = rng_below(&draw, 2) ? 4 : 0,
        .copy_step = copy_steps[rng_below(&draw, ARRAY_LEN(copy_steps))],
    };
    fprintf(stderr, "seed %llu: %u nodes", (unsigned long long)seed, options.nodes);
    nodes_start(&nodes, &options);
    for (int i = 0; i < ROUNDS; i++)
        feed(&nodes.all[rng_below(&draw, options.nodes)].rig, i);
    nodes_finish(&nodes);
    check_rows(&nodes, "counts", expected_counts);
    check_rows(&nodes, "top", expected_top);
    fprintf(stderr, ", %llu moves, %llu taken back\n", (unsigned long long)nodes.commits,
            (unsigned long long)nodes.taken_back);
    totals->commits += nodes.commits;
    totals->taken_back += nodes.taken_back;
    for (uint32_t i = 0; i < options.nodes; i++) {
        struct node_counters c = node_counters(nodes.all[i].node);
        totals->not_mine += c.not_mine_heard;
        totals->waited += c.waited;
        totals->again += c.sent_again;
        totals->copied += c.copied;
        totals->rest += c.copied_frozen;
    }
    nodes_stop(&nodes);
}

START_TEST(seeds)
{
    expect();
    const char *given = getenv("S4_SEEDS");
    uint64_t n = given ? strtoull(given, NULL, 10) : SEEDS_QUICK;
    const char *from = getenv("S4_SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    struct totals totals = { 0 };
    for (uint64_t seed = first; seed < first + n; seed++)
        run_seed(seed, &totals);
    fprintf(stderr, "%llu bytes were copied, %llu were the rest\n",
            (unsigned long long)totals.copied, (unsigned long long)totals.rest);
    if (n >= SEEDS_QUICK) { /* what is to be shown was there */
        ck_assert_uint_gt(totals.commits, n * 5);
        ck_assert_uint_gt(totals.taken_back, n);
        ck_assert_uint_gt(totals.not_mine, n);
        ck_assert_uint_gt(totals.waited, n);
        ck_assert_uint_gt(totals.again, n);
        ck_assert_uint_gt(totals.copied, totals.rest / 10);
    }
}
END_TEST

/* ---- deaths ---------------------------------------------------------------------------------- */

/* The count of a word, by its row. */
static uint64_t count_of(const char *rows, const char *row, size_t to_n)
{
    for (const char *at = rows; *at; at = strchr(at, '\n') + 1)
        if (strncmp(at, row, to_n) == 0)
            return strtoull(at + to_n, NULL, 10);
    return 0;
}

/* What dies is lost, and nothing is there twice: no word has more than it may have. */
static void check_no_more(const char *rows)
{
    for (const char *at = rows; *at; at = strchr(at, '\n') + 1) {
        const char *n = strstr(at, "\"n\":");
        ck_assert_ptr_nonnull(n);
        size_t to_n = (size_t)(n + 4 - at);
        ck_assert_uint_le(strtoull(at + to_n, NULL, 10), count_of(expected_counts, at, to_n));
    }
}

/* Once nobody dies any more, nothing is lost: a round more gives each word as often as it is there.
 */
static void check_all_of_a_round(struct nodes *nodes, const char *before)
{
    feed(&nodes->all[0].rig, 0);
    nodes_pass_time(nodes, OUTPUT_US);
    char *after = nodes_rows(nodes, "counts");
    for (const char *at = round_counts; *at; at = strchr(at, '\n') + 1) {
        size_t to_n = (size_t)(strstr(at, "\"n\":") + 4 - at);
        uint64_t more = count_of(after, at, to_n) - count_of(before, at, to_n);
        ck_assert_msg(more == strtoull(at + to_n, NULL, 10), "%.*s %llu more", (int)to_n, at,
                      (unsigned long long)more);
    }
    mem_free(after);
}

static void run_deaths(uint64_t seed, struct totals *totals)
{
    struct nodes nodes;
    struct rng draw;
    rng_init(&draw, seed);
    struct nodes_options options = {
        .app = &s4_plugin,
        .manifest = manifest,
        .seed = seed,
        .nodes = 2 + (uint32_t)rng_below(&draw, 3),
        .slots = 8,
        .workers = 1 + (uint32_t)rng_below(&draw, 2),
        .block_size = rng_below(&draw, 2) ? 1 * KIB : 4 * KIB,
        .moves = (uint32_t)rng_below(&draw, 60),
        .deaths = DEATHS,
        .failing_in = rng_below(&draw, 2) ? 4 : 0,
        .slow = rng_below(&draw, 2) ? 200 : 0,
        .copy_step = rng_below(&draw, 4) ? 256 * KIB : 1 * KIB,
    };
    fprintf(stderr, "seed %llu: %u nodes", (unsigned long long)seed, options.nodes);
    nodes_start(&nodes, &options);
    for (int i = 0; i < ROUNDS; i++) {
        nodes.deaths_left = DEATHS;
        nodes.healed = false;
        feed(&nodes.all[0].rig, i);
        /* What the dead have counted is missing: no drain would see it end. */
        nodes_pass_time(&nodes, OUTPUT_US);
        char *before = nodes_rows(&nodes, "counts");
        if (i == 0)
            check_no_more(before);
        check_all_of_a_round(&nodes, before);
        mem_free(before);
        nodes.moves_left = options.moves;
    }
    fprintf(stderr, ", %llu moves, %llu joined again\n", (unsigned long long)nodes.commits,
            (unsigned long long)nodes.joins);
    totals->commits += nodes.joins;
    for (uint32_t i = 0; i < options.nodes; i++)
        totals->fresh += node_counters(nodes.all[i].node).fresh;
    nodes_stop(&nodes);
}

START_TEST(deaths)
{
    struct totals totals = { 0 };
    expect();
    const char *given = getenv("S4_SEEDS");
    uint64_t n = given ? strtoull(given, NULL, 10) : SEEDS_QUICK;
    const char *from = getenv("S4_SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + n; seed++)
        run_deaths(seed, &totals);
    if (n >= SEEDS_QUICK) {
        ck_assert_uint_gt(totals.commits, n);
        ck_assert_uint_gt(totals.fresh, n);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("move");
    suite_add(suite, "seeds", seeds, 1200);
    suite_add(suite, "deaths", deaths, 1200);
    return suite;
}
