/* From the table to the graph message. The table passed app_check, so nothing here can be wrong but
 * memory; one flag remembers that it ran out, and the half-made message is freed whole.
 *
 * Pairs come in the order of streams, then prototypes, then subscriptions, and equal ones are one:
 * a record goes once to each key of a pair, and every prototype that hears the pair handles it.
 */
#include "pe/graph/app.h"
#include "pe/graph/graph.h"

#include "runtime/base/mem.h"

struct build {
    const s4_app *app;
    S4__Graph__Graph *graph;
    const s4_stream *streams[GRAPH_STREAMS_MAX + 1];
    bool failed;
};

static char *text_of(struct build *build, const char *text, size_t len)
{
    char *copy = mem_strndup(text, len);
    build->failed |= !copy;
    return copy;
}

static char *text(struct build *build, const char *text)
{
    return text_of(build, text, strlen(text));
}

/* An array of n pointers; NULL where n is 0 or memory is out. */
static void *list(struct build *build, size_t n)
{
    if (n == 0)
        return NULL;
    void *made = mem_calloc(n, sizeof(void *));
    build->failed |= !made;
    return made;
}

/* The next element of a list that has room, as protobuf-c inits it. */
#define ADD(array, count, init)                                                   \
    __extension__({                                                               \
        __typeof__((array)[0]) made_ = (array) ? mem_alloc(sizeof *made_) : NULL; \
        build->failed |= !made_;                                                  \
        if (made_) {                                                              \
            init(made_);                                                          \
            (array)[(count)++] = made_;                                           \
        }                                                                         \
        made_;                                                                    \
    })

#define SET(message, field, value_) ((message)->has_##field = true, (message)->field = (value_))

/* ---- keys ---------------------------------------------------------------------------------- */

static size_t parts_count(const char *key)
{
    size_t n = 1;
    for (const char *at = key; *at; at++)
        n += *at == ',';
    return n;
}

/* "user, page.id" -> { "user", "page.id" } */
static void key_split(struct build *build, const char *key, char ***parts, size_t *count)
{
    *parts = list(build, parts_count(key));
    if (!*parts)
        return;
    for (const char *at = key;;) {
        size_t len = strcspn(at, ",");
        size_t lead = strspn(at, " ");
        lead = size_min(lead, len);
        size_t used = len;
        while (used > lead && at[used - 1] == ' ')
            used--;
        (*parts)[*count] = text_of(build, at + lead, used - lead);
        (*count) += (*parts)[*count] != NULL;
        if (at[len] == '\0')
            return;
        at += len + 1;
    }
}

/* ---- streams, outputs, requests ------------------------------------------------------------ */

static void add_streams(struct build *build)
{
    S4__Graph__Graph *graph = build->graph;
    size_t n = app_streams(build->app, build->streams);
    graph->streams = list(build, n);
    for (size_t i = 0; i < n; i++) {
        S4__Graph__Stream *stream = ADD(graph->streams, graph->n_streams, s4__graph__stream__init);
        if (!stream)
            return;
        stream->name = text(build, build->streams[i]->name);
        stream->type = text(build, build->streams[i]->type->name);
        SET(stream, full, S4__GRAPH__STREAM__FULL__BLOCK);
        SET(stream, external, !build->streams[i]->internal);
    }
}

static void add_outputs(struct build *build)
{
    S4__Graph__Graph *graph = build->graph;
    graph->outputs = list(build, build->app->n_outputs);
    for (uint32_t i = 0; i < build->app->n_outputs; i++) {
        const s4_output *from = build->app->outputs[i];
        S4__Graph__Output *output = ADD(graph->outputs, graph->n_outputs, s4__graph__output__init);
        if (!output)
            return;
        output->name = text(build, from->name);
        output->type = text(build, from->type->name);
        output->kind = from->kind == S4_TABLE_KIND ? S4__GRAPH__OUTPUT__KIND__TABLE
                                                   : S4__GRAPH__OUTPUT__KIND__LOG;
        if (from->key)
            key_split(build, from->key, &output->key, &output->n_key);
        SET(output, rows_max, ROWS_DEFAULT);
        SET(output, bytes_max, ROWS_BYTES_DEFAULT);
        SET(output, full, S4__GRAPH__OUTPUT__FULL__REFUSE);
    }
}

static void add_requests(struct build *build)
{
    S4__Graph__Graph *graph = build->graph;
    graph->requests = list(build, build->app->n_requests);
    for (uint32_t i = 0; i < build->app->n_requests; i++) {
        S4__Graph__Request *request =
            ADD(graph->requests, graph->n_requests, s4__graph__request__init);
        if (!request)
            return;
        request->name = text(build, build->app->requests[i]->name);
        request->question = text(build, build->app->requests[i]->question->name);
        request->answer = text(build, build->app->requests[i]->answer->name);
    }
}

/* ---- prototypes ---------------------------------------------------------------------------- */

static void add_parameters(struct build *build, const s4_param *params, uint32_t n,
                           S4__Graph__Parameter ***array, size_t *count)
{
    *array = list(build, n);
    for (uint32_t i = 0; i < n; i++) {
        S4__Graph__Parameter *parameter = ADD(*array, *count, s4__graph__parameter__init);
        if (!parameter)
            return;
        parameter->name = text(build, params[i].name);
        switch (params[i].kind) {
        case S4_INTEGER:
            parameter->value_case = S4__GRAPH__PARAMETER__VALUE_INTEGER;
            parameter->integer = params[i].integer;
            break;
        case S4_REAL:
            parameter->value_case = S4__GRAPH__PARAMETER__VALUE_REAL;
            parameter->real = params[i].real;
            break;
        case S4_FLAG:
            parameter->value_case = S4__GRAPH__PARAMETER__VALUE_FLAG;
            parameter->flag = params[i].integer != 0;
            break;
        default:
            parameter->value_case = S4__GRAPH__PARAMETER__VALUE_TEXT;
            parameter->text = text(build, params[i].text ? params[i].text : "");
        }
    }
}

static void add_callbacks(struct build *build, const s4_class *class,
                          S4__Graph__Prototype *prototype)
{
    const struct {
        const char *name;
        bool there;
    } all[] = {
        { "create", class->create }, { "trigger", class->trigger }, { "timer", class->timer },
        { "output", class->output }, { "query", class->query },     { "remove", class->remove },
        { "save", class->save },     { "load", class->load },
    };
    prototype->callbacks = list(build, ARRAY_LEN(all));
    for (size_t i = 0; prototype->callbacks && i < ARRAY_LEN(all); i++) {
        if (!all[i].there)
            continue;
        char *name = text(build, all[i].name);
        if (name)
            prototype->callbacks[prototype->n_callbacks++] = name;
    }
}

static void add_answers(struct build *build, const s4_class *class, S4__Graph__Prototype *prototype)
{
    prototype->answers = list(build, class->n_answers);
    for (uint32_t i = 0; prototype->answers && i < class->n_answers; i++) {
        int at = graph_find_request(build->graph, class->answers[i].request->name);
        CHECK(at >= 0);
        prototype->answers[prototype->n_answers++] = (uint32_t)at;
    }
}

static void set_policies(const s4_prototype *from, S4__Graph__Prototype *to)
{
    const s4_policy *policy = &from->policy;
    SET(to, ttl_us, policy->ttl_us);
    SET(to, trigger_events, policy->trigger_events);
    SET(to, trigger_gap_us, policy->trigger_gap_us);
    SET(to, output_events, policy->output_events);
    SET(to, output_every_us, policy->output_every_us);
    SET(to, output_aligned, policy->output_aligned);
    SET(to, instances_max, from->singleton ? 1 : INSTANCES_DEFAULT);
    SET(to, instance_bytes_max, INSTANCE_BYTES_DEFAULT);
    SET(to, instances_full,
        from->singleton ? S4__GRAPH__PROTOTYPE__BOUND__REFUSE
                        : S4__GRAPH__PROTOTYPE__BOUND__REMOVE_OLDEST);
    SET(to, mailbox_max, MAILBOX_DEFAULT);
    SET(to, mailbox_bytes_max, MAILBOX_BYTES_DEFAULT);
    SET(to, mailbox_full, S4__GRAPH__PROTOTYPE__FULL__BLOCK);
    SET(to, budget, BUDGET_DEFAULT);
}

static S4__Graph__Prototype__State state_of(const s4_class *class)
{
    switch (class->state_kind) {
    case S4_FLAT:
        return S4__GRAPH__PROTOTYPE__STATE__FLAT;
    case S4_MESSAGE:
        return S4__GRAPH__PROTOTYPE__STATE__MESSAGE;
    default:
        return S4__GRAPH__PROTOTYPE__STATE__CUSTOM;
    }
}

static void add_prototypes(struct build *build)
{
    S4__Graph__Graph *graph = build->graph;
    graph->prototypes = list(build, build->app->n_prototypes);
    for (uint32_t i = 0; i < build->app->n_prototypes; i++) {
        const s4_prototype *from = build->app->prototypes[i];
        S4__Graph__Prototype *to =
            ADD(graph->prototypes, graph->n_prototypes, s4__graph__prototype__init);
        if (!to)
            return;
        to->name = text(build, from->name);
        to->class_ = text(build, from->of->name);
        to->state = state_of(from->of);
        to->state_size = from->of->state_size;
        if (from->of->state_type)
            to->state_type = text(build, from->of->state_type->name);
        if (from->of->reply)
            to->reply = text(build, from->of->reply->name);
        SET(to, singleton, from->singleton);
        set_policies(from, to);
        add_callbacks(build, from->of, to);
        add_answers(build, from->of, to);
        add_parameters(build, from->of->params, from->of->n_params, &to->parameters,
                       &to->n_parameters);
    }
}

/* ---- pairs and subscriptions --------------------------------------------------------------- */

static bool same_keys(const S4__Graph__Pair *a, const S4__Graph__Pair *b)
{
    bool same = a->n_key == b->n_key;
    for (size_t i = 0; same && i < a->n_key; i++)
        same = strcmp(a->key[i], b->key[i]) == 0;
    return same;
}

static bool same_pair(const S4__Graph__Pair *a, const S4__Graph__Pair *b)
{
    return a->stream == b->stream && a->kind == b->kind && a->has_prototype == b->has_prototype &&
           a->prototype == b->prototype && same_keys(a, b);
}

static S4__Graph__Pair *make_pair(struct build *build, uint32_t stream, uint32_t prototype,
                                  const s4_subscription *sub)
{
    S4__Graph__Pair *pair = mem_alloc(sizeof *pair);
    if (!pair) {
        build->failed = true;
        return NULL;
    }
    s4__graph__pair__init(pair);
    pair->stream = stream;
    if (build->app->prototypes[prototype]->singleton && sub->kind == S4_KEYLESS) {
        pair->kind = S4__GRAPH__PAIR__KIND__SINGLETON;
        SET(pair, prototype, prototype);
    } else if (sub->kind == S4_KEYED) {
        pair->kind = S4__GRAPH__PAIR__KIND__KEYED;
        key_split(build, sub->key, &pair->key, &pair->n_key);
    } else {
        pair->kind = sub->kind == S4_KEYLESS ? S4__GRAPH__PAIR__KIND__KEYLESS
                                             : S4__GRAPH__PAIR__KIND__BROADCAST;
    }
    return pair;
}

/* Consumes the pair; its number. */
static uint32_t place_pair(struct build *build, S4__Graph__Pair *pair)
{
    S4__Graph__Graph *graph = build->graph;
    for (size_t i = 0; i < graph->n_pairs; i++)
        if (same_pair(graph->pairs[i], pair)) {
            s4__graph__pair__free_unpacked(pair, NULL);
            return (uint32_t)i;
        }
    graph->pairs[graph->n_pairs++] = pair;
    return (uint32_t)(graph->n_pairs - 1);
}

static void add_pairs_of(struct build *build, uint32_t stream, uint32_t prototype)
{
    const s4_prototype *from = build->app->prototypes[prototype];
    S4__Graph__Prototype *to = build->graph->prototypes[prototype];
    for (uint32_t i = 0; i < from->n_subscriptions && !build->failed; i++) {
        const s4_subscription *sub = &from->subscriptions[i];
        if (sub->stream != build->streams[stream])
            continue;
        S4__Graph__Pair *pair = make_pair(build, stream, prototype, sub);
        if (!pair)
            return;
        uint32_t number = place_pair(build, pair);
        S4__Graph__Subscription *made =
            ADD(to->subscriptions, to->n_subscriptions, s4__graph__subscription__init);
        if (!made)
            return;
        made->pair = number;
        made->handler = text(build, sub->handler ? sub->handler : "");
    }
}

static void add_pairs(struct build *build)
{
    S4__Graph__Graph *graph = build->graph;
    size_t most = 0;
    for (uint32_t p = 0; p < build->app->n_prototypes && !build->failed; p++) {
        uint32_t n = build->app->prototypes[p]->n_subscriptions;
        graph->prototypes[p]->subscriptions = list(build, n);
        most += n;
    }
    graph->pairs = list(build, most);
    for (uint32_t s = 0; s < graph->n_streams && !build->failed; s++)
        for (uint32_t p = 0; p < build->app->n_prototypes && !build->failed; p++)
            add_pairs_of(build, s, p);
}

/* ---- the app ------------------------------------------------------------------------------- */

static char *library_of(struct build *build)
{
    char name[GRAPH_NAME_MAX + 8];
    snprintf(name, sizeof name, "%s.so", build->app->name);
    return text(build, name);
}

static void set_app(struct build *build)
{
    S4__Graph__Graph *graph = build->graph;
    graph->app = text(build, build->app->name);
    graph->version = text(build, "0");
    graph->library = library_of(build);
    graph->clock = mem_alloc(sizeof *graph->clock);
    graph->source = mem_alloc(sizeof *graph->source);
    build->failed |= !graph->clock || !graph->source;
    if (graph->clock) {
        s4__graph__clock__init(graph->clock);
        graph->clock->kind = S4__GRAPH__CLOCK__KIND__PROCESSING;
    }
    if (graph->source) {
        s4__graph__source__init(graph->source);
        graph->source->present = build->app->source != NULL;
    }
    SET(graph, emits_max, EMITS_DEFAULT);
    SET(graph, dead_rows_max, DEAD_ROWS_DEFAULT);
    SET(graph, dead_bytes_max, DEAD_BYTES_DEFAULT);
    SET(graph, parked_after, PARKED_AFTER_DEFAULT);
}

s4_status graph_from_app(const s4_app *app, S4__Graph__Graph **graph)
{
    struct build whole = { .app = app, .graph = mem_alloc(sizeof(S4__Graph__Graph)) };
    struct build *build = &whole;
    if (!build->graph)
        return S4_NO_MEMORY;
    s4__graph__graph__init(build->graph);
    set_app(build);
    add_streams(build);
    add_outputs(build);
    add_requests(build);
    if (!build->failed)
        add_prototypes(build);
    if (!build->failed)
        add_pairs(build);
    if (!build->failed)
        add_parameters(build, app->params, app->n_params, &build->graph->parameters,
                       &build->graph->n_parameters);
    if (build->failed) {
        graph_destroy(build->graph);
        return S4_NO_MEMORY;
    }
    *graph = build->graph;
    return S4_OK;
}
