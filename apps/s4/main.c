/* The program `s4`: finds the command and runs it. Each command is a file of its own,
 * command_NAME.c, and a line in the table below. */
#include <signal.h>
#include <stdio.h>

#include "apps/s4/command.h"
#include "apps/s4/say.h"
#include "pe/graph/names.h"
#include "pe/host/plugin.h"

const struct command commands[] = {
    { "run", "run a bundle to the end of its input, in this process", command_run },
    { "new", "make a small project to start from", command_new },
    { "pack", "make a bundle of a manifest and a shared object", command_pack },
    { "check", "say whether a bundle could be deployed", command_check },
    { "inspect", "show what is in a bundle", command_inspect },
    { "node", "run a node, until it is stopped", command_node },
    { "deploy", "deploy a bundle to a node", command_deploy },
    { "undeploy", "stop an app and take it from a node", command_undeploy },
    { "inject", "send events to a stream of an app", command_inject },
    { "query", "read an output, or ask an instance", command_query },
    { "tail", "follow an output", command_tail },
    { "status", "show what a node does", command_status },
    { "cluster", "create a cluster of nodes", command_cluster },
    { "drain", "wait until nothing is in flight", command_drain },
    { "stop", "drain a node and end it", command_stop },
    { "keygen", "make a key pair of a node or a client", command_keygen },
    { "help", "explain a command", command_help },
    { "version", "print the version", command_version },
    { NULL, NULL, NULL },
};

static void print_help(void)
{
    say_printf("Usage: s4 COMMAND [ARGUMENT...]\n\n"
               "s4 runs streams of events through Processing Elements written in C.\n\n");
    for (const struct command *command = commands; command->name; command++)
        say_printf("  %-10s %s\n", command->name, command->summary);
    say_printf(
        "\n`s4 COMMAND --help` explains a command, `man s4-COMMAND` more of it.\n\n"
        "Example:\n"
        "  s4 new app hello && cd hello && meson setup build && ninja -C build\n"
        "  s4 run build/hello.s4r --inject lines=README.md\n\n"
        "Environment:\n"
        "  S4_NODE   the node to talk to: a directory, ipc:///PATH or tcp://HOST:PORT\n"
        "  S4_KEYS   the directory of keys, for what is not on this machine\n"
        "  S4_LOG    info or debug: says more on stderr\n"
        "  NO_COLOR  no colours, no progress\n\n"
        "Exit codes:\n"
        "  0   done\n"
        "  1   failed, as the message says: a full disk, no permission, in use, out of time\n"
        "  2   wrong usage: an unknown command or option, an argument that makes no sense\n"
        "  3   some of the input could not be read; the rest was taken\n"
        "  4   an app is paused at the hard memory mark\n"
        "  5   no such app, stream, output, column, prototype or key\n"
        "  6   a bundle, manifest or plugin is refused\n"
        "  69  no node answers, or it did not acknowledge everything\n");
}

static const struct command *find_command(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    struct name_nearest nearest;
    name_nearest_init(&nearest, name);
    for (const struct command *command = commands; command->name; command++)
        name_nearest_try(&nearest, command->name);
    if (nearest.best)
        say_error("unknown command '%s'; did you mean '%s'?", name, nearest.best);
    else
        say_error("unknown command '%s'; `s4 --help` lists what there is", name);
    return NULL;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    static char name[32];
    snprintf(name, sizeof name, "s4 %s", command->name);
    say_command(command->name);
    argv[0] = name;
    int code = command->run(argc, argv);
    return say_flush() || code ? code : EXIT_FAILED;
}

int command_help(int argc, char **argv)
{
    if (argc > 2) {
        say_error("help takes one command");
        return EXIT_USAGE;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        say_command("");
        print_help();
        return EXIT_DONE;
    }
    say_command("");
    const struct command *command = find_command(argv[1]);
    if (!command)
        return EXIT_USAGE;
    if (command->run == command_help)
        return command_help(1, argv);
    char help[] = "--help";
    char *args[] = { argv[0], help, NULL };
    return run_command(command, 2, args);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is told by errno */
    if (argc >= 2 && strcmp(argv[1], PLUGIN_CHECKER_FLAG) == 0)
        return plugin_checker_main(argc, argv);
    if (argc < 2) {
        say_error("no command is given; `s4 --help` lists what there is");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return say_flush() ? EXIT_DONE : EXIT_FAILED;
    }
    if (strcmp(argv[1], "--version") == 0)
        return run_command(find_command("version"), 1, argv);
    const struct command *command = find_command(argv[1]);
    return command ? run_command(command, argc - 1, argv + 1) : EXIT_USAGE;
}
