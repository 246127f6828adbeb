/* How long a slot that moves stands still: two nodes in one process, over tcp, a counter per key in
 * slots of so many instances each, and events for all of them at half the rate that the two can
 * take. Prints one line of JSON.
 *
 *     move_bench LINES BUNDLE STREAM [INSTANCES [MOVES]]
 *
 * The bundle is that of the other figures, which wants a file of lines and has no use for it here.
 *
 * What is timed begins when the slot is frozen where it was, and ends when that node has the map
 * which says that it is elsewhere. Who leads is the main thread, which hears of a slot that has
 * come at once: what a coordination service takes to write a map and tell of it comes on top.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "pe/host/plugin.h"
#include "pe/node/ferry_net.h"
#include "pe/node/node.h"
#include "router/intake/feed.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/net/transport_zmq.h"
#include "runtime/text/json.h"
#include "tests/bench/reference.h"

#define SLOTS         16u
#define INSTANCES     100000u /* of a slot */
#define MOVES         9u
#define BENCH_SECONDS 300u /* then it has hung */
#define FULL_MS       1500u
#define PAUSE_US      50u
#define VALUE_BASE    40u /* as of an event in no record */

struct side {
    struct block_pool *blocks;
    struct ferry_net *ferry;
    struct node *node;
    struct engine *engine;
    struct node_upcalls upcalls;
    pthread_mutex_t lock; /* of the node: who steps, and who leads */
    pthread_t thread;
    _Atomic bool stop;
};

static struct side sides[2];
static struct map *map;
static _Atomic uint64_t moved_here; /* the move that has come, last */

static void die(const char *what, const char *why)
{
    fprintf(stderr, "move_bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- the events: each key once, round and round ------------------------------------------------
 */

struct source {
    struct feed feed;
    const struct type *type;
    char *events; /* owned: each of `size` bytes */
    uint32_t n, size;
    uint32_t next;
    _Atomic uint64_t rate; /* per second; 0: as fast as they are taken */
    _Atomic uint64_t given;
    uint64_t since_us, due; /* what is due by the rate, counted from here */
    uint64_t rate_now;
    _Atomic bool stop, closed;
};

static void make_events(struct source *source, const struct bundle *bundle, uint32_t n)
{
    struct writer writer;
    source->type = schema_find(bundle->schema, "Word");
    CHECK(source->type);
    writer_init(&writer);
    for (uint32_t i = 0; i < n; i++) {
        char text[64];
        struct value value;
        struct diag diag = { 0 };
        int len = snprintf(text, sizeof text, "{\"text\":\"key%08u\",\"count\":1}", i);
        if (json_read(&writer, source->type, text, (size_t)len, &value, &diag) != S4_OK)
            die("event", diag.text);
        uint32_t size = (uint32_t)value_size_whole(&value);
        if (!source->events) {
            source->size = size;
            source->events = mem_calloc(n, size);
            CHECK(source->events);
        }
        CHECK(size == source->size);
        char *at = source->events + (size_t)i * size;
        value_copy_whole(&value, at - VALUE_BASE, at);
    }
    source->n = n;
    writer_fini(&writer);
}

/* Those that are due. */
static uint32_t take_due(struct source *source, uint32_t budget)
{
    uint64_t rate = atomic_load(&source->rate);
    uint64_t now = clock_real.mono_us(&clock_real);
    if (rate == 0)
        return budget;
    if (rate != source->rate_now) {
        source->rate_now = rate;
        source->since_us = now;
        source->due = 0;
    }
    uint64_t due = (now - source->since_us) * rate / 1000000 - source->due;
    uint32_t n = due < budget ? (uint32_t)due : budget;
    source->due += n;
    return n;
}

static s4_status source_gives(struct feed *feed, struct feeder *feeder, uint32_t budget)
{
    struct source *source = CONTAINER_OF(feed, struct source, feed);
    uint32_t n = take_due(source, budget);
    if (atomic_load(&source->stop))
        return S4_END;
    for (uint32_t i = 0; i < n; i++) {
        const char *at = source->events + (size_t)source->next * source->size;
        const struct value value = {
            .type = source->type, .record = at - VALUE_BASE, .at = at, .size = source->size
        };
        s4_status status = feeder_give(feeder, &value);
        if (status != S4_OK)
            return status;
        source->next = source->next + 1 == source->n ? 0 : source->next + 1;
    }
    atomic_fetch_add(&source->given, n);
    return n > 0 ? S4_OK : S4_AGAIN;
}

static void source_over(struct feed *feed, s4_status status)
{
    atomic_store(&CONTAINER_OF(feed, struct source, feed)->closed, true);
}

/* ---- the nodes ------------------------------------------------------------------------------- */

static void moved(void *user, uint32_t slot, uint64_t move, bool done, const char *why)
{
    if (!done)
        die("a slot cannot come", why);
    atomic_store(&moved_here, move);
}

static void failed(void *user, const struct diag *diag)
{
    die("a node", diag->text);
}

static void faulted(void *user, const char *text)
{
    die("an engine", text);
}

static bool step(struct side *side)
{
    pthread_mutex_lock(&side->lock);
    bool any = node_step(side->node);
    any |= ferry_net_step(side->ferry, 64);
    pthread_mutex_unlock(&side->lock);
    return any;
}

static void *run(void *arg)
{
    struct side *side = arg;
    while (!atomic_load(&side->stop))
        if (!step(side))
            net_wait(ferry_net_net(side->ferry), PAUSE_US);
    return NULL;
}

static void open_net(struct side *side, uint32_t i)
{
    struct diag diag = { 0 };
    struct transport_zmq_options zmq = { 0 };
    struct ferry_net_options ferry = { .clock = &clock_real, .node = i ? "far" : "near" };
    ferry.seed = i + 1;
    side->upcalls = (struct node_upcalls){ .moved = moved, .failed = failed };
    struct node_options node = { .upcalls = &side->upcalls };
    CHECK(pthread_mutex_init(&side->lock, NULL) == 0);
    CHECK(block_pool_create(BLOCK_SIZE_DEFAULT, &side->blocks) == S4_OK);
    zmq.pool = side->blocks;
    if (transport_zmq_create(&zmq, &ferry.transport, &diag) != S4_OK ||
        ferry_net_create(&ferry, &side->ferry, &diag) != S4_OK ||
        net_bind(ferry_net_net(side->ferry), "tcp://127.0.0.1:*", &diag) != S4_OK)
        die("net", diag.text);
    CHECK(node_create(&node, &side->node) == S4_OK);
    struct map_member *member = &map->members[i];
    snprintf(member->name, sizeof member->name, "%s", ferry.node);
    snprintf(member->address, sizeof member->address, "%s",
             net_address(ferry_net_net(side->ferry)));
    member->incarnation = 100 + i;
    member->workers = 1;
    member->since = 1;
    member->state = MAP_ACTIVE;
}

static void open_engine(struct side *side, uint32_t i, const struct bundle *bundle)
{
    struct diag diag = { 0 };
    struct plugin *plugin = NULL;
    struct problems problems;
    uint16_t workers[MAP_SLOTS_MAX];
    uint64_t genesis[MAP_SLOTS_MAX + LINK_INTAKES_MAX];
    node_first_map(map, workers, genesis);
    const struct engine_options options = { .workers = 1,
                                            .slots = SLOTS,
                                            .threads = true,
                                            .feed_thread = i == 0,
                                            .seed = i + 1,
                                            .nodes = ENGINE_NODES_MAX,
                                            .node = i,
                                            .map = workers,
                                            .genesis = genesis,
                                            .remote = node_remote(side->node),
                                            .blocks = side->blocks,
                                            .fault = faulted };
    problems_init(&problems);
    if (plugin_load(bundle, NULL, &plugin, &problems) != S4_OK)
        die("bundle", problems.count ? problems.list[0].text : "cannot be loaded");
    if (engine_create(&options, &side->engine, &diag) != S4_OK ||
        engine_start(side->engine, &diag) != S4_OK ||
        engine_deploy(side->engine, bundle, plugin, &diag) != S4_OK)
        die("engine", diag.text);
    plugin_release(plugin);
    problems_fini(&problems);
    ferry_net_identify(side->ferry, side->node, 1, map->members[i].incarnation);
    CHECK(node_join(side->node, side->engine, ferry_net_ferry(side->ferry), map, i) == S4_OK);
}

static void close_side(struct side *side)
{
    atomic_store(&side->stop, true);
    pthread_join(side->thread, NULL);
    engine_stop(side->engine);
    node_stop(side->node);
    engine_destroy(side->engine);
    ferry_net_destroy(side->ferry);
    node_destroy(side->node);
    block_pool_destroy(side->blocks);
    pthread_mutex_destroy(&side->lock);
}

/* ---- moving ---------------------------------------------------------------------------------- */

static void tell_all(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        pthread_mutex_lock(&sides[i].lock);
        CHECK(node_map(sides[i].node, map) == S4_OK);
        pthread_mutex_unlock(&sides[i].lock);
        net_wake(ferry_net_net(sides[i].ferry));
    }
}

static bool all_have_it(void)
{
    bool all = true;
    for (uint32_t i = 0; i < 2; i++) {
        pthread_mutex_lock(&sides[i].lock);
        all &= node_version(sides[i].node) == map->version;
        pthread_mutex_unlock(&sides[i].lock);
    }
    return all;
}

/* There and back in turn; answers the milliseconds that it stood still. */
static double move(uint32_t slot)
{
    struct map_slot *s = &map->slots[slot];
    struct side *from = &sides[s->owner];
    s->target = (uint8_t)!s->owner;
    s->move = ++map->version;
    tell_all();
    while (atomic_load(&moved_here) != s->move)
        usleep(PAUSE_US);
    s->owner = s->target;
    s->target = MAP_NOBODY;
    s->epoch = ++map->version;
    tell_all();
    while (!all_have_it())
        usleep(PAUSE_US);
    pthread_mutex_lock(&from->lock);
    uint64_t us = node_counters(from->node).frozen_us;
    pthread_mutex_unlock(&from->lock);
    return (double)us / 1000;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t instances(void)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct engine_status status;
        CHECK(engine_status(sides[i].engine, &status) == S4_OK);
        n += status.apps[0].counters.instances;
        mem_free(status.apps);
    }
    return n;
}

static void measure(struct source *source, uint32_t moves)
{
    double frozen[64];
    CHECK(moves > 0 && moves <= ARRAY_LEN(frozen));
    while (instances() < source->n) /* the first time round they are made */
        usleep(1000);
    uint64_t before = atomic_load(&source->given);
    usleep(FULL_MS * 1000);
    double full = (double)(atomic_load(&source->given) - before) * 1000 / FULL_MS;
    atomic_store(&source->rate, (uint64_t)(full / 2));
    usleep(FULL_MS * 1000 / 3);
    for (uint32_t i = 0; i < moves; i++)
        frozen[i] = move(i % SLOTS);
    struct node_counters c[2];
    for (uint32_t i = 0; i < 2; i++)
        c[i] = node_counters(sides[i].node);
    qsort(frozen, moves, sizeof frozen[0], compare);
    printf("{\"value\": %.2f, \"median\": %.2f, \"least\": %.2f, \"reference\": %.3f, "
           "\"instances\": %u, \"moves\": %u, \"copied\": %.2f, \"frozen\": %.2f}\n",
           frozen[moves - 1], frozen[moves / 2], frozen[0], full / 2e6, source->n / SLOTS, moves,
           (double)(c[0].copied + c[1].copied) / moves / 1e6,
           (double)(c[0].copied_frozen + c[1].copied_frozen) / moves / 1e6);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void make_map(void)
{
    CHECK(map_create(1, SLOTS, &map) == S4_OK);
    map->version = 1;
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        map->slots[slot] = (struct map_slot){ .owner = (uint8_t)(slot % 2),
                                              .target = MAP_NOBODY,
                                              .epoch = 1,
                                              .generation = 1,
                                              .genesis = 1 };
}

int main(int argc, char **argv)
{
    struct source source = { .feed = { .step = source_gives, .closed = source_over } };
    struct bundle *bundle = NULL;
    struct problems problems;
    struct diag diag = { 0 };
    if (argc > 1 && strcmp(argv[1], PLUGIN_CHECKER_FLAG) == 0)
        return plugin_checker_main(argc, argv);
    if (argc < 4) {
        fprintf(stderr, "usage: move_bench LINES BUNDLE STREAM [INSTANCES [MOVES]]\n");
        return 2;
    }
    alarm(BENCH_SECONDS);
    CHECK(setenv("S4_BENCH_LINES", argv[1], 1) == 0);
    problems_init(&problems);
    if (bundle_open(argv[2], &bundle, &problems) != S4_OK)
        die(argv[2], problems.count ? problems.list[0].text : "cannot be opened");
    make_map();
    make_events(&source, bundle,
                SLOTS * (argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : INSTANCES));
    for (uint32_t i = 0; i < 2; i++)
        open_net(&sides[i], i);
    for (uint32_t i = 0; i < 2; i++)
        open_engine(&sides[i], i, bundle);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(pthread_create(&sides[i].thread, NULL, run, &sides[i]) == 0);
    if (engine_feed(sides[0].engine, bundle->graph->app, argv[3], &source.feed, &diag) != S4_OK)
        die("feed", diag.text);
    measure(&source, argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : MOVES);
    atomic_store(&source.stop, true);
    while (!atomic_load(&source.closed))
        usleep(1000);
    for (uint32_t i = 0; i < 2; i++)
        close_side(&sides[i]);
    map_destroy(map);
    mem_free(source.events);
    bundle_release(bundle);
    problems_fini(&problems);
    return 0;
}
