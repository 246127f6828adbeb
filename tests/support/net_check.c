/* One body per promise of runtime/net/net.h: two nodes that send random blocks to each other on
 * four lanes, and take in and apply what arrives in random order. */
#include "tests/support/net_check.h"

#include <check.h>
#include <pthread.h>

#include "runtime/base/rng.h"
#include "runtime/net/net.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, LANES = WORKERS * WORKERS, OWED_MAX = 8192, BLOCKS = 500, STEP_MAX = 16 };

struct owed {
    struct net_token token;
    struct block *block; /* held until it is applied, as a worker would */
    bool credited;
};

/* One node: it sends `blocks` on each lane, and checks what arrives. */
struct node {
    struct ends *ends;
    int end;
    struct rng rng;
    struct net *net;
    uint32_t peer; /* the other one */
    uint32_t window;
    uint64_t blocks;
    uint64_t sent[LANES], arrived[LANES], returned[LANES];
    struct owed owed[OWED_MAX];
    size_t owed_count;
    bool up, closing;
    bool any_peer; /* more than one connection: whichever is up first */
    int failed, unheard, heard_again;
    struct diag diag;
};

static uint64_t seed_of(int from, size_t lane, uint64_t frame)
{
    return (uint64_t)(from + 1) << 48 | (uint64_t)lane << 40 | frame;
}

static size_t index_of(uint32_t lane)
{
    size_t source = lane >> 16, destination = lane & 0xffff;
    ck_assert(source < WORKERS && destination < WORKERS);
    return source * WORKERS + destination;
}

static void on_block(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct node *node = user;
    size_t lane = index_of(arrival->token.lane);
    uint64_t frame = ++node->arrived[lane];
    ck_assert_uint_eq(arrival->token.frame, frame);
    ck_assert_uint_le(frame, node->returned[lane] + node->window);
    ck_assert_str_eq(arrival->peer, node->end == 0 ? "b" : "a");
    ck_assert_uint_eq(arrival->incarnation, 100 + (uint64_t)!node->end);
    ck_assert_str_eq(arrival->app, "words");
    ck_assert_uint_eq(arrival->schema, 12345);
    ck_assert_uint_eq(arrival->version, frame - 1);
    ends_check_block(block, seed_of(!node->end, lane, frame));
    ck_assert_uint_lt(node->owed_count, OWED_MAX);
    node->owed[node->owed_count++] = (struct owed){ .token = arrival->token, .block = block };
}

static void on_up(void *user, uint32_t peer)
{
    struct node *node = user;
    ck_assert(node->any_peer || peer == node->peer);
    node->up = true;
}

static void on_unheard(void *user, const struct net_silence *silence)
{
    struct node *node = user;
    ck_assert_str_eq(silence->peer, node->end == 0 ? "b" : "a");
    ck_assert_uint_eq(silence->incarnation, 100 + (uint64_t)!node->end);
    ck_assert(silence->ever);
    if (silence->heard)
        node->heard_again++;
    else
        node->unheard++;
}

static void on_failed(void *user, const char *peer, uint64_t incarnation, const struct diag *diag)
{
    struct node *node = user;
    node->failed++;
    node->diag = *diag;
}

static const struct net_upcalls upcalls = {
    .block_arrived = on_block,
    .peer_up = on_up,
    .unheard = on_unheard,
    .failed = on_failed,
};

static void node_create_as(struct node *node, struct ends *ends, int end, const char *name,
                           uint64_t seed, uint64_t unheard_us)
{
    struct diag diag = { 0 };
    *node = (struct node){ .ends = ends, .end = end, .window = 8 };
    rng_init(&node->rng, seed + (uint64_t)end);
    struct net_options options = {
        .transport = ends->transports[end],
        .clock = ends->clock,
        .node = name,
        .seed = rng_next(&node->rng),
        .window = node->window,
        .unheard_us = unheard_us,
        .upcalls = &upcalls,
        .user = node,
    };
    ck_assert_int_eq(net_create(&options, &node->net, &diag), S4_OK);
    net_identify(node->net, 7, 100 + (uint64_t)end);
    s4_status status = net_bind(node->net, end == 0 && ends->sim ? "a" : ends_address(ends), &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
}

static void node_create(struct node *node, struct ends *ends, int end, uint64_t seed,
                        uint64_t unheard_us)
{
    node_create_as(node, ends, end, end == 0 ? "a" : "b", seed, unheard_us);
}

/* `unheard_us` 0: what is usual. */
static void nodes_open(struct node nodes[2], struct ends *ends, enum ends_kind kind, uint64_t seed,
                       uint64_t unheard_us)
{
    struct diag diag = { 0 };
    ends_open(ends, kind, seed, 0);
    for (int i = 0; i < 2; i++)
        node_create(&nodes[i], ends, i, seed, unheard_us);
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "b" : "a";
        ck_assert_int_eq(
            net_connect(nodes[i].net, name, 0, net_address(nodes[!i].net), &nodes[i].peer, &diag),
            S4_OK);
    }
}

static void node_destroy(struct node *node)
{
    for (size_t i = 0; i < node->owed_count; i++)
        block_release(node->owed[i].block);
    net_destroy(node->net);
    node->ends->transports[node->end] = NULL;
}

static void nodes_close(struct node nodes[2], struct ends *ends)
{
    for (int i = 0; i < 2; i++)
        node_destroy(&nodes[i]);
    ends_close(ends);
}

static bool node_send(struct node *node)
{
    size_t lane = rng_below(&node->rng, LANES);
    if (node->sent[lane] == node->blocks)
        return false;
    struct block *block =
        ends_block(node->ends->pools[node->end], seed_of(node->end, lane, node->sent[lane] + 1));
    uint32_t number = net_lane((uint16_t)(lane / WORKERS), (uint16_t)(lane % WORKERS));
    ck_assert_int_eq(
        net_send(node->net, node->peer, number, "words", 12345, node->sent[lane], &block), S4_OK);
    node->sent[lane]++;
    return true;
}

static void node_settle(struct node *node)
{
    if (node->owed_count == 0)
        return;
    size_t i = rng_below(&node->rng, node->owed_count);
    struct owed *owed = &node->owed[i];
    if (!owed->credited) {
        net_credit(node->net, &owed->token);
        node->returned[index_of(owed->token.lane)]++;
        owed->credited = true;
    } else {
        net_applied(node->net, &owed->token);
        block_release(owed->block);
        *owed = node->owed[--node->owed_count];
    }
}

static bool node_is_done(const struct node *node)
{
    uint64_t sent = 0, arrived = 0;
    for (size_t lane = 0; lane < LANES; lane++) {
        sent += node->sent[lane];
        arrived += node->arrived[lane];
    }
    return sent == LANES * node->blocks && arrived == sent && node->owed_count == 0;
}

/* One round of a node's thread; true: there was work. */
static bool node_step(struct node *node)
{
    bool work = node_send(node);
    for (uint64_t n = rng_below(&node->rng, 6); n > 0; n--)
        node_settle(node);
    work |= net_step(node->net, STEP_MAX);
    ck_assert_msg(node->failed == 0, "%s", node->diag.text);
    if (!node->closing && node_is_done(node)) {
        net_close(node->net);
        node->closing = true;
    }
    return work || node->owed_count > 0;
}

static void idle(struct node nodes[2], struct ends *ends)
{
    if (ends->kind == ENDS_SIM) {
        ends_idle(ends, 0);
        return;
    }
    for (int i = 0; i < 2; i++)
        net_wait(nodes[i].net, 1000);
}

static void check_all_arrived(const struct node nodes[2])
{
    struct net_counters counters[2] = { net_counters(nodes[0].net), net_counters(nodes[1].net) };
    for (int i = 0; i < 2; i++) {
        ck_assert(net_is_drained(nodes[i].net));
        ck_assert_uint_eq(counters[i].out.frames_sent, LANES * nodes[i].blocks);
        ck_assert_uint_eq(counters[i].out.frames_applied, counters[i].out.frames_sent);
        ck_assert_uint_eq(counters[!i].in.frames_received, counters[i].out.frames_sent);
        ck_assert_uint_eq(counters[!i].in.bytes_received, counters[i].out.bytes_sent);
        ck_assert_uint_eq(counters[i].out.transport_full, 0);
        ck_assert_uint_eq(counters[i].refused, 0);
    }
}

void net_check_both_ways(enum ends_kind kind)
{
    struct ends ends;
    struct node nodes[2];
    nodes_open(nodes, &ends, kind, suite_seed(), 0);
    nodes[0].blocks = nodes[1].blocks = BLOCKS;
    while (!net_is_closed(nodes[0].net) || !net_is_closed(nodes[1].net)) {
        bool work = node_step(&nodes[0]);
        work |= node_step(&nodes[1]);
        if (!work)
            idle(nodes, &ends);
    }
    check_all_arrived(nodes);
    nodes_close(nodes, &ends);
}

static void count_held(void *user, const struct session_frame *frame, const struct block *block)
{
    uint64_t *held = user;
    ck_assert_uint_eq(frame->frame, ++*held);
    ck_assert_uint_eq(frame->version, *held - 1);
    ends_check_block(block, seed_of(0, 0, *held));
}

/* The window's frames arrive and not one more (on_block checks it); a quarter of the window,
 * returned, brings as many. */
void net_check_window(enum ends_kind kind)
{
    enum { QUARTERS = 3 };
    struct ends ends;
    struct node nodes[2];
    nodes_open(nodes, &ends, kind, 3, 0);
    struct node *from = &nodes[0], *to = &nodes[1];
    uint64_t quarter = to->window / 4, frames = to->window + QUARTERS * quarter;
    for (uint64_t frame = 1; frame <= frames; frame++) {
        struct block *block = ends_block(ends.pools[0], seed_of(0, 0, frame));
        ck_assert_int_eq(net_send(from->net, from->peer, 0, "words", 12345, frame - 1, &block),
                         S4_OK);
    }
    for (uint64_t i = 0; i <= QUARTERS; i++) {
        while (to->arrived[0] < to->window + i * quarter) {
            bool work = net_step(from->net, STEP_MAX);
            work |= net_step(to->net, STEP_MAX);
            if (!work)
                idle(nodes, &ends);
        }
        struct session_counters out = net_counters(from->net).out;
        ck_assert_uint_eq(out.frames_waiting, (QUARTERS - i) * quarter);
        ck_assert_uint_eq(out.frames_held, frames);
        for (uint64_t n = 0; n < quarter; n++)
            net_credit(to->net, &to->owed[to->returned[0]++].token);
    }
    uint64_t held = 0;
    net_walk(from->net, from->peer, count_held, &held);
    ck_assert_uint_eq(held, frames);
    ck_assert(!net_is_drained(from->net));
    nodes_close(nodes, &ends);
}

/* --- a thread per node --- */

static void *run_node(void *arg)
{
    struct node *node = arg;
    while (!net_is_closed(node->net)) {
        if (!node_step(node))
            net_wait(node->net, 1000000);
    }
    return NULL;
}

void net_check_threads(enum ends_kind kind)
{
    struct ends ends;
    struct node nodes[2];
    pthread_t threads[2];
    nodes_open(nodes, &ends, kind, suite_seed(), 0);
    nodes[0].blocks = nodes[1].blocks = BLOCKS;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_node, &nodes[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    check_all_arrived(nodes);
    nodes_close(nodes, &ends);
}

/* --- failures --- */

static void step_until_failed(struct node *node, struct node *other)
{
    while (!node->failed) {
        bool work = net_step(node->net, STEP_MAX);
        work |= net_step(other->net, STEP_MAX);
        if (!work && node->ends->kind == ENDS_SIM)
            ends_idle(node->ends, 0);
        else if (!work)
            net_wait(node->net, 1000);
    }
}

static void step_or_idle(struct node *node)
{
    if (net_step(node->net, STEP_MAX))
        return;
    if (node->ends->kind == ENDS_SIM)
        ends_idle(node->ends, 0);
    else
        net_wait(node->net, 1000);
}

/* A node that is gone is told of once, however many sessions there are with it; it ends when its
 * end is said, and not before. */
void net_check_loss(enum ends_kind kind)
{
    struct ends ends;
    struct node nodes[2];
    struct diag diag = { 0 };
    uint32_t again = 99;
    nodes_open(nodes, &ends, kind, 4, NET_UNHEARD_MIN_US);
    struct block *block = ends_block(ends.pools[1], seed_of(1, 0, 1));
    ck_assert_int_eq(net_send(nodes[1].net, nodes[1].peer, 0, "words", 12345, 0, &block), S4_OK);
    while (!nodes[0].up || !nodes[1].up || nodes[0].owed_count == 0) {
        step_or_idle(&nodes[0]);
        step_or_idle(&nodes[1]);
    }
    node_destroy(&nodes[1]);
    while (nodes[0].unheard == 0)
        step_or_idle(&nodes[0]);
    for (int i = 0; i < 100; i++)
        step_or_idle(&nodes[0]);
    ck_assert_int_eq(nodes[0].unheard, 1);
    ck_assert_int_eq(nodes[0].failed, 0);
    node_settle(&nodes[0]); /* without a connection */
    node_settle(&nodes[0]);
    block = ends_block(ends.pools[0], 1);
    ck_assert_int_eq(net_send(nodes[0].net, nodes[0].peer, 0, "words", 1, 0, &block), S4_OK);
    ck_assert_uint_eq(net_counters(nodes[0].net).out.frames_held, 1);
    net_end(nodes[0].net, nodes[0].peer);
    net_end_from(nodes[0].net, "b", 101);
    net_step(nodes[0].net, STEP_MAX);
    ck_assert_uint_eq(net_counters(nodes[0].net).out.frames_held, 0);
    net_credit(nodes[0].net,
               &(struct net_token){ 1, 0, 1 }); /* of a session that is over: ignored */
    ck_assert_int_eq(net_connect(nodes[0].net, "b", 0, "nowhere", &again, &diag), S4_OK);
    ck_assert_uint_eq(again, nodes[0].peer);
    for (int i = 0; i < 10; i++)
        step_or_idle(&nodes[0]); /* an address that is none is tried again */
    node_destroy(&nodes[0]);
    ends_close(&ends);
}

void net_check_wrong_node(enum ends_kind kind)
{
    struct ends ends;
    struct node nodes[2];
    struct diag diag;
    uint32_t second;
    ends_open(&ends, kind, 5, 0);
    for (int i = 0; i < 2; i++)
        node_create(&nodes[i], &ends, i, 5, 0);
    ck_assert_int_eq(
        net_connect(nodes[0].net, "c", 0, net_address(nodes[1].net), &nodes[0].peer, &diag), S4_OK);
    step_until_failed(&nodes[0], &nodes[1]);
    ck_assert_msg(strstr(nodes[0].diag.text, "this is node b, not c") != NULL, "%s",
                  nodes[0].diag.text);
    nodes_close(nodes, &ends);

    nodes_open(nodes, &ends, kind, 6, 0); /* and two of one name are one too many */
    ck_assert_int_eq(net_connect(nodes[0].net, "b", 0, net_address(nodes[1].net), &second, &diag),
                     S4_OK);
    nodes[0].any_peer = true;
    step_until_failed(&nodes[0], &nodes[1]);
    ck_assert_msg(strstr(nodes[0].diag.text, "a node named a is connected") != NULL, "%s",
                  nodes[0].diag.text);
    ck_assert_int_eq(nodes[1].failed, 0);
    ck_assert_uint_eq(net_counters(nodes[1].net).refused, 1);
    nodes_close(nodes, &ends);
}

/* With the key of a, it says that it is z; and where a listens, z answers. */
void net_check_names(void)
{
    for (int liar = 0; liar < 2; liar++) {
        struct ends ends;
        struct node nodes[2];
        struct diag diag;
        ends_open(&ends, ENDS_CURVE, 9, 0);
        node_create_as(&nodes[0], &ends, 0, liar == 0 ? "z" : "a", 9, 0);
        node_create_as(&nodes[1], &ends, 1, liar == 1 ? "z" : "b", 9, 0);
        ck_assert_int_eq(
            net_connect(nodes[0].net, NULL, 0, net_address(nodes[1].net), &nodes[0].peer, &diag),
            S4_OK);
        step_until_failed(&nodes[0], &nodes[1]);
        ck_assert_msg(strstr(nodes[0].diag.text, liar == 0 ? "it is node z, and has the key of a"
                                                           : "it is node z, and has the key of b"),
                      "%s", nodes[0].diag.text);
        ck_assert(!nodes[0].up);
        ck_assert_int_eq(nodes[1].failed, 0);
        nodes_close(nodes, &ends);
    }
}

static void ignore_connected(void *user, uint64_t peer, bool opened)
{
    *(bool *)user = true;
}
static void ignore_received(void *user, uint64_t peer, const void *envelope, size_t size,
                            struct block *block)
{
}
static void ignore_closed(void *user, uint64_t peer, const char *reason)
{
}

/* Somebody who reaches the port and is no node: refused, counted, and the node goes on. */
void net_check_strangers(enum ends_kind kind)
{
    enum { STRANGERS = 10 };
    static const struct transport_upcalls stranger = { ignore_connected, ignore_received,
                                                       ignore_closed };
    struct ends ends;
    struct node node;
    struct diag diag;
    uint64_t peer;
    ends_open(&ends, kind, 7, 0);
    node_create(&node, &ends, 1, 7, 0);
    for (unsigned i = 1; i <= STRANGERS; i++) {
        bool up = false;
        transport_attach(ends.transports[0], &stranger, &up);
        ck_assert_int_eq(transport_connect(ends.transports[0], net_address(node.net), &peer, &diag),
                         S4_OK);
        bool sent = false;
        while (net_counters(node.net).refused < i) {
            size_t work = transport_step(ends.transports[0], STEP_MAX);
            if (up && !sent)
                sent =
                    transport_send(ends.transports[0], peer, "GET / HTTP/1.1", 14, NULL) == S4_OK;
            if (!net_step(node.net, STEP_MAX) && !work)
                ends_idle(&ends, 0);
        }
    }
    ck_assert_int_eq(node.failed, 0);
    ck_assert(net_is_closed(node.net));
    node_destroy(&node);
    ends_close(&ends);
}
