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

#endif
