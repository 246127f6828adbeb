/* States that own memory (messages, containers) are saved and loaded like any other: an engine
 * whose partitions go and come back all the time, beside one whose partitions stay. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/keeps_app.h"
#include "tests/support/rig.h"

#define SLOTS  4
#define USERS  20
#define ROUNDS 300

static struct rig stays, goes;

static void start(struct rig *rig)
{
    rig_start(rig, &(struct rig_options){ .app = &s4_plugin, .slots = SLOTS });
}

static void feed_both(const char *lines)
{
    rig_feed(&stays, "words", lines);
    rig_feed(&goes, "words", lines);
}

static void add_word(struct buffer *lines, uint64_t user, const char *text, uint64_t n)
{
    ck_assert_int_eq(buffer_printf(lines, "{\"user\":\"u%llu\",\"text\":\"%s\",\"n\":%llu}\n",
                                   (unsigned long long)user, text, (unsigned long long)n),
                     S4_OK);
}

static void some_words(struct rng *rng, struct buffer *lines)
{
    buffer_clear(lines);
    for (uint64_t i = rng_below(rng, 20); i > 0; i--) {
        char text[40];
        uint64_t size = rng_below(rng, sizeof text);
        for (uint64_t c = 0; c < size; c++)
            text[c] = (char)('a' + rng_below(rng, 3));
        text[size] = '\0';
        bool remove = rng_below(rng, 60) == 0;
        add_word(lines, rng_below(rng, USERS), remove ? KEEPS_REMOVE : text, rng_below(rng, 100));
    }
    ck_assert_ptr_nonnull(buffer_text(lines));
}

static void check_same(void)
{
    char *rows[2] = { rig_rows(&stays, "rows"), rig_rows(&goes, "rows") };
    ck_assert_str_eq(rows[0], rows[1]);
    mem_free(rows[0]);
    mem_free(rows[1]);
    struct engine_counters a = rig_counters(&stays), b = rig_counters(&goes);
    ck_assert_uint_eq(a.instances, b.instances);
    ck_assert_uint_eq(b.dead_letters, 0);
    uint32_t slot = (uint32_t)(a.applied % SLOTS);
    rig_reload(&goes, slot);
    b = rig_counters(&goes);
    rig_reload(&goes, slot); /* the same state takes the same memory */
    ck_assert_uint_eq(rig_counters(&goes).state_bytes, b.state_bytes);
}

/* Nothing that was loaded is counted twice, or never given back. */
static void remove_all(struct buffer *lines)
{
    buffer_clear(lines);
    for (uint64_t user = 0; user < USERS; user++)
        add_word(lines, user, KEEPS_REMOVE, 0);
    ck_assert_ptr_nonnull(buffer_text(lines));
    feed_both(lines->data);
    ck_assert_uint_eq(rig_counters(&goes).instances, 0);
    ck_assert_uint_eq(rig_counters(&goes).state_bytes, 0);
}

START_TEST(states_with_memory_come_back)
{
    struct rng rng;
    struct buffer lines;
    rng_init(&rng, suite_seed());
    buffer_init(&lines);
    start(&stays);
    start(&goes);
    for (int round = 0; round < ROUNDS; round++) {
        some_words(&rng, &lines);
        feed_both(lines.data);
        for (uint64_t n = rng_below(&rng, 4); n > 0; n--)
            rig_reload(&goes, (uint32_t)rng_below(&rng, SLOTS));
        uint64_t by_us = rng_below(&rng, 1000000);
        rig_advance(&stays, by_us);
        rig_advance(&goes, by_us);
        check_same();
    }
    ck_assert(rig_has(&goes, "rows", "pages of"));
    ck_assert(rig_has(&goes, "rows", "order of"));
    remove_all(&lines);
    buffer_fini(&lines);
    rig_stop(&stays);
    rig_stop(&goes);
}
END_TEST

START_TEST(without_memory_the_partition_stays)
{
    struct rng rng;
    struct buffer lines;
    rng_init(&rng, 1);
    buffer_init(&lines);
    start(&stays);
    start(&goes);
    some_words(&rng, &lines);
    feed_both(lines.data);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        ck_assert_int_eq(engine_save(goes.engine, "keeps", slot, NULL), S4_OK);
        s4_status status = S4_NO_MEMORY;
        int64_t n = 0;
        for (; status == S4_NO_MEMORY; n++) {
            uint64_t bytes = rig_counters(&goes).state_bytes;
            mem_fail_after(n);
            status = engine_load(goes.engine, "keeps", slot, NULL);
            mem_fail_after(-1);
            if (status != S4_OK)
                ck_assert_uint_eq(rig_counters(&goes).state_bytes, bytes);
        }
        ck_assert_int_eq(status, S4_OK);
        ck_assert_int_gt(n, 10);
    }
    check_same();
    remove_all(&lines);
    buffer_fini(&lines);
    rig_stop(&stays);
    rig_stop(&goes);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("keeps");
    suite_add(suite, "come_back", states_with_memory_come_back, 60);
    suite_add(suite, "memory", without_memory_the_partition_stays, 60);
    return suite;
}
