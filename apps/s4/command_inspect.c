/* s4 inspect: what is in a bundle, from its graph and schema; nothing of it is loaded. */
#include <inttypes.h>

#include "apps/s4/command.h"
#include "apps/s4/load.h"
#include "apps/s4/say.h"
#include "pe/graph/graph.h"
#include "runtime/text/json.h"
#include "runtime/text/pb.h"

/* The graph is a message like any other: our own codec reads it and writes it as JSON. */
static s4_status graph_json(const S4__Graph__Graph *graph, struct buffer *out, struct diag *diag)
{
    const ProtobufCMessageDescriptor *types[] = { &s4__graph__graph__descriptor };
    struct schema *schema;
    TRY(schema_from_descriptors(types, 1, &schema, diag));
    const struct type *type = schema_find(schema, types[0]->name);
    struct buffer packed;
    struct writer writer;
    struct value value;
    buffer_init(&packed);
    writer_init(&writer);
    s4_status status = graph_pack(graph, &packed);
    if (status == S4_OK)
        status = pb_read(&writer, type, packed.data, packed.size, &value, diag);
    if (status == S4_OK)
        status = json_write(&value, out);
    writer_fini(&writer);
    buffer_fini(&packed);
    schema_destroy(schema);
    return status;
}

static int print_json(const struct bundle *bundle)
{
    struct buffer out;
    struct diag diag = { .text = "out of memory" };
    buffer_init(&out);
    s4_status status = graph_json(bundle->graph, &out, &diag);
    size_t files_size;
    size_t files = bundle_files(bundle, &files_size);
    if (status == S4_OK)
        say_printf("{\"graph\":%.*s,\"build_id\":\"%s\",\"abi\":\"%u.%u\",\"library_size\":%zu,"
                   "\"files\":%zu,\"files_size\":%zu,\"graph_hash\":\"%016" PRIx64
                   "\",\"content_hash\":\"%016" PRIx64 "\"}\n",
                   (int)out.size, out.data, bundle->elf.build_id, bundle->elf.major,
                   bundle->elf.minor, bundle->library_size, files, files_size, bundle->graph_hash,
                   bundle->content_hash);
    else
        say_error("the graph cannot be shown: %s", diag.text);
    buffer_fini(&out);
    return exit_of(status);
}

static void print_key(char *const *key, size_t n)
{
    for (size_t i = 0; i < n; i++)
        say_printf("%s%s", i ? "," : "", key[i]);
}

static void print_subscription(const S4__Graph__Graph *graph,
                               const S4__Graph__Subscription *subscription)
{
    const S4__Graph__Pair *pair = graph->pairs[subscription->pair];
    say_printf("    %s ", graph->streams[pair->stream]->name);
    switch (pair->kind) {
    case S4__GRAPH__PAIR__KIND__KEYED:
        say_printf("by ");
        print_key(pair->key, pair->n_key);
        break;
    case S4__GRAPH__PAIR__KIND__KEYLESS:
        say_printf("keyless");
        break;
    case S4__GRAPH__PAIR__KIND__BROADCAST:
        say_printf("to all");
        break;
    default:
        say_printf("to the one");
    }
    say_printf(" -> %s\n", subscription->handler);
}

static void print_parameter(const S4__Graph__Parameter *parameter)
{
    say_printf("    %s = ", parameter->name);
    switch (parameter->value_case) {
    case S4__GRAPH__PARAMETER__VALUE_INTEGER:
        say_printf("%" PRId64 "\n", parameter->integer);
        break;
    case S4__GRAPH__PARAMETER__VALUE_REAL:
        say_printf("%.17g\n", parameter->real);
        break;
    case S4__GRAPH__PARAMETER__VALUE_FLAG:
        say_printf("%s\n", parameter->flag ? "true" : "false");
        break;
    case S4__GRAPH__PARAMETER__VALUE_TEXT:
        say_json_string(parameter->text);
        say_printf("\n");
        break;
    default:
        say_printf("unset\n");
    }
}

static void print_policy(const char *name, uint64_t value, const char *unit)
{
    if (value)
        say_printf("    %s %" PRIu64 "%s\n", name, value, unit);
}

static void print_prototype(const S4__Graph__Graph *graph, const S4__Graph__Prototype *prototype)
{
    static const char *const kinds[] = { "?", "flat", "message", "custom" };
    say_printf("  %s: class %s, %s state of %u bytes%s\n", prototype->name, prototype->class_,
               kinds[prototype->state], prototype->state_size,
               prototype->singleton ? ", one instance" : "");
    for (size_t i = 0; i < prototype->n_subscriptions; i++)
        print_subscription(graph, prototype->subscriptions[i]);
    for (size_t i = 0; i < prototype->n_parameters; i++)
        print_parameter(prototype->parameters[i]);
    print_policy("ttl", prototype->ttl_us, "us");
    print_policy("trigger every", prototype->trigger_events, " events");
    print_policy("trigger after a gap of", prototype->trigger_gap_us, "us");
    print_policy("output every", prototype->output_events, " events");
    print_policy("output every", prototype->output_every_us, "us");
}

static void print_output(const S4__Graph__Output *output)
{
    bool table = output->kind == S4__GRAPH__OUTPUT__KIND__TABLE;
    say_printf("  %s: %s of %s", output->name, table ? "table" : "log", output->type);
    if (table) {
        say_printf(" by ");
        print_key(output->key, output->n_key);
    }
    say_printf(", at most %" PRIu64 " rows per partition, then %s\n", output->rows_max,
               output->full == S4__GRAPH__OUTPUT__FULL__DROP_OLDEST ? "the oldest goes"
                                                                    : "refuses");
}

static void print_text(const struct bundle *bundle)
{
    const S4__Graph__Graph *graph = bundle->graph;
    say_printf("%s %s\n", graph->app, graph->version);
    if (graph->clock && graph->clock->kind == S4__GRAPH__CLOCK__KIND__EVENT)
        say_printf("  runs by the time in %s\n", graph->clock->attribute);
    say_printf("  library %s, %zu bytes, ABI %u.%u, build id %s\n", graph->library,
               bundle->library_size, bundle->elf.major, bundle->elf.minor,
               bundle->elf.build_id[0] ? bundle->elf.build_id : "none");
    size_t files_size;
    size_t files = bundle_files(bundle, &files_size);
    if (files)
        say_printf("  files: %zu, %zu bytes\n", files, files_size);
    if (graph->source && graph->source->present)
        say_printf("  has a source of its own\n");
    say_printf("streams\n");
    for (size_t i = 0; i < graph->n_streams; i++) {
        const S4__Graph__Stream *stream = graph->streams[i];
        say_printf("  %s: %s%s%s", stream->name, stream->type,
                   stream->external ? ", may be injected" : "",
                   stream->full == S4__GRAPH__STREAM__FULL__SHED ? ", sheds when full" : "");
        if (stream->from_app)
            say_printf(", hears %s.%s", stream->from_app, stream->from_stream);
        say_printf("\n");
    }
    say_printf("prototypes\n");
    for (size_t i = 0; i < graph->n_prototypes; i++)
        print_prototype(graph, graph->prototypes[i]);
    say_printf("outputs\n");
    for (size_t i = 0; i < graph->n_outputs; i++)
        print_output(graph->outputs[i]);
    if (graph->n_requests)
        say_printf("requests\n");
    for (size_t i = 0; i < graph->n_requests; i++)
        say_printf("  %s: %s -> %s\n", graph->requests[i]->name, graph->requests[i]->question,
                   graph->requests[i]->answer);
}

int command_inspect(int argc, char **argv)
{
    static const struct argp_option options[] = { COMMAND_JSON, { 0 } };
    static const struct argp argp = {
        .options = options,
        .parser = command_subject_only,
        .args_doc = "BUNDLE",
        .doc = "Show what is in a bundle: streams, prototypes, outputs, policies. Nothing of its "
               "code is loaded."
               "\vExample:\n  s4 inspect hello.s4r\n\n" EXIT_TEXT_USUAL EXIT_TEXT_BAD_BUNDLE ".",
    };
    struct command_subject subject = { .what = "bundle" };
    command_parse(&argp, argc, argv, &subject);
    struct bundle *bundle;
    int code = load_bundle(subject.name, &bundle);
    if (code != EXIT_DONE)
        return code;
    if (subject.json)
        code = print_json(bundle);
    else
        print_text(bundle);
    bundle_release(bundle);
    return code;
}
