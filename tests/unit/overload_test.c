/* Too much of everything: a source that is faster than its PE, fans, cycles. Each stays within a
 * bound of memory and says what happened; nothing that was taken in is lost. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/record/block.h"
#include "runtime/text/json.h"
#include "tests/support/loads_app.h"
#include "tests/support/rig.h"

#define BLOCK_SIZE 4096u
#define STEP_EVENTS \
    1024u               /* what a feed gives in one step, at most: then credit is looked at again */
#define EVENT_BYTES 96u /* of a record of these streams, at most */

static struct rig rig;
static size_t most; /* memory of blocks */

static void note_memory(void)
{
    struct engine_status status;
    if (engine_status(rig.engine, &status) != S4_OK)
        ck_abort();
    most = size_max(most, status.memory);
    mem_free(status.apps);
}

static struct engine_app_status app_status(const char *name)
{
    struct engine_status status;
    ck_assert_int_eq(engine_status(rig.engine, &status), S4_OK);
    struct engine_app_status found = { 0 };
    for (uint32_t i = 0; i < status.n_apps; i++)
        if (strcmp(status.apps[i].name, name) == 0)
            found = status.apps[i];
    ck_assert_str_eq(found.name, name);
    mem_free(status.apps);
    return found;
}

static void start(const char *manifest, uint32_t workers, size_t soft, size_t hard)
{
    struct rig_options options = { .app = &s4_plugin,
                                   .manifest = manifest,
                                   .workers = workers,
                                   .block_size = BLOCK_SIZE,
                                   .memory_soft = soft,
                                   .memory_hard = hard };
    rig_start(&rig, &options);
    most = 0;
}

/* ---- a feed that always has more ----------------------------------------------------------- */

struct loads_feed {
    struct feed feed;
    struct writer writer;
    uint32_t left;
    uint32_t keys;
    uint32_t n;
    bool closed;
};

static s4_status loads_step(struct feed *feed, struct feeder *feeder, uint32_t budget)
{
    struct loads_feed *f = CONTAINER_OF(feed, struct loads_feed, feed);
    for (; budget > 0 && f->left > 0; budget--, f->left--) {
        char line[64];
        struct diag diag = { 0 };
        struct value value;
        int len = snprintf(line, sizeof line, "{\"key\":%u,\"n\":%u}", f->left % f->keys, f->n);
        if (json_read(&f->writer, schema_find(rig.bundle->schema, "loads.Load"), line, (size_t)len,
                      &value, &diag) != S4_OK)
            ck_abort_msg("%s", diag.text);
        TRY(feeder_give(feeder, &value));
    }
    return f->left > 0 ? S4_OK : S4_END;
}

static void loads_closed(struct feed *feed, s4_status status)
{
    struct loads_feed *f = CONTAINER_OF(feed, struct loads_feed, feed);
    f->closed = true;
}

static void feed_open(struct loads_feed *f, const char *app, const char *stream, uint32_t n,
                      uint32_t keys, uint32_t each)
{
    struct diag diag = { 0 };
    *f = (struct loads_feed){
        .feed = { .step = loads_step, .closed = loads_closed }, .left = n, .keys = keys, .n = each
    };
    writer_init(&f->writer);
    ck_assert_msg(engine_feed(rig.engine, app, stream, &f->feed, &diag) == S4_OK, "%s", diag.text);
}

/* Worker 1 gets one step for `slowness` of worker 0, which steps the feed. */
static void run_slowly(struct loads_feed *f, uint32_t slowness)
{
    for (uint32_t i = 0; !f->closed && i < 10000000; i++) {
        engine_step_worker(rig.engine, 0);
        if (i % slowness == 0)
            engine_step_worker(rig.engine, 1);
        if (i % 64 == 0)
            note_memory();
        clock_sim_advance(&rig.clock, 10);
    }
    ck_assert(f->closed);
    writer_fini(&f->writer);
    rig_settle(&rig);
}

START_TEST(a_slow_pe_holds_its_source_back)
{
    struct loads_feed f;
    size_t soft = 256 * KIB;
    start(NULL, 2, soft, 64 * MIB);
    feed_open(&f, "loads", "plain", 300000, 1000, 0);
    run_slowly(&f, 50);
    struct engine_counters counters = rig_counters(&rig);
    ck_assert_uint_eq(counters.injected, 300000);
    ck_assert_uint_eq(counters.applied, 300000);
    ck_assert_uint_eq(counters.shed, 0);
    ck_assert_uint_gt(most, soft / 2); /* it was slow */
    ck_assert_uint_le(most, soft + STEP_EVENTS * EVENT_BYTES + 8 * BLOCK_SIZE);
    ck_assert_uint_eq(rig.alarms, 0);
    rig_stop(&rig);
}
END_TEST

/* The way to another node, which takes nothing. */
static uint32_t blocks_waiting, blocks_sent;

static void wait_outside(void *user, const char *app, uint64_t schema, struct block *block)
{
    block_release(block);
    blocks_waiting++;
    blocks_sent++;
}

static uint32_t count_outside(void *user)
{
    return blocks_waiting;
}

START_TEST(what_other_nodes_do_not_take_holds_sources_back)
{
    static const struct engine_remote remote = { .send = wait_outside, .waiting = count_outside };
    struct rig_options options = {
        .app = &s4_plugin, .block_size = BLOCK_SIZE, .remote = &remote, .nodes = 2
    };
    uint32_t per_step = STEP_EVENTS * EVENT_BYTES / BLOCK_SIZE + 1;
    struct loads_feed f;
    rig_start(&rig, &options);
    feed_open(&f, "loads", "plain", 100000, 1000, 0);
    for (uint32_t round = 1; !f.closed && round < 1000; round++) {
        uint32_t before = blocks_sent;
        for (int i = 0; i < 100; i++) {
            engine_step(rig.engine);
            clock_sim_advance(&rig.clock, 10);
        }
        uint32_t sent = blocks_sent - before;
        ck_assert_uint_le(sent, ENGINE_REMOTE_WAITING + per_step);
        ck_assert(f.closed || sent >= ENGINE_REMOTE_WAITING);
        blocks_waiting = 0;
        engine_credit(rig.engine);
    }
    ck_assert(f.closed);
    ck_assert_uint_gt(blocks_sent, 10 * ENGINE_REMOTE_WAITING);
    writer_fini(&f.writer);
    rig_stop(&rig);
}
END_TEST

START_TEST(a_stream_that_sheds_counts_what_it_sheds)
{
    struct loads_feed f;
    size_t soft = 256 * KIB;
    start("app: loads\nversion: 1.0.0\nstreams:\n  plain: {full: shed}\n", 2, soft, 64 * MIB);
    feed_open(&f, "loads", "plain", 300000, 1000, 0);
    run_slowly(&f, 50);
    struct engine_counters counters = rig_counters(&rig);
    ck_assert_uint_gt(counters.shed, 1000);
    ck_assert_uint_gt(counters.applied, 1000);
    ck_assert_uint_eq(counters.applied + counters.shed, 300000);
    ck_assert_uint_eq(counters.injected, counters.applied);
    ck_assert_uint_le(most, soft + 8 * BLOCK_SIZE);
    rig_stop(&rig);
}
END_TEST

static void run_fans(uint32_t n, uint32_t keys, uint32_t fan)
{
    struct loads_feed f;
    feed_open(&f, "loads", "fans", n, keys, fan);
    while (engine_step(rig.engine)) {
        note_memory();
        clock_sim_advance(&rig.clock, 200);
    }
    ck_assert(f.closed);
    writer_fini(&f.writer);
    ck_assert_uint_eq(rig_counters(&rig).dead_letters, 0);
}

START_TEST(fans_of_ten_thousand_stay_within_a_bound)
{
    uint32_t n = 64;
    uint32_t fan = 10000;
    const char *manifest = "app: loads\nversion: 1.0.0\nemits_max: 10000\n";
    start(manifest, 1, 512 * KIB, 64 * MIB);
    run_fans(n, 100, fan);
    ck_assert_uint_eq(rig_counters(&rig).applied, n + n * (uint64_t)fan);
    ck_assert_uint_gt(most, fan * 48);
    ck_assert_uint_le(most, n * fan * EVENT_BYTES);
    ck_assert_uint_eq(rig.alarms, 0);
    rig_stop(&rig);
    /* With a hard mark below what they give: paused before many more fans, told, nothing lost. */
    start(manifest, 1, 512 * KIB, 4 * MIB);
    run_fans(n, 1, fan); /* all in one run */
    struct engine_counters counters = rig_counters(&rig);
    ck_assert_uint_lt(counters.applied, n + n * (uint64_t)fan);
    ck_assert_uint_eq(rig.alarms, 1);
    ck_assert_msg(strstr(rig.alarm, "key \"") != NULL, "%s", rig.alarm);
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_PAUSED);
    ck_assert_uint_le(most, 4 * MIB + 10 * fan * EVENT_BYTES);
    uint64_t dropped;
    struct diag diag = { 0 };
    ck_assert_int_eq(engine_undeploy(rig.engine, "loads", &dropped, &diag), S4_OK);
    ck_assert_uint_eq(dropped, counters.injected + counters.emitted - counters.applied);
    rig_stop(&rig);
}
END_TEST

/* ---- cycles -------------------------------------------------------------------------------- */

static void step_and_look(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        engine_step(rig.engine);
        clock_sim_advance(&rig.clock, 20);
        if (i % 8 == 0)
            note_memory();
    }
}

START_TEST(a_cycle_with_gain_1_runs_on)
{
    struct loads_feed f;
    start(NULL, 1, 4 * MIB, 16 * MIB);
    feed_open(&f, "loads", "turns", 2000, LOADS_KEYS, 0);
    for (int i = 0; i < 2000; i++) { /* the feed gets its turns though the cycle never rests */
        engine_step(rig.engine);
        clock_sim_advance(&rig.clock, 20);
    }
    ck_assert(f.closed);
    writer_fini(&f.writer);
    step_and_look(10000);
    size_t first = most;
    uint64_t before = rig_counters(&rig).applied;
    most = 0;
    step_and_look(10000);
    struct engine_counters counters = rig_counters(&rig);
    ck_assert_uint_gt(counters.applied, before + 100000);
    ck_assert_uint_le(first, 2000 * BLOCK_SIZE); /* a block per event at the worst */
    ck_assert_uint_le(most, first + first / 2);
    ck_assert_uint_eq(counters.dead_letters, 0);
    ck_assert_uint_eq(rig.alarms, 0);
    rig_stop(&rig);
}
END_TEST

START_TEST(a_cycle_that_grows_is_paused_and_others_go_on)
{
    struct loads_feed f;
    struct rig_other other;
    size_t soft = 1 * MIB;
    size_t hard = 4 * MIB;
    start(NULL, 1, soft, hard);
    rig_deploy_other(&rig, &s4_plugin, "other", &other);
    feed_open(&f, "loads", "growth", 2000, LOADS_KEYS, 0);
    for (int i = 0; i < 2000 && !app_status("loads").paused; i++)
        step_and_look(100);
    ck_assert(app_status("loads").paused);
    step_and_look(1000);
    writer_fini(&f.writer);
    /* It is told who it was. */
    ck_assert_uint_eq(rig.alarms, 1);
    ck_assert_msg(strstr(rig.alarm, "stream growth") != NULL, "%s", rig.alarm);
    ck_assert_msg(strstr(rig.alarm, "prototype growers") != NULL, "%s", rig.alarm);
    ck_assert_msg(strstr(rig.alarm, "key \"") != NULL, "%s", rig.alarm);
    ck_assert_uint_ge(most, hard);
    ck_assert_uint_le(most, hard + hard / 2);
    ck_assert_int_eq(rig_drain(&rig, false, NULL), S4_PAUSED);
    /* Nothing of it is dropped. */
    struct engine_counters counters = app_status("loads").counters;
    uint64_t applied = counters.applied;
    ck_assert_uint_eq(counters.dead_letters + counters.shed, 0);
    /* The other one goes on, its source too. */
    feed_open(&f, "other", "plain", 5000, 100, 0);
    step_and_look(1000);
    ck_assert(f.closed);
    writer_fini(&f.writer);
    ck_assert_uint_eq(app_status("other").counters.applied, 5000);
    ck_assert(!app_status("other").paused);
    ck_assert_uint_eq(app_status("loads").counters.applied, applied);
    ck_assert_uint_eq(rig.alarms, 1);
    uint64_t dropped;
    struct diag diag = { 0 };
    ck_assert_int_eq(engine_undeploy(rig.engine, "loads", &dropped, &diag), S4_OK);
    ck_assert_uint_eq(dropped, counters.injected + counters.emitted - applied);
    rig_other_fini(&other);
    rig_stop(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("overload");
    suite_add(suite, "slow", a_slow_pe_holds_its_source_back, 60);
    suite_add(suite, "remote", what_other_nodes_do_not_take_holds_sources_back, 20);
    suite_add(suite, "shed", a_stream_that_sheds_counts_what_it_sheds, 60);
    suite_add(suite, "fans", fans_of_ten_thousand_stay_within_a_bound, 60);
    suite_add(suite, "cycle", a_cycle_with_gain_1_runs_on, 60);
    suite_add(suite, "growth", a_cycle_that_grows_is_paused_and_others_go_on, 60);
    return suite;
}
