/* ZooKeeper as a coordination service: the contract that all keep, over a real server. */
#include "tests/support/suite.h"

#define THREADED /* the library's synchronous calls */
#include <zookeeper/zookeeper.h>

#include "tests/support/coord_check.h"
#include "tests/support/driven.h"

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

/* The library's own calls: for what S4 never asks for. */
static zhandle_t *raw;

static void nothing(zhandle_t *handle, int type, int state, const char *path, void *user)
{
}

static void raw_open(void)
{
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    raw = zookeeper_init(zoo.hosts, nothing, 10000, NULL, NULL, 0);
    ck_assert_ptr_nonnull(raw);
}

static void raw_close(void)
{
    ck_assert_int_eq(zookeeper_close(raw), ZOK);
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

static void set_acl(const char *path, int permissions)
{
    struct Id anyone = ZOO_ANYONE_ID_UNSAFE;
    struct ACL acl = { .perms = permissions, .id = anyone };
    struct ACL_vector list = { .count = 1, .data = &acl };
    raw_open();
    ck_assert_int_eq(zoo_create(raw, path, "", 0, &list, 0, NULL, 0), ZOK);
    raw_close();
}

START_TEST(without_permission_it_is_refused_or_says_so)
{
    struct coord_place place;
    set_acl("/secret", ZOO_PERM_WRITE | ZOO_PERM_CREATE);
    ck_assert_str_eq(refused("/secret", &place, S4_PERMISSION),
                     "/secret: no permission to read it; its ACL must allow this node to read, "
                     "write, create and delete");
    coord_place_close(&place);

    set_acl("/readable", ZOO_PERM_READ);
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
