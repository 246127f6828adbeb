/* Two nodes over the network inside one process, and what a node refuses. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/net/net.h"
#include "tests/support/net_check.h"

START_TEST(blocks_go_both_ways)
{
    net_check_both_ways(ENDS_SIM);
    net_check_both_ways(ENDS_INPROC);
}
END_TEST

START_TEST(the_window_holds)
{
    net_check_window(ENDS_SIM);
}
END_TEST

START_TEST(threads_serve)
{
    net_check_threads(ENDS_INPROC);
}
END_TEST

START_TEST(a_lost_node_is_told)
{
    net_check_loss(ENDS_SIM);
    net_check_loss(ENDS_INPROC);
}
END_TEST

START_TEST(the_wrong_node_is_refused)
{
    net_check_wrong_node(ENDS_SIM);
}
END_TEST

START_TEST(strangers_do_no_harm)
{
    net_check_strangers(ENDS_SIM);
}
END_TEST

static const struct net_upcalls ignored = { 0 };

START_TEST(options_are_checked)
{
    struct ends ends;
    struct diag diag = { 0 };
    struct net *net = NULL;
    uint32_t peer;
    ends_open(&ends, ENDS_SIM, 8, 0);
    struct net_options options = {
        .transport = ends.transports[0],
        .clock = ends.clock,
        .node = "a b",
        .upcalls = &ignored,
    };
    ck_assert_int_eq(net_create(&options, &net, &diag), S4_INVALID);
    ck_assert_ptr_nonnull(strstr(diag.text, "\"a b\""));
    options.node = "a";
    options.window = LANE_WINDOW_MAX + 1;
    ck_assert_int_eq(net_create(&options, &net, &diag), S4_RANGE);
    options.window = LANE_WINDOW_MAX;
    options.unheard_us = NET_UNHEARD_MIN_US - 1;
    ck_assert_int_eq(net_create(&options, &net, &diag), S4_RANGE);
    options.unheard_us = NET_UNHEARD_MIN_US;
    mem_fail_after(0);
    ck_assert_int_eq(net_create(&options, &net, &diag), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_ptr_null(net);
    ck_assert_int_eq(net_create(&options, &net, &diag), S4_OK);
    ck_assert_int_eq(net_connect(net, "b", 0, "nowhere", &peer, &diag), S4_STATE);
    net_identify(net, 1, 2);
    for (int tries = 0;; tries++) {
        mem_fail_after(tries);
        s4_status status = net_connect(net, "b", 0, "nowhere", &peer, &diag);
        mem_fail_after(-1);
        if (status == S4_OK)
            break;
        ck_assert_int_eq(status, S4_NO_MEMORY);
    }
    for (unsigned i = 1; i <= NET_PEERS_MAX; i++)
        ck_assert_int_eq(net_connect(net, "b", 0, "nowhere", &peer, &diag),
                         i < NET_PEERS_MAX ? S4_OK : S4_FULL);
    ck_assert_uint_eq(peer, NET_PEERS_MAX - 1);
    net_close(net);
    ck_assert(net_is_closed(net));
    ck_assert_int_eq(net_connect(net, "b", 0, "nowhere", &peer, &diag), S4_STATE);
    net_destroy(net);
    ends.transports[0] = NULL;
    ends_close(&ends);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("net");
    suite_add(suite, "both-ways", blocks_go_both_ways, 60);
    suite_add(suite, "window", the_window_holds, 30);
    suite_add(suite, "threads", threads_serve, 60);
    suite_add(suite, "loss", a_lost_node_is_told, 60);
    suite_add(suite, "wrong", the_wrong_node_is_refused, 30);
    suite_add(suite, "strangers", strangers_do_no_harm, 30);
    suite_add(suite, "options", options_are_checked, 10);
    return suite;
}
