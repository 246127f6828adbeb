/* The member thread; see the header. Requests of other threads and events for the control thread
 * wait in two lists behind one lock. */
#include "apps/s4/member.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "pe/node/membership.h"
#include "router/coord/coord_dir.h"
#include "router/coord/coord_zk.h"
#include "runtime/base/mem.h"
#include "runtime/net/transport_zmq.h"

#define MESSAGES_AT_ONCE 64u

enum order_kind { ORDER_JOIN, ORDER_REPORT, ORDER_DEPLOY, ORDER_UNDEPLOY, ORDER_DRAIN };

/* What other threads ask for. */
struct order {
    struct order *next;
    enum order_kind kind;
    struct engine *engine;
    struct entry_wanted wanted; /* DEPLOY; UNDEPLOY: app */
    struct map_app app;         /* REPORT */
    char node[MAP_NAME_MAX + 1];
    enum entry_app_state state;
    char why[MAP_WHY_MAX + 1];
    void *request;
};

/* A request that the cluster was asked for and has not answered. */
struct asked {
    struct asked *prev, *next; /* of the member's; its thread's */
    struct member *member;
    void *request;
};

struct member {
    struct member_options options;
    struct block_pool *blocks;
    struct membership *membership;
    pthread_t thread;
    struct asked *asked; /* the thread's, and when it has ended */

    _Atomic uint64_t sure_until_us; /* 0: it may not answer */
    _Atomic uint64_t settled;       /* under the map of this version; 0: not */
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
    net_wake(membership_net(member->membership));
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
    order->app = *app;
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

static void asked_free(struct asked *asked)
{
    if (asked->prev)
        asked->prev->next = asked->next;
    else
        asked->member->asked = asked->next;
    if (asked->next)
        asked->next->prev = asked->prev;
    mem_free(asked);
}

static void asked_answered(void *user, s4_status status, const struct diag *why)
{
    struct asked *asked = user;
    answer(asked->member, asked->request, status, why);
    asked_free(asked);
}

static void ask_cluster(struct member *member, const struct order *order)
{
    struct asked *asked = mem_zalloc(sizeof *asked);
    CHECK(asked);
    *asked = (struct asked){ .next = member->asked, .member = member, .request = order->request };
    if (member->asked)
        member->asked->prev = asked;
    member->asked = asked;
    struct cluster_reply reply = { asked_answered, asked };
    struct cluster *cluster = membership_cluster(member->membership);
    s4_status status;
    if (order->kind == ORDER_DEPLOY)
        status = cluster_deploy(cluster, &order->wanted, reply);
    else if (order->kind == ORDER_UNDEPLOY)
        status = cluster_undeploy(cluster, order->wanted.app, reply);
    else
        status = cluster_drain(cluster, order->node, reply);
    if (status == S4_OK)
        return;
    asked_free(asked);
    answer(member, order->request, status, NULL);
}

static void obey(struct member *member, const struct order *order)
{
    switch (order->kind) {
    case ORDER_JOIN:
        membership_join(member->membership, order->engine);
        break;
    case ORDER_REPORT:
        membership_report_app(member->membership, &order->app, order->state, order->why);
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

/* ---- what the membership says ---------------------------------------------------------------- */

static void changed(void *user, const struct map *map, uint32_t self)
{
    struct member_event *event = event_make(MEMBER_MAP);
    event->map = map_dup(map);
    event->self = self;
    CHECK(event->map);
    event_push(user, event);
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

static void failed(void *user, const struct diag *why)
{
    struct member_event *event = event_make(MEMBER_FAILED);
    event->why = *why;
    event->status = why->code;
    event_push(user, event);
}

static const struct membership_upcalls upcalls = {
    .changed = changed, .app = app_changed, .stopped = stopped, .failed = failed
};

/* ---- the thread ------------------------------------------------------------------------------ */

static void step_cluster(struct member *member)
{
    const struct cluster *cluster = membership_cluster(member->membership);
    membership_step_cluster(member->membership);
    atomic_store(&member->sure_until_us, cluster_sure_until_us(cluster));
    pthread_mutex_lock(&member->lock);
    snprintf(member->leader, sizeof member->leader, "%s", cluster_leader(cluster));
    pthread_mutex_unlock(&member->lock);
}

static void *run(void *arg)
{
    struct member *member = arg;
    while (!atomic_load(&member->stop)) {
        bool any = step_orders(member);
        step_cluster(member);
        any |= membership_step_node(member->membership, MESSAGES_AT_ONCE);
        atomic_store(&member->settled, membership_settled(member->membership));
        if (!any)
            membership_wait(member->membership);
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

static s4_status put_text(char *to, size_t max, const char *what, const char *text,
                          struct diag *diag)
{
    if (strlen(text) > max)
        return diag_set(diag, S4_TOO_LARGE, "%s of %zu bytes; at most %zu", what, strlen(text),
                        max);
    memcpy(to, text, strlen(text) + 1);
    return S4_OK;
}

static s4_status make_entry(const struct member_options *options, struct entry_node *entry,
                            struct diag *diag)
{
    TRY(put_text(entry->name, MAP_NAME_MAX, "a name", options->name, diag));
    TRY(put_text(entry->address, MAP_ADDRESS_MAX, "an address", options->address, diag));
    TRY(put_text(entry->clients, MAP_ADDRESS_MAX, "an address", options->clients, diag));
    TRY(put_text(entry->release, MAP_RELEASE_MAX, "a release", S4_RELEASE, diag));
    entry->workers = options->workers;
    entry->standby = options->standby;
    return S4_OK;
}

static s4_status make_membership(struct member *member, struct diag *diag)
{
    struct entry_node entry = { 0 };
    struct transport_zmq_options zmq = { .pool = member->blocks,
                                         .ring = member->options.ring,
                                         .report = stranger_came,
                                         .report_user = member };
    struct membership_options options = { .cluster = member->options.cluster,
                                          .entry = &entry,
                                          .announce = member->options.announce,
                                          .service = { .connect = connect_service, .user = member },
                                          .clock = &clock_real,
                                          .log = member->options.log,
                                          .upcalls = &upcalls,
                                          .user = member };
    TRY(make_entry(&member->options, &entry, diag));
    TRY(transport_zmq_create(&zmq, &options.transport, diag));
    return membership_create(&options, &member->membership, diag);
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
    s4_status status = block_pool_create(
        options->block_size ? options->block_size : BLOCK_SIZE_DEFAULT, &made->blocks);
    if (status != S4_OK)
        diag_set(diag, status, "%s", s4_status_text(status));
    if (status == S4_OK)
        status = make_membership(made, diag);
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
    return net_address(membership_net(member->membership));
}

void member_engine_options(struct member *member, struct engine_options *options)
{
    membership_engine_options(member->membership, options);
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

bool member_is_settled(const struct member *member, const struct map *map)
{
    return atomic_load(&member->settled) >= map->version;
}

void member_stop(struct member *member)
{
    atomic_store(&member->stop, true);
    net_wake(membership_net(member->membership));
    pthread_join(member->thread, NULL);
    membership_leave(member->membership);
}

void member_release(struct member *member)
{
    membership_release(member->membership);
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
    membership_destroy(member->membership);
    while (member->asked) /* what the cluster had not answered when its session ended */
        asked_free(member->asked);
    block_pool_destroy(member->blocks);
    pthread_mutex_destroy(&member->lock);
    mem_free(member);
}
