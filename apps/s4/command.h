/* A command of the program: one file, one line in the table of main.c. */
#ifndef APPS_S4_COMMAND_H
#define APPS_S4_COMMAND_H

#include <argp.h>

#include "apps/s4/exit.h"
#include "runtime/base/base.h"

struct command {
    const char *name;
    const char *summary;               /* a line of `s4 --help` */
    int (*run)(int argc, char **argv); /* argv[0] is "s4 NAME"; answers the exit code */
};

extern const struct command commands[]; /* ends with a NULL name */

/* Parses a command's arguments with its argp. Wrong ones end the process with EXIT_USAGE and a
 * suggestion where one is near; --help ends it with 0. Options and arguments may be mixed only as
 * argp has it in order. */
void command_parse(const struct argp *argp, int argc, char **argv, void *settings);

/* In parsers: ends the process with EXIT_USAGE. */
_Noreturn void command_usage(const struct argp_state *state, const char *format, ...) PRINTF(2, 3);

/* A command on one thing, which may answer as JSON: s4 check [--json] BUNDLE. */
struct command_subject {
    const char *what; /* "bundle": set by the command, for messages */
    const char *name; /* as it was given */
    bool json;
};
#define COMMAND_JSON                                \
    {                                               \
        "json", 'j', 0, 0, "Print a JSON object", 0 \
    }
/* ARGP_ERR_UNKNOWN: neither --json nor the argument. A missing or a second one ends the process. */
error_t command_subject_parse(int key, char *arg, const struct argp_state *state,
                              struct command_subject *subject);
/* The same as a whole parser, where nothing else may be given. */
error_t command_subject_only(int key, char *arg, struct argp_state *state);

/* Values of options; a wrong one ends the process with EXIT_USAGE. */
uint64_t command_number(const struct argp_state *state, const char *option, const char *text,
                        uint64_t least, uint64_t most);
uint64_t command_bytes(const struct argp_state *state, const char *option, const char *text,
                       uint64_t least, uint64_t most); /* 64k, 16M, 2G */
uint64_t command_duration_us(const struct argp_state *state, const char *option,
                             const char *text); /* 100ms, 2.5s, 3m, 1h */

int command_check(int argc, char **argv);
int command_cluster(int argc, char **argv);
int command_deploy(int argc, char **argv);
int command_drain(int argc, char **argv);
int command_help(int argc, char **argv);
int command_inject(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_keygen(int argc, char **argv);
int command_new(int argc, char **argv);
int command_node(int argc, char **argv);
int command_pack(int argc, char **argv);
int command_query(int argc, char **argv);
int command_run(int argc, char **argv);
int command_status(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_tail(int argc, char **argv);
int command_undeploy(int argc, char **argv);
int command_version(int argc, char **argv);

#endif
