/* A node's life in a cluster; see the header. Here are the session, the map as it is told, and what
 * is so now; cluster_pass.c reads and writes, cluster_lead.c leads.
 *
 *      connect --> CONNECTED: a pass            pass: spec, own entry, map, leader [, lead]
 *         ^            |  hint, time, report: another pass
 *         |            v
 *         +------- EXPIRED: stop, a new incarnation
 *
 * One pass is under way at a time, and in it one question or a batch of them; so what an answer
 * means never depends on what else was asked. A pass decides nothing by itself: whatever it writes
 * names the version that it read.
 */
#include "router/coord/cluster.h"

#include <stdarg.h>

#include "router/coord/cluster_inside.h"
#include "runtime/base/mem.h"

uint64_t cluster_now(const struct cluster *cluster)
{
    return cluster->clock->boot_us(cluster->clock);
}

struct cluster_path cluster_path(const struct cluster *cluster, const char *entry, const char *name)
{
    struct cluster_path path;
    snprintf(path.text, sizeof path.text, CLUSTER_ROOT "/%s/%s%s%s", cluster->name, entry,
             name ? "/" : "", name ? name : "");
    return path;
}

void cluster_trouble(struct cluster *cluster, const struct diag *diag)
{
    if (strcmp(cluster->why.text, diag->text) != 0)
        log_write(cluster->log, LOG_WARN, "cluster %s: %s", cluster->name, diag->text);
    cluster->why = *diag;
}

/* ---- the map --------------------------------------------------------------------------------- */

static void tell_app(struct cluster *cluster, const struct map_app *app, enum cluster_app what)
{
    if (cluster->upcalls->app)
        cluster->upcalls->app(cluster->user, app, what);
}

/* An app that was told and is another deployment now, or refused, or gone, is dropped first. */
static void tell_apps(struct cluster *cluster, const struct map *old, const struct map *map)
{
    for (uint32_t i = 0; old && i < old->n_apps; i++) {
        const struct map_app *was = &old->apps[i], *is = map_find_app(map, was->name);
        if (was->phase != MAP_REFUSED && (!is || is->id != was->id || is->phase == MAP_REFUSED))
            tell_app(cluster, was, CLUSTER_APP_DROP);
    }
    for (uint32_t i = 0; i < map->n_apps; i++) {
        const struct map_app *is = &map->apps[i];
        const struct map_app *was = old ? map_find_app(old, is->name) : NULL;
        if (is->phase == MAP_REFUSED || (was && was->id == is->id && was->phase == is->phase))
            continue;
        tell_app(cluster, is, is->phase == MAP_CHECK ? CLUSTER_APP_CHECK : CLUSTER_APP_LOAD);
    }
}

/* Tells it, if it is a member, or was one. */
static void tell_map(struct cluster *cluster, const struct map *old)
{
    uint32_t index = map_find_incarnation(cluster->map, cluster->node.incarnation);
    bool first = cluster->index == MAP_NOBODY;
    if (index == MAP_NOBODY) {
        if (!first)
            cluster_expire(cluster, "the leader counts this node as dead");
        return;
    }
    cluster->index = index;
    if (first)
        cluster->upcalls->joined(cluster->user, index, cluster->node.incarnation);
    cluster->upcalls->changed(cluster->user, first ? NULL : old, cluster->map);
    tell_apps(cluster, first ? NULL : old, cluster->map);
    cluster->reports += entry_forget(&cluster->node, cluster->map);
}

static bool is_news(const struct cluster *cluster, const struct map *map)
{
    if (!cluster->map || PLANTED(PLANTED_OLD_VERSION))
        return true;
    if (PLANTED(PLANTED_EQUAL_VERSION))
        return map->version >= cluster->map->version;
    return map->version > cluster->map->version;
}

void cluster_apply(struct cluster *cluster, struct map **map)
{
    struct map *old = cluster->map;
    bool news = is_news(cluster, *map);
    if (news)
        cluster->map = *map;
    else
        map_destroy(*map);
    *map = NULL;
    if (!news)
        return;
    if (!cluster->expired)
        tell_map(cluster, old);
    map_destroy(old);
}

/* ---- the session ----------------------------------------------------------------------------- */

void cluster_expire(struct cluster *cluster, const char *why)
{
    if (cluster->expired)
        return;
    cluster->expired = true;
    struct diag diag = { 0 };
    diag_write(&diag, S4_UNAVAILABLE, "%s", why);
    cluster_trouble(cluster, &diag);
}

/* Stops what it was, so that it can be something new. */
static void stop(struct cluster *cluster)
{
    if (cluster->index != MAP_NOBODY)
        cluster->upcalls->stop(cluster->user, &cluster->why);
    cluster->index = MAP_NOBODY;
}

static void forget_session(struct cluster *cluster)
{
    cluster->registered = cluster->spec_checked = cluster->map_current = false;
    cluster->busy = cluster->request_busy = false;
    cluster->blocker = 0;
    cluster->leader[0] = 0;
    lead_forget_view(cluster);
    cluster->lead = (struct lead){ .items = cluster->lead.items, .avoid_slot = MAP_SLOTS_MAX };
    cluster->node.n_apps = cluster->node.n_moves = 0;
    cluster->node_version = 0;
}

static void disconnect(struct cluster *cluster)
{
    if (cluster->coord && cluster->service.disconnect)
        cluster->service.disconnect(cluster->service.user, cluster->coord);
    else
        coord_destroy(cluster->coord);
    cluster->coord = NULL;
}

void cluster_end(struct cluster *cluster, const struct diag *why)
{
    cluster->why = *why;
    cluster->state = CLUSTER_ENDED;
    cluster->expired = true; /* the session goes after the callbacks returned */
}

static void on_session(void *user, enum coord_state state)
{
    struct cluster *cluster = user;
    switch (state) {
    case COORD_CONNECTED: /* hints were lost meanwhile */
        cluster->again = cluster->fresh = true;
        cluster->blocker = 0; /* nobody expired while the service was away */
        break;
    case COORD_EXPIRED:
        cluster_expire(cluster, "the session with the coordination service expired");
        break;
    case COORD_REFUSED:
        cluster_end(cluster, coord_why(cluster->coord));
        break;
    default:
        break;
    }
}

static void on_changed(void *user, const char *path, enum coord_change change)
{
    struct cluster *cluster = user;
    cluster->again = true;
}

static const struct coord_upcalls coord_upcalls = { .session = on_session, .changed = on_changed };

static void draw_incarnation(struct cluster *cluster)
{
    if (PLANTED(PLANTED_NO_STOP) && cluster->node.incarnation != 0)
        return;
    do {
        cluster->node.incarnation = rng_next(&cluster->rng);
    } while (cluster->node.incarnation == 0);
}

static void connect(struct cluster *cluster)
{
    uint64_t now = cluster_now(cluster);
    struct diag diag = { 0 };
    if (now < cluster->connect_us)
        return;
    cluster->connect_us = now + CLUSTER_CONNECT_US;
    s4_status status = cluster->service.connect(cluster->service.user, &cluster->coord, &diag);
    if (status == S4_OK &&
        coord_attach(cluster->coord, &coord_upcalls, cluster, cluster->waker) != S4_OK) {
        diag_write(&diag, S4_NO_MEMORY, "no memory for a session");
        disconnect(cluster);
        status = S4_NO_MEMORY;
    }
    if (status != S4_OK) {
        cluster_trouble(cluster, &diag);
        return;
    }
    draw_incarnation(cluster);
    cluster->state = CLUSTER_CONNECTING;
}

static void give_up_session(struct cluster *cluster)
{
    bool ended = cluster->state == CLUSTER_ENDED;
    if (!PLANTED(PLANTED_NO_STOP) || ended)
        stop(cluster);
    disconnect(cluster);
    forget_session(cluster);
    cluster->expired = false;
    cluster->connect_us = 0;
    if (!ended) {
        cluster->state = CLUSTER_CONNECTING;
        return;
    }
    cluster_request_refuse(cluster);
    cluster->upcalls->ended(cluster->user, &cluster->why);
}

/* ---- stepping -------------------------------------------------------------------------------- */

void cluster_step(struct cluster *cluster)
{
    if (cluster->state == CLUSTER_ENDED)
        return;
    if (!cluster->coord)
        connect(cluster);
    if (!cluster->coord)
        return;
    coord_step(cluster->coord, COORD_CALLS_MAX);
    if (coord_state(cluster->coord) != COORD_CONNECTED && coord_why(cluster->coord)->code != S4_OK)
        cluster_trouble(cluster, coord_why(cluster->coord)); /* it is said once */
    if (!cluster->expired && coord_state(cluster->coord) == COORD_CONNECTED) {
        if (!cluster->busy && (cluster->again || cluster_now(cluster) >= cluster->due_us))
            cluster_pass_begin(cluster);
        cluster_request_step(cluster);
    }
    if (cluster->expired)
        give_up_session(cluster);
}

uint64_t cluster_timeout_us(struct cluster *cluster)
{
    uint64_t now = cluster_now(cluster);
    if (cluster->state == CLUSTER_ENDED)
        return WAKER_FOREVER;
    if (!cluster->coord)
        return cluster->connect_us > now ? cluster->connect_us - now : 0;
    uint64_t wait = coord_timeout_us(cluster->coord);
    if (coord_state(cluster->coord) != COORD_CONNECTED)
        return wait;
    bool request = cluster->registered && cluster->n_requests > 0 && !cluster->request_busy;
    if (request || (!cluster->busy && (cluster->again || cluster->due_us <= now)))
        return 0;
    uint64_t due = cluster->busy ? wait : cluster->due_us - now;
    return due < wait ? due : wait;
}

/* ---- creation -------------------------------------------------------------------------------- */

static s4_status check_options(const struct cluster_options *options, struct diag *diag)
{
    const struct entry_node *node = options->node;
    if (!map_name_valid(options->cluster) || !map_name_valid(node->name))
        return diag_set(diag, S4_INVALID,
                        "the name of a cluster or a node that is none: wanted 1 to %d letters, "
                        "digits, '.', '_' or '-', the first no '.'",
                        MAP_NAME_MAX);
    if (node->workers == 0 || node->workers > MAP_WORKERS_MAX)
        return diag_set(diag, S4_INVALID, "%u workers, wanted 1 to %d", node->workers,
                        MAP_WORKERS_MAX);
    if (node->address[0] == 0 || !map_text_valid(node->address, MAP_ADDRESS_MAX) ||
        !map_text_valid(node->clients, MAP_ADDRESS_MAX) || node->release[0] == 0 ||
        !map_text_valid(node->release, MAP_RELEASE_MAX) ||
        !map_text_valid(node->key, MAP_RELEASE_MAX))
        return diag_set(diag, S4_INVALID, "an address, a release or a key that is none");
    return S4_OK;
}

s4_status cluster_create(const struct cluster_options *options, struct cluster **cluster,
                         struct diag *diag)
{
    TRY(check_options(options, diag));
    struct cluster *made = mem_zalloc(sizeof *made);
    struct view_item *items = mem_calloc(CLUSTER_VIEW_MAX, sizeof *items);
    if (!made || !items) {
        mem_free(made);
        mem_free(items);
        return diag_set(diag, S4_NO_MEMORY, "no memory for a cluster");
    }
    memcpy(made->name, options->cluster, strlen(options->cluster) + 1);
    made->service = options->service;
    made->clock = options->clock;
    made->log = options->log;
    made->waker = options->waker;
    made->reread_us = options->reread_us ? options->reread_us : CLUSTER_REREAD_US_DEFAULT;
    made->move_pause_us =
        options->move_pause_us ? options->move_pause_us : CLUSTER_MOVE_PAUSE_US_DEFAULT;
    made->upcalls = options->upcalls;
    made->user = options->user;
    rng_init(&made->rng, options->seed ? options->seed : rng_seed_real());
    made->node = *options->node;
    made->index = MAP_NOBODY;
    made->lead.items = items;
    buffer_init(&made->bytes);
    forget_session(made);
    *cluster = made;
    return S4_OK;
}

void cluster_destroy(struct cluster *cluster)
{
    if (!cluster)
        return;
    disconnect(cluster);
    lead_forget_view(cluster);
    mem_free(cluster->lead.items);
    map_destroy(cluster->map);
    map_destroy(cluster->next);
    buffer_fini(&cluster->bytes);
    mem_free(cluster);
}

/* ---- what is so now -------------------------------------------------------------------------- */

enum cluster_state cluster_state(const struct cluster *cluster)
{
    return cluster->state;
}

const struct diag *cluster_why(const struct cluster *cluster)
{
    return &cluster->why;
}

const struct map *cluster_map(const struct cluster *cluster)
{
    return cluster->map;
}

uint32_t cluster_index(const struct cluster *cluster)
{
    return cluster->index;
}

uint64_t cluster_incarnation(const struct cluster *cluster)
{
    return cluster->node.incarnation;
}

const char *cluster_leader(const struct cluster *cluster)
{
    return cluster->leader;
}

bool cluster_leads(const struct cluster *cluster)
{
    return cluster->lead.epoch > 0;
}

uint64_t cluster_sure_until_us(const struct cluster *cluster)
{
    if (cluster->index == MAP_NOBODY || !cluster->coord || cluster->expired)
        return 0;
    return PLANTED(PLANTED_ANSWERS_ALWAYS) ? UINT64_MAX : coord_sure_until_us(cluster->coord);
}

bool cluster_may_answer(const struct cluster *cluster, uint64_t now_boot_us)
{
    return now_boot_us < cluster_sure_until_us(cluster);
}

/* ---- reports --------------------------------------------------------------------------------- */

s4_status cluster_report_app(struct cluster *cluster, const char *app, uint64_t id,
                             enum entry_app_state state, const char *why)
{
    if (!map_name_valid(app))
        return S4_INVALID;
    TRY(entry_report_app(&cluster->node, app, id, state, why));
    cluster->reports++;
    cluster->again = true;
    return S4_OK;
}

void cluster_report_move(struct cluster *cluster, uint32_t slot, uint64_t move, bool done,
                         const char *why)
{
    entry_report_move(&cluster->node, slot, move, done, why);
    cluster->reports++;
    cluster->again = true;
}
