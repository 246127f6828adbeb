/* The plan over random histories: nodes come, die, are drained and cannot load; whatever happens,
 * each version keeps the rules, and when nothing happens any more the shares are reached by the
 * fewest moves. Shares are compared with all shares that there are. */
#include "tests/support/suite.h"

#include "router/map/balance.h"
#include "router/map/plan.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

#define NODES 12 /* names: a, b, ... */

struct world {
    struct rng rng;
    struct map *map, *next;
    struct entry_node entries[NODES];
    bool lives[NODES], unreadable[NODES], stuck[NODES]; /* stuck: loads and moves nothing */
    struct entry_drain drains[NODES];
    size_t n_drains;
    struct entry_wanted wanted[4];
    size_t n_wanted;
    uint64_t drawn; /* incarnations, deployments */
    struct plan_options options;
    struct plan_result result;
};

static void world_open(struct world *world, uint64_t seed, uint32_t slots)
{
    memset(world, 0, sizeof *world);
    rng_init(&world->rng, seed);
    world->options.avoid_slot = MAP_SLOTS_MAX;
    ck_assert_int_eq(map_create(42, slots, &world->map), S4_OK);
    ck_assert_int_eq(map_create(42, slots, &world->next), S4_OK);
}

static void world_close(struct world *world)
{
    map_destroy(world->map);
    map_destroy(world->next);
}

static void start(struct world *world, uint32_t n, uint32_t workers, bool standby)
{
    struct entry_node *entry = &world->entries[n];
    *entry = (struct entry_node){
        .cluster = 42, .incarnation = ++world->drawn, .workers = workers, .standby = standby
    };
    snprintf(entry->name, sizeof entry->name, "%c", 'a' + (int)n);
    snprintf(entry->address, sizeof entry->address, "ipc://%u", n);
    snprintf(entry->release, sizeof entry->release, "1");
    world->lives[n] = true;
    world->unreadable[n] = world->stuck[n] = false;
}

static void drain(struct world *world, uint32_t n)
{
    for (size_t i = 0; i < world->n_drains; i++)
        if (world->drains[i].incarnation == world->entries[n].incarnation)
            return;
    if (world->n_drains == NODES)
        memmove(&world->drains[0], &world->drains[1], --world->n_drains * sizeof world->drains[0]);
    struct entry_drain *entry = &world->drains[world->n_drains++];
    memcpy(entry->node, world->entries[n].name, sizeof entry->node);
    entry->incarnation = world->entries[n].incarnation;
}

static const struct map_member *member_of(const struct world *world, uint32_t n)
{
    uint32_t index = map_find_incarnation(world->map, world->entries[n].incarnation);
    return world->lives[n] && index != MAP_NOBODY ? &world->map->members[index] : NULL;
}

static uint32_t owns(const struct world *world, uint32_t n)
{
    return map_slots_of(world->map, map_find_incarnation(world->map, world->entries[n].incarnation),
                        false);
}

/* ---- the rules of one step ------------------------------------------------------------------- */

static bool lives(const struct world *world, const struct map_member *member)
{
    for (uint32_t n = 0; n < NODES; n++)
        if (world->lives[n] && strcmp(world->entries[n].name, member->name) == 0)
            return world->unreadable[n] || world->entries[n].incarnation == member->incarnation;
    return false;
}

static void check_slot(const struct world *world, uint32_t number)
{
    const struct map *map = world->map, *next = world->next;
    const struct map_slot *a = &map->slots[number], *b = &next->slots[number];
    bool handed =
        a->target != MAP_NOBODY && b->owner == a->target && a->generation == b->generation;
    bool empty = b->generation == a->generation + 1;
    bool called_off = a->owner == b->owner && a->target != MAP_NOBODY && b->target == MAP_NOBODY;
    bool changed = a->owner != b->owner || empty || called_off;
    SUITE_SAME(b->epoch, changed ? next->version : a->epoch);
    SUITE_SAME(b->genesis, empty ? next->version : a->genesis);
    if (!changed)
        SUITE_SAME(b->worker, a->worker);
    if (a->owner != b->owner && b->owner != MAP_NOBODY)
        SUITE_SAME(true, handed != empty);
    SUITE_SAME(true, empty || a->generation == b->generation);
    /* empty: exactly when there was no owner, or the owner is dead and nobody took over from it */
    bool orphan = a->owner == MAP_NOBODY || !lives(world, &map->members[a->owner]);
    SUITE_SAME(true, !empty || orphan);
    SUITE_SAME(true, !orphan || empty || handed || b->owner == MAP_NOBODY);
    if (b->target != MAP_NOBODY && a->target == MAP_NOBODY)
        SUITE_SAME(true, b->move == next->version && next->members[b->target].state == MAP_ACTIVE);
}

static void check_step(const struct world *world)
{
    const struct map *map = world->map, *next = world->next;
    struct diag diag = { 0 };
    uint32_t moving = 0;
    s4_status status = map_check(next, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    ck_assert_uint_eq(next->version, map->version + 1);
    SUITE_SAME(true, !map_same(map, next));
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        if (map_member_exists(next, i))
            SUITE_SAME(true, lives(world, &next->members[i]));
        if (map_member_exists(map, i) && map_member_exists(next, i))
            SUITE_SAME(true, map->members[i].incarnation == next->members[i].incarnation &&
                                 map->members[i].since == next->members[i].since);
        else if (map_member_exists(next, i))
            SUITE_SAME(next->members[i].since, next->version);
    }
    for (uint32_t i = 0; i < next->n_slots; i++) {
        check_slot(world, i);
        moving += next->slots[i].target != MAP_NOBODY;
    }
    ck_assert_uint_le(moving, 1);
}

static bool step(struct world *world, bool may_move)
{
    struct plan_node nodes[NODES];
    struct plan_wanted wanted[4];
    struct plan_view view = { .nodes = nodes,
                              .wanted = wanted,
                              .drains = world->drains,
                              .n_drains = world->n_drains,
                              .n_wanted = world->n_wanted };
    for (uint32_t n = 0; n < NODES; n++)
        if (world->lives[n])
            nodes[view.n_nodes++] =
                (struct plan_node){ world->entries[n].name,
                                    world->unreadable[n] ? NULL : &world->entries[n] };
    for (size_t i = 0; i < world->n_wanted; i++)
        wanted[i] = (struct plan_wanted){ world->wanted[i].app, &world->wanted[i] };
    world->options.may_move = may_move;
    plan_next(world->map, &view, &world->options, world->next, &world->result);
    struct map *again = map_dup(world->map);
    struct plan_result second;
    plan_next(world->map, &view, &world->options, again, &second);
    SUITE_SAME(true, map_same(again, world->next) && again->version == world->next->version);
    map_destroy(again);
    if (!world->result.changed)
        return false;
    check_step(world);
    map_assign(world->map, world->next);
    return true;
}

/* ---- what nodes do --------------------------------------------------------------------------- */

static bool load_all(struct world *world, uint32_t n)
{
    bool any = false;
    for (uint32_t i = 0; i < world->map->n_apps; i++) {
        const struct map_app *app = &world->map->apps[i];
        enum entry_app_state state = app->phase == MAP_RUN ? ENTRY_LOADED : ENTRY_CHECKED;
        const struct entry_app *report = entry_find_app(&world->entries[n], app->name, app->id);
        if (app->phase == MAP_REFUSED || (report && report->state >= state))
            continue;
        ck_assert_int_eq(entry_report_app(&world->entries[n], app->name, app->id, state, NULL),
                         S4_OK);
        any = true;
    }
    return any;
}

static bool move_all(struct world *world, uint32_t n)
{
    uint32_t index = map_find_incarnation(world->map, world->entries[n].incarnation);
    uint32_t number = map_moving(world->map);
    if (number == MAP_SLOTS_MAX || world->map->slots[number].target != index ||
        entry_find_move(&world->entries[n], number, world->map->slots[number].move))
        return false;
    entry_report_move(&world->entries[n], number, world->map->slots[number].move, true, NULL);
    return true;
}

static bool nodes_act(struct world *world)
{
    bool any = false;
    for (uint32_t n = 0; n < NODES; n++) {
        if (!world->lives[n] || world->stuck[n])
            continue;
        any |= entry_forget(&world->entries[n], world->map);
        any |= load_all(world, n);
        any |= move_all(world, n);
    }
    return any;
}

/* Until nothing changes any more; how many moves were committed. */
static uint32_t settle(struct world *world)
{
    uint32_t moves = 0, idle = 0;
    for (uint32_t i = 0; idle < 2; i++) {
        ck_assert_uint_lt(i, 100000);
        bool any = nodes_act(world);
        any |= step(world, true);
        moves += world->result.moved;
        idle = any ? 0 : idle + 1;
    }
    return moves;
}

static void check_balanced(const struct world *world)
{
    uint64_t total = 0;
    bool any_active = false;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(world->map, i) && world->map->members[i].state == MAP_ACTIVE) {
            total += world->map->members[i].workers;
            any_active = true;
        }
    ck_assert_uint_eq(map_moving(world->map), MAP_SLOTS_MAX);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX && any_active; i++) {
        const struct map_member *member = &world->map->members[i];
        if (!map_member_exists(world->map, i))
            continue;
        uint64_t has = map_slots_of(world->map, i, false);
        uint64_t exact = member->state == MAP_ACTIVE
                             ? (uint64_t)member->workers * world->map->n_slots
                             : 0; /* times total */
        ck_assert(has * total < exact + total && exact < (has + 1) * total);
        uint32_t least = UINT32_MAX, most = 0, count[MAP_WORKERS_MAX] = { 0 };
        for (uint32_t s = 0; s < world->map->n_slots; s++)
            if (world->map->slots[s].owner == i)
                count[world->map->slots[s].worker]++;
        for (uint32_t w = 0; w < member->workers; w++) {
            least = count[w] < least ? count[w] : least;
            most = count[w] > most ? count[w] : most;
        }
        ck_assert_uint_le(most - least, 1);
    }
}

/* ---- random histories ------------------------------------------------------------------------ */

static void deploy(struct world *world)
{
    static const char *const names[] = { "alpha", "beta", "gamma", "delta" };
    struct entry_wanted wanted = { .id = ++world->drawn };
    snprintf(wanted.app, sizeof wanted.app, "%s", names[rng_below(&world->rng, 4)]);
    snprintf(wanted.hash, sizeof wanted.hash, "%llx", (unsigned long long)world->drawn);
    for (size_t i = 0; i < world->n_wanted; i++)
        if (strcmp(world->wanted[i].app, wanted.app) == 0) {
            world->wanted[i] = world->wanted[--world->n_wanted]; /* undeployed instead */
            return;
        }
    world->wanted[world->n_wanted++] = wanted;
}

static void refuse_something(struct world *world, uint32_t n)
{
    if (world->map->n_apps == 0)
        return;
    const struct map_app *app = &world->map->apps[rng_below(&world->rng, world->map->n_apps)];
    ck_assert_int_eq(entry_report_app(&world->entries[n], app->name, app->id, ENTRY_REFUSED, "no"),
                     S4_OK);
}

static void happen(struct world *world)
{
    uint32_t n = (uint32_t)rng_below(&world->rng, NODES);
    uint32_t moving = map_moving(world->map);
    switch (rng_below(&world->rng, 12)) {
    case 0:
    case 1:
    case 2: /* it starts, or starts again under a new incarnation */
        start(world, n, 1 + (uint32_t)rng_below(&world->rng, 4), rng_below(&world->rng, 5) == 0);
        break;
    case 3:
        world->lives[n] = false;
        break;
    case 4:
        if (world->lives[n])
            drain(world, n);
        break;
    case 5:
        if (world->n_drains > 0)
            world->n_drains--;
        break;
    case 6:
        deploy(world);
        break;
    case 7:
        if (world->lives[n] && rng_below(&world->rng, 3) == 0)
            refuse_something(world, n);
        break;
    case 8:
        if (moving != MAP_SLOTS_MAX && world->lives[n])
            entry_report_move(&world->entries[n], moving, world->map->slots[moving].move, false,
                              "away");
        break;
    case 9:
        world->stuck[n] ^= true;
        break;
    case 10:
        world->unreadable[n] = world->lives[n] && rng_below(&world->rng, 4) == 0;
        break;
    default:
        nodes_act(world);
        break;
    }
}

static void heal(struct world *world)
{
    for (uint32_t n = 0; n < NODES; n++)
        world->stuck[n] = world->unreadable[n] = false;
    nodes_act(world);
    while (step(world, false)) /* everything but new moves */
        nodes_act(world);
}

START_TEST(any_history_keeps_the_rules_and_settles)
{
    uint64_t seed = suite_seed();
    uint32_t balanced = 0;
    for (uint64_t run = 0; run < 120; run++) {
        struct world world;
        world_open(&world, seed + run,
                   1 + (uint32_t)rng_below(&(struct rng){ { seed, run, 1, 2 } }, 70));
        for (uint32_t round = 0; round < 8; round++) {
            for (uint32_t i = 0; i < 40; i++) {
                happen(&world);
                step(&world, rng_below(&world.rng, 2) == 0);
            }
            heal(&world);
            uint32_t wanted = balance_surplus(world.map);
            uint32_t moves = settle(&world);
            balanced += wanted > 0;
            /* a node that refused becomes fit again while moves go on, so more may be wanted */
            ck_assert_uint_ge(moves, wanted);
            ck_assert_uint_eq(balance_surplus(world.map), 0);
            check_balanced(&world);
        }
        world_close(&world);
    }
    ck_assert_uint_gt(balanced, 5);
}
END_TEST

/* Nodes that only come, go and are drained: exactly the surplus. */
START_TEST(no_move_too_many)
{
    uint64_t seed = suite_seed(), moved = 0;
    for (uint64_t run = 0; run < 100; run++) {
        struct world world;
        world_open(&world, seed + run, 64);
        for (uint32_t round = 0; round < 10; round++) {
            for (uint32_t i = 0; i < 3; i++) {
                uint32_t n = (uint32_t)rng_below(&world.rng, NODES);
                if (!world.lives[n])
                    start(&world, n, 1 + (uint32_t)rng_below(&world.rng, 4), false);
                else if (rng_below(&world.rng, 2) == 0)
                    drain(&world, n);
                else
                    world.lives[n] = false;
            }
            heal(&world);
            uint32_t wanted = balance_surplus(world.map);
            uint32_t moves = settle(&world);
            ck_assert_uint_eq(moves, wanted);
            moved += moves;
            check_balanced(&world);
        }
        world_close(&world);
    }
    ck_assert_uint_gt(moved, 500);
}
END_TEST

/* ---- shares ---------------------------------------------------------------------------------- */

/* The fewest moves over all ways to round the exact shares that sum up to all slots. */
static uint32_t fewest(const struct balance *balance, uint32_t n, uint32_t slots, uint64_t total,
                       uint32_t at, uint32_t given, uint32_t moves)
{
    if (at == n)
        return given == slots ? moves : UINT32_MAX;
    uint32_t best = UINT32_MAX;
    uint64_t exact = (uint64_t)slots * balance->weight[at];
    uint32_t ups = exact % total != 0 ? 1 : 0;
    for (uint32_t up = 0; up <= ups; up++) {
        uint32_t share = (uint32_t)(exact / total) + up;
        uint32_t beyond = balance->has[at] > share ? balance->has[at] - share : 0;
        uint32_t found = fewest(balance, n, slots, total, at + 1, given + share, moves + beyond);
        best = found < best ? found : best;
    }
    return best;
}

START_TEST(shares_are_the_best_there_are)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (uint32_t i = 0; i < 20000; i++) {
        struct balance balance = { 0 };
        uint32_t n = 1 + (uint32_t)rng_below(&rng, 6), slots = 1 + (uint32_t)rng_below(&rng, 24);
        uint64_t total = 0;
        uint32_t shares = 0, moves = 0;
        for (uint32_t m = 0; m < n; m++)
            total += balance.weight[m] = (uint32_t)rng_below(&rng, 5);
        for (uint32_t s = 0; s < slots; s++)
            balance.has[rng_below(&rng, n)]++;
        balance_share(&balance, slots);
        for (uint32_t m = 0; m < n; m++) {
            shares += balance.share[m];
            moves += balance.has[m] > balance.share[m] ? balance.has[m] - balance.share[m] : 0;
        }
        SUITE_SAME(shares, total ? slots : 0);
        if (total > 0)
            SUITE_SAME(moves, fewest(&balance, n, slots, total, 0, 0, 0));
    }
}
END_TEST

/* ---- single things --------------------------------------------------------------------------- */

START_TEST(a_cluster_grows_and_shrinks)
{
    struct world world;
    world_open(&world, 1, 64);
    start(&world, 0, 2, false);
    ck_assert_uint_eq(settle(&world), 0);
    ck_assert_uint_eq(owns(&world, 0), 64);
    ck_assert_uint_eq(world.map->slots[9].generation, 1);
    start(&world, 1, 2, false);
    ck_assert_uint_eq(settle(&world), 32);
    start(&world, 2, 4, false); /* as many workers as the others together */
    ck_assert_uint_eq(settle(&world), 32);
    ck_assert_uint_eq(owns(&world, 2), 32);
    drain(&world, 0);
    ck_assert_uint_eq(settle(&world), 16);
    ck_assert_uint_eq(owns(&world, 0), 0);
    ck_assert_int_eq(member_of(&world, 0)->state, MAP_DRAINING);
    for (uint32_t i = 0; i < 64; i++)
        ck_assert_uint_eq(world.map->slots[i].generation, 1); /* nothing began empty */
    world.lives[0] = world.lives[2] = false;
    uint32_t lost = owns(&world, 2), bumped = 0;
    ck_assert_uint_eq(settle(&world), 0);
    ck_assert_uint_eq(owns(&world, 1), 64);
    for (uint32_t i = 0; i < 64; i++)
        bumped += world.map->slots[i].generation == 2;
    ck_assert_uint_eq(bumped, lost);
    world_close(&world);
}
END_TEST

START_TEST(a_standby_waits_for_its_turn)
{
    struct world world;
    world_open(&world, 1, 12);
    start(&world, 0, 1, false);
    start(&world, 1, 1, false);
    start(&world, 2, 1, true);
    start(&world, 3, 1, true);
    settle(&world);
    ck_assert_int_eq(member_of(&world, 2)->state, MAP_STANDBY);
    ck_assert_uint_eq(owns(&world, 2), 0);
    world.lives[0] = false;
    ck_assert_uint_eq(settle(&world),
                      0); /* it takes the dead one's place, and nothing else moves */
    ck_assert_int_eq(member_of(&world, 2)->state, MAP_ACTIVE);
    ck_assert_uint_eq(owns(&world, 2), 6);
    ck_assert_uint_eq(owns(&world, 3), 0);
    world.lives[1] = world.lives[2] = false;
    settle(&world);
    ck_assert_uint_eq(owns(&world, 3), 12);
    world_close(&world);
}
END_TEST

START_TEST(a_move_ends_well_or_is_taken_back)
{
    struct world world;
    world_open(&world, 1, 2);
    start(&world, 0, 1, false);
    settle(&world);
    start(&world, 1, 1, false);
    world.stuck[1] = false;
    for (uint32_t i = 0; map_moving(world.map) == MAP_SLOTS_MAX; i++) {
        ck_assert_uint_lt(i, 10);
        nodes_act(&world);
        step(&world, true);
    }
    uint32_t number = map_moving(world.map);
    struct map *before = map_dup(world.map);
    /* an older move's report says nothing about this one */
    entry_report_move(&world.entries[1], number, world.map->slots[number].move - 1, true, NULL);
    ck_assert(!step(&world, true));
    /* the owner gives up */
    entry_report_move(&world.entries[0], number, world.map->slots[number].move, false, "full");
    ck_assert(step(&world, true));
    ck_assert_uint_eq(world.result.failed_slot, number);
    ck_assert_uint_eq(map_moving(world.map), MAP_SLOTS_MAX);
    ck_assert_uint_eq(world.map->slots[number].owner, before->slots[number].owner);
    ck_assert_uint_eq(world.map->slots[number].epoch,
                      world.map->version); /* a change of owner too */
    /* next time another goes first */
    world.options.avoid_slot = number;
    ck_assert(step(&world, true));
    uint32_t other = map_moving(world.map);
    ck_assert(other != MAP_SLOTS_MAX && other != number);
    /* the target dies */
    world.lives[1] = false;
    ck_assert(step(&world, true));
    ck_assert_uint_eq(world.map->slots[other].target, MAP_NOBODY);
    ck_assert_uint_eq(world.map->slots[other].owner, before->slots[other].owner);
    ck_assert_uint_eq(world.map->slots[other].generation, 1);
    /* the owner dies after all was handed over: nothing is lost */
    start(&world, 1, 1, false);
    for (uint32_t i = 0; map_moving(world.map) == MAP_SLOTS_MAX; i++) {
        ck_assert_uint_lt(i, 10);
        nodes_act(&world);
        step(&world, true);
    }
    number = map_moving(world.map);
    nodes_act(&world);
    world.lives[0] = false;
    ck_assert(step(&world, true));
    ck_assert_uint_eq(owns(&world, 1), 2);
    ck_assert_uint_eq(world.map->slots[number].generation, 1);
    ck_assert_uint_eq(world.map->slots[1 - number].generation, 2);
    map_destroy(before);
    world_close(&world);
}
END_TEST

static const struct map_app *app_of(const struct world *world)
{
    ck_assert_uint_ge(world->map->n_apps, 1);
    return &world->map->apps[0];
}

START_TEST(a_bundle_runs_on_all_or_on_none)
{
    struct world world;
    world_open(&world, 1, 4);
    start(&world, 0, 1, false);
    start(&world, 1, 1, true);
    settle(&world);
    deploy(&world);
    step(&world, true);
    ck_assert_int_eq(app_of(&world)->phase, MAP_CHECK);
    load_all(&world, 0);
    ck_assert(!step(&world, true)); /* one of two */
    load_all(&world, 1);
    ck_assert(step(&world, true));
    ck_assert_int_eq(app_of(&world)->phase, MAP_RUN);
    /* who joins later and cannot: no slots, and why */
    start(&world, 2, 1, false);
    step(&world, true);
    ck_assert_int_eq(entry_report_app(&world.entries[2], app_of(&world)->name, app_of(&world)->id,
                                      ENTRY_REFUSED, "too new"),
                     S4_OK);
    settle(&world);
    const struct map_member *unfit = member_of(&world, 2);
    ck_assert_int_eq(unfit->state, MAP_UNFIT);
    ck_assert(strlen(unfit->why) > 9 &&
              strcmp(unfit->why + strlen(unfit->why) - 9, ": too new") == 0);
    ck_assert_uint_eq(owns(&world, 2), 0);
    /* undeployed: it is fit again */
    world.n_wanted = 0;
    settle(&world);
    ck_assert_uint_eq(world.map->n_apps, 0);
    ck_assert_uint_eq(owns(&world, 2), 2);
    /* one refuses: none runs it, and it says who and why */
    deploy(&world);
    step(&world, true);
    ck_assert_int_eq(entry_report_app(&world.entries[1], app_of(&world)->name, app_of(&world)->id,
                                      ENTRY_REFUSED, "no memory"),
                     S4_OK);
    settle(&world);
    ck_assert_int_eq(app_of(&world)->phase, MAP_REFUSED);
    ck_assert_str_eq(app_of(&world)->why, "b: no memory");
    uint64_t id = app_of(&world)->id;
    world.n_wanted = 0; /* as the leader does */
    settle(&world);
    ck_assert_uint_eq(app_of(&world)->id, id); /* still to be read */
    world_close(&world);
}
END_TEST

/* Every limit at it and one above it: members, bundles, refusals. */
START_TEST(limits)
{
    static struct entry_node entries[MAP_MEMBERS_MAX + 1];
    static struct plan_node nodes[MAP_MEMBERS_MAX + 1];
    static struct entry_wanted entries_wanted[MAP_APPS_MAX + MAP_REFUSALS_MAX + 9];
    static struct plan_wanted wanted[ARRAY_LEN(entries_wanted)];
    struct plan_view view = { .nodes = nodes, .n_nodes = ARRAY_LEN(nodes), .wanted = wanted };
    struct plan_options options = { .avoid_slot = MAP_SLOTS_MAX };
    struct plan_result result;
    struct map *map, *next;
    for (uint32_t i = 0; i < ARRAY_LEN(nodes); i++) {
        entries[i] = (struct entry_node){ .incarnation = i + 1, .workers = 1 };
        snprintf(entries[i].name, sizeof entries[i].name, "n%03u", i);
        snprintf(entries[i].address, sizeof entries[i].address, "ipc://%u", i);
        snprintf(entries[i].release, sizeof entries[i].release, "1");
        nodes[i] = (struct plan_node){ entries[i].name, &entries[i] };
    }
    for (uint32_t i = 0; i < ARRAY_LEN(wanted); i++) {
        entries_wanted[i].id = i + 1;
        snprintf(entries_wanted[i].app, sizeof entries_wanted[i].app, "app%03u", i);
        snprintf(entries_wanted[i].hash, sizeof entries_wanted[i].hash, "ff");
        wanted[i] = (struct plan_wanted){ entries_wanted[i].app, &entries_wanted[i] };
    }
    ck_assert_int_eq(map_create(1, 64, &map), S4_OK);
    ck_assert_int_eq(map_create(1, 64, &next), S4_OK);
    plan_next(map, &view, &options, next, &result);
    ck_assert_uint_eq(map_members_count(next), MAP_MEMBERS_MAX);
    ck_assert_uint_eq(map_find_member(next, "n032"), MAP_NOBODY);
    map_assign(map, next);
    nodes[3].name = "n002a"; /* one goes; its index is free one version later */
    nodes[3].entry = NULL;
    plan_next(map, &view, &options, next, &result);
    map_assign(map, next);
    plan_next(map, &view, &options, next, &result);
    ck_assert_uint_eq(map_find_member(next, "n032"), 3);
    map_assign(map, next);

    view.n_wanted = MAP_APPS_MAX;
    plan_next(map, &view, &options, next, &result);
    ck_assert_uint_eq(next->n_apps, MAP_APPS_MAX);
    map_assign(map, next);
    for (view.n_wanted++; view.n_wanted <= ARRAY_LEN(wanted); view.n_wanted++) {
        plan_next(map, &view, &options, next, &result);
        ck_assert_int_eq(map_check(next, NULL), S4_OK);
        const struct map_app *app = map_find_app(next, entries_wanted[view.n_wanted - 1].app);
        ck_assert_int_eq(app->phase, MAP_REFUSED);
        ck_assert_str_eq(app->why, "the cluster has as many apps as it can have");
        wanted[view.n_wanted - 1].entry = NULL; /* as if it were taken away, as the leader does */
        map_assign(map, next);
    }
    ck_assert_uint_eq(map->n_apps, MAP_APPS_MAX + MAP_REFUSALS_MAX);
    ck_assert_ptr_null(map_find_app(map, entries_wanted[MAP_APPS_MAX].app)); /* the oldest went */
    map_destroy(map);
    map_destroy(next);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("plan");
    suite_add(suite, "histories", any_history_keeps_the_rules_and_settles, 60);
    suite_add(suite, "fewest moves", no_move_too_many, 60);
    suite_add(suite, "shares", shares_are_the_best_there_are, 60);
    suite_add(suite, "grows and shrinks", a_cluster_grows_and_shrinks, 10);
    suite_add(suite, "standby", a_standby_waits_for_its_turn, 10);
    suite_add(suite, "moves", a_move_ends_well_or_is_taken_back, 10);
    suite_add(suite, "bundles", a_bundle_runs_on_all_or_on_none, 10);
    suite_add(suite, "limits", limits, 10);
    return suite;
}
