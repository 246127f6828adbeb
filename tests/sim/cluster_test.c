/* The cluster's coordination in simulated worlds: any seed keeps the rules and settles, a seed runs
 * the same way twice, and some lives told one by one. */
#include "tests/support/suite.h"

#include "router/coord/found.h"
#include "runtime/base/mem.h"
#include "tests/sim/cluster_world.h"

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void live(struct world *world, uint64_t seed)
{
    world_live(world, seed);
    ck_assert_msg(world->broken[0] == 0, "seed %llu: %s", (unsigned long long)seed, world->broken);
}

START_TEST(any_seed_keeps_the_rules_and_settles)
{
    static struct world world;
    uint64_t first = number("S4_SEED", 1), n = number("S4_SEEDS", 100);
    size_t moves = 0, bumps = 0, leaders = 0, versions = 0;
    for (uint64_t seed = first; seed < first + n; seed++) {
        live(&world, seed);
        moves += world.moves;
        bumps += world.bumps;
        leaders += world.leaders;
        versions += world.map->version;
        world_close(&world);
    }
    fprintf(stderr,
            "%llu seeds from %llu: %zu versions, %zu moves, %zu slots began empty, "
            "%zu leaders\n",
            (unsigned long long)n, (unsigned long long)first, versions, moves, bumps, leaders);
    ck_assert(n < 20 || (moves > n && bumps > n && leaders > n));
}
END_TEST

START_TEST(a_seed_runs_the_same_way_twice)
{
    static struct world world;
    uint64_t first = number("S4_SEED", 1), n = number("S4_SEEDS", 100) / 10;
    for (uint64_t seed = first; seed < first + n; seed++) {
        live(&world, seed);
        uint64_t trace = world.trace;
        world_close(&world);
        live(&world, seed);
        ck_assert_uint_eq(world.trace, trace);
        world_close(&world);
    }
}
END_TEST

/* ---- lives told one by one ------------------------------------------------------------------- */

/* A node beside the world's, which only notes what it is told. */
struct guest {
    struct world *world;
    struct cluster *cluster;
    bool joined, ended;
    struct diag why;
};

static s4_status guest_connect(void *user, struct coord **coord, struct diag *diag)
{
    return coord_sim_create(((struct guest *)user)->world->service, coord);
}

static void guest_joined(void *user, uint32_t index, uint64_t incarnation)
{
    ((struct guest *)user)->joined = true;
}

static void guest_changed(void *user, const struct map *old, const struct map *map)
{
}

static void guest_stop(void *user, const struct diag *why)
{
}

static void guest_ended(void *user, const struct diag *why)
{
    struct guest *guest = user;
    guest->ended = true;
    guest->why = *why;
}

static const struct cluster_upcalls guest_upcalls = {
    .joined = guest_joined, .changed = guest_changed, .stop = guest_stop, .ended = guest_ended
};

static s4_status guest_start(struct guest *guest, struct world *world, const char *cluster,
                             const char *name, uint32_t workers, struct diag *diag)
{
    struct entry_node node = { .workers = workers };
    struct cluster_options options = { .cluster = cluster,
                                       .node = &node,
                                       .service = { .connect = guest_connect, .user = guest },
                                       .clock = &world->clock.clock,
                                       .seed = 99,
                                       .upcalls = &guest_upcalls,
                                       .user = guest };
    *guest = (struct guest){ .world = world };
    snprintf(node.name, sizeof node.name, "%s", name);
    snprintf(node.address, sizeof node.address, "tcp://10.9.9.9:9");
    snprintf(node.release, sizeof node.release, "1");
    return cluster_create(&options, &guest->cluster, diag);
}

static void guest_run(struct guest *guest, uint64_t us)
{
    uint64_t end = guest->world->clock.now_us + us;
    while (guest->world->clock.now_us < end && !guest->ended) {
        cluster_step(guest->cluster);
        world_step(guest->world, 10000);
    }
}

/* Three nodes that have shared the slots. */
static void three(struct world *world)
{
    world_open(world, 7, 12);
    for (uint32_t n = 0; n < 3; n++)
        world_start(world, n, 1, false);
    ck_assert_msg(world_settle(world, 60000000), "%s", world->broken);
}

static uint32_t owned(const struct world *world, const char *name)
{
    uint32_t index = map_find_member(world->map, name);
    return index == MAP_NOBODY ? 0 : map_slots_of(world->map, index, false);
}

START_TEST(the_second_of_a_name_is_refused)
{
    static struct world world;
    struct guest guest;
    three(&world);
    ck_assert_int_eq(guest_start(&guest, &world, "t", "b", 1, NULL), S4_OK);
    guest_run(&guest, WORLD_SESSION);
    ck_assert_int_eq(cluster_state(guest.cluster), CLUSTER_WAITING);
    guest_run(&guest, 3 * WORLD_SESSION);
    ck_assert(guest.ended && !guest.joined);
    ck_assert_int_eq(guest.why.code, S4_EXISTS);
    ck_assert_str_eq(guest.why.text, "a node of the name b is in the cluster t already, at "
                                     "tcp://10.0.0.1:7000; give this one another name");
    ck_assert_uint_eq(cluster_timeout_us(guest.cluster), WAKER_FOREVER);
    cluster_destroy(guest.cluster);
    ck_assert_msg(world_settle(&world, 10000000), "%s", world.broken);
    ck_assert_uint_eq(owned(&world, "b"), 4);
    world_close(&world);
}
END_TEST

/* Its own earlier entry is waited out. */
START_TEST(a_node_that_starts_again_joins_again)
{
    static struct world world;
    three(&world);
    world_crash(&world, 1);
    world_start(&world, 1, 1, false);
    world_run(&world, 200000);
    ck_assert_int_eq(cluster_state(world.nodes[1].cluster), CLUSTER_WAITING);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_uint_eq(owned(&world, "b"), 4);
    ck_assert_uint_eq(world.bumps, 12 + 4); /* what the dead one had began empty */
    world_close(&world);
}
END_TEST

static void note_answer(void *user, s4_status status, const struct diag *why)
{
    *(struct diag *)user = *why;
    ((struct diag *)user)->code = status;
}

START_TEST(what_is_no_cluster_is_refused)
{
    static struct world world;
    struct guest guest;
    struct diag diag = { 0 };
    three(&world);
    ck_assert_int_eq(guest_start(&guest, &world, "nowhere", "x", 1, NULL), S4_OK);
    struct cluster_reply reply = { note_answer, &diag };
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(cluster_drain(guest.cluster, "x", reply), S4_OK);
    guest_run(&guest, WORLD_SESSION);
    ck_assert(guest.ended);
    ck_assert_int_eq(diag.code, S4_UNAVAILABLE);
    ck_assert_int_eq(cluster_drain(guest.cluster, "x", reply), S4_STATE);
    ck_assert_int_eq(guest.why.code, S4_NOT_FOUND);
    ck_assert_str_eq(
        guest.why.text,
        "there is no cluster of the name nowhere; s4 cluster create nowhere makes one");
    cluster_destroy(guest.cluster);
    ck_assert_int_eq(guest_start(&guest, &world, "..", "x", 1, &diag), S4_INVALID);
    ck_assert_int_eq(guest_start(&guest, &world, "t", "a b", 1, &diag), S4_INVALID);
    ck_assert_int_eq(guest_start(&guest, &world, "t", "x", 0, &diag), S4_INVALID);
    ck_assert_int_eq(guest_start(&guest, &world, "t", "x", MAP_WORKERS_MAX + 1, &diag), S4_INVALID);
    ck_assert_str_eq(diag.text, "65 workers, wanted 1 to 64");
    for (int64_t i = 0; i < 2; i++) {
        mem_fail_after(i);
        ck_assert_int_eq(guest_start(&guest, &world, "t", "x", 1, &diag), S4_NO_MEMORY);
    }
    mem_fail_after(-1);
    ck_assert_int_eq(guest_start(&guest, &world, "t", "x", MAP_WORKERS_MAX, &diag), S4_OK);
    cluster_destroy(guest.cluster);
    world_close(&world);
}
END_TEST

START_TEST(a_cluster_is_made_once)
{
    static struct world world;
    struct diag diag = { .code = S4_AGAIN };
    struct found found = { .name = "t", .spec = { 43, 64 }, .done = note_answer, .user = &diag };
    world_open(&world, 7, 12);
    found.coord = world.operator_coord;
    ck_assert_int_eq(found_start(&found, NULL), S4_OK);
    world_run(&world, 1000000);
    ck_assert_int_eq(diag.code, S4_EXISTS);
    ck_assert_str_eq(diag.text, "cluster t: there is a cluster of this name already");
    snprintf(found.name, sizeof found.name, "u");
    found.spec.slots = MAP_SLOTS_MAX;
    ck_assert_int_eq(found_start(&found, NULL), S4_OK);
    world_run(&world, 1000000);
    ck_assert_int_eq(diag.code, S4_OK);
    ck_assert_int_eq(found_start(&found, NULL), S4_OK); /* it was its own */
    world_run(&world, 1000000);
    ck_assert_int_eq(diag.code, S4_OK);
    found.spec.slots = MAP_SLOTS_MAX + 1;
    ck_assert_int_eq(found_start(&found, &diag), S4_INVALID);
    ck_assert_str_eq(diag.text, "4097 slots, wanted 1 to 4096");
    found.name[0] = 0;
    ck_assert_int_eq(found_start(&found, &diag), S4_INVALID);
    world_close(&world);
}
END_TEST

/* ---- what people ask ------------------------------------------------------------------------- */

/* A deployment that every node of the world can load, or one that some cannot. */
static struct entry_wanted bundle(bool loads)
{
    struct entry_wanted wanted = { .app = "counts", .hash = "00ff", .version = "1", .id = 1 };
    while (world_loads_all(wanted.id) != loads)
        wanted.id++;
    return wanted;
}

START_TEST(a_bundle_is_deployed_and_taken_away)
{
    static struct world world;
    three(&world);
    struct diag diag = { .code = S4_AGAIN };
    struct cluster_reply reply = { note_answer, &diag };
    struct entry_wanted wanted = bundle(true);
    ck_assert_int_eq(cluster_deploy(world.nodes[2].cluster, &wanted, reply), S4_OK);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_int_eq(diag.code, S4_OK);
    ck_assert_int_eq(map_find_app(world.map, "counts")->phase, MAP_RUN);
    wanted.id++;
    ck_assert_int_eq(cluster_deploy(world.nodes[1].cluster, &wanted, reply), S4_OK);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_int_eq(diag.code, S4_EXISTS);
    ck_assert_str_eq(diag.text, "counts: an app of this name is deployed already");
    ck_assert_int_eq(cluster_undeploy(world.nodes[0].cluster, "counts", reply), S4_OK);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_int_eq(diag.code, S4_OK);
    ck_assert_ptr_null(map_find_app(world.map, "counts"));
    ck_assert_int_eq(cluster_undeploy(world.nodes[0].cluster, "counts", reply), S4_OK);
    world_run(&world, 1000000);
    ck_assert_int_eq(diag.code, S4_NOT_FOUND);
    wanted = bundle(false);
    ck_assert_int_eq(cluster_deploy(world.nodes[2].cluster, &wanted, reply), S4_OK);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    const struct map_app *app = map_find_app(world.map, "counts");
    ck_assert_int_eq(app->phase, MAP_REFUSED);
    ck_assert_str_eq(app->why + 1, ": it does not fit");
    wanted = bundle(true); /* the refused one is not in the way */
    ck_assert_int_eq(cluster_deploy(world.nodes[2].cluster, &wanted, reply), S4_OK);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_int_eq(map_find_app(world.map, "counts")->phase, MAP_RUN);
    world_close(&world);
}
END_TEST

START_TEST(a_drained_node_hands_over_and_loses_nothing)
{
    static struct world world;
    three(&world);
    size_t bumps = world.bumps;
    struct diag diag = { .code = S4_AGAIN };
    struct cluster_reply reply = { note_answer, &diag };
    ck_assert_int_eq(cluster_drain(world.nodes[0].cluster, "c", reply), S4_OK);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_int_eq(diag.code, S4_OK);
    ck_assert_uint_eq(owned(&world, "c"), 0);
    ck_assert_uint_eq(owned(&world, "a"), 6);
    ck_assert_uint_eq(world.bumps, bumps);
    ck_assert_int_eq(cluster_drain(world.nodes[0].cluster, "c", reply), S4_OK); /* asked again */
    world_run(&world, 1000000);
    ck_assert_int_eq(diag.code, S4_OK);
    ck_assert_int_eq(cluster_drain(world.nodes[0].cluster, "nobody", reply), S4_OK);
    world_run(&world, 1000000);
    ck_assert_int_eq(diag.code, S4_NOT_FOUND);
    ck_assert_str_eq(diag.text, "nobody: no member of the cluster has this name");
    world_crash(&world, 2); /* it leaves; the next of its name is not drained */
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_uint_eq(world.bumps, bumps);
    world_start(&world, 2, 1, false);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_uint_eq(owned(&world, "c"), 4);
    size_t size;
    struct coord_stat stat;
    ck_assert_ptr_null(coord_world_find(world.service, "/s4/t/drains/c", &size, &stat));
    world_close(&world);
}
END_TEST

START_TEST(requests_have_a_limit)
{
    static struct world world;
    three(&world);
    struct diag diag = { .code = S4_AGAIN };
    struct cluster_reply reply = { note_answer, &diag };
    for (uint32_t i = 0; i < CLUSTER_REQUESTS_MAX; i++)
        ck_assert_int_eq(cluster_drain(world.nodes[0].cluster, "nobody", reply), S4_OK);
    ck_assert_int_eq(cluster_drain(world.nodes[0].cluster, "nobody", reply), S4_FULL);
    ck_assert_int_eq(cluster_drain(world.nodes[1].cluster, "no/body", reply), S4_INVALID);
    world_run(&world, 1000000);
    ck_assert_int_eq(cluster_drain(world.nodes[0].cluster, "nobody", reply), S4_OK);
    world_close(&world);
}
END_TEST

/* ---- what goes wrong ------------------------------------------------------------------------- */

START_TEST(without_the_service_the_map_stays)
{
    static struct world world;
    three(&world);
    uint64_t version = world.map->version;
    coord_world_away(world.service, true);
    world_run(&world, 10 * WORLD_SESSION);
    for (uint32_t n = 0; n < 3; n++) {
        ck_assert(world.nodes[n].joined); /* nobody was told to stop, but nobody answers */
        ck_assert(!cluster_may_answer(world.nodes[n].cluster, world.clock.now_us));
    }
    coord_world_away(world.service, false);
    ck_assert_msg(world_settle(&world, 30000000), "%s", world.broken);
    ck_assert_uint_eq(world.map->version, version);
    world_close(&world);
}
END_TEST

static void ignore(void *user, const struct coord_answer *answer)
{
    ck_assert_int_eq(answer->status, S4_OK);
}

static void put(struct world *world, const char *path, const char *text)
{
    struct coord_call call = { .answered = ignore };
    ck_assert_int_eq(coord_set(world->operator_coord, path, text, strlen(text), COORD_ANY, call),
                     S4_OK);
    world_run(world, 1000000);
}

static bool somebody_says(const struct world *world, const char *what)
{
    for (uint32_t n = 0; n < 3; n++)
        if (strstr(cluster_why(world->nodes[n].cluster)->text, what))
            return true;
    return false;
}

START_TEST(garbage_harms_nobody)
{
    static struct world world;
    three(&world);
    uint64_t version = world.map->version;
    put(&world, "/s4/t/nodes/b", "garbage"); /* it lives, as far as anybody can tell */
    ck_assert(somebody_says(&world, "/s4/t/nodes/b: 7 bytes that are no Node: malformed"));
    struct coord_call call = { .answered = ignore };
    ck_assert_int_eq(
        coord_create(world.operator_coord, "/s4/t/apps/x", COORD_PERSISTENT, "x", 1, call), S4_OK);
    ck_assert_int_eq(
        coord_create(world.operator_coord, "/s4/t/drains/y", COORD_PERSISTENT, "", 0, call), S4_OK);
    world_run(&world, 1000000);
    ck_assert_msg(world.broken[0] == 0, "%s", world.broken);
    ck_assert_uint_eq(world.map->version, version);
    ck_assert(somebody_says(&world, "/s4/t/apps/x: ") || somebody_says(&world, "/s4/t/drains/y: "));
    world_close(&world);
}
END_TEST

START_TEST(a_map_of_garbage_is_not_written_over)
{
    static struct world world;
    size_t size;
    struct coord_stat stat;
    three(&world);
    uint64_t version = world.nodes[0].version;
    put(&world, "/s4/t/map", "garbage");
    ck_assert(world.broken[0]);       /* the rules say so too */
    world_start(&world, 3, 1, false); /* nobody can be taken in */
    for (uint32_t i = 0; i < 2000; i++)
        world_step(&world, 50000);
    ck_assert(somebody_says(&world, "/s4/t/map: a map of 7 bytes: malformed"));
    ck_assert_uint_eq(world.nodes[0].version, version);
    ck_assert(world.nodes[0].joined && !world.nodes[3].joined);
    ck_assert_int_eq(
        memcmp(coord_world_find(world.service, "/s4/t/map", &size, &stat), "garbage", 7), 0);
    world_close(&world);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("cluster_sim");
    suite_add(suite, "seeds", any_seed_keeps_the_rules_and_settles, 3000);
    suite_add(suite, "replay", a_seed_runs_the_same_way_twice, 600);
    suite_add(suite, "one name", the_second_of_a_name_is_refused, 10);
    suite_add(suite, "again", a_node_that_starts_again_joins_again, 10);
    suite_add(suite, "no cluster", what_is_no_cluster_is_refused, 10);
    suite_add(suite, "founding", a_cluster_is_made_once, 10);
    suite_add(suite, "deploy", a_bundle_is_deployed_and_taken_away, 10);
    suite_add(suite, "drain", a_drained_node_hands_over_and_loses_nothing, 10);
    suite_add(suite, "requests", requests_have_a_limit, 10);
    suite_add(suite, "away", without_the_service_the_map_stays, 10);
    suite_add(suite, "garbage", garbage_harms_nobody, 10);
    suite_add(suite, "garbage map", a_map_of_garbage_is_not_written_over, 10);
    return suite;
}
