/* The worker under a host that is made up: order within a partition, preference for the most hops,
 * stalls, yields, partitions that are gone; messages; and the way from other threads. */
#include "tests/support/suite.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "runtime/actor/worker.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

#define SLOTS   24u
#define GONE    23u /* a slot whose partition is not here */
#define RECORDS 1000000u
#define SENDERS 3u
#define BLOCKS  3000u /* of each sender */
#define PINGS   200u

static struct block_pool *pool;
static struct worker *worker;
static struct clock_sim sim;
static struct rng rng;
static struct partition partitions[SLOTS];
static uint32_t given[SLOTS];
static uint32_t taken[SLOTS]; /* by executing or clearing */
static uint32_t blocks_given;
static uint32_t blocks_taken;
static uint32_t blocks_done;
static uint32_t blocks_copied;
static uint32_t records_astray;
static uint32_t ticks;
static uint32_t flushes;
static bool wild; /* stalls and yields are drawn */

/* ---- the host ------------------------------------------------------------------------------ */

static struct partition *const *find(void *user, uint16_t app)
{
    static struct partition *by_slot[SLOTS];
    ck_assert_uint_eq(app, 7);
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        by_slot[slot] = slot == GONE ? NULL : &partitions[slot];
        partitions[slot].home = worker;
    }
    return by_slot;
}

/* Nobody who could run has more hops. */
static void check_preference(const struct run *run)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct partition *p = &partitions[slot];
        if (p->oldest && !p->stalled && p->oldest->block->hops > run->block->hops)
            ck_abort_msg("partition %u waits with more hops", slot);
    }
}

static uint32_t execute(void *user, struct partition *partition, struct run *run)
{
    uint32_t i = run->done;
    SUITE_SAME(partition == run->partition && partition->oldest == run, true);
    SUITE_SAME(partition->stalled, PARTITION_TAKES);
    if (wild)
        check_preference(run);
    for (; i < run->count; i++) {
        uint64_t draw = wild ? rng_below(&rng, 200) : 100;
        if (draw == 0 || (draw == 1 && i > run->done)) {
            partition->stalled = draw == 0 ? PARTITION_STALLED : PARTITION_TAKES;
            if (draw == 1)
                worker_yield(worker);
            return i;
        }
        const struct record *record = run_record(run, i);
        SUITE_SAME(&partitions[record->dst] == partition, true);
        SUITE_SAME(record->seq, ++taken[record->dst]);
        SUITE_SAME((const char *)record - run->block->data, run->order[i].at * BLOCK_UNIT);
    }
    return i;
}

static void block_taken(void *user, struct block *block)
{
    blocks_taken++;
}

static void block_copied(void *user, const struct block *block, struct block *copy)
{
    SUITE_SAME(copy->copied && copy->app == block->app && copy->hops <= block->hops, true);
    blocks_copied++;
}

static void block_done(void *user, struct block *block)
{
    blocks_done++;
}

static void stray(void *user, const struct block *block, uint32_t n)
{
    records_astray += n;
}

static bool flush(void *user)
{
    flushes++;
    return false;
}

static uint64_t tick(void *user)
{
    ticks++;
    return worker_now_us(worker) + 1000;
}

static bool idle(void *user)
{
    return false;
}

static const struct worker_ops ops = {
    .partitions = find,
    .astray = stray,
    .records = execute,
    .block_taken = block_taken,
    .block_copied = block_copied,
    .block_done = block_done,
    .flush = flush,
    .tick = tick,
    .idle = idle,
};

static void start(const struct clock *clock)
{
    ck_assert_int_eq(block_pool_create(4096, &pool), S4_OK);
    struct worker_options options = {
        .ops = &ops, .clock = clock, .slots = SLOTS, .flush_us = 100
    };
    ck_assert_int_eq(worker_create(&options, &worker), S4_OK);
}

static void stop(void)
{
    worker_destroy(worker);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    block_pool_destroy(pool);
}

/* ---- blocks -------------------------------------------------------------------------------- */

static struct block *make_block(uint8_t hops)
{
    struct block *block = block_take(pool, 0);
    ck_assert_ptr_nonnull(block);
    block->app = 7;
    block->hops = hops;
    return block;
}

static void add_record(struct block *block, uint16_t slot, uint32_t seq, uint16_t src)
{
    struct record *record = (struct record *)(void *)(block->data + block->used);
    size_t len = sizeof *record + record_key_room(0);
    memset(record, 0, len);
    record->len = (uint32_t)len;
    record->dst = slot;
    record->src = src;
    record->seq = seq;
    record->hop = block->hops;
    block->used += (uint32_t)len;
    block->count++;
}

static struct block *random_block(void)
{
    struct block *block = make_block((uint8_t)rng_below(&rng, rng_below(&rng, 2) ? 256 : 3));
    uint64_t n = 1 + rng_below(&rng, 90);
    uint64_t spread = 1 + rng_below(&rng, SLOTS);
    for (uint64_t i = 0; i < n; i++) {
        uint16_t slot = (uint16_t)rng_below(&rng, spread);
        add_record(block, slot, ++given[slot], 0);
    }
    blocks_given++;
    return block;
}

/* ---- the oracle ---------------------------------------------------------------------------- */

static void resume_some(uint64_t of)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (partitions[slot].stalled && rng_below(&rng, of) == 0)
            partition_resume(worker, &partitions[slot]);
}

static void clear_one(void)
{
    uint64_t slot = rng_below(&rng, GONE);
    uint64_t waiting = partition_waiting(&partitions[slot]);
    SUITE_SAME(partition_clear(worker, &partitions[slot]), waiting);
    SUITE_SAME(partition_waiting(&partitions[slot]), 0);
    taken[slot] += (uint32_t)waiting;
}

static void step(void)
{
    clock_sim_advance(&sim, rng_below(&rng, 60));
    worker_step(worker);
}

START_TEST(a_million_records_in_order)
{
    rng_init(&rng, suite_seed());
    clock_sim_init(&sim, 1000000);
    start(&sim.clock);
    wild = true;
    for (uint32_t n = 0; n < RECORDS;) {
        for (uint64_t i = rng_below(&rng, 5); i > 0; i--) {
            struct block *block = random_block();
            n += block->count;
            if (rng_below(&rng, 2))
                worker_send(worker, block);
            else
                worker_keep(worker, block);
            /* What is kept is taken in before what comes from outside: one way at a time. */
            step();
        }
        step();
        resume_some(3);
        if (rng_below(&rng, 500) == 0)
            clear_one();
    }
    wild = false;
    resume_some(1);
    while (worker_step(worker))
        resume_some(1);
    for (uint32_t slot = 0; slot < GONE; slot++) {
        ck_assert_uint_eq(taken[slot], given[slot]);
        ck_assert_uint_eq(partition_waiting(&partitions[slot]), 0);
    }
    ck_assert_uint_gt(records_astray, 0);
    ck_assert_uint_eq(records_astray, given[GONE]);
    ck_assert_uint_eq(blocks_taken, blocks_given);
    ck_assert_uint_eq(blocks_done, blocks_given + blocks_copied);
    ck_assert_uint_gt(blocks_copied, 10000);
    ck_assert_uint_gt(ticks, 10);
    ck_assert_uint_gt(flushes, 10);
    stop();
}
END_TEST

/* Another node may send one; it is the first that the worker sees without places. */
START_TEST(a_block_may_be_empty)
{
    clock_sim_init(&sim, 1000);
    start(&sim.clock);
    blocks_taken = blocks_done = 0;
    struct block *block = make_block(0);
    ck_assert(!block->placed && block->count == 0);
    worker_send(worker, block);
    while (worker_step(worker)) {
    }
    ck_assert_uint_eq(blocks_taken, 1);
    ck_assert_uint_eq(blocks_done, 1);
    stop();
}
END_TEST

START_TEST(what_waits_is_released_with_the_worker)
{
    rng_init(&rng, 1);
    clock_sim_init(&sim, 1000000);
    start(&sim.clock);
    worker_keep(worker, random_block());
    worker_send(worker, random_block());
    stop();
}
END_TEST

/* ---- copies -------------------------------------------------------------------------------- */

static bool holds_0; /* partition 0 takes nothing */

static uint32_t execute_all_but_0(void *user, struct partition *partition, struct run *run)
{
    if (!holds_0 || partition != &partitions[0])
        return execute(user, partition, run);
    partition->stalled = PARTITION_STALLED;
    return run->done;
}

static const struct worker_ops ops_holding_0 = {
    .partitions = find,
    .astray = stray,
    .records = execute_all_but_0,
    .block_taken = block_taken,
    .block_copied = block_copied,
    .block_done = block_done,
    .flush = flush,
    .tick = tick,
    .idle = idle,
};

/* Each with one record for partition 0 and 70 for others. */
static void keep_blocks(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct block *block = make_block(0);
        for (uint16_t k = 0; k < 71; k++) {
            uint16_t slot = k == 35 ? 0 : (uint16_t)(1 + k % 20);
            add_record(block, slot, ++given[slot], 0);
        }
        worker_keep(worker, block);
        blocks_given++;
    }
}

static void run_out(void)
{
    while (worker_step(worker)) {
    }
}

static void start_holding_0(void)
{
    clock_sim_init(&sim, 1000000);
    ck_assert_int_eq(block_pool_create(4096, &pool), S4_OK);
    struct worker_options options = {
        .ops = &ops_holding_0, .clock = &sim.clock, .slots = SLOTS, .flush_us = 100
    };
    ck_assert_int_eq(worker_create(&options, &worker), S4_OK);
    holds_0 = true;
}

static void let_go_of_0(void)
{
    holds_0 = false;
    partition_resume(worker, &partitions[0]);
    run_out();
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        ck_assert_uint_eq(taken[slot], given[slot]);
    ck_assert_uint_eq(blocks_done, blocks_given + blocks_copied);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
}

/* What a stalled partition holds is what waits for it, whatever else was in its blocks; whether it
 * waits when the partition stalls or comes later. */
START_TEST(a_stalled_partition_pins_no_block)
{
    start_holding_0();
    keep_blocks(50);
    run_out();
    size_t of_50 = block_pool_bytes(pool);
    ck_assert_uint_eq(blocks_copied, 50);
    ck_assert_uint_eq(blocks_done, 50);
    ck_assert_uint_eq(partition_waiting(&partitions[0]), 50);
    keep_blocks(1);
    run_out();
    size_t each = block_pool_bytes(pool) - of_50;
    ck_assert_uint_eq(of_50, 50 * each);
    ck_assert_uint_le(each, 384);
    keep_blocks(949);
    run_out();
    ck_assert_uint_eq(block_pool_bytes(pool), 1000 * each);
    for (uint32_t slot = 1; slot < SLOTS; slot++)
        ck_assert_uint_eq(taken[slot], given[slot]);
    let_go_of_0();
    stop();
}
END_TEST

/* Runs that are copies already stay as they are when it stalls again, and those between follow. */
START_TEST(a_partition_that_stalls_again_copies_what_is_new)
{
    start_holding_0();
    keep_blocks(10);
    run_out();
    ck_assert_uint_eq(blocks_copied, 10);
    keep_blocks(5);
    partition_resume(worker, &partitions[0]);
    run_out();
    ck_assert_uint_eq(blocks_copied, 15);
    partitions[0].stalled = PARTITION_PAUSED; /* with all others of its app: pins its own blocks */
    keep_blocks(3);
    run_out();
    ck_assert_uint_eq(blocks_copied, 15);
    ck_assert_uint_ge(block_pool_bytes(pool), 3 * 4096);
    partition_resume(worker, &partitions[0]);
    run_out();
    ck_assert_uint_eq(blocks_copied, 18);
    ck_assert_uint_lt(block_pool_bytes(pool), 18 * 384);
    let_go_of_0();
    stop();
}
END_TEST

START_TEST(a_run_for_whose_copy_there_is_no_memory_stays_in_its_block)
{
    start_holding_0();
    holds_0 = false;
    keep_blocks(2);
    run_out(); /* it has all that it needs but for copies */
    holds_0 = true;
    keep_blocks(2);
    mem_fail_after(0);
    partitions[0].stalled = PARTITION_STALLED;
    run_out();
    mem_fail_after(-1);
    ck_assert_uint_eq(blocks_copied, 0);
    ck_assert_uint_eq(partition_waiting(&partitions[0]), 2);
    keep_blocks(1);
    run_out();
    ck_assert_uint_eq(blocks_copied, 1);
    ck_assert_uint_eq(partition_clear(worker, &partitions[0]), 3);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    ck_assert_uint_eq(blocks_done, blocks_given + blocks_copied);
    taken[0] += 3;
    keep_blocks(1);
    let_go_of_0();
    stop();
}
END_TEST

/* A record with a block of its own, of the largest size. */
START_TEST(a_large_record_is_copied_too)
{
    start_holding_0();
    struct block *block = block_take(pool, RECORD_MAX);
    block->app = 7;
    struct record *record = (struct record *)(void *)block->data;
    memset(record, 0, RECORD_MAX);
    record->len = RECORD_MAX;
    record->seq = ++given[0];
    block->used = RECORD_MAX;
    block->count = 1;
    worker_keep(worker, block);
    blocks_given++;
    run_out();
    ck_assert_uint_eq(blocks_copied, 1);
    ck_assert_uint_le(block_pool_bytes(pool), RECORD_MAX + 384);
    let_go_of_0();
    stop();
}
END_TEST

/* ---- time ---------------------------------------------------------------------------------- */

START_TEST(ticks_come_when_they_are_wanted)
{
    clock_sim_init(&sim, 1000000);
    start(&sim.clock);
    worker_step(worker);
    uint32_t before = ticks;
    clock_sim_advance(&sim, 999);
    worker_step(worker);
    ck_assert_uint_eq(ticks, before);
    clock_sim_advance(&sim, 1);
    worker_step(worker);
    ck_assert_uint_eq(ticks, before + 1);
    ck_assert_uint_eq(worker_now_us(worker), 1001000);
    ck_assert(!worker_step(worker)); /* nothing to do */
    stop();
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------- */

struct ping {
    struct message message;
    uint32_t sender;
    uint32_t number;
};

static struct ping pings[SENDERS][PINGS];
static uint32_t pinged[SENDERS]; /* the worker's thread */
static uint32_t expected_blocks;
static sem_t all_done;

static void on_ping(void *owner, struct message *message)
{
    struct ping *ping = CONTAINER_OF(message, struct ping, message);
    SUITE_SAME(ping->number, pinged[ping->sender]++);
    if (ping->number + 1 == PINGS)
        sem_post(&all_done);
}

static void count_done(void *user, struct block *block)
{
    if (++blocks_done == expected_blocks)
        sem_post(&all_done);
}

/* Each sender has a partition of its own, so that order can be told. */
static void *sender_main(void *arg)
{
    uint32_t sender = *(const uint32_t *)arg;
    uint32_t seq = 0;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        struct block *block = make_block(1);
        for (uint32_t k = 0; k <= i % 7; k++)
            add_record(block, (uint16_t)sender, ++seq, 0);
        worker_send(worker, block);
        if (i % (BLOCKS / PINGS) == 0) {
            struct ping *ping = &pings[sender][i / (BLOCKS / PINGS)];
            *ping = (struct ping){ .message.run = on_ping,
                                   .sender = sender,
                                   .number = i / (BLOCKS / PINGS) };
            worker_post(worker, &ping->message);
        }
    }
    return NULL;
}

START_TEST(threads_hand_over_in_order)
{
    pthread_t threads[SENDERS];
    uint32_t numbers[SENDERS];
    struct worker_ops threaded = ops;
    threaded.block_done = count_done;
    expected_blocks = SENDERS * BLOCKS;
    sem_init(&all_done, 0, 0);
    ck_assert_int_eq(block_pool_create(4096, &pool), S4_OK);
    struct worker_options options = {
        .ops = &threaded, .clock = &clock_real, .slots = SLOTS, .flush_us = 100
    };
    ck_assert_int_eq(worker_create(&options, &worker), S4_OK);
    ck_assert_int_eq(worker_start(worker, "worker"), S4_OK);
    for (uint32_t i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, sender_main, &numbers[i]), 0);
    }
    for (uint32_t i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < SENDERS + 1; i++) /* all blocks, and each sender's last message */
        while (sem_wait(&all_done) != 0) {
        }
    worker_wake(worker);
    worker_stop(worker);
    for (uint32_t i = 0; i < SENDERS; i++)
        ck_assert_uint_eq(pinged[i], PINGS);
    ck_assert_uint_eq(taken[0], taken[SENDERS - 1]);
    ck_assert_uint_gt(taken[0], BLOCKS);
    /* Messages that come after the end are run by hand. */
    struct ping late = { .message.run = on_ping, .sender = 0, .number = PINGS };
    worker_post(worker, &late.message);
    worker_drain_messages(worker);
    ck_assert_uint_eq(pinged[0], PINGS + 1);
    sem_destroy(&all_done);
    stop();
}
END_TEST

START_TEST(out_of_memory_makes_no_worker)
{
    struct worker_options options = {
        .ops = &ops, .clock = &clock_real, .slots = SLOTS, .flush_us = 100
    };
    s4_status status = S4_NO_MEMORY;
    for (int i = 0; i < 10 && status != S4_OK; i++) {
        mem_fail_after(i);
        status = worker_create(&options, &worker);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
    }
    ck_assert_int_eq(status, S4_OK);
    worker_destroy(worker);
    worker_destroy(NULL);
}
END_TEST

/* ---- held ------------------------------------------------------------------------------------ */

/* A partition that is held takes nothing, whoever resumes it; what is put first goes first. */
START_TEST(a_partition_is_held_until_it_goes)
{
    start_holding_0();
    holds_0 = false;
    keep_blocks(3);
    worker_take_in(worker);
    uint64_t waiting = partition_waiting(&partitions[0]);
    ck_assert_uint_gt(waiting, 0);
    uint64_t before = taken[0];
    partition_hold(worker, &partitions[0]);
    partition_resume(worker, &partitions[0]);
    run_out();
    ck_assert_uint_eq(taken[0], before);
    ck_assert_uint_eq(partition_waiting(&partitions[0]), waiting);
    keep_blocks(1);
    run_out();
    ck_assert_uint_gt(partition_waiting(&partitions[0]), waiting);
    waiting = partition_waiting(&partitions[0]);
    partition_go(worker, &partitions[0]);
    run_out();
    ck_assert_uint_eq(taken[0], before + waiting);
    ck_assert_uint_eq(partition_waiting(&partitions[0]), 0);
    stop();
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("worker");
    suite_add(suite, "empty", a_block_may_be_empty, 10);
    suite_add(suite, "oracle", a_million_records_in_order, 60);
    suite_add(suite, "destroy", what_waits_is_released_with_the_worker, 20);
    suite_add(suite, "copies", a_stalled_partition_pins_no_block, 20);
    suite_add(suite, "again", a_partition_that_stalls_again_copies_what_is_new, 20);
    suite_add(suite, "no_copy", a_run_for_whose_copy_there_is_no_memory_stays_in_its_block, 20);
    suite_add(suite, "large", a_large_record_is_copied_too, 20);
    suite_add(suite, "ticks", ticks_come_when_they_are_wanted, 20);
    suite_add(suite, "threads", threads_hand_over_in_order, 60);
    suite_add(suite, "memory", out_of_memory_makes_no_worker, 20);
    suite_add(suite, "held", a_partition_is_held_until_it_goes, 10);
    return suite;
}
