/* The member thread; see the header. Requests of other threads and events for the control thread
 * wait in two lists behind one lock. */
#include "apps/s4/member.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "pe/node/ferry_net.h"
#include "pe/node/node.h"
#include "router/coord/coord_dir.h"
#include "router/coord/coord_zk.h"
#include "runtime/base/mem.h"
#include "runtime/net/transport_zmq.h"

#define MESSAGES_AT_ONCE 64u
#define CLUSTER_STEP_US  1000u    /* between two looks at the coordination service */
#define SLEEP_US_MAX     1000000u /* for a look at whether it may still answer */
#define SLEEP_US_MIN     100      /* while a slot moves */
#define FROZEN_US_MAX    1000000  /* a slot that stands still for longer is told of */

enum order_kind { ORDER_JOIN, ORDER_REPORT, ORDER_DEPLOY, ORDER_UNDEPLOY, ORDER_DRAIN };

/* What other threads ask for. */
struct order {
    struct order *next;
    enum order_kind kind;
    struct engine *engine;
    struct entry_wanted wanted; /* REPORT: app and id; DEPLOY; UNDEPLOY: app */
    char node[MAP_NAME_MAX + 1];
    enum entry_app_state state;
    char why[MAP_WHY_MAX + 1];
    void *request;
};

/* A request that the cluster was asked for and has not answered. */
struct asked {
    struct member *member;
    void *request;
};

struct member {
    struct member_options options;
    struct block_pool *blocks;
    struct ferry_net *ferry;
    struct net *net;
    struct node *node;
    struct cluster *cluster;
    struct entry_node entry;
    struct cluster_upcalls upcalls;
    struct node_upcalls node_upcalls;
    pthread_t thread;
    uint64_t stepped_us; /* the cluster was, at this time */

    struct map *first; /* of which the engine is made; owned */
    uint32_t self;
    bool joined;                  /* the node has its engine */
    uint64_t ready[MAP_APPS_MAX]; /* deployments that run here, or cannot; 0: none */
    uint16_t slot_workers[MAP_SLOTS_MAX];
    uint64_t genesis[MAP_SLOTS_MAX + LINK_INTAKES_MAX];

    _Atomic uint64_t sure_until_us; /* 0: it may not answer */
    _Atomic bool settled;
    _Atomic bool stop;

    pthread_mutex_t lock; /* of all below */
    struct order *orders, **orders_end;
    struct member_event *events, **events_end;
    char leader[MAP_NAME_MAX + 1];
};

/* ---- events ---------------------------------------------------------------------------------- */

static struct member_event *event_make(enum member_event_kind kind)
{
    struct member_event *event = mem_zalloc(sizeof *event);
    CHECK(event); /* who waits for it would wait for ever */
    event->kind = kind;
    return event;
}

static void event_push(struct member *member, struct member_event *event)
{
    pthread_mutex_lock(&member->lock);
    *member->events_end = event;
    member->events_end = &event->next;
    pthread_mutex_unlock(&member->lock);
    eventfd_write(member->options.wake, 1);
}

struct member_event *member_take(struct member *member)
{
    pthread_mutex_lock(&member->lock);
    struct member_event *event = member->events;
    if (event)
        member->events = event->next;
    if (!member->events)
        member->events_end = &member->events;
    pthread_mutex_unlock(&member->lock);
    return event;
}

void member_event_free(struct member_event *event)
{
    map_destroy(event->map);
    mem_free(event);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static struct order *order_make(enum order_kind kind, void *request)
{
    struct order *order = mem_zalloc(sizeof *order);
    CHECK(order);
    order->kind = kind;
    order->request = request;
    return order;
}

static void order_push(struct member *member, struct order *order)
{
    pthread_mutex_lock(&member->lock);
    *member->orders_end = order;
    member->orders_end = &order->next;
    pthread_mutex_unlock(&member->lock);
    net_wake(member->net);
}

void member_join(struct member *member, struct engine *engine)
{
    struct order *order = order_make(ORDER_JOIN, NULL);
    order->engine = engine;
    order_push(member, order);
}

void member_report_app(struct member *member, const struct map_app *app, enum entry_app_state state,
                       const char *why)
{
    struct order *order = order_make(ORDER_REPORT, NULL);
    memcpy(order->wanted.app, app->name, sizeof order->wanted.app);
    order->wanted.id = app->id;
    order->state = state;
    map_text_clean(why ? why : "", MAP_WHY_MAX, order->why);
    order_push(member, order);
}

void member_deploy(struct member *member, const struct entry_wanted *wanted, void *request)
{
    struct order *order = order_make(ORDER_DEPLOY, request);
    order->wanted = *wanted;
    order_push(member, order);
}

void member_undeploy(struct member *member, const char *app, void *request)
{
    struct order *order = order_make(ORDER_UNDEPLOY, request);
    snprintf(order->wanted.app, sizeof order->wanted.app, "%s", app);
    order_push(member, order);
}

void member_drain(struct member *member, const char *node, void *request)
{
    struct order *order = order_make(ORDER_DRAIN, request);
    snprintf(order->node, sizeof order->node, "%s", node);
    order_push(member, order);
}

static void answer(struct member *member, void *request, s4_status status, const struct diag *why)
{
    struct member_event *event = event_make(MEMBER_ANSWERED);
    event->request = request;
    event->status = status;
    if (why)
        event->why = *why;
    event_push(member, event);
}

static void asked_answered(void *user, s4_status status, const struct diag *why)
{
    struct asked *asked = user;
    answer(asked->member, asked->request, status, why);
    mem_free(asked);
}

static void ask_cluster(struct member *member, const struct order *order)
{
    struct asked *asked = mem_zalloc(sizeof *asked);
    CHECK(asked);
    *asked = (struct asked){ member, order->request };
    struct cluster_reply reply = { asked_answered, asked };
    s4_status status;
    if (order->kind == ORDER_DEPLOY)
        status = cluster_deploy(member->cluster, &order->wanted, reply);
    else if (order->kind == ORDER_UNDEPLOY)
        status = cluster_undeploy(member->cluster, order->wanted.app, reply);
    else
        status = cluster_drain(member->cluster, order->node, reply);
    if (status == S4_OK)
        return;
    mem_free(asked);
    answer(member, order->request, status, NULL);
}

static void fail(struct member *member, const struct diag *why)
{
    struct member_event *event = event_make(MEMBER_FAILED);
    event->why = *why;
    event->status = why->code;
    event_push(member, event);
}

static bool is_ready(const struct member *member, uint64_t id)
{
    for (size_t i = 0; i < MAP_APPS_MAX; i++)
        if (member->ready[i] == id)
            return true;
    return false;
}

static void note_ready(struct member *member, uint64_t id)
{
    for (size_t i = 0; i < MAP_APPS_MAX && !is_ready(member, id); i++)
        if (member->ready[i] == 0)
            member->ready[i] = id;
}

static void forget_ready(struct member *member, const struct map *map)
{
    for (size_t i = 0; i < MAP_APPS_MAX; i++) {
        bool there = false;
        for (uint32_t j = 0; j < map->n_apps; j++)
            there |= map->apps[j].id == member->ready[i];
        if (!there)
            member->ready[i] = 0;
    }
}

/* A map is in force here when all bundles run that it says to run: so what others send by it waits
 * until this node has somebody to take it. */
static void follow(struct member *member)
{
    const struct map *map = cluster_map(member->cluster);
    struct diag diag = { 0 };
    if (!member->joined || !map)
        return;
    for (uint32_t i = 0; i < map->n_apps; i++)
        if (map->apps[i].phase == MAP_RUN && !is_ready(member, map->apps[i].id))
            return;
    if (node_map(member->node, map) == S4_OK)
        return;
    diag_set(&diag, S4_NO_MEMORY, "out of memory for a map");
    fail(member, &diag);
}

static void join(struct member *member, struct engine *engine)
{
    struct diag diag = { 0 };
    s4_status status = node_join(member->node, engine, ferry_net_ferry(member->ferry),
                                 member->first, member->self);
    member->joined = status == S4_OK;
    if (status == S4_OK) {
        follow(member);
        return;
    }
    diag_set(&diag, status, "the node cannot join: %s", s4_status_text(status));
    fail(member, &diag);
}

static void obey(struct member *member, const struct order *order)
{
    switch (order->kind) {
    case ORDER_JOIN:
        join(member, order->engine);
        break;
    case ORDER_REPORT:
        if (order->state != ENTRY_CHECKED)
            note_ready(member, order->wanted.id);
        if (cluster_report_app(member->cluster, order->wanted.app, order->wanted.id, order->state,
                               order->why) != S4_OK &&
            member->options.log)
            log_write(member->options.log, LOG_WARN, "too many bundles to tell of %s",
                      order->wanted.app);
        follow(member);
        break;
    default:
        ask_cluster(member, order);
    }
}

static bool step_orders(struct member *member)
{
    pthread_mutex_lock(&member->lock);
    struct order *orders = member->orders;
    member->orders = NULL;
    member->orders_end = &member->orders;
    pthread_mutex_unlock(&member->lock);
    bool any = orders != NULL;
    while (orders) {
        struct order *next = orders->next;
        obey(member, orders);
        mem_free(orders);
        orders = next;
    }
    return any;
}

/* ---- what the cluster says ------------------------------------------------------------------- */

static void joined(void *user, uint32_t index, uint64_t incarnation)
{
    struct member *member = user;
    member->self = index;
}

static void changed(void *user, const struct map *old, const struct map *map)
{
    struct member *member = user;
    struct member_event *event = event_make(MEMBER_MAP);
    event->map = map_dup(map);
    event->self = member->self;
    CHECK(event->map);
    if (!member->first) {
        member->first = map_dup(map);
        CHECK(member->first);
        ferry_net_identify(member->ferry, member->node, map->cluster,
                           cluster_incarnation(member->cluster));
    }
    forget_ready(member, map);
    follow(member);
    event_push(member, event);
}

static void app_changed(void *user, const struct map_app *app, enum cluster_app what)
{
    struct member_event *event = event_make(MEMBER_APP);
    event->app = *app;
    event->what = what;
    event_push(user, event);
}

static void stopped(void *user, const struct diag *why)
{
    struct member *member = user;
    member->options.restart(member->options.user, why);
}

static void ended(void *user, const struct diag *why)
{
    fail(user, why);
}

/* ---- what the node says ---------------------------------------------------------------------- */

static void moved(void *user, uint32_t slot, uint64_t move, bool done, const char *why)
{
    struct member *member = user;
    cluster_report_move(member->cluster, slot, move, done, why);
}

static void node_failed(void *user, const struct diag *diag)
{
    fail(user, diag);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool step_cluster(struct member *member, uint64_t now_us)
{
    if (now_us - member->stepped_us < CLUSTER_STEP_US)
        return false;
    member->stepped_us = now_us;
    cluster_step(member->cluster);
    atomic_store(&member->sure_until_us, cluster_sure_until_us(member->cluster));
    pthread_mutex_lock(&member->lock);
    snprintf(member->leader, sizeof member->leader, "%s", cluster_leader(member->cluster));
    pthread_mutex_unlock(&member->lock);
    return false;
}

static bool step_nodes(struct member *member)
{
    bool any = member->joined && node_step(member->node);
    any |= ferry_net_step(member->ferry, MESSAGES_AT_ONCE);
    if (member->joined)
        atomic_store(&member->settled,
                     node_is_settled(member->node) && net_is_drained(member->net));
    return any;
}

static uint64_t pause_us(const struct member *member)
{
    uint64_t now = clock_real.mono_us(&clock_real);
    uint64_t due = member->joined ? node_due_us(member->node) : UINT64_MAX;
    uint64_t until_due = due > now ? due - now : 0;
    uint64_t timeout = cluster_timeout_us(member->cluster);
    timeout = timeout < CLUSTER_STEP_US ? CLUSTER_STEP_US : timeout;
    timeout = timeout < SLEEP_US_MAX ? timeout : SLEEP_US_MAX;
    return until_due < SLEEP_US_MIN ? SLEEP_US_MIN : until_due < timeout ? until_due : timeout;
}

static void *run(void *arg)
{
    struct member *member = arg;
    while (!atomic_load(&member->stop)) {
        uint64_t now = clock_real.mono_us(&clock_real);
        bool any = step_orders(member);
        any |= step_cluster(member, now);
        any |= step_nodes(member);
        if (any)
            continue;
        net_wait(member->net, pause_us(member));
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* "HOST:PORT,HOST:PORT", and behind them, if not all of the service is this system's, "/ROOT". */
static s4_status connect_zk(const struct member_service *service, struct coord **coord,
                            struct diag *diag)
{
    char hosts[MEMBER_SERVICE_MAX];
    size_t n = strcspn(service->zk, "/");
    if (n >= sizeof hosts)
        return diag_set(diag, S4_TOO_LARGE, "the list of servers has %zu bytes; at most %zu", n,
                        sizeof hosts - 1);
    memcpy(hosts, service->zk, n);
    hosts[n] = '\0';
    struct coord_zk_options zk = { .hosts = hosts,
                                   .root = service->zk[n] ? service->zk + n : NULL,
                                   .session_ms = service->session_ms,
                                   .clock = &clock_real };
    return coord_zk_create(&zk, coord, diag);
}

s4_status member_connect(const struct member_service *service, struct coord **coord,
                         struct diag *diag)
{
    if (service->zk)
        return connect_zk(service, coord, diag);
    struct coord_dir_options dir = { .path = service->shared,
                                     .session_ms = service->session_ms,
                                     .clock = &clock_real };
    return coord_dir_create(&dir, coord, diag);
}

static s4_status connect_service(void *user, struct coord **coord, struct diag *diag)
{
    const struct member *member = user;
    return member_connect(&member->options.service, coord, diag);
}

/* Any thread. */
static void stranger_came(void *user, const char *text)
{
    const struct member *member = user;
    log_write(member->options.log, LOG_WARN, "%s", text);
}

static s4_status make_ferry(struct member *member, struct diag *diag)
{
    struct transport_zmq_options zmq = { .pool = member->blocks,
                                         .ring = member->options.ring,
                                         .report = stranger_came,
                                         .report_user = member };
    struct ferry_net_options ferry = { .clock = &clock_real,
                                       .log = member->options.log,
                                       .node = member->options.name };
    TRY(transport_zmq_create(&zmq, &ferry.transport, diag));
    s4_status status = ferry_net_create(&ferry, &member->ferry, diag);
    if (status != S4_OK) {
        transport_destroy(ferry.transport);
        return status;
    }
    member->net = ferry_net_net(member->ferry);
    return net_bind(member->net, member->options.address, diag);
}

static s4_status put_text(char *to, size_t max, const char *what, const char *text,
                          struct diag *diag)
{
    if (strlen(text) > max)
        return diag_set(diag, S4_TOO_LARGE, "%s of %zu bytes; at most %zu", what, strlen(text),
                        max);
    memcpy(to, text, strlen(text) + 1);
    return S4_OK;
}

static s4_status make_cluster(struct member *member, struct diag *diag)
{
    struct entry_node *entry = &member->entry;
    TRY(put_text(entry->name, MAP_NAME_MAX, "a name", member->options.name, diag));
    TRY(put_text(entry->address, MAP_ADDRESS_MAX, "an address", member_address(member), diag));
    TRY(put_text(entry->clients, MAP_ADDRESS_MAX, "an address", member->options.clients, diag));
    TRY(put_text(entry->release, MAP_RELEASE_MAX, "a release", S4_RELEASE, diag));
    entry->workers = member->options.workers;
    entry->standby = member->options.standby;
    member->upcalls = (struct cluster_upcalls){
        .joined = joined, .changed = changed, .app = app_changed, .stop = stopped, .ended = ended
    };
    struct cluster_options options = { .cluster = member->options.cluster,
                                       .node = entry,
                                       .service = { .connect = connect_service, .user = member },
                                       .clock = &clock_real,
                                       .log = member->options.log,
                                       .waker = net_waker(member->net),
                                       .upcalls = &member->upcalls,
                                       .user = member };
    return cluster_create(&options, &member->cluster, diag);
}

s4_status member_create(const struct member_options *options, struct member **member,
                        struct diag *diag)
{
    struct member *made = mem_zalloc(sizeof *made);
    if (!made)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    made->options = *options;
    made->orders_end = &made->orders;
    made->events_end = &made->events;
    CHECK(pthread_mutex_init(&made->lock, NULL) == 0);
    made->node_upcalls =
        (struct node_upcalls){ .moved = moved, .failed = node_failed, .user = made };
    struct node_options node = { .upcalls = &made->node_upcalls,
                                 .log = options->log,
                                 .frozen_max_us = FROZEN_US_MAX };
    s4_status status = block_pool_create(
        options->block_size ? options->block_size : BLOCK_SIZE_DEFAULT, &made->blocks);
    if (status == S4_OK)
        status = node_create(&node, &made->node);
    if (status != S4_OK)
        diag_set(diag, status, "%s", s4_status_text(status));
    if (status == S4_OK)
        status = make_ferry(made, diag);
    if (status == S4_OK)
        status = make_cluster(made, diag);
    if (status != S4_OK) {
        member_destroy(made);
        return status;
    }
    CHECK(pthread_create(&made->thread, NULL, run, made) == 0);
    *member = made;
    return S4_OK;
}

const char *member_address(const struct member *member)
{
    return net_address(member->net);
}

void member_engine_options(struct member *member, const struct map *first, uint32_t self,
                           struct engine_options *options)
{
    node_first_map(first, member->slot_workers, member->genesis);
    options->nodes = ENGINE_NODES_MAX;
    options->node = self;
    options->slots = first->n_slots;
    options->map = member->slot_workers;
    options->genesis = member->genesis;
    options->remote = node_remote(member->node);
    options->blocks = member->blocks;
}

bool member_may_answer(const struct member *member)
{
    return clock_real.boot_us(&clock_real) < atomic_load(&member->sure_until_us);
}

void member_leader(struct member *member, char name[MAP_NAME_MAX + 1])
{
    pthread_mutex_lock(&member->lock);
    memcpy(name, member->leader, sizeof member->leader);
    pthread_mutex_unlock(&member->lock);
}

bool member_is_settled(const struct member *member)
{
    return atomic_load(&member->settled);
}

void member_stop(struct member *member)
{
    atomic_store(&member->stop, true);
    net_wake(member->net);
    pthread_join(member->thread, NULL);
    cluster_destroy(member->cluster);
    member->cluster = NULL;
}

void member_release(struct member *member)
{
    node_stop(member->node);
    ferry_net_destroy(member->ferry);
    member->ferry = NULL;
}

void member_destroy(struct member *member)
{
    if (!member)
        return;
    struct member_event *event;
    while ((event = member_take(member)))
        member_event_free(event);
    for (struct order *order = member->orders; order;) {
        struct order *next = order->next;
        mem_free(order);
        order = next;
    }
    cluster_destroy(member->cluster);
    ferry_net_destroy(member->ferry);
    node_destroy(member->node);
    map_destroy(member->first);
    block_pool_destroy(member->blocks);
    pthread_mutex_destroy(&member->lock);
    mem_free(member);
}
