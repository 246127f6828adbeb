/* s4 drain: of what flows, or of a node of a cluster.
 *
 * The other commands' --node says where to ask. Here it may also name what is drained: a node's
 * name has no slash, a place has one (or is given with --at). */
#include <inttypes.h>

#include "apps/s4/remote.h"
#include "apps/s4/say.h"

struct drain {
    struct remote remote;
    const char *app;
    const char *node; /* of the cluster, to be emptied; NULL: an app, or all, is drained */
    const char *at;
    bool wait_only;
    bool json;
};

enum { OPT_AT = 0x100 };

static void check(const struct argp_state *state, struct drain *drain)
{
    if (drain->node && (drain->app || drain->wait_only))
        command_usage(state,
                      "--node %s names a node of a cluster, which hands over its slots: neither an "
                      "app nor --wait-only goes with it; a place to ask has a slash, as in ./%s",
                      drain->node, drain->node);
    if (drain->at && drain->remote.node)
        command_usage(state, "--at %s and --node %s are both a place to ask; wanted one", drain->at,
                      drain->remote.node);
    if (drain->at)
        drain->remote.node = drain->at;
}

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
    case OPT_AT:
        drain->at = arg;
        return 0;
    case REMOTE_NODE:
        if (strchr(arg, '/'))
            drain->remote.node = arg;
        else
            drain->node = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (drain->app)
            command_usage(state, "'%s' is too much: one app, or none for all", arg);
        drain->app = arg;
        return 0;
    case ARGP_KEY_END:
        check(state, drain);
        return 0;
    default:
        return remote_parse(key, arg, state, &drain->remote);
    }
}

static int drain_node(const struct drain *drain, s4_client *client)
{
    s4_status status = s4_client_drain_node(client, drain->node);
    if (status != S4_OK)
        return remote_failed(client, status);
    if (drain->json) {
        say_printf("{\"node\":");
        say_json_string(drain->node);
        say_printf(",\"slots\":0}\n");
    } else {
        say_printf("drained; the node %s has no slots any more\n", drain->node);
    }
    return EXIT_DONE;
}

static int drain_events(const struct drain *drain, s4_client *client)
{
    s4_drained drained;
    s4_status status = s4_client_drain(client, drain->app, !drain->wait_only, &drained);
    if (status != S4_OK)
        return remote_failed(client, status);
    say_printf(drain->json ? "{\"waiting_timers\":%" PRIu64 ",\"waiting_answers\":%" PRIu64 "}\n"
                           : "drained; %" PRIu64 " timers and %" PRIu64 " instances still wait\n",
               drained.waiting_timers, drained.waiting_answers);
    return EXIT_DONE;
}

int command_drain(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "wait-only", 'w', 0, 0, "Only wait until nothing is in flight; do not end the input", 0 },
        COMMAND_JSON,
        { "node", REMOTE_NODE, "NAME", 0,
          "Have this node of the cluster hand over its slots; or, with a slash, the place to ask",
          90 },
        { "at", OPT_AT, "PLACE", 0,
          "The node to ask: a directory, ipc:///PATH or tcp://HOST:PORT (default: $S4_NODE, or "
          "this user's)",
          90 },
        REMOTE_MORE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[APP]\n--node NAME",
        .doc = "Wait until nothing of an app (or of any) is in flight, then end its input: event "
               "clocks go to the end of time, due timers fire, and every instance with changes "
               "gets its output call. Its source is ended first. Or have a node of a cluster hand "
               "its slots to the others, without loss, and wait until it has none; events flow "
               "on."
               "\vExample:\n  s4 drain hello\n  s4 drain --node n2\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_PAUSED EXIT_TEXT_NOT_FOUND EXIT_TEXT_NO_NODE ".",
    };
    struct drain drain = { 0 };
    command_parse(&argp, argc, argv, &drain);
    s4_client *client;
    int code = remote_connect(&drain.remote, &client);
    if (code != EXIT_DONE)
        return code;
    code = drain.node ? drain_node(&drain, client) : drain_events(&drain, client);
    s4_client_destroy(client);
    return code;
}
