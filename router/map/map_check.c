/* Whether a map is one; see map.h. Nobody's word is taken: also the leader's own maps go through it
 * before they are written. */
#include "router/map/map.h"

#define BAD(diag, ...) diag_set(diag, S4_CORRUPT, __VA_ARGS__)

static s4_status check_texts(const struct map_member *member, struct diag *diag)
{
    if (!map_name_valid(member->name))
        return BAD(diag, "a member's name that is none");
    if (member->address[0] == 0 || !map_text_valid(member->address, MAP_ADDRESS_MAX) ||
        !map_text_valid(member->clients, MAP_ADDRESS_MAX) || member->release[0] == 0 ||
        !map_text_valid(member->release, MAP_RELEASE_MAX) ||
        !map_text_valid(member->key, MAP_RELEASE_MAX) || !map_text_valid(member->why, MAP_WHY_MAX))
        return BAD(diag, "member %s: an address, a release, a key or a reason that is none",
                   member->name);
    return S4_OK;
}

static s4_status check_member(const struct map *map, uint32_t index, struct diag *diag)
{
    const struct map_member *member = &map->members[index];
    TRY(check_texts(member, diag));
    if (member->incarnation == 0 || member->since == 0 || member->since > map->version)
        return BAD(diag, "member %s: no incarnation, or of no version", member->name);
    if (member->workers == 0 || member->workers > MAP_WORKERS_MAX)
        return BAD(diag, "member %s: %u workers, wanted 1 to %d", member->name, member->workers,
                   MAP_WORKERS_MAX);
    if (member->state < MAP_JOINING || member->state > MAP_UNFIT)
        return BAD(diag, "member %s: state %d", member->name, (int)member->state);
    if (map_find_member(map, member->name) != index)
        return BAD(diag, "two members of the name %s", member->name);
    if (map_find_incarnation(map, member->incarnation) != index)
        return BAD(diag, "member %s: another one has its incarnation", member->name);
    return S4_OK;
}

static bool place_valid(const struct map *map, uint32_t member, uint32_t worker)
{
    return map_member_exists(map, member) && worker < map->members[member].workers;
}

static s4_status check_owner(const struct map *map, uint32_t number, struct diag *diag)
{
    const struct map_slot *slot = &map->slots[number];
    bool owned = slot->owner != MAP_NOBODY;
    if (!owned && slot->target != MAP_NOBODY)
        return BAD(diag, "slot %u: it moves, and nobody has it", number);
    if (owned && !place_valid(map, slot->owner, slot->worker))
        return BAD(diag, "slot %u: owner %u, worker %u: there is no such", number, slot->owner,
                   slot->worker);
    if ((owned && slot->epoch == 0) || slot->epoch > map->version)
        return BAD(diag, "slot %u: epoch %llu in version %llu", number,
                   (unsigned long long)slot->epoch, (unsigned long long)map->version);
    if ((slot->generation == 0) != (slot->epoch == 0) || slot->generation > slot->genesis ||
        slot->genesis > slot->epoch)
        return BAD(diag, "slot %u: generation %llu, of version %llu, in epoch %llu", number,
                   (unsigned long long)slot->generation, (unsigned long long)slot->genesis,
                   (unsigned long long)slot->epoch);
    return S4_OK;
}

static s4_status check_move(const struct map *map, uint32_t number, struct diag *diag)
{
    const struct map_slot *slot = &map->slots[number];
    if (slot->target == MAP_NOBODY)
        return S4_OK;
    if (!place_valid(map, slot->target, slot->target_worker) || slot->target == slot->owner)
        return BAD(diag, "slot %u: it moves to %u, worker %u: it cannot", number, slot->target,
                   slot->target_worker);
    if (slot->move <= slot->epoch || slot->move > map->version)
        return BAD(diag, "slot %u: a move of version %llu in version %llu", number,
                   (unsigned long long)slot->move, (unsigned long long)map->version);
    return S4_OK;
}

static s4_status check_slots(const struct map *map, struct diag *diag)
{
    bool active = false;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        active |= map_member_exists(map, i) && map->members[i].state == MAP_ACTIVE;
    for (uint32_t i = 0; i < map->n_slots; i++) {
        TRY(check_owner(map, i, diag));
        TRY(check_move(map, i, diag));
        if (active && map->slots[i].owner == MAP_NOBODY)
            return BAD(diag, "slot %u: nobody has it, and there is an active member", i);
    }
    return S4_OK;
}

static bool app_texts_valid(const struct map_app *app)
{
    return app->hash[0] != 0 && map_text_valid(app->hash, MAP_RELEASE_MAX) &&
           map_text_valid(app->version, MAP_RELEASE_MAX) &&
           map_text_valid(app->build_id, MAP_RELEASE_MAX) && map_text_valid(app->why, MAP_WHY_MAX);
}

static s4_status check_apps(const struct map *map, struct diag *diag)
{
    if (map->n_apps > ARRAY_LEN(map->apps))
        return BAD(diag, "%u apps, wanted at most %zu", map->n_apps, ARRAY_LEN(map->apps));
    uint32_t live = 0;
    for (uint32_t i = 0; i < map->n_apps; i++) {
        const struct map_app *app = &map->apps[i];
        if (!map_name_valid(app->name))
            return BAD(diag, "an app's name that is none");
        if (i > 0 && strcmp(map->apps[i - 1].name, app->name) >= 0)
            return BAD(diag, "app %s: twice, or not in order", app->name);
        if (app->phase < MAP_CHECK || app->phase > MAP_REFUSED || app->id == 0 || app->since == 0 ||
            app->since > map->version || !app_texts_valid(app))
            return BAD(diag, "app %s: a phase, a number or a text that is none", app->name);
        live += app->phase != MAP_REFUSED;
    }
    if (live > MAP_APPS_MAX)
        return BAD(diag, "%u apps that run, wanted at most %d", live, MAP_APPS_MAX);
    return S4_OK;
}

s4_status map_check(const struct map *map, struct diag *diag)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(map, i))
            TRY(check_member(map, i, diag));
    TRY(check_slots(map, diag));
    return check_apps(map, diag);
}
