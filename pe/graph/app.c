/* What is done with an app's table once it is known to be sound: its types, its numbers, its
 * parameters. */
#include "pe/graph/app.h"

#include "pe/graph/graph.h"
#include "runtime/base/mem.h"

size_t app_streams(const s4_app *app, const s4_stream *list[GRAPH_STREAMS_MAX + 1])
{
    size_t n = 0;
    for (uint32_t i = 0; i < app->n_streams && n <= GRAPH_STREAMS_MAX; i++)
        list[n++] = app->streams[i];
    for (uint32_t p = 0; p < app->n_prototypes; p++) {
        const s4_prototype *prototype = app->prototypes[p];
        for (uint32_t i = 0; i < prototype->n_subscriptions && n <= GRAPH_STREAMS_MAX; i++) {
            const s4_stream *stream = prototype->subscriptions[i].stream;
            size_t at = 0;
            while (at < n && list[at] != stream)
                at++;
            if (at == n)
                list[n++] = stream;
        }
    }
    return n;
}

/* ---- types --------------------------------------------------------------------------------- */

struct types {
    const ProtobufCMessageDescriptor **list;
    size_t count;
    size_t capacity;
    bool failed;
};

static void types_add(struct types *types, const ProtobufCMessageDescriptor *type)
{
    if (!type || types->failed)
        return;
    for (size_t i = 0; i < types->count; i++)
        if (types->list[i] == type)
            return;
    void *list = types->list;
    if (!mem_grow(&list, &types->capacity, types->count + 1, sizeof *types->list)) {
        types->failed = true;
        return;
    }
    types->list = list;
    types->list[types->count++] = type;
}

static void types_collect(struct types *types, const s4_app *app)
{
    const s4_stream *streams[GRAPH_STREAMS_MAX + 1];
    size_t n_streams = app_streams(app, streams);
    for (size_t i = 0; i < n_streams; i++)
        types_add(types, streams[i]->type);
    for (uint32_t i = 0; i < app->n_outputs; i++)
        types_add(types, app->outputs[i]->type);
    for (uint32_t i = 0; i < app->n_requests; i++) {
        types_add(types, app->requests[i]->question);
        types_add(types, app->requests[i]->answer);
    }
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        types_add(types, app->prototypes[i]->of->reply);
        types_add(types, app->prototypes[i]->of->state_type);
    }
}

s4_status app_schema(const s4_app *app, struct schema **schema, struct diag *diag)
{
    struct types types = { 0 };
    types_collect(&types, app);
    s4_status status = types.failed
                           ? diag_set(diag, S4_NO_MEMORY, "out of memory")
                           : schema_from_descriptors(types.list, types.count, schema, diag);
    mem_free(types.list);
    return status;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* Two engines of one process may number one linked app at once, always alike: relaxed and only
 * where it differs, so that a reader on another thread never meets a write. */
static void number_set(uint16_t *number, int index)
{
    uint16_t wanted = index < 0 ? UINT16_MAX : (uint16_t)index;
    if (__atomic_load_n(number, __ATOMIC_RELAXED) != wanted)
        __atomic_store_n(number, wanted, __ATOMIC_RELAXED);
}

void app_number(const s4_app *app, const S4__Graph__Graph *graph)
{
    const s4_stream *streams[GRAPH_STREAMS_MAX + 1];
    size_t n_streams = app_streams(app, streams);
    for (size_t i = 0; i < n_streams; i++)
        number_set(streams[i]->number, graph_find_stream(graph, streams[i]->name));
    for (uint32_t i = 0; i < app->n_outputs; i++)
        number_set(app->outputs[i]->number, graph_find_output(graph, app->outputs[i]->name));
    for (uint32_t i = 0; i < app->n_requests; i++)
        number_set(app->requests[i]->number, graph_find_request(graph, app->requests[i]->name));
}

/* ---- parameters ---------------------------------------------------------------------------- */

static void param_write(const s4_param *param, const S4__Graph__Parameter *value, char *at)
{
    switch (param->kind) {
    case S4_INTEGER:
        memcpy(at, value ? &value->integer : &param->integer, sizeof(int64_t));
        break;
    case S4_REAL:
        memcpy(at, value ? &value->real : &param->real, sizeof(double));
        break;
    case S4_FLAG: {
        bool flag = value ? value->flag : param->integer != 0;
        memcpy(at, &flag, sizeof flag);
        break;
    }
    default: {
        const char *text = value ? value->text : param->text;
        memcpy(at, &text, sizeof text);
    }
    }
}

static S4__Graph__Parameter__ValueCase value_case(const s4_param *param)
{
    switch (param->kind) {
    case S4_INTEGER:
        return S4__GRAPH__PARAMETER__VALUE_INTEGER;
    case S4_REAL:
        return S4__GRAPH__PARAMETER__VALUE_REAL;
    case S4_FLAG:
        return S4__GRAPH__PARAMETER__VALUE_FLAG;
    default:
        return S4__GRAPH__PARAMETER__VALUE_TEXT;
    }
}

static const S4__Graph__Parameter *value_find(const s4_param *param,
                                              S4__Graph__Parameter *const *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(values[i]->name, param->name) == 0 && values[i]->value_case == value_case(param))
            return values[i];
    return NULL;
}

s4_status app_params_create(const s4_param *params, uint32_t n, size_t size,
                            S4__Graph__Parameter *const *values, size_t n_values, void **memory)
{
    if (n == 0) {
        *memory = NULL;
        return S4_OK;
    }
    char *made = mem_zalloc(size);
    if (!made)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        param_write(&params[i], value_find(&params[i], values, n_values), made + params[i].offset);
    *memory = made;
    return S4_OK;
}
