/* A node of the whole cluster: what its process would be made of, and what its threads would do. */
#include "tests/sim/whole.h"

#include <check.h>

#include "runtime/actor/pool_sim.h"
#include "runtime/base/mem.h"

#define LOAD_US_MAX 30000u /* a bundle's thread takes so long */

/* One bundle and plugin for all engines of the process. */
static struct bundle *bundle;
static struct plugin *plugin;
static struct block_pool *pools[WHOLE_NODES][3]; /* each begins with 2 MiB */

static void make_plugin(void)
{
    struct problems problems;
    if (plugin)
        return;
    problems_init(&problems);
    s4_status status =
        bundle_from_app(&s4_plugin, "app.yaml", NULL, 0, NULL, 0, &bundle, &problems);
    ck_assert_msg(status == S4_OK, "%s", problems.count ? problems.list[0].text : "no bundle");
    problems_fini(&problems);
    ck_assert_int_eq(plugin_from_app(&s4_plugin, bundle, &plugin), S4_OK);
}

static struct block_pool *pool_of(const struct whole_node *node)
{
    size_t size = node->whole->draw.block_size;
    struct block_pool **pool = &pools[node->index][size <= 1 * KIB ? 0 : size <= 4 * KIB ? 1 : 2];
    if (!*pool)
        ck_assert_int_eq(block_pool_create(size, pool), S4_OK);
    return *pool;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static uint64_t mono_us(const struct clock *clock)
{
    const struct whole_clock *self = (const struct whole_clock *)(const void *)clock;
    return self->whole->clock.now_us - self->slept_us;
}

static uint64_t boot_us(const struct clock *clock)
{
    return ((const struct whole_clock *)(const void *)clock)->whole->clock.now_us;
}

/* ---- what is heard --------------------------------------------------------------------------- */

static void plan_task(struct whole_node *node, enum cluster_app what, const struct map_app *app)
{
    ck_assert_uint_lt(node->n_tasks, ARRAY_LEN(node->tasks));
    struct whole_task *task = &node->tasks[node->n_tasks++];
    *task = (struct whole_task){ .what = what, .app = *app };
    task->due_us = node->whole->clock.now_us + whole_below(node->whole, LOAD_US_MAX);
}

static void on_changed(void *user, const struct map *map, uint32_t self)
{
    struct whole_node *node = user;
    whole_trace(node->whole, 'm', node->index, map->version);
    if (!node->rig.engine && node->engine_us == UINT64_MAX)
        node->engine_us = node->whole->clock.now_us + whole_below(node->whole, LOAD_US_MAX);
}

static void on_app(void *user, const struct map_app *app, enum cluster_app what)
{
    plan_task(user, what, app);
}

static void on_stopped(void *user, const struct diag *why)
{
    struct whole_node *node = user;
    whole_trace(node->whole, 'o', node->index, 0);
    node->over = true;
}

static void on_failed(void *user, const struct diag *why)
{
    struct whole_node *node = user;
    whole_broke(node->whole, "node %s failed: %s", node->name, why->text);
}

static const struct membership_upcalls upcalls = { on_changed, on_app, on_stopped, on_failed };

/* ---- the engine ------------------------------------------------------------------------------ */

static void on_alarm(void *user, const char *app, const char *text)
{
    struct whole_node *node = user;
    whole_broke(node->whole, "node %s alarms: %s", node->name, text);
}

static void on_fault(void *user, const char *text)
{
    struct whole_node *node = user;
    whole_broke(node->whole, "node %s: %s", node->name, text);
}

static bool step_for_rig(void *user)
{
    struct whole_node *node = user;
    return engine_step(node->rig.engine);
}

static void make_engine(struct whole_node *node)
{
    struct diag diag = { 0 };
    uint64_t seed = rng_next(&node->whole->rng) | 1;
    struct engine_options options = {
        .workers = node->whole->draw.workers,
        .block_size = node->whole->draw.block_size,
        .seed = seed,
        .clock = &node->clock.clock,
        .blocks = node->blocks,
        .alarm = on_alarm,
        .fault = on_fault,
        .user = node,
    };
    node->engine_us = UINT64_MAX;
    node->rig = (struct rig){ .name = s4_plugin.name, .step = step_for_rig, .step_user = node };
    ck_assert_int_eq(pool_sim_create(100000, seed, &node->rig.pool), S4_OK);
    options.requests = node->rig.pool;
    membership_engine_options(node->membership, &options);
    ck_assert_msg(engine_create(&options, &node->rig.engine, &diag) == S4_OK, "%s", diag.text);
    ck_assert_msg(engine_start(node->rig.engine, &diag) == S4_OK, "%s", diag.text);
    membership_join(node->membership, node->rig.engine);
}

static void do_task(struct whole_node *node, const struct whole_task *task)
{
    struct diag diag = { 0 };
    whole_trace(node->whole, 't', node->index, task->what);
    if (task->what == CLUSTER_APP_CHECK) {
        membership_report_app(node->membership, &task->app, ENTRY_CHECKED, NULL);
    } else if (task->what == CLUSTER_APP_LOAD) {
        ck_assert_msg(engine_deploy(node->rig.engine, bundle, plugin, &diag) == S4_OK, "%s",
                      diag.text);
        membership_report_app(node->membership, &task->app, ENTRY_LOADED, NULL);
    }
}

static bool do_tasks(struct whole_node *node)
{
    uint64_t now = node->whole->clock.now_us;
    if (node->engine_us <= now) {
        make_engine(node);
        return true;
    }
    if (node->n_tasks == 0 || node->tasks[0].due_us > now || !node->rig.engine)
        return false;
    struct whole_task task = node->tasks[0];
    memmove(node->tasks, node->tasks + 1, --node->n_tasks * sizeof task);
    do_task(node, &task);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

static s4_status connect_service(void *user, struct coord **coord, struct diag *diag)
{
    struct whole_node *node = user;
    s4_status status = coord_sim_create(node->whole->service, &node->coord);
    *coord = node->coord;
    return status;
}

static void disconnect_service(void *user, struct coord *coord)
{
    struct whole_node *node = user;
    if (node->crashes)
        coord_sim_crash(coord);
    else
        coord_destroy(coord);
    node->coord = NULL;
}

/* What is blocked is so for whichever process is there. */
static void set_blocks(struct whole_node *node, bool blocked)
{
    struct whole *whole = node->whole;
    for (uint32_t i = 0; i < whole->draw.nodes; i++) {
        const struct whole_node *other = &whole->nodes[i];
        if (!other->up || other == node)
            continue;
        if (whole->blocked_us[node->index][i])
            sim_net_block(whole->net, node->transport, other->transport, blocked);
        if (whole->blocked_us[i][node->index])
            sim_net_block(whole->net, other->transport, node->transport, blocked);
    }
}

void whole_node_start(struct whole_node *node)
{
    struct whole *whole = node->whole;
    struct diag diag = { 0 };
    struct entry_node entry = { .workers = whole->draw.workers };
    make_plugin();
    node->up = true;
    node->over = node->crashes = node->killed = node->leaving = node->suspended = false;
    node->paused_us = node->slow = 0;
    node->n_tasks = 0;
    node->engine_us = UINT64_MAX;
    node->start_us = UINT64_MAX;
    node->rig = (struct rig){ 0 };
    node->blocks = pool_of(node);
    node->clock = (struct whole_clock){ { mono_us, boot_us, boot_us }, whole, 0 };
    snprintf(entry.name, sizeof entry.name, "%s", node->name);
    snprintf(entry.address, sizeof entry.address, "sim://%s", node->name);
    snprintf(entry.release, sizeof entry.release, "1");
    ck_assert_int_eq(sim_net_endpoint(whole->net, node->blocks, &node->transport), S4_OK);
    struct membership_options options = {
        .cluster = "t",
        .entry = &entry,
        .transport = node->transport,
        .service = { connect_service, disconnect_service, node },
        .clock = &node->clock.clock,
        .seed = rng_next(&whole->rng) | 1,
        .window = whole->draw.window,
        .upcalls = &upcalls,
        .user = node,
    };
    set_blocks(node, true);
    whole_trace(whole, '+', node->index, 0);
    ck_assert_msg(membership_create(&options, &node->membership, &diag) == S4_OK, "%s", diag.text);
}

static void note_counters(struct whole_node *node)
{
    struct whole *whole = node->whole;
    struct node_counters c = node_counters(membership_node(node->membership));
    whole->moved += c.moved_in;
    whole->fresh += c.fresh;
    whole->not_mine += c.not_mine_heard;
    whole->waited += c.waited;
    whole->again += c.sent_again;
}

void whole_node_stop(struct whole_node *node, bool crash)
{
    whole_trace(node->whole, '-', node->index, crash);
    note_counters(node);
    set_blocks(node, false);
    node->crashes = crash;
    node->up = false;
    if (node->paused_us && node->coord)
        coord_sim_stop(node->coord, false);
    node->paused_us = 0;
    membership_leave(node->membership);
    if (node->rig.engine)
        engine_stop(node->rig.engine);
    membership_release(node->membership);
    pool_destroy(node->rig.pool); /* as an engine does with its own: jobs end before it does */
    engine_destroy(node->rig.engine);
    membership_destroy(node->membership);
    node->rig = (struct rig){ 0 };
    node->membership = NULL;
}

void whole_node_pause(struct whole_node *node, uint64_t until_us, bool suspended)
{
    whole_trace(node->whole, 'p', node->index, until_us);
    if (node->coord)
        coord_sim_stop(node->coord, true);
    node->paused_us = until_us;
    node->stopped_us = node->whole->clock.now_us;
    node->suspended = suspended;
}

void whole_node_resume(struct whole_node *node)
{
    whole_trace(node->whole, 'r', node->index, 0);
    if (node->coord)
        coord_sim_stop(node->coord, false);
    if (node->suspended)
        node->clock.slept_us += node->whole->clock.now_us - node->stopped_us;
    node->paused_us = 0;
}

struct whole_node *whole_node_of(struct whole *whole, uint64_t incarnation)
{
    for (uint32_t i = 0; i < whole->draw.nodes; i++) {
        struct whole_node *node = &whole->nodes[i];
        if (node->up && !node->over &&
            cluster_incarnation(membership_cluster(node->membership)) == incarnation)
            return node;
    }
    return NULL;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The process starts itself anew. */
static void begin_anew(struct whole_node *node)
{
    node->whole->deaths += node->rig.engine != NULL;
    whole_node_stop(node, true);
    whole_node_start(node);
}

static bool is_empty(const struct whole_node *node)
{
    const struct cluster *cluster = membership_cluster(node->membership);
    uint32_t self = cluster_index(cluster);
    const struct map *map = cluster_map(cluster);
    return self != MAP_NOBODY && map_slots_of(map, self, false) == 0 &&
           map_slots_of(map, self, true) == 0;
}

/* As a node that is stopped does: it goes when it has nothing any more. */
static bool leave(struct whole_node *node)
{
    if (!is_empty(node) || !membership_settled(node->membership))
        return false;
    node->whole->leaves++;
    whole_node_stop(node, false);
    node->start_us = node->whole->clock.now_us + whole_below(node->whole, 2000000);
    return true;
}

bool whole_node_step(struct whole_node *node)
{
    struct whole *whole = node->whole;
    if (!node->up) {
        if (node->start_us > whole->clock.now_us)
            return false;
        whole_node_start(node);
        return true;
    }
    if (node->paused_us) {
        if (node->paused_us > whole->clock.now_us)
            return false;
        whole_node_resume(node);
    }
    if (node->slow && !whole_one_in(whole, node->slow))
        return false;
    bool any = false;
    switch (whole_below(whole, 8)) {
    case 0:
        membership_step_cluster(node->membership);
        if (node->over)
            begin_anew(node);
        break;
    case 1:
    case 2:
        any = membership_step_node(node->membership, 1 + whole_below(whole, 8));
        break;
    case 3:
        any = do_tasks(node);
        any |= node->rig.pool && pool_sim_step(node->rig.pool);
        if (!any && node->leaving)
            return leave(node);
        break;
    default:
        any = node->rig.engine && engine_step(node->rig.engine);
        if (any)
            whole->busy_us = whole->clock.now_us;
    }
    return any;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of a clock that may have slept. */
static uint64_t net_due_us(struct whole_node *node)
{
    uint64_t due = net_deadline_us(membership_net(node->membership));
    return due == UINT64_MAX ? due : due + node->clock.slept_us;
}

uint64_t whole_node_due_us(struct whole_node *node)
{
    uint64_t now = node->whole->clock.now_us;
    if (!node->up)
        return node->start_us;
    if (node->paused_us)
        return node->paused_us;
    uint64_t due = now + membership_timeout_us(node->membership);
    due = earlier(earlier(due, net_due_us(node)), node->engine_us);
    return node->n_tasks > 0 ? earlier(due, node->tasks[0].due_us) : due;
}
