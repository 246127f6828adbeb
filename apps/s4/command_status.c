/* s4 status: the node's counters as a table, as key=value lines for grep, or as JSON; once, or
 * again and again with rates. */
#include <inttypes.h>
#include <unistd.h>

#include "apps/s4/interrupt.h"
#include "apps/s4/remote.h"
#include "apps/s4/say.h"
#include "apps/s4/status_rates.h"
#include "runtime/base/clock.h"

#define WATCH_DEFAULT_US 2000000
#define CLEAR            "\033[H\033[2J" /* the terminal, from its top */

enum shape { SHAPE_TABLE, SHAPE_KV, SHAPE_JSON };

struct status {
    struct remote remote;
    enum shape shape;
    bool watch;
    uint64_t every_us; /* 0: not given */
    struct rates rates;
};

static const struct {
    const char *counter;
    const char *name;
} rate_names[] = { { "applied", "events_per_s" }, { "emitted", "emitted_per_s" } };

static void parse_every(const struct argp_state *state, struct status *status, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (text[0] < '0' || text[0] > '9' || *end || !(seconds >= 0.1) || seconds > 86400)
        command_usage(state, "--watch %s: wanted seconds from 0.1 to 86400", text);
    status->every_us = (uint64_t)(seconds * 1e6);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct status *status = state->input;
    switch (key) {
    case 'j':
        status->shape = SHAPE_JSON;
        return 0;
    case 'v':
        status->shape = SHAPE_KV;
        return 0;
    case 'w':
        status->watch = true;
        if (arg)
            parse_every(state, status, arg);
        return 0;
    case ARGP_KEY_ARG:
        if (!status->watch || status->every_us)
            command_usage(state, "'%s' is too much", arg);
        parse_every(state, status, arg);
        return 0;
    default:
        return remote_parse(key, arg, state, &status->remote);
    }
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static void json_member(const char *name, const char *value)
{
    say_printf("\"%s\":", name);
    say_json_string(value);
    say_printf(",");
}

static void json_counters(const s4_counter *counters, size_t n)
{
    say_printf("\"counters\":{");
    for (size_t i = 0; i < n; i++) {
        say_printf("%s", i ? "," : "");
        say_json_string(counters[i].name);
        say_printf(":%" PRIu64, counters[i].value);
    }
    say_printf("}");
}

static void json_rates(const struct rates *rates, const s4_app_status *app)
{
    double rate;
    for (size_t i = 0; i < ARRAY_LEN(rate_names); i++)
        if (rates_of(rates, app, rate_names[i].counter, &rate))
            say_printf("\"%s\":%.1f,", rate_names[i].name, rate);
}

static void json_app(const struct rates *rates, const s4_app_status *app)
{
    say_printf("{");
    json_member("app", app->name);
    json_member("version", app->version);
    json_member("build_id", app->build_id);
    say_printf("\"paused\":%s,", app->paused ? "true" : "false");
    json_rates(rates, app);
    json_counters(app->counters, app->n_counters);
    say_printf(",\"prototypes\":[");
    for (size_t i = 0; i < app->n_prototypes; i++) {
        say_printf("%s{", i ? "," : "");
        json_member("prototype", app->prototypes[i].name);
        json_counters(app->prototypes[i].counters, app->prototypes[i].n_counters);
        say_printf("}");
    }
    say_printf("]}");
}

static void print_json(const struct rates *rates, const s4_node_status *node)
{
    say_printf("{");
    json_member("release", node->release);
    say_printf("\"pid\":%" PRIu64 ",", node->pid);
    json_counters(node->counters, node->n_counters);
    say_printf(",\"apps\":[");
    for (size_t i = 0; i < node->n_apps; i++) {
        say_printf("%s", i ? "," : "");
        json_app(rates, &node->apps[i]);
    }
    say_printf("],\"alarms\":[");
    for (size_t i = 0; i < node->n_alarms; i++) {
        say_printf("%s", i ? "," : "");
        say_json_string(node->alarms[i]);
    }
    say_printf("]}\n");
}

/* ---- key=value ----------------------------------------------------------------------------- */

static void kv_counters(const char *prefix, const char *more, const s4_counter *counters, size_t n)
{
    for (size_t i = 0; i < n; i++)
        say_printf("%s%s.%s=%" PRIu64 "\n", prefix, more, counters[i].name, counters[i].value);
}

static void print_kv(const struct rates *rates, const s4_node_status *node)
{
    say_printf("node.release=%s\nnode.pid=%" PRIu64 "\n", node->release, node->pid);
    kv_counters("node", "", node->counters, node->n_counters);
    for (size_t i = 0; i < node->n_apps; i++) {
        const s4_app_status *app = &node->apps[i];
        say_printf("%s.version=%s\n%s.build_id=%s\n%s.paused=%d\n", app->name, app->version,
                   app->name, app->build_id, app->name, app->paused);
        double rate;
        for (size_t j = 0; j < ARRAY_LEN(rate_names); j++)
            if (rates_of(rates, app, rate_names[j].counter, &rate))
                say_printf("%s.%s=%.1f\n", app->name, rate_names[j].name, rate);
        kv_counters(app->name, "", app->counters, app->n_counters);
        for (size_t j = 0; j < app->n_prototypes; j++) {
            char more[128];
            snprintf(more, sizeof more, "/%s", app->prototypes[j].name);
            kv_counters(app->name, more, app->prototypes[j].counters,
                        app->prototypes[j].n_counters);
        }
    }
}

/* ---- the table ----------------------------------------------------------------------------- */

/* All counters that are not 0, several to a line. */
static void table_counters(const char *indent, const s4_counter *counters, size_t n)
{
    size_t shown = 0;
    for (size_t i = 0; i < n; i++) {
        if (!counters[i].value)
            continue;
        say_printf("%s%-15s %12" PRIu64, shown % 3 == 0 ? indent : "   ", counters[i].name,
                   counters[i].value);
        if (++shown % 3 == 0)
            say_printf("\n");
    }
    if (shown % 3)
        say_printf("\n");
}

static void print_table(const struct rates *rates, const s4_node_status *node)
{
    say_printf("node %" PRIu64 ", s4 %s\n", node->pid, node->release);
    table_counters("  ", node->counters, node->n_counters);
    for (size_t i = 0; i < node->n_apps; i++) {
        const s4_app_status *app = &node->apps[i];
        say_printf("\n%s %s%s\n", app->name, app->version,
                   app->paused ? ", PAUSED at the hard memory mark" : "");
        double applied, emitted;
        if (rates_of(rates, app, "applied", &applied) && rates_of(rates, app, "emitted", &emitted))
            say_printf("  %.1f events/s, %.1f emitted/s\n", applied, emitted);
        table_counters("  ", app->counters, app->n_counters);
        for (size_t j = 0; j < app->n_prototypes; j++) {
            say_printf("  /%s\n", app->prototypes[j].name);
            table_counters("    ", app->prototypes[j].counters, app->prototypes[j].n_counters);
        }
    }
    if (!node->n_apps)
        say_printf("\nno app is deployed\n");
    if (node->n_alarms)
        say_printf("\nlatest alarms\n");
    for (size_t i = 0; i < node->n_alarms; i++)
        say_printf("  %s\n", node->alarms[i]);
}

static int show(struct status *status, s4_client *client)
{
    static void (*const print[])(const struct rates *,
                                 const s4_node_status *) = { print_table, print_kv, print_json };
    s4_node_status *node;
    s4_status got = s4_client_status(client, &node);
    if (got != S4_OK)
        return remote_failed(client, got);
    status->rates.now_us = clock_real.mono_us(&clock_real);
    print[status->shape](&status->rates, node);
    rates_next(&status->rates, node);
    return EXIT_DONE;
}

static int watch(struct status *status, s4_client *client)
{
    bool redraw = isatty(STDOUT_FILENO) && status->shape != SHAPE_JSON;
    uint64_t every_us = status->every_us ? status->every_us : WATCH_DEFAULT_US;
    interrupt_listen();
    for (bool first = true; !interrupt_came(); first = false) {
        if (redraw)
            say_printf(CLEAR);
        else if (!first && status->shape != SHAPE_JSON)
            say_printf("\n");
        int code = show(status, client);
        if (code != EXIT_DONE)
            return code;
        if (!say_flush())
            return EXIT_FAILED;
        interrupt_wait(every_us);
    }
    return EXIT_DONE;
}

int command_status(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "kv", 'v', 0, 0, "Print key=value lines", 0 },
        { "watch", 'w', "SECONDS", OPTION_ARG_OPTIONAL,
          "Again and again, with rates, until SIGINT (default: every 2 seconds)", 0 },
        COMMAND_JSON,
        REMOTE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Show what a node does: memory, apps, counters of each app and prototype, alarms. "
               "The table leaves out counters that are 0."
               "\vExample:\n  s4 status --kv | grep hello.applied\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_NO_NODE ".",
    };
    struct status status = { 0 };
    command_parse(&argp, argc, argv, &status);
    s4_client *client;
    int code = remote_connect(&status.remote, &client);
    if (code != EXIT_DONE)
        return code;
    code = status.watch ? watch(&status, client) : show(&status, client);
    rates_fini(&status.rates);
    s4_client_destroy(client);
    return code;
}
