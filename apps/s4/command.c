/* Arguments of commands, on argp.
 *
 * argp prints --help and usage from a command's tables; what it does not do well is to say what is
 * wrong: an unknown flag is looked for here first, so that the message can name the nearest one.
 */
#include "apps/s4/command.h"

#include <stdarg.h>
#include <stdio.h>

#include "apps/s4/say.h"
#include "pe/graph/names.h"

/* The option that `name` (of `len` letters) names or abbreviates; NULL: none, or several. */
static const struct argp_option *find_option(const struct argp_option *options, const char *name,
                                             size_t len)
{
    const struct argp_option *found = NULL;
    for (const struct argp_option *option = options; option->name || option->key; option++) {
        if (!option->name || strncmp(option->name, name, len) != 0)
            continue;
        if (option->name[len] == '\0')
            return option;
        if (found)
            return NULL;
        found = option;
    }
    return found;
}

static bool known_to_argp(const char *name, size_t len)
{
    return (len == 4 && strncmp(name, "help", 4) == 0) ||
           (len == 5 && strncmp(name, "usage", 5) == 0);
}

static void refuse_option(const struct argp *argp, const char *name, size_t len)
{
    char wanted[GRAPH_NAME_MAX];
    snprintf(wanted, sizeof wanted, "%.*s", (int)len, name);
    struct name_nearest nearest;
    name_nearest_init(&nearest, wanted);
    for (const struct argp_option *option = argp->options; option->name || option->key; option++)
        if (option->name && !(option->flags & OPTION_HIDDEN))
            name_nearest_try(&nearest, option->name);
    name_nearest_try(&nearest, "help");
    if (nearest.best)
        say_error("unknown option --%s; did you mean --%s?", wanted, nearest.best);
    else
        say_error("unknown option --%s; `--help` lists what there is", wanted);
    exit(EXIT_USAGE);
}

static void check_options(const struct argp *argp, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        const char *name = argv[i] + 2;
        size_t len = strcspn(name, "=");
        if (known_to_argp(name, len))
            continue;
        const struct argp_option *option = find_option(argp->options, name, len);
        if (!option)
            refuse_option(argp, name, len);
        if (option && option->arg && !(option->flags & OPTION_ARG_OPTIONAL) && !name[len])
            i++; /* its value, whatever it looks like */
    }
}

void command_parse(const struct argp *argp, int argc, char **argv, void *settings)
{
    argp_err_exit_status = EXIT_USAGE;
    check_options(argp, argc, argv);
    if (argp_parse(argp, argc, argv, 0, NULL, settings) != 0)
        exit(EXIT_USAGE);
}

void command_usage(const struct argp_state *state, const char *format, ...)
{
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say_error("%s; see `%s --help`", text, state->name);
    exit(EXIT_USAGE);
}

uint64_t command_number(const struct argp_state *state, const char *option, const char *text,
                        uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || number < least || number > most)
        command_usage(state, "--%s %s: wanted a whole number from %llu to %llu", option, text,
                      (unsigned long long)least, (unsigned long long)most);
    return number;
}

uint64_t command_bytes(const struct argp_state *state, const char *option, const char *text,
                       uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    static const char units[] = "kMG";
    unsigned shift = 0;
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    if (text[0] < '0' || text[0] > '9' || *end || number > most >> shift || number << shift < least)
        command_usage(state, "--%s %s: wanted bytes from %llu to %llu, as in 64k, 16M or 2G",
                      option, text, (unsigned long long)least, (unsigned long long)most);
    return number << shift;
}

uint64_t command_duration_us(const struct argp_state *state, const char *option, const char *text)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = { { "ms", 1e3 }, { "s", 1e6 }, { "m", 60e6 }, { "h", 3600e6 } };
    char *end;
    double number = strtod(text, &end);
    double us = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0)
            us = number * units[i].us;
    if (text[0] < '0' || text[0] > '9' || !(us >= 1) || us > (double)DURATION_MAX_US)
        command_usage(state, "--%s %s: wanted a time, as in 100ms, 2.5s, 3m or 1h", option, text);
    return (uint64_t)us;
}

error_t command_subject_parse(int key, char *arg, const struct argp_state *state,
                              struct command_subject *subject)
{
    switch (key) {
    case 'j':
        subject->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (subject->name)
            command_usage(state, "'%s' is too much: one %s at a time", arg, subject->what);
        subject->name = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        command_usage(state, "no %s is given", subject->what);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

error_t command_subject_only(int key, char *arg, struct argp_state *state)
{
    return command_subject_parse(key, arg, state, state->input);
}
