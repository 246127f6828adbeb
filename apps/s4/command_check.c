/* s4 check: everything that a deployment checks, without one. */
#include "apps/s4/command.h"
#include "apps/s4/load.h"
#include "apps/s4/say.h"

struct check {
    const char *path;
    bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct check *check = state->input;
    switch (key) {
    case 'j':
        check->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (check->path)
            command_usage(state, "'%s' is too much: one bundle at a time", arg);
        check->path = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        command_usage(state, "no bundle is given");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_fine(const struct bundle *bundle)
{
    say_printf("{\"ok\":true,\"app\":");
    say_json_string(bundle->graph->app);
    say_printf(",\"version\":");
    say_json_string(bundle->graph->version);
    say_printf(",\"build_id\":");
    say_json_string(bundle->elf.build_id);
    say_printf(",\"problems\":[],\"more\":0}\n");
}

static void print_problems(const char *path, const struct problems *problems)
{
    say_printf("{\"ok\":false,\"problems\":");
    say_json_problems(path, problems);
    say_printf(",\"more\":%zu}\n", problems->dropped);
}

int command_check(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "json", 'j', 0, 0, "Print a JSON object, with all problems", 0 }, { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "BUNDLE",
        .doc = "Say whether a bundle could be deployed: opens it, checks its graph, and loads its "
               "code in a process of its own. All that is wrong is told at once."
               "\vExample:\n  s4 check hello.s4r\n\n" EXIT_TEXT_USUAL EXIT_TEXT_BAD_BUNDLE ".",
    };
    struct check check = { 0 };
    command_parse(&argp, argc, argv, &check);
    struct bundle *bundle;
    struct plugin *plugin;
    struct problems problems;
    problems_init(&problems);
    int code = load_try(check.path, &bundle, &plugin, &problems);
    if (code != EXIT_DONE) {
        say_problems(check.path, &problems);
        if (check.json)
            print_problems(check.path, &problems);
        problems_fini(&problems);
        return code;
    }
    problems_fini(&problems);
    if (check.json)
        print_fine(bundle);
    else
        say_printf("%s %s: fine\n", bundle->graph->app, bundle->graph->version);
    plugin_release(plugin);
    bundle_release(bundle);
    return EXIT_DONE;
}
