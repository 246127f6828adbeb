/* The wiring of a node; see the header. */
#include "pe/node/membership.h"

#include "pe/node/planted.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

#define CLUSTER_STEP_US 1000u    /* between two looks at the coordination service */
#define SLEEP_US_MAX    1000000u /* for a look at whether it may still answer */
#define SLEEP_US_MIN    100u     /* while a slot moves */
#define FROZEN_US_MAX   1000000u /* a slot that stands still for longer is told of */

struct membership {
    struct membership_options options;
    struct ferry_net *ferry;
    struct net *net;
    struct node *node;
    struct cluster *cluster; /* NULL: left */
    struct cluster_upcalls upcalls;
    struct node_upcalls node_upcalls;
    uint64_t stepped_us; /* the cluster was, at this time */

    struct map *first; /* of which the engine is made; owned */
    uint32_t self;
    bool joined;                  /* the node has its engine */
    bool over;                    /* others may have its slots */
    uint64_t ready[MAP_APPS_MAX]; /* deployments that run here, or cannot; 0: none */
    uint16_t slot_workers[MAP_SLOTS_MAX];
    uint64_t genesis[MAP_SLOTS_MAX + LINK_INTAKES_MAX];
};

static void fail(struct membership *m, const struct diag *why)
{
    m->options.upcalls->failed(m->options.user, why);
}

/* ---- bundles that run here ------------------------------------------------------------------- */

static bool is_ready(const struct membership *m, uint64_t id)
{
    for (size_t i = 0; i < MAP_APPS_MAX; i++)
        if (m->ready[i] == id)
            return true;
    return false;
}

static void note_ready(struct membership *m, uint64_t id)
{
    for (size_t i = 0; i < MAP_APPS_MAX && !is_ready(m, id); i++)
        if (m->ready[i] == 0)
            m->ready[i] = id;
}

static void forget_ready(struct membership *m, const struct map *map)
{
    for (size_t i = 0; i < MAP_APPS_MAX; i++) {
        bool there = false;
        for (uint32_t j = 0; j < map->n_apps; j++)
            there |= map->apps[j].id == m->ready[i];
        if (!there)
            m->ready[i] = 0;
    }
}

/* ---- following the map ----------------------------------------------------------------------- */

static bool all_run(const struct membership *m, const struct map *map)
{
    for (uint32_t i = 0; i < map->n_apps && !PLANTED(PLANTED_MAP_AT_ONCE); i++)
        if (map->apps[i].phase == MAP_RUN && !is_ready(m, map->apps[i].id))
            return false;
    return true;
}

static void follow(struct membership *m)
{
    const struct map *map = cluster_map(m->cluster);
    struct diag diag = { 0 };
    if (!m->joined || !map || !all_run(m, map) || node_map(m->node, map) == S4_OK)
        return;
    diag_set(&diag, S4_NO_MEMORY, "out of memory for a map");
    fail(m, &diag);
}

void membership_join(struct membership *m, struct engine *engine)
{
    struct diag diag = { 0 };
    s4_status status = node_join(m->node, engine, ferry_net_ferry(m->ferry), m->first, m->self);
    m->joined = status == S4_OK;
    if (status == S4_OK) {
        follow(m);
        return;
    }
    diag_set(&diag, status, "the node cannot join: %s", s4_status_text(status));
    fail(m, &diag);
}

void membership_report_app(struct membership *m, const struct map_app *app,
                           enum entry_app_state state, const char *why)
{
    if (state != ENTRY_CHECKED)
        note_ready(m, app->id);
    if (cluster_report_app(m->cluster, app->name, app->id, state, why) != S4_OK && m->options.log)
        log_write(m->options.log, LOG_WARN, "too many bundles to tell of %s", app->name);
    follow(m);
    if (m->joined)
        node_app_loaded(m->node);
}

/* ---- what the cluster says ------------------------------------------------------------------- */

static void joined(void *user, uint32_t index, uint64_t incarnation)
{
    struct membership *m = user;
    m->self = index;
}

static void changed(void *user, const struct map *old, const struct map *map)
{
    struct membership *m = user;
    if (!m->first) {
        m->first = map_dup(map);
        CHECK(m->first);
        ferry_net_identify(m->ferry, m->node, map->cluster, cluster_incarnation(m->cluster));
    }
    forget_ready(m, map);
    follow(m);
    m->options.upcalls->changed(m->options.user, map, m->self);
}

static void app_changed(void *user, const struct map_app *app, enum cluster_app what)
{
    struct membership *m = user;
    m->options.upcalls->app(m->options.user, app, what);
}

static void stopped(void *user, const struct diag *why)
{
    struct membership *m = user;
    if (PLANTED(PLANTED_GOES_ON_EXPIRED))
        return;
    m->over = true;
    m->options.upcalls->stopped(m->options.user, why);
}

static void ended(void *user, const struct diag *why)
{
    fail(user, why);
}

/* ---- what the node says ---------------------------------------------------------------------- */

static void moved(void *user, uint32_t slot, uint64_t move, bool done, const char *why)
{
    struct membership *m = user;
    if (!PLANTED(PLANTED_MOVES_UNREPORTED))
        cluster_report_move(m->cluster, slot, move, done, why);
}

static void node_failed(void *user, const struct diag *diag)
{
    fail(user, diag);
}

/* ---- steps ----------------------------------------------------------------------------------- */

void membership_step_cluster(struct membership *m)
{
    uint64_t now_us = m->options.clock->mono_us(m->options.clock);
    if (m->over || now_us - m->stepped_us < CLUSTER_STEP_US)
        return;
    m->stepped_us = now_us;
    cluster_step(m->cluster);
}

bool membership_step_node(struct membership *m, size_t messages_max)
{
    if (m->over)
        return false;
    bool any = m->joined && node_step(m->node);
    any |= ferry_net_step(m->ferry, messages_max);
    return any;
}

uint64_t membership_timeout_us(struct membership *m)
{
    uint64_t now = m->options.clock->mono_us(m->options.clock);
    uint64_t due = m->joined ? node_due_us(m->node) : UINT64_MAX;
    uint64_t until_due = due > now ? due - now : 0;
    uint64_t timeout = cluster_timeout_us(m->cluster);
    timeout = timeout < CLUSTER_STEP_US ? CLUSTER_STEP_US : timeout;
    timeout = timeout < SLEEP_US_MAX ? timeout : SLEEP_US_MAX;
    return until_due < SLEEP_US_MIN ? SLEEP_US_MIN : until_due < timeout ? until_due : timeout;
}

void membership_wait(struct membership *m)
{
    net_wait(m->net, membership_timeout_us(m));
}

/* ---- what is so ------------------------------------------------------------------------------ */

struct cluster *membership_cluster(struct membership *m)
{
    return m->cluster;
}

struct net *membership_net(struct membership *m)
{
    return m->net;
}

const struct ferry_net *membership_ferry(const struct membership *m)
{
    return m->ferry;
}

struct node *membership_node(struct membership *m)
{
    return m->node;
}

bool membership_has_joined(const struct membership *m)
{
    return m->joined;
}

uint64_t membership_settled(const struct membership *m)
{
    if (!m->joined || !node_is_settled(m->node) || !net_is_drained(m->net))
        return 0;
    const struct map *newest = cluster_map(m->cluster);
    uint64_t version = node_version(m->node);
    return newest && newest->version > version ? 0 : version;
}

void membership_engine_options(struct membership *m, struct engine_options *options)
{
    node_first_map(m->first, m->slot_workers, m->genesis);
    options->nodes = ENGINE_NODES_MAX;
    options->node = m->self;
    options->slots = m->first->n_slots;
    options->map = m->slot_workers;
    options->genesis = m->genesis;
    options->remote = node_remote(m->node);
    options->apps_wait = !PLANTED(PLANTED_INPUT_AT_ONCE);
}

/* ---- life ------------------------------------------------------------------------------------ */

static s4_status make_ferry(struct membership *m, const char *address, struct diag *diag)
{
    struct ferry_net_options ferry = { .transport = m->options.transport,
                                       .clock = m->options.clock,
                                       .log = m->options.log,
                                       .node = m->options.entry->name,
                                       .seed = m->options.seed,
                                       .window = m->options.window };
    s4_status status = ferry_net_create(&ferry, &m->ferry, diag);
    if (status != S4_OK) {
        transport_destroy(ferry.transport);
        return status;
    }
    m->net = ferry_net_net(m->ferry);
    return net_bind(m->net, address, diag);
}

static s4_status make_cluster(struct membership *m, struct diag *diag)
{
    struct entry_node entry = *m->options.entry;
    const char *address = m->options.announce;
    if (!address)
        address = net_address(m->net); /* as it came out */
    if (strlen(address) > MAP_ADDRESS_MAX)
        return diag_set(diag, S4_TOO_LARGE, "an address of %zu bytes; at most %d", strlen(address),
                        MAP_ADDRESS_MAX);
    memcpy(entry.address, address, strlen(address) + 1);
    m->upcalls = (struct cluster_upcalls){
        .joined = joined, .changed = changed, .app = app_changed, .stop = stopped, .ended = ended
    };
    struct cluster_options options = { .cluster = m->options.cluster,
                                       .node = &entry,
                                       .service = m->options.service,
                                       .clock = m->options.clock,
                                       .log = m->options.log,
                                       .waker = net_waker(m->net),
                                       .seed = m->options.seed,
                                       .upcalls = &m->upcalls,
                                       .user = m };
    return cluster_create(&options, &m->cluster, diag);
}

s4_status membership_create(const struct membership_options *options,
                            struct membership **membership, struct diag *diag)
{
    struct membership *made = mem_zalloc(sizeof *made);
    if (!made) {
        transport_destroy(options->transport);
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    }
    made->options = *options;
    if (!made->options.seed)
        made->options.seed = rng_seed_real();
    made->node_upcalls =
        (struct node_upcalls){ .moved = moved, .failed = node_failed, .user = made };
    struct node_options node = { .upcalls = &made->node_upcalls,
                                 .clock = options->clock,
                                 .log = options->log,
                                 .frozen_max_us = FROZEN_US_MAX };
    s4_status status = node_create(&node, &made->node);
    if (status != S4_OK)
        diag_set(diag, status, "%s", s4_status_text(status));
    if (status == S4_OK)
        status = make_ferry(made, options->entry->address, diag);
    else
        transport_destroy(options->transport);
    if (status == S4_OK)
        status = make_cluster(made, diag);
    made->options.entry = NULL;
    made->options.announce = NULL;
    made->options.cluster = NULL;
    if (status != S4_OK) {
        membership_destroy(made);
        return status;
    }
    *membership = made;
    return S4_OK;
}

void membership_leave(struct membership *m)
{
    cluster_destroy(m->cluster);
    m->cluster = NULL;
}

void membership_release(struct membership *m)
{
    node_stop(m->node);
    ferry_net_destroy(m->ferry);
    m->ferry = NULL;
    m->net = NULL;
}

void membership_destroy(struct membership *m)
{
    if (!m)
        return;
    cluster_destroy(m->cluster);
    ferry_net_destroy(m->ferry);
    node_destroy(m->node);
    map_destroy(m->first);
    mem_free(m);
}
