/* wordcount in every arrangement gives the same rows.
 *
 * threads:  workers 1, 2, 4 x blocks of 1, 4, 64 KiB x two orders of input, byte-identical rows
 * nodes:    two nodes over ZeroMQ and over the in-process transport
 * seeds:    two nodes on one thread under simulated clock, network, pool and random numbers, by a
 * seed that draws block sizes, slots, workers, interleavings, and the moments at which partitions
 *           are saved, dropped and loaded again
 */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/pair.h"

extern const s4_app s4_plugin;

#define LINES       1500
#define SEEDS_QUICK 100

static struct buffer forward, backward;
static char *expected_counts, *expected_top;

static void add_line(struct buffer *out, const char *line)
{
    ck_assert_int_eq(buffer_printf(out, "{\"text\":\"%s\"}\n", line), S4_OK);
}

/* Lines of words of a skewed vocabulary, always the same. */
static void make_input(void)
{
    static char lines[LINES][160];
    struct rng rng;
    rng_init(&rng, 20101215);
    for (int i = 0; i < LINES; i++) {
        size_t at = 0;
        uint64_t words = rng_below(&rng, 12);
        for (uint64_t w = 0; w < words; w++) {
            uint64_t rank = 1 + (uint64_t)(rng_unit(&rng) * rng_unit(&rng) * rng_unit(&rng) * 400);
            at += (size_t)snprintf(lines[i] + at, sizeof lines[i] - at, "word%c%llu ",
                                   (char)('a' + rank % 26), (unsigned long long)rank);
        }
        add_line(&forward, lines[i]);
    }
    for (int i = LINES - 1; i >= 0; i--)
        add_line(&backward, lines[i]);
    ck_assert_ptr_nonnull(buffer_text(&forward));
    ck_assert_ptr_nonnull(buffer_text(&backward));
}

static void run_one(const struct rig_options *options, const char *input, char **counts, char **top)
{
    struct rig rig;
    rig_start(&rig, options);
    rig_feed(&rig, "lines", input);
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
    *counts = rig_rows(&rig, "counts");
    *top = rig_rows(&rig, "top");
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 0);
    rig_stop(&rig);
}

static void expect(void)
{
    struct rig_options options = { .app = &s4_plugin };
    make_input();
    run_one(&options, forward.data, &expected_counts, &expected_top);
    ck_assert_uint_gt(strlen(expected_counts), 1000);
    ck_assert_uint_gt(strlen(expected_top), 100);
}

START_TEST(threads_blocks_and_orders)
{
    static const uint32_t workers[] = { 1, 2, 4 };
    static const size_t blocks[] = { 1 * KIB, 4 * KIB, 64 * KIB };
    expect();
    for (size_t w = 0; w < 3; w++) {
        for (size_t b = 0; b < 3; b++) {
            for (int order = 0; order < 2; order++) {
                struct rig_options options = { .app = &s4_plugin,
                                               .workers = workers[w],
                                               .block_size = blocks[b],
                                               .threads = true };
                char *counts, *top;
                run_one(&options, order ? backward.data : forward.data, &counts, &top);
                ck_assert_str_eq(counts, expected_counts);
                ck_assert_str_eq(top, expected_top);
                mem_free(counts);
                mem_free(top);
            }
        }
    }
}
END_TEST

/* The rows of both nodes, as lines in one order. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted(const char *text)
{
    char *copy = mem_strdup(text);
    size_t n = 0, capacity = 0;
    char **lines = NULL;
    for (char *at = copy, *end; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        ck_assert(mem_grow((void **)&lines, &capacity, n + 1, sizeof *lines));
        lines[n++] = at;
    }
    if (n > 0)
        qsort(lines, n, sizeof *lines, by_text);
    struct buffer out;
    buffer_init(&out);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(buffer_printf(&out, "%s\n", lines[i]), S4_OK);
    ck_assert_ptr_nonnull(buffer_text(&out));
    mem_free(lines);
    mem_free(copy);
    return out.data;
}

static void check_rows(struct pair *pair, const char *output, const char *expected)
{
    struct buffer both;
    buffer_init(&both);
    for (int i = 0; i < 2; i++) {
        char *rows = rig_rows(&pair->rigs[i], output);
        ck_assert_int_eq(buffer_append_text(&both, rows), S4_OK);
        mem_free(rows);
    }
    ck_assert_ptr_nonnull(buffer_text(&both));
    char *found = sorted(both.data);
    char *wanted = sorted(expected);
    ck_assert_str_eq(found, wanted);
    mem_free(found);
    mem_free(wanted);
    buffer_fini(&both);
}

static void run_pair(enum ends_kind kind)
{
    struct pair pair;
    struct rig_options options = {
        .app = &s4_plugin, .workers = 2, .seed = 1, .block_size = 4 * KIB
    };
    pair_start(&pair, kind, &options);
    rig_feed(&pair.rigs[0], "lines", forward.data);
    pair_finish(&pair);
    check_rows(&pair, "counts", expected_counts);
    check_rows(&pair, "top", expected_top);
    pair_stop(&pair);
}

START_TEST(two_nodes_in_process)
{
    expect();
    run_pair(ENDS_INPROC);
}
END_TEST

#ifndef WITHOUT_ZMQ
START_TEST(two_nodes_over_zmq)
{
    expect();
    run_pair(ENDS_TCP);
    run_pair(ENDS_IPC);
}
END_TEST
#endif

/* ---- seeds --------------------------------------------------------------------------------- */

static void reload_some(struct pair *pair, struct rng *draw, uint32_t slots, struct buffer *saved)
{
    struct diag diag = { 0 };
    uint32_t slot = (uint32_t)rng_below(draw, slots);
    s4_status status = engine_reload(pair->rigs[slot % 2].engine, "wordcount", slot, saved, &diag);
    ck_assert_msg(status == S4_OK, "slot %u: %s", slot, diag.text);
}

struct drawn_feed {
    struct pair *pair;
    struct rng draw;
    struct buffer saved;
    uint32_t slots;
    uint32_t reloads;
};

/* What happens while a feed or a drain waits: something drawn. */
static bool drawn_step(void *user)
{
    struct drawn_feed *d = user;
    if (rng_below(&d->draw, 8) == 0) {
        reload_some(d->pair, &d->draw, d->slots, &d->saved);
        d->reloads++;
    }
    if (pair_step(d->pair, &d->draw))
        return true;
    clock_sim_advance(&d->pair->clock, 1000);
    return sim_net_due_us(d->pair->sim) != UINT64_MAX;
}

static void run_seed(uint64_t seed)
{
    static const size_t blocks[] = { 1 * KIB, 2 * KIB, 4 * KIB, 64 * KIB };
    static const uint32_t slots[] = { 2, 8, 64 };
    struct pair pair;
    struct drawn_feed d = { .pair = &pair };
    rng_init(&d.draw, seed);
    d.slots = slots[rng_below(&d.draw, 3)];
    struct rig_options options = {
        .app = &s4_plugin,
        .seed = seed,
        .slots = d.slots,
        .workers = 1 + (uint32_t)rng_below(&d.draw, 3),
        .block_size = blocks[rng_below(&d.draw, 4)],
    };
    buffer_init(&d.saved);
    pair_start(&pair, ENDS_SIM, &options);
    for (int i = 0; i < 2; i++) {
        pair.rigs[i].step = drawn_step;
        pair.rigs[i].step_user = &d;
    }
    int first = (int)rng_below(&d.draw, 2);
    rig_feed(&pair.rigs[first], "lines", rng_below(&d.draw, 2) ? forward.data : backward.data);
    pair_finish(&pair);
    check_rows(&pair, "counts", expected_counts);
    check_rows(&pair, "top", expected_top);
    ck_assert_uint_gt(d.reloads, 0);
    pair_stop(&pair);
    buffer_fini(&d.saved);
}

START_TEST(seeds)
{
    expect();
    const char *given = getenv("S4_SEEDS");
    uint64_t n = given ? strtoull(given, NULL, 10) : SEEDS_QUICK;
    const char *from = getenv("S4_SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + n; seed++) {
        fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        run_seed(seed);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("wordcount");
    suite_add(suite, "threads", threads_blocks_and_orders, 120);
    suite_add(suite, "in_process", two_nodes_in_process, 60);
#ifndef WITHOUT_ZMQ
    suite_add(suite, "zmq", two_nodes_over_zmq, 60);
#endif
    suite_add(suite, "seeds", seeds, 1200);
    return suite;
}
