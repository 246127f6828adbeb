/* What must hold in the whole cluster: at every step nobody runs what is another's; in the end all
 * is at rest, every table has what the oracle has, and the counters say that all that began ended.
 */
#include <check.h>

#include "pe/node/node_inside.h"
#include "router/map/balance.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "tests/sim/whole.h"

/* ---- owners ---------------------------------------------------------------------------------- */

/* Its partition runs, and what it says counts. */
static bool is_effective(const struct whole_node *node, uint32_t slot)
{
    return node->up && !node->over && !node->killed && node->rig.engine &&
           engine_slot_is_here(node->rig.engine, slot) &&
           !engine_slot_is_held(node->rig.engine, slot) &&
           cluster_may_answer(membership_cluster(node->membership), node->whole->clock.now_us);
}

static void look_at_owner(struct whole_node *node, uint32_t slot)
{
    struct whole *whole = node->whole;
    const struct map *map = membership_node(node->membership)->map;
    uint64_t epoch = map->slots[slot].epoch;
    uint64_t incarnation = cluster_incarnation(membership_cluster(node->membership));
    if (epoch >= WHOLE_EPOCHS) {
        whole_broke(whole, "the map changes on and on");
        return;
    }
    uint64_t *owner = &whole->owners[slot][epoch];
    if (*owner == 0)
        *owner = incarnation;
    if (*owner != incarnation)
        whole_broke(whole, "slot %u: node %s and another run it under epoch %llu", slot, node->name,
                    (unsigned long long)epoch);
}

void whole_look_at_owners(struct whole *whole)
{
    for (uint32_t slot = 0; slot < whole->draw.slots; slot++) {
        const struct whole_node *owner = NULL;
        for (uint32_t i = 0; i < whole->draw.nodes; i++) {
            struct whole_node *node = &whole->nodes[i];
            if (!is_effective(node, slot))
                continue;
            if (owner)
                whole_broke(whole, "slot %u: nodes %s and %s both run it", slot, owner->name,
                            node->name);
            owner = node;
            look_at_owner(node, slot);
        }
    }
}

/* ---- at rest --------------------------------------------------------------------------------- */

static struct map *decided_map(struct whole *whole)
{
    size_t size;
    struct coord_stat stat;
    struct map *map = NULL;
    const void *data = coord_world_find(whole->service, "/s4/t/map", &size, &stat);
    struct diag diag = { 0 };
    ck_assert_ptr_nonnull(data);
    ck_assert_msg(map_unpack(data, size, &map, &diag) == S4_OK, "%s", diag.text);
    return map;
}

static const char *unsettled_map(struct whole *whole, const struct map *map)
{
    uint32_t up = 0, leaders = 0;
    for (uint32_t i = 0; i < whole->draw.nodes; i++) {
        up += whole->nodes[i].up;
        leaders +=
            whole->nodes[i].up && cluster_leads(membership_cluster(whole->nodes[i].membership));
    }
    if (map_members_count(map) != up || leaders != 1)
        return "there are too many or too few members or leaders";
    if (map->n_apps != 1 || map->apps[0].phase != MAP_RUN)
        return "the app does not run yet";
    return map_moving(map) != MAP_SLOTS_MAX || balance_surplus(map) > 0 ? "slots move still" : NULL;
}

static const char *unsettled_node(struct whole_node *node, const struct map *map)
{
    const struct cluster *cluster = membership_cluster(node->membership);
    uint32_t self = cluster_index(cluster);
    if (!node->rig.engine || self == MAP_NOBODY)
        return "a node has not joined";
    if (!cluster_may_answer(cluster, node->whole->clock.now_us))
        return "a node may not answer";
    if (map->members[self].state != MAP_ACTIVE)
        return "a node is not active";
    if (node_version(membership_node(node->membership)) != map->version)
        return "a node has an old map";
    if (!node_is_settled(membership_node(node->membership)))
        return "a node is not settled";
    if (!net_is_drained(membership_net(node->membership)))
        return "a node's frames are not applied";
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (i != self && map_member_exists(map, i) &&
            ferry_net_is_unheard(membership_ferry(node->membership), i))
            return "a node does not hear another";
    return NULL;
}

static const char *unsettled(struct whole *whole, const struct map *map)
{
    for (uint32_t i = 0; i < whole->draw.nodes; i++)
        if (!whole->nodes[i].up)
            return "a node is down";
    const char *what = unsettled_map(whole, map);
    for (uint32_t i = 0; i < whole->draw.nodes && !what; i++)
        what = unsettled_node(&whole->nodes[i], map);
    return what;
}

const char *whole_unsettled(struct whole *whole)
{
    if (!whole_clients_are_done(whole))
        return "a client waits";
    struct map *map = decided_map(whole);
    const char *what = unsettled(whole, map);
    map_destroy(map);
    return what;
}

/* ---- in the end ------------------------------------------------------------------------------ */

static void read_row(struct whole *whole, struct walks_totals *totals, const char *row)
{
    unsigned station = 0;
    unsigned long long visits = 0, sum = 0;
    const char *v = strstr(row, "\"visits\":"), *s = strstr(row, "\"sum\":");
    const char *n = strstr(row, "\"station\":");
    ck_assert(n && v && s);
    station = (unsigned)strtoul(n + 10, NULL, 10);
    visits = strtoull(v + 9 + (v[9] == '"'), NULL, 10);
    sum = strtoull(s + 6 + (s[6] == '"'), NULL, 10);
    ck_assert_uint_lt(station, WALKS_STATIONS);
    if (totals->visits[station])
        whole_broke(whole, "station %u is on two nodes", station);
    totals->visits[station] = visits;
    totals->sum[station] = sum;
}

void whole_totals(struct whole *whole, struct walks_totals *totals)
{
    *totals = (struct walks_totals){ 0 };
    for (uint32_t i = 0; i < whole->draw.nodes; i++) {
        char *rows = rig_rows(&whole->nodes[i].rig, "rows");
        for (char *at = rows, *end; (end = strchr(at, '\n')); at = end + 1) {
            *end = '\0';
            read_row(whole, totals, at);
        }
        mem_free(rows);
        if (rig_count(&whole->nodes[i].rig, "dead_letters") > 0)
            whole_broke(whole, "node %s has dead letters", whole->nodes[i].name);
    }
}

/* What began has ended: of blocks, when no node has died with some. */
static void check_flight(struct whole *whole)
{
    uint64_t begun = 0, ended = 0;
    for (uint32_t i = 0; i < whole->draw.nodes; i++)
        engine_flight(whole->nodes[i].rig.engine, s4_plugin.name, &begun, &ended);
    if (whole->deaths + whole->leaves == 0 && begun != ended)
        whole_broke(whole, "%llu blocks began and %llu ended", (unsigned long long)begun,
                    (unsigned long long)ended);
}

/* Since `before` the tables have changed by what was expected. */
void whole_check_end(struct whole *whole, const struct walks_totals *before)
{
    struct walks_totals now;
    whole_totals(whole, &now);
    check_flight(whole);
    for (uint32_t i = 0; i < WALKS_STATIONS; i++) {
        uint64_t visits = now.visits[i] - before->visits[i], sum = now.sum[i] - before->sum[i];
        whole->trace = hash_mix(whole->trace, sum);
        if (visits != whole->expected.visits[i] || sum != whole->expected.sum[i])
            whole_broke(whole, "station %u: %llu visits of %llu", i, (unsigned long long)visits,
                        (unsigned long long)whole->expected.visits[i]);
    }
}
