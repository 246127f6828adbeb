/* A node's status as a reply: the engine's counters, by name, and the latest alarms. */
#include <unistd.h>

#include "apps/s4/node.h"
#include "apps/s4/node_fan.h"
#include "apps/s4/status_of.h"
#include "runtime/base/mem.h"

/* Everything that a status consists of, in one piece. */
struct status_parts {
    struct engine_status status;
    char alarms[ALARMS_KEPT][ALARM_TEXT_MAX];
    char *alarm_list[ALARMS_KEPT];
    S4__Control__Counter *counters;
    S4__Control__Counter **counter_list;
    size_t n_counters;
    S4__Control__PrototypeStatus *prototypes;
    S4__Control__PrototypeStatus **prototype_list;
    size_t n_prototypes;
    S4__Control__AppStatus *apps;
    S4__Control__AppStatus **app_list;
    S4__Control__Cluster cluster;
    S4__Control__Member members[MAP_MEMBERS_MAX];
    S4__Control__Member *member_list[MAP_MEMBERS_MAX];
    S4__Control__ClusterApp bundles[MAP_APPS_MAX + MAP_REFUSALS_MAX];
    S4__Control__ClusterApp *bundle_list[MAP_APPS_MAX + MAP_REFUSALS_MAX];
    uint32_t owners[MAP_SLOTS_MAX];
};

static char *no_const(const char *text)
{
    union {
        const char *given;
        char *wanted; /* protobuf-c's structs have none */
    } both = { text };
    return both.wanted;
}

static S4__Control__Counter **add_counters(struct status_parts *parts,
                                           const struct counter_entry *entries, size_t n)
{
    S4__Control__Counter **first = parts->counter_list + parts->n_counters;
    for (size_t i = 0; i < n; i++) {
        S4__Control__Counter *counter = &parts->counters[parts->n_counters];
        s4__control__counter__init(counter);
        counter->name = no_const(entries[i].name);
        counter->value = entries[i].value;
        parts->counter_list[parts->n_counters++] = counter;
    }
    return first;
}

static void add_app(struct status_parts *parts, size_t index)
{
    struct engine_app_status *from = &parts->status.apps[index];
    S4__Control__AppStatus *app = &parts->apps[index];
    struct counter_entry entries[STATUS_APP_COUNTERS];
    s4__control__app_status__init(app);
    app->app = from->name;
    app->version = from->version;
    app->build_id = from->build_id;
    app->paused = from->paused;
    app->n_counters = status_of_app(from, entries);
    app->counters = add_counters(parts, entries, app->n_counters);
    app->prototypes = parts->prototype_list + parts->n_prototypes;
    app->n_prototypes = from->n_prototypes;
    for (uint32_t i = 0; i < from->n_prototypes; i++) {
        S4__Control__PrototypeStatus *prototype = &parts->prototypes[parts->n_prototypes];
        s4__control__prototype_status__init(prototype);
        prototype->prototype = from->prototypes[i].name;
        prototype->n_counters = status_of_prototype(&from->prototypes[i], entries);
        prototype->counters = add_counters(parts, entries, prototype->n_counters);
        parts->prototype_list[parts->n_prototypes++] = prototype;
    }
    parts->app_list[index] = app;
}

static bool make_parts(struct status_parts *parts)
{
    size_t apps = parts->status.n_apps, prototypes = 0;
    for (size_t i = 0; i < apps; i++)
        prototypes += parts->status.apps[i].n_prototypes;
    size_t counters =
        STATUS_NODE_COUNTERS + apps * STATUS_APP_COUNTERS + prototypes * STATUS_PROTOTYPE_COUNTERS;
    parts->counters = mem_calloc(counters, sizeof *parts->counters);
    parts->counter_list = mem_calloc(counters, sizeof *parts->counter_list);
    parts->prototypes = mem_calloc(prototypes + 1, sizeof *parts->prototypes);
    parts->prototype_list = mem_calloc(prototypes + 1, sizeof *parts->prototype_list);
    parts->apps = mem_calloc(apps + 1, sizeof *parts->apps);
    parts->app_list = mem_calloc(apps + 1, sizeof *parts->app_list);
    return parts->counters && parts->counter_list && parts->prototypes && parts->prototype_list &&
           parts->apps && parts->app_list;
}

static void free_parts(struct status_parts *parts)
{
    mem_free(parts->status.apps);
    mem_free(parts->counters);
    mem_free(parts->counter_list);
    mem_free(parts->prototypes);
    mem_free(parts->prototype_list);
    mem_free(parts->apps);
    mem_free(parts->app_list);
    mem_free(parts);
}

static void add_member(struct status_parts *parts, const struct fan *fan, uint32_t index)
{
    const struct map_member *from = &fan->map->members[index];
    S4__Control__Member *member = &parts->members[index];
    const S4__Control__Reply *reply = fan->replies[index];
    s4__control__member__init(member);
    member->index = index;
    member->name = no_const(from->name);
    member->state = no_const(map_state_name(from->state));
    member->clients = no_const(from->clients);
    member->release = no_const(from->release);
    member->workers = from->workers;
    member->slots = map_slots_of(fan->map, index, false);
    member->why = from->why[0] ? no_const(from->why) : NULL;
    member->status =
        reply && reply->what_case == S4__CONTROL__REPLY__WHAT_NODE ? reply->node : NULL;
    parts->member_list[parts->cluster.n_members++] = member;
}

static void add_bundle(struct status_parts *parts, const struct map_app *from)
{
    S4__Control__ClusterApp *app = &parts->bundles[parts->cluster.n_apps];
    s4__control__cluster_app__init(app);
    app->app = no_const(from->name);
    app->version = no_const(from->version);
    app->build_id = no_const(from->build_id);
    app->phase = no_const(map_phase_name(from->phase));
    app->why = from->why[0] ? no_const(from->why) : NULL;
    parts->bundle_list[parts->cluster.n_apps++] = app;
}

static void add_cluster(struct status_parts *parts, const struct request *request)
{
    const struct fan *fan = request->fan;
    const struct map *map = fan->map;
    S4__Control__Cluster *cluster = &parts->cluster;
    s4__control__cluster__init(cluster);
    cluster->name = no_const(request->node->membership.cluster);
    cluster->self = no_const(request->node->membership.name);
    cluster->version = map->version;
    cluster->leader = no_const(fan->leader);
    cluster->members = parts->member_list;
    cluster->apps = parts->bundle_list;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(map, i))
            add_member(parts, fan, i);
    for (uint32_t i = 0; i < map->n_apps; i++)
        add_bundle(parts, &map->apps[i]);
    for (uint32_t slot = 0; slot < map->n_slots; slot++)
        parts->owners[slot] =
            map->slots[slot].owner == MAP_NOBODY ? 0 : map->slots[slot].owner + 1u;
    cluster->owners = parts->owners;
    cluster->n_owners = map->n_slots;
    cluster->has_moving = map_moving(map) < MAP_SLOTS_MAX;
    cluster->moving = map_moving(map);
}

static s4_status pack_status(struct request *request, struct status_parts *parts)
{
    struct counter_entry entries[STATUS_NODE_COUNTERS];
    S4__Control__Status status = S4__CONTROL__STATUS__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    char release[] = S4_RELEASE;
    status.release = release;
    status.pid = (uint64_t)getpid();
    status.n_counters = status_of_node(&parts->status, entries);
    status.counters = add_counters(parts, entries, status.n_counters);
    for (size_t i = 0; i < parts->status.n_apps; i++)
        add_app(parts, i);
    status.apps = parts->app_list;
    status.n_apps = parts->status.n_apps;
    status.n_alarms = alarms_latest(&request->node->alarms, parts->alarms, ALARMS_KEPT);
    for (size_t i = 0; i < status.n_alarms; i++)
        parts->alarm_list[i] = parts->alarms[i];
    status.alarms = parts->alarm_list;
    if (request->fan) {
        add_cluster(parts, request);
        status.cluster = &parts->cluster;
    }
    reply.what_case = S4__CONTROL__REPLY__WHAT_NODE;
    reply.node = &status;
    reply.id = request->message->id;
    return control_pack(&reply.base, &request->packed, &request->packed_size);
}

void node_status_pack(struct request *request)
{
    struct status_parts *parts = mem_zalloc(sizeof *parts);
    s4_status status = parts ? S4_OK : S4_NO_MEMORY;
    if (status == S4_OK)
        status = engine_status(request->node->engine, &parts->status);
    if (status == S4_OK && !make_parts(parts))
        status = S4_NO_MEMORY;
    if (status == S4_OK)
        status = pack_status(request, parts);
    request->status = status;
    if (parts)
        free_parts(parts);
}
