/* Links: what is next, what is a repeat, what is a gap; where numbers wrap, and where they begin.
 */
#include "tests/support/suite.h"

#include "runtime/base/rng.h"
#include "router/link/link.h"

#define SLOTS 4

static uint64_t last[SLOTS + LINK_INTAKES_MAX];
static uint64_t genesis[ARRAY_LEN(last)];
static struct links_in links = { .last = last, .genesis = genesis };

static enum link_verdict judge(uint16_t src, uint32_t seq)
{
    struct record record = { .src = src, .seq = seq };
    bool next = link_is_next(&links, &record);
    enum link_verdict verdict = link_judge(&links, &record);
    ck_assert(!next || verdict == LINK_APPLY);
    return verdict;
}

START_TEST(numbers_count_up)
{
    memset(last, 0, sizeof last);
    ck_assert_int_eq(judge(2, 2), LINK_GAP);
    ck_assert_int_eq(judge(2, 1), LINK_APPLY);
    ck_assert_int_eq(judge(2, 1), LINK_REPEAT);
    ck_assert_int_eq(judge(2, 3), LINK_GAP);
    ck_assert_int_eq(judge(2, 2), LINK_APPLY);
    ck_assert_int_eq(judge(3, 1), LINK_APPLY); /* each source has its own */
    ck_assert_uint_eq(last[2], 2);
    ck_assert_uint_eq(links_count(SLOTS), ARRAY_LEN(last));
    ck_assert_uint_eq(link_intake(SLOTS, 5), SLOTS + 5);
}
END_TEST

START_TEST(numbers_wrap)
{
    last[0] = UINT32_MAX - 1;
    ck_assert_int_eq(judge(0, 0), LINK_GAP);
    ck_assert_int_eq(judge(0, UINT32_MAX), LINK_APPLY);
    ck_assert_int_eq(judge(0, 1), LINK_GAP);
    ck_assert_int_eq(judge(0, UINT32_MAX), LINK_REPEAT);
    ck_assert_int_eq(judge(0, 0), LINK_APPLY);
    ck_assert_int_eq(judge(0, UINT32_MAX), LINK_REPEAT);
    ck_assert_int_eq(judge(0, 1), LINK_APPLY);
}
END_TEST

START_TEST(what_is_forgotten_begins_anywhere)
{
    static const uint32_t firsts[] = { 0, 1, 77, 1u << 31, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        last[1] = 500;
        link_forget(&links, 1, i + 1);
        ck_assert_int_eq(judge(1, firsts[i]), LINK_APPLY);
        ck_assert_int_eq(judge(1, firsts[i]), LINK_REPEAT);
        ck_assert_int_eq(judge(1, firsts[i] + 2), LINK_GAP);
        ck_assert_int_eq(judge(1, firsts[i] + 1), LINK_APPLY);
        link_forget(&links, 1, i + 1); /* the same generation again */
        ck_assert_int_eq(judge(1, firsts[i] + 1), LINK_REPEAT);
        ck_assert_int_eq(judge(1, firsts[i] + 3), LINK_GAP);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("link");
    suite_add(suite, "count", numbers_count_up, 10);
    suite_add(suite, "wrap", numbers_wrap, 10);
    suite_add(suite, "forget", what_is_forgotten_begins_anywhere, 10);
    return suite;
}
