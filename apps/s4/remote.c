/* What the commands that talk to a node have in common; see the header. */
#include "apps/s4/remote.h"

#include "apps/s4/say.h"

error_t remote_parse(int key, const char *arg, const struct argp_state *state,
                     struct remote *remote)
{
    switch (key) {
    case REMOTE_NODE:
        remote->node = arg;
        return 0;
    case REMOTE_KEYS:
        remote->keys = arg;
        return 0;
    case REMOTE_SECRET:
        remote->secret = arg;
        return 0;
    case REMOTE_SERVER:
        remote->server = arg;
        return 0;
    case REMOTE_TIMEOUT:
        remote->timeout_ms = (uint32_t)size_min(
            command_duration_us(state, "timeout", arg) / 1000 + 1, UINT32_MAX / 2);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int remote_connect(const struct remote *remote, s4_client **client)
{
    s4_client_options options = { .node = remote->node,
                                  .keys = remote->keys,
                                  .secret = remote->secret,
                                  .server = remote->server,
                                  .timeout_ms = remote->timeout_ms,
                                  .window = remote->window,
                                  .producer = remote->producer,
                                  .number = remote->number };
    s4_client *made;
    if (s4_client_create(&options, &made) != S4_OK) {
        say_error("out of memory");
        return EXIT_FAILED;
    }
    s4_status status = s4_client_connect(made);
    if (status != S4_OK) {
        /* A key that is not found is no app that is not there. */
        int code = status == S4_INVALID || status == S4_TOO_LARGE ? EXIT_USAGE
                   : status == S4_NOT_FOUND                       ? EXIT_FAILED
                                                                  : exit_of(status);
        say_error("%s", s4_client_message(made));
        s4_client_destroy(made);
        return code;
    }
    *client = made;
    return EXIT_DONE;
}

int remote_failed(const s4_client *client, s4_status status)
{
    say_error("%s", s4_client_message(client));
    return exit_of(status);
}

void remote_target(const struct argp_state *state, const char *text, const char *between,
                   struct target *target)
{
    size_t app = strcspn(text, between);
    const char *part = text[app] ? text + app + 1 : "";
    if (!app || !*part || app >= sizeof target->app || strlen(part) >= sizeof target->part)
        command_usage(state, "'%s' names nothing; wanted APP%cNAME%s", text, between[0],
                      between[1] ? ", or APP/PROTOTYPE" : "");
    target->between = text[app];
    snprintf(target->app, sizeof target->app, "%.*s", (int)app, text);
    snprintf(target->part, sizeof target->part, "%s", part);
}
