/* s4 run: a bundle from its input to its rows, in one process. */
#include "apps/s4/command.h"
#include "apps/s4/crash.h"
#include "apps/s4/engine_flags.h"
#include "apps/s4/load.h"
#include "apps/s4/run_rows.h"
#include "apps/s4/say.h"
#include "pe/graph/graph.h"
#include "pe/graph/names.h"
#include "runtime/base/mem.h"

#define OUTPUTS_MAX (GRAPH_OUTPUTS_MAX + 1) /* the app's and dead_letters */

struct run {
    const char *path;
    const char *rejects_path;
    struct session_input inputs[SESSION_FEEDS_MAX];
    uint32_t n_inputs;
    struct run_output outputs[OUTPUTS_MAX];
    uint32_t n_outputs;
    enum input_format format;
    uint64_t for_us;
    bool json;
    bool stats;
    struct engine_options options;
};

enum { OPT_REJECTS = 0x100, OPT_FOR, OPT_STATS };

/* Cuts NAME=FILE in the argument itself. */
static char *cut_name(const struct argp_state *state, const char *option, char *arg)
{
    char *equals = strchr(arg, '=');
    if (equals && equals != arg && equals[1]) {
        *equals = '\0';
        return equals + 1;
    }
    command_usage(state, "--%s %s: wanted NAME=FILE", option, arg);
}

static void add_input(const struct argp_state *state, struct run *run, char *arg)
{
    if (run->n_inputs == SESSION_FEEDS_MAX)
        command_usage(state, "at most %d times --inject", SESSION_FEEDS_MAX);
    const char *path = cut_name(state, "inject", arg);
    run->inputs[run->n_inputs++] = (struct session_input){ .stream = arg, .path = path };
}

static void add_output(const struct argp_state *state, struct run *run, char *arg)
{
    if (run->n_outputs == OUTPUTS_MAX)
        command_usage(state, "at most %d times --output", OUTPUTS_MAX);
    const char *path = cut_name(state, "output", arg);
    run->outputs[run->n_outputs++] = (struct run_output){ .name = arg, .path = path };
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct run *run = state->input;
    switch (key) {
    case 'i':
        add_input(state, run, arg);
        return 0;
    case 'o':
        add_output(state, run, arg);
        return 0;
    case 'f':
        run->format = input_format_find(arg);
        if (run->format == INPUT_UNKNOWN)
            command_usage(state, "--format %s: wanted json, text or pb", arg);
        return 0;
    case OPT_REJECTS:
        run->rejects_path = arg;
        return 0;
    case OPT_FOR:
        run->for_us = command_duration_us(state, "for", arg);
        return 0;
    case OPT_STATS:
        run->stats = true;
        return 0;
    case 'j':
        run->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (run->path)
            command_usage(state, "'%s' is too much: one bundle at a time", arg);
        run->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (!run->path)
            command_usage(state, "no bundle is given");
        engine_flags_check(state, &run->options);
        return 0;
    default:
        return engine_flags_parse(key, arg, state, &run->options);
    }
}

/* ---- what is named has to be there --------------------------------------------------------- */

static int no_such(const char *what, const char *name, const struct name_nearest *nearest)
{
    say_error("the app has no %s '%s'%s", what, name, name_hint(nearest).text);
    return EXIT_NOT_FOUND;
}

static int check_stream(const S4__Graph__Graph *graph, const char *name)
{
    int index = graph_find_stream(graph, name);
    if (index >= 0 && graph->streams[index]->external)
        return EXIT_DONE;
    if (index >= 0) {
        say_error("the stream '%s' is internal: nothing can be injected into it", name);
        return EXIT_FAILED;
    }
    struct name_nearest nearest;
    name_nearest_init(&nearest, name);
    for (size_t i = 0; i < graph->n_streams; i++)
        name_nearest_try(&nearest, graph->streams[i]->name);
    return no_such("stream", name, &nearest);
}

static int check_output(const S4__Graph__Graph *graph, const char *name)
{
    if (graph_find_output(graph, name) >= 0 || strcmp(name, "dead_letters") == 0)
        return EXIT_DONE;
    struct name_nearest nearest;
    name_nearest_init(&nearest, name);
    for (size_t i = 0; i < graph->n_outputs; i++)
        name_nearest_try(&nearest, graph->outputs[i]->name);
    return no_such("output", name, &nearest);
}

static int check_names(const struct run *run, const S4__Graph__Graph *graph)
{
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        int code = check_stream(graph, run->inputs[i].stream);
        if (code != EXIT_DONE)
            return code;
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        int code = check_output(graph, run->outputs[i].name);
        if (code != EXIT_DONE)
            return code;
    }
    bool has_source = graph->source && graph->source->present;
    if (!run->n_inputs && !has_source && !run->for_us) {
        say_error("%s has no source of its own; give it input with --inject STREAM=FILE, or a time "
                  "with --for",
                  graph->app);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

/* ---- the run ------------------------------------------------------------------------------- */

static s4_status give_rows(const struct run *run, struct session *session, struct diag *diag)
{
    if (!run->n_outputs)
        return run_rows_print(session, run->json, diag);
    for (uint32_t i = 0; i < run->n_outputs; i++)
        TRY(run_rows_write(session, &run->outputs[i], diag));
    return S4_OK;
}

static int run_session(const struct run *run, struct session *session)
{
    int code = session_init(session);
    if (code == EXIT_DONE)
        code = session_start(session);
    if (code == EXIT_DONE)
        code = session_finish(session);
    if (code != EXIT_DONE && code != EXIT_FAILED)
        return code;
    if (code == EXIT_DONE) {
        struct diag diag = { 0 };
        if (give_rows(run, session, &diag) != S4_OK) {
            say_error("%s", diag.text);
            code = EXIT_FAILED;
        }
        run_stats(session, run->stats, run->json);
    }
    return code == EXIT_DONE && session_rejected(session) ? EXIT_REJECTED : code;
}

static int run_app(const struct run *run, struct bundle *bundle, struct plugin *plugin)
{
    struct session *session = mem_zalloc(sizeof *session);
    struct diag diag = { 0 };
    if (!session || rejects_open(&session->rejects, run->rejects_path, &diag) != S4_OK) {
        say_error("%s", session ? diag.text : "out of memory");
        mem_free(session);
        return EXIT_FAILED;
    }
    session->options = run->options;
    session->bundle = bundle;
    session->plugin = plugin;
    session->inputs = run->inputs;
    session->n_inputs = run->n_inputs;
    session->format = run->format;
    session->for_us = run->for_us;
    int code = run_session(run, session);
    session_fini(session);
    if (rejects_close(&session->rejects, &diag) != S4_OK) {
        say_error("%s", diag.text);
        code = EXIT_FAILED;
    }
    mem_free(session);
    return code;
}

int command_run(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "inject", 'i', "STREAM=FILE", 0,
          "Events for a stream; - is standard input; may be given again", 1 },
        { "format", 'f', "FORMAT", 0,
          "json (an object per line), text (a line fills the one string attribute), pb (messages "
          "after their lengths); default: by each file's name",
          1 },
        { "rejects", OPT_REJECTS, "FILE", 0, "Write every rejected line's number and why", 1 },
        { "output", 'o', "NAME=FILE", 0,
          "Write an output to a file instead of printing all: .pb messages, .txt a table, else "
          "JSON lines; - is standard output",
          2 },
        { "json", 'j', 0, 0, "Print rows and statistics as JSON lines", 2 },
        { "stats", OPT_STATS, 0, 0, "Print counters and the rate too", 2 },
        { "for", OPT_FOR, "TIME", 0, "End the input after so long (10s, 5m)", 3 },
        ENGINE_FLAGS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "BUNDLE",
        .doc = "Run a bundle in this process: take its input to the end, drain, print its outputs. "
               "SIGINT and SIGTERM end the input; a second one stops at once."
               "\vExample:\n  s4 run hello.s4r --inject lines=README.md --stats\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_REJECTED EXIT_TEXT_PAUSED EXIT_TEXT_NOT_FOUND EXIT_TEXT_BAD_BUNDLE
               ".",
    };
    static struct run run;
    command_parse(&argp, argc, argv, &run);
    struct bundle *bundle;
    struct plugin *plugin;
    int code = load_app(run.path, &bundle, &plugin);
    if (code != EXIT_DONE)
        return code;
    crash_install();
    code = check_names(&run, bundle->graph);
    if (code == EXIT_DONE)
        code = run_app(&run, bundle, plugin);
    plugin_release(plugin);
    bundle_release(bundle);
    return code;
}
