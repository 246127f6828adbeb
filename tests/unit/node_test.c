/* A node of a cluster beside a ferry that is played by the test: what holds when things fail, and
 * its limits. How slots move while all goes well is in tests/sim.
 */
#include "tests/support/suite.h"

#include "pe/host/host.h"
#include "pe/node/node_inside.h"
#include "runtime/base/mem.h"
#include "tests/support/model_app.h"
#include "tests/support/rig.h"

#define SLOTS 4

static const char events[] = "{\"user\":\"a\",\"n\":2}\n{\"user\":\"b\",\"n\":5}\n"
                             "{\"user\":\"c\",\"tags\":[\"x\",\"y\"]}\n{\"user\":\"a\"}\n";

/* ---- the ferry, and all around the node ------------------------------------------------------ */

static struct {
    struct ferry ferry; /* first */
    s4_status sending;  /* what send answers */
    bool kept;          /* what is sent stays in `frames` */
    uint32_t sent, refused, n_frames, unsent;
    struct ferry_frame frames[64];
} played;
static struct rig rig;
static struct node *node;
static struct map *map;
static struct node_upcalls upcalls;
static struct node_options options;
static uint32_t failures, moves_done, moves_failed, warnings;
static char why_not[MAP_WHY_MAX + 2], warning[200];
static bool comes_at_once; /* by the first map slot 1 is on its way here */

static s4_status ferry_send(struct ferry *ferry, uint32_t to, const struct ferry_frame *frame)
{
    if (played.sending != S4_OK)
        return played.sending;
    played.sent++;
    if (played.kept) {
        ck_assert_uint_lt(played.n_frames, ARRAY_LEN(played.frames));
        played.frames[played.n_frames++] = *frame;
    } else {
        block_release(frame->block);
    }
    return S4_OK;
}

static void ferry_walk(struct ferry *ferry, uint32_t to, ferry_frame_fn *fn, void *user)
{
}

static void ferry_token(struct ferry *ferry, const uint64_t token[2])
{
}

static void ferry_not_mine(struct ferry *ferry, const uint64_t token[2], uint32_t slot)
{
}

static void ferry_open(struct ferry *ferry, uint32_t to, const struct map_member *member)
{
}

static void ferry_end(struct ferry *ferry, uint32_t to)
{
}

static void ferry_refuse(struct ferry *ferry, uint32_t from, const struct diag *diag)
{
    played.refused++;
}

static uint32_t ferry_unsent(struct ferry *ferry)
{
    return played.unsent;
}

static void ferry_wake(struct ferry *ferry)
{
}

static const struct ferry_ops ferry_ops = {
    .send = ferry_send,
    .walk = ferry_walk,
    .credit = ferry_token,
    .applied = ferry_token,
    .not_mine = ferry_not_mine,
    .open = ferry_open,
    .end = ferry_end,
    .refuse = ferry_refuse,
    .unsent = ferry_unsent,
    .wake = ferry_wake,
};

static void moved(void *user, uint32_t slot, uint64_t move, bool done, const char *why)
{
    moves_done += done;
    moves_failed += !done;
    snprintf(why_not, sizeof why_not, "%s", why);
}

static void failed(void *user, const struct diag *diag)
{
    failures++;
}

static void write_line(const struct log *log, enum log_level level, const char *text)
{
    warnings += level == LOG_WARN;
    snprintf(warning, sizeof warning, "%s", text);
}

static const struct log line_log = { .write = write_line };

/* Two members; the slots are all this one's, which is the first. */
static void start(bool threads)
{
    uint16_t workers[MAP_SLOTS_MAX];
    uint64_t genesis[MAP_SLOTS_MAX + LINK_INTAKES_MAX];
    bool kept = played.kept;
    memset(&played, 0, sizeof played);
    played.kept = kept;
    played.ferry.ops = &ferry_ops;
    failures = moves_done = moves_failed = warnings = 0;
    upcalls = (struct node_upcalls){ .moved = moved, .failed = failed };
    options.upcalls = &upcalls;
    options.log = &line_log;
    options.clock = threads ? NULL : &rig.clock.clock;
    ck_assert_int_eq(map_create(1, SLOTS, &map), S4_OK);
    map->version = 1;
    for (uint32_t i = 0; i < 2; i++) {
        struct map_member *m = &map->members[i];
        snprintf(m->name, sizeof m->name, "node-%u", i);
        snprintf(m->address, sizeof m->address, "sim://%u", i);
        m->incarnation = 100 + i;
        m->workers = 1;
        m->since = 1;
        m->state = MAP_ACTIVE;
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        map->slots[slot] =
            (struct map_slot){ .target = MAP_NOBODY, .epoch = 1, .generation = 1, .genesis = 1 };
    if (comes_at_once) {
        map->slots[1].owner = 1;
        map->slots[1].target = 0;
        map->slots[1].move = 1;
    }
    ck_assert_int_eq(node_create(&options, &node), S4_OK);
    node_first_map(map, workers, genesis);
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin,
                                           .slots = SLOTS,
                                           .threads = threads,
                                           .workers = threads ? 2 : 1,
                                           .remote = node_remote(node),
                                           .nodes = ENGINE_NODES_MAX,
                                           .map = workers,
                                           .genesis = genesis,
                                           .without_store = true });
    ck_assert_int_eq(node_join(node, rig.engine, &played.ferry, map, 0), S4_OK);
}

static void stop(void)
{
    engine_stop(rig.engine);
    node_stop(node);
    rig_stop(&rig);
    node_destroy(node);
    map_destroy(map);
    options = (struct node_options){ 0 };
    played.kept = false;
}

static void settle(void)
{
    do
        rig_settle(&rig);
    while (node_step(node));
}

static void next_map(void)
{
    map->version++;
    ck_assert_int_eq(node_map(node, map), S4_OK);
}

static void order_move(uint32_t slot, uint32_t from, uint32_t to)
{
    map->slots[slot].owner = (uint8_t)from;
    map->slots[slot].target = (uint8_t)to;
    map->slots[slot].move = map->version + 1;
    next_map();
}

static struct block *some_block(uint16_t worker, size_t size)
{
    struct block *block = block_take(engine_pool(rig.engine), size);
    ck_assert_ptr_nonnull(block);
    block->worker = worker;
    return block;
}

/* ---- failing while the engine stands still ----------------------------------------------------
 */

/* A node whose engine is to stand still, and does not yet as far as the node knows. */
static void begin_to_stand(void)
{
    start(true);
    while (!node_is_settled(node) || node->fresh)
        node_step(node);
    do { /* it may have stood and gone on within a step */
        if (node_version(node) == map->version)
            next_map();
        node_step(node);
    } while (!node->still);
}

START_TEST(a_node_that_fails_lets_its_engine_go)
{
    struct engine_status status;
    begin_to_stand();
    played.sending = S4_NO_MEMORY;
    node_remote(node)->send(node, "model", 1, some_block(ENGINE_WORKERS_MAX, 64));
    node_step(node);
    ck_assert_uint_eq(failures, 1);
    ck_assert(!node->still);
    ck_assert_int_eq(engine_status(rig.engine, &status), S4_OK); /* control is free */
    mem_free(status.apps);
    ck_assert(!node_step(node));
    stop();
}
END_TEST

START_TEST(an_engine_stops_in_the_middle_of_a_change)
{
    begin_to_stand();
    stop();
}
END_TEST

/* ---- a slot that leaves -----------------------------------------------------------------------
 */

START_TEST(a_slot_that_stands_still_too_long_is_told_of)
{
    options.frozen_max_us = 1000;
    start(false);
    rig_feed(&rig, "ticks", events);
    settle();
    order_move(1, 0, 1);
    settle();
    ck_assert_uint_gt(played.sent, 0);
    clock_sim_advance(&rig.clock, 1000);
    settle();
    ck_assert_uint_eq(warnings, 0);
    clock_sim_advance(&rig.clock, 1);
    settle();
    settle();
    ck_assert_uint_eq(warnings, 1); /* once */
    ck_assert_str_eq(warning, "slot 1 stands still for 1 ms on its way to node node-1");
    map->slots[1].target = MAP_NOBODY;
    map->slots[1].epoch = map->version + 1;
    next_map();
    settle();
    ck_assert_uint_eq(node_counters(node).taken_back, 1);
    ck_assert_uint_eq(node_counters(node).frozen_max_us, 1001);
    ck_assert_uint_eq(node_counters(node).frozen_alarms, 1);
    ck_assert(node_is_settled(node));
    stop();
}
END_TEST

/* Neither copies nor the state pile up where the other node or the network is slower. */
START_TEST(a_slot_leaves_as_fast_as_frames_do)
{
    start(false);
    rig_feed(&rig, "ticks", events);
    settle();
    played.unsent = NODE_MOVE_UNSENT;
    order_move(1, 0, 1);
    settle();
    ck_assert_uint_eq(played.sent, 0);
    ck_assert(!engine_slot_is_held(rig.engine, 1));
    played.unsent = NODE_MOVE_UNSENT - 1;
    while (!engine_slot_is_held(rig.engine, 1)) {
        rig_settle(&rig);
        node_step(node);
    }
    uint32_t copied = played.sent;
    ck_assert_uint_gt(copied, 0);
    played.unsent = NODE_MOVE_UNSENT;
    settle();
    ck_assert_uint_eq(played.sent, copied);
    played.unsent = 0;
    settle();
    ck_assert_uint_gt(played.sent, copied);
    ck_assert_int_eq(node->out.phase, OUT_SENT);
    stop();
}
END_TEST

/* ---- a slot that comes ------------------------------------------------------------------------
 */

/* The slot goes to the other node, and comes back as it went: by the same move, so that what was
 * sent may be given to the node itself. */
static void go_and_come(void)
{
    played.kept = true;
    start(false);
    rig_feed(&rig, "ticks", events);
    settle();
    uint64_t move = map->version + 1;
    order_move(1, 0, 1);
    settle();
    ck_assert_uint_gt(played.n_frames, 1);
    map->slots[1] = (struct map_slot){
        .owner = 1, .target = MAP_NOBODY, .epoch = move + 1, .generation = 1, .genesis = 1
    };
    next_map();
    settle();
    ck_assert(!engine_slot_is_here(rig.engine, 1));
    order_move(1, 1, 0);
    map->slots[1].move = move;
    next_map();
    settle();
}

static void deliver(uint32_t i)
{
    const uint64_t token[2] = { 0 };
    struct ferry_frame frame = played.frames[i];
    frame.app = "s4";
    block_hold(frame.block);
    node_arrived(node, 1, &frame, token);
}

static void drop_frames(void)
{
    for (uint32_t i = 0; i < played.n_frames; i++)
        block_release(played.frames[i].block);
    played.n_frames = 0;
}

/* Answers how many bytes came. */
static uint64_t come_within(uint64_t max)
{
    options.move_bytes_max = max;
    go_and_come();
    for (uint32_t i = 0; i < played.n_frames; i++)
        deliver(i);
    settle();
    ck_assert_uint_eq(moves_done + moves_failed, 1);
    uint64_t bytes = node->in.bytes;
    drop_frames();
    stop();
    return bytes;
}

START_TEST(a_slot_that_comes_has_a_limit)
{
    uint64_t n = come_within(0);
    ck_assert_uint_eq(moves_done, 1);
    ck_assert_uint_gt(n, 100);
    come_within(n);
    ck_assert_uint_eq(moves_done, 1);
    come_within(n - 1);
    ck_assert_uint_eq(moves_failed, 1);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "it is over %llu bytes", (unsigned long long)n - 1);
    ck_assert_str_eq(why_not, wanted);
}
END_TEST

/* Pieces as another node could send them. */
START_TEST(what_cannot_come_is_refused)
{
    go_and_come();
    struct move_chunk chunk = { .magic = CHUNK_MAGIC,
                                .move = map->slots[1].move,
                                .slot = 1,
                                .kind = CHUNK_PARCEL,
                                .app = "\x1b[2Jmodel" };
    struct ferry_frame frame = { .app = "s4", .lane = NODE_MOVE_LANE };
    const uint64_t token[2] = { 0 };
    chunk.hops = 256;
    for (int i = 0; i < 2; i++) {
        frame.block = some_block(0, sizeof chunk);
        memcpy(frame.block->data, &chunk, sizeof chunk);
        frame.block->used = sizeof chunk;
        node_arrived(node, 1, &frame, token);
        ck_assert_uint_eq(played.refused, 1);
        chunk.hops = 255;
    }
    ck_assert_uint_eq(moves_failed, 1); /* and nothing that a terminal acts upon is told */
    ck_assert_str_eq(why_not, "a block for app \"?[2Jmodel\", which is not deployed here");
    drop_frames();
    stop();
}
END_TEST

/* Before the node has made its first step. */
START_TEST(what_comes_at_once_waits_for_the_first_map)
{
    comes_at_once = true;
    start(false);
    comes_at_once = false;
    struct move_chunk chunk = { .magic = CHUNK_MAGIC, .move = 1, .slot = 1, .kind = CHUNK_END };
    struct ferry_frame frame = { .app = "s4", .version = 1, .lane = NODE_MOVE_LANE };
    const uint64_t token[2] = { 0 };
    frame.block = some_block(0, sizeof chunk);
    memcpy(frame.block->data, &chunk, sizeof chunk);
    frame.block->used = sizeof chunk;
    node_arrived(node, 1, &frame, token);
    settle();
    ck_assert_uint_eq(moves_done + moves_failed,
                      1); /* not taken for a piece of a move that is over */
    stop();
}
END_TEST

/* ---- memory -----------------------------------------------------------------------------------
 */

START_TEST(records_that_cannot_be_kept_are_let_go_of)
{
    start(false);
    settle();
    map->slots[1].owner = MAP_NOBODY;
    map->slots[1].epoch = map->version + 1;
    next_map();
    settle();
    struct parcel *parcel = mem_zalloc(sizeof *parcel);
    ck_assert_ptr_nonnull(parcel);
    snprintf(parcel->app, sizeof parcel->app, "model");
    parcel->block = some_block(0, 64);
    mem_fail_after(0);
    node_send_again(node, 1, parcel);
    mem_fail_after(-1);
    ck_assert_uint_eq(failures, 1);
    stop();
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("node");
    suite_add(suite, "fails", a_node_that_fails_lets_its_engine_go, 20);
    suite_add(suite, "stops", an_engine_stops_in_the_middle_of_a_change, 20);
    suite_add(suite, "limit", a_slot_that_comes_has_a_limit, 20);
    suite_add(suite, "refused", what_cannot_come_is_refused, 20);
    suite_add(suite, "at once", what_comes_at_once_waits_for_the_first_map, 20);
    suite_add(suite, "memory", records_that_cannot_be_kept_are_let_go_of, 20);
    suite_add(suite, "pace", a_slot_leaves_as_fast_as_frames_do, 20);
    suite_add(suite, "frozen", a_slot_that_stands_still_too_long_is_told_of, 20);
    return suite;
}
