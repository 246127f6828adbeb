/* A node's reports, kept in its own entry; see entry.h. */
#include "router/map/entry.h"

static void put_why(const char *why, char *out)
{
    map_text_clean(why ? why : "", MAP_WHY_MAX, out);
}

s4_status entry_report_app(struct entry_node *node, const char *app, uint64_t id,
                           enum entry_app_state state, const char *why)
{
    CHECK(map_name_valid(app));
    uint32_t at = 0;
    while (at < node->n_apps && strcmp(node->apps[at].app, app) != 0)
        at++;
    if (at == ENTRY_APPS_MAX)
        return S4_FULL;
    struct entry_app *report = &node->apps[at];
    *report = (struct entry_app){ .id = id, .state = state };
    memcpy(report->app, app, strlen(app) + 1);
    put_why(why, report->why);
    node->n_apps += at == node->n_apps;
    return S4_OK;
}

static void remove_move(struct entry_node *node, uint32_t at)
{
    memmove(&node->moves[at], &node->moves[at + 1], (--node->n_moves - at) * sizeof node->moves[0]);
}

void entry_report_move(struct entry_node *node, uint32_t slot, uint64_t move, bool done,
                       const char *why)
{
    uint32_t at = 0;
    while (at < node->n_moves && node->moves[at].slot != slot)
        at++;
    if (at < node->n_moves)
        remove_move(node, at);
    else if (at == ENTRY_MOVES_MAX)
        remove_move(node, 0);
    struct entry_move *report = &node->moves[node->n_moves++];
    *report = (struct entry_move){ .slot = slot, .move = move, .done = done };
    put_why(why, report->why);
}

const struct entry_app *entry_find_app(const struct entry_node *node, const char *app, uint64_t id)
{
    for (uint32_t i = 0; i < node->n_apps; i++)
        if (node->apps[i].id == id && strcmp(node->apps[i].app, app) == 0)
            return &node->apps[i];
    return NULL;
}

const struct entry_move *entry_find_move(const struct entry_node *node, uint32_t slot,
                                         uint64_t move)
{
    for (uint32_t i = 0; i < node->n_moves; i++)
        if (node->moves[i].slot == slot && node->moves[i].move == move)
            return &node->moves[i];
    return NULL;
}

static bool app_asked(const struct map *map, const struct entry_app *report)
{
    const struct map_app *app = map_find_app(map, report->app);
    return app && app->id == report->id && app->phase != MAP_REFUSED;
}

static bool move_asked(const struct map *map, const struct entry_move *report)
{
    return report->slot < map->n_slots && map->slots[report->slot].target != MAP_NOBODY &&
           map->slots[report->slot].move == report->move;
}

bool entry_forget(struct entry_node *node, const struct map *map)
{
    uint32_t apps = 0, moves = 0;
    for (uint32_t i = 0; i < node->n_apps; i++)
        if (app_asked(map, &node->apps[i]))
            node->apps[apps++] = node->apps[i];
    for (uint32_t i = 0; i < node->n_moves; i++)
        if (move_asked(map, &node->moves[i]))
            node->moves[moves++] = node->moves[i];
    bool any = apps != node->n_apps || moves != node->n_moves;
    node->n_apps = apps;
    node->n_moves = moves;
    return any;
}
