/* main() of every Check program. */
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/rng.h"

unsigned long long suite_seed(void)
{
    const char *given = getenv("S4_SEED");
    unsigned long long seed = given ? strtoull(given, NULL, 0) : rng_seed_real();
    fprintf(stderr, "seed %llu (repeat with S4_SEED=%llu)\n", seed, seed);
    return seed;
}

void suite_add(Suite *suite, const char *name, const TTest *test, double timeout_s)
{
    suite_add_with(suite, name, test, timeout_s, NULL, NULL);
}

void suite_add_with(Suite *suite, const char *name, const TTest *test, double timeout_s, SFun setup,
                    SFun teardown)
{
    TCase *test_case = tcase_create(name);
    tcase_set_timeout(test_case, timeout_s);
    tcase_add_checked_fixture(test_case, setup, teardown);
    tcase_add_test(test_case, test);
    suite_add_tcase(suite, test_case);
}

int main(void)
{
    SRunner *runner = srunner_create(suite_build());
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
