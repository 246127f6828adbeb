/* What befalls a simulated cluster: one mishap at a time, drawn among the kinds that this seed has.
 */
#include "tests/sim/cluster_world.h"

enum fault {
    FAULT_CRASH,
    FAULT_STOP,
    FAULT_CUT,
    FAULT_EXPIRE,
    FAULT_AWAY,
    FAULT_DRAIN,
    FAULT_DEPLOY,
    FAULT_LEADER, /* somebody deletes the leader's entry */
    FAULT_JUMP,   /* everything stands still for a while */
    FAULTS
};

static void deploy_something(struct world *world, struct sim_node *node)
{
    struct entry_wanted wanted = { .hash = "00ff", .version = "1", .id = ++world->drawn };
    struct cluster_reply reply = { NULL, NULL };
    snprintf(wanted.app, sizeof wanted.app, "app-%u", (unsigned)world_draw(world, 3));
    s4_status status = world_draw(world, 2) ? cluster_deploy(node->cluster, &wanted, reply)
                                            : cluster_undeploy(node->cluster, wanted.app, reply);
    CHECK(status == S4_OK || status == S4_FULL);
}

static void on_deleted(void *user, const struct coord_answer *answer)
{
}

static void befall(struct world *world, struct sim_node *node, enum fault fault)
{
    struct cluster_reply reply = { NULL, NULL };
    struct coord_call call = { .answered = on_deleted };
    s4_status status = S4_OK;
    switch (fault) {
    case FAULT_CRASH:
        world_crash(world, (uint32_t)(node - world->nodes));
        node->resume_us = world->clock.now_us + world_draw(world, 8000000);
        break;
    case FAULT_STOP:
        node->stopped = true;
        if (node->coord)
            coord_sim_stop(node->coord, true);
        node->resume_us =
            world->clock.now_us + 1000 + world_draw(world, world_draw(world, 2) ? 500000 : 9000000);
        break;
    case FAULT_CUT:
        if (node->coord)
            coord_sim_cut(node->coord, world_draw(world, 3) == 0, world_draw(world, 3) == 0);
        break;
    case FAULT_EXPIRE:
        node->killed = node->coord != NULL;
        if (node->coord)
            coord_sim_expire(node->coord);
        break;
    case FAULT_AWAY:
        world->away ^= true;
        coord_world_away(world->service, world->away);
        break;
    case FAULT_DRAIN:
        status =
            cluster_drain(node->cluster, world->nodes[world_draw(world, WORLD_NODES)].name, reply);
        break;
    case FAULT_DEPLOY:
        deploy_something(world, node);
        break;
    case FAULT_LEADER:
        status = coord_delete(world->operator_coord, "/s4/t/leader", COORD_ANY, call);
        break;
    case FAULT_JUMP:
        clock_sim_advance(&world->clock, world_draw(world, 6000000));
        break;
    default:
        break;
    }
    CHECK(status == S4_OK || status == S4_FULL || status == S4_INVALID);
}

void world_befall(struct world *world)
{
    enum fault fault = (enum fault)world_draw(world, FAULTS);
    struct sim_node *node = &world->nodes[world_draw(world, WORLD_NODES)];
    world->fault_us = world->clock.now_us + world_draw(world, 800000);
    if ((world->rates & 1u << fault) == 0 || !node->cluster || node->stopped)
        return;
    world_trace(world, 'f', node, (uint64_t)fault);
    befall(world, node, fault);
}
