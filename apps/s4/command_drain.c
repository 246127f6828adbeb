/* s4 drain */
#include <inttypes.h>

#include "apps/s4/remote.h"
#include "apps/s4/say.h"

struct drain {
    struct remote remote;
    const char *app;
    bool wait_only;
    bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct drain *drain = state->input;
    switch (key) {
    case 'j':
        drain->json = true;
        return 0;
    case 'w':
        drain->wait_only = true;
        return 0;
    case ARGP_KEY_ARG:
        if (drain->app)
            command_usage(state, "'%s' is too much: one app, or none for all", arg);
        drain->app = arg;
        return 0;
    default:
        return remote_parse(key, arg, state, &drain->remote);
    }
}

int command_drain(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "wait-only", 'w', 0, 0, "Only wait until nothing is in flight; do not end the input", 0 },
        COMMAND_JSON,
        REMOTE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[APP]",
        .doc = "Wait until nothing of an app (or of any) is in flight, then end its input: event "
               "clocks go to the end of time, due timers fire, and every instance with changes "
               "gets its output call. Its source is ended first."
               "\vExample:\n  s4 drain hello\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_PAUSED EXIT_TEXT_NOT_FOUND EXIT_TEXT_NO_NODE ".",
    };
    struct drain drain = { 0 };
    command_parse(&argp, argc, argv, &drain);
    s4_client *client;
    int code = remote_connect(&drain.remote, &client);
    if (code != EXIT_DONE)
        return code;
    s4_drained drained;
    s4_status status = s4_client_drain(client, drain.app, !drain.wait_only, &drained);
    if (status != S4_OK)
        code = remote_failed(client, status);
    else if (drain.json)
        say_printf("{\"waiting_timers\":%" PRIu64 ",\"waiting_answers\":%" PRIu64 "}\n",
                   drained.waiting_timers, drained.waiting_answers);
    else
        say_printf("drained; %" PRIu64 " timers and %" PRIu64 " instances still wait\n",
                   drained.waiting_timers, drained.waiting_answers);
    s4_client_destroy(client);
    return code;
}
