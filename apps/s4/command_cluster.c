/* s4 cluster: makes a cluster's entries in its coordination service. */
#include <poll.h>

#include "apps/s4/cluster_flags.h"
#include "apps/s4/say.h"
#include "router/coord/found.h"
#include "runtime/base/rng.h"

#define CONNECT_US 15000000 /* to the service */

struct cluster_command {
    struct member_service service;
    const char *what; /* create */
    const char *name;
    uint32_t slots;
    struct waker waker;
    bool done;
    s4_status status;
    struct diag why;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct cluster_command *command = state->input;
    switch (key) {
    case 's':
        command->slots = (uint32_t)command_number(state, "slots", arg, 1, MAP_SLOTS_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (!command->what)
            command->what = arg;
        else if (!command->name)
            command->name = arg;
        else
            command_usage(state, "'%s' is too much", arg);
        return 0;
    case ARGP_KEY_END:
        if (!command->what)
            command_usage(state, "it takes what to do, and the cluster's name: create NAME");
        if (strcmp(command->what, "create") != 0)
            command_usage(state, "'%s' is nothing that it does; wanted create", command->what);
        if (!command->name)
            command_usage(state, "it takes the name of the new cluster");
        if (!map_name_valid(command->name))
            command_usage(state,
                          "'%s' cannot name a cluster: wanted 1 to %d letters, digits, '.', "
                          "'_' or '-', the first no '.'",
                          command->name, MAP_NAME_MAX);
        cluster_flags_default(&command->service);
        return 0;
    default:
        return cluster_flags_parse(key, arg, state, &command->service);
    }
}

static void session_changed(void *user, enum coord_state state)
{
}

static void entry_changed(void *user, const char *path, enum coord_change change)
{
}

static void founded(void *user, s4_status status, const struct diag *why)
{
    struct cluster_command *command = user;
    command->done = true;
    command->status = status;
    if (why)
        command->why = *why;
}

static void sleep_until(struct cluster_command *command, struct coord *coord, uint64_t end_us)
{
    uint64_t now = clock_real.mono_us(&clock_real);
    uint64_t timeout = coord_timeout_us(coord);
    uint64_t left = end_us > now ? end_us - now : 0;
    waker_wait(&command->waker, timeout < left ? timeout : left);
}

static bool is_time(uint64_t end_us)
{
    return clock_real.mono_us(&clock_real) < end_us;
}

/* Connects, makes the entries, and waits for both. */
static s4_status create(struct cluster_command *command, struct coord *coord)
{
    static const struct coord_upcalls upcalls = { session_changed, entry_changed };
    uint64_t end = clock_real.mono_us(&clock_real) + CONNECT_US;
    struct found found = { .coord = coord,
                           .spec = { .cluster = rng_seed_real() | 1, .slots = command->slots },
                           .done = founded,
                           .user = command };
    snprintf(found.name, sizeof found.name, "%s", command->name);
    TRY(coord_attach(coord, &upcalls, command, &command->waker));
    while (coord_state(coord) == COORD_CONNECTING && is_time(end)) {
        coord_step(coord, 64);
        sleep_until(command, coord, end);
    }
    if (coord_state(coord) != COORD_CONNECTED) {
        command->why = *coord_why(coord);
        if (command->why.code == S4_OK)
            diag_set(&command->why, S4_UNAVAILABLE, "the coordination service does not answer");
        return command->why.code;
    }
    TRY(found_start(&found, &command->why));
    while (!command->done && is_time(end)) {
        coord_step(coord, 64);
        if (!command->done)
            sleep_until(command, coord, end);
    }
    return command->done ? command->status
                         : diag_set(&command->why, S4_IN_DOUBT,
                                    "the coordination service did not answer: the cluster may be "
                                    "there or not");
}

static int run(struct cluster_command *command)
{
    struct coord *coord = NULL;
    if (waker_init(&command->waker) != S4_OK) {
        say_error("out of memory");
        return EXIT_FAILED;
    }
    s4_status status = member_connect(&command->service, &coord, &command->why);
    if (status == S4_OK)
        status = create(command, coord);
    coord_destroy(coord);
    waker_fini(&command->waker);
    if (status == S4_OK) {
        say_printf("cluster %s with %u slots\n", command->name, command->slots);
        return EXIT_DONE;
    }
    say_error("%s", command->why.text[0] ? command->why.text : s4_status_text(status));
    return exit_of(status);
}

int command_cluster(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "slots", 's', "N", 0, "That keys hash to, for good (default: 64)", 1 },
        CLUSTER_FLAGS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "create NAME",
        .doc = "Create a cluster: its entries in the coordination service. Then start its nodes."
               "\vExample:\n  s4 cluster create prod && s4 node --cluster prod &\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_NO_NODE ".",
    };
    struct cluster_command command = { .slots = MAP_SLOTS_DEFAULT };
    command_parse(&argp, argc, argv, &command);
    return run(&command);
}
