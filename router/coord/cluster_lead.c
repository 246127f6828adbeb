/* The leader's part of a pass: its epoch, its view, the next map.
 *
 * Who is elected sets leader_epoch; the version that this gives is its epoch, and every write of it
 * from then on holds only while leader_epoch still has that version. So there may be several that
 * take themselves for the leader, and only the last one's writes are taken. What it decides on it
 * read in this order: the map, then everything else; so a member whose entry is missing had one,
 * and is gone.
 *
 * A write in doubt is not made again: the next pass reads the map past every lag, and plans from
 * what is there, naming its version. Should the doubtful write be applied yet, then one of the two
 * fails. */
#include "router/coord/cluster_inside.h"

static struct coord_call call_of(struct cluster *cluster,
                                 void (*answered)(void *user, const struct coord_answer *answer))
{
    return (struct coord_call){ .answered = answered, .user = cluster };
}

void lead_depose(struct cluster *cluster, const char *why)
{
    if (cluster->lead.epoch > 0)
        log_write(cluster->log, LOG_INFO, "cluster %s: leads no more: %s", cluster->name, why);
    cluster->lead.epoch = 0;
    cluster->lead.attempt = 0;
}

/* A check that fails says that there is a later leader. */
static struct coord_op check_epoch(const struct cluster *cluster, const struct cluster_path *path)
{
    return (struct coord_op){ .op = COORD_CHECK,
                              .path = path->text,
                              .version = PLANTED(PLANTED_NO_EPOCH_CHECK) ? COORD_ANY
                                                                         : cluster->lead.epoch };
}

/* ---- the epoch ------------------------------------------------------------------------------- */

static void has_epoch(struct cluster *cluster, int64_t epoch)
{
    cluster->lead.epoch = epoch;
    cluster->lead.avoid_slot = MAP_SLOTS_MAX;
    cluster->lead.move_after_us = 0;
    log_write(cluster->log, LOG_INFO, "cluster %s: leads under epoch %lld", cluster->name,
              (long long)epoch);
    cluster_pass_end(cluster, true); /* the map is read again: the one before may have written */
}

static void on_epoch_set(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    if (answer->status == S4_OK || answer->status == S4_VERSION || answer->status == S4_IN_DOUBT)
        cluster_pass_end(cluster, true); /* the next pass finds its own attempt, or tries again */
    else
        cluster_pass_fail(cluster, answer->path, answer->status);
}

static void set_epoch(struct cluster *cluster, int64_t version)
{
    struct entry_leader leader = { .incarnation = cluster->node.incarnation,
                                   .attempt = cluster->lead.attempt };
    struct cluster_path path = cluster_path(cluster, "leader_epoch", NULL);
    memcpy(leader.node, cluster->node.name, sizeof leader.node);
    buffer_clear(&cluster->bytes);
    s4_status status = entry_leader_pack(&leader, &cluster->bytes);
    if (status == S4_OK)
        status = coord_set(cluster->coord, path.text, cluster->bytes.data, cluster->bytes.size,
                           version, call_of(cluster, on_epoch_set));
    if (status != S4_OK)
        cluster_pass_fail(cluster, path.text, status);
}

static void on_epoch(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    struct entry_leader leader;
    if (answer->status != S4_OK) {
        cluster_pass_fail(cluster, answer->path, answer->status);
        return;
    }
    /* before the first leader there is nothing in it */
    bool mine = entry_leader_unpack(answer->data, answer->size, &leader, NULL) == S4_OK &&
                leader.incarnation == cluster->node.incarnation &&
                leader.attempt == cluster->lead.attempt;
    if (mine)
        has_epoch(cluster, answer->stat.version);
    else
        set_epoch(cluster, answer->stat.version);
}

void lead_pass(struct cluster *cluster)
{
    if (cluster->lead.attempt == 0)
        cluster->lead.attempt = rng_next(&cluster->rng) | 1;
    if (cluster->lead.epoch > 0) {
        if (cluster->map_current)
            lead_view(cluster);
        else
            cluster_pass_end(cluster, false);
        return;
    }
    struct cluster_path path = cluster_path(cluster, "leader_epoch", NULL);
    s4_status status =
        coord_get(cluster->coord, path.text, COORD_FRESH, call_of(cluster, on_epoch));
    if (status != S4_OK)
        cluster_pass_fail(cluster, path.text, status);
}

/* ---- what nobody needs any more -------------------------------------------------------------- */

static bool node_lives(const struct cluster *cluster, const struct entry_drain *drain)
{
    for (size_t i = 0; i < cluster->lead.n_items; i++) {
        const struct view_item *item = &cluster->lead.items[i];
        if (item->kind == VIEW_NODES && item->there && strcmp(item->name, drain->node) == 0)
            return !item->node || item->node->incarnation == drain->incarnation;
    }
    return false;
}

/* A bundle that was refused is not wanted any more; a node that went needs no drain. */
static bool is_settled(const struct cluster *cluster, const struct view_item *item)
{
    if (!item->there || !item->entry || item->kind == VIEW_NODES)
        return false;
    if (item->kind == VIEW_DRAINS)
        return !node_lives(cluster, item->drain);
    const struct map_app *app = map_find_app(cluster->map, item->wanted->app);
    return app && app->id == item->wanted->id && app->phase == MAP_REFUSED;
}

static void on_cleaned(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    if (answer->status == S4_VERSION && answer->failed_op == 0)
        lead_depose(cluster, "a later epoch");
    if (answer->status == S4_UNAVAILABLE)
        cluster_pass_fail(cluster, answer->path, answer->status);
    else
        cluster_pass_end(cluster, true);
}

/* One entry per pass; there are few. */
static void clean(struct cluster *cluster)
{
    static const char *const folders[] = {
        [VIEW_NODES] = "nodes", [VIEW_APPS] = "apps", [VIEW_DRAINS] = "drains"
    };
    const struct view_item *item = NULL;
    for (size_t i = 0; i < cluster->lead.n_items && !item; i++)
        if (is_settled(cluster, &cluster->lead.items[i]))
            item = &cluster->lead.items[i];
    if (!item) {
        cluster_pass_end(cluster, false);
        return;
    }
    struct cluster_path epoch = cluster_path(cluster, "leader_epoch", NULL);
    struct cluster_path path = cluster_path(cluster, folders[item->kind], item->name);
    struct coord_op ops[] = {
        check_epoch(cluster, &epoch),
        { .op = COORD_DELETE, .path = path.text, .version = item->version },
    };
    s4_status status =
        coord_multi(cluster->coord, ops, ARRAY_LEN(ops), call_of(cluster, on_cleaned));
    if (status != S4_OK)
        cluster_pass_fail(cluster, path.text, status);
}

/* ---- the next map ---------------------------------------------------------------------------- */

static void map_written(struct cluster *cluster)
{
    const struct plan_result *result = &cluster->lead.result;
    struct map *map = map_dup(cluster->next);
    uint64_t now = cluster_now(cluster);
    cluster->map_version++;
    if (result->moved > 0) {
        cluster->lead.move_after_us = now + cluster->move_pause_us;
        cluster->lead.avoid_slot = MAP_SLOTS_MAX;
    }
    if (result->failed_slot != MAP_SLOTS_MAX) {
        cluster->lead.move_after_us = now + CLUSTER_MOVE_FAILED_US;
        cluster->lead.avoid_slot = result->failed_slot;
    }
    if (map) /* else the next pass reads it */
        cluster_apply(cluster, &map);
    cluster_pass_end(cluster, true);
}

static void on_map_written(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    switch (answer->status) {
    case S4_OK:
        map_written(cluster);
        break;
    case S4_VERSION:
        if (answer->failed_op == 0)
            lead_depose(cluster, "a later epoch");
        cluster_pass_end(cluster, true);
        break;
    case S4_IN_DOUBT:
        if (PLANTED(PLANTED_BLIND_RETRY))
            cluster->map_version = COORD_ANY;
        cluster_pass_end(cluster, true);
        break;
    default:
        cluster_pass_fail(cluster, answer->path, answer->status);
        break;
    }
}

static void write_map(struct cluster *cluster)
{
    struct diag diag = { 0 };
    cluster->next->leader_epoch = (uint64_t)cluster->lead.epoch;
    s4_status status = map_check(cluster->next, &diag);
    buffer_clear(&cluster->bytes);
    if (status == S4_OK)
        status = map_pack(cluster->next, &cluster->bytes);
    if (status == S4_OK) {
        struct cluster_path epoch = cluster_path(cluster, "leader_epoch", NULL);
        struct cluster_path path = cluster_path(cluster, "map", NULL);
        struct coord_op ops[] = {
            check_epoch(cluster, &epoch),
            { .op = COORD_SET,
              .path = path.text,
              .data = cluster->bytes.data,
              .size = cluster->bytes.size,
              .version = cluster->map_version },
        };
        status = coord_multi(cluster->coord, ops, ARRAY_LEN(ops), call_of(cluster, on_map_written));
    }
    if (status != S4_OK)
        cluster_pass_fail(cluster, diag.text[0] ? diag.text : "map", status);
}

/* Puts the items of one kind where the plan wants them. */
struct lists {
    struct plan_node nodes[PLAN_ENTRIES_MAX];
    struct plan_wanted wanted[PLAN_ENTRIES_MAX];
    struct entry_drain drains[PLAN_ENTRIES_MAX];
};

static void list_items(const struct lead *lead, struct lists *lists, struct plan_view *view)
{
    *view = (struct plan_view){ .nodes = lists->nodes,
                                .wanted = lists->wanted,
                                .drains = lists->drains };
    for (size_t i = 0; i < lead->n_items; i++) {
        const struct view_item *item = &lead->items[i];
        if (!item->there)
            continue;
        if (item->kind == VIEW_NODES)
            lists->nodes[view->n_nodes++] = (struct plan_node){ item->name, item->node };
        else if (item->kind == VIEW_APPS)
            lists->wanted[view->n_wanted++] = (struct plan_wanted){ item->name, item->wanted };
        else if (item->drain)
            lists->drains[view->n_drains++] = *item->drain;
    }
}

void lead_plan(struct cluster *cluster)
{
    struct lead *lead = &cluster->lead;
    struct lists lists;
    struct plan_view view;
    uint64_t now = cluster_now(cluster);
    struct plan_options options = { .may_move = now >= lead->move_after_us,
                                    .avoid_slot = lead->avoid_slot };
    list_items(lead, &lists, &view);
    plan_next(cluster->map, &view, &options, cluster->next, &lead->result);
    if (!options.may_move && lead->move_after_us < cluster->due_us)
        cluster->due_us = lead->move_after_us;
    if (lead->result.changed)
        write_map(cluster);
    else
        clean(cluster);
}
