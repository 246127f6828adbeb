/* An app as it runs in a node: everything that a record or a call needs, looked up once from the
 * graph and the plugin's table when the app is deployed. Immutable afterwards.
 *
 * The graph (checked by bundle/) says what there is; the table says which code it is. Names connect
 * the two: prototypes and outputs by name, handlers by their place in the subscription list.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "pe/graph/app.h"
#include "pe/output/deadletter.h"

static char *join_names(char *const *names, size_t n)
{
    size_t size = 1;
    for (size_t i = 0; i < n; i++)
        size += strlen(names[i]) + 1;
    char *text = mem_alloc(size);
    if (!text)
        return NULL;
    char *at = text;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        if (i > 0)
            *at++ = ',';
        memcpy(at, names[i], len);
        at += len;
    }
    *at = '\0';
    return text;
}

static s4_status compile_key(const struct type *type, char *const *names, size_t n,
                             struct key_spec *spec, char **kept, struct diag *diag)
{
    char *text = join_names(names, n);
    if (!text)
        return S4_NO_MEMORY;
    s4_status status = key_spec_compile(type, text, spec, diag);
    if (kept && status == S4_OK)
        *kept = text;
    else
        mem_free(text);
    return status;
}

/* ---- streams and pairs --------------------------------------------------------------------- */

static const struct type *find_type(const struct host_app *app, const char *name,
                                    const ProtobufCMessageDescriptor *descriptor)
{
    /* Types come from the plugin's own descriptors: decoding writes their addresses into structs.
     */
    return schema_find(app->types, descriptor ? descriptor->name : name);
}

static s4_status make_stream(struct host_app *app, uint32_t i)
{
    const S4__Graph__Stream *stream = app->graph->streams[i];
    struct host_stream *s = &app->streams[i];
    s->name = stream->name;
    s->type = find_type(app, stream->type, NULL);
    s->internal = !stream->external;
    s->shed = stream->full == S4__GRAPH__STREAM__FULL__SHED;
    CHECK(s->type);
    if (app->event_time) {
        s->clock.field = type_find(s->type, app->graph->clock->attribute);
        s->clock.unit_us = app->graph->clock->unit_us;
    }
    return codec_create(s->type, &s->codec);
}

static uint8_t route_kind(const S4__Graph__Pair *pair)
{
    switch (pair->kind) {
    case S4__GRAPH__PAIR__KIND__KEYED:
        return ROUTE_KEYED;
    case S4__GRAPH__PAIR__KIND__BROADCAST:
        return ROUTE_BROADCAST;
    case S4__GRAPH__PAIR__KIND__SINGLETON:
        return ROUTE_SLOT;
    default:
        return ROUTE_KEYLESS;
    }
}

static s4_status make_pair(struct host_app *app, uint32_t i, struct diag *diag)
{
    const S4__Graph__Pair *pair = app->graph->pairs[i];
    struct host_pair *p = &app->pairs[i];
    struct host_stream *stream = &app->streams[pair->stream];
    p->stream = pair->stream;
    p->get = codec_get(stream->codec);
    p->route = (struct route){ .number = (uint16_t)i,
                               .kind = route_kind(pair),
                               .codec = stream->codec,
                               .put = codec_put(stream->codec) };
    p->route.spec.text_offset = FIELD_NONE;
    if (pair->kind == S4__GRAPH__PAIR__KIND__SINGLETON)
        p->route.slot = app->prototypes[pair->prototype].singleton_slot;
    if (pair->kind == S4__GRAPH__PAIR__KIND__KEYED)
        TRY(compile_key(stream->type, pair->key, pair->n_key, &p->route.spec, NULL, diag));
    route_init(&p->route);
    return S4_OK;
}

void host_app_simplify(struct host_app *app, uint32_t stream)
{
    const struct host_stream *s = &app->streams[stream];
    bool simple = s->n_routes == 1 && !app->event_time && !host_hearers(s);
    bool one = simple && s->routes[0]->kind == ROUTE_KEYED && s->routes[0]->spec.one;
    atomic_store_explicit(&app->emits[stream].descriptor, simple ? s->type->descriptor : NULL,
                          memory_order_relaxed);
    atomic_store_explicit(&app->source_emits[stream].descriptor, one ? s->type->descriptor : NULL,
                          memory_order_relaxed);
}

static s4_status list_routes(struct host_app *app, uint32_t i)
{
    struct host_stream *s = &app->streams[i];
    for (uint32_t p = 0; p < app->n_pairs; p++)
        s->n_routes += app->pairs[p].stream == i;
    s->routes = mem_calloc(s->n_routes, sizeof *s->routes);
    if (!s->routes)
        return S4_NO_MEMORY;
    uint32_t n = 0;
    for (uint32_t p = 0; p < app->n_pairs; p++)
        if (app->pairs[p].stream == i)
            s->routes[n++] = &app->pairs[p].route;
    if (s->n_routes == 1)
        app->emits[i].route = app->source_emits[i].route = s->routes[0];
    host_app_simplify(app, i);
    s->intake = (struct intake_stream){
        .type = s->type, .n_routes = s->n_routes, .routes = s->routes, .clock = &s->clock
    };
    return S4_OK;
}

/* ---- prototypes ---------------------------------------------------------------------------- */

static const s4_prototype *find_code(const s4_app *code, const char *name)
{
    for (uint32_t i = 0; i < code->n_prototypes; i++)
        if (strcmp(code->prototypes[i]->name, name) == 0)
            return code->prototypes[i];
    return NULL;
}

/* Room for a key in the entry: numbers have a fixed size, texts mostly are short. */
static uint32_t key_room(const struct host_prototype *prototype)
{
    if (!prototype->key)
        return 8;
    uint32_t room = 0;
    for (uint32_t i = 0; i < prototype->key->n_parts; i++)
        room += (prototype->key->parts[i].number ? 8 : 16) + (prototype->key->n_parts > 1 ? 2 : 0);
    return (uint32_t)align_up(room, 8);
}

static uint32_t extra_room(struct host_prototype *prototype, bool wanted)
{
    if (!wanted)
        return INSTANCE_NONE;
    uint32_t at = prototype->table.extra_size;
    prototype->table.extra_size += 8;
    return at;
}

static void lay_out(struct host_prototype *p, uint64_t instances_max)
{
    p->extra_trigger = extra_room(p, p->of->trigger && p->trigger_events);
    p->extra_gap = extra_room(p, p->of->trigger && p->trigger_gap_us);
    p->extra_output = extra_room(p, p->of->output && p->output_events);
    p->extra_heap = extra_room(p, p->of->state_kind != S4_FLAT);
    bool counts = p->budget < BUDGET_DEFAULT;
    p->extra_mailbox = extra_room(p, p->of->n_answers > 0 || counts);
    p->extra_turn = extra_room(p, counts);
    p->extra_life = extra_room(p, p->of->n_answers > 0);
    p->table.key_room = key_room(p);
    p->table.state_size = (uint32_t)align_up(p->of->state_size, 8);
    p->table.max = instances_max;
    p->dirty_flag = p->of->output ? INSTANCE_DIRTY : 0;
    p->before = p->ttl_ms != 0 || p->extra_gap != INSTANCE_NONE;
    p->after = p->extra_trigger != INSTANCE_NONE || p->extra_output != INSTANCE_NONE ||
               (p->of->output && p->output_every_us);
}

static s4_status make_answers(struct host_app *app, struct host_prototype *p)
{
    p->answers = mem_calloc(app->n_requests, sizeof *p->answers);
    if (!p->answers)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < p->of->n_answers; i++)
        p->answers[*p->of->answers[i].request->number] = (answer_fn *)p->of->answers[i].on_answer;
    return S4_OK;
}

static s4_status make_prototype(struct host_app *app, uint32_t i)
{
    const S4__Graph__Prototype *g = app->graph->prototypes[i];
    struct host_prototype *p = &app->prototypes[i];
    const s4_prototype *code = find_code(app->code, g->name);
    CHECK(code);
    p->number = i;
    p->name = g->name;
    p->of = code->of;
    p->singleton = g->singleton;
    p->ttl_ms = (g->ttl_us + 999) / 1000;
    p->trigger_events = g->trigger_events;
    p->trigger_gap_us = g->trigger_gap_us;
    p->output_events = g->output_events;
    p->output_every_us = g->output_every_us;
    p->output_aligned = g->output_aligned;
    p->bytes_max = g->instance_bytes_max;
    p->refuse = g->instances_full == S4__GRAPH__PROTOTYPE__BOUND__REFUSE;
    p->mailbox =
        (struct mailbox_limits){ .items_max = g->mailbox_max, .bytes_max = g->mailbox_bytes_max };
    p->mailbox_full = (uint32_t)g->mailbox_full;
    p->budget = g->budget;
    uint64_t where = hash_mix(hash_bytes(app->graph->app, strlen(app->graph->app)),
                              hash_bytes(p->name, strlen(p->name)));
    p->singleton_slot = slot_of_hash(where, app->engine->map.slots);
    TRY(app_params_create(p->of->params, p->of->n_params, p->of->params_size, g->parameters,
                          g->n_parameters, &p->params));
    if (p->of->query) {
        p->reply = find_type(app, NULL, p->of->reply);
        CHECK(p->reply);
        TRY(codec_create(p->reply, &p->reply_codec));
    }
    return make_answers(app, p);
}

static s4_status add_subscription(struct host_pair *pair, uint32_t prototype, event_fn *on_event)
{
    struct host_subscription *subs = mem_realloc(pair->subs, (pair->n_subs + 1) * sizeof *subs);
    if (!subs)
        return S4_NO_MEMORY;
    pair->subs = subs;
    subs[pair->n_subs++] =
        (struct host_subscription){ .prototype = prototype, .on_event = on_event };
    return S4_OK;
}

/* Connects pairs with the handlers that hear them, and prototypes with their keys. */
static s4_status connect(struct host_app *app)
{
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        const S4__Graph__Prototype *g = app->graph->prototypes[i];
        const s4_prototype *code = find_code(app->code, g->name);
        for (size_t s = 0; s < g->n_subscriptions; s++) {
            struct host_pair *pair = &app->pairs[g->subscriptions[s]->pair];
            TRY(add_subscription(pair, i, (event_fn *)code->subscriptions[s].on_event));
            if (pair->route.kind == ROUTE_KEYED && !app->prototypes[i].key)
                app->prototypes[i].key = &pair->route.spec;
        }
        lay_out(&app->prototypes[i], g->instances_max);
    }
    return S4_OK;
}

/* Which pairs' events need nothing but their one handler. */
static void find_fast(struct host_app *app)
{
    for (uint32_t i = 0; i < app->n_pairs; i++) {
        struct host_pair *pair = &app->pairs[i];
        pair->plain = codec_type(pair->route.codec)->flat;
        if (pair->n_subs != 1 || pair->route.kind == ROUTE_BROADCAST || app->event_time)
            continue;
        const struct host_prototype *prototype = &app->prototypes[pair->subs[0].prototype];
        if (prototype->before || prototype->after || prototype->extra_turn != INSTANCE_NONE)
            continue;
        pair->stretch = host_stretch_of(pair->route.codec);
        pair->fast = pair->subs[0].on_event;
        pair->fast_prototype = prototype->number;
    }
}

/* ---- outputs and requests ------------------------------------------------------------------ */

static s4_status make_output(struct host_app *app, uint32_t i, struct diag *diag)
{
    const S4__Graph__Output *g = app->graph->outputs[i];
    struct host_output *o = &app->outputs[i];
    o->name = g->name;
    o->type = find_type(app, g->type, NULL);
    CHECK(o->type);
    o->table = g->kind == S4__GRAPH__OUTPUT__KIND__TABLE;
    o->limits = (struct output_limits){ .rows_max = g->rows_max,
                                        .bytes_max = g->bytes_max,
                                        .full = g->full == S4__GRAPH__OUTPUT__FULL__DROP_OLDEST
                                                    ? OUTPUT_DROP_OLDEST
                                                    : OUTPUT_REFUSE };
    TRY(codec_create(o->type, &o->codec));
    if (o->table)
        return compile_key(o->type, g->key, g->n_key, &o->key, &o->key_text, diag);
    return S4_OK;
}

static s4_status make_request(struct host_app *app, uint32_t i)
{
    struct host_request *r = &app->requests[i];
    r->request = app->code->requests[i];
    const struct type *question = find_type(app, NULL, r->request->question);
    const struct type *answer = find_type(app, NULL, r->request->answer);
    CHECK(question && answer);
    TRY(codec_create(question, &r->question));
    return codec_create(answer, &r->answer);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool allocate(struct host_app *app)
{
    app->n_streams = (uint32_t)app->graph->n_streams;
    app->n_pairs = (uint32_t)app->graph->n_pairs;
    app->n_prototypes = (uint32_t)app->graph->n_prototypes;
    app->n_outputs = (uint32_t)app->graph->n_outputs;
    app->n_requests = (uint32_t)app->graph->n_requests;
    app->streams = mem_calloc(app->n_streams, sizeof *app->streams);
    app->emits = mem_calloc(2 * (size_t)app->n_streams, sizeof *app->emits);
    app->pairs = mem_calloc(app->n_pairs, sizeof *app->pairs);
    app->prototypes = mem_calloc(app->n_prototypes, sizeof *app->prototypes);
    app->outputs = mem_calloc(app->n_outputs, sizeof *app->outputs);
    app->requests = mem_calloc(app->n_requests, sizeof *app->requests);
    app->partitions = mem_calloc(app->engine->map.slots, sizeof *app->partitions);
    app->bases = mem_calloc(app->engine->map.slots, sizeof(struct partition *));
    app->feed_links = mem_calloc(app->engine->map.slots, sizeof *app->feed_links);
    app->inject_links = mem_calloc(app->engine->map.slots, sizeof *app->inject_links);
    if (!app->emits)
        return false;
    app->source_emits = app->emits + app->n_streams;
    return app->streams && app->pairs && app->prototypes && app->outputs && app->requests &&
           app->partitions && app->bases && app->feed_links && app->inject_links;
}

static s4_status build(struct host_app *app, struct diag *diag)
{
    if (!allocate(app))
        return S4_NO_MEMORY;
    TRY(app_schema(app->code, &app->types, diag));
    app_number(app->code, app->graph);
    TRY(app_params_create(app->code->params, app->code->n_params, app->code->params_size,
                          app->graph->parameters, app->graph->n_parameters, &app->params));
    for (uint32_t i = 0; i < app->n_streams; i++)
        TRY(make_stream(app, i));
    for (uint32_t i = 0; i < app->n_requests; i++)
        TRY(make_request(app, i));
    for (uint32_t i = 0; i < app->n_prototypes; i++)
        TRY(make_prototype(app, i));
    for (uint32_t i = 0; i < app->n_pairs; i++)
        TRY(make_pair(app, i, diag));
    for (uint32_t i = 0; i < app->n_streams; i++)
        TRY(list_routes(app, i));
    for (uint32_t i = 0; i < app->n_outputs; i++)
        TRY(make_output(app, i, diag));
    TRY(connect(app));
    find_fast(app);
    return deadletter_type(&app->dead_schema, &app->dead_codec);
}

s4_status host_app_create(struct engine *engine, const struct bundle *bundle, struct plugin *plugin,
                          uint16_t number, struct host_app **app, struct diag *diag)
{
    struct host_app *a = mem_zalloc(sizeof *a);
    if (!a)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    a->engine = engine;
    a->number = number;
    host_followers_init(a);
    atomic_init(&a->holds, 1);
    a->bundle = bundle_hold(bundle);
    a->plugin = plugin_hold(plugin);
    a->code = plugin_app(plugin);
    a->graph = bundle->graph;
    a->event_time = a->graph->clock && a->graph->clock->kind == S4__GRAPH__CLOCK__KIND__EVENT;
    a->emits_max = a->graph->emits_max;
    a->parked_after = a->graph->parked_after;
    a->dead_limits = (struct output_limits){ .rows_max = a->graph->dead_rows_max,
                                             .bytes_max = a->graph->dead_bytes_max,
                                             .full = OUTPUT_DROP_OLDEST };
    s4_status status = build(a, diag);
    if (status != S4_OK) {
        host_app_destroy(a);
        return status == S4_NO_MEMORY ? diag_set(diag, status, "out of memory") : status;
    }
    *app = a;
    return S4_OK;
}

static void destroy_parts(struct host_app *app)
{
    for (uint32_t i = 0; i < app->n_streams && app->streams; i++) {
        codec_destroy(app->streams[i].codec);
        mem_free(app->streams[i].routes);
        mem_free(atomic_load(&app->streams[i].hearers));
    }
    for (uint32_t i = 0; i < app->n_pairs && app->pairs; i++)
        mem_free(app->pairs[i].subs);
    for (uint32_t i = 0; i < app->n_prototypes && app->prototypes; i++) {
        mem_free(app->prototypes[i].params);
        mem_free(app->prototypes[i].answers);
        codec_destroy(app->prototypes[i].reply_codec);
    }
    for (uint32_t i = 0; i < app->n_outputs && app->outputs; i++) {
        codec_destroy(app->outputs[i].codec);
        mem_free(app->outputs[i].key_text);
    }
    for (uint32_t i = 0; i < app->n_requests && app->requests; i++) {
        codec_destroy(app->requests[i].question);
        codec_destroy(app->requests[i].answer);
    }
}

void host_app_destroy(struct host_app *app)
{
    if (!app)
        return;
    host_log_end(app);
    for (uint32_t i = 0; app->partitions && i < app->engine->map.slots; i++)
        host_partition_destroy(host_partition_at(app, i));
    if (app->feed_emitter.open)
        emitter_fini(&app->feed_emitter);
    if (app->inject_emitter.open)
        emitter_fini(&app->inject_emitter);
    host_app_release(app);
}

void host_app_hold(struct host_app *app)
{
    atomic_fetch_add(&app->holds, 1);
}

void host_app_release(struct host_app *app)
{
    if (atomic_fetch_sub(&app->holds, 1) != 1)
        return;
    destroy_parts(app);
    mem_free(app->streams);
    mem_free(app->emits);
    mem_free(app->pairs);
    mem_free(app->prototypes);
    mem_free(app->outputs);
    mem_free(app->requests);
    mem_free(app->partitions);
    mem_free(app->bases);
    mem_free(app->feed_links);
    mem_free(app->inject_links);
    mem_free(app->params);
    schema_destroy(app->types);
    codec_destroy(app->dead_codec);
    schema_destroy(app->dead_schema);
    bundle_release(app->bundle);
    plugin_release(app->plugin);
    host_followers_fini(app);
    mem_free(app);
}

struct host_app *host_app_of(const struct engine *engine, uint16_t number)
{
    struct host_app *app =
        atomic_load_explicit(&engine->apps[number % ENGINE_APPS_MAX], memory_order_acquire);
    return app && app->number == number ? app : NULL;
}

struct host_app *host_app_find(const struct engine *engine, const char *name)
{
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = atomic_load_explicit(&engine->apps[i], memory_order_acquire);
        if (app && strcmp(app->graph->app, name) == 0)
            return app;
    }
    return NULL;
}

const struct host_output *host_output_find(const struct host_app *app, const char *name,
                                           uint32_t *number)
{
    for (uint32_t i = 0; i < app->n_outputs; i++) {
        if (strcmp(app->outputs[i].name, name) == 0) {
            *number = i;
            return &app->outputs[i];
        }
    }
    return NULL;
}

struct host_prototype *host_prototype_find(const struct host_app *app, const char *name)
{
    for (uint32_t i = 0; i < app->n_prototypes; i++)
        if (strcmp(app->prototypes[i].name, name) == 0)
            return &app->prototypes[i];
    return NULL;
}
