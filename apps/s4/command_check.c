/* s4 check: everything that a deployment checks, without one. */
#include "apps/s4/command.h"
#include "apps/s4/load.h"
#include "apps/s4/say.h"

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
        .parser = command_subject_only,
        .args_doc = "BUNDLE",
        .doc = "Say whether a bundle could be deployed: opens it, checks its graph, and loads its "
               "code in a process of its own. All that is wrong is told at once."
               "\vExample:\n  s4 check hello.s4r\n\n" EXIT_TEXT_USUAL EXIT_TEXT_BAD_BUNDLE ".",
    };
    struct command_subject subject = { .what = "bundle" };
    command_parse(&argp, argc, argv, &subject);
    struct bundle *bundle;
    struct plugin *plugin;
    struct problems problems;
    problems_init(&problems);
    int code = load_try(subject.name, &bundle, &plugin, &problems);
    if (code != EXIT_DONE) {
        say_problems(subject.name, &problems);
        if (subject.json)
            print_problems(subject.name, &problems);
        problems_fini(&problems);
        return code;
    }
    problems_fini(&problems);
    if (subject.json)
        print_fine(bundle);
    else
        say_printf("%s %s: fine\n", bundle->graph->app, bundle->graph->version);
    plugin_release(plugin);
    bundle_release(bundle);
    return EXIT_DONE;
}
