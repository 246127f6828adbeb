/* s4 undeploy */
#include <inttypes.h>

#include "apps/s4/remote.h"
#include "apps/s4/say.h"

struct undeploy {
    struct remote remote;
    struct command_subject app;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct undeploy *undeploy = state->input;
    error_t error = command_subject_parse(key, arg, state, &undeploy->app);
    return error == ARGP_ERR_UNKNOWN ? remote_parse(key, arg, state, &undeploy->remote) : error;
}

int command_undeploy(int argc, char **argv)
{
    static const struct argp_option options[] = { COMMAND_JSON, REMOTE_OPTIONS, { 0 } };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "APP",
        .doc = "Stop an app and take it from a node, with its instances and outputs. Events that "
               "wait are dropped and counted; `s4 drain APP` before it lets them through."
               "\vExample:\n  s4 drain hello && s4 undeploy hello\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_NOT_FOUND EXIT_TEXT_NO_NODE ".",
    };
    struct undeploy undeploy = { .app.what = "app" };
    command_parse(&argp, argc, argv, &undeploy);
    s4_client *client;
    int code = remote_connect(&undeploy.remote, &client);
    if (code != EXIT_DONE)
        return code;
    uint64_t dropped;
    s4_status status = s4_client_undeploy(client, undeploy.app.name, &dropped);
    if (status != S4_OK)
        code = remote_failed(client, status);
    else
        say_printf(undeploy.app.json ? "{\"dropped\":%" PRIu64 "}\n"
                                     : "gone; %" PRIu64 " events that "
                                       "waited were dropped\n",
                   dropped);
    s4_client_destroy(client);
    return code;
}
