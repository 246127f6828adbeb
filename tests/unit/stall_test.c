/* A partition that takes nothing, among others: what it costs, whom it stops, and that nothing of
 * what waits for it is lost, overtaken or forgotten. */
#include "tests/support/suite.h"

#include "runtime/actor/pool_sim.h"
#include "runtime/base/mem.h"
#include "runtime/record/block.h"
#include "tests/support/gates_app.h"
#include "tests/support/rig.h"

#define GATES   100u
#define STUCK   7u
#define SOFT    (1 * MIB)
#define COPY    384u /* bytes of one copied event, at most */
#define SLOTS   16u
#define PART    2u /* HOST_COPIED_PART */
#define RECORDS 3000u

static struct rig rigs[2];
static struct rig *rig = &rigs[0];
static uint32_t given[GATES];
static uint32_t taken[GATES];

static void saw_step(uint32_t gate, uint32_t number, uint32_t steps)
{
    SUITE_SAME(number, taken[gate] + 1);
    taken[gate]++;
}

static void saw_answer(uint32_t gate, uint32_t left)
{
}

static const char manifest[] = "app: gates\nversion: 1.0.0\nprototypes:\n"
                               "  all:\n    mailbox: {max: 2, full: block}\n";

static void start_on(struct rig *on, struct rig_options options)
{
    gate_watch.step = saw_step;
    gate_watch.answer = saw_answer;
    options.app = &s4_plugin;
    options.manifest = manifest;
    options.slots = SLOTS;
    options.memory_soft = SOFT;
    rig_start(on, &options);
}

static struct engine_app_status app_status(const char *name)
{
    struct engine_status status;
    struct engine_app_status found = { 0 };
    ck_assert_int_eq(engine_status(rig->engine, &status), S4_OK);
    for (uint32_t i = 0; i < status.n_apps; i++)
        if (strcmp(status.apps[i].name, name) == 0)
            found = status.apps[i];
    mem_free(status.apps);
    return found;
}

static size_t memory(void)
{
    struct engine_status status;
    ck_assert_int_eq(engine_status(rig->engine, &status), S4_OK);
    mem_free(status.apps);
    return status.memory;
}

/* Steps the engine, but lets no answer come. */
static bool step_engine(void *user)
{
    return engine_step(rig->engine);
}

static void hold_answers(void)
{
    rig->step = step_engine;
}

static void let_answers_come(void)
{
    rig->step = NULL;
    rig_settle(rig);
}

static void add_step(struct buffer *lines, uint32_t gate, uint32_t act)
{
    char line[96];
    int len = snprintf(line, sizeof line, "{\"gate\":%u,\"number\":%u,\"act\":%u}\n", gate,
                       ++given[gate], act);
    ck_assert_int_eq(buffer_append(lines, line, (size_t)len), S4_OK);
}

static void feed(uint32_t gate, uint32_t n, uint32_t act)
{
    struct buffer lines;
    buffer_init(&lines);
    for (uint32_t i = 0; i < n; i++)
        add_step(&lines, gate, act);
    rig_feed(rig, "steps", buffer_text(&lines));
    buffer_fini(&lines);
}

/* The gate waits, its mailbox is full, and one more event has stalled its partition. */
static void get_stuck(void)
{
    feed(STUCK, 1, GATE_WAIT);
    feed(STUCK, 3, GATE_PASS);
    ck_assert_uint_eq(taken[STUCK], 1);
    ck_assert_uint_gt(app_status("gates").copied_bytes, 0);
}

/* An event of the stuck gate by itself: it came in a batch, and its block is its own. */
static s4_status inject_one(uint64_t number)
{
    char line[64];
    snprintf(line, sizeof line, "{\"gate\":%u,\"number\":%u}", STUCK, given[STUCK] + 1);
    s4_status status = rig_inject(rig, "steps", 1, number, line, INJECTION_TAKEN);
    given[STUCK] += status == S4_OK;
    rig_settle(rig);
    return status;
}

static void check_all_taken(void)
{
    for (uint32_t i = 0; i < GATES; i++)
        ck_assert_uint_eq(taken[i], given[i]);
    struct engine_app_status status = app_status("gates");
    ck_assert_uint_eq(status.copied_bytes, 0);
    ck_assert_uint_eq(status.queued_bytes, 0);
    ck_assert_uint_eq(memory(), 0);
}

START_TEST(others_go_on_and_memory_is_what_waits)
{
    start_on(rig, (struct rig_options){ 0 });
    hold_answers();
    get_stuck();
    struct buffer lines;
    buffer_init(&lines);
    for (uint32_t i = 0; i < RECORDS; i++) /* together in blocks */
        add_step(&lines, i % GATES, GATE_PASS);
    rig_feed(rig, "steps", buffer_text(&lines));
    buffer_fini(&lines);
    struct engine_app_status status = app_status("gates");
    uint64_t waiting = status.counters.injected - status.counters.applied;
    ck_assert_uint_gt(waiting, RECORDS / GATES); /* its slot has other keys, too */
    ck_assert_uint_lt(waiting, RECORDS / 4);
    ck_assert_uint_le(memory(), waiting * COPY);
    ck_assert_uint_eq(status.queued_bytes, status.copied_bytes);
    uint64_t begun = 0;
    uint64_t ended = 0;
    engine_flight(rig->engine, "gates", &begun, &ended);
    ck_assert_uint_gt(begun, ended); /* a drain waits for copies */
    let_answers_come();
    ck_assert_int_eq(rig_drain(rig, false, NULL), S4_OK);
    check_all_taken();
    rig_stop(rig);
}
END_TEST

/* Below its part of the soft mark the app's sources go on; at it they wait, but not those of
 * another app; and when there is room again they go on. */
START_TEST(a_stuck_app_stops_its_own_sources_and_no_others)
{
    struct rig_other other;
    start_on(rig, (struct rig_options){ 0 });
    rig_deploy_other(rig, &s4_plugin, "other", &other);
    hold_answers();
    get_stuck();
    size_t part = SOFT / PART / 2;
    uint64_t number = 1;
    uint64_t before = app_status("gates").copied_bytes;
    ck_assert_int_eq(inject_one(number++), S4_OK);
    uint64_t each = app_status("gates").copied_bytes - before;
    ck_assert_uint_le(each, COPY);
    while (app_status("gates").copied_bytes < part)
        ck_assert_int_eq(inject_one(number++), S4_OK);
    ck_assert_uint_lt(app_status("gates").copied_bytes, part + each);
    ck_assert_int_eq(inject_one(number), S4_AGAIN);
    ck_assert_uint_lt(memory(), SOFT);
    rig->name = "other";
    char line[] = "{\"gate\":99,\"number\":1}\n{\"gate\":98,\"number\":1}";
    given[98] = given[99] = 1;
    ck_assert_int_eq(rig_inject(rig, "steps", 2, 1, line, INJECTION_APPLIED), S4_OK);
    feed(97, 100, GATE_PASS);
    ck_assert_uint_eq(taken[97], 100);
    rig->name = "gates";
    let_answers_come();
    ck_assert_int_eq(inject_one(number), S4_OK);
    check_all_taken();
    rig_other_fini(&other);
    rig_stop(rig);
}
END_TEST

START_TEST(a_stuck_partition_is_saved_and_loaded)
{
    start_on(rig, (struct rig_options){ 0 });
    hold_answers();
    get_stuck();
    feed(STUCK, 100, GATE_PASS);
    struct engine_counters before = rig_counters(rig);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        rig_reload(rig, slot);
    struct engine_counters after = rig_counters(rig);
    ck_assert_uint_eq(after.waiting, before.waiting);
    ck_assert_uint_eq(after.mailbox, before.mailbox);
    feed(STUCK, 100, GATE_PASS);
    ck_assert_uint_eq(taken[STUCK], 1);
    let_answers_come();
    check_all_taken();
    rig_stop(rig);
}
END_TEST

START_TEST(what_waits_goes_with_the_engine)
{
    start_on(rig, (struct rig_options){ 0 });
    hold_answers();
    get_stuck();
    feed(STUCK, 100, GATE_PASS);
    ck_assert_uint_eq(taken[STUCK], 1);
    pool_destroy(rig->pool); /* the answer is that there is none */
    rig->pool = NULL;
    rig_stop(rig); /* every block is back, or its pool aborts */
}
END_TEST

/* ---- blocks from another node -------------------------------------------------------------- */

static struct block *on_the_way[1000];
static uint32_t n_on_the_way;
static uint32_t n_taken;
static uint32_t n_applied;

static void keep_for_other(void *user, const char *app, uint64_t schema, struct block *block)
{
    ck_assert_uint_lt(n_on_the_way, ARRAY_LEN(on_the_way));
    on_the_way[n_on_the_way++] = block;
}

static void no_flight(void *user, const char *app, uint64_t *begun, uint64_t *ended)
{
}

static void count_block(void *user, const uint64_t token[2])
{
    ++*(uint32_t *)user;
}

static void note_taken(void *user, const uint64_t token[2])
{
    n_taken++;
}

static void deliver(void)
{
    struct diag diag = { 0 };
    struct engine_arrival arrival = { .taken = note_taken,
                                      .applied = count_block,
                                      .user = &n_applied };
    for (uint32_t i = 0; i < n_on_the_way; i++)
        ck_assert_msg(engine_arrived(rig->engine, "gates", rig->bundle->graph_hash, &on_the_way[i],
                                     &arrival, &diag) == S4_OK,
                      "%s", diag.text);
    rig_settle(rig);
}

/* The other node gets its credit back at once, and is told `applied` when what was copied out is.
 */
START_TEST(a_block_from_another_node_is_applied_when_its_copies_are)
{
    static const struct engine_remote remote = { .send = keep_for_other, .flight = no_flight };
    start_on(&rigs[0], (struct rig_options){ .remote = &remote, .nodes = 2 });
    struct buffer lines;
    buffer_init(&lines);
    for (uint32_t i = 0; i < 6 * GATES; i++)
        add_step(&lines, i % GATES, GATE_WAIT);
    rig_feed(rig, "steps", buffer_text(&lines));
    buffer_fini(&lines);
    rig = &rigs[1];
    start_on(rig, (struct rig_options){ .remote = &remote, .nodes = 2, .node = 1 });
    hold_answers();
    uint32_t n = n_on_the_way;
    ck_assert_uint_gt(n, 0);
    deliver();
    ck_assert_uint_eq(n_taken, n);
    ck_assert_uint_lt(n_applied, n);
    uint64_t copied = app_status("gates").copied_bytes;
    ck_assert_uint_gt(copied, 0);
    ck_assert_uint_eq(app_status("gates").queued_bytes, copied);
    let_answers_come();
    ck_assert_uint_eq(n_applied, n);
    ck_assert_uint_eq(memory(), 0);
    rig_stop(&rigs[1]);
    rig_stop(&rigs[0]);
}
END_TEST

static s4_status arrive(struct block **block)
{
    struct diag diag = { 0 };
    struct engine_arrival arrival = { .taken = note_taken,
                                      .applied = count_block,
                                      .user = &n_applied };
    return engine_arrived(rig->engine, "gates", rig->bundle->graph_hash, block, &arrival, &diag);
}

/* What workers and tables trust, and only the other node's bytes say. */
START_TEST(a_block_from_another_node_is_for_its_worker_and_hashed_right)
{
    static const struct engine_remote remote = { .send = keep_for_other, .flight = no_flight };
    start_on(&rigs[0], (struct rig_options){ .remote = &remote, .nodes = 2, .workers = 2 });
    struct buffer lines;
    buffer_init(&lines);
    for (uint32_t i = 0; i < GATES; i++)
        add_step(&lines, i, GATE_PASS);
    rig_feed(rig, "steps", buffer_text(&lines));
    buffer_fini(&lines);
    rig = &rigs[1];
    start_on(rig, (struct rig_options){ .remote = &remote, .nodes = 2, .node = 1, .workers = 2 });
    ck_assert_uint_gt(n_on_the_way, 0);
    struct block *block = on_the_way[0];
    uint16_t worker = block->worker; /* 2 or 3 */
    block->worker = (uint16_t)(5 - worker);
    ck_assert_int_eq(arrive(&on_the_way[0]), S4_CORRUPT);
    block->worker = worker;
    block_first(block)->key_hash ^= 1;
    ck_assert_int_eq(arrive(&on_the_way[0]), S4_CORRUPT);
    block_first(block)->key_hash ^= 1;
    deliver();
    ck_assert_uint_eq(n_applied, n_on_the_way);
    rig_stop(&rigs[1]);
    rig_stop(&rigs[0]);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("stall");
    suite_add(suite, "others", others_go_on_and_memory_is_what_waits, 20);
    suite_add(suite, "apps", a_stuck_app_stops_its_own_sources_and_no_others, 20);
    suite_add(suite, "saved", a_stuck_partition_is_saved_and_loaded, 20);
    suite_add(suite, "stopped", what_waits_goes_with_the_engine, 20);
    suite_add(suite, "nodes", a_block_from_another_node_is_applied_when_its_copies_are, 20);
    suite_add(suite, "trusted", a_block_from_another_node_is_for_its_worker_and_hashed_right, 20);
    return suite;
}
