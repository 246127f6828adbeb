/* The world: nodes, what they do, what befalls them; see the header. */
#include "tests/sim/cluster_world.h"

#include "router/coord/found.h"
#include "router/map/balance.h"
#include "runtime/base/hash.h"

void world_trace(struct world *world, char what, const struct sim_node *node, uint64_t number)
{
    world->trace = hash_mix(world->trace, (uint64_t)(uint8_t)what << 8 | (uint8_t)node->name[0]);
    world->trace = hash_mix(world->trace, number);
    if (world->loud)
        fprintf(stderr, "%10llu %c %s %llu\n", (unsigned long long)world->clock.now_us, what,
                node->name, (unsigned long long)number);
}

/* ---- what a node does ------------------------------------------------------------------------ */

static void plan_task(struct sim_node *node, struct task task, uint64_t in_us)
{
    CHECK(node->n_tasks < WORLD_TASKS);
    task.due_us = node->world->clock.now_us + in_us;
    node->tasks[node->n_tasks++] = task;
}

/* Whether a node can load a bundle depends on both, and on nothing else. */
static bool can_load(uint64_t id, uint32_t node)
{
    return hash_mix(id, node) % 32 != 0;
}

bool world_loads_all(uint64_t id)
{
    for (uint32_t n = 0; n < WORLD_NODES; n++)
        if (!can_load(id, n))
            return false;
    return true;
}

static void do_app(struct sim_node *node, const struct task *task)
{
    enum entry_app_state state = task->kind == TASK_CHECK ? ENTRY_CHECKED : ENTRY_LOADED;
    if (!can_load(task->id, (uint32_t)(node - node->world->nodes)))
        state = ENTRY_REFUSED;
    CHECK(cluster_report_app(node->cluster, task->app, task->id, state, "it does not fit") ==
          S4_OK);
}

static void do_task(struct sim_node *node, const struct task *task)
{
    struct world *world = node->world;
    world_trace(world, 't', node, task->id);
    if (task->kind != TASK_MOVE)
        do_app(node, task);
    else
        cluster_report_move(node->cluster, task->slot, task->id,
                            !world->faults || world_draw(world, 16) != 0, NULL);
}

static void do_tasks(struct sim_node *node)
{
    for (size_t i = 0; i < node->n_tasks;) {
        struct task task = node->tasks[i];
        if (task.due_us > node->world->clock.now_us) {
            i++;
            continue;
        }
        node->tasks[i] = node->tasks[--node->n_tasks];
        do_task(node, &task);
    }
}

static void on_joined(void *user, uint32_t index, uint64_t incarnation)
{
    struct sim_node *node = user;
    world_trace(node->world, 'j', node, incarnation);
    rules_joined(node, incarnation);
}

static void on_changed(void *user, const struct map *old, const struct map *map)
{
    struct sim_node *node = user;
    uint32_t number = map_moving(map), index = map_find_incarnation(map, node->incarnation);
    world_trace(node->world, 'c', node, map->version);
    rules_told(node, old, map);
    if (number == MAP_SLOTS_MAX || map->slots[number].target != index ||
        (old && old->slots[number].target != MAP_NOBODY &&
         old->slots[number].move == map->slots[number].move))
        return;
    plan_task(node,
              (struct task){ .kind = TASK_MOVE, .slot = number, .id = map->slots[number].move },
              1 + world_draw(node->world, node->world->faults ? 400000 : 4000));
}

static void on_app(void *user, const struct map_app *app, enum cluster_app what)
{
    struct sim_node *node = user;
    struct task task = { .kind = what == CLUSTER_APP_CHECK ? TASK_CHECK : TASK_LOAD,
                         .id = app->id };
    world_trace(node->world, 'a', node, app->id * 4 + (uint64_t)what);
    for (size_t i = 0; i < node->n_tasks; i++)
        if (node->tasks[i].kind != TASK_MOVE && strcmp(node->tasks[i].app, app->name) == 0)
            node->tasks[i--] = node->tasks[--node->n_tasks];
    memcpy(task.app, app->name, sizeof task.app);
    if (what != CLUSTER_APP_DROP)
        plan_task(node, task, 1 + world_draw(node->world, 200000));
}

static void on_stop(void *user, const struct diag *why)
{
    struct sim_node *node = user;
    world_trace(node->world, 's', node, node->version);
    if (!node->joined)
        world_broke(node->world, "node %s: stopped, and never joined", node->name);
    node->joined = node->killed = false;
    node->n_tasks = 0;
}

static void on_ended(void *user, const struct diag *why)
{
    struct sim_node *node = user;
    world_trace(node->world, 'e', node, (uint64_t)-why->code);
}

static const struct cluster_upcalls upcalls = { on_joined, on_changed, on_app, on_stop, on_ended };

/* ---- nodes come and go ----------------------------------------------------------------------- */

static s4_status connect_node(void *user, struct coord **coord, struct diag *diag)
{
    struct sim_node *node = user;
    s4_status status = coord_sim_create(node->world->service, &node->coord);
    *coord = node->coord;
    return status;
}

static void disconnect_node(void *user, struct coord *coord)
{
    struct sim_node *node = user;
    if (node->crashes)
        coord_sim_crash(coord);
    else
        coord_destroy(coord);
    node->coord = NULL;
}

void world_start(struct world *world, uint32_t n, uint32_t workers, bool standby)
{
    struct sim_node *node = &world->nodes[n];
    struct entry_node entry = { .workers = workers, .standby = standby };
    struct cluster_options options = {
        .cluster = "t",
        .node = &entry,
        .service = { connect_node, disconnect_node, node },
        .clock = &world->clock.clock,
        .seed = ++world->drawn * 1000003 + rng_next(&world->rng),
        .upcalls = &upcalls,
        .user = node,
    };
    CHECK(!node->cluster);
    *node = (struct sim_node){
        .world = world, .name = { (char)('a' + (int)n), 0 }, .workers = workers, .standby = standby
    };
    memcpy(entry.name, node->name, sizeof node->name);
    snprintf(entry.address, sizeof entry.address, "tcp://10.0.0.%u:7000", n);
    snprintf(entry.release, sizeof entry.release, "1");
    CHECK(cluster_create(&options, &node->cluster, NULL) == S4_OK);
    world_trace(world, '+', node, world->clock.now_us);
}

void world_crash(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    world_trace(world, '-', node, world->clock.now_us);
    node->crashes = true;
    cluster_destroy(node->cluster);
    node->cluster = NULL;
    node->joined = node->stopped = false;
    node->resume_us = UINT64_MAX;
}

static void resume(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    if (node->stopped && node->coord)
        coord_sim_stop(node->coord, false);
    node->stopped = false;
    node->resume_us = UINT64_MAX;
    if (!node->cluster)
        world_start(world, n, node->workers ? node->workers : 1 + n % 3, node->standby);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t node_due(struct sim_node *node)
{
    uint64_t now = node->world->clock.now_us, due = node->resume_us;
    if (!node->cluster || node->stopped)
        return due;
    uint64_t wait = cluster_timeout_us(node->cluster);
    due = wait < UINT64_MAX - now ? now + wait : UINT64_MAX;
    for (size_t i = 0; i < node->n_tasks; i++)
        due = earlier(due, node->tasks[i].due_us);
    return due;
}

static void step_node(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    if (node->resume_us <= world->clock.now_us)
        resume(world, n);
    if (!node->cluster || node->stopped)
        return;
    cluster_step(node->cluster);
    rules_look(world);
    do_tasks(node);
    if (cluster_state(node->cluster) == CLUSTER_ENDED)
        world_broke(world, "node %s ended: %s", node->name, cluster_why(node->cluster)->text);
}

void world_step(struct world *world, uint64_t by_us)
{
    uint64_t now = world->clock.now_us;
    uint64_t due = earlier(coord_world_due_us(world->service), now + by_us);
    for (uint32_t n = 0; n < WORLD_NODES; n++)
        due = earlier(due, node_due(&world->nodes[n]));
    if (world->faults)
        due = earlier(due, world->fault_us);
    if (due > now)
        clock_sim_advance(&world->clock, due - now);
    coord_world_step(world->service);
    rules_look(world);
    coord_step(world->operator_coord, COORD_CALLS_MAX);
    for (uint32_t n = 0; n < WORLD_NODES; n++)
        step_node(world, n);
    if (world->faults && world->clock.now_us >= world->fault_us)
        world_befall(world);
    if (++world->steps > 1000000)
        world_broke(world, "it goes on and on");
}

void world_run(struct world *world, uint64_t us)
{
    uint64_t end = world->clock.now_us + us;
    while (world->clock.now_us < end && !world->broken[0])
        world_step(world, end - world->clock.now_us);
}

/* ---- a life ---------------------------------------------------------------------------------- */

static void on_founded(void *user, s4_status status, const struct diag *why)
{
    struct world *world = user;
    CHECK(status == S4_OK);
    world->founded++;
}

static void operator_session(void *user, enum coord_state state)
{
}

static void operator_changed(void *user, const char *path, enum coord_change change)
{
}

static const struct coord_upcalls operator_upcalls = { operator_session, operator_changed };

static void found_cluster(struct world *world, uint32_t slots)
{
    struct found found = { .name = "t", .spec = { 42, slots }, .done = on_founded, .user = world };
    CHECK(coord_sim_create(world->service, &world->operator_coord) == S4_OK);
    CHECK(coord_attach(world->operator_coord, &operator_upcalls, world, NULL) == S4_OK);
    found.coord = world->operator_coord;
    for (bool asked = false; world->founded == 0;) {
        uint64_t due = coord_world_due_us(world->service);
        uint64_t next = earlier(due, world->clock.now_us + 1000);
        clock_sim_advance(&world->clock,
                          next > world->clock.now_us ? next - world->clock.now_us : 0);
        coord_world_step(world->service);
        coord_step(world->operator_coord, COORD_CALLS_MAX);
        if (!asked && coord_state(world->operator_coord) == COORD_CONNECTED) {
            CHECK(found_start(&found, NULL) == S4_OK);
            asked = true;
        }
    }
}

void world_open(struct world *world, uint64_t seed, uint32_t slots)
{
    memset(world, 0, sizeof *world);
    world->loud = getenv("S4_LOUD") != NULL;
    rng_init(&world->rng, seed);
    clock_sim_init(&world->clock, 1000000);
    struct coord_sim_options options = { .clock = &world->clock.clock,
                                         .seed = seed,
                                         .session_us = WORLD_SESSION,
                                         .delay_us_max = 2000,
                                         .lag_us_max = world_draw(world, 300000) };
    CHECK(coord_world_create(&options, &world->service) == S4_OK);
    found_cluster(world, slots);
    for (uint32_t n = 0; n < WORLD_NODES; n++)
        world->nodes[n] = (struct sim_node){ .world = world,
                                             .name = { (char)('a' + (int)n), 0 },
                                             .resume_us = UINT64_MAX };
    rules_look(world);
}

void world_close(struct world *world)
{
    for (uint32_t n = 0; n < WORLD_NODES; n++)
        cluster_destroy(world->nodes[n].cluster);
    coord_destroy(world->operator_coord);
    coord_world_destroy(world->service);
    map_destroy(world->map);
}

void world_heal(struct world *world)
{
    world->faults = false;
    if (world->away)
        coord_world_away(world->service, world->away = false);
    for (enum coord_fault fault = 0; fault < COORD_FAULTS; fault++)
        coord_world_set_rate(world->service, fault, 0);
    for (uint32_t n = 0; n < WORLD_NODES; n++) {
        struct sim_node *node = &world->nodes[n];
        if (node->coord)
            coord_sim_cut(node->coord, false, false);
        if (node->stopped || (!node->cluster && node->workers > 0))
            resume(world, n);
    }
}

static const char *unsettled_node(struct sim_node *node, const struct map *map)
{
    uint32_t index = cluster_index(node->cluster);
    if (cluster_state(node->cluster) != CLUSTER_PRESENT || index == MAP_NOBODY)
        return "no member yet";
    if (node->version != map->version)
        return "an old map";
    if (map->members[index].state == MAP_JOINING)
        return "joining still";
    return cluster_may_answer(node->cluster, node->world->clock.now_us) ? NULL : "may not answer";
}

/* What is not yet as it is to be; NULL: nothing. */
static const char *unsettled(struct world *world)
{
    uint32_t up = 0, leaders = 0;
    for (uint32_t n = 0; n < WORLD_NODES; n++) {
        struct sim_node *node = &world->nodes[n];
        const char *what = node->cluster ? unsettled_node(node, world->map) : NULL;
        if (what)
            return what;
        up += node->cluster != NULL;
        leaders += node->cluster && cluster_leads(node->cluster);
    }
    if (map_members_count(world->map) != up || leaders != 1)
        return "too many members or leaders";
    for (uint32_t i = 0; i < world->map->n_apps; i++)
        if (world->map->apps[i].phase == MAP_CHECK)
            return "a bundle is checked still";
    return map_moving(world->map) != MAP_SLOTS_MAX || balance_surplus(world->map) > 0
               ? "slots move still"
               : NULL;
}

bool world_settle(struct world *world, uint64_t us)
{
    uint64_t end = world->clock.now_us + us, calm = 0;
    int64_t version = -1;
    while (!world->broken[0]) {
        const char *what = unsettled(world);
        if (what || version != world->map_version)
            calm = world->clock.now_us;
        version = world->map_version;
        if (!what && world->clock.now_us - calm > 2 * WORLD_SESSION)
            return true;
        if (world->clock.now_us > end)
            world_broke(world, "it does not settle: %s", what ? what : "the map changes still");
        world_step(world, 1000000);
    }
    return false;
}

void world_live(struct world *world, uint64_t seed)
{
    world_open(world, seed, 1 + (uint32_t)(hash_mix(seed, 7) % 24));
    world->rates = (uint32_t)rng_next(&world->rng);
    for (enum coord_fault fault = 0; fault < COORD_FAULTS; fault++)
        if (world_draw(world, 3) > 0)
            coord_world_set_rate(world->service, fault, 4 + (uint32_t)world_draw(world, 60));
    uint32_t nodes = 2 + (uint32_t)world_draw(world, WORLD_NODES - 1);
    for (uint32_t n = 0; n < nodes; n++)
        world_start(world, n, 1 + (uint32_t)world_draw(world, 3), world_draw(world, 5) == 0);
    world->faults = true;
    world_run(world, 10000000 + world_draw(world, 20000000));
    if (!world->broken[0])
        world_heal(world);
    if (!world->broken[0])
        world_settle(world, 120000000);
    world->trace = hash_mix(world->trace, coord_world_hash(world->service));
}
