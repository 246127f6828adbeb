/* wordcount in every arrangement gives the same rows.
 *
 * threads:  workers 1, 2, 4 x blocks of 1, 4, 64 KiB x two orders of input, byte-identical rows
 * nodes:    two nodes over ZeroMQ and over the in-process transport
 * seeds:    two nodes on one thread under simulated clock, network, files, pool and random numbers,
 *           by a seed that draws block sizes, slots, workers, interleavings, and the moments at
 *           which a partition is saved, dropped and loaded; saves fail, and machines stop in them
 * files:    the same with the files of this machine, which do not fail
 */
#include "tests/support/suite.h"

#include "pe/host/snapshot.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/store/store_sim.h"
#include "tests/support/pair.h"
#include "tests/support/place.h"

extern const s4_app s4_plugin;

#define LINES          1500
#define SEEDS_QUICK    100
#define SEEDS_OF_FILES 5
#define SEEDS_OF_NETS  20
#define SLOTS_MOST     64
#define SAVE_CALLS     7 /* that a save makes on its store */

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

/* ---- connections that fail ----------------------------------------------------------------- */

/* Whatever the network does to messages, the rows are the same. */
START_TEST(two_nodes_over_a_bad_net)
{
    static const uint32_t rates[SIM_FAULTS] = {
        [SIM_DROP] = 10000, [SIM_DUPLICATE] = 10000, [SIM_FLIP] = 10000, [SIM_CUT] = 10000
    };
    struct session_counters out = { 0 };
    expect();
    for (uint64_t seed = 1; seed <= SEEDS_OF_NETS; seed++) {
        struct pair pair;
        struct rig_options options = {
            .app = &s4_plugin, .workers = 2, .seed = seed, .block_size = 1 * KIB
        };
        pair_start(&pair, ENDS_SIM, &options);
        sim_net_rates(pair.sim, rates);
        rig_feed(&pair.rigs[0], "lines", forward.data);
        pair_finish(&pair);
        check_rows(&pair, "counts", expected_counts);
        check_rows(&pair, "top", expected_top);
        for (int i = 0; i < 2; i++) {
            struct net_counters counters = net_counters(pair.nets[i]);
            out.reopened += counters.out.reopened;
            out.frames_resent += counters.out.frames_resent;
        }
        pair_stop(&pair);
    }
    ck_assert_uint_gt(out.reopened, SEEDS_OF_NETS);
    ck_assert_uint_gt(out.frames_resent, SEEDS_OF_NETS);
}
END_TEST

/* Nobody takes the slots of a node that stays away: the other one stops, and says why. */
START_TEST(a_node_that_goes_is_a_fault)
{
    struct pair pair;
    struct rig_options options = { .app = &s4_plugin, .workers = 1, .block_size = 4 * KIB };
    pair_start(&pair, ENDS_SIM, &options);
    for (int i = 0; i < 100000; i++) {
        peers_step(pair.peers[0]);
        peers_step(pair.peers[1]);
        clock_sim_advance(&pair.clock, 100);
    }
    ck_assert_ptr_null(peers_fault(pair.peers[0]));
    for (uint64_t us = 0; us < NET_UNHEARD_US + 2 * SESSION_PING_US; us += 1000) {
        peers_step(pair.peers[0]);
        clock_sim_advance(&pair.clock, 1000);
    }
    const char *fault = peers_fault(pair.peers[0]);
    ck_assert_ptr_nonnull(fault);
    ck_assert_msg(strstr(fault, "node south: nothing was heard of it") != NULL, "%s", fault);
    pair.faulty = true;
    pair_stop(&pair);
}
END_TEST

/* ---- seeds --------------------------------------------------------------------------------- */

/* What a node's store has published, by hashes; 0: nothing. */
struct published {
    struct place place;
    uint64_t slots[SLOTS_MOST];
};

struct drawn_feed {
    struct pair *pair;
    struct rng draw;
    struct published nodes[2]; /* a partition is on the node of its number's last bit */
    uint32_t slots;
    uint32_t reloads, crashes, failures;
};

/* What is published of a slot now. It is whole, or it is not there. */
static uint64_t read_published(struct published *node, uint32_t slot)
{
    char name[64];
    struct buffer found;
    struct diag diag = { 0 };
    snprintf(name, sizeof name, "wordcount.%u.snapshot", slot);
    buffer_init(&found);
    s4_status status = snapshot_read(node->place.store, name, &found, &diag);
    ck_assert_msg(status == S4_OK || status == S4_NOT_FOUND, "%s", diag.text);
    uint64_t hash = status == S4_OK ? hash_bytes(found.data, found.size) : 0;
    buffer_fini(&found);
    return hash;
}

/* A save that a drawn fault may end, and what it left. */
static uint64_t fail_to_save(struct drawn_feed *d, struct published *node, uint32_t slot)
{
    static const enum store_fault faults[] = { STORE_OFF, STORE_IO_ERROR, STORE_NO_SPACE };
    struct store *store = node->place.store;
    struct diag diag = { 0 };
    uint64_t at = store_sim_calls(store) + 1 + rng_below(&d->draw, SAVE_CALLS);
    store_sim_plan(store, faults[rng_below(&d->draw, ARRAY_LEN(faults))], at);
    s4_status status = engine_save(d->pair->rigs[slot % 2].engine, "wordcount", slot, &diag);
    store_sim_plan(store, STORE_NO_FAULT, 0);
    d->failures += status != S4_OK;
    if (status == S4_UNAVAILABLE || rng_below(&d->draw, 2)) {
        store_sim_crash(store);
        d->crashes++;
    }
    return read_published(node, slot);
}

/* A partition goes to the store and comes back; nothing runs between. */
static void save_and_load(struct drawn_feed *d)
{
    struct diag diag = { 0 };
    uint32_t slot = (uint32_t)rng_below(&d->draw, d->slots);
    struct published *node = &d->nodes[slot % 2];
    struct engine *engine = d->pair->rigs[slot % 2].engine;
    bool sim = node->place.kind == PLACE_SIM;
    uint64_t before = node->slots[slot], left = before;
    if (sim && rng_below(&d->draw, 4) == 0)
        left = fail_to_save(d, node, slot);
    s4_status status = engine_save(engine, "wordcount", slot, &diag);
    ck_assert_msg(status == S4_OK, "slot %u: %s", slot, diag.text);
    node->slots[slot] = read_published(node, slot);
    ck_assert(left == before || left == node->slots[slot]);
    if (sim && rng_below(&d->draw, 4) == 0) {
        store_sim_crash(node->place.store);
        d->crashes++;
    }
    status = engine_load(engine, "wordcount", slot, &diag);
    ck_assert_msg(status == S4_OK, "slot %u: %s", slot, diag.text);
    d->reloads++;
}

/* What happens while a feed or a drain waits: something drawn. */
static bool drawn_step(void *user)
{
    struct drawn_feed *d = user;
    if (rng_below(&d->draw, 3) == 0)
        save_and_load(d);
    if (pair_step(d->pair, &d->draw))
        return true;
    clock_sim_advance(&d->pair->clock, 1000);
    return sim_net_due_us(d->pair->sim) != UINT64_MAX;
}

/* All that was ever published is there, and nothing else is. */
static void check_published(struct drawn_feed *d)
{
    for (uint32_t slot = 0; slot < d->slots; slot++)
        ck_assert_uint_eq(read_published(&d->nodes[slot % 2], slot),
                          d->nodes[slot % 2].slots[slot]);
}

/* Adds what happened to `all`. */
static void run_seed(uint64_t seed, enum place_kind kind, struct drawn_feed *all)
{
    static const size_t blocks[] = { 1 * KIB, 2 * KIB, 4 * KIB, 64 * KIB };
    static const uint32_t slots[] = { 2, 8, SLOTS_MOST };
    struct pair pair;
    struct drawn_feed d = { .pair = &pair };
    fprintf(stderr, "seed %llu", (unsigned long long)seed);
    rng_init(&d.draw, seed);
    d.slots = slots[rng_below(&d.draw, 3)];
    struct rig_options options = {
        .app = &s4_plugin,
        .seed = seed,
        .slots = d.slots,
        .workers = 1 + (uint32_t)rng_below(&d.draw, 3),
        .block_size = blocks[rng_below(&d.draw, 4)],
    };
    for (uint32_t i = 0; i < 2; i++) {
        place_open(&d.nodes[i].place, kind, 2 * seed + i);
        options.stores[i] = d.nodes[i].place.store;
    }
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
    check_published(&d);
    ck_assert_uint_gt(d.reloads, 0);
    fprintf(stderr, ": %u reloads, %u crashes, %u saves failed\n", d.reloads, d.crashes,
            d.failures);
    all->crashes += d.crashes;
    all->failures += d.failures;
    pair_stop(&pair);
    for (int i = 0; i < 2; i++)
        place_close(&d.nodes[i].place);
}

START_TEST(seeds)
{
    expect();
    const char *given = getenv("S4_SEEDS");
    uint64_t n = given ? strtoull(given, NULL, 10) : SEEDS_QUICK;
    const char *from = getenv("S4_SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    struct drawn_feed all = { 0 };
    for (uint64_t seed = first; seed < first + n; seed++)
        run_seed(seed, PLACE_SIM, &all);
    if (n >= SEEDS_QUICK) { /* the dangers were there */
        ck_assert_uint_gt(all.crashes, n);
        ck_assert_uint_gt(all.failures, n);
    }
}
END_TEST

START_TEST(files)
{
    struct drawn_feed all = { 0 };
    expect();
    for (uint64_t seed = 1; seed <= SEEDS_OF_FILES; seed++)
        run_seed(seed, PLACE_POSIX, &all);
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
    suite_add(suite, "bad_net", two_nodes_over_a_bad_net, 120);
    suite_add(suite, "goes", a_node_that_goes_is_a_fault, 60);
    suite_add(suite, "seeds", seeds, 1200);
    suite_add(suite, "files", files, 120);
    return suite;
}
