/* The map as a value; see the header. Its bytes are in map_codec.c, who changes it in plan.c. */
#include "router/map/map.h"

#include "runtime/base/mem.h"

static size_t map_size(uint32_t slots)
{
    return sizeof(struct map) + slots * sizeof(struct map_slot);
}

s4_status map_create(uint64_t cluster, uint32_t slots, struct map **map)
{
    if (slots == 0 || slots > MAP_SLOTS_MAX)
        return S4_RANGE;
    struct map *made = mem_zalloc(map_size(slots));
    if (!made)
        return S4_NO_MEMORY;
    made->cluster = cluster;
    made->n_slots = slots;
    for (uint32_t i = 0; i < slots; i++) {
        made->slots[i].owner = MAP_NOBODY;
        made->slots[i].target = MAP_NOBODY;
    }
    *map = made;
    return S4_OK;
}

struct map *map_dup(const struct map *map)
{
    return mem_dup(map, map_size(map->n_slots));
}

void map_assign(struct map *to, const struct map *from)
{
    CHECK(to->n_slots == from->n_slots);
    memcpy(to, from, map_size(from->n_slots));
}

void map_destroy(struct map *map)
{
    mem_free(map);
}

uint32_t map_members_count(const struct map *map)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        n += map_member_exists(map, i);
    return n;
}

uint32_t map_find_member(const struct map *map, const char *name)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(map, i) && strcmp(map->members[i].name, name) == 0)
            return i;
    return MAP_NOBODY;
}

uint32_t map_find_incarnation(const struct map *map, uint64_t incarnation)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(map, i) && map->members[i].incarnation == incarnation)
            return i;
    return MAP_NOBODY;
}

const struct map_app *map_find_app(const struct map *map, const char *name)
{
    for (uint32_t i = 0; i < map->n_apps; i++)
        if (strcmp(map->apps[i].name, name) == 0)
            return &map->apps[i];
    return NULL;
}

uint32_t map_slots_of(const struct map *map, uint32_t index, bool coming)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < map->n_slots; i++) {
        const struct map_slot *slot = &map->slots[i];
        n += (coming && slot->target != MAP_NOBODY ? slot->target : slot->owner) == index;
    }
    return n;
}

uint32_t map_moving(const struct map *map)
{
    for (uint32_t i = 0; i < map->n_slots; i++)
        if (map->slots[i].target != MAP_NOBODY)
            return i;
    return MAP_SLOTS_MAX;
}

/* ---- equality -------------------------------------------------------------------------------- */

static bool member_same(const struct map_member *a, const struct map_member *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->address, b->address) == 0 &&
           strcmp(a->clients, b->clients) == 0 && strcmp(a->release, b->release) == 0 &&
           strcmp(a->key, b->key) == 0 && strcmp(a->why, b->why) == 0 &&
           a->incarnation == b->incarnation && a->since == b->since && a->workers == b->workers &&
           a->state == b->state;
}

static bool app_same(const struct map_app *a, const struct map_app *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->hash, b->hash) == 0 &&
           strcmp(a->version, b->version) == 0 && strcmp(a->build_id, b->build_id) == 0 &&
           strcmp(a->why, b->why) == 0 && a->id == b->id && a->since == b->since &&
           a->phase == b->phase;
}

static bool slot_same(const struct map_slot *a, const struct map_slot *b)
{
    bool owned = a->owner != MAP_NOBODY, moves = a->target != MAP_NOBODY;
    return a->owner == b->owner && a->target == b->target && a->epoch == b->epoch &&
           a->generation == b->generation && a->genesis == b->genesis &&
           (!owned || a->worker == b->worker) &&
           (!moves || (a->move == b->move && a->target_worker == b->target_worker));
}

bool map_same(const struct map *a, const struct map *b)
{
    if (a->cluster != b->cluster || a->n_slots != b->n_slots || a->n_apps != b->n_apps)
        return false;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(a, i) != map_member_exists(b, i) ||
            (map_member_exists(a, i) && !member_same(&a->members[i], &b->members[i])))
            return false;
    for (uint32_t i = 0; i < a->n_apps; i++)
        if (!app_same(&a->apps[i], &b->apps[i]))
            return false;
    for (uint32_t i = 0; i < a->n_slots; i++)
        if (!slot_same(&a->slots[i], &b->slots[i]))
            return false;
    return true;
}

/* ---- names ----------------------------------------------------------------------------------- */

const char *map_state_name(enum map_state state)
{
    static const char *const names[] = { [MAP_JOINING] = "joining",
                                         [MAP_ACTIVE] = "active",
                                         [MAP_STANDBY] = "standby",
                                         [MAP_DRAINING] = "draining",
                                         [MAP_UNFIT] = "cannot load" };
    return (size_t)state < ARRAY_LEN(names) && names[state] ? names[state] : "?";
}

const char *map_phase_name(enum map_phase phase)
{
    static const char *const names[] = {
        [MAP_CHECK] = "checked now", [MAP_RUN] = "running", [MAP_REFUSED] = "refused"
    };
    return (size_t)phase < ARRAY_LEN(names) && names[phase] ? names[phase] : "?";
}

bool map_name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    size_t len = name ? strnlen(name, MAP_NAME_MAX + 1) : 0;
    return len > 0 && len <= MAP_NAME_MAX && name[0] != '.' && strspn(name, allowed) == len;
}

static bool shows(char c)
{
    return c >= ' ' && c <= '~';
}

bool map_text_valid(const char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);
    for (size_t i = 0; i < len; i++)
        if (!shows(text[i]))
            return false;
    return len <= max;
}

void map_text_clean(const char *text, size_t max, char *out)
{
    size_t len = strnlen(text, max);
    for (size_t i = 0; i < len; i++)
        out[i] = shows(text[i]) ? text[i] : '?';
    out[len] = 0;
}
