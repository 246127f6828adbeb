/* What must hold at every moment, judged by what the service decided and by what nodes were told.
 */
#include "runtime/base/hash.h"
#include "tests/sim/cluster_world.h"

static struct sim_node *node_of(struct world *world, const struct map_member *member)
{
    struct sim_node *node = &world->nodes[member->name[0] - 'a'];
    return node->cluster && cluster_incarnation(node->cluster) == member->incarnation ? node : NULL;
}

/* The member's entry is there, in the eyes of the service. */
static bool lives(const struct world *world, const struct map_member *member)
{
    uint32_t n = (uint32_t)(member->name[0] - 'a');
    return world->created[n] != 0 && world->created_by[n] == member->incarnation;
}

static uint64_t content_of(const struct map *map)
{
    struct buffer bytes;
    buffer_init(&bytes);
    CHECK(map_pack(map, &bytes) == S4_OK);
    uint64_t hash = hash_bytes(bytes.data, bytes.size) | 1;
    buffer_fini(&bytes);
    return hash;
}

static void one_content(struct world *world, const struct map *map, const char *who)
{
    CHECK(map->version < WORLD_VERSIONS);
    uint64_t hash = content_of(map);
    if (world->versions[map->version] == 0)
        world->versions[map->version] = hash;
    if (world->versions[map->version] != hash)
        world_broke(world, "%s: version %llu has two contents", who,
                    (unsigned long long)map->version);
}

/* ---- node entries ---------------------------------------------------------------------------- */

/* An incarnation is one session's: it never has two entries. */
static void look_at_nodes(struct world *world)
{
    for (uint32_t n = 0; n < WORLD_NODES; n++) {
        char path[64];
        size_t size;
        struct coord_stat stat;
        struct entry_node entry;
        snprintf(path, sizeof path, "/s4/t/nodes/%c", 'a' + (int)n);
        const void *data = coord_world_find(world->service, path, &size, &stat);
        uint64_t before = world->created[n], by = world->created_by[n];
        world->created[n] = data ? stat.created : 0;
        if (!data || before == stat.created)
            continue;
        CHECK(entry_node_unpack(data, size, &entry, NULL) == S4_OK);
        world->created_by[n] = entry.incarnation;
        if (by == entry.incarnation)
            world_broke(world, "node %c: two sessions under one incarnation", 'a' + (int)n);
    }
}

/* ---- the map --------------------------------------------------------------------------------- */

/* The target said so, in its entry, if that is there still. */
static void look_at_report(struct world *world, const struct map *map, uint32_t number)
{
    struct coord_stat stat;
    struct entry_node entry;
    char path[128];
    size_t size;
    const struct map_slot *was = &world->map->slots[number];
    const struct map_member *target = &map->members[was->target];
    snprintf(path, sizeof path, "/s4/t/nodes/%s", target->name);
    const void *data = coord_world_find(world->service, path, &size, &stat);
    if (!data || !lives(world, target))
        return;
    CHECK(entry_node_unpack(data, size, &entry, NULL) == S4_OK);
    const struct entry_move *report = entry_find_move(&entry, number, was->move);
    if (!report || !report->done)
        world_broke(world, "slot %u: handed over, and node %s did not say so", number,
                    target->name);
}

static void look_at_slot(struct world *world, const struct map *map, uint32_t number)
{
    const struct map_slot *a = &world->map->slots[number], *b = &map->slots[number];
    bool same = a->owner == b->owner && a->epoch == b->epoch;
    bool bumped = b->generation != a->generation;
    bool handed = a->target != MAP_NOBODY && b->owner == a->target;
    const struct map_member *owner = a->owner != MAP_NOBODY ? &world->map->members[a->owner] : NULL;
    bool called_off = a->owner == b->owner && a->target != MAP_NOBODY && b->target == MAP_NOBODY;
    if ((a->owner != b->owner || bumped || called_off) != (b->epoch == map->version))
        world_broke(world, "slot %u: its owner changed, and not its epoch, or the reverse", number);
    if (bumped != (b->genesis == map->version))
        world_broke(world, "slot %u: it began empty, and not its genesis, or the reverse", number);
    if ((same || called_off) && !bumped)
        return;
    if (b->owner != MAP_NOBODY && !bumped && !handed)
        world_broke(world, "slot %u: it began empty under the same generation", number);
    if (!bumped) {
        world->moves += handed;
        if (handed)
            look_at_report(world, map, number);
        return;
    }
    world->bumps++;
    if (b->generation != a->generation + 1)
        world_broke(world, "slot %u: generation %llu after %llu", number,
                    (unsigned long long)b->generation, (unsigned long long)a->generation);
    if (!owner)
        return;
    if (lives(world, owner))
        world_broke(world, "slot %u: taken from node %s, which lives", number, owner->name);
    const struct sim_node *node = node_of(world, owner);
    if (node && !node->killed && cluster_may_answer(node->cluster, world->clock.now_us))
        world_broke(world, "slot %u: node %s may answer for it, and it is another's", number,
                    owner->name);
}

static void look_at_version(struct world *world, const struct map *map, int64_t entry_version)
{
    uint64_t epoch_now = (uint64_t)world->epoch_before;
    one_content(world, map, "the service");
    if (map->version != world->map->version + 1 || entry_version != world->map_version + 1)
        world_broke(world, "version %llu after %llu", (unsigned long long)map->version,
                    (unsigned long long)world->map->version);
    if (map->leader_epoch < world->map->leader_epoch || map->leader_epoch < epoch_now)
        world_broke(world, "version %llu: written under epoch %llu after epoch %llu",
                    (unsigned long long)map->version, (unsigned long long)map->leader_epoch,
                    (unsigned long long)epoch_now);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(map, i) && map_member_exists(world->map, i) &&
            map->members[i].incarnation != world->map->members[i].incarnation)
            world_broke(world, "version %llu: member %u became another one",
                        (unsigned long long)map->version, i);
    for (uint32_t i = 0; i < map->n_slots; i++)
        look_at_slot(world, map, i);
}

static void look_at_map(struct world *world)
{
    size_t size;
    struct coord_stat stat;
    struct map *map;
    struct diag diag = { 0 };
    const void *data = coord_world_find(world->service, "/s4/t/map", &size, &stat);
    CHECK(data);
    if (world->map && stat.version == world->map_version)
        return;
    if (map_unpack(data, size, &map, &diag) != S4_OK) {
        world_broke(world, "%s", diag.text);
        return;
    }
    if (world->map)
        look_at_version(world, map, stat.version);
    map_destroy(world->map);
    world->map = map;
    world->map_version = stat.version;
}

void rules_look(struct world *world)
{
    struct coord_stat stat;
    size_t size;
    look_at_nodes(world);
    look_at_map(world);
    CHECK(coord_world_find(world->service, "/s4/t/leader_epoch", &size, &stat));
    world->leaders += stat.version > world->epoch_before;
    world->epoch_before = stat.version;
}

/* ---- what nodes are told --------------------------------------------------------------------- */

void rules_joined(struct sim_node *node, uint64_t incarnation)
{
    struct world *world = node->world;
    if (node->joined)
        world_broke(world, "node %s: joined twice, and never stopped", node->name);
    for (size_t i = 0; i < world->n_used; i++)
        if (world->used[i] == incarnation)
            world_broke(world, "node %s: joined under an incarnation that was", node->name);
    CHECK(world->n_used < ARRAY_LEN(world->used));
    world->used[world->n_used++] = incarnation;
    node->joined = true;
    node->incarnation = incarnation;
}

void rules_told(struct sim_node *node, const struct map *old, const struct map *map)
{
    struct world *world = node->world;
    one_content(world, map, node->name);
    if (map->version <= node->version)
        world_broke(world, "node %s: told version %llu after %llu", node->name,
                    (unsigned long long)map->version, (unsigned long long)node->version);
    if (old && old->version != node->version)
        world_broke(world, "node %s: told of another old map than it had", node->name);
    if (!node->joined || map_find_incarnation(map, node->incarnation) == MAP_NOBODY)
        world_broke(world, "node %s: told a map that it is not in", node->name);
    node->version = map->version;
}
