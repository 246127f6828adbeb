/* A node of a cluster on its control thread; see the header. */
#include "apps/s4/node_cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "apps/s4/exit.h"
#include "apps/s4/node_fan.h"
#include "apps/s4/node_relay.h"
#include "apps/s4/say.h"
#include "router/map/slots.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

uint32_t cluster_node_owner(const struct node *node, uint32_t slot)
{
    return node->map->slots[slot].owner;
}

bool cluster_node_asks(const struct node *node, const struct request *request)
{
    return node->member && !request->message->own;
}

/* ---- joining --------------------------------------------------------------------------------- */

/* The membership is over, others own its slots: all stops here and now, and begins anew. */
static void restart(void *user, const struct diag *why)
{
    char *const *argv = user;
    log_write(&say_log, LOG_WARN, "%s; the node starts anew", why->text);
    if (!say_flush())
        _exit(EXIT_FAILED);
    execv("/proc/self/exe", argv);
    log_write(&say_log, LOG_ERROR, "cannot start anew: %s", strerror(errno));
    _exit(EXIT_FAILED);
}

static int join_failed(struct member_event *event)
{
    say_error("%s", event->why.text);
    int code = exit_of(event->status);
    member_event_free(event);
    return code;
}

/* The first map, in which the node is a member; what else comes first waits behind it. */
static int wait_for_map(struct node *node)
{
    for (;;) {
        struct member_event *event = member_take(node->member);
        if (event && event->kind == MEMBER_FAILED)
            return join_failed(event);
        if (event && event->kind == MEMBER_MAP) {
            node->map = event->map;
            node->self = event->self;
            event->map = NULL;
            member_event_free(event);
            return EXIT_DONE;
        }
        CHECK(!event); /* nothing else comes before a map */
        struct pollfd fds[] = { { .fd = node->wake, .events = POLLIN },
                                { .fd = node->signals, .events = POLLIN } };
        eventfd_t count;
        if (poll(fds, ARRAY_LEN(fds), -1) > 0 && fds[1].revents)
            return EXIT_FAILED; /* stopped before it began */
        eventfd_read(node->wake, &count);
    }
}

int cluster_node_join(struct node *node)
{
    struct diag diag = { 0 };
    node->membership.workers = node->options.workers ? node->options.workers : 1;
    node->membership.block_size = node->options.block_size;
    node->membership.clients = node->clients;
    node->membership.ring = node->ring;
    node->membership.log = &say_log;
    node->membership.wake = node->wake;
    node->membership.restart = restart;
    s4_status status = relay_create(node);
    if (status == S4_OK)
        status = member_create(&node->membership, &node->member, &diag);
    if (status != S4_OK) {
        say_error("%s", diag.text[0] ? diag.text : s4_status_text(status));
        return exit_of(status);
    }
    int code = wait_for_map(node);
    if (code == EXIT_DONE)
        member_engine_options(node->member, &node->options);
    return code;
}

int cluster_node_start(struct node *node)
{
    struct diag diag = { 0 };
    struct bundles_options bundles = { .dir = node->place.dir,
                                       .engine = node->engine,
                                       .member = node->member,
                                       .ring = node->ring,
                                       .log = &say_log,
                                       .wake = node->wake };
    if (bundles_create(&bundles, &node->bundles, &diag) != S4_OK) {
        say_error("%s", diag.text);
        return EXIT_FAILED;
    }
    member_join(node->member, node->engine);
    return EXIT_DONE;
}

void cluster_node_stop(struct node *node)
{
    if (!node->member)
        return;
    if (node->bundles)
        bundles_stop(node->bundles);
    member_stop(node->member);
}

void cluster_node_release(struct node *node)
{
    if (node->member)
        member_release(node->member);
}

void cluster_node_destroy(struct node *node)
{
    bundles_destroy(node->bundles);
    member_destroy(node->member);
    relay_destroy(node);
    map_destroy(node->map);
}

/* ---- the map --------------------------------------------------------------------------------- */

static const struct map_app *deployment_of(const struct map *map, const struct request *request)
{
    for (uint32_t i = 0; i < map->n_apps; i++)
        if (map->apps[i].id == request->deployment)
            return &map->apps[i];
    return NULL;
}

static bool runs_here(const struct node *node, const char *name)
{
    for (size_t i = 0; i < ENGINE_APPS_MAX; i++)
        if (node->apps[i].bundle && strcmp(node->apps[i].bundle->graph->app, name) == 0)
            return true;
    return false;
}

/* Is it answered by the map? */
static void look_at_deploy(struct node *node, struct request *request)
{
    const struct map_app *app = deployment_of(node->map, request);
    if (!app || app->phase == MAP_CHECK)
        return;
    if (app->phase == MAP_REFUSED)
        request_fail(request, S4_INVALID, "the cluster does not run it: %s", app->why);
    else if (runs_here(node, app->name) && !request->fan) {
        if (fan_start(node, request) == S4_OK)
            fan_own(node, request);
        else
            request_fail(request, S4_NO_MEMORY, "out of memory");
    }
}

/* Asked by another node. */
static void look_at_await(struct node *node, struct request *request)
{
    const struct map_app *app = map_find_app(node->map, request->message->await->app);
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    bool over = app && app->id == request->message->await->id && app->phase == MAP_REFUSED;
    if (over || runs_here(node, request->message->await->app))
        request_reply(request, &reply);
}

static const char *app_of(const S4__Control__Request *message)
{
    switch (message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_INJECT:
        return message->inject->app;
    case S4__CONTROL__REQUEST__WHAT_QUERY:
        return message->query->app;
    case S4__CONTROL__REQUEST__WHAT_ASK:
        return message->ask->app;
    case S4__CONTROL__REQUEST__WHAT_COUNT:
        return message->count->app;
    case S4__CONTROL__REQUEST__WHAT_TAIL:
        return message->tail->app;
    case S4__CONTROL__REQUEST__WHAT_DRAIN:
        return message->drain->app;
    default:
        return NULL;
    }
}

/* Who asks by a newer map may ask for what is this node's only by that one. An app that the map
 * says to run is about to do so. */
bool cluster_node_awaits(const struct node *node, const struct request *request)
{
    if (node->map && request->message->own && request->message->epoch > node->map->version)
        return true;
    const char *name = app_of(request->message);
    const struct map_app *app = name && node->map ? map_find_app(node->map, name) : NULL;
    return app && app->phase == MAP_RUN && !runs_here(node, name);
}

void cluster_node_await(struct node *node, struct request *request)
{
    request->in_cluster = true;
    look_at_await(node, request);
}

static void look_at_waiting(struct node *node, struct request *request)
{
    if (cluster_node_awaits(node, request))
        return;
    request->in_cluster = request->waits_to_serve = false;
    node_serve_again(node, request);
}

static void look_at_undeploy(struct node *node, struct request *request)
{
    const char *name = request->message->undeploy->app;
    const struct map_app *app = map_find_app(node->map, name);
    if ((!app || app->phase == MAP_REFUSED) && !runs_here(node, name))
        node_undeployed(request);
}

/* No slot is its own any more, and it is known. */
static bool is_empty(const struct node *node, uint32_t member)
{
    return map_slots_of(node->map, member, false) == 0 &&
           map_slots_of(node->map, member, true) == 0;
}

/* Somebody can take its slots. */
static bool another_is_fit(const struct node *node, uint32_t member)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (i != member && map_member_exists(node->map, i) &&
            (node->map->members[i].state == MAP_ACTIVE ||
             node->map->members[i].state == MAP_STANDBY))
            return true;
    return false;
}

static void look_at_drain(struct node *node, struct request *request)
{
    const char *name = request->message->drain_node->node;
    uint32_t member = map_find_member(node->map, name);
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    if (member == MAP_NOBODY || is_empty(node, member))
        request_reply(request, &reply);
}

/* Requests that wait for a map that says so. */
static void look_at_requests(struct node *node)
{
    for (struct request *request = node->requests, *next; request; request = next) {
        next = request->next;
        if (request->asked_cluster || !request->in_cluster)
            continue;
        if (request->waits_to_serve) {
            look_at_waiting(node, request);
            continue;
        }
        switch (request->message->what_case) {
        case S4__CONTROL__REQUEST__WHAT_DEPLOY:
            look_at_deploy(node, request);
            break;
        case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
            look_at_undeploy(node, request);
            break;
        case S4__CONTROL__REQUEST__WHAT_AWAIT:
            look_at_await(node, request);
            break;
        default:
            look_at_drain(node, request);
        }
    }
}

static void take_map(struct node *node, struct member_event *event)
{
    map_destroy(node->map);
    node->map = event->map;
    node->self = event->self;
    event->map = NULL;
    relay_changed(node);
    node_sources(node);
    look_at_requests(node);
}

/* ---- what the cluster answers ---------------------------------------------------------------- */

static bool is_there(const struct node *node, const struct request *wanted)
{
    for (const struct request *request = node->requests; request; request = request->next)
        if (request == wanted)
            return true;
    return false;
}

/* The request may be gone: its client could not be reached. */
static void take_answer(struct node *node, const struct member_event *event)
{
    struct request *request = event->request;
    if (!is_there(node, request))
        return;
    request->asked_cluster = false;
    if (event->status != S4_OK &&
        request->message->what_case == S4__CONTROL__REQUEST__WHAT_UNDEPLOY)
        node_app_stays(node, request->message->undeploy->app);
    if (event->status != S4_OK)
        request_fail(request, event->status, "%s",
                     event->why.text[0] ? event->why.text : s4_status_text(event->status));
    else
        look_at_requests(node);
}

static void take_events(struct node *node)
{
    for (struct member_event *event; (event = member_take(node->member));) {
        switch (event->kind) {
        case MEMBER_MAP:
            take_map(node, event);
            break;
        case MEMBER_APP:
            bundles_want(node->bundles, node->map, &event->app, event->what);
            break;
        case MEMBER_ANSWERED:
            take_answer(node, event);
            break;
        case MEMBER_FAILED:
            alarms_fault(&node->alarms, event->why.text);
            break;
        }
        member_event_free(event);
    }
}

static void take_news(struct node *node)
{
    for (struct bundles_news *news; (news = bundles_take(node->bundles));) {
        if (news->bundle)
            node_app_began(node, news->bundle);
        else
            node_app_ended(node, news->app.name, news->dropped);
        mem_free(news);
        node_sources(node);
        look_at_requests(node);
    }
}

void cluster_node_step(struct node *node)
{
    take_events(node);
    take_news(node);
    relay_step(node, clock_real.mono_us(&clock_real));
}

/* ---- requests -------------------------------------------------------------------------------- */

void cluster_node_deploy(struct node *node, struct request *request)
{
    const struct bundle *bundle = request->bundle;
    const ProtobufCBinaryData *bytes = &request->message->deploy->bundle;
    struct entry_wanted wanted = { .id = rng_seed_real() | 1 };
    struct diag diag = { 0 };
    if (strlen(bundle->graph->app) > MAP_NAME_MAX ||
        strlen(bundle->graph->version) > MAP_RELEASE_MAX) {
        request_fail(request, S4_TOO_LARGE, "the name or version of %s is over %d bytes",
                     bundle->graph->app, MAP_NAME_MAX);
        return;
    }
    if (bundles_keep(node->bundles, bundle->content_hash, bytes->data, bytes->len, &diag) !=
        S4_OK) {
        request_fail(request, diag.code, "%s", diag.text);
        return;
    }
    snprintf(wanted.app, sizeof wanted.app, "%s", bundle->graph->app);
    snprintf(wanted.version, sizeof wanted.version, "%s", bundle->graph->version);
    snprintf(wanted.build_id, sizeof wanted.build_id, "%s", bundle->elf.build_id);
    snprintf(wanted.hash, sizeof wanted.hash, "%016" PRIx64, bundle->content_hash);
    request->deployment = wanted.id;
    request->in_cluster = request->asked_cluster = true;
    member_deploy(node->member, &wanted, request);
}

void cluster_node_undeploy(struct node *node, struct request *request)
{
    request->in_cluster = request->asked_cluster = true;
    member_undeploy(node->member, request->message->undeploy->app, request);
}

void cluster_node_drain(struct node *node, struct request *request)
{
    const char *name = request->message->drain_node->node;
    if (!node->member) {
        request_fail(request, S4_STATE,
                     "the node belongs to no cluster: nobody would take its "
                     "slots");
        return;
    }
    uint32_t member = map_find_member(node->map, name);
    if (member == MAP_NOBODY) {
        request_fail(request, S4_NOT_FOUND, "the cluster %s has no node '%s'",
                     node->membership.cluster, name);
        return;
    }
    if (!is_empty(node, member) && !another_is_fit(node, member)) {
        request_fail(request, S4_STATE,
                     "no other node of the cluster %s can take the slots of %s; start one first",
                     node->membership.cluster, name);
        return;
    }
    request->in_cluster = request->asked_cluster = true;
    member_drain(node->member, name, request);
}

void cluster_node_fetch(struct request *request)
{
    struct node *node = request->node;
    struct buffer bytes;
    buffer_init(&bytes);
    request->status =
        node->bundles
            ? bundles_read(node->bundles, request->message->fetch->hash, &bytes, &request->diag)
            : diag_set(&request->diag, S4_NOT_FOUND, "the node belongs to no cluster");
    if (request->status == S4_OK) {
        S4__Control__Fetched fetched = S4__CONTROL__FETCHED__INIT;
        S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
        fetched.bundle.data = (uint8_t *)bytes.data;
        fetched.bundle.len = bytes.size;
        reply.what_case = S4__CONTROL__REPLY__WHAT_FETCHED;
        reply.fetched = &fetched;
        reply.id = request->message->id;
        request->status = control_pack(&reply.base, &request->packed, &request->packed_size);
    }
    buffer_fini(&bytes);
}

void node_relayed(struct node *node, struct request *request, uint32_t member,
                  S4__Control__Reply *reply, bool sent)
{
    if (request->carries) {
        node_tail_relayed(request, member, reply);
    } else if (request->fan) {
        fan_relayed(node, request, member, reply);
    } else {
        node_inject_relayed(node, request, reply, sent);
        control_reply_destroy(reply);
    }
}

/* ---- leaving --------------------------------------------------------------------------------- */

bool cluster_node_leave(struct node *node)
{
    if (!node->asked_to_leave) {
        node->asked_to_leave = true;
        member_drain(node->member, node->membership.name, NULL);
    }
    if (!another_is_fit(node, node->self))
        return true;
    return is_empty(node, node->self) && member_is_settled(node->member, node->map);
}
