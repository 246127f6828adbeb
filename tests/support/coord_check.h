/* What every coordination service must do. */
#ifndef TESTS_SUPPORT_COORD_CHECK_H
#define TESTS_SUPPORT_COORD_CHECK_H

#include "tests/support/coord_place.h"

void coord_check_entries(enum coord_place_kind kind);
void coord_check_sessions(enum coord_place_kind kind);
void coord_check_multi(enum coord_place_kind kind);
void coord_check_watches(enum coord_place_kind kind);
void coord_check_order(enum coord_place_kind kind);
void coord_check_limits(enum coord_place_kind kind);

#endif
