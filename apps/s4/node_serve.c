/* Requests of clients: read, looked at, and handed to whoever does them. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "apps/s4/node.h"
#include "apps/s4/node_cluster.h"
#include "apps/s4/node_fan.h"
#include "apps/s4/say.h"
#include "pe/graph/graph.h"
#include "pe/graph/names.h"
#include "router/map/slots.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

/* ---- apps ---------------------------------------------------------------------------------- */

static struct node_app *find_app(struct node *node, const char *name)
{
    for (size_t i = 0; i < ENGINE_APPS_MAX; i++)
        if (node->apps[i].bundle && strcmp(node->apps[i].bundle->graph->app, name) == 0)
            return &node->apps[i];
    return NULL;
}

bool node_sources_open(struct node *node, const char *app)
{
    for (size_t i = 0; i < ENGINE_APPS_MAX; i++)
        if (node->apps[i].bundle && atomic_load(&node->apps[i].source_open) &&
            (!app || strcmp(node->apps[i].bundle->graph->app, app) == 0))
            return true;
    return false;
}

struct node_app *node_app_of(struct node *node, struct request *request, const char *name)
{
    struct node_app *app = find_app(node, name);
    if (app && !app->closing)
        return app;
    if (app) {
        request_fail(request, S4_NOT_FOUND, "the app '%s' is being undeployed", name);
        return NULL;
    }
    struct name_nearest nearest;
    name_nearest_init(&nearest, name);
    for (size_t i = 0; i < ENGINE_APPS_MAX; i++)
        if (node->apps[i].bundle)
            name_nearest_try(&nearest, node->apps[i].bundle->graph->app);
    request_fail(request, S4_NOT_FOUND, "no app '%s' is deployed%s", name,
                 name_hint(&nearest).text);
    return NULL;
}

/* An upcall of the engine. */
static void source_ended(void *user, s4_status status)
{
    struct node_app *app = user;
    if (status != S4_END && status != S4_CANCELLED)
        alarms_raise(&app->node->alarms, app->bundle->graph->app, s4_status_text(status));
    atomic_store(&app->source_open, false);
    eventfd_write(app->node->wake, 1);
}

static void start_source(struct node *node, struct node_app *app)
{
    const S4__Graph__Graph *graph = app->bundle->graph;
    struct diag diag = { 0 };
    atomic_store(&app->source_open, true);
    if (engine_feed_source(node->engine, graph->app, source_ended, app, &diag) != S4_OK) {
        atomic_store(&app->source_open, false);
        alarms_raise(&node->alarms, graph->app, diag.text);
    }
}

static bool is_source_here(const struct node *node, const char *app)
{
    return !node->map || cluster_node_owner(node, slot_of_hash(hash_bytes(app, strlen(app)),
                                                               node->map->n_slots)) == node->self;
}

void node_sources(struct node *node)
{
    for (size_t i = 0; i < ENGINE_APPS_MAX; i++) {
        struct node_app *app = &node->apps[i];
        if (!app->bundle || !app->bundle->graph->source || !app->bundle->graph->source->present)
            continue;
        bool here = is_source_here(node, app->bundle->graph->app);
        if (here && !app->source_here)
            start_source(node, app);
        else if (!here && app->source_here)
            engine_feed_cancel(node->engine, app->bundle->graph->app);
        app->source_here = here;
    }
}

void node_app_began(struct node *node, struct bundle *bundle)
{
    struct node_app *app = NULL;
    for (size_t i = 0; i < ENGINE_APPS_MAX && !app; i++)
        if (!node->apps[i].bundle)
            app = &node->apps[i];
    CHECK(app); /* the engine takes no more than ENGINE_APPS_MAX */
    app->node = node;
    app->closing = app->source_here = false;
    app->bundle = bundle;
    node_sources(node);
}

void node_app_ended(struct node *node, const char *name, uint64_t dropped)
{
    struct node_app *app = find_app(node, name);
    if (!app)
        return;
    node_tails_app_ended(node, name);
    bundle_release(app->bundle);
    app->bundle = NULL;
    node->dropped = dropped;
}

void node_app_stays(struct node *node, const char *name)
{
    struct node_app *app = find_app(node, name);
    if (app)
        app->closing = false;
}

/* ---- answers ------------------------------------------------------------------------------- */

static void reply_welcome(struct request *request)
{
    char release[] = S4_RELEASE;
    S4__Control__Welcome welcome = S4__CONTROL__WELCOME__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    welcome.version = CONTROL_VERSION;
    welcome.release = release;
    welcome.pid = (uint64_t)getpid();
    reply.what_case = S4__CONTROL__REPLY__WHAT_WELCOME;
    reply.welcome = &welcome;
    request_reply(request, &reply);
}

void node_deployed(struct request *request, const char *app, const char *version,
                   const char *build_id)
{
    union {
        const char *given;
        char *wanted; /* protobuf-c's structs have no const */
    } texts[] = { { app }, { version }, { build_id } };
    S4__Control__Deployed deployed = S4__CONTROL__DEPLOYED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    deployed.app = texts[0].wanted;
    deployed.version = texts[1].wanted;
    deployed.build_id = texts[2].wanted;
    reply.what_case = S4__CONTROL__REPLY__WHAT_DEPLOYED;
    reply.deployed = &deployed;
    request_reply(request, &reply);
}

static void end_deploy(struct node *node, struct request *request)
{
    const struct bundle *bundle = request->bundle;
    if (node->member) {
        cluster_node_deploy(node, request);
        return;
    }
    node_app_began(node, bundle_hold(bundle));
    node_deployed(request, bundle->graph->app, bundle->graph->version, bundle->elf.build_id);
}

void node_undeployed(struct request *request)
{
    S4__Control__Undeployed undeployed = S4__CONTROL__UNDEPLOYED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    undeployed.dropped = request->node->dropped;
    undeployed.has_detached = true;
    undeployed.detached = request->detached;
    reply.what_case = S4__CONTROL__REPLY__WHAT_UNDEPLOYED;
    reply.undeployed = &undeployed;
    request_reply(request, &reply);
}

static void reply_counted(struct request *request)
{
    S4__Control__Counted counted = S4__CONTROL__COUNTED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    counted.instances = request->got.count;
    reply.what_case = S4__CONTROL__REPLY__WHAT_COUNTED;
    reply.counted = &counted;
    request_reply(request, &reply);
}

static void reply_drained(struct request *request)
{
    S4__Control__Drained drained = S4__CONTROL__DRAINED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    drained.waiting_timers = request->got.drained.waiting_timers;
    drained.waiting_answers = request->got.drained.waiting_answers;
    if (request->message->own) {
        drained.has_rounds = drained.has_activity = drained.has_settled = true;
        drained.rounds = request->got.drained.rounds;
        drained.activity = engine_activity(request->node->engine, request->message->drain->app);
        drained.settled =
            request->node->member && member_is_settled(request->node->member, request->node->map);
    }
    reply.what_case = S4__CONTROL__REPLY__WHAT_DRAINED;
    reply.drained = &drained;
    request_reply(request, &reply);
}

/* Another node could own its slots by now: what it knows may be old. */
static bool is_stale(const struct node *node, const struct request *request)
{
    const S4__Control__Request *message = request->message;
    bool asked = message->what_case == S4__CONTROL__REQUEST__WHAT_QUERY   ? message->query->stale
                 : message->what_case == S4__CONTROL__REQUEST__WHAT_ASK   ? message->ask->stale
                 : message->what_case == S4__CONTROL__REQUEST__WHAT_COUNT ? false
                                                                          : true;
    return node->member && !asked && !member_may_answer(node->member);
}

void node_finish(struct node *node, struct request *request)
{
    if (request->fan && request->fan->left > 0) {
        fan_own(node, request);
        return;
    }
    if (is_stale(node, request)) {
        request_fail(request, S4_UNAVAILABLE,
                     "the node has lost touch with its cluster, and others may have its slots; ask "
                     "another node, or with --stale");
        return;
    }
    switch (request->message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_INJECT:
        node_inject_finish(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_QUERY:
        if (request->got.pins) /* they are there, now the rows */
            node_jobs_push(&node->reads, request);
        else
            request_send(request);
        return;
    default:
        break;
    }
    if (node_tail_finish(request))
        return;
    if (request->packed || request->status != S4_OK) {
        if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_UNDEPLOY)
            node_app_stays(node, request->message->undeploy->app);
        request_send(request);
        return;
    }
    switch (request->message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_DEPLOY:
        end_deploy(node, request);
        break;
    case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
        node_app_ended(node, request->message->undeploy->app, request->got.count);
        node_undeployed(request);
        break;
    case S4__CONTROL__REQUEST__WHAT_COUNT:
        reply_counted(request);
        break;
    default:
        reply_drained(request);
    }
}

/* ---- calls of the engine; the upcalls come on its threads ---------------------------------- */

static void pinned(void *user, s4_status status, struct query_pins *pins)
{
    struct request *request = user;
    request->status = status;
    request->got.pins = status == S4_OK ? pins : NULL;
    node_done(request);
}

static void answered(void *user, s4_status status, const struct value *reply, const char *cause)
{
    struct request *request = user;
    request->status = status;
    if (status == S4_OK)
        node_answer_pack(request, reply);
    else if (status == S4_NOT_FOUND)
        diag_set(&request->diag, status, "no instance of %s has the key '%s'",
                 request->message->ask->prototype, request->message->ask->key);
    else if (cause)
        diag_set(&request->diag, status, "%s", cause);
    node_done(request);
}

static void counted(void *user, s4_status status, uint64_t count)
{
    struct request *request = user;
    request->status = status;
    request->got.count = count;
    node_done(request);
}

static void drained(void *user, s4_status status, const struct engine_drained *result)
{
    struct request *request = user;
    request->status = status;
    if (status == S4_OK)
        request->got.drained = *result;
    node_done(request);
}

static void unless_ok(struct request *request, s4_status status, const struct diag *diag)
{
    if (status != S4_OK)
        request_fail(request, status, "%s", diag->text);
}

/* In a cluster the others are asked too; false: the request was answered. */
static bool ask_others(struct node *node, struct request *request)
{
    if (!cluster_node_asks(node, request) || fan_start(node, request) == S4_OK)
        return true;
    request_fail(request, S4_NO_MEMORY, "out of memory");
    return false;
}

static void serve_query(struct node *node, struct request *request)
{
    const S4__Control__Query *query = request->message->query;
    struct diag diag = { 0 };
    struct node_app *app = node_app_of(node, request, query->app);
    if (!app || !ask_others(node, request))
        return;
    request->bundle = bundle_hold(app->bundle); /* the pins' type lies there */
    unless_ok(
        request,
        engine_pin(node->engine, query->app, query->output, query->key, pinned, request, &diag),
        &diag);
}

static void serve_ask(struct node *node, struct request *request)
{
    const S4__Control__Ask *ask = request->message->ask;
    struct diag diag = { 0 };
    if (!node_app_of(node, request, ask->app) || !ask_others(node, request))
        return;
    s4_status status =
        engine_ask(node->engine, ask->app, ask->prototype, ask->key, answered, request, &diag);
    if (status == S4_UNAVAILABLE && request->fan) { /* another node has it */
        request->status = status;
        request->diag = diag;
        fan_own(node, request);
    } else {
        unless_ok(request, status, &diag);
    }
}

static void serve_count(struct node *node, struct request *request)
{
    const S4__Control__Count *count = request->message->count;
    struct diag diag = { 0 };
    if (node_app_of(node, request, count->app) && ask_others(node, request))
        unless_ok(request,
                  engine_count(node->engine, count->app, count->prototype, counted, request, &diag),
                  &diag);
}

static void serve_status(struct node *node, struct request *request)
{
    if (!ask_others(node, request))
        return;
    if (request->fan)
        fan_own(node, request);
    else
        node_jobs_push(&node->reads, request);
}

static void start_drain(struct node *node, struct request *request)
{
    const S4__Control__Drain *drain = request->message->drain;
    struct diag diag = { 0 };
    if (!ask_others(node, request))
        return;
    bool finish = request->fan ? request->fan->finishing : drain->finish;
    unless_ok(request, engine_drain(node->engine, drain->app, finish, drained, request, &diag),
              &diag);
}

static void serve_drain(struct node *node, struct request *request)
{
    const S4__Control__Drain *drain = request->message->drain;
    if (drain->app && !node_app_of(node, request, drain->app))
        return;
    if (drain->finish || drain->end_sources)
        engine_feed_cancel(node->engine, drain->app);
    if (node_sources_open(node, drain->app)) {
        request->held_back = true;
        node->n_held_back++;
    } else {
        start_drain(node, request);
    }
}

/* Somebody reads the app's outputs or asks its instances. */
static bool is_asked(const struct node *node, const char *app)
{
    for (const struct request *other = node->requests; other; other = other->next) {
        const S4__Control__Request *message = other->message;
        const char *asked = NULL;
        if (message->what_case == S4__CONTROL__REQUEST__WHAT_QUERY)
            asked = message->query->app;
        else if (message->what_case == S4__CONTROL__REQUEST__WHAT_ASK)
            asked = message->ask->app;
        else if (message->what_case == S4__CONTROL__REQUEST__WHAT_COUNT)
            asked = message->count->app;
        else if (message->what_case == S4__CONTROL__REQUEST__WHAT_TAIL)
            asked = message->tail->app;
        if (asked && strcmp(asked, app) == 0)
            return true;
    }
    return false;
}

/* Batches that wait for memory stand for nothing once their app goes. */
static void drop_held_back(struct node *node, const char *app)
{
    for (struct request *request = node->requests, *next; request; request = next) {
        next = request->next;
        if (request->held_back &&
            request->message->what_case == S4__CONTROL__REQUEST__WHAT_INJECT &&
            strcmp(request->message->inject->app, app) == 0)
            request_fail(request, S4_NOT_FOUND, "the app '%s' is being undeployed", app);
    }
}

static void start_undeploy(struct node *node, struct request *request)
{
    if (node->member)
        cluster_node_undeploy(node, request);
    else
        node_jobs_push(&node->changes, request);
}

static void serve_undeploy(struct node *node, struct request *request)
{
    const char *name = request->message->undeploy->app;
    struct node_app *app = node_app_of(node, request, name);
    struct diag diag;
    if (!app)
        return;
    if (engine_hearers(node->engine, name, &request->detached, &diag) != S4_OK &&
        !request->message->undeploy->force) {
        request_fail(request, diag.code, "%s", diag.text);
        return;
    }
    app->closing = true;
    drop_held_back(node, name);
    if (is_asked(node, name)) {
        request->held_back = true;
        node->n_held_back++;
    } else {
        start_undeploy(node, request);
    }
}

static void serve_deploy(struct node *node, struct request *request)
{
    if (node->stop != NODE_RUNS)
        request_fail(request, S4_STATE, "the node is stopping");
    else
        node_jobs_push(&node->changes, request);
}

/* Stays under way until the node has ended. */
static void serve_stop(struct node *node, struct request *request)
{
    if (request->message->stop->now) {
        node->stop = NODE_ENDED;
        node->at_once = true;
    } else if (node->stop == NODE_RUNS) {
        node->stop = NODE_LEAVES;
    }
}

static void release(struct node *node, struct request *request)
{
    request->held_back = false;
    node->n_held_back--;
}

void node_try_again(struct node *node)
{
    uint64_t now = clock_real.mono_us(&clock_real);
    for (struct request *request = node->requests, *next; request; request = next) {
        next = request->next;
        if (!request->held_back || now < request->retry_us)
            continue;
        switch (request->message->what_case) {
        case S4__CONTROL__REQUEST__WHAT_INJECT:
            node_inject_again(node, request);
            break;
        case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
            if (!is_asked(node, request->message->undeploy->app)) {
                release(node, request);
                start_undeploy(node, request);
            }
            break;
        case S4__CONTROL__REQUEST__WHAT_QUERY:
            release(node, request);
            serve_query(node, request);
            break;
        case S4__CONTROL__REQUEST__WHAT_ASK:
            release(node, request);
            serve_ask(node, request);
            break;
        case S4__CONTROL__REQUEST__WHAT_COUNT:
            release(node, request);
            serve_count(node, request);
            break;
        default:
            if (!node_sources_open(node, request->message->drain->app)) {
                release(node, request);
                start_drain(node, request);
            }
        }
    }
}

/* ---- requests ------------------------------------------------------------------------------ */

static void serve(struct node *node, struct request *request)
{
    if (cluster_node_awaits(node, request)) {
        request->in_cluster = request->waits_to_serve = true;
        return;
    }
    switch (request->message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_HELLO:
        reply_welcome(request);
        return;
    case S4__CONTROL__REQUEST__WHAT_DEPLOY:
        serve_deploy(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
        serve_undeploy(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_INJECT:
        if (node_app_of(node, request, request->message->inject->app))
            node_inject(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_QUERY:
        serve_query(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_ASK:
        serve_ask(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_COUNT:
        serve_count(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_GET_STATUS:
        serve_status(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_FETCH:
        node_jobs_push(&node->reads, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_AWAIT:
        cluster_node_await(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_DRAIN_NODE:
        cluster_node_drain(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_DRAIN:
        serve_drain(node, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_STOP:
        serve_stop(node, request);
        return;
    default:
        if (!node_tail_serve(node, request))
            request_fail(request, S4_UNSUPPORTED, "the node does not know this kind of request");
    }
}

void node_serve_again(struct node *node, struct request *request)
{
    serve(node, request);
}

/* The same request is under way: it was sent again. */
static bool is_repeat(struct node *node, zmq_msg_t *peer, uint64_t id)
{
    for (struct request *other = node->requests; other; other = other->next)
        if (other->message->id == id && zmq_msg_size(&other->peer) == zmq_msg_size(peer) &&
            memcmp(zmq_msg_data(&other->peer), zmq_msg_data(peer), zmq_msg_size(peer)) == 0) {
            other->told_us = 0; /* its client is told at once */
            return true;
        }
    return false;
}

static struct request *add_request(struct node *node, zmq_msg_t *peer,
                                   S4__Control__Request *message)
{
    struct request *request = mem_zalloc(sizeof *request);
    if (!request)
        return NULL;
    request->node = node;
    request->message = message;
    request->told_us = clock_real.mono_us(&clock_real);
    zmq_msg_init(&request->peer);
    zmq_msg_move(&request->peer, peer);
    request->prev = node->requests_last;
    if (node->requests_last)
        node->requests_last->next = request;
    else
        node->requests = request;
    node->requests_last = request;
    node->n_requests++;
    return request;
}

void node_serve(struct node *node, zmq_msg_t *peer, zmq_msg_t *part)
{
    S4__Control__Request *message;
    size_t size = zmq_msg_size(part);
    s4_status status = control_request_read(zmq_msg_data(part), size, &message);
    if (status != S4_OK) {
        log_write(&say_log, LOG_WARN, "a message of %zu bytes is no request: %s", size,
                  s4_status_text(status));
        return;
    }
    if (is_repeat(node, peer, message->id)) {
        control_request_destroy(message);
        return;
    }
    struct request *request = add_request(node, peer, message);
    if (!request) {
        control_request_destroy(message);
        log_write(&say_log, LOG_WARN, "a request is dropped: out of memory");
        return;
    }
    request->sender = node_keys_sender(part);
    if (message->version != CONTROL_VERSION)
        request_fail(request, S4_VERSION,
                     "the node (release %s) speaks version %d of the protocol, the client version "
                     "%u; use programs of one release",
                     S4_RELEASE, CONTROL_VERSION, message->version);
    else if (!node_keys_admit(node, &request->sender))
        request_fail(request, S4_PERMISSION, "your key was removed from the node's");
    else if (node->n_requests > NODE_REQUESTS_MAX)
        request_fail(request, S4_FULL, "%d requests are under way already", NODE_REQUESTS_MAX);
    else
        serve(node, request);
}
