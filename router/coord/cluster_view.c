/* What the leader decides on: every entry of nodes, bundles and drains, read one folder after the
 * other's names, then all entries at once. What vanishes between the two is not there; what cannot
 * be read is, and says nothing. */
#include "router/coord/cluster_inside.h"
#include "runtime/base/mem.h"

static const char *const folders[] = {
    [VIEW_NODES] = "nodes", [VIEW_APPS] = "apps", [VIEW_DRAINS] = "drains"
};

void lead_forget_view(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->lead.n_items; i++)
        mem_free(cluster->lead.items[i].entry);
    cluster->lead.n_items = 0;
    cluster->lead.pending = 0;
}

/* The last answer goes on. */
static void answered(struct cluster *cluster)
{
    if (--cluster->lead.pending > 0)
        return;
    if (cluster->lead.incomplete || cluster->expired)
        cluster_pass_end(cluster, false);
    else
        lead_plan(cluster);
}

/* Nothing is planned on what is not whole; another pass may have more luck. */
static void incomplete(struct cluster *cluster, const char *path, s4_status status)
{
    if (!cluster->lead.incomplete) {
        cluster_pass_fail(cluster, path, status);
        cluster->busy = true; /* until the others are answered */
    }
    cluster->lead.incomplete = true;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* The entry of an item, or NULL: it says nothing that counts. */
static void *read_entry(struct view_item *item, const void *data, size_t size, struct diag *diag)
{
    static const size_t sizes[] = { [VIEW_NODES] = sizeof(struct entry_node),
                                    [VIEW_APPS] = sizeof(struct entry_wanted),
                                    [VIEW_DRAINS] = sizeof(struct entry_drain) };
    void *entry = mem_zalloc(sizes[item->kind]);
    const char *name;
    s4_status status;
    if (!entry) {
        diag_write(diag, S4_NO_MEMORY, "no memory for an entry");
        return NULL;
    }
    if (item->kind == VIEW_NODES) {
        status = entry_node_unpack(data, size, entry, diag);
        name = ((struct entry_node *)entry)->name;
    } else if (item->kind == VIEW_APPS) {
        status = entry_wanted_unpack(data, size, entry, diag);
        name = ((struct entry_wanted *)entry)->app;
    } else {
        status = entry_drain_unpack(data, size, entry, diag);
        name = ((struct entry_drain *)entry)->node;
    }
    if (status == S4_OK && strcmp(name, item->name) != 0)
        status = diag_set(diag, S4_CORRUPT, "it names another: %s", name);
    if (status == S4_OK)
        return entry;
    mem_free(entry);
    return NULL;
}

static void on_entry(void *user, const struct coord_answer *answer)
{
    struct view_item *item = user;
    struct cluster *cluster = item->cluster;
    struct diag diag = { 0 };
    if (answer->status == S4_OK) {
        item->there = true;
        item->version = answer->stat.version;
        item->entry = read_entry(item, answer->data, answer->size, &diag);
        if (!item->entry) {
            diag_prefix(&diag, diag.code, "%s: ", answer->path);
            cluster_trouble(cluster, &diag);
        }
    } else if (answer->status != S4_NOT_FOUND) {
        incomplete(cluster, answer->path, answer->status);
    }
    answered(cluster);
}

static void ask_entries(struct cluster *cluster)
{
    struct lead *lead = &cluster->lead;
    lead->pending = 1; /* this function's own, so that none of the answers is the last */
    for (size_t i = 0; i < lead->n_items; i++) {
        struct view_item *item = &lead->items[i];
        struct cluster_path path = cluster_path(cluster, folders[item->kind], item->name);
        struct coord_call call = { .answered = on_entry, .user = item };
        s4_status status = coord_get(cluster->coord, path.text, COORD_WATCH, call);
        if (status == S4_OK)
            lead->pending++;
        else
            incomplete(cluster, path.text, status);
    }
    answered(cluster);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void ask_names(struct cluster *cluster, enum view_kind kind);

static void on_names(struct cluster *cluster, enum view_kind kind,
                     const struct coord_answer *answer)
{
    struct lead *lead = &cluster->lead;
    s4_status status = answer->status;
    if (status == S4_OK && answer->n_names > PLAN_ENTRIES_MAX)
        status = S4_FULL;
    if (status != S4_OK) {
        cluster_pass_fail(cluster, answer->path, status);
        return;
    }
    for (size_t i = 0; i < answer->n_names; i++) {
        struct view_item *item = &lead->items[lead->n_items];
        if (!map_name_valid(answer->names[i]))
            continue; /* nobody's */
        *item = (struct view_item){ .cluster = cluster, .kind = kind };
        memcpy(item->name, answer->names[i], strlen(answer->names[i]) + 1);
        lead->n_items++;
    }
    if (kind + 1 < VIEW_KINDS)
        ask_names(cluster, kind + 1);
    else
        ask_entries(cluster);
}

static void on_nodes(void *user, const struct coord_answer *answer)
{
    on_names(user, VIEW_NODES, answer);
}

static void on_apps(void *user, const struct coord_answer *answer)
{
    on_names(user, VIEW_APPS, answer);
}

static void on_drains(void *user, const struct coord_answer *answer)
{
    on_names(user, VIEW_DRAINS, answer);
}

static void ask_names(struct cluster *cluster, enum view_kind kind)
{
    static void (*const on[])(void *user, const struct coord_answer *answer) = {
        [VIEW_NODES] = on_nodes, [VIEW_APPS] = on_apps, [VIEW_DRAINS] = on_drains
    };
    struct cluster_path path = cluster_path(cluster, folders[kind], NULL);
    struct coord_call call = { .answered = on[kind], .user = cluster };
    s4_status status = coord_children(cluster->coord, path.text, COORD_WATCH, call);
    if (status != S4_OK)
        cluster_pass_fail(cluster, path.text, status);
}

void lead_view(struct cluster *cluster)
{
    bool old = PLANTED(PLANTED_NODES_FIRST) && cluster->lead.n_items > 0;
    if (old)
        lead_plan(cluster);
    lead_forget_view(cluster);
    cluster->lead.incomplete = false;
    if (!old)
        ask_names(cluster, VIEW_NODES);
}
