/* s4 version */
#include "apps/s4/command.h"
#include "apps/s4/say.h"
#include <s4/abi.h>
#include "router/client/control.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
    bool *json = state->input;
    if (key == 'j')
        *json = true;
    else if (key == ARGP_KEY_ARG)
        command_usage(state, "'%s' is too much", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

int command_version(int argc, char **argv)
{
    static const struct argp_option options[] = { COMMAND_JSON, { 0 } };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Print the versions of the program, of the plugins' ABI and of the protocol."
               "\vExample:\n  s4 version --json\n\n" EXIT_TEXT_USUAL ".",
    };
    bool json = false;
    command_parse(&argp, argc, argv, &json);
    say_printf(json ? "{\"s4\":\"%s\",\"abi\":\"%d.%d\",\"protocol\":%d}\n"
                    : "s4 %s, plugin ABI %d.%d, control protocol %d\n",
               S4_RELEASE, S4_ABI_MAJOR, S4_ABI_MINOR, CONTROL_VERSION);
    return EXIT_DONE;
}
