/* Both ends of a lane against the naive way of counting, over random steps; limits and memory. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/net/lane.h"
#include "runtime/net/lane_table.h"

enum { STEPS = 1000000, FRAMES_MAX = STEPS };

/* The oracle of the receiver: one byte per frame. */
START_TEST(receiver_agrees_with_bytes)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    unsigned char *applied = calloc(FRAMES_MAX + 2, 1);
    uint64_t first_open = 1, received = 0, returned = 0, said = 4;
    struct lane_in lane;
    lane_in_init(&lane, 7, 4);
    for (int step = 0; step < STEPS; step++) {
        uint64_t kind = rng_below(&rng, 8);
        uint64_t spread = rng_below(&rng, 64) == 0 ? 5000 : 20; /* rarely far out of order */
        if (kind < 3 && received - first_open + 1 < spread) {
            received++;
            if (lane_in_receive(&lane) != S4_OK)
                ck_abort_msg("out of memory");
        } else if (kind < 4 && returned < received) {
            lane_in_return(&lane);
            returned++;
        } else if (received >= first_open) {
            uint64_t frame = first_open + rng_below(&rng, received - first_open + 1);
            if (!applied[frame]) {
                applied[frame] = 1;
                lane_in_apply(&lane, frame);
            }
        }
        while (applied[first_open])
            first_open++;
        if (lane.applied != first_open - 1 || lane_in_limit(&lane) != returned + 4 ||
            lane_in_credit_due(&lane) != (returned + 4 > said))
            ck_abort_msg("they differ at step %d", step);
        if (rng_below(&rng, 4) == 0)
            lane.limit_said = said = returned + 4;
    }
    lane_in_fini(&lane);
    free(applied);
}
END_TEST

START_TEST(credit_is_worth_a_quarter_of_the_window)
{
    struct lane_in lane;
    lane_in_init(&lane, 1, 32);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(lane_in_receive(&lane), S4_OK);
    for (int i = 0; i < 7; i++)
        lane_in_return(&lane);
    ck_assert(!lane_in_credit_due(&lane));
    lane_in_return(&lane);
    ck_assert(lane_in_credit_due(&lane));
    lane.limit_said = lane_in_limit(&lane);
    ck_assert(!lane_in_credit_due(&lane));
    for (int i = 0; i < 12; i++)
        lane_in_return(&lane);
    lane.limit_said = 32 + 17; /* three are missing, and nothing else is out */
    ck_assert(lane_in_credit_due(&lane));
    lane_in_fini(&lane);
}
END_TEST

/* Frames whose credit is back but that are not applied: bounded, then no more credit. */
START_TEST(credit_stops_at_the_unapplied_limit)
{
    struct lane_in lane;
    lane_in_init(&lane, 1, 32);
    for (uint32_t i = 0; i < LANE_UNAPPLIED_MAX; i++) {
        if (lane.received >= lane_in_limit(&lane) || lane_in_receive(&lane) != S4_OK)
            ck_abort_msg("no room at %u", i);
        lane_in_return(&lane);
        lane.limit_said = lane_in_limit(&lane);
    }
    ck_assert_uint_eq(lane_in_limit(&lane), LANE_UNAPPLIED_MAX);
    lane_in_apply(&lane, 2);
    ck_assert_uint_eq(lane_in_limit(&lane), LANE_UNAPPLIED_MAX);
    lane_in_apply(&lane, 1);
    ck_assert_uint_eq(lane_in_limit(&lane), LANE_UNAPPLIED_MAX + 2);
    lane_in_fini(&lane);
}
END_TEST

START_TEST(sender_keeps_until_acknowledged)
{
    struct rng rng;
    struct block_pool *pool;
    struct lane_out lane;
    rng_init(&rng, suite_seed());
    ck_assert_int_eq(block_pool_create(BLOCK_SIZE_MIN, &pool), S4_OK);
    lane_out_init(&lane, 3, 0);
    uint64_t acked = 0, sent = 0, queued = 0, limit = 0, bytes = 0;
    for (int step = 0; step < STEPS / 3; step++) {
        uint64_t kind = rng_below(&rng, 4);
        if (kind == 0 && queued - acked < 300) {
            struct lane_frame frame = { .block = block_take(pool, 0), .schema = ++queued };
            frame.block->used = (uint32_t)(8 + queued % 1000);
            bytes += frame.block->used;
            if (lane_out_push(&lane, &frame) != S4_OK)
                ck_abort_msg("out of memory");
        } else if (kind == 1) {
            const struct lane_frame *next = lane_out_next(&lane);
            if ((next != NULL) != (sent < queued && sent < limit) ||
                (next && next->schema != sent + 1))
                ck_abort_msg("the wrong frame at step %d", step);
            sent += next != NULL;
            lane.sent = sent;
        } else if (kind == 2) {
            uint64_t ack = acked + rng_below(&rng, sent - acked + 1);
            while (acked < ack)
                bytes -= 8 + ++acked % 1000;
            if (!lane_out_ack(&lane, ack))
                ck_abort_msg("refused at step %d", step);
        } else {
            limit += rng_below(&rng, 8);
            limit = limit < sent + LANE_WINDOW_MAX ? limit : sent + LANE_WINDOW_MAX;
            if (!lane_out_credit(&lane, limit))
                ck_abort_msg("refused at step %d", step);
        }
        if (lane.bytes != bytes)
            ck_abort_msg("they differ at step %d", step);
    }
    ck_assert(acked == 0 || !lane_out_ack(&lane, acked - 1));
    ck_assert(!lane_out_ack(&lane, sent + 1));
    ck_assert(limit == 0 || !lane_out_credit(&lane, limit - 1));
    ck_assert(!lane_out_credit(&lane, sent + LANE_WINDOW_MAX + 1));
    ck_assert(lane_out_credit(&lane, sent + LANE_WINDOW_MAX));
    lane_out_fini(&lane);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    block_pool_destroy(pool);
}
END_TEST

START_TEST(memory_out_changes_nothing)
{
    struct lane_out out;
    struct lane_in in;
    struct lane_table table = { 0 };
    struct lane_frame frame = { 0 };
    lane_out_init(&out, 1, 1);
    lane_in_init(&in, 1, 1);
    mem_fail_after(0);
    ck_assert_int_eq(lane_out_push(&out, &frame), S4_NO_MEMORY);
    ck_assert_int_eq(lane_in_receive(&in), S4_NO_MEMORY);
    ck_assert_int_eq(lane_table_add(&table, 1, &in), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_uint_eq(out.queued + in.received + table.count, 0);
    lane_out_fini(&out);
    lane_in_fini(&in);
    lane_table_fini(&table);
}
END_TEST

START_TEST(table_finds_what_was_added)
{
    enum { NUMBERS = 4096 };
    struct rng rng;
    struct lane_table table = { 0 };
    rng_init(&rng, suite_seed());
    uint32_t *numbers = calloc(NUMBERS, sizeof *numbers);
    for (size_t i = 0; i < NUMBERS; i++) {
        do
            numbers[i] = (uint32_t)rng_below(&rng, NUMBERS * 4) << 18;
        while (lane_table_find(&table, numbers[i]));
        ck_assert_int_eq(lane_table_add(&table, numbers[i], &numbers[i]), S4_OK);
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        ck_assert_ptr_eq(lane_table_find(&table, numbers[i]), &numbers[i]);
        ck_assert_ptr_null(lane_table_find(&table, numbers[i] + 1));
    }
    lane_table_fini(&table);
    free(numbers);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("lane");
    suite_add(suite, "receiver", receiver_agrees_with_bytes, 30);
    suite_add(suite, "quarter", credit_is_worth_a_quarter_of_the_window, 10);
    suite_add(suite, "unapplied", credit_stops_at_the_unapplied_limit, 30);
    suite_add(suite, "sender", sender_keeps_until_acknowledged, 30);
    suite_add(suite, "memory", memory_out_changes_nothing, 10);
    suite_add(suite, "table", table_finds_what_was_added, 10);
    return suite;
}
