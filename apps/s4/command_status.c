/* s4 status: what a node and its cluster do, as a table, as key=value lines for grep, or as JSON
 * (status_print.h); once, or again and again with rates. */
#include <unistd.h>

#include "apps/s4/interrupt.h"
#include "apps/s4/remote.h"
#include "apps/s4/say.h"
#include "apps/s4/status_print.h"
#include "runtime/base/clock.h"

#define WATCH_DEFAULT_US 2000000
#define CLEAR            "\033[H\033[2J" /* the terminal, from its top */

enum shape { SHAPE_TABLE, SHAPE_KV, SHAPE_JSON };

struct status {
    struct remote remote;
    enum shape shape;
    bool watch;
    uint64_t every_us; /* 0: not given */
    struct status_view view;
};

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
    case 'n':
        status->view.each_node = true;
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

/* ---- what the shapes share ------------------------------------------------------------------- */

const struct status_rate status_rates[STATUS_RATES] = { { "applied", "events_per_s" },
                                                        { "emitted", "emitted_per_s" } };

bool status_rate_of(const struct status_view *view, const char *app, size_t rate,
                    double *per_second)
{
    return rates_of(&view->rates, view->node, app, status_rates[rate].counter, per_second);
}

bool status_range_next(const s4_cluster_status *cluster, uint32_t member, uint32_t *slot,
                       uint32_t *first)
{
    uint32_t at = *slot;
    while (at < cluster->n_slots && cluster->owners[at] != member)
        at++;
    *first = at;
    while (at < cluster->n_slots && cluster->owners[at] == member)
        at++;
    *slot = at;
    return at > *first;
}

const s4_app_status *status_app_of(const s4_node_status *node, const char *app)
{
    for (size_t i = 0; i < node->n_apps; i++)
        if (strcmp(node->apps[i].name, app) == 0)
            return &node->apps[i];
    return NULL;
}

/* ---- showing --------------------------------------------------------------------------------- */

static int show(struct status *status, s4_client *client)
{
    static void (*const print[])(
        const struct status_view *) = { status_print_table, status_print_kv, status_print_json };
    s4_node_status *node;
    s4_status got = s4_client_status(client, &node);
    if (got != S4_OK)
        return remote_failed(client, got);
    struct status_view *view = &status->view;
    view->node = node;
    view->rates.now_us = clock_real.mono_us(&clock_real);
    if (status_sum_init(&view->sum, node) != S4_OK) {
        say_error("out of memory");
        s4_node_status_destroy(node);
        return EXIT_FAILED;
    }
    print[status->shape](view);
    status_sum_fini(&view->sum);
    rates_next(&view->rates, node);
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
        { "nodes", 'n', 0, 0, "The table has also what each node of a cluster counts", 0 },
        COMMAND_JSON,
        REMOTE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Show what a node does: memory, apps, counters of each app and prototype, alarms. "
               "The table leaves out counters that are 0. In a cluster any node is asked: its "
               "nodes, who owns which slots, its bundles, and the sums of what all nodes count."
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
    rates_fini(&status.view.rates);
    s4_client_destroy(client);
    return code;
}
