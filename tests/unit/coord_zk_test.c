/* What coord_zk says without any server: options that are none, and that nobody is there. With
 * servers: tests/cluster/zookeeper_test.c.
 */
#include "tests/support/suite.h"

#include "router/coord/coord_zk.h"
#include "tests/support/coord_place.h"

static s4_status create(const char *hosts, const char *root, uint32_t session_ms, struct diag *diag)
{
    struct coord *coord;
    struct coord_zk_options options = {
        .hosts = hosts, .root = root, .session_ms = session_ms, .clock = &clock_real
    };
    s4_status status = coord_zk_create(&options, &coord, diag);
    if (status == S4_OK)
        coord_destroy(coord);
    return status;
}

START_TEST(hosts_are_checked)
{
    static const char *const good[] = { "a:1", "zoo.example.org:65535", "127.0.0.1:2181,b:2181",
                                        "[::1]:2181", "a_b-c:1,[fe80::1]:2,c:3" };
    static const char *const bad[] = { "",         ",",       "a",     "a:",        ":1",
                                       "a:0",      "a:65536", "a:1,",  "a:1,,b:2",  "a:1 ,b:2",
                                       "a:1/x",    "a b:1",   "[::1]", "[::1:2181", "::1:2181",
                                       "a:123456", "a:-1",    "a:+1",  "a:1x" };
    struct diag diag = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(create(good[i], NULL, 0, &diag) == S4_OK, "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(create(bad[i], NULL, 0, &diag) == S4_INVALID, "%s", bad[i]);
    ck_assert_str_eq(diag.text, "ZooKeeper's servers: 'a:1x', wanted HOST:PORT,HOST:PORT,...");
}
END_TEST

START_TEST(limits_are_kept)
{
    struct diag diag = { 0 };
    char hosts[COORD_ZK_HOSTS_MAX + 2];
    memset(hosts, 'h', sizeof hosts);
    memcpy(hosts + COORD_ZK_HOSTS_MAX - 5, ":2181", 6);
    ck_assert_int_eq(create(hosts, NULL, 0, &diag), S4_OK);
    memcpy(hosts + COORD_ZK_HOSTS_MAX - 5, "h:2181", 7);
    ck_assert_int_eq(create(hosts, NULL, 0, &diag), S4_TOO_LARGE);
    ck_assert_str_eq(diag.text, "ZooKeeper's servers: 1025 bytes, wanted at most 1024");
    ck_assert_int_eq(create("a:1", NULL, COORD_SESSION_MS_MIN - 1, &diag), S4_RANGE);
    ck_assert_str_eq(diag.text, "a session of 99 ms, wanted 100 to 600000");
    ck_assert_int_eq(create("a:1", NULL, COORD_SESSION_MS_MIN, &diag), S4_OK);
    ck_assert_int_eq(create("a:1", NULL, COORD_SESSION_MS_MAX, &diag), S4_OK);
    ck_assert_int_eq(create("a:1", NULL, COORD_SESSION_MS_MAX + 1, &diag), S4_RANGE);
    ck_assert_int_eq(create("a:1", "/", 0, &diag), S4_OK);
    ck_assert_int_eq(create("a:1", "/a/b", 0, &diag), S4_OK);
    ck_assert_int_eq(create("a:1", "/a/", 0, &diag), S4_INVALID);
    ck_assert_int_eq(create("a:1", "a", 0, &diag), S4_INVALID);
    ck_assert_ptr_nonnull(strstr(diag.text, "the root in ZooKeeper: 'a', wanted a path like"));
}
END_TEST

/* It waits, and says for what; a call is answered. */
START_TEST(nobody_is_there)
{
    struct coord_place place;
    coord_place_hosts = "127.0.0.1:1";
    coord_place_open_at(&place, "/");
    struct coord_client *client = coord_place_start(&place);
    ck_assert_int_eq(coord_place_get(client, "/", 0, NULL), S4_UNAVAILABLE);
    ck_assert_int_eq(coord_place_set(client, "/a", "", COORD_ANY), S4_UNAVAILABLE);
    ck_assert_int_eq(coord_why(client->coord)->code, S4_OK);
    coord_place_pass(&place, 1100000);
    ck_assert_str_eq(coord_why(client->coord)->text,
                     "ZooKeeper at 127.0.0.1:1: no server has answered yet; does it run, and is it "
                     "reachable?");
    ck_assert_int_eq(client->state, COORD_CONNECTING);
    ck_assert_uint_eq(coord_sure_until_us(client->coord), 0);
    coord_place_close(&place);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("coord_zk");
    suite_add(suite, "hosts", hosts_are_checked, 20);
    suite_add(suite, "limits", limits_are_kept, 20);
    suite_add(suite, "nobody", nobody_is_there, 30);
    return suite;
}
