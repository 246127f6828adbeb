/* The glue between an engine and a net; see the header. */
#include "pe/host/peers.h"

#include <stdatomic.h>

#include "runtime/base/mem.h"
#include "runtime/record/block.h"

#define STEP_MESSAGES 64u

enum item_kind { ITEM_BLOCK, ITEM_TAKEN, ITEM_APPLIED };

/* Something for the stepping thread. */
struct item {
    struct item *next;
    enum item_kind kind;
    struct block *block;
    uint64_t schema;
    char app[72];
    struct net_token token;
};

struct peers {
    struct engine_remote remote;
    uint32_t nodes, node;
    struct engine *engine;
    struct net *net;
    struct engine **others;       /* owned array; NULL: none known */
    uint32_t *route;              /* peer per node */
    _Atomic(struct item *) items; /* newest first; release in push pairs with acquire in take */
    _Atomic uint32_t handed;      /* blocks among them */
    _Atomic uint32_t unsent;      /* blocks that net holds without credit */
    _Atomic bool full;            /* a source waits; with these two sequentially consistent */
    _Atomic bool failed;          /* release after `fault` is written */
    char fault[DIAG_TEXT_MAX];
};

static void fail(struct peers *peers, const char *who, const char *text)
{
    if (atomic_load_explicit(&peers->failed, memory_order_acquire))
        return;
    snprintf(peers->fault, sizeof peers->fault, "node %s: %.900s", who, text);
    atomic_store_explicit(&peers->failed, true, memory_order_release);
}

const char *peers_fault(const struct peers *peers)
{
    return atomic_load_explicit(&peers->failed, memory_order_acquire) ? peers->fault : NULL;
}

/* ---- from the workers ---------------------------------------------------------------------- */

static void push(struct peers *peers, struct item *item)
{
    struct item *head = atomic_load_explicit(&peers->items, memory_order_relaxed);
    do
        item->next = head;
    while (!atomic_compare_exchange_weak_explicit(&peers->items, &head, item, memory_order_release,
                                                  memory_order_relaxed));
    if (!head && peers->net)
        net_wake(peers->net);
}

static struct item *make(struct peers *peers, enum item_kind kind)
{
    struct item *item = mem_zalloc(sizeof *item);
    if (item)
        item->kind = kind;
    else
        fail(peers, "this", "out of memory for a block on its way");
    return item;
}

static void send_block(void *user, const char *app, uint64_t schema, struct block *block)
{
    struct peers *peers = user;
    struct item *item = make(peers, ITEM_BLOCK);
    if (!item) {
        block_release(block);
        return;
    }
    item->block = block;
    item->schema = schema;
    snprintf(item->app, sizeof item->app, "%s", app);
    atomic_fetch_add(&peers->handed, 1);
    push(peers, item);
}

static void push_token(struct peers *peers, enum item_kind kind, const uint64_t token[2])
{
    struct item *item = make(peers, kind);
    if (!item)
        return;
    memcpy(&item->token, token, sizeof item->token);
    push(peers, item);
}

static void taken(void *user, const uint64_t token[2])
{
    push_token(user, ITEM_TAKEN, token);
}

static void applied(void *user, const uint64_t token[2])
{
    push_token(user, ITEM_APPLIED, token);
}

static uint32_t count_waiting(const struct peers *peers)
{
    return atomic_load(&peers->handed) + atomic_load(&peers->unsent);
}

/* A source that has to wait says so, and looks once more: either it sees that less waits now, or
 * the stepping thread, which looks for `full` after every change, wakes it. */
static uint32_t waiting(void *user)
{
    struct peers *peers = user;
    uint32_t n = count_waiting(peers);
    if (n < ENGINE_REMOTE_WAITING)
        return n;
    atomic_store(&peers->full, true);
    return count_waiting(peers);
}

static void flight(void *user, const char *app, uint64_t *begun, uint64_t *ended)
{
    struct peers *peers = user;
    for (uint32_t i = 0; peers->others && i < peers->nodes; i++)
        if (peers->others[i] && i != peers->node)
            engine_flight(peers->others[i], app, begun, ended);
}

/* ---- the stepping thread ------------------------------------------------------------------- */

static void arrived(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct peers *peers = user;
    struct diag diag = { 0 };
    struct engine_arrival how = { .taken = taken, .applied = applied, .user = peers };
    _Static_assert(sizeof how.token == sizeof arrival->token, "a token is two words");
    memcpy(how.token, &arrival->token, sizeof how.token);
    if (engine_arrived(peers->engine, arrival->app, arrival->schema, &block, &how, &diag) == S4_OK)
        return;
    block_release(block);
    fail(peers, arrival->peer, diag.text);
}

static void session_failed(void *user, const char *peer, uint64_t incarnation,
                           const struct diag *diag)
{
    fail(user, peer, diag->text);
}

/* Connections come and go; a node that stays away takes its slots with it, and nobody has them. One
 * that never came may still come. */
static void unheard(void *user, const struct net_silence *silence)
{
    if (!silence->heard && silence->ever)
        fail(user, silence->peer, "nothing was heard of it for too long");
}

const struct net_upcalls peers_upcalls = {
    .block_arrived = arrived,
    .unheard = unheard,
    .failed = session_failed,
};

static void step_block(struct peers *peers, struct item *item)
{
    const struct block *block = item->block;
    uint32_t node = block->worker / ENGINE_WORKERS_MAX;
    uint32_t lane = net_lane((uint16_t)(peers->node * ENGINE_WORKERS_MAX), block->worker);
    struct diag diag = { 0 };
    atomic_fetch_sub(&peers->handed, 1);
    s4_status status =
        net_send(peers->net, peers->route[node], lane, item->app, item->schema, 0, &item->block);
    if (status == S4_OK)
        return;
    diag_set(&diag, status, "a block could not be sent: %s", s4_status_text(status));
    block_release(item->block);
    fail(peers, "this", diag.text);
}

static bool step_items(struct peers *peers)
{
    struct item *stack = atomic_exchange_explicit(&peers->items, NULL, memory_order_acquire);
    struct item *oldest = NULL;
    while (stack) {
        struct item *next = stack->next;
        stack->next = oldest;
        oldest = stack;
        stack = next;
    }
    bool any = oldest != NULL;
    while (oldest) {
        struct item *next = oldest->next;
        if (oldest->kind == ITEM_BLOCK)
            step_block(peers, oldest);
        else if (oldest->kind == ITEM_TAKEN)
            net_credit(peers->net, &oldest->token);
        else
            net_applied(peers->net, &oldest->token);
        mem_free(oldest);
        oldest = next;
    }
    return any;
}

/* Tells sources what waits, and wakes them when it has become little. */
static void mind_sources(struct peers *peers)
{
    atomic_store(&peers->unsent, (uint32_t)net_counters(peers->net).out.frames_waiting);
    if (!atomic_load(&peers->full) || count_waiting(peers) > ENGINE_REMOTE_WAITING / 2)
        return;
    atomic_store(&peers->full, false);
    engine_credit(peers->engine);
}

bool peers_step(struct peers *peers)
{
    bool any = step_items(peers);
    any |= net_step(peers->net, STEP_MESSAGES);
    if (any)
        mind_sources(peers);
    return any;
}

/* ---- life ---------------------------------------------------------------------------------- */

s4_status peers_create(uint32_t nodes, uint32_t node, struct peers **peers)
{
    struct peers *made = mem_zalloc(sizeof *made);
    if (!made)
        return S4_NO_MEMORY;
    made->remote = (struct engine_remote){
        .send = send_block, .flight = flight, .waiting = waiting, .user = made
    };
    made->nodes = nodes;
    made->node = node;
    made->route = mem_calloc(nodes, sizeof *made->route);
    if (!made->route) {
        mem_free(made);
        return S4_NO_MEMORY;
    }
    *peers = made;
    return S4_OK;
}

void peers_destroy(struct peers *peers)
{
    if (!peers)
        return;
    for (struct item *item = atomic_exchange(&peers->items, NULL); item;) {
        struct item *next = item->next;
        if (item->block)
            block_release(item->block);
        mem_free(item);
        item = next;
    }
    mem_free(peers->others);
    mem_free(peers->route);
    mem_free(peers);
}

const struct engine_remote *peers_remote(struct peers *peers)
{
    return &peers->remote;
}

void peers_join(struct peers *peers, struct engine *engine, struct net *net,
                struct engine *const *others)
{
    peers->engine = engine;
    peers->net = net;
    if (!others)
        return;
    peers->others = mem_dup(others, peers->nodes * sizeof(struct engine *));
    CHECK(peers->others);
}

void peers_route(struct peers *peers, uint32_t node, uint32_t peer)
{
    peers->route[node] = peer;
}
