/* The frame of a Check program: every tests/unit/NAME_test.c defines `suite_build` and this file's
 * main runs it, in one process per test case, with TAP on stdout. */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include <check.h>

Suite *suite_build(void);

/* The seed of a randomised test: S4_SEED in the environment, or drawn and printed. */
unsigned long long suite_seed(void);

/* Adds one test function as a case of its own, with a timeout in seconds. */
void suite_add(Suite *suite, const char *name, const TTest *test, double timeout_s);

/* The same with what comes before and after it, in its process. */
void suite_add_with(Suite *suite, const char *name, const TTest *test, double timeout_s, SFun setup,
                    SFun teardown);

/* ck_assert_uint_eq for the inner loop of an oracle: Check writes down every assertion that it
 * passes. */
#define SUITE_SAME(a, b)                                              \
    do {                                                              \
        uintmax_t same_a_ = (uintmax_t)(a), same_b_ = (uintmax_t)(b); \
        if (same_a_ != same_b_)                                       \
            ck_assert_uint_eq(same_a_, same_b_);                      \
    } while (0)

#endif
