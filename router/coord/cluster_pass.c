/* One pass: what the cluster is, this node's own entry, the map, who leads. Each step asks one
 * question and its answer goes on with the next; whatever goes wrong ends the pass, and a later one
 * begins from the start. See cluster.c. */
#include "router/coord/cluster_inside.h"

#define PASS_RETRY_US 1000000 /* after a pass that failed */

static struct coord_call call_of(struct cluster *cluster,
                                 void (*answered)(void *user, const struct coord_answer *answer))
{
    return (struct coord_call){ .answered = answered, .user = cluster };
}

void cluster_pass_end(struct cluster *cluster, bool again)
{
    cluster->busy = false;
    cluster->again |= again;
}

void cluster_pass_fail(struct cluster *cluster, const char *what, s4_status status)
{
    struct diag diag = { 0 };
    cluster_pass_end(cluster, false);
    cluster->fresh = true;
    if (status == S4_UNAVAILABLE)
        return; /* the connection's return begins the next */
    diag_write(&diag, status, "%s: %s", what, s4_status_text(status));
    cluster_trouble(cluster, &diag);
    uint64_t retry = cluster_now(cluster) + PASS_RETRY_US;
    cluster->due_us = retry < cluster->due_us ? retry : cluster->due_us;
}

/* Goes on only if the call was made. */
static void asked(struct cluster *cluster, const char *what, s4_status status)
{
    if (status != S4_OK)
        cluster_pass_fail(cluster, what, status);
}

/* ---- who leads ------------------------------------------------------------------------------- */

static void on_elected(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    switch (answer->status) {
    case S4_OK: /* the next pass finds its own name there */
    case S4_EXISTS:
    case S4_IN_DOUBT:
        cluster_pass_end(cluster, true);
        break;
    default:
        cluster_pass_fail(cluster, answer->path, answer->status);
        break;
    }
}

static void stand_for_election(struct cluster *cluster)
{
    struct entry_leader leader = { .incarnation = cluster->node.incarnation };
    memcpy(leader.node, cluster->node.name, sizeof leader.node);
    buffer_clear(&cluster->bytes);
    s4_status status = entry_leader_pack(&leader, &cluster->bytes);
    if (status == S4_OK)
        status = coord_create(cluster->coord, cluster_path(cluster, "leader", NULL).text,
                              COORD_EPHEMERAL, cluster->bytes.data, cluster->bytes.size,
                              call_of(cluster, on_elected));
    asked(cluster, "leader", status);
}

static void on_leader(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    struct entry_leader leader = { 0 };
    struct diag diag = { 0 };
    if (answer->status != S4_OK && answer->status != S4_NOT_FOUND) {
        cluster_pass_fail(cluster, answer->path, answer->status);
        return;
    }
    if (answer->status == S4_OK &&
        entry_leader_unpack(answer->data, answer->size, &leader, &diag) != S4_OK) {
        diag_prefix(&diag, diag.code, "%s: ", answer->path);
        cluster_trouble(cluster, &diag);
    }
    memcpy(cluster->leader, leader.node, sizeof cluster->leader);
    bool mine = answer->status == S4_OK && leader.incarnation == cluster->node.incarnation;
    if (!mine && !PLANTED(PLANTED_NO_EPOCH_CHECK))
        lead_depose(cluster, "another node leads");
    if (mine || (PLANTED(PLANTED_NO_EPOCH_CHECK) && cluster->lead.epoch > 0))
        lead_pass(cluster);
    else if (answer->status == S4_NOT_FOUND)
        stand_for_election(cluster);
    else
        cluster_pass_end(cluster, false);
}

/* ---- the map --------------------------------------------------------------------------------- */

static s4_status read_map(struct cluster *cluster, const struct coord_answer *answer,
                          struct map **map, struct diag *diag)
{
    if (answer->status != S4_OK)
        return diag_set(diag, answer->status, "%s", s4_status_text(answer->status));
    TRY(map_unpack(answer->data, answer->size, map, diag));
    if ((*map)->cluster == cluster->spec.cluster && (*map)->n_slots == cluster->spec.slots)
        return S4_OK;
    map_destroy(*map);
    return diag_set(diag, S4_CORRUPT, "it is another cluster's");
}

/* What cannot be read changes nothing: what is known goes on to count, and nobody writes over what
 * is there. */
static void take_map(struct cluster *cluster, const struct coord_answer *answer)
{
    struct diag diag = { 0 };
    struct map *map;
    cluster->map_current = false;
    if (read_map(cluster, answer, &map, &diag) != S4_OK) {
        diag_prefix(&diag, diag.code, "%s: ", answer->path);
        cluster_trouble(cluster, &diag);
        return;
    }
    cluster->map_version = answer->stat.version;
    cluster->map_current = !cluster->map || map->version >= cluster->map->version;
    cluster_apply(cluster, &map);
}

static void on_map(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    if (answer->status == S4_UNAVAILABLE) {
        cluster_pass_fail(cluster, answer->path, answer->status);
        return;
    }
    if (!PLANTED(PLANTED_BLIND_RETRY) || cluster->map_version != COORD_ANY)
        take_map(cluster, answer);
    if (cluster->expired) {
        cluster_pass_end(cluster, false);
        return;
    }
    asked(cluster, "leader",
          coord_get(cluster->coord, cluster_path(cluster, "leader", NULL).text, COORD_WATCH,
                    call_of(cluster, on_leader)));
}

/* Whoever leads reads past every lag: what it reads after this is at least as new as the map. */
static void ask_map(struct cluster *cluster)
{
    bool fresh = cluster->fresh || cluster->lead.attempt != 0;
    cluster->fresh = false;
    asked(cluster, "map",
          coord_get(cluster->coord, cluster_path(cluster, "map", NULL).text,
                    COORD_WATCH | (fresh ? COORD_FRESH : 0), call_of(cluster, on_map)));
}

/* ---- its own entry --------------------------------------------------------------------------- */

static void on_own_entry(void *user, const struct coord_answer *answer);

static void read_own_entry(struct cluster *cluster)
{
    asked(cluster, "nodes",
          coord_get(cluster->coord, cluster_path(cluster, "nodes", cluster->node.name).text,
                    COORD_WATCH | COORD_FRESH, call_of(cluster, on_own_entry)));
}

static void on_reported(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    switch (answer->status) {
    case S4_OK:
        cluster->node_version++;
        ask_map(cluster);
        break;
    case S4_VERSION: /* an earlier one came late, or was in doubt */
    case S4_IN_DOUBT:
        cluster->reports_told = cluster->reports - 1;
        read_own_entry(cluster);
        break;
    case S4_NOT_FOUND:
        cluster_expire(cluster, "this node's entry is gone");
        cluster_pass_end(cluster, false);
        break;
    default:
        cluster->reports_told = cluster->reports - 1;
        cluster_pass_fail(cluster, answer->path, answer->status);
        break;
    }
}

static void report(struct cluster *cluster)
{
    if (cluster->reports_told == cluster->reports) {
        ask_map(cluster);
        return;
    }
    cluster->reports_told = cluster->reports;
    buffer_clear(&cluster->bytes);
    s4_status status = entry_node_pack(&cluster->node, &cluster->bytes);
    if (status == S4_OK)
        status = coord_set(cluster->coord, cluster_path(cluster, "nodes", cluster->node.name).text,
                           cluster->bytes.data, cluster->bytes.size, cluster->node_version,
                           call_of(cluster, on_reported));
    asked(cluster, "nodes", status);
}

/* Somebody has the name: this node's earlier incarnation, whose session ends soon, or another node,
 * whose does not. */
static void wait_for_name(struct cluster *cluster, const struct coord_answer *answer,
                          const struct entry_node *other)
{
    uint64_t now = cluster_now(cluster), session = coord_session_us(cluster->coord);
    struct diag diag = { 0 };
    if (cluster->blocker != answer->stat.created) {
        cluster->blocker = answer->stat.created;
        cluster->blocked_since_us = now;
        diag_write(&diag, S4_BUSY,
                   "the name %s is that of a node at %s: waiting whether its session ends",
                   cluster->node.name, other->address[0] ? other->address : "?");
        cluster_trouble(cluster, &diag);
    }
    cluster->state = CLUSTER_WAITING;
    cluster_pass_end(cluster, false);
    cluster->due_us = now + session / 4;
    if (now - cluster->blocked_since_us < 2 * session)
        return;
    diag_write(&diag, S4_EXISTS,
               "a node of the name %s is in the cluster %s already, at %s; give this one another "
               "name",
               cluster->node.name, cluster->name, other->address[0] ? other->address : "?");
    cluster_end(cluster, &diag);
}

static void on_own_entry(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    struct entry_node other;
    struct diag diag = { 0 };
    if (answer->status == S4_NOT_FOUND) {
        if (cluster->registered)
            cluster_expire(cluster, "this node's entry is gone");
        cluster_pass_end(cluster, true);
        return;
    }
    if (answer->status != S4_OK) {
        cluster_pass_fail(cluster, answer->path, answer->status);
        return;
    }
    if (entry_node_unpack(answer->data, answer->size, &other, &diag) != S4_OK)
        other = (struct entry_node){ 0 };
    bool mine = other.incarnation == cluster->node.incarnation;
    if (mine) {
        cluster->registered = true;
        cluster->state = CLUSTER_PRESENT;
        cluster->node_version = answer->stat.version;
        cluster_pass_end(cluster, true);
    } else if (cluster->registered) {
        cluster_expire(cluster, "this node's entry is another's");
        cluster_pass_end(cluster, false);
    } else {
        wait_for_name(cluster, answer, &other);
    }
}

static void on_registered(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    switch (answer->status) {
    case S4_OK:
        cluster->registered = true;
        cluster->state = CLUSTER_PRESENT;
        cluster->node_version = 0;
        ask_map(cluster);
        break;
    case S4_EXISTS: /* perhaps its own, which was in doubt */
        read_own_entry(cluster);
        break;
    case S4_IN_DOUBT:
        cluster_pass_end(cluster, true);
        break;
    default:
        cluster_pass_fail(cluster, answer->path, answer->status);
        break;
    }
}

static void register_node(struct cluster *cluster)
{
    cluster->node.cluster = cluster->spec.cluster;
    cluster->reports_told = cluster->reports;
    buffer_clear(&cluster->bytes);
    s4_status status = entry_node_pack(&cluster->node, &cluster->bytes);
    if (status == S4_OK)
        status =
            coord_create(cluster->coord, cluster_path(cluster, "nodes", cluster->node.name).text,
                         COORD_EPHEMERAL, cluster->bytes.data, cluster->bytes.size,
                         call_of(cluster, on_registered));
    asked(cluster, "nodes", status);
}

static void own_entry(struct cluster *cluster)
{
    if (cluster->registered)
        report(cluster);
    else
        register_node(cluster);
}

/* ---- what the cluster is --------------------------------------------------------------------- */

static void refuse(struct cluster *cluster, struct diag *diag)
{
    cluster_pass_end(cluster, false);
    cluster_end(cluster, diag);
}

/* What was found the first time must be found ever after: another cluster of the same name is not
 * this one. */
static s4_status take_spec(struct cluster *cluster, const struct coord_answer *answer,
                           struct diag *diag)
{
    struct entry_spec spec;
    s4_status status = entry_spec_unpack(answer->data, answer->size, &spec, diag);
    if (status != S4_OK)
        return diag_prefix(diag, status, "%s: ", answer->path);
    if (cluster->spec.cluster != 0 &&
        (spec.cluster != cluster->spec.cluster || spec.slots != cluster->spec.slots))
        return diag_set(diag, S4_VERSION,
                        "%s: the cluster %s was made anew while this node ran; start it again",
                        answer->path, cluster->name);
    if (!cluster->next && map_create(spec.cluster, spec.slots, &cluster->next) != S4_OK)
        return diag_set(diag, S4_NO_MEMORY, "no memory for a map");
    cluster->spec = spec;
    cluster->spec_checked = true;
    return S4_OK;
}

static void on_spec(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    struct diag diag = { 0 };
    switch (answer->status) {
    case S4_OK:
        if (take_spec(cluster, answer, &diag) == S4_OK)
            own_entry(cluster);
        else
            refuse(cluster, &diag);
        break;
    case S4_NOT_FOUND:
        diag_write(&diag, S4_NOT_FOUND,
                   "there is no cluster of the name %s; s4 cluster create %s makes one",
                   cluster->name, cluster->name);
        refuse(cluster, &diag);
        break;
    case S4_PERMISSION:
        diag_write(&diag, S4_PERMISSION, "%s: the coordination service does not let this node in",
                   answer->path);
        refuse(cluster, &diag);
        break;
    default:
        cluster_pass_fail(cluster, answer->path, answer->status);
        break;
    }
}

void cluster_pass_begin(struct cluster *cluster)
{
    uint64_t now = cluster_now(cluster);
    cluster->busy = true;
    cluster->fresh |= now >= cluster->due_us; /* also a hint that never came */
    cluster->again = false;
    cluster->due_us = now + cluster->reread_us;
    if (cluster->spec_checked)
        own_entry(cluster);
    else
        asked(cluster, "spec",
              coord_get(cluster->coord, cluster_path(cluster, "spec", NULL).text, COORD_FRESH,
                        call_of(cluster, on_spec)));
}
