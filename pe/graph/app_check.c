/* The checks of an app's table, most of which the macros of define.h make impossible to fail. They
 * are for tables written by hand, by other compilers and other languages, and for what macros
 * cannot see: names, limits, callbacks that do not fit each other.
 *
 * First the table's own shape: where a list cannot be walked, nothing behind it is looked at. Then
 * every part on its own, so that one run tells all. What the graph message can show as well is left
 * to check.c.
 */
#include "pe/graph/app.h"

#include "pe/graph/names.h"

struct check {
    const s4_app *app;
    struct problems *problems;
};

#define BAD(code, ...) (void)problems_add(check->problems, code, __VA_ARGS__)

/* ---- names and types ----------------------------------------------------------------------- */

static bool good_name(struct check *check, const char *what, const char *name)
{
    if (name_valid(name))
        return true;
    if (name)
        BAD(S4_INVALID,
            "%s \"%.80s\": a name is a letter or _, then at most %d letters, digits or _", what,
            name, GRAPH_NAME_MAX - 1);
    else
        BAD(S4_INVALID, "%s has no name", what);
    return false;
}

static bool good_type(struct check *check, const char *what, const char *name,
                      const ProtobufCMessageDescriptor *type)
{
    if (type && type->magic == PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC && type->name)
        return true;
    BAD(S4_TYPE, "%s \"%s\": its type is unknown; give the descriptor of a protobuf message", what,
        name);
    return false;
}

static bool same_type(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b)
{
    return a == b || (a && b && a->name && b->name && strcmp(a->name, b->name) == 0);
}

/* ---- streams, outputs, requests ------------------------------------------------------------ */

static bool check_stream(struct check *check, const s4_stream *stream)
{
    if (!good_name(check, "a stream", stream->name))
        return false;
    if (!stream->number)
        BAD(S4_INVALID, "stream \"%s\" has no place for its number", stream->name);
    return good_type(check, "stream", stream->name, stream->type);
}

static void check_streams(struct check *check)
{
    const s4_stream *list[GRAPH_STREAMS_MAX + 1];
    size_t n = app_streams(check->app, list);
    if (n > GRAPH_STREAMS_MAX) {
        BAD(S4_RANGE, "the app has more than %d streams", GRAPH_STREAMS_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        check_stream(check, list[i]);
        for (size_t k = 0; k < i; k++)
            if (list[i]->name && list[k]->name && strcmp(list[i]->name, list[k]->name) == 0)
                BAD(S4_EXISTS, "two streams are named \"%s\"", list[i]->name);
    }
}

static void check_output(struct check *check, const s4_output *output)
{
    if (!good_name(check, "an output", output->name))
        return;
    if (!output->number)
        BAD(S4_INVALID, "output \"%s\" has no place for its number", output->name);
    good_type(check, "output", output->name, output->type);
    if (output->kind != S4_TABLE_KIND && output->kind != S4_LOG_KIND)
        BAD(S4_INVALID, "output \"%s\" is neither a table nor a log", output->name);
    else if (output->kind == S4_TABLE_KIND && !output->key)
        BAD(S4_INVALID, "table \"%s\" has no key", output->name);
    else if (output->kind == S4_LOG_KIND && output->key)
        BAD(S4_INVALID, "log \"%s\" has a key; only tables have one", output->name);
}

static void check_outputs(struct check *check)
{
    const s4_output *const *list = check->app->outputs;
    for (uint32_t i = 0; i < check->app->n_outputs; i++) {
        check_output(check, list[i]);
        for (uint32_t k = 0; k < i; k++)
            if (list[i]->name && list[k]->name && strcmp(list[i]->name, list[k]->name) == 0)
                BAD(S4_EXISTS, "two outputs are named \"%s\"", list[i]->name);
    }
}

static void check_requests(struct check *check)
{
    const s4_request *const *list = check->app->requests;
    for (uint32_t i = 0; i < check->app->n_requests; i++) {
        const s4_request *request = list[i];
        if (!good_name(check, "a request", request->name))
            continue;
        for (uint32_t k = 0; k < i; k++)
            if (list[k]->name && strcmp(request->name, list[k]->name) == 0)
                BAD(S4_EXISTS, "two requests are named \"%s\"", request->name);
        if (!request->number)
            BAD(S4_INVALID, "request \"%s\" has no place for its number", request->name);
        if (!request->run)
            BAD(S4_INVALID, "request \"%s\" has no function to run", request->name);
        good_type(check, "the question of request", request->name, request->question);
        good_type(check, "the answer of request", request->name, request->answer);
    }
}

/* ---- parameters ---------------------------------------------------------------------------- */

static size_t param_size(uint8_t kind)
{
    return kind == S4_FLAG ? sizeof(bool) : 8;
}

static void check_params(struct check *check, const char *what, const char *owner,
                         const s4_param *params, uint32_t n, uint32_t size)
{
    if (n > GRAPH_PARAMETERS_MAX) {
        BAD(S4_RANGE, "%s \"%s\" has %u parameters; the limit is %d", what, owner, n,
            GRAPH_PARAMETERS_MAX);
        return;
    }
    if (n > 0 && !params) {
        BAD(S4_INVALID, "%s \"%s\": its list of parameters is missing", what, owner);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const s4_param *param = &params[i];
        if (!good_name(check, "a parameter", param->name))
            continue;
        for (uint32_t k = 0; k < i; k++)
            if (params[k].name && strcmp(params[k].name, param->name) == 0)
                BAD(S4_EXISTS, "%s \"%s\": two parameters are named \"%s\"", what, owner,
                    param->name);
        if (param->kind < S4_INTEGER || param->kind > S4_TEXT)
            BAD(S4_INVALID, "%s \"%s\": parameter \"%s\" is of an unknown kind", what, owner,
                param->name);
        else if (param->offset > size || size - param->offset < param_size(param->kind))
            BAD(S4_RANGE, "%s \"%s\": parameter \"%s\" lies outside of its struct", what, owner,
                param->name);
        else if (param->kind == S4_TEXT && param->text && strlen(param->text) > GRAPH_TEXT_MAX)
            BAD(S4_RANGE, "%s \"%s\": the text of parameter \"%s\" is longer than %zu bytes", what,
                owner, param->name, GRAPH_TEXT_MAX);
    }
}

/* ---- classes ------------------------------------------------------------------------------- */

static void check_state(struct check *check, const s4_class *class)
{
    if (class->state_size > GRAPH_STATE_MAX)
        BAD(S4_RANGE, "class \"%s\": its state has %u bytes; the limit is %zu", class->name,
            class->state_size, GRAPH_STATE_MAX);
    if (class->state_kind < S4_FLAT || class->state_kind > S4_CUSTOM) {
        BAD(S4_INVALID, "class \"%s\": its state is neither flat, message nor custom", class->name);
        return;
    }
    if (class->state_kind == S4_CUSTOM && (!class->save || !class->load))
        BAD(S4_INVALID, "class \"%s\": a custom state needs both save and load; %s is missing",
            class->name,
            class->save   ? "load"
            : class->load ? "save"
                          : "each of them");
    if (class->state_kind != S4_CUSTOM && (class->save || class->load))
        BAD(S4_INVALID, "class \"%s\": a %s state is saved by the host; save and load are for %s",
            class->name, class->state_kind == S4_FLAT ? "flat" : "message", "custom ones");
    if (class->state_kind != S4_MESSAGE) {
        if (class->state_type)
            BAD(S4_INVALID, "class \"%s\": a state_type is for message states", class->name);
        return;
    }
    if (good_type(check, "the state of class", class->name, class->state_type) &&
        class->state_type->sizeof_message != class->state_size)
        BAD(S4_INVALID, "class \"%s\": its state has %u bytes, but %s has %zu", class->name,
            class->state_size, class->state_type->name, class->state_type->sizeof_message);
}

static bool listed(const s4_app *app, const s4_request *request)
{
    for (uint32_t i = 0; i < app->n_requests; i++)
        if (app->requests[i] == request)
            return true;
    return false;
}

static void check_answers(struct check *check, const s4_class *class)
{
    if (class->n_answers > GRAPH_REQUESTS_MAX || (class->n_answers > 0 && !class->answers)) {
        BAD(S4_RANGE, "class \"%s\": its list of answers is missing or longer than %d", class->name,
            GRAPH_REQUESTS_MAX);
        return;
    }
    for (uint32_t i = 0; i < class->n_answers; i++) {
        const s4_answer_handler *answer = &class->answers[i];
        if (!answer->request || !listed(check->app, answer->request)) {
            BAD(S4_NOT_FOUND,
                "class \"%s\" takes the answers of a request that the app does not list",
                class->name);
            continue;
        }
        if (!answer->on_answer)
            BAD(S4_INVALID, "class \"%s\" has no handler for the answers to \"%s\"", class->name,
                answer->request->name ? answer->request->name : "");
        for (uint32_t k = 0; k < i; k++)
            if (class->answers[k].request == answer->request)
                BAD(S4_EXISTS, "class \"%s\" takes the answers to one request twice", class->name);
    }
}

static void check_class(struct check *check, const s4_class *class)
{
    if (class->size < sizeof(s4_class)) {
        BAD(S4_VERSION, "a class's table has %u bytes; this node's version wants %zu", class->size,
            sizeof(s4_class));
        return;
    }
    if (!good_name(check, "a class", class->name))
        return;
    if (class->merge)
        BAD(S4_UNSUPPORTED, "class \"%s\": this version does not serve the callback merge",
            class->name);
    if (class->migrate)
        BAD(S4_UNSUPPORTED, "class \"%s\": this version does not serve the callback migrate",
            class->name);
    if (class->query && !class->reply)
        BAD(S4_INVALID, "class \"%s\" has a query callback and no reply type", class->name);
    else if (class->reply && !class->query)
        BAD(S4_INVALID, "class \"%s\" has a reply type and no query callback", class->name);
    else if (class->reply)
        good_type(check, "the reply of class", class->name, class->reply);
    check_state(check, class);
    check_answers(check, class);
    check_params(check, "class", class->name, class->params, class->n_params, class->params_size);
}

/* ---- prototypes ---------------------------------------------------------------------------- */

static void check_subscription(struct check *check, const s4_prototype *prototype,
                               const s4_subscription *sub)
{
    const char *stream = sub->stream->name ? sub->stream->name : "";
    if (sub->kind < S4_KEYED || sub->kind > S4_BROADCAST)
        BAD(S4_INVALID, "prototype \"%s\" hears stream \"%s\" in an unknown way", prototype->name,
            stream);
    else if (sub->kind == S4_KEYED && !sub->key)
        BAD(S4_INVALID, "prototype \"%s\" hears stream \"%s\" by key, but no key is given",
            prototype->name, stream);
    else if (sub->kind != S4_KEYED && sub->key)
        BAD(S4_INVALID, "prototype \"%s\" hears stream \"%s\" without a key, but one is given",
            prototype->name, stream);
    if (!sub->on_event)
        BAD(S4_INVALID, "prototype \"%s\" has no handler for stream \"%s\"", prototype->name,
            stream);
    if (sub->type && sub->stream->type && !same_type(sub->type, sub->stream->type))
        BAD(S4_TYPE, "prototype \"%s\": the handler %s takes %s, but stream \"%s\" carries %s",
            prototype->name, sub->handler ? sub->handler : "without a name",
            sub->type->name ? sub->type->name : "an unknown type", stream,
            sub->stream->type->name ? sub->stream->type->name : "an unknown type");
}

static bool class_seen(const s4_app *app, uint32_t before)
{
    for (uint32_t i = 0; i < before; i++)
        if (app->prototypes[i]->of == app->prototypes[before]->of)
            return true;
    return false;
}

static void check_prototypes(struct check *check)
{
    const s4_prototype *const *list = check->app->prototypes;
    for (uint32_t i = 0; i < check->app->n_prototypes; i++) {
        const s4_prototype *prototype = list[i];
        if (!class_seen(check->app, i))
            check_class(check, prototype->of);
        if (!good_name(check, "a prototype", prototype->name))
            continue;
        for (uint32_t k = 0; k < i; k++)
            if (list[k]->name && strcmp(prototype->name, list[k]->name) == 0)
                BAD(S4_EXISTS, "two prototypes are named \"%s\"", prototype->name);
        for (uint32_t k = 0; k < prototype->n_subscriptions; k++)
            check_subscription(check, prototype, &prototype->subscriptions[k]);
    }
}

/* ---- the table's shape --------------------------------------------------------------------- */

static bool check_list(struct check *check, const char *what, const void *const *list, uint32_t n,
                       uint32_t max)
{
    if (n > max) {
        BAD(S4_RANGE, "the app has %u %s; the limit is %u", n, what, max);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!list || !list[i]) {
            BAD(S4_INVALID, "the app's list of %s has %u entries, and number %u is missing", what,
                n, i + 1);
            return false;
        }
    return true;
}

static bool check_prototype_shape(struct check *check, const s4_prototype *prototype)
{
    const char *name = prototype->name ? prototype->name : "";
    if (prototype->size < sizeof(s4_prototype)) {
        BAD(S4_VERSION, "a prototype's table has %u bytes; this node's version wants %zu",
            prototype->size, sizeof(s4_prototype));
        return false;
    }
    if (!prototype->of) {
        BAD(S4_INVALID, "prototype \"%s\" has no class", name);
        return false;
    }
    if (prototype->n_subscriptions > GRAPH_PAIRS_MAX ||
        (prototype->n_subscriptions > 0 && !prototype->subscriptions)) {
        BAD(S4_RANGE, "prototype \"%s\": its list of subscriptions is missing or longer than %d",
            name, GRAPH_PAIRS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < prototype->n_subscriptions; i++)
        if (!prototype->subscriptions[i].stream) {
            BAD(S4_INVALID, "prototype \"%s\": subscription number %u has no stream", name, i + 1);
            return false;
        }
    return true;
}

static bool check_shape(struct check *check)
{
    const s4_app *app = check->app;
    bool good = check_list(check, "streams", (const void *const *)app->streams, app->n_streams,
                           GRAPH_STREAMS_MAX);
    good &= check_list(check, "outputs", (const void *const *)app->outputs, app->n_outputs,
                       GRAPH_OUTPUTS_MAX);
    good &= check_list(check, "requests", (const void *const *)app->requests, app->n_requests,
                       GRAPH_REQUESTS_MAX);
    if (!check_list(check, "prototypes", (const void *const *)app->prototypes, app->n_prototypes,
                    GRAPH_PROTOTYPES_MAX))
        return false;
    for (uint32_t i = 0; i < app->n_prototypes; i++)
        good &= check_prototype_shape(check, app->prototypes[i]);
    return good;
}

s4_status app_check(const s4_app *app, struct problems *problems)
{
    struct check whole = { .app = app, .problems = problems };
    struct check *check = &whole;
    size_t before = problems->count + problems->dropped;
    if (app->size < sizeof(s4_app)) {
        BAD(S4_VERSION, "the app's table has %u bytes; this node's version wants %zu", app->size,
            sizeof(s4_app));
    } else if (good_name(check, "the app", app->name) && check_shape(check)) {
        check_streams(check);
        check_outputs(check);
        check_requests(check);
        check_prototypes(check);
        check_params(check, "app", app->name, app->params, app->n_params, app->params_size);
    }
    return problems->count + problems->dropped == before ? S4_OK : problems->first;
}
