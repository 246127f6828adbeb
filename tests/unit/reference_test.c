/* The benches' input is what it says, and R1 counts it right: a wrong reference makes every ratio
 * wrong. */
#include "tests/support/suite.h"

#include "runtime/base/asan.h"
#include "runtime/base/mem.h"
#include "tests/bench/lines.h"
#include "tests/bench/reference.h"

static struct lines lines_of(bool zipf, uint32_t keys, uint64_t count, uint64_t seed)
{
    struct lines_options options = { .zipf = zipf, .keys = keys, .count = count, .seed = seed };
    struct lines lines;
    ck_assert(lines_init(&lines, &options));
    ck_assert_uint_eq(lines.size, count * LINES_LEN);
    return lines;
}

/* Counts by the number in the line. */
static uint64_t *naive_counts(const struct lines *lines, uint32_t keys)
{
    uint64_t *counts = mem_calloc(keys, sizeof *counts);
    ck_assert_ptr_nonnull(counts);
    for (const char *at = lines->text; at < lines->text + lines->size; at += LINES_LEN) {
        SUITE_SAME(memcmp(at, "key", 3), 0);
        SUITE_SAME(at[LINES_LEN - 1], '\n');
        uint64_t key = strtoull(at + 3, NULL, 10);
        SUITE_SAME(key < keys, true);
        counts[key]++;
    }
    return counts;
}

static void check_counting(const struct lines *lines, const uint64_t *counts, uint32_t keys,
                           uint32_t log2_slots)
{
    struct counting counting;
    ck_assert(counting_init(&counting, log2_slots));
    for (uint64_t pass = 1; pass <= 2; pass++) {
        ck_assert_uint_eq(counting_run(&counting, lines->text, lines->size),
                          lines->size / LINES_LEN);
        uint64_t found = 0;
        for (uint32_t i = 0; i < keys; i++) {
            char key[16];
            int len = snprintf(key, sizeof key, "key%07u", i);
            uint64_t n = counting_of(&counting, key, (size_t)len);
            SUITE_SAME(n, counts[i] * pass);
            found += n > 0;
        }
        ck_assert_uint_eq(found, counting.keys);
    }
    counting_fini(&counting);
}

START_TEST(uniform_lines_are_counted)
{
    enum { KEYS = 5000 };
    struct lines lines = lines_of(false, KEYS, 500000, suite_seed());
    uint64_t *counts = naive_counts(&lines, KEYS);
    for (uint32_t i = 0; i < KEYS; i++)
        ck_assert(counts[i] > 30 && counts[i] < 250); /* 100 expected, seven deviations */
    check_counting(&lines, counts, KEYS, 13);
    mem_free(counts);
    lines_fini(&lines);
}
END_TEST

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

START_TEST(zipf_lines_are_counted)
{
    enum { KEYS = 1000, COUNT = 2000000 };
    struct lines lines = lines_of(true, KEYS, COUNT, suite_seed());
    uint64_t *counts = naive_counts(&lines, KEYS);
    check_counting(&lines, counts, KEYS, 11);
    qsort(counts, KEYS, sizeof *counts, descending);
    double sum = 0;
    for (uint32_t i = 0; i < KEYS; i++)
        sum += 1.0 / (i + 1);
    for (uint32_t i = 0; i < 100; i++) { /* within eight deviations */
        double wanted = COUNT / sum / (i + 1), found = (double)counts[i];
        ck_assert((found - wanted) * (found - wanted) < 64 * wanted);
    }
    mem_free(counts);
    lines_fini(&lines);
}
END_TEST

START_TEST(a_seed_repeats_its_lines)
{
    struct lines first = lines_of(true, 100, 10000, 5), again = lines_of(true, 100, 10000, 5),
                 other = lines_of(true, 100, 10000, 6);
    ck_assert_mem_eq(first.text, again.text, first.size + LINES_SLACK);
    ck_assert_int_ne(memcmp(first.text, other.text, first.size), 0);
    lines_fini(&first);
    lines_fini(&again);
    lines_fini(&other);
    struct lines_options options = { .keys = 10000001, .count = 1 };
    ck_assert(!lines_init(&first, &options));
    options.keys = 0;
    ck_assert(!lines_init(&first, &options));
    ck_assert(lines_named("zipf", &options) && options.zipf && options.keys == LINES_ZIPF_KEYS);
    ck_assert(lines_named("uniform", &options) && !options.zipf);
    ck_assert(!lines_named("gauss", &options));
}
END_TEST

/* 32 * 4 / 3 bytes, and what a sanitizer keeps about them: ThreadSanitizer four times as much. */
START_TEST(the_inline_table_is_three_quarters_full)
{
    struct inline_cost cost;
    ck_assert(inline_cost_measure(1000000, 1000, &cost));
    ck_assert(cost.bytes > 40 && cost.bytes < (SANITIZED ? 300 : 45));
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("reference");
    suite_add(suite, "uniform_lines_are_counted", uniform_lines_are_counted, 20);
    suite_add(suite, "zipf_lines_are_counted", zipf_lines_are_counted, 20);
    suite_add(suite, "a_seed_repeats_its_lines", a_seed_repeats_its_lines, 10);
    suite_add(suite, "the_inline_table_is_three_quarters_full",
              the_inline_table_is_three_quarters_full, 20);
    return suite;
}
