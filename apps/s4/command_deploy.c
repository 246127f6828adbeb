/* s4 deploy */
#include "apps/s4/file.h"
#include "apps/s4/load.h"
#include "apps/s4/remote.h"
#include "apps/s4/say.h"

struct deploy {
    struct remote remote;
    struct command_subject bundle;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct deploy *deploy = state->input;
    error_t error = command_subject_parse(key, arg, state, &deploy->bundle);
    return error == ARGP_ERR_UNKNOWN ? remote_parse(key, arg, state, &deploy->remote) : error;
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
        say_error("%s: %s", deploy->bundle.name, s4_client_message(client));
        code = code_of(status);
    } else if (deploy->bundle.json) {
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
    static const struct argp_option options[] = { COMMAND_JSON, REMOTE_OPTIONS, { 0 } };
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
    struct deploy deploy = { .bundle.what = "bundle" };
    command_parse(&argp, argc, argv, &deploy);
    struct buffer bytes;
    struct diag diag = { 0 };
    buffer_init(&bytes);
    int code;
    s4_status status = file_read(deploy.bundle.name, LOAD_BUNDLE_MAX, &bytes, &diag);
    if (status == S4_OK) {
        code = deploy_bytes(&deploy, &bytes);
    } else {
        say_error("%s", diag.text);
        code = status == S4_TOO_LARGE ? EXIT_BAD_BUNDLE : EXIT_FAILED;
    }
    buffer_fini(&bytes);
    return code;
}
