/* s4 node: the control thread of a node (node.h), from its directory to its end. */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "apps/s4/cluster_flags.h"
#include "apps/s4/command.h"
#include "apps/s4/crash.h"
#include "apps/s4/ending.h"
#include "apps/s4/engine_flags.h"
#include "apps/s4/node.h"
#include "apps/s4/node_cluster.h"
#include "apps/s4/node_relay.h"
#include "apps/s4/say.h"
#include "runtime/base/mem.h"
#include "runtime/net/address.h"

#define MESSAGES_AT_ONCE 64 /* of clients, before answers have their turn */

/* ---- arguments ----------------------------------------------------------------------------- */

struct settings {
    const char *dir;
    const char *listen;
    const char *keys, *secret;
    struct engine_options options;
    struct member_options membership;
};

static void check_address(const struct argp_state *state, const struct settings *settings,
                          const char *option, const char *text)
{
    struct address address;
    struct diag diag = { 0 };
    if (!text)
        return;
    if (address_read(text, ADDRESS_LISTEN, settings->keys, &address, &diag) != S4_OK)
        command_usage(state, "--%s %s", option, diag.text);
    if (!address.tcp)
        command_usage(state, "--%s %s: wanted tcp://HOST:PORT, with * for any free port", option,
                      text);
}

static void check_announce(const struct argp_state *state, const struct settings *settings)
{
    struct address address;
    struct diag diag = { 0 };
    const char *text = settings->membership.announce;
    if (text && address_read(text, ADDRESS_REACH, settings->keys, &address, &diag) != S4_OK)
        command_usage(state, "--announce %s", diag.text);
}

static void check_addresses(const struct argp_state *state, struct settings *settings)
{
    settings->keys = endpoint_keys(settings->keys);
    if (settings->secret && !settings->keys)
        command_usage(state, "--secret goes with --keys");
    check_address(state, settings, "listen", settings->listen);
    check_address(state, settings, "address", settings->membership.address);
    check_announce(state, settings);
}

enum { OPT_CLUSTER = 0x100, OPT_NAME, OPT_ADDRESS, OPT_ANNOUNCE, OPT_STANDBY, OPT_SECRET };

/* The machine's name, and the process where there may be several nodes on it. */
static const char *default_name(void)
{
    static char name[MAP_NAME_MAX + 1];
    char host[48] = "node";
    if (gethostname(host, sizeof host - 1) == 0)
        host[strcspn(host, ".")] = '\0';
    snprintf(name, sizeof name, "%.40s-%ld", host, (long)getpid());
    return name;
}

static void check_membership(const struct argp_state *state, struct settings *settings)
{
    struct member_options *membership = &settings->membership;
    if (!membership->cluster) {
        if (membership->name || membership->address || membership->announce ||
            membership->standby || membership->service.zk || membership->service.shared)
            command_usage(state, "--name, --address, --announce, --standby, --zk and --shared "
                                 "are about a cluster: which one? (--cluster)");
        return;
    }
    if (settings->options.slots)
        command_usage(state, "--slots: a cluster's number of slots was given when it was created");
    cluster_flags_default(&membership->service);
    if (!membership->name && !settings->keys)
        membership->name = default_name();
    if (!membership->address)
        membership->address = "tcp://127.0.0.1:*";
    if (membership->name && !map_name_valid(membership->name))
        command_usage(state, "--name %s: wanted 1 to %d letters, digits, '.', '_' or '-'",
                      membership->name, MAP_NAME_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case 'd':
        settings->dir = arg;
        return 0;
    case OPT_CLUSTER:
        settings->membership.cluster = arg;
        return 0;
    case OPT_NAME:
        settings->membership.name = arg;
        return 0;
    case 'k':
        settings->keys = arg;
        return 0;
    case OPT_SECRET:
        settings->secret = arg;
        return 0;
    case OPT_ADDRESS:
        settings->membership.address = arg;
        return 0;
    case OPT_ANNOUNCE:
        settings->membership.announce = arg;
        return 0;
    case OPT_STANDBY:
        settings->membership.standby = true;
        return 0;
    case 'l':
        settings->listen = arg;
        return 0;
    case ARGP_KEY_ARG:
        command_usage(state, "'%s' is too much", arg);
    case ARGP_KEY_END:
        engine_flags_check(state, &settings->options);
        check_addresses(state, settings);
        check_membership(state, settings);
        return 0;
    default:
        if (cluster_flags_parse(key, arg, state, &settings->membership.service) == 0)
            return 0;
        return engine_flags_parse(key, arg, state, &settings->options);
    }
}

/* ---- start --------------------------------------------------------------------------------- */

static int open_wakers(struct node *node)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* every thread that is started inherits it */
    node->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    node->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (node->wake >= 0 && node->signals >= 0)
        return EXIT_DONE;
    say_error("cannot wait for events: %s", strerror(errno));
    return EXIT_FAILED;
}

static int start_engine(struct node *node)
{
    struct diag diag = { 0 };
    node->options.threads = true;
    node->options.log = &say_log;
    node->options.alarm = alarms_raise;
    node->options.fault = alarms_fault;
    node->options.user = &node->alarms;
    s4_status status = engine_create(&node->options, &node->engine, &diag);
    if (status == S4_OK)
        status = engine_start(node->engine, &diag);
    if (status != S4_OK)
        say_error("%s", diag.text);
    return exit_of(status);
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void take_messages(struct node *node)
{
    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        zmq_msg_t peer, part;
        zmq_msg_init(&peer);
        zmq_msg_init(&part);
        int size = zmq_msg_recv(&peer, node->socket, ZMQ_DONTWAIT);
        bool whole = size >= 0 && zmq_msg_more(&peer) &&
                     zmq_msg_recv(&part, node->socket, ZMQ_DONTWAIT) >= 0;
        bool more = whole && zmq_msg_more(&part);
        if (whole && !more)
            node_serve(node, &peer, &part);
        while (more) { /* no request has so many parts */
            more = zmq_msg_recv(&part, node->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&part);
        }
        zmq_msg_close(&part);
        zmq_msg_close(&peer);
        if (size < 0)
            return;
    }
}

static void take_done(struct node *node)
{
    pthread_mutex_lock(&node->lock);
    struct request *done = node->done;
    node->done = NULL;
    pthread_mutex_unlock(&node->lock);
    while (done) {
        struct request *next = done->done_next;
        node_finish(node, done);
        done = next;
    }
}

static void take_signal(struct node *node)
{
    struct signalfd_siginfo info;
    if (read(node->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (node->stopped_by_signal) {
        say_note("stopped at once; what waited is dropped");
        unlink(node->place.socket);
        _exit(EXIT_FAILED);
    }
    node->stopped_by_signal = true;
    say_note("draining; once more stops at once");
    if (node->stop == NODE_RUNS)
        node->stop = NODE_LEAVES;
}

static void take_alarms(struct node *node)
{
    char text[ALARM_TEXT_MAX];
    while (alarms_take(&node->alarms, text))
        say_note("alarm: %s", text);
}

static void tell_waiting(struct node *node)
{
    uint64_t now = clock_real.mono_us(&clock_real);
    for (struct request *request = node->requests; request; request = request->next)
        if (now - request->told_us >= NODE_SIGN_US)
            request_sign(request, now);
}

/* An upcall of the engine. */
static void stop_drained(void *user, s4_status status, const struct engine_drained *drained)
{
    struct node *node = user;
    pthread_mutex_lock(&node->lock);
    node->drained = true;
    pthread_mutex_unlock(&node->lock);
    eventfd_write(node->wake, 1);
}

static bool is_drained(struct node *node)
{
    pthread_mutex_lock(&node->lock);
    bool drained = node->drained;
    pthread_mutex_unlock(&node->lock);
    return drained;
}

/* From one state of stopping to the next. */
static void step_stop(struct node *node)
{
    struct diag diag = { 0 };
    if (node->stop == NODE_LEAVES) {
        if (node->member && !cluster_node_leave(node))
            return;
        node->stop = NODE_ENDS_SOURCES;
    }
    if (node->stop == NODE_ENDS_SOURCES) {
        engine_feed_cancel(node->engine, NULL);
        if (node_sources_open(node, NULL))
            return;
        node->stop = NODE_DRAINS;
        if (engine_drain(node->engine, NULL, true, stop_drained, node, &diag) != S4_OK) {
            say_error("cannot drain: %s", diag.text);
            node->stop = NODE_ENDED;
        }
    }
    if (node->stop == NODE_DRAINS && is_drained(node))
        node->stop = NODE_ENDED;
}

/* Somebody may have to be told that he is waited for, or tried again. */
static long patience_ms(const struct node *node)
{
    if (node->n_held_back)
        return NODE_RETRY_MS;
    if (node->stop == NODE_LEAVES)
        return NODE_RETRY_MS;
    return node->n_requests || node->n_tails ? NODE_SIGN_US / 2000 : -1;
}

static int run(struct node *node)
{
    while (node->stop != NODE_ENDED) {
        zmq_pollitem_t items[4 + MAP_MEMBERS_MAX] = {
            { .socket = node->socket, .events = ZMQ_POLLIN },
            { .fd = node->wake, .events = ZMQ_POLLIN },
            { .fd = node->signals, .events = ZMQ_POLLIN },
            { .socket = node->monitor, .events = ZMQ_POLLIN }
        };
        int n = 4 + (int)relay_sockets(node, items + 4);
        int ready = zmq_poll(items, n, patience_ms(node));
        eventfd_t count;
        if (ready > 0 && items[1].revents)
            eventfd_read(node->wake, &count);
        if (ready > 0 && items[2].revents)
            take_signal(node);
        if (ready > 0 && items[3].revents)
            node_count_connections(node);
        if (ready > 0 && items[0].revents)
            take_messages(node);
        if (node->member)
            cluster_node_step(node);
        take_done(node);
        if (node->n_held_back)
            node_try_again(node);
        take_alarms(node);
        tell_waiting(node);
        node_tails_step(node, clock_real.mono_us(&clock_real));
        step_stop(node);
        if (alarms_has_fault(&node->alarms))
            return EXIT_FAILED;
    }
    return EXIT_DONE;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* Everybody who waits gets an answer: who asked for the stop that it is done. */
static void answer_all(struct node *node)
{
    while (node->requests) {
        struct request *request = node->requests;
        S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
        if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_STOP)
            request_reply(request, &reply);
        else
            request_fail(request, S4_CANCELLED, "the node has stopped");
    }
}

/* What a job thread is at is waited for, since it needs the workers; after the engine has stopped
 * no upcall comes any more, so nobody uses a request. */
static void stop_threads(void *arg)
{
    struct node *node = arg;
    node_jobs_stop(node);
    cluster_node_stop(node);
    engine_stop(node->engine);
}

/* Somebody's code keeps its thread: whoever asked for the stop is told that it is done all the
 * same. */
_Noreturn static void give_up(struct node *node)
{
    ending_tell();
    for (struct request *request = node->requests, *next; request; request = next) {
        S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
        next = request->next;
        if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_STOP)
            request_reply(request, &reply);
    }
    node_place_leave(node);
    _exit(EXIT_FAILED);
}

static void end(struct node *node)
{
    struct ending ending;
    uint64_t until =
        node->at_once ? clock_real.mono_us(&clock_real) + ENDING_PATIENCE_US : UINT64_MAX;
    ending_start(&ending, stop_threads, node, node->wake);
    while (!ending_is_done(&ending)) {
        zmq_pollitem_t items[] = { { .fd = node->wake, .events = ZMQ_POLLIN },
                                   { .fd = node->signals, .events = ZMQ_POLLIN } };
        int ready = zmq_poll(items, ARRAY_LEN(items), NODE_SIGN_US / 1000);
        eventfd_t count;
        if (ready > 0 && items[0].revents)
            eventfd_read(node->wake, &count);
        if (ready > 0 && items[1].revents)
            take_signal(node);
        tell_waiting(node);
        if (clock_real.mono_us(&clock_real) >= until && !ending_is_done(&ending))
            give_up(node);
    }
    ending_join(&ending);
    take_alarms(node);
    node_tails_end(node);
    answer_all(node);
    for (size_t i = 0; i < ENGINE_APPS_MAX; i++)
        bundle_release(node->apps[i].bundle);
}

/* A node's name in its cluster is that of its key, which is how the others know it. */
static int take_name(struct node *node)
{
    const char *name = node->ring ? keyring_own(node->ring)->name : NULL;
    if (!name || !node->membership.cluster)
        return EXIT_DONE;
    if (node->membership.name && strcmp(node->membership.name, name) != 0) {
        say_error("--name %s: the key is that of %s; a node's name is that of its key",
                  node->membership.name, name);
        return EXIT_USAGE;
    }
    node->membership.name = name;
    return EXIT_DONE;
}

static int serve(struct node *node)
{
    int code = open_wakers(node);
    alarms_init(&node->alarms, node->wake);
    if (code == EXIT_DONE)
        code = node_bind(node);
    if (code == EXIT_DONE && node->membership.cluster)
        code = cluster_node_join(node);
    if (code == EXIT_DONE)
        code = start_engine(node);
    if (code == EXIT_DONE && node->member)
        code = cluster_node_start(node);
    if (node->engine) {
        node_jobs_start(node);
        if (code == EXIT_DONE)
            code = node_ready(node);
        if (code == EXIT_DONE)
            code = run(node);
        end(node);
    } else {
        cluster_node_stop(node); /* it never was a member */
    }
    cluster_node_release(node);
    engine_destroy(node->engine);
    cluster_node_destroy(node);
    return code;
}

/* As it was started, for when it starts anew: the words of the command are one in `argv`. */
static char **program_of(char **argv)
{
    static char words[][5] = { "s4", "node" };
    static char *again[256] = { words[0], words[1] };
    size_t n = 2;
    for (char **word = argv + 1; *word && n < ARRAY_LEN(again) - 1; word++)
        again[n++] = *word;
    again[n] = NULL;
    return again;
}

/* As many descriptors as it may have: connections take them. */
static void allow_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_write(&say_log, LOG_WARN, "cannot raise the number of files: %s", strerror(errno));
}

int command_node(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "dir", 'd', "DIR", 0,
          "Where its socket lies, of mode 0700; made if it is not there (default: $S4_NODE, else "
          "$XDG_RUNTIME_DIR/s4, else /tmp/s4-UID)",
          1 },
        { "listen", 'l', "tcp://HOST:PORT", 0,
          "Listen on TCP too; without keys only on the loopback, 127.0.0.1; * is any free port",
          1 },
        { "keys", 'k', "DIR", 0,
          "The directory of keys (s4 keygen): TCP is for their owners (default: $S4_KEYS, or none)",
          1 },
        { "secret", OPT_SECRET, "FILE", 0,
          "The node's key pair (default: the only one in the directory)", 1 },
        { "cluster", OPT_CLUSTER, "NAME", 0, "Be a node of this cluster (s4 cluster create)", 2 },
        { "name", OPT_NAME, "NAME", 0,
          "Its name there (default: its key's, or the machine's and a number)", 2 },
        { "address", OPT_ADDRESS, "tcp://HOST:PORT", 0,
          "Where the other nodes reach it (default: any free port of 127.0.0.1)", 2 },
        { "announce", OPT_ANNOUNCE, "tcp://HOST:PORT", 0,
          "What it tells them instead, where something between them passes on what is sent there",
          2 },
        { "standby", OPT_STANDBY, 0, 0, "Take slots only when another node fails", 2 },
        CLUSTER_FLAGS,
        ENGINE_FLAGS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc =
            "Run a node until it is stopped: deploy bundles to it, inject events, query. When "
            "it listens it prints a line with `ready` and where. SIGINT and SIGTERM drain it; a "
            "second one stops at once. On TCP without keys every user of this machine can reach it."
            "\vExample:\n  s4 node --workers 2 &\n\n" EXIT_TEXT_USUAL ".",
    };
    struct settings settings = { 0 };
    command_parse(&argp, argc, argv, &settings);
    struct node *node = mem_zalloc(sizeof *node);
    struct diag diag = { 0 };
    if (!node || endpoint_find(settings.dir, false, &node->place, &diag) != S4_OK) {
        say_error("%s", node ? diag.text : "out of memory");
        mem_free(node);
        return EXIT_USAGE;
    }
    if (!node->place.dir[0]) {
        say_error("a node needs a directory for its socket, not %s; give one with --dir",
                  node->place.uri);
        mem_free(node);
        return EXIT_USAGE;
    }
    node->options = settings.options;
    node->membership = settings.membership;
    node->membership.user = program_of(argv);
    node->listen = settings.listen;
    node->lock_fd = -1;
    crash_install();
    allow_files();
    int code = node_place_take(node);
    if (code == EXIT_DONE)
        code = node_keys_open(node, settings.keys, settings.secret);
    if (code == EXIT_DONE)
        code = take_name(node);
    if (code == EXIT_DONE)
        code = serve(node);
    node_place_leave(node);
    mem_free(node);
    return code;
}
