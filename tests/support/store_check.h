/* What every store must do: one body per promise, run over every kind. */
#ifndef TESTS_SUPPORT_STORE_CHECK_H
#define TESTS_SUPPORT_STORE_CHECK_H

#include "tests/support/place.h"

void store_check_files(enum place_kind kind); /* append, read, cut */
void store_check_names(enum place_kind kind); /* open, rename, remove, list */
void store_check_held(enum place_kind kind); /* an open file is one's own, whatever its name does */
void store_check_limits(enum place_kind kind); /* names and lists, at the limit and above it */
void store_check_memory(enum place_kind kind); /* every call without memory, then again */

/* Random steps against a naive model; a simulated store also fails and crashes. */
void store_check_random(enum place_kind kind, uint64_t seed, uint32_t steps);

#endif
