/* Names, near misses and lists of problems. */
#include "tests/support/suite.h"

#include "pe/graph/names.h"
#include "pe/graph/problems.h"
#include "runtime/base/mem.h"

START_TEST(names_are_judged)
{
    char longest[GRAPH_NAME_MAX + 2] = { 0 };
    memset(longest, 'a', GRAPH_NAME_MAX);
    ck_assert(name_valid(longest));
    longest[GRAPH_NAME_MAX] = 'a';
    ck_assert(!name_valid(longest));
    static const char *const good[] = { "a", "_", "Word_2", "x9" };
    static const char *const bad[] = { "", "9x", "a-b", "a.b", "a b", "\xc3\xa9", "a\n" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(name_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!name_valid(bad[i]), "%s", bad[i]);
    ck_assert(!name_valid(NULL));
}
END_TEST

START_TEST(near_misses_are_found)
{
    static const struct {
        const char *wanted, *hint;
    } table[] = {
        { "tll", "; did you mean \"ttl\"?" },
        { "buget", "; did you mean \"budget\"?" },
        { "parmaeters", "; did you mean \"parameters\"?" },
        { "x", "" },
        { "zzzzzz", "" },
        { "", "" },
    };
    static const char *const names[] = { "parameters", "ttl", "trigger", "budget", "output" };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct name_nearest nearest;
        name_nearest_init(&nearest, table[i].wanted);
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            name_nearest_try(&nearest, names[k]);
        ck_assert_str_eq(name_hint(&nearest).text, table[i].hint);
    }
}
END_TEST

START_TEST(problems_are_kept_and_counted)
{
    struct problems problems;
    problems_init(&problems);
    struct diag diag = { 0 };
    ck_assert_int_eq(problems_tell(&problems, &diag), S4_OK);
    ck_assert_int_eq(problems_add(&problems, S4_TYPE, "first %d", 1), S4_TYPE);
    ck_assert_int_eq(problems_tell(&problems, &diag), S4_TYPE);
    ck_assert_str_eq(diag.text, "first 1");
    for (int i = 1; i < PROBLEMS_MAX; i++)
        problems_add(&problems, S4_RANGE, "next");
    ck_assert_uint_eq(problems.count, PROBLEMS_MAX);
    ck_assert_uint_eq(problems.dropped, 0);
    problems_add(&problems, S4_RANGE, "one too many");
    ck_assert_uint_eq(problems.dropped, 1);
    ck_assert_int_eq(problems_tell(&problems, &diag), S4_TYPE);
    ck_assert_str_eq(diag.text, "first 1 (and 100 more)");
    problems_fini(&problems);
}
END_TEST

START_TEST(a_problem_without_memory_is_still_one)
{
    for (int n = 0; n < 2; n++) {
        struct problems problems;
        problems_init(&problems);
        mem_fail_after(n);
        problems_add(&problems, S4_TYPE, "lost");
        mem_fail_after(-1);
        struct diag diag = { 0 };
        ck_assert_int_eq(problems_tell(&problems, &diag), S4_NO_MEMORY);
        problems_fini(&problems);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("names");
    suite_add(suite, "valid", names_are_judged, 10);
    suite_add(suite, "near", near_misses_are_found, 10);
    suite_add(suite, "problems", problems_are_kept_and_counted, 10);
    suite_add(suite, "no memory", a_problem_without_memory_is_still_one, 10);
    return suite;
}
