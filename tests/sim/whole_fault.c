/* What befalls the whole cluster: one mishap at a time, drawn among the kinds that the seed has. */
#include "tests/sim/whole.h"

#define BETWEEN_US 600000u
#define SHORT_US   900000u  /* less than a session lives, with what else delays */
#define LONG_US    7000000u /* more */

static struct whole_node *draw_node(struct whole *whole)
{
    struct whole_node *node = &whole->nodes[whole_below(whole, whole->draw.nodes)];
    return node->up && !node->paused_us ? node : NULL;
}

static void block(struct whole *whole, uint32_t from, uint32_t to, uint64_t us)
{
    bool both = whole->nodes[from].up && whole->nodes[to].up;
    whole->blocked_us[from][to] = us ? whole->clock.now_us + us : 0;
    if (both)
        sim_net_block(whole->net, whole->nodes[from].transport, whole->nodes[to].transport, us > 0);
}

static void cut(struct whole *whole, struct whole_node *node, bool cut)
{
    whole->cut_us[node->index] = cut ? whole->clock.now_us + whole_below(whole, LONG_US) : 0;
    if (node->up && node->coord)
        coord_sim_cut(node->coord, cut, cut && whole_one_in(whole, 2));
}

static void leave(struct whole *whole, struct whole_node *node)
{
    struct cluster_reply reply = { NULL, NULL };
    for (uint32_t i = 0; i < whole->draw.nodes; i++)
        if (whole->nodes[i].leaving || !whole->nodes[i].up)
            return;
    node->leaving = node->rig.engine &&
                    cluster_drain(membership_cluster(node->membership), node->name, reply) == S4_OK;
}

static void befall(struct whole *whole, struct whole_node *node, enum whole_fault fault)
{
    uint64_t now = whole->clock.now_us;
    switch (fault) {
    case WHOLE_BLOCK:
        if (whole->draw.nodes > 1)
            block(whole, node->index,
                  (node->index + 1 + (uint32_t)whole_below(whole, whole->draw.nodes - 1)) %
                      whole->draw.nodes,
                  1 + whole_below(whole, LONG_US));
        break;
    case WHOLE_PAUSE:
    case WHOLE_SUSPEND:
        whole_node_pause(node, now + 1 + whole_below(whole, SHORT_US), fault == WHOLE_SUSPEND);
        break;
    case WHOLE_FREEZE:
        whole_node_pause(node, now + WHOLE_SESSION_US + whole_below(whole, LONG_US),
                         whole_one_in(whole, 2));
        break;
    case WHOLE_SLOW:
        node->slow = whole_one_in(whole, 2) ? 0 : 20;
        break;
    case WHOLE_AWAY:
        whole->away_us = now + whole_below(whole, LONG_US);
        coord_world_away(whole->service, true);
        break;
    case WHOLE_JUMP:
        clock_sim_advance(&whole->clock, whole_below(whole, SHORT_US));
        break;
    case WHOLE_LEAVE:
        leave(whole, node);
        break;
    case WHOLE_CRASH:
        whole->deaths += node->rig.engine != NULL;
        whole_node_stop(node, true);
        node->start_us = now + whole_below(whole, LONG_US);
        break;
    case WHOLE_EXPIRE:
        node->killed = node->coord != NULL;
        if (node->coord)
            coord_sim_expire(node->coord);
        break;
    case WHOLE_CUT:
        cut(whole, node, true);
        break;
    default:
        break; /* all the time, or at the start */
    }
}

/* What was for a time is over. */
static void mend(struct whole *whole, bool all)
{
    uint64_t now = all ? UINT64_MAX : whole->clock.now_us;
    for (uint32_t a = 0; a < whole->draw.nodes; a++) {
        for (uint32_t b = 0; b < whole->draw.nodes; b++)
            if (whole->blocked_us[a][b] && whole->blocked_us[a][b] <= now)
                block(whole, a, b, 0);
        if (whole->cut_us[a] && whole->cut_us[a] <= now)
            cut(whole, &whole->nodes[a], false);
    }
    if (whole->away_us && whole->away_us <= now) {
        whole->away_us = 0;
        coord_world_away(whole->service, false);
    }
}

void whole_befall(struct whole *whole)
{
    mend(whole, false);
    if (whole->fault_us > whole->clock.now_us)
        return;
    enum whole_fault fault = (enum whole_fault)whole_below(whole, WHOLE_FAULTS);
    struct whole_node *node = draw_node(whole);
    whole->fault_us = whole->clock.now_us + whole_below(whole, BETWEEN_US);
    if (!whole_has(whole, fault) || !node)
        return;
    whole_trace(whole, 'f', node->index, fault);
    befall(whole, node, fault);
}

void whole_heal(struct whole *whole)
{
    static const uint32_t none[SIM_FAULTS];
    mend(whole, true);
    whole->healed = true;
    sim_net_rates(whole->net, none);
    for (enum coord_fault fault = 0; fault < COORD_FAULTS; fault++)
        coord_world_set_rate(whole->service, fault, 0);
    for (uint32_t i = 0; i < whole->draw.nodes; i++) {
        struct whole_node *node = &whole->nodes[i];
        node->slow = 0;
        if (!node->up)
            node->start_us = whole->clock.now_us;
        if (node->paused_us)
            whole_node_resume(node);
    }
}
