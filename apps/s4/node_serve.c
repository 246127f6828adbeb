/* Requests of clients: read, looked at, and handed to whoever does them. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "apps/s4/node.h"
#include "apps/s4/say.h"
#include "pe/graph/graph.h"
#include "pe/graph/names.h"
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
    if (!graph->source || !graph->source->present)
        return;
    atomic_store(&app->source_open, true);
    if (engine_feed_source(node->engine, graph->app, source_ended, app, &diag) != S4_OK) {
        atomic_store(&app->source_open, false);
        alarms_raise(&node->alarms, graph->app, diag.text);
    }
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

static void reply_deployed(struct node *node, struct request *request)
{
    struct node_app *app = NULL;
    for (size_t i = 0; i < ENGINE_APPS_MAX && !app; i++)
        if (!node->apps[i].bundle)
            app = &node->apps[i];
    CHECK(app); /* the engine takes no more than ENGINE_APPS_MAX */
    app->node = node;
    app->closing = false;
    app->bundle = bundle_hold(request->bundle);
    start_source(node, app);
    S4__Control__Deployed deployed = S4__CONTROL__DEPLOYED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    deployed.app = app->bundle->graph->app;
    deployed.version = app->bundle->graph->version;
    deployed.build_id = app->bundle->elf.build_id;
    reply.what_case = S4__CONTROL__REPLY__WHAT_DEPLOYED;
    reply.deployed = &deployed;
    request_reply(request, &reply);
}

static void reply_undeployed(struct node *node, struct request *request)
{
    struct node_app *app = find_app(node, request->message->undeploy->app);
    if (app) {
        bundle_release(app->bundle);
        app->bundle = NULL;
    }
    S4__Control__Undeployed undeployed = S4__CONTROL__UNDEPLOYED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    undeployed.dropped = request->got.count;
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
    reply.what_case = S4__CONTROL__REPLY__WHAT_DRAINED;
    reply.drained = &drained;
    request_reply(request, &reply);
}

void node_finish(struct node *node, struct request *request)
{
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
        struct node_app *kept = request->message->what_case == S4__CONTROL__REQUEST__WHAT_UNDEPLOY
                                    ? find_app(node, request->message->undeploy->app)
                                    : NULL;
        if (kept)
            kept->closing = false;
        request_send(request);
        return;
    }
    switch (request->message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_DEPLOY:
        reply_deployed(node, request);
        break;
    case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
        reply_undeployed(node, request);
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

static void serve_query(struct node *node, struct request *request)
{
    const S4__Control__Query *query = request->message->query;
    struct diag diag = { 0 };
    struct node_app *app = node_app_of(node, request, query->app);
    if (!app)
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
    if (node_app_of(node, request, ask->app))
        unless_ok(
            request,
            engine_ask(node->engine, ask->app, ask->prototype, ask->key, answered, request, &diag),
            &diag);
}

static void serve_count(struct node *node, struct request *request)
{
    const S4__Control__Count *count = request->message->count;
    struct diag diag = { 0 };
    if (node_app_of(node, request, count->app))
        unless_ok(request,
                  engine_count(node->engine, count->app, count->prototype, counted, request, &diag),
                  &diag);
}

static void start_drain(struct node *node, struct request *request)
{
    const S4__Control__Drain *drain = request->message->drain;
    struct diag diag = { 0 };
    unless_ok(request,
              engine_drain(node->engine, drain->app, drain->finish, drained, request, &diag),
              &diag);
}

static void serve_drain(struct node *node, struct request *request)
{
    const S4__Control__Drain *drain = request->message->drain;
    if (drain->app && !node_app_of(node, request, drain->app))
        return;
    if (drain->finish)
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

static void serve_undeploy(struct node *node, struct request *request)
{
    const char *name = request->message->undeploy->app;
    struct node_app *app = node_app_of(node, request, name);
    if (!app)
        return;
    app->closing = true;
    drop_held_back(node, name);
    if (is_asked(node, name)) {
        request->held_back = true;
        node->n_held_back++;
    } else {
        node_jobs_push(&node->changes, request);
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
        node->stop = NODE_ENDS_SOURCES;
    }
}

static void release(struct node *node, struct request *request)
{
    request->held_back = false;
    node->n_held_back--;
}

void node_try_again(struct node *node)
{
    for (struct request *request = node->requests, *next; request; request = next) {
        next = request->next;
        if (!request->held_back)
            continue;
        switch (request->message->what_case) {
        case S4__CONTROL__REQUEST__WHAT_INJECT:
            node_inject_again(node, request);
            break;
        case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
            if (!is_asked(node, request->message->undeploy->app)) {
                release(node, request);
                node_jobs_push(&node->changes, request);
            }
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
        node_jobs_push(&node->reads, request);
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

void node_serve(struct node *node, zmq_msg_t *peer, const void *bytes, size_t size)
{
    S4__Control__Request *message;
    s4_status status = control_request_read(bytes, size, &message);
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
    if (message->version != CONTROL_VERSION)
        request_fail(request, S4_VERSION,
                     "the node (release %s) speaks version %d of the protocol, the client version "
                     "%u; use programs of one release",
                     S4_RELEASE, CONTROL_VERSION, message->version);
    else if (node->n_requests > NODE_REQUESTS_MAX)
        request_fail(request, S4_FULL, "%d requests are under way already", NODE_REQUESTS_MAX);
    else
        serve(node, request);
}
