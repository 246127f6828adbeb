/* Two nodes over ZeroMQ: tcp, ipc, and with keys. */
#include "tests/support/suite.h"

#include "tests/support/net_check.h"

START_TEST(blocks_go_both_ways)
{
    net_check_both_ways(ENDS_TCP);
    net_check_both_ways(ENDS_IPC);
    net_check_both_ways(ENDS_CURVE);
}
END_TEST

START_TEST(the_window_holds)
{
    net_check_window(ENDS_TCP);
}
END_TEST

START_TEST(threads_serve)
{
    net_check_threads(ENDS_TCP);
    net_check_threads(ENDS_IPC);
    net_check_threads(ENDS_CURVE);
}
END_TEST

START_TEST(a_lost_node_is_told)
{
    net_check_loss(ENDS_TCP);
    net_check_loss(ENDS_IPC);
    net_check_loss(ENDS_CURVE);
}
END_TEST

START_TEST(the_wrong_node_is_refused)
{
    net_check_wrong_node(ENDS_TCP);
}
END_TEST

START_TEST(strangers_do_no_harm)
{
    net_check_strangers(ENDS_TCP);
    net_check_strangers(ENDS_CURVE);
}
END_TEST

START_TEST(a_name_is_its_keys)
{
    net_check_names();
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("net_zmq");
    suite_add(suite, "both-ways", blocks_go_both_ways, 60);
    suite_add(suite, "window", the_window_holds, 30);
    suite_add(suite, "threads", threads_serve, 60);
    suite_add(suite, "loss", a_lost_node_is_told, 60);
    suite_add(suite, "wrong", the_wrong_node_is_refused, 30);
    suite_add(suite, "strangers", strangers_do_no_harm, 30);
    suite_add(suite, "names", a_name_is_its_keys, 30);
    return suite;
}
