/* ZooKeeper as a coordination service: the contract that all keep, over a real server. */
#include "tests/support/suite.h"

#include "tests/support/coord_check.h"
#include "tests/support/driven.h"
#include "tests/support/zoo_raw.h"

static struct zoo zoo;

static void open_one(void)
{
    zoo_open(&zoo, 1);
    coord_place_hosts = zoo.hosts;
}

static void open_three(void)
{
    zoo_open(&zoo, 3);
    coord_place_hosts = zoo.hosts;
}

static void close_zoo(void)
{
    zoo_close(&zoo);
}

START_TEST(a_server_keeps_the_contract)
{
    coord_check_entries(COORD_PLACE_ZK);
    coord_check_sessions(COORD_PLACE_ZK);
    coord_check_multi(COORD_PLACE_ZK);
    coord_check_watches(COORD_PLACE_ZK);
    coord_check_order(COORD_PLACE_ZK);
}
END_TEST

START_TEST(a_server_keeps_the_limits)
{
    coord_check_limits(COORD_PLACE_ZK);
}
END_TEST

/* ---- what cannot be used --------------------------------------------------------------------- */

static const char *refused(const char *root, struct coord_place *place, s4_status wanted)
{
    coord_place_open_at(place, root);
    struct coord_client *client = coord_place_start(place);
    coord_place_until_state(client, COORD_REFUSED);
    ck_assert_int_eq(coord_why(client->coord)->code, wanted);
    ck_assert_int_eq(coord_place_get(client, "/", 0, NULL), S4_UNAVAILABLE);
    ck_assert_uint_eq(coord_sure_until_us(client->coord), 0);
    const char *why = strchr(coord_why(client->coord)->text, '/');
    return why ? why : coord_why(client->coord)->text;
}

START_TEST(a_root_that_is_not_there_is_refused)
{
    struct coord_place place;
    ck_assert_str_eq(refused("/no/such", &place, S4_NOT_FOUND),
                     "/no/such: there is no such entry, which is to be the root here; it has to be "
                     "made first");
    coord_place_close(&place);
}
END_TEST

START_TEST(without_permission_it_is_refused_or_says_so)
{
    struct coord_place place;
    zoo_raw_create(zoo.hosts, "/secret", ZOO_RAW_WRITE | ZOO_RAW_CREATE);
    ck_assert_str_eq(refused("/secret", &place, S4_PERMISSION),
                     "/secret: no permission to read it; its ACL must allow this node to read, "
                     "write, create and delete");
    coord_place_close(&place);

    zoo_raw_create(zoo.hosts, "/readable", ZOO_RAW_READ);
    coord_place_open_at(&place, "/readable");
    struct coord_client *client = coord_place_join(&place);
    ck_assert_int_eq(coord_place_get(client, "/", COORD_FRESH | COORD_WATCH, NULL), S4_OK);
    ck_assert_int_eq(coord_place_create(client, "/a", COORD_PERSISTENT, "", NULL), S4_PERMISSION);
    coord_place_close(&place);
}
END_TEST

/* One that somebody has would do. */
START_TEST(a_host_that_nobody_has)
{
    struct coord_place place;
    coord_place_hosts = "no..such:2181,nor..this:2181";
    ck_assert_str_eq(refused("/", &place, S4_NOT_FOUND),
                     "ZooKeeper at no..such:2181,nor..this:2181: there is no host of such a name");
    coord_place_close(&place);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("zookeeper");
    suite_add_with(suite, "contract", a_server_keeps_the_contract, 60, open_one, close_zoo);
    suite_add_with(suite, "ensemble", a_server_keeps_the_contract, 60, open_three, close_zoo);
    suite_add_with(suite, "limits", a_server_keeps_the_limits, 60, open_one, close_zoo);
    suite_add_with(suite, "no root", a_root_that_is_not_there_is_refused, 30, open_one, close_zoo);
    suite_add_with(suite, "permission", without_permission_it_is_refused_or_says_so, 30, open_one,
                   close_zoo);
    suite_add(suite, "no host", a_host_that_nobody_has, 30);
    return suite;
}
