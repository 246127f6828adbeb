/* s4 deploy */
#include "apps/s4/file.h"
#include "apps/s4/load.h"
#include "apps/s4/remote.h"
#include "apps/s4/say.h"

struct deploy {
    struct remote remote;
    const char *path;
    bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct deploy *deploy = state->input;
    switch (key) {
    case 'j':
        deploy->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (deploy->path)
            command_usage(state, "'%s' is too much: one bundle at a time", arg);
        deploy->path = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        command_usage(state, "no bundle is given");
    default:
        return remote_parse(key, arg, state, &deploy->remote);
    }
}

/* What the node says about a bundle is about the bundle, unless it says that it has no room or
 * time, or an app of that name. */
static int code_of(s4_status status)
{
    switch (status) {
    case S4_MALFORMED:
    case S4_INVALID:
    case S4_TYPE:
    case S4_RANGE:
    case S4_UNSUPPORTED:
    case S4_VERSION:
    case S4_CORRUPT:
    case S4_NOT_FOUND:
    case S4_TOO_LARGE:
        return EXIT_BAD_BUNDLE;
    default:
        return exit_of(status);
    }
}

static int deploy_bytes(const struct deploy *deploy, const struct buffer *bytes)
{
    s4_client *client;
    int code = remote_connect(&deploy->remote, &client);
    if (code != EXIT_DONE)
        return code;
    s4_deployed deployed;
    s4_status status = s4_client_deploy(client, bytes->data, bytes->size, &deployed);
    if (status != S4_OK) {
        say_error("%s: %s", deploy->path, s4_client_message(client));
        code = code_of(status);
    } else if (deploy->json) {
        say_printf("{\"app\":");
        say_json_string(deployed.app);
        say_printf(",\"version\":");
        say_json_string(deployed.version);
        say_printf(",\"build_id\":");
        say_json_string(deployed.build_id);
        say_printf("}\n");
    } else {
        say_printf("%s %s runs\n", deployed.app, deployed.version);
    }
    s4_client_destroy(client);
    return code;
}

int command_deploy(int argc, char **argv)
{
    static const struct argp_option options[] = { { "json", 'j', 0, 0, "Print a JSON object", 0 },
                                                  REMOTE_OPTIONS,
                                                  { 0 } };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "BUNDLE",
        .doc =
            "Deploy a bundle to a node. The node checks it, loads its code first in a process of "
            "its own, and starts its source if it has one."
            "\vExample:\n  s4 deploy hello.s4r\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_BAD_BUNDLE EXIT_TEXT_NO_NODE ".",
    };
    struct deploy deploy = { 0 };
    command_parse(&argp, argc, argv, &deploy);
    struct buffer bytes;
    struct diag diag = { 0 };
    buffer_init(&bytes);
    int code;
    s4_status status = file_read(deploy.path, LOAD_BUNDLE_MAX, &bytes, &diag);
    if (status == S4_OK) {
        code = deploy_bytes(&deploy, &bytes);
    } else {
        say_error("%s", diag.text);
        code = status == S4_TOO_LARGE ? EXIT_BAD_BUNDLE : EXIT_FAILED;
    }
    buffer_fini(&bytes);
    return code;
}
