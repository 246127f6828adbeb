/* s4 stop */
#include "apps/s4/remote.h"

struct stop {
    struct remote remote;
    bool now;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stop *stop = state->input;
    switch (key) {
    case 'w':
        stop->now = true;
        return 0;
    case ARGP_KEY_ARG:
        command_usage(state, "'%s' is too much", arg);
    default:
        return remote_parse(key, arg, state, &stop->remote);
    }
}

int command_stop(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "now", 'w', 0, 0, "Do not drain: what waits is dropped", 0 }, REMOTE_OPTIONS, { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Drain a node and end it. It answers when it is drained."
               "\vExample:\n  s4 stop\n\n" EXIT_TEXT_USUAL EXIT_TEXT_NO_NODE ".",
    };
    struct stop stop = { 0 };
    command_parse(&argp, argc, argv, &stop);
    s4_client *client;
    int code = remote_connect(&stop.remote, &client);
    if (code != EXIT_DONE)
        return code;
    s4_status status = s4_client_stop(client, stop.now);
    if (status != S4_OK)
        code = remote_failed(client, status);
    s4_client_destroy(client);
    return code;
}
