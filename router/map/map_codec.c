/* The map to and from bytes: proto/cluster.proto's Map. Slots are columns, so that the most slots
 * fit well into what the service keeps.
 *
 * Reading only puts what fits where it belongs; whether that is a map is then for map_check, the
 * same that the leader's own maps go through. */
#include <inttypes.h>

#include "proto/cluster.pb-c.h"
#include "router/map/map.h"
#include "router/map/map_text.h"
#include "runtime/base/mem.h"
#include "runtime/base/message.h"

typedef S4__Cluster__Map Map; /* protobuf-c's names */
typedef S4__Cluster__Member Member;
typedef S4__Cluster__Move Move;
typedef S4__Cluster__App App;

/* ---- to bytes -------------------------------------------------------------------------------- */

/* Everything that a message points to while it is packed. */
struct packing {
    Map message;
    Member members[MAP_MEMBERS_MAX];
    Member *member_at[MAP_MEMBERS_MAX];
    App apps[MAP_APPS_MAX + MAP_REFUSALS_MAX];
    App *app_at[MAP_APPS_MAX + MAP_REFUSALS_MAX];
    Move moves[MAP_SLOTS_MAX];
    Move *move_at[MAP_SLOTS_MAX];
    uint32_t owners[MAP_SLOTS_MAX], workers[MAP_SLOTS_MAX];
    uint64_t epochs[MAP_SLOTS_MAX], generations[MAP_SLOTS_MAX], geneses[MAP_SLOTS_MAX];
};

static char *borrow(const char *text) /* protobuf-c's structs are not const; packing only reads */
{
    return (char *)(uintptr_t)text;
}

static char *borrow_optional(const char *text)
{
    return text[0] ? borrow(text) : NULL;
}

static void put_members(struct packing *packing, const struct map *map)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        const struct map_member *from = &map->members[i];
        if (!map_member_exists(map, i))
            continue;
        size_t n = packing->message.n_members++;
        Member *to = packing->member_at[n] = &packing->members[n];
        s4__cluster__member__init(to);
        to->index = i;
        to->name = borrow(from->name);
        to->incarnation = from->incarnation;
        to->address = borrow(from->address);
        to->workers = from->workers;
        to->state = (S4__Cluster__Member__State)from->state;
        to->release = borrow(from->release);
        to->since = from->since;
        to->key = borrow_optional(from->key);
        to->clients = borrow_optional(from->clients);
        to->why = borrow_optional(from->why);
    }
    packing->message.members = packing->member_at;
}

static void put_apps(struct packing *packing, const struct map *map)
{
    for (uint32_t i = 0; i < map->n_apps; i++) {
        const struct map_app *from = &map->apps[i];
        App *to = packing->app_at[i] = &packing->apps[i];
        s4__cluster__app__init(to);
        to->app = borrow(from->name);
        to->id = from->id;
        to->hash = borrow(from->hash);
        to->version = borrow(from->version);
        to->build_id = borrow(from->build_id);
        to->phase = (S4__Cluster__App__Phase)from->phase;
        to->since = from->since;
        to->why = borrow_optional(from->why);
    }
    packing->message.n_apps = map->n_apps;
    packing->message.apps = packing->app_at;
}

static void put_move(struct packing *packing, uint32_t number, const struct map_slot *slot)
{
    size_t n = packing->message.n_moves++;
    Move *to = packing->move_at[n] = &packing->moves[n];
    s4__cluster__move__init(to);
    to->slot = number;
    to->target = slot->target;
    to->worker = slot->target_worker;
    to->begun = slot->move;
}

static void put_slots(struct packing *packing, const struct map *map)
{
    Map *message = &packing->message;
    for (uint32_t i = 0; i < map->n_slots; i++) {
        const struct map_slot *slot = &map->slots[i];
        bool owned = slot->owner != MAP_NOBODY;
        packing->owners[i] = owned ? slot->owner + 1u : 0;
        packing->workers[i] = owned ? slot->worker : 0;
        packing->epochs[i] = slot->epoch;
        packing->generations[i] = slot->generation;
        packing->geneses[i] = slot->genesis;
        if (slot->target != MAP_NOBODY)
            put_move(packing, i, slot);
    }
    message->n_owners = message->n_workers = message->n_epochs = message->n_generations =
        message->n_geneses = map->n_slots;
    message->owners = packing->owners;
    message->workers = packing->workers;
    message->epochs = packing->epochs;
    message->generations = packing->generations;
    message->geneses = packing->geneses;
    message->moves = packing->move_at;
}

s4_status map_pack(const struct map *map, struct buffer *out)
{
    struct packing *packing = mem_zalloc(sizeof *packing);
    if (!packing)
        return S4_NO_MEMORY;
    s4__cluster__map__init(&packing->message);
    packing->message.layout = MAP_LAYOUT;
    packing->message.cluster = map->cluster;
    packing->message.version = map->version;
    packing->message.leader_epoch = map->leader_epoch;
    put_members(packing, map);
    put_apps(packing, map);
    put_slots(packing, map);
    size_t size = s4__cluster__map__get_packed_size(&packing->message);
    s4_status status = size > MAP_BYTES_MAX ? S4_TOO_LARGE : S4_OK;
    char *room = status == S4_OK ? buffer_room(out, size) : NULL;
    if (room)
        s4__cluster__map__pack(&packing->message, (uint8_t *)room);
    else if (status == S4_OK)
        status = S4_NO_MEMORY;
    mem_free(packing);
    return status;
}

/* ---- from bytes ------------------------------------------------------------------------------ */

static s4_status take_member(struct map *map, const Member *from, struct diag *diag)
{
    if (from->index >= MAP_MEMBERS_MAX || map_member_exists(map, from->index) || from->name[0] == 0)
        return diag_set(diag, S4_CORRUPT, "a member with the index %" PRIu32 ": there is %s",
                        from->index, from->index >= MAP_MEMBERS_MAX ? "no such" : "one already");
    struct map_member *to = &map->members[from->index];
    TRY(map_text_take(from->name, MAP_NAME_MAX, to->name, "a member's name", diag));
    TRY(map_text_take(from->address, MAP_ADDRESS_MAX, to->address, "an address", diag));
    TRY(map_text_take(from->release, MAP_RELEASE_MAX, to->release, "a release", diag));
    TRY(map_text_take(from->key, MAP_RELEASE_MAX, to->key, "a key", diag));
    TRY(map_text_take(from->clients, MAP_ADDRESS_MAX, to->clients, "an address for clients", diag));
    TRY(map_text_take(from->why, MAP_WHY_MAX, to->why, "a reason", diag));
    to->incarnation = from->incarnation;
    to->since = from->since;
    to->workers = from->workers;
    to->state = (enum map_state)from->state;
    return S4_OK;
}

static s4_status take_app(struct map *map, const App *from, struct diag *diag)
{
    if (map->n_apps == ARRAY_LEN(map->apps))
        return diag_set(diag, S4_CORRUPT, "more than %zu apps", ARRAY_LEN(map->apps));
    struct map_app *to = &map->apps[map->n_apps];
    TRY(map_text_take(from->app, MAP_NAME_MAX, to->name, "an app's name", diag));
    TRY(map_text_take(from->hash, MAP_RELEASE_MAX, to->hash, "a hash", diag));
    TRY(map_text_take(from->version, MAP_RELEASE_MAX, to->version, "a version", diag));
    TRY(map_text_take(from->build_id, MAP_RELEASE_MAX, to->build_id, "a build id", diag));
    TRY(map_text_take(from->why, MAP_WHY_MAX, to->why, "a reason", diag));
    to->id = from->id;
    to->since = from->since;
    to->phase = (enum map_phase)from->phase;
    map->n_apps++;
    return S4_OK;
}

static s4_status take_slots(struct map *map, const Map *from, struct diag *diag)
{
    for (uint32_t i = 0; i < map->n_slots; i++) {
        struct map_slot *slot = &map->slots[i];
        if (from->owners[i] > MAP_MEMBERS_MAX || from->workers[i] >= MAP_WORKERS_MAX)
            return diag_set(diag, S4_CORRUPT,
                            "slot %" PRIu32 ": owner %" PRIu32 ", worker %" PRIu32
                            ": there is no such",
                            i, from->owners[i], from->workers[i]);
        if (from->owners[i] > 0) {
            slot->owner = (uint8_t)(from->owners[i] - 1);
            slot->worker = (uint8_t)from->workers[i];
        }
        slot->epoch = from->epochs[i];
        slot->generation = from->generations[i];
        slot->genesis = from->geneses[i];
    }
    return S4_OK;
}

static s4_status take_move(struct map *map, const Move *from, struct diag *diag)
{
    if (from->slot >= map->n_slots || from->target >= MAP_MEMBERS_MAX ||
        from->worker >= MAP_WORKERS_MAX || map->slots[from->slot].target != MAP_NOBODY)
        return diag_set(diag, S4_CORRUPT,
                        "slot %" PRIu32 " moves to %" PRIu32 ", worker %" PRIu32
                        ": there is no such, or it moves twice",
                        from->slot, from->target, from->worker);
    struct map_slot *slot = &map->slots[from->slot];
    slot->target = (uint8_t)from->target;
    slot->target_worker = (uint8_t)from->worker;
    slot->move = from->begun;
    return S4_OK;
}

static s4_status take_parts(struct map *map, const Map *from, struct diag *diag)
{
    map->version = from->version;
    map->leader_epoch = from->leader_epoch;
    for (size_t i = 0; i < from->n_members; i++)
        TRY(take_member(map, from->members[i], diag));
    for (size_t i = 0; i < from->n_apps; i++)
        TRY(take_app(map, from->apps[i], diag));
    TRY(take_slots(map, from, diag));
    for (size_t i = 0; i < from->n_moves; i++)
        TRY(take_move(map, from->moves[i], diag));
    return map_check(map, diag);
}

static s4_status take(const Map *from, struct map **map, struct diag *diag)
{
    if (from->layout != MAP_LAYOUT)
        return diag_set(diag, S4_VERSION, "a map of layout %" PRIu32 ", wanted %d", from->layout,
                        MAP_LAYOUT);
    if (from->n_owners == 0 || from->n_owners > MAP_SLOTS_MAX ||
        from->n_workers != from->n_owners || from->n_epochs != from->n_owners ||
        from->n_generations != from->n_owners || from->n_geneses != from->n_owners)
        return diag_set(diag, S4_CORRUPT, "a map of %zu slots, with columns of other lengths",
                        from->n_owners);
    struct map *made;
    if (map_create(from->cluster, (uint32_t)from->n_owners, &made) != S4_OK)
        return diag_set(diag, S4_NO_MEMORY, "no memory for a map");
    s4_status status = take_parts(made, from, diag);
    if (status == S4_OK)
        *map = made;
    else
        map_destroy(made);
    return status;
}

s4_status map_unpack(const void *bytes, size_t size, struct map **map, struct diag *diag)
{
    ProtobufCMessage *message;
    if (size > MAP_BYTES_MAX)
        return diag_set(diag, S4_TOO_LARGE, "a map of %zu bytes, wanted at most %zu", size,
                        MAP_BYTES_MAX);
    s4_status status = message_unpack(&s4__cluster__map__descriptor, bytes, size, &message);
    if (status != S4_OK)
        return diag_set(diag, status == S4_NO_MEMORY ? status : S4_CORRUPT,
                        "a map of %zu bytes: %s", size, s4_status_text(status));
    status = take((const Map *)message, map, diag);
    message_destroy(message);
    return status;
}
