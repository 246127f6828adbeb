/* The rules of a graph: those about types and keys that one table or another cannot show by itself,
 * and, since a bundle's graph is a stranger's bytes, everything that its readers take for granted.
 *
 * Order: names and numbers first; where an index is out of range, what hangs on it is left out.
 */
#include "pe/graph/check.h"

#include "pe/graph/check_parts.h"
#include "pe/graph/graph.h"
#include "pe/graph/names.h"
#include "runtime/base/utf8.h"

bool check_name(const struct graph_rules *rules, const char *what, const char *name)
{
    if (name_valid(name))
        return true;
    BAD(rules, S4_INVALID,
        "%s \"%.80s\": a name is a letter or _, then at most %d letters, digits or _", what, name,
        GRAPH_NAME_MAX - 1);
    return false;
}

const struct type *check_type(const struct graph_rules *rules, const char *what, const char *owner,
                              const char *name)
{
    const struct type *type = schema_find(rules->schema, name);
    if (!type)
        BAD(rules, S4_TYPE, "%s \"%s\": its type \"%.200s\" is unknown", what, owner, name);
    return type;
}

bool check_count(const struct graph_rules *rules, const char *what, size_t n, size_t max)
{
    if (n <= max)
        return true;
    BAD(rules, S4_RANGE, "the app has %zu %s; the limit is %zu", n, what, max);
    return false;
}

/* Text for people: valid, printable, of bounded length. */
static bool plain(const char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);
    if (len > max || utf8_valid(text, len) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

#define ROWS_RULE ": rows_max is from 1 to %u, bytes_max from 1 to %zu"

static bool rows_in_bounds(uint64_t rows, uint64_t bytes)
{
    return rows > 0 && rows <= ROWS_MAX && bytes > 0 && bytes <= ROWS_BYTES_MAX;
}

/* ---- the app ------------------------------------------------------------------------------- */

static void check_app(const struct graph_rules *rules)
{
    const S4__Graph__Graph *graph = rules->graph;
    check_name(rules, "the app", graph->app);
    if (!plain(graph->version, GRAPH_NAME_MAX) || graph->version[0] == '\0')
        BAD(rules, S4_INVALID, "the version is 1 to %d printable characters", GRAPH_NAME_MAX);
    if (!graph->library || !library_name_valid(graph->library))
        BAD(rules, S4_INVALID, "library \"%.80s\": its name is a file's, like \"words.so\"",
            graph->library ? graph->library : "");
    if (!graph->has_emits_max || graph->emits_max == 0 || graph->emits_max > EMITS_MAX)
        BAD(rules, S4_RANGE, "emits_max is from 1 to %u", EMITS_MAX);
    if (!graph->has_parked_after || graph->parked_after == 0)
        BAD(rules, S4_RANGE, "parked_after is at least 1");
    if (!graph->has_dead_rows_max || !graph->has_dead_bytes_max ||
        !rows_in_bounds(graph->dead_rows_max, graph->dead_bytes_max))
        BAD(rules, S4_RANGE, "dead_letters" ROWS_RULE, ROWS_MAX, ROWS_BYTES_MAX);
    if (!graph->source)
        BAD(rules, S4_MALFORMED, "the graph does not say whether the app has a source");
    if (graph->source && graph->source->present && graph->n_streams == 0)
        BAD(rules, S4_INVALID, "the app has a source and no stream");
    check_parameters(rules, "the app", graph->app, graph->parameters, graph->n_parameters);
}

static bool is_time(const struct field *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return field->label != PROTOBUF_C_LABEL_REPEATED;
    default:
        return false;
    }
}

static void check_clock_in(const struct graph_rules *rules, const S4__Graph__Stream *stream)
{
    const char *attribute = rules->graph->clock->attribute;
    const struct type *type = schema_find(rules->schema, stream->type);
    if (!type)
        return;
    const struct field *field = type_find(type, attribute);
    if (!field)
        BAD(rules, S4_NOT_FOUND, "clock: type %s of stream \"%s\" has no attribute \"%s\"%s",
            type->name, stream->name, attribute, attribute_hint(type, attribute).text);
    else if (!is_time(field))
        BAD(rules, S4_TYPE, "clock: attribute \"%s\" of %s is not a single int64 or uint64",
            attribute, type->name);
}

static void check_clock(const struct graph_rules *rules)
{
    const S4__Graph__Clock *clock = rules->graph->clock;
    if (!clock) {
        BAD(rules, S4_MALFORMED, "the graph has no clock");
    } else if (clock->kind == S4__GRAPH__CLOCK__KIND__EVENT) {
        if (!clock->attribute || !plain(clock->attribute, KEY_PATH_MAX) || !clock->has_unit_us ||
            clock->unit_us == 0 || clock->unit_us > 1000000) {
            BAD(rules, S4_INVALID, "an event clock has an attribute, and a unit of us, ms or s");
            return;
        }
        for (size_t i = 0; i < rules->graph->n_streams; i++)
            if (rules->graph->streams[i]->external)
                check_clock_in(rules, rules->graph->streams[i]);
    } else if (clock->kind != S4__GRAPH__CLOCK__KIND__PROCESSING) {
        BAD(rules, S4_MALFORMED, "the clock is of an unknown kind");
    }
}

/* ---- streams, outputs, requests ------------------------------------------------------------ */

/* What a stream hears of another app. Whether that has such a stream, of the same type, is seen
 * where both are deployed. */
static void check_from(const struct graph_rules *rules, const S4__Graph__Stream *stream)
{
    if (!stream->from_app && !stream->from_stream)
        return;
    if (!stream->from_app || !stream->from_stream) {
        BAD(rules, S4_MALFORMED, "stream \"%s\": where it is from is said by half", stream->name);
        return;
    }
    if (!check_name(rules, "from: the app", stream->from_app) ||
        !check_name(rules, "from: the stream", stream->from_stream))
        return;
    if (strcmp(stream->from_app, rules->graph->app) == 0)
        BAD(rules, S4_INVALID, "stream \"%s\" is from \"%s.%s\", of the app itself: %s",
            stream->name, stream->from_app, stream->from_stream,
            "subscribe to that stream instead");
    if (stream->has_external && !stream->external)
        BAD(rules, S4_INVALID, "stream \"%s\" is internal, and from \"%s.%s\": %s", stream->name,
            stream->from_app, stream->from_stream, "an internal stream takes nothing from outside");
}

static void check_streams(const struct graph_rules *rules)
{
    const S4__Graph__Graph *graph = rules->graph;
    for (size_t i = 0; i < graph->n_streams; i++) {
        const S4__Graph__Stream *stream = graph->streams[i];
        if (!check_name(rules, "stream", stream->name))
            continue;
        if (graph_find_stream(graph, stream->name) != (int)i)
            BAD(rules, S4_EXISTS, "two streams are named \"%s\"", stream->name);
        check_type(rules, "stream", stream->name, stream->type);
        check_from(rules, stream);
        if (!stream->has_full || !stream->has_external ||
            (stream->full != S4__GRAPH__STREAM__FULL__BLOCK &&
             stream->full != S4__GRAPH__STREAM__FULL__SHED))
            BAD(rules, S4_MALFORMED, "stream \"%s\": its policy is missing or unknown",
                stream->name);
    }
}

static void check_output(const struct graph_rules *rules, const S4__Graph__Output *output)
{
    const struct type *type = check_type(rules, "output", output->name, output->type);
    if (!output->has_rows_max || !output->has_bytes_max ||
        !rows_in_bounds(output->rows_max, output->bytes_max))
        BAD(rules, S4_RANGE, "output \"%s\"" ROWS_RULE, output->name, ROWS_MAX, ROWS_BYTES_MAX);
    if (!output->has_full || (output->full != S4__GRAPH__OUTPUT__FULL__REFUSE &&
                              output->full != S4__GRAPH__OUTPUT__FULL__DROP_OLDEST))
        BAD(rules, S4_MALFORMED, "output \"%s\": its policy is missing or unknown", output->name);
    if (output->kind == S4__GRAPH__OUTPUT__KIND__LOG) {
        if (output->n_key > 0)
            BAD(rules, S4_INVALID, "log \"%s\" has a key; only tables have one", output->name);
    } else if (output->kind == S4__GRAPH__OUTPUT__KIND__TABLE) {
        struct key_spec spec;
        char where[2 * GRAPH_NAME_MAX];
        snprintf(where, sizeof where, "table \"%s\"", output->name);
        if (type && check_key(rules, where, type, output->key, output->n_key, &spec) &&
            spec.repeated)
            BAD(rules, S4_TYPE,
                "table \"%s\": a row has one key; a repeated attribute gives several",
                output->name);
    } else {
        BAD(rules, S4_MALFORMED, "output \"%s\" is neither a table nor a log", output->name);
    }
}

static void check_outputs(const struct graph_rules *rules)
{
    const S4__Graph__Graph *graph = rules->graph;
    for (size_t i = 0; i < graph->n_outputs; i++) {
        const S4__Graph__Output *output = graph->outputs[i];
        if (!check_name(rules, "output", output->name))
            continue;
        if (graph_find_output(graph, output->name) != (int)i)
            BAD(rules, S4_EXISTS, "two outputs are named \"%s\"", output->name);
        if (strcmp(output->name, GRAPH_DEAD_LETTERS) == 0)
            BAD(rules, S4_EXISTS, "an output cannot be named \"%s\": every app has that log",
                output->name);
        check_output(rules, output);
    }
}

static void check_requests(const struct graph_rules *rules)
{
    const S4__Graph__Graph *graph = rules->graph;
    for (size_t i = 0; i < graph->n_requests; i++) {
        const S4__Graph__Request *request = graph->requests[i];
        if (!check_name(rules, "request", request->name))
            continue;
        if (graph_find_request(graph, request->name) != (int)i)
            BAD(rules, S4_EXISTS, "two requests are named \"%s\"", request->name);
        check_type(rules, "the question of request", request->name, request->question);
        check_type(rules, "the answer of request", request->name, request->answer);
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

s4_status graph_check(const S4__Graph__Graph *graph, const struct schema *schema,
                      struct problems *problems)
{
    const struct graph_rules whole = { graph, schema, problems };
    const struct graph_rules *rules = &whole;
    size_t before = problems->count + problems->dropped;
    bool counted = check_count(rules, "streams", graph->n_streams, GRAPH_STREAMS_MAX);
    counted &= check_count(rules, "pairs of stream and key", graph->n_pairs, GRAPH_PAIRS_MAX);
    counted &= check_count(rules, "prototypes", graph->n_prototypes, GRAPH_PROTOTYPES_MAX);
    counted &= check_count(rules, "outputs", graph->n_outputs, GRAPH_OUTPUTS_MAX);
    counted &= check_count(rules, "requests", graph->n_requests, GRAPH_REQUESTS_MAX);
    if (counted) {
        check_app(rules);
        check_streams(rules);
        check_clock(rules);
        check_outputs(rules);
        check_requests(rules);
        if (check_pairs(rules))
            check_prototypes(rules);
    }
    return problems->count + problems->dropped == before ? S4_OK : problems->first;
}
