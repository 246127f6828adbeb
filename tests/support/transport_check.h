/* What every transport must do: one body per promise, run over every kind. */
#ifndef TESTS_SUPPORT_TRANSPORT_CHECK_H
#define TESTS_SUPPORT_TRANSPORT_CHECK_H

#include "tests/support/ends.h"

void transport_check_order(enum ends_kind kind);     /* random messages both ways, as sent */
void transport_check_limits(enum ends_kind kind);    /* sizes at the limit and above it */
void transport_check_full(enum ends_kind kind);      /* a full queue refuses, then goes on */
void transport_check_close(enum ends_kind kind);     /* both sides' ends are told or not told */
void transport_check_wake(enum ends_kind kind);      /* waits end when they should */
void transport_check_addresses(enum ends_kind kind); /* in use; connect before bind */
void transport_check_threads(enum ends_kind kind);   /* a thread per end */

#endif
