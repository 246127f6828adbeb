/* Members of a cluster over a real ZooKeeper, each through a network of its own that can be cut:
 * one leads, dies, another one leads; whoever could be dead does not answer. What is decided:
 * tests/sim/cluster_test.c, which runs the same members on a simulated service.
 */
#include "tests/support/suite.h"

#include "router/coord/cluster.h"
#include "router/coord/coord_zk.h"
#include "router/coord/found.h"
#include "runtime/base/buffer.h"
#include "runtime/base/hash.h"
#include "tests/support/coord_place.h"
#include "tests/support/driven.h"
#include "tests/support/zoo_raw.h"

#define MEMBERS      3
#define SLOTS        12
#define VERSIONS_MAX 1024
#define LIMIT_US     60000000

struct member {
    struct cluster *cluster; /* NULL: not there */
    struct proxy proxy;
    uint64_t version;
    size_t joins, stops;
};

static struct zoo zoo;
static struct waker waker;
static struct member members[MEMBERS];
static uint64_t contents[VERSIONS_MAX]; /* of each map, by version; 0: nobody has it yet */

static uint64_t now_us(void)
{
    return clock_real.boot_us(&clock_real);
}

/* ---- what members hear ----------------------------------------------------------------------- */

static void on_joined(void *user, uint32_t index, uint64_t incarnation)
{
    struct member *member = user;
    member->joins++;
}

/* A version has one content for everybody. */
static void check_content(const struct map *map)
{
    struct buffer bytes;
    buffer_init(&bytes);
    ck_assert_int_eq(map_pack(map, &bytes), S4_OK);
    uint64_t content = hash_bytes(bytes.data, bytes.size) | 1;
    buffer_fini(&bytes);
    ck_assert_uint_lt(map->version, VERSIONS_MAX);
    if (contents[map->version] == 0)
        contents[map->version] = content;
    ck_assert_uint_eq(contents[map->version], content);
}

/* Whoever is not in the map that somebody has does not answer any more. */
static void check_missing(const struct map *map)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct member *member = &members[i];
        if (member->cluster && member->version > 0 && member->version < map->version &&
            map_find_incarnation(map, cluster_incarnation(member->cluster)) == MAP_NOBODY)
            ck_assert(!cluster_may_answer(member->cluster, now_us()));
    }
}

static void on_changed(void *user, const struct map *old, const struct map *map)
{
    struct member *member = user;
    uint32_t slot = map_moving(map), index = cluster_index(member->cluster);
    ck_assert_uint_gt(map->version, member->version);
    member->version = map->version;
    check_content(map);
    check_missing(map);
    if (slot != MAP_SLOTS_MAX && map->slots[slot].target == index)
        cluster_report_move(member->cluster, slot, map->slots[slot].move, true, NULL);
}

static void on_app(void *user, const struct map_app *app, enum cluster_app what)
{
}

static void on_stop(void *user, const struct diag *why)
{
    struct member *member = user;
    member->stops++;
}

static void on_ended(void *user, const struct diag *why)
{
    ck_abort_msg("%s", why->text);
}

static const struct cluster_upcalls upcalls = { on_joined, on_changed, on_app, on_stop, on_ended };

/* ---- members come and go --------------------------------------------------------------------- */

static s4_status connect_member(void *user, struct coord **coord, struct diag *diag)
{
    const struct member *member = user;
    struct coord_zk_options options = { .hosts = member->proxy.host,
                                        .session_ms = COORD_PLACE_SESSION_MS,
                                        .clock = &clock_real };
    return coord_zk_create(&options, coord, diag);
}

static void start(size_t i)
{
    struct member *member = &members[i];
    struct entry_node entry = { .workers = 1 };
    struct diag diag = { 0 };
    struct cluster_options options = { .cluster = "c",
                                       .node = &entry,
                                       .service = { .connect = connect_member, .user = member },
                                       .clock = &clock_real,
                                       .waker = &waker,
                                       .upcalls = &upcalls,
                                       .user = member };
    snprintf(entry.name, sizeof entry.name, "n%zu", i);
    snprintf(entry.address, sizeof entry.address, "tcp://127.0.0.1:%zu", 7000 + i);
    snprintf(entry.release, sizeof entry.release, "1");
    *member = (struct member){ 0 };
    proxy_open(&member->proxy, zoo.ports[i % zoo.n]);
    ck_assert_msg(cluster_create(&options, &member->cluster, &diag) == S4_OK, "%s", diag.text);
}

static void leave(size_t i)
{
    cluster_destroy(members[i].cluster);
    members[i].cluster = NULL;
    proxy_close(&members[i].proxy);
}

static void turn(uint64_t timeout_us)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (!members[i].cluster)
            continue;
        cluster_step(members[i].cluster);
        uint64_t its_us = cluster_timeout_us(members[i].cluster);
        timeout_us = its_us < timeout_us ? its_us : timeout_us;
    }
    if (timeout_us > 0)
        waker_wait(&waker, timeout_us);
}

static void until(bool (*so)(size_t argument), size_t argument, const char *what)
{
    uint64_t deadline_us = now_us() + LIMIT_US;
    while (!so(argument)) {
        ck_assert_msg(now_us() < deadline_us, "waited in vain: %s", what);
        turn(20000);
    }
}

static void on_founded(void *user, s4_status status, const struct diag *why)
{
    ck_assert_msg(status == S4_OK, "%s", why->text);
    *(bool *)user = true;
}

static bool is_true(void *user)
{
    return *(const bool *)user;
}

static void open_cluster(size_t servers)
{
    struct coord_place place;
    struct diag diag = { 0 };
    bool founded = false;
    struct found found = {
        .name = "c", .spec = { 42, SLOTS }, .done = on_founded, .user = &founded
    };
    zoo_open(&zoo, servers);
    coord_place_hosts = zoo.hosts;
    coord_place_open_at(&place, "/");
    found.coord = coord_place_join(&place)->coord;
    ck_assert_msg(found_start(&found, &diag) == S4_OK, "%s", diag.text);
    coord_place_until(&place, is_true, &founded, "a cluster");
    coord_place_close(&place);
    ck_assert_int_eq(waker_init(&waker), S4_OK);
    for (size_t i = 0; i < MEMBERS; i++)
        start(i);
}

static void open_one(void)
{
    open_cluster(1);
}

static void open_three(void)
{
    open_cluster(3);
}

static void close_cluster(void)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (members[i].cluster)
            leave(i);
    waker_fini(&waker);
    zoo_close(&zoo);
}

/* ---- what is waited for ---------------------------------------------------------------------- */

/* So many members share all slots, each of them knows it and may answer, and one leads. */
static bool is_settled(size_t n)
{
    const struct map *newest = NULL;
    size_t leaders = 0, knowing = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct map *map = members[i].cluster ? cluster_map(members[i].cluster) : NULL;
        if (map && (!newest || map->version > newest->version))
            newest = map;
    }
    if (!newest || map_members_count(newest) != n || map_moving(newest) != MAP_SLOTS_MAX)
        return false;
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct cluster *cluster = members[i].cluster;
        uint32_t index = cluster ? cluster_index(cluster) : MAP_NOBODY;
        if (index == MAP_NOBODY || cluster_map(cluster)->version != newest->version ||
            !cluster_may_answer(cluster, now_us()))
            continue;
        knowing += map_slots_of(newest, index, false) == SLOTS / n;
        leaders += cluster_leads(cluster);
    }
    return knowing == n && leaders == 1;
}

/* Whoever is cut off may take itself for it, too. */
static bool is_leader(const struct cluster *cluster)
{
    return cluster && cluster_leads(cluster) && cluster_may_answer(cluster, now_us());
}

static size_t leader(void)
{
    size_t i = 0;
    while (i < MEMBERS && !is_leader(members[i].cluster))
        i++;
    ck_assert_uint_lt(i, MEMBERS);
    return i;
}

static bool is_missing(size_t i)
{
    const struct map *map = cluster_map(members[(i + 1) % MEMBERS].cluster);
    char name[8];
    snprintf(name, sizeof name, "n%zu", i);
    return map && map_find_member(map, name) == MAP_NOBODY;
}

static bool has_stopped(size_t i)
{
    return members[i].stops > 0;
}

static bool nobody_may_answer(size_t unused)
{
    bool any = false;
    for (size_t i = 0; i < MEMBERS; i++)
        any |= cluster_may_answer(members[i].cluster, now_us());
    return !any;
}

/* ---- */

START_TEST(another_one_leads_when_the_leader_is_cut_off)
{
    until(is_settled, MEMBERS, "three members");
    for (int round = 0; round < 2; round++) {
        size_t first = leader();
        uint64_t epoch = cluster_map(members[first].cluster)->leader_epoch;
        uint64_t incarnation = cluster_incarnation(members[first].cluster);
        members[first].stops = 0;
        driven_tell(&members[first].proxy.driven, "0 cut");
        until(is_missing, first, "a map without the one that is cut off");
        ck_assert(!cluster_may_answer(members[first].cluster, now_us()));
        until(is_settled, MEMBERS - 1, "two members");
        size_t second = leader();
        ck_assert_uint_ne(second, first);
        ck_assert_uint_gt(cluster_map(members[second].cluster)->leader_epoch, epoch);
        driven_tell(&members[first].proxy.driven, "0 heal");
        until(has_stopped, first, "the first one's end");
        until(is_settled, MEMBERS, "three members again");
        ck_assert_uint_ne(cluster_incarnation(members[first].cluster), incarnation);
    }
}
END_TEST

START_TEST(who_leaves_is_gone_at_once)
{
    until(is_settled, MEMBERS, "three members");
    leave(leader());
    until(is_settled, MEMBERS - 1, "two members");
    leave(leader());
    until(is_settled, 1, "one member");
    for (size_t i = 0; i < MEMBERS; i++)
        if (!members[i].cluster)
            start(i);
    until(is_settled, MEMBERS, "three members");
}
END_TEST

/* Nobody is dead because nobody could say that he lives. */
START_TEST(a_service_that_was_away_changes_nothing)
{
    until(is_settled, MEMBERS, "three members");
    uint64_t version = cluster_map(members[0].cluster)->version;
    driven_tell(&zoo.driven, "kill 0");
    until(nobody_may_answer, 0, "that nobody may answer");
    ck_assert_uint_eq(cluster_map(members[0].cluster)->version, version);
    driven_tell(&zoo.driven, "start 0");
    until(is_settled, MEMBERS, "three members");
    for (size_t i = 0; i < MEMBERS; i++) {
        ck_assert_uint_eq(members[i].joins, 1);
        ck_assert_uint_eq(members[i].stops, 0);
    }
    ck_assert_uint_eq(cluster_map(members[0].cluster)->version, version);
}
END_TEST

START_TEST(members_outlive_the_servers_leader)
{
    until(is_settled, MEMBERS, "three members");
    for (int round = 0; round < 2; round++) {
        size_t server = zoo_leader(&zoo);
        driven_tell(&zoo.driven, "kill %zu", server);
        driven_tell(&zoo.driven, "start %zu", server);
        until(is_settled, MEMBERS, "three members");
    }
}
END_TEST

static bool all_complain(size_t unused)
{
    bool all = true;
    for (size_t i = 0; i < MEMBERS; i++)
        all = all && cluster_why(members[i].cluster)->code == S4_CORRUPT;
    return all;
}

START_TEST(a_map_of_garbage_is_refused_and_not_written_over)
{
    until(is_settled, MEMBERS, "three members");
    uint64_t version = cluster_map(members[0].cluster)->version;
    zoo_raw_set(zoo.hosts, "/s4/c/map", "\xff garbage");
    until(all_complain, 0, "complaints");
    ck_assert_uint_eq(cluster_map(members[0].cluster)->version, version);
    ck_assert(cluster_may_answer(members[0].cluster, now_us()));
    leave(leader()); /* the next one does not write over it either */
    for (uint64_t end_us = now_us() + 1500000; now_us() < end_us;)
        turn(20000);
    zoo_raw_check(zoo.hosts, "/s4/c/map", "\xff garbage");
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("zookeeper_members");
    suite_add_with(suite, "cut", another_one_leads_when_the_leader_is_cut_off, 120, open_one,
                   close_cluster);
    suite_add_with(suite, "leaves", who_leaves_is_gone_at_once, 120, open_one, close_cluster);
    suite_add_with(suite, "away", a_service_that_was_away_changes_nothing, 120, open_one,
                   close_cluster);
    suite_add_with(suite, "ensemble", members_outlive_the_servers_leader, 120, open_three,
                   close_cluster);
    suite_add_with(suite, "garbage", a_map_of_garbage_is_refused_and_not_written_over, 120,
                   open_one, close_cluster);
    return suite;
}
