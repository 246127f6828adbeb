/* Two nodes; see the header. The main threads only wait: a node's work is done by its worker, the
 * thread here that steps its net, and ZeroMQ's. All threads of a node share one core, the first or
 * the last. */
#include "tests/bench/joined.h"

#include <pthread.h>
#include <stdatomic.h>

#include "pe/host/peers.h"
#include "router/key/key.h"
#include "router/map/slots.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/net/transport_zmq.h"
#include "tests/bench/cores.h"
#include "tests/bench/reference.h"

#define WAIT_US 100000u

struct joined {
    struct node node;
    struct peers *peers;
    struct net *net;
    pthread_t stepper;
    struct child other; /* node 0's */
    sem_t up;           /* posted when the session to the other node is open */
    sem_t quiet;        /* posted when all that was sent before `asked` is applied */
    _Atomic bool asked, stop;
    struct net_counters counters; /* as of the last post of `quiet` */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

bool joined_is_far(uint64_t key)
{
    uint64_t form = __builtin_bswap64(key ^ KEY_SIGN);
    return slot_fixed_worker(slot_of_hash(hash_bytes(&form, sizeof form), JOINED_SLOTS), 2, 1, 1) ==
           1;
}

/* ---- a node -------------------------------------------------------------------------------- */

static void open_net(struct joined *joined, uint32_t number)
{
    struct diag diag = { 0 };
    struct transport_zmq_options zmq = { .pool = engine_pool(joined->node.engine) };
    struct net_options options = {
        .clock = &clock_real,
        .node = number ? "far" : "near",
        .seed = number + 1,
        .upcalls = &peers_upcalls,
        .user = joined->peers,
    };
    if (transport_zmq_create(&zmq, &options.transport, &diag) != S4_OK ||
        net_create(&options, &joined->net, &diag) != S4_OK ||
        net_bind(joined->net, "tcp://127.0.0.1:*", &diag) != S4_OK)
        die("net", diag.text);
    net_identify(joined->net, 0, number + 1);
    peers_join(joined->peers, joined->node.engine, joined->net, NULL);
}

static void open_node(struct joined *joined, uint32_t number, const struct joined_options *options)
{
    CHECK(sem_init(&joined->up, 0, 0) == 0 && sem_init(&joined->quiet, 0, 0) == 0);
    CHECK(peers_create(2, number, &joined->peers) == S4_OK);
    node_open(&joined->node, &(struct node_options){
                                 .bundle = options->bundle,
                                 .lines = options->lines,
                                 .slots = JOINED_SLOTS,
                                 .flush_us = JOINED_FLUSH_US,
                                 .nodes = 2,
                                 .number = number,
                                 .remote = peers_remote(joined->peers),
                             });
    open_net(joined, number);
}

/* What the main thread waits for. `asked` was read before the step, so whatever was handed over
 * before it was set has been taken from the workers in that step. */
static void look(struct joined *joined, bool asked, bool *up)
{
    if (peers_fault(joined->peers))
        die("net", peers_fault(joined->peers));
    if (!*up && net_counters(joined->net).out.controls_received > 0) {
        *up = true;
        sem_post(&joined->up);
    }
    if (asked && net_is_drained(joined->net)) {
        atomic_store(&joined->asked, false);
        joined->counters = net_counters(joined->net);
        sem_post(&joined->quiet);
    }
}

static void *step(void *arg)
{
    struct joined *joined = arg;
    bool up = false;
    bool closing = false;
    while (!closing || !net_is_closed(joined->net)) {
        if (!closing && atomic_load(&joined->stop)) {
            net_close(joined->net);
            closing = true;
        }
        bool asked = atomic_load(&joined->asked);
        bool any = peers_step(joined->peers);
        look(joined, asked, &up);
        if (!any)
            net_wait(joined->net, WAIT_US);
    }
    return NULL;
}

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        ;
}

static void connect_to(struct joined *joined, uint32_t number, const char *address)
{
    uint32_t peer;
    struct diag diag = { 0 };
    if (net_connect(joined->net, number ? "far" : "near", 0, address, &peer, &diag) != S4_OK)
        die("connect", diag.text);
    peers_route(joined->peers, number, peer);
    CHECK(pthread_create(&joined->stepper, NULL, step, joined) == 0);
}

static void wait_quiet(struct joined *joined)
{
    atomic_store(&joined->asked, true);
    net_wake(joined->net);
    wait_for(&joined->quiet);
}

static void close_node(struct joined *joined)
{
    atomic_store(&joined->stop, true);
    net_wake(joined->net);
    pthread_join(joined->stepper, NULL);
    engine_stop(joined->node.engine);
    net_destroy(joined->net);
    peers_destroy(joined->peers);
    node_close(&joined->node);
    sem_destroy(&joined->up);
    sem_destroy(&joined->quiet);
}

/* ---- node 1 -------------------------------------------------------------------------------- */

static void say_counts(struct joined *joined)
{
    wait_quiet(joined);
    struct engine_counters counters = node_counters(&joined->node);
    child_say("%llu %llu %llu %llu", (unsigned long long)counters.applied,
              (unsigned long long)counters.instances,
              (unsigned long long)joined->counters.in.frames_received,
              (unsigned long long)joined->counters.in.bytes_received);
}

void joined_child(int argc, char **argv)
{
    static struct joined joined;
    char line[CHILD_LINE_MAX];
    if (argc < 3 || strcmp(argv[1], "--node") != 0)
        return;
    cores_pin_last(0);
    CHECK(unsetenv("S4_BENCH_LINES") == 0);
    if (argc > 3)
        CHECK(setenv("S4_BENCH_TIMES", argv[3], 1) == 0);
    open_node(&joined, 1, &(struct joined_options){ .bundle = argv[2] });
    child_say("%s", net_address(joined.net));
    CHECK(child_hear(line));
    connect_to(&joined, 0, line);
    wait_for(&joined.up);
    child_say("up");
    while (child_hear(line) && strcmp(line, "counts") == 0)
        say_counts(&joined);
    close_node(&joined);
    exit(0);
}

/* ---- node 0 -------------------------------------------------------------------------------- */

static void set_number(const char *name, unsigned long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lu", value);
    CHECK(setenv(name, text, 1) == 0);
}

struct joined *joined_open(const struct joined_options *options)
{
    char line[CHILD_LINE_MAX];
    struct joined *joined = mem_zalloc(sizeof *joined);
    CHECK(joined);
    set_number("S4_BENCH_RATE", options->rate);
    set_number("S4_BENCH_COUNT", options->count);
    CHECK(unsetenv("S4_BENCH_TIMES") == 0);
    cores_pin_both(0); /* or the child sees but one */
    child_start(&joined->other,
                (const char *const[]){ "--node", options->bundle, options->times, NULL });
    cores_pin_first(0);
    open_node(joined, 0, options);
    child_read(&joined->other, line);
    connect_to(joined, 1, line);
    child_tell(&joined->other, "%s", net_address(joined->net));
    wait_for(&joined->up);
    child_read(&joined->other, line);
    return joined;
}

uint64_t joined_pass(struct joined *joined, unsigned long passes)
{
    uint64_t start = bench_wall_ns();
    node_feed(&joined->node, "pair", passes);
    wait_quiet(joined);
    return bench_wall_ns() - start;
}

struct joined_counts joined_counts(struct joined *joined)
{
    char line[CHILD_LINE_MAX];
    char *at = line;
    struct joined_counts counts = { 0 };
    uint64_t *const to[] = { &counts.applied, &counts.instances, &counts.frames, &counts.bytes };
    child_tell(&joined->other, "counts");
    child_read(&joined->other, line);
    for (size_t i = 0; i < ARRAY_LEN(to); i++)
        *to[i] = strtoull(at, &at, 10);
    return counts;
}

void joined_close(struct joined *joined)
{
    child_tell(&joined->other, "close");
    close_node(joined);
    child_end(&joined->other);
    mem_free(joined);
}
