/* s4 tail: what happens to an output, as it happens. */
#include <inttypes.h>
#include <stdio.h>

#include "apps/s4/interrupt.h"
#include "apps/s4/remote.h"
#include "apps/s4/say.h"
#include "runtime/base/clock.h"

#define LOOK_MS 100 /* between looks whether a signal came */

struct tail {
    struct remote remote;
    struct target target;
    s4_tail_options what;
    uint64_t limit;  /* UINT64_MAX: none */
    uint64_t for_us; /* 0: for ever */
    bool json;
    int code;
};

enum { OPT_PREFIX = 0x100, OPT_FROM, OPT_SNAPSHOT, OPT_LIMIT, OPT_FOR };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct tail *tail = state->input;
    switch (key) {
    case 'k':
        tail->what.key = arg;
        return 0;
    case OPT_PREFIX:
        tail->what.prefix = arg;
        return 0;
    case OPT_FROM:
        if (strcmp(arg, "start") != 0)
            command_usage(state, "--from %s: wanted start", arg);
        tail->what.kept = true;
        return 0;
    case OPT_SNAPSHOT:
        tail->what.kept = true;
        return 0;
    case OPT_LIMIT:
        tail->limit = command_number(state, "limit", arg, 1, UINT32_MAX);
        return 0;
    case OPT_FOR:
        tail->for_us = command_duration_us(state, "for", arg);
        return 0;
    case 'j':
        tail->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (tail->target.app[0])
            command_usage(state, "'%s' is too much", arg);
        remote_target(state, arg, ".", &tail->target);
        return 0;
    case ARGP_KEY_END:
        if (!tail->target.app[0])
            command_usage(state, "it takes what to follow: APP.OUTPUT");
        if (tail->what.key && tail->what.prefix)
            command_usage(state, "--key and --prefix exclude each other");
        return 0;
    default:
        return remote_parse(key, arg, state, &tail->remote);
    }
}

static void print_missed(const struct tail *tail, const s4_tail_item *item)
{
    if (tail->json)
        say_printf("{\"@missed\":%" PRIu64 ",\"@partition\":%u}\n", item->missed, item->partition);
    say_note("%" PRIu64 " row%s missed, of partition %u: this reader is too slow", item->missed,
             item->missed == 1 ? "" : "s", item->partition);
}

/* False: that was all. */
static bool print_item(struct tail *tail, const s4_tail_item *item)
{
    switch (item->kind) {
    case S4_TAIL_MISSED:
        print_missed(tail, item);
        return true;
    case S4_TAIL_CAUGHT_UP:
        return true;
    case S4_TAIL_ENDED:
        say_error("%s", item->why);
        tail->code = EXIT_FAILED;
        return false;
    case S4_TAIL_REMOVED:
        say_printf(tail->json ? "{\"@removed\":%s}\n" : "- %s\n", item->json);
        break;
    default:
        say_printf(tail->json ? "%s\n" : "+ %s\n", item->json);
    }
    return --tail->limit > 0;
}

static uint64_t now_us(void)
{
    return clock_real.mono_us(&clock_real);
}

static int follow(struct tail *tail, s4_client *client)
{
    s4_tail *got;
    s4_tail_item item;
    uint64_t until = tail->for_us ? now_us() + tail->for_us : UINT64_MAX;
    tail->what.app = tail->target.app;
    tail->what.output = tail->target.part;
    s4_status status = s4_client_tail(client, &tail->what, &got);
    if (status != S4_OK)
        return remote_failed(client, status);
    bool more = true;
    while (more && !interrupt_came() && now_us() < until) {
        status = s4_tail_next(got, 0, &item);
        if (status == S4_AGAIN) { /* what was printed is seen before it waits */
            if (!say_flush())
                break;
            status = s4_tail_next(got, LOOK_MS, &item);
        }
        if (status == S4_OK)
            more = print_item(tail, &item);
        else if (status != S4_AGAIN)
            break;
    }
    if (status != S4_OK && status != S4_AGAIN)
        tail->code = remote_failed(client, status);
    s4_tail_destroy(got);
    return tail->code;
}

int command_tail(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "key", 'k', "KEY", 0, "Only the row of this key: alice, or alice,7", 0 },
        { "prefix", OPT_PREFIX, "TEXT", 0, "Only rows whose key begins so", 0 },
        { "from", OPT_FROM, "start", 0, "First what the log keeps, from its oldest row", 0 },
        { "snapshot", OPT_SNAPSHOT, 0, 0, "First the rows that are in the table", 0 },
        { "limit", OPT_LIMIT, "N", 0, "End after N rows", 0 },
        { "for", OPT_FOR, "TIME", 0, "End after this time", 0 },
        { "json", 'j', 0, 0, "Print JSON, an object per line", 0 },
        REMOTE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "APP.OUTPUT",
        .doc = "Follow an output: every row that is published from now on, and every row that a "
               "table loses. What a reader that is too slow misses is counted and said where it "
               "was. It ends with the app or the node, which is a failure, or at SIGINT."
               "\vExample:\n  s4 tail hello.counts --json --limit 10\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_NOT_FOUND EXIT_TEXT_NO_NODE ".",
    };
    struct tail tail = { .limit = UINT64_MAX };
    command_parse(&argp, argc, argv, &tail);
    s4_client *client;
    int code = remote_connect(&tail.remote, &client);
    if (code != EXIT_DONE)
        return code;
    interrupt_listen();
    code = follow(&tail, client);
    s4_client_destroy(client);
    return code;
}
