/* Entries to and from bytes; see entry.h. */
#include <inttypes.h>

#include "proto/cluster.pb-c.h"
#include "router/map/entry.h"
#include "router/map/map_text.h"
#include "runtime/base/message.h"

#define TAKE_TEXT(from, max, to, what, diag) TRY(map_text_take((from), (max), (to), (what), (diag)))

static char *borrow(const char *text) /* protobuf-c's structs are not const; packing only reads */
{
    return (char *)(uintptr_t)text;
}

static s4_status pack(const ProtobufCMessage *message, struct buffer *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > ENTRY_BYTES_MAX)
        return S4_TOO_LARGE;
    char *room = buffer_room(out, size);
    if (!room)
        return S4_NO_MEMORY;
    protobuf_c_message_pack(message, (uint8_t *)room);
    return S4_OK;
}

static s4_status unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                        ProtobufCMessage **message, struct diag *diag)
{
    if (size > ENTRY_BYTES_MAX)
        return diag_set(diag, S4_TOO_LARGE, "an entry of %zu bytes, wanted at most %zu", size,
                        ENTRY_BYTES_MAX);
    s4_status status = message_unpack(type, bytes, size, message);
    return status == S4_OK ? S4_OK
                           : diag_set(diag, status == S4_NO_MEMORY ? status : S4_CORRUPT,
                                      "%zu bytes that are no %s: %s", size, type->short_name,
                                      s4_status_text(status));
}

static s4_status check_layout(uint32_t layout, struct diag *diag)
{
    return layout == MAP_LAYOUT
               ? S4_OK
               : diag_set(diag, S4_VERSION, "an entry of layout %" PRIu32 ", wanted %d", layout,
                          MAP_LAYOUT);
}

static s4_status take_name(const char *from, char *to, const char *what, struct diag *diag)
{
    if (!map_name_valid(from))
        return diag_set(diag, S4_CORRUPT,
                        "%s that is none: wanted 1 to %d letters, digits, '.', '_' or '-'", what,
                        MAP_NAME_MAX);
    memcpy(to, from, strlen(from) + 1);
    return S4_OK;
}

static s4_status check_number(uint64_t number, const char *what, struct diag *diag)
{
    return number != 0 ? S4_OK : diag_set(diag, S4_CORRUPT, "%s of 0", what);
}

/* ---- spec, leader, drain --------------------------------------------------------------------- */

s4_status entry_spec_pack(const struct entry_spec *spec, struct buffer *out)
{
    S4__Cluster__Spec message = S4__CLUSTER__SPEC__INIT;
    message.layout = MAP_LAYOUT;
    message.cluster = spec->cluster;
    message.slots = spec->slots;
    return pack(&message.base, out);
}

static s4_status take_spec(const S4__Cluster__Spec *from, struct entry_spec *spec,
                           struct diag *diag)
{
    TRY(check_layout(from->layout, diag));
    if (from->slots == 0 || from->slots > MAP_SLOTS_MAX)
        return diag_set(diag, S4_CORRUPT, "%" PRIu32 " slots, wanted 1 to %d", from->slots,
                        MAP_SLOTS_MAX);
    TRY(check_number(from->cluster, "a cluster's number", diag));
    *spec = (struct entry_spec){ .cluster = from->cluster, .slots = from->slots };
    return S4_OK;
}

s4_status entry_spec_unpack(const void *bytes, size_t size, struct entry_spec *spec,
                            struct diag *diag)
{
    ProtobufCMessage *message;
    TRY(unpack(&s4__cluster__spec__descriptor, bytes, size, &message, diag));
    s4_status status = take_spec((const S4__Cluster__Spec *)message, spec, diag);
    message_destroy(message);
    return status;
}

s4_status entry_leader_pack(const struct entry_leader *leader, struct buffer *out)
{
    S4__Cluster__Leader message = S4__CLUSTER__LEADER__INIT;
    message.node = borrow(leader->node);
    message.incarnation = leader->incarnation;
    message.attempt = leader->attempt;
    return pack(&message.base, out);
}

static s4_status take_leader(const S4__Cluster__Leader *from, struct entry_leader *leader,
                             struct diag *diag)
{
    TRY(take_name(from->node, leader->node, "a leader's name", diag));
    leader->incarnation = from->incarnation;
    leader->attempt = from->attempt;
    return S4_OK;
}

s4_status entry_leader_unpack(const void *bytes, size_t size, struct entry_leader *leader,
                              struct diag *diag)
{
    ProtobufCMessage *message;
    TRY(unpack(&s4__cluster__leader__descriptor, bytes, size, &message, diag));
    s4_status status = take_leader((const S4__Cluster__Leader *)message, leader, diag);
    message_destroy(message);
    return status;
}

s4_status entry_drain_pack(const struct entry_drain *drain, struct buffer *out)
{
    S4__Cluster__Drain message = S4__CLUSTER__DRAIN__INIT;
    message.node = borrow(drain->node);
    message.incarnation = drain->incarnation;
    return pack(&message.base, out);
}

static s4_status take_drain(const S4__Cluster__Drain *from, struct entry_drain *drain,
                            struct diag *diag)
{
    TRY(take_name(from->node, drain->node, "a node's name", diag));
    drain->incarnation = from->incarnation;
    return S4_OK;
}

s4_status entry_drain_unpack(const void *bytes, size_t size, struct entry_drain *drain,
                             struct diag *diag)
{
    ProtobufCMessage *message;
    TRY(unpack(&s4__cluster__drain__descriptor, bytes, size, &message, diag));
    s4_status status = take_drain((const S4__Cluster__Drain *)message, drain, diag);
    message_destroy(message);
    return status;
}

/* ---- wanted ---------------------------------------------------------------------------------- */

s4_status entry_wanted_pack(const struct entry_wanted *wanted, struct buffer *out)
{
    S4__Cluster__Wanted message = S4__CLUSTER__WANTED__INIT;
    message.app = borrow(wanted->app);
    message.id = wanted->id;
    message.hash = borrow(wanted->hash);
    message.version = borrow(wanted->version);
    message.build_id = borrow(wanted->build_id);
    return pack(&message.base, out);
}

static s4_status take_wanted(const S4__Cluster__Wanted *from, struct entry_wanted *wanted,
                             struct diag *diag)
{
    TRY(take_name(from->app, wanted->app, "an app's name", diag));
    TRY(check_number(from->id, "a deployment's number", diag));
    if (from->hash[0] == 0)
        return diag_set(diag, S4_CORRUPT, "a deployment without its bundle's hash");
    TAKE_TEXT(from->hash, MAP_RELEASE_MAX, wanted->hash, "a hash", diag);
    TAKE_TEXT(from->version, MAP_RELEASE_MAX, wanted->version, "a version", diag);
    TAKE_TEXT(from->build_id, MAP_RELEASE_MAX, wanted->build_id, "a build id", diag);
    wanted->id = from->id;
    return S4_OK;
}

s4_status entry_wanted_unpack(const void *bytes, size_t size, struct entry_wanted *wanted,
                              struct diag *diag)
{
    ProtobufCMessage *message;
    TRY(unpack(&s4__cluster__wanted__descriptor, bytes, size, &message, diag));
    s4_status status = take_wanted((const S4__Cluster__Wanted *)message, wanted, diag);
    message_destroy(message);
    return status;
}

/* ---- node ------------------------------------------------------------------------------------ */

/* Everything that a node's message points to while it is packed. */
struct packing {
    S4__Cluster__AppReport apps[ENTRY_APPS_MAX];
    S4__Cluster__AppReport *app_at[ENTRY_APPS_MAX];
    S4__Cluster__MoveReport moves[ENTRY_MOVES_MAX];
    S4__Cluster__MoveReport *move_at[ENTRY_MOVES_MAX];
};

static void put_reports(const struct entry_node *node, struct packing *packing,
                        S4__Cluster__Node *message)
{
    for (uint32_t i = 0; i < node->n_apps; i++) {
        S4__Cluster__AppReport *to = packing->app_at[i] = &packing->apps[i];
        s4__cluster__app_report__init(to);
        to->app = borrow(node->apps[i].app);
        to->id = node->apps[i].id;
        to->state = (S4__Cluster__AppReport__State)node->apps[i].state;
        to->why = node->apps[i].why[0] ? borrow(node->apps[i].why) : NULL;
    }
    for (uint32_t i = 0; i < node->n_moves; i++) {
        S4__Cluster__MoveReport *to = packing->move_at[i] = &packing->moves[i];
        s4__cluster__move_report__init(to);
        to->slot = node->moves[i].slot;
        to->move = node->moves[i].move;
        to->done = node->moves[i].done;
        to->why = node->moves[i].why[0] ? borrow(node->moves[i].why) : NULL;
    }
    message->n_apps = node->n_apps;
    message->apps = packing->app_at;
    message->n_moves = node->n_moves;
    message->moves = packing->move_at;
}

s4_status entry_node_pack(const struct entry_node *node, struct buffer *out)
{
    struct packing packing;
    S4__Cluster__Node message = S4__CLUSTER__NODE__INIT;
    message.layout = MAP_LAYOUT;
    message.cluster = node->cluster;
    message.name = borrow(node->name);
    message.incarnation = node->incarnation;
    message.address = borrow(node->address);
    message.workers = node->workers;
    message.release = borrow(node->release);
    message.key = node->key[0] ? borrow(node->key) : NULL;
    message.clients = node->clients[0] ? borrow(node->clients) : NULL;
    message.has_standby = true;
    message.standby = node->standby;
    put_reports(node, &packing, &message);
    return pack(&message.base, out);
}

static s4_status take_identity(const S4__Cluster__Node *from, struct entry_node *node,
                               struct diag *diag)
{
    TRY(check_layout(from->layout, diag));
    TRY(take_name(from->name, node->name, "a node's name", diag));
    TRY(check_number(from->incarnation, "an incarnation", diag));
    if (from->workers == 0 || from->workers > MAP_WORKERS_MAX)
        return diag_set(diag, S4_CORRUPT, "%" PRIu32 " workers, wanted 1 to %d", from->workers,
                        MAP_WORKERS_MAX);
    if (from->address[0] == 0 || from->release[0] == 0)
        return diag_set(diag, S4_CORRUPT, "a node without an address or a release");
    TAKE_TEXT(from->address, MAP_ADDRESS_MAX, node->address, "an address", diag);
    TAKE_TEXT(from->release, MAP_RELEASE_MAX, node->release, "a release", diag);
    TAKE_TEXT(from->key, MAP_RELEASE_MAX, node->key, "a key", diag);
    TAKE_TEXT(from->clients, MAP_ADDRESS_MAX, node->clients, "an address for clients", diag);
    node->cluster = from->cluster;
    node->incarnation = from->incarnation;
    node->workers = from->workers;
    node->standby = from->standby;
    return S4_OK;
}

static s4_status take_app(const S4__Cluster__AppReport *from, struct entry_app *to,
                          struct diag *diag)
{
    TRY(take_name(from->app, to->app, "an app's name", diag));
    TAKE_TEXT(from->why, MAP_WHY_MAX, to->why, "a reason", diag);
    if ((int)from->state < ENTRY_CHECKED || (int)from->state > ENTRY_REFUSED)
        return diag_set(diag, S4_CORRUPT, "app %s: state %d", to->app, (int)from->state);
    to->id = from->id;
    to->state = (enum entry_app_state)from->state;
    return S4_OK;
}

static s4_status take_reports(const S4__Cluster__Node *from, struct entry_node *node,
                              struct diag *diag)
{
    if (from->n_apps > ENTRY_APPS_MAX || from->n_moves > ENTRY_MOVES_MAX)
        return diag_set(diag, S4_CORRUPT,
                        "reports of %zu apps and %zu moves, wanted at most %d and %d", from->n_apps,
                        from->n_moves, ENTRY_APPS_MAX, ENTRY_MOVES_MAX);
    for (size_t i = 0; i < from->n_apps; i++, node->n_apps++)
        TRY(take_app(from->apps[i], &node->apps[i], diag));
    for (size_t i = 0; i < from->n_moves; i++, node->n_moves++) {
        struct entry_move *to = &node->moves[i];
        TAKE_TEXT(from->moves[i]->why, MAP_WHY_MAX, to->why, "a reason", diag);
        to->slot = from->moves[i]->slot;
        to->move = from->moves[i]->move;
        to->done = from->moves[i]->done;
    }
    return S4_OK;
}

s4_status entry_node_unpack(const void *bytes, size_t size, struct entry_node *node,
                            struct diag *diag)
{
    ProtobufCMessage *message;
    TRY(unpack(&s4__cluster__node__descriptor, bytes, size, &message, diag));
    const S4__Cluster__Node *from = (const S4__Cluster__Node *)message;
    memset(node, 0, sizeof *node);
    s4_status status = take_identity(from, node, diag);
    if (status == S4_OK)
        status = take_reports(from, node, diag);
    message_destroy(message);
    return status;
}
