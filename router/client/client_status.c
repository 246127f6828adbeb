/* A node's status: the reply, which holds all texts, and arrays over it. In a cluster the asked
 * node's reply has those of the other nodes inside. How many of everything there are is counted
 * first, so that each array is made once. */
#include "router/client/client_internal.h"

#include "runtime/base/mem.h"

struct status_owned {
    s4_node_status status; /* first, so that its address is this one's */
    s4_cluster_status cluster;
    S4__Control__Reply *reply;
    s4_member *members;
    s4_node_status *nodes; /* of members that answered */
    s4_cluster_app *bundles;
    uint32_t *owners;
    s4_app_status *apps;             /* of all nodes */
    s4_prototype_status *prototypes; /* of all apps */
    s4_counter *counters;            /* of everything */
    size_t n_apps, n_prototypes, n_counters;
};

/* ---- counting ------------------------------------------------------------------------------ */

static void count_node(struct status_owned *owned, const S4__Control__Status *node)
{
    owned->n_apps += node->n_apps;
    owned->n_counters += node->n_counters;
    for (size_t i = 0; i < node->n_apps; i++) {
        const S4__Control__AppStatus *app = node->apps[i];
        owned->n_prototypes += app->n_prototypes;
        owned->n_counters += app->n_counters;
        for (size_t j = 0; j < app->n_prototypes; j++)
            owned->n_counters += app->prototypes[j]->n_counters;
    }
}

static bool make_arrays(struct status_owned *owned)
{
    const S4__Control__Status *node = owned->reply->node;
    const S4__Control__Cluster *cluster = node->cluster;
    size_t members = cluster ? cluster->n_members : 0;
    count_node(owned, node);
    for (size_t i = 0; i < members; i++)
        if (cluster->members[i]->status)
            count_node(owned, cluster->members[i]->status);
    owned->members = mem_calloc(members + 1, sizeof *owned->members);
    owned->nodes = mem_calloc(members + 1, sizeof *owned->nodes);
    owned->bundles = mem_calloc((cluster ? cluster->n_apps : 0) + 1, sizeof *owned->bundles);
    owned->owners = mem_calloc((cluster ? cluster->n_owners : 0) + 1, sizeof *owned->owners);
    owned->apps = mem_calloc(owned->n_apps + 1, sizeof *owned->apps);
    owned->prototypes = mem_calloc(owned->n_prototypes + 1, sizeof *owned->prototypes);
    owned->counters = mem_calloc(owned->n_counters + 1, sizeof *owned->counters);
    owned->n_apps = owned->n_prototypes = owned->n_counters = 0; /* that are filled */
    return owned->members && owned->nodes && owned->bundles && owned->owners && owned->apps &&
           owned->prototypes && owned->counters;
}

/* ---- filling ------------------------------------------------------------------------------- */

static const s4_counter *add_counters(struct status_owned *owned, S4__Control__Counter *const *from,
                                      size_t n)
{
    const s4_counter *first = owned->counters + owned->n_counters;
    for (size_t i = 0; i < n; i++)
        owned->counters[owned->n_counters++] =
            (s4_counter){ .name = from[i]->name, .value = from[i]->value };
    return first;
}

static void add_app(struct status_owned *owned, const S4__Control__AppStatus *app)
{
    owned->apps[owned->n_apps++] = (s4_app_status){
        .name = app->app,
        .version = app->version,
        .build_id = app->build_id,
        .paused = app->paused,
        .n_counters = app->n_counters,
        .counters = add_counters(owned, app->counters, app->n_counters),
        .n_prototypes = app->n_prototypes,
        .prototypes = owned->prototypes + owned->n_prototypes,
    };
    for (size_t i = 0; i < app->n_prototypes; i++) {
        const S4__Control__PrototypeStatus *one = app->prototypes[i];
        owned->prototypes[owned->n_prototypes++] = (s4_prototype_status){
            .name = one->prototype,
            .n_counters = one->n_counters,
            .counters = add_counters(owned, one->counters, one->n_counters),
        };
    }
}

static void fill_node(struct status_owned *owned, const S4__Control__Status *node,
                      s4_node_status *status)
{
    *status = (s4_node_status){
        .release = node->release,
        .pid = node->pid,
        .n_counters = node->n_counters,
        .counters = add_counters(owned, node->counters, node->n_counters),
        .n_apps = node->n_apps,
        .apps = owned->apps + owned->n_apps,
        .n_alarms = node->n_alarms,
        .alarms = (const char *const *)node->alarms,
    };
    for (size_t i = 0; i < node->n_apps; i++)
        add_app(owned, node->apps[i]);
}

static void add_member(struct status_owned *owned, size_t i, const S4__Control__Member *from)
{
    s4_member *member = &owned->members[i];
    bool asked = strcmp(from->name, owned->reply->node->cluster->self) == 0;
    *member = (s4_member){
        .name = from->name,
        .state = from->state,
        .why = from->why ? from->why : "",
        .clients = from->clients,
        .release = from->release,
        .workers = from->workers,
        .slots = from->slots,
    };
    if (asked) {
        owned->nodes[i] = owned->status; /* as long as it has no cluster */
        member->status = &owned->nodes[i];
    } else if (from->status) {
        fill_node(owned, from->status, &owned->nodes[i]);
        member->status = &owned->nodes[i];
    }
}

/* An owner is told by its number in the map. */
static uint32_t member_of(const S4__Control__Cluster *cluster, uint32_t owner)
{
    for (size_t i = 0; owner && i < cluster->n_members; i++)
        if (cluster->members[i]->index == owner - 1)
            return (uint32_t)i;
    return S4_NO_MEMBER;
}

static void fill_cluster(struct status_owned *owned, const S4__Control__Cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_members; i++)
        add_member(owned, i, cluster->members[i]);
    for (size_t i = 0; i < cluster->n_owners; i++)
        owned->owners[i] = member_of(cluster, cluster->owners[i]);
    for (size_t i = 0; i < cluster->n_apps; i++) {
        const S4__Control__ClusterApp *app = cluster->apps[i];
        owned->bundles[i] = (s4_cluster_app){ .name = app->app,
                                              .version = app->version,
                                              .build_id = app->build_id,
                                              .phase = app->phase,
                                              .why = app->why ? app->why : "" };
    }
    owned->cluster = (s4_cluster_status){
        .name = cluster->name,
        .self = cluster->self,
        .leader = cluster->leader,
        .version = cluster->version,
        .n_members = cluster->n_members,
        .members = owned->members,
        .n_slots = cluster->n_owners,
        .owners = owned->owners,
        .moving = cluster->has_moving ? cluster->moving : S4_NO_SLOT,
        .n_apps = cluster->n_apps,
        .apps = owned->bundles,
    };
    owned->status.cluster = &owned->cluster;
}

/* ---- the call ------------------------------------------------------------------------------ */

static void destroy(struct status_owned *owned)
{
    control_reply_destroy(owned->reply);
    mem_free(owned->members);
    mem_free(owned->nodes);
    mem_free(owned->bundles);
    mem_free(owned->owners);
    mem_free(owned->apps);
    mem_free(owned->prototypes);
    mem_free(owned->counters);
    mem_free(owned);
}

s4_status s4_client_status(s4_client *client, s4_node_status **status)
{
    S4__Control__GetStatus get = S4__CONTROL__GET_STATUS__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    request.what_case = S4__CONTROL__REQUEST__WHAT_GET_STATUS;
    request.get_status = &get;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT_NODE, &reply));
    struct status_owned *owned = mem_zalloc(sizeof *owned);
    if (!owned) {
        control_reply_destroy(reply);
        return diag_set(&client->diag, S4_NO_MEMORY, "out of memory");
    }
    owned->reply = reply;
    if (!make_arrays(owned)) {
        destroy(owned);
        return diag_set(&client->diag, S4_NO_MEMORY, "out of memory");
    }
    fill_node(owned, reply->node, &owned->status);
    if (reply->node->cluster)
        fill_cluster(owned, reply->node->cluster);
    *status = &owned->status;
    return S4_OK;
}

void s4_node_status_destroy(s4_node_status *status)
{
    if (status)
        destroy(CONTAINER_OF(status, struct status_owned, status));
}
