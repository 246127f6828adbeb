/* What the coordination service may hold of a cluster, whoever wrote it: the map and every entry.
 * The first byte says which. What is read is within its limits and comes back the same; a map that
 * is one stays one, whatever the leader plans next. */
#include "router/map/entry.h"
#include "router/map/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void plan(const struct map *map)
{
    struct plan_view view = { 0 }; /* nobody lives */
    struct plan_options options = { .may_move = true, .avoid_slot = MAP_SLOTS_MAX };
    struct plan_result result;
    struct plan_node nodes[MAP_MEMBERS_MAX]; /* everybody does, and nobody can be read */
    struct map *next = map_dup(map);
    CHECK(next);
    plan_next(map, &view, &options, next, &result);
    CHECK(map->version == UINT64_MAX || map_check(next, NULL) == S4_OK);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(map, i))
            nodes[view.n_nodes++] = (struct plan_node){ map->members[i].name, NULL };
    view.nodes = nodes;
    plan_next(map, &view, &options, next, &result);
    CHECK(map->version == UINT64_MAX || map_check(next, NULL) == S4_OK);
    map_destroy(next);
}

static void read_map(const void *data, size_t size)
{
    struct map *map, *again;
    struct buffer bytes;
    struct diag diag = { 0 };
    if (map_unpack(data, size, &map, &diag) != S4_OK) {
        CHECK(diag.text[0] != 0 && map_text_valid(diag.text, DIAG_TEXT_MAX));
        return;
    }
    CHECK(map_check(map, NULL) == S4_OK);
    buffer_init(&bytes);
    CHECK(map_pack(map, &bytes) == S4_OK);
    CHECK(map_unpack(bytes.data, bytes.size, &again, NULL) == S4_OK);
    CHECK(map_same(map, again) && map->version == again->version);
    plan(map);
    buffer_fini(&bytes);
    map_destroy(map);
    map_destroy(again);
}

static void read_node(const void *data, size_t size)
{
    static struct entry_node node, again;
    struct buffer bytes;
    struct diag diag = { 0 };
    if (entry_node_unpack(data, size, &node, &diag) != S4_OK) {
        CHECK(diag.text[0] != 0 && map_text_valid(diag.text, DIAG_TEXT_MAX));
        return;
    }
    CHECK(map_name_valid(node.name) && node.incarnation != 0 && node.workers <= MAP_WORKERS_MAX);
    buffer_init(&bytes);
    CHECK(entry_node_pack(&node, &bytes) == S4_OK);
    CHECK(entry_node_unpack(bytes.data, bytes.size, &again, NULL) == S4_OK);
    CHECK(again.n_apps == node.n_apps && again.n_moves == node.n_moves);
    buffer_fini(&bytes);
}

static void read_small(uint8_t which, const void *data, size_t size)
{
    struct entry_spec spec;
    struct entry_leader leader;
    struct entry_wanted wanted;
    struct entry_drain drain;
    struct diag diag = { 0 };
    s4_status status;
    if (which == 2)
        status = entry_spec_unpack(data, size, &spec, &diag);
    else if (which == 3)
        status = entry_leader_unpack(data, size, &leader, &diag);
    else if (which == 4)
        status = entry_wanted_unpack(data, size, &wanted, &diag);
    else
        status = entry_drain_unpack(data, size, &drain, &diag);
    CHECK(status == S4_OK || (diag.text[0] && map_text_valid(diag.text, DIAG_TEXT_MAX)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t which = size > 0 ? data[0] % 6 : 0;
    const uint8_t *rest = size > 0 ? data + 1 : data;
    size_t left = size > 0 ? size - 1 : 0;
    if (which == 0)
        read_map(rest, left);
    else if (which == 1)
        read_node(rest, left);
    else
        read_small(which, rest, left);
    return 0;
}
