/* The life of nodes over a bad network: trouble, and the time after it. See the header. */
#include "tests/sim/net_world.h"

#include <check.h>

#include "runtime/base/mem.h"

#define FAULTS_US     25000000u
#define SETTLE_US     40000000u /* then all is applied, and everybody heard */
#define BLOCKED_US    12000000u /* at most, by turns */
#define PAUSED_US     9000000u
#define WAIT_MIN_US   100u
#define WAIT_MAX_US   100000u
#define CHECK_ONE_IN  40
#define ROUND_MAX_US  2000u
#define ROUND_LONG_US 200000u

static uint32_t rate(struct world *world, uint32_t most)
{
    return world_one_in(world, 2) ? 0 : 1 + (uint32_t)world_below(world, most);
}

static struct world_draw draw_world(struct world *world)
{
    struct world_draw draw = {
        .nodes = 2 + (uint32_t)world_below(world, WORLD_NODES - 1),
        .window = 1 + (uint32_t)world_below(world, 8),
        .delay_max_us = rate(world, 50000),
        .faults_us = FAULTS_US,
        .sends = 1 + (uint32_t)world_below(world, 10),
        .blocks = rate(world, 300),
        .pauses = rate(world, 300),
        .restarts = world_one_in(world, 3) ? 400 + (uint32_t)world_below(world, 2000) : 0,
        .stuck_lane = (int)world_below(world, 2 * WORLD_LANES) - WORLD_LANES,
        .closes = world_one_in(world, 2),
    };
    for (int fault = SIM_NO_FAULT + 1; fault < SIM_FAULTS; fault++)
        draw.rates[fault] = rate(world, fault >= SIM_HOLE ? 2000 : 20000);
    return draw;
}

static void draw_trouble(struct world *world)
{
    uint32_t nodes = world->draw.nodes;
    CHECK(nodes > 1);
    uint32_t a = (uint32_t)world_below(world, nodes);
    uint32_t b = (a + 1 + (uint32_t)world_below(world, nodes - 1)) % nodes;
    uint64_t now = world->clock.now_us;
    if (world_one_in(world, world->draw.blocks)) {
        world->blocked_until_us[a][b] = now + 1 + world_below(world, BLOCKED_US);
        sim_net_block(world->sim, world->nodes[a].transport, world->nodes[b].transport, true);
    }
    if (world_one_in(world, world->draw.pauses))
        world->nodes[b].paused_until_us = now + world_below(world, PAUSED_US);
    if (world_one_in(world, world->draw.restarts) && world->incarnations < 20)
        world_restart(world, a);
    if (world_one_in(world, 100))
        world_tell_restart(&world->nodes[a], &world->nodes[b]);
    if (world_one_in(world, 20))
        world->version++;
}

static void lift_blocks(struct world *world, bool all)
{
    for (uint32_t a = 0; a < world->draw.nodes; a++) {
        for (uint32_t b = 0; b < world->draw.nodes; b++) {
            uint64_t until = world->blocked_until_us[a][b];
            if (until && (all || until <= world->clock.now_us))
                world_unblock(world, a, b);
        }
    }
}

static void live_with_faults(struct world *world)
{
    uint64_t end = world->clock.now_us + world->draw.faults_us;
    sim_net_rates(world->sim, world->draw.rates);
    while (world->clock.now_us < end && !world->broken[0]) {
        draw_trouble(world);
        lift_blocks(world, false);
        for (uint32_t i = 0; i < world->draw.nodes; i++)
            world_node_step(&world->nodes[i]);
        if (world_one_in(world, CHECK_ONE_IN))
            world_check_paths(world);
        clock_sim_advance(
            &world->clock,
            world_below(world, world_one_in(world, 20) ? ROUND_LONG_US : ROUND_MAX_US));
    }
}

static void heal(struct world *world)
{
    static const uint32_t none[SIM_FAULTS];
    sim_net_rates(world->sim, none);
    lift_blocks(world, true);
    world->healed = true;
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        struct world_node *node = &world->nodes[i];
        node->paused_until_us = 0;
        for (uint32_t j = 0; j < world->draw.nodes; j++)
            world_tell_restart(node, &world->nodes[j]);
    }
}

/* Up to the next thing that somebody waits for. */
static void pass_time(struct world *world)
{
    uint64_t due = sim_net_due_us(world->sim), now = world->clock.now_us;
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        uint64_t at = net_deadline_us(world->nodes[i].net);
        due = at < due ? at : due;
    }
    uint64_t us = due <= now ? 0 : due - now;
    clock_sim_advance(&world->clock, us < WAIT_MIN_US   ? WAIT_MIN_US
                                     : us < WAIT_MAX_US ? us
                                                        : WAIT_MAX_US);
}

static void step_all(struct world *world)
{
    bool any = false;
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        any |= world_node_step(&world->nodes[i]);
        any |= world->nodes[i].owed_count > 0 && world->released;
    }
    if (!any)
        pass_time(world);
    else
        clock_sim_advance(&world->clock, world_below(world, 100));
}

static void settle(struct world *world, const char *what)
{
    uint64_t end = world->clock.now_us + SETTLE_US;
    while (!world->broken[0] && !world_is_settled(world)) {
        if (world->clock.now_us >= end)
            world_broke(world, "%s", what);
        step_all(world);
    }
}

static bool is_closed(const struct world *world)
{
    bool closed = true;
    for (uint32_t i = 0; i < world->draw.nodes; i++)
        closed &= net_is_closed(world->nodes[i].net);
    return closed;
}

static void close_all(struct world *world)
{
    uint64_t end = world->clock.now_us + SETTLE_US;
    for (uint32_t i = 0; i < world->draw.nodes; i++)
        net_close(world->nodes[i].net);
    while (!world->broken[0] && !is_closed(world)) {
        if (world->clock.now_us >= end)
            world_broke(world, "the sessions do not close");
        step_all(world);
    }
}

void world_live(struct world *world, uint64_t seed, const struct world_draw *draw)
{
    memset(world, 0, sizeof *world);
    rng_init(&world->rng, seed);
    clock_sim_init(&world->clock, 1000000);
    world->draw = draw ? *draw : draw_world(world);
    struct sim_net_options options = {
        .clock = &world->clock.clock,
        .seed = rng_next(&world->rng),
        .delay_max_us = world->draw.delay_max_us,
        .queue_max = draw || world_one_in(world, 2) ? 0 : 1 + (uint32_t)world_below(world, 10),
    };
    ck_assert_int_eq(sim_net_create(&options, &world->sim), S4_OK);
    if (world->draw.planned != SIM_NO_FAULT)
        sim_net_plan(world->sim, world->draw.planned, world->draw.planned_at);
    for (uint32_t i = 0; i < world->draw.nodes; i++)
        world_node_start(world, i);
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        net_identify(world->nodes[i].net, WORLD_CLUSTER, world->nodes[i].incarnation);
        for (uint32_t j = 0; j < world->draw.nodes; j++) {
            if (i != j)
                world_connect_to(&world->nodes[i], &world->nodes[j]);
        }
    }
    live_with_faults(world);
    heal(world);
    settle(world, "after the faults not everything is applied and heard");
    world->released = true;
    settle(world, "a lane that is taken from again does not come to its end");
    if (world->draw.closes)
        close_all(world);
}

void world_close(struct world *world)
{
    world->messages = sim_net_messages(world->sim);
    for (uint32_t i = 0; i < world->draw.nodes; i++)
        world_node_stop(&world->nodes[i]);
    sim_net_destroy(world->sim);
    for (uint32_t i = 0; i < world->draw.nodes; i++)
        ck_assert_uint_eq(block_pool_bytes(world_pool(i)), 0);
    for (size_t i = 0; i < world->paths_count; i++)
        mem_free(world->paths[i]);
}
