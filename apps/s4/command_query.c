/* s4 query: an output's rows, or a living instance's answer. */
#include <inttypes.h>

#include "apps/s4/remote.h"
#include "apps/s4/say.h"

struct query {
    struct remote remote;
    struct target target;
    s4_query what;
    bool count;
    bool json;
    bool fresh;
};

enum { OPT_PREFIX = 0x100, OPT_TOP, OPT_BY, OPT_LIMIT, OPT_COUNT, OPT_FRESH, OPT_STALE };

/* What goes with an output, and what with a prototype. */
static void check_target(const struct argp_state *state, const struct query *query)
{
    const s4_query *what = &query->what;
    if (!query->target.app[0])
        command_usage(state, "it takes what to ask: APP.OUTPUT or APP/PROTOTYPE");
    if (query->target.between == '/') {
        if (what->prefix || what->top || what->by || what->limit || query->fresh)
            command_usage(state, "--prefix, --top, --by, --limit and --fresh ask an output, "
                                 "APP.OUTPUT");
        if (!what->key == !query->count)
            command_usage(state, "a prototype takes --key or --count");
        if (what->stale && query->count)
            command_usage(state, "--stale does not go with --count");
    } else {
        if (query->count)
            command_usage(state, "--count asks a prototype, APP/PROTOTYPE");
        if (what->key && what->prefix)
            command_usage(state, "--key and --prefix exclude each other");
        if (what->key && (what->top || what->by || what->limit))
            command_usage(state,
                          "--key asks for one row; --top, --by and --limit do not go with it");
        if (what->top && !what->by)
            command_usage(state, "--top takes --by COLUMN");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct query *query = state->input;
    switch (key) {
    case 'k':
        query->what.key = arg;
        return 0;
    case OPT_PREFIX:
        query->what.prefix = arg;
        return 0;
    case OPT_TOP:
        query->what.top = command_number(state, "top", arg, 1, UINT32_MAX);
        return 0;
    case OPT_BY:
        query->what.by = arg;
        return 0;
    case OPT_LIMIT:
        query->what.limit = command_number(state, "limit", arg, 1, UINT32_MAX);
        return 0;
    case OPT_COUNT:
        query->count = true;
        return 0;
    case OPT_FRESH:
        query->fresh = true;
        return 0;
    case OPT_STALE:
        query->what.stale = true;
        return 0;
    case 'j':
        query->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (query->target.app[0])
            command_usage(state, "'%s' is too much", arg);
        remote_target(state, arg, "./", &query->target);
        return 0;
    case ARGP_KEY_END:
        check_target(state, query);
        return 0;
    default:
        return remote_parse(key, arg, state, &query->remote);
    }
}

static void print_fresh(const s4_rows *rows, bool json)
{
    for (size_t i = 0; i < s4_rows_partitions(rows); i++)
        say_printf(json ? "{\"partition\":%u,\"time_us\":%" PRIu64 "}\n" : "%5u  %" PRIu64 "\n",
                   s4_rows_partition(rows, i), s4_rows_fresh(rows, i));
}

static void print_rows(const struct query *query, const s4_rows *rows)
{
    if (query->fresh) {
        print_fresh(rows, query->json);
    } else if (query->json) {
        for (size_t i = 0; i < s4_rows_count(rows); i++)
            say_printf("%s\n", s4_rows_json(rows, i));
    } else {
        say_out(s4_rows_text(rows), strlen(s4_rows_text(rows)));
    }
    if (s4_rows_more(rows) && !query->what.top)
        say_note("there are more rows; --limit asks for more of them");
}

static int count_instances(const struct query *query, s4_client *client)
{
    uint64_t count;
    s4_status status = s4_client_count(client, query->target.app, query->target.part, &count);
    if (status != S4_OK)
        return remote_failed(client, status);
    say_printf(query->json ? "{\"instances\":%" PRIu64 "}\n" : "%" PRIu64 "\n", count);
    return EXIT_DONE;
}

static int ask(struct query *query, s4_client *client)
{
    if (query->count)
        return count_instances(query, client);
    s4_rows *rows = NULL;
    s4_status status;
    bool text = !query->json;
    query->what.app = query->target.app;
    query->what.output = query->target.part;
    query->what.text = text;
    if (query->target.between == '/')
        status = (query->what.stale ? s4_client_ask_stale : s4_client_ask)(
            client, query->target.app, query->target.part, query->what.key, text, &rows);
    else
        status = s4_client_query(client, &query->what, &rows);
    if (status != S4_OK)
        return remote_failed(client, status);
    print_rows(query, rows);
    bool missing = query->what.key && s4_rows_count(rows) == 0;
    if (missing)
        say_error("no row has the key '%s'", query->what.key);
    s4_rows_destroy(rows);
    return missing ? EXIT_NOT_FOUND : EXIT_DONE;
}

int command_query(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "key", 'k', "KEY", 0, "Of one row, or of one instance: alice, or alice,7", 0 },
        { "prefix", OPT_PREFIX, "TEXT", 0, "Rows whose key begins so", 0 },
        { "top", OPT_TOP, "N", 0, "The N rows that are greatest by a column", 0 },
        { "by", OPT_BY, "COLUMN", 0, "The column to order by, the greatest first", 0 },
        { "limit", OPT_LIMIT, "N", 0, "At most N rows (default: 100000)", 0 },
        { "count", OPT_COUNT, 0, 0, "How many instances of a prototype live", 0 },
        { "fresh", OPT_FRESH, 0, 0, "Per partition, the time up to which it is applied", 0 },
        { "stale", OPT_STALE, 0, 0,
          "Also from nodes that have lost touch with their cluster: others may own their slots",
          0 },
        { "json", 'j', 0, 0, "Print JSON, an object per row", 0 },
        REMOTE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "APP.OUTPUT\nAPP/PROTOTYPE",
        .doc = "Read an output of an app, or ask the living instance of a key through its query "
               "callback; an instance is never made. The output dead_letters has the events whose "
               "handlers failed. Each partition is seen between two of its events; there is no "
               "common moment across partitions. In a cluster any node answers for all."
               "\vExample:\n  s4 query hello.counts --top 10 --by n\n"
               "  s4 query hello/counters --key be\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_NOT_FOUND EXIT_TEXT_NO_NODE ".",
    };
    struct query query = { 0 };
    command_parse(&argp, argc, argv, &query);
    s4_client *client;
    int code = remote_connect(&query.remote, &client);
    if (code != EXIT_DONE)
        return code;
    code = ask(&query, client);
    s4_client_destroy(client);
    return code;
}
