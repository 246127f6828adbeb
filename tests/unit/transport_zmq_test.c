/* The transport between processes: what every transport does, over tcp and ipc, and with keys. */
#include "tests/support/suite.h"

#include <zmq.h>

#include "runtime/net/transport_zmq.h"
#include "tests/support/transport_check.h"

START_TEST(zmq_keeps_order)
{
    transport_check_order(ENDS_TCP);
    transport_check_order(ENDS_IPC);
    transport_check_order(ENDS_CURVE);
}
END_TEST

START_TEST(zmq_keeps_limits)
{
    transport_check_limits(ENDS_TCP);
    transport_check_limits(ENDS_IPC);
    transport_check_limits(ENDS_CURVE);
}
END_TEST

START_TEST(zmq_refuses_when_full)
{
    transport_check_full(ENDS_TCP);
    transport_check_full(ENDS_IPC);
    transport_check_full(ENDS_CURVE);
}
END_TEST

START_TEST(zmq_tells_ends)
{
    transport_check_close(ENDS_TCP);
    transport_check_close(ENDS_IPC);
    transport_check_close(ENDS_CURVE);
}
END_TEST

START_TEST(zmq_waits_and_wakes)
{
    transport_check_wake(ENDS_TCP);
    transport_check_wake(ENDS_CURVE);
}
END_TEST

START_TEST(zmq_names_bad_addresses)
{
    transport_check_addresses(ENDS_TCP);
    transport_check_addresses(ENDS_IPC);
    transport_check_addresses(ENDS_CURVE);
}
END_TEST

START_TEST(zmq_serves_two_threads)
{
    transport_check_threads(ENDS_TCP);
    transport_check_threads(ENDS_CURVE);
}
END_TEST

START_TEST(old_libraries_are_refused)
{
    struct diag diag;
    ck_assert_int_eq(transport_zmq_check_version(4, 3, 3, &diag), S4_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(diag.text, "4.3.3"));
    ck_assert_int_eq(transport_zmq_check_version(4, 2, 9, &diag), S4_UNSUPPORTED);
    ck_assert_int_eq(transport_zmq_check_version(3, 9, 9, &diag), S4_UNSUPPORTED);
    ck_assert_int_eq(transport_zmq_check_version(4, 3, 4, &diag), S4_OK);
    ck_assert_int_eq(transport_zmq_check_version(4, 4, 0, &diag), S4_OK);
    ck_assert_int_eq(transport_zmq_check_version(5, 0, 0, &diag), S4_OK);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("transport_zmq");
    suite_add(suite, "order", zmq_keeps_order, 30);
    suite_add(suite, "limits", zmq_keeps_limits, 30);
    suite_add(suite, "full", zmq_refuses_when_full, 30);
    suite_add(suite, "ends", zmq_tells_ends, 30);
    suite_add(suite, "wake", zmq_waits_and_wakes, 30);
    suite_add(suite, "addresses", zmq_names_bad_addresses, 30);
    suite_add(suite, "threads", zmq_serves_two_threads, 30);
    suite_add(suite, "version", old_libraries_are_refused, 30);
    return suite;
}
