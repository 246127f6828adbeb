/* s4 undeploy */
#include <inttypes.h>

#include "apps/s4/remote.h"
#include "apps/s4/say.h"

struct undeploy {
    struct remote remote;
    struct command_subject app;
    bool force;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct undeploy *undeploy = state->input;
    if (key == 'f') {
        undeploy->force = true;
        return 0;
    }
    error_t error = command_subject_parse(key, arg, state, &undeploy->app);
    return error == ARGP_ERR_UNKNOWN ? remote_parse(key, arg, state, &undeploy->remote) : error;
}

int command_undeploy(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "force", 'f', 0, 0, "Also while other apps hear its streams: they hear no more of it",
          0 },
        COMMAND_JSON,
        REMOTE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "APP",
        .doc = "Stop an app and take it from a node, with its instances and outputs. Events that "
               "wait are dropped and counted; `s4 drain APP` before it lets them through. An app "
               "whose streams other apps hear (app.yaml: from) stays, unless it is forced."
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
    uint32_t detached = 0;
    s4_status status =
        undeploy.force ? s4_client_undeploy_forced(client, undeploy.app.name, &dropped, &detached)
                       : s4_client_undeploy(client, undeploy.app.name, &dropped);
    if (status != S4_OK)
        code = remote_failed(client, status);
    else if (undeploy.app.json)
        say_printf("{\"dropped\":%" PRIu64 ",\"detached\":%" PRIu32 "}\n", dropped, detached);
    else
        say_printf("gone; %" PRIu64 " events that waited were dropped\n", dropped);
    if (status == S4_OK && detached && !undeploy.app.json)
        say_printf("%" PRIu32 " streams of other apps hear nothing of it now\n", detached);
    s4_client_destroy(client);
    return code;
}
