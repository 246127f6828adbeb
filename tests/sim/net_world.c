/* Nodes over a bad network: what they do and hear, and what must hold. See the header. */
#include "tests/sim/net_world.h"

#include <check.h>

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define SLOTS    64u
#define STEP_MAX 8

typedef unsigned long long ull;

static void trace(struct world *world, uint64_t what, uint64_t more)
{
    world->trace = hash_mix(world->trace ^ what, more ^ world->clock.now_us);
}

uint64_t world_below(struct world *world, uint64_t n)
{
    return rng_below(&world->rng, n);
}

bool world_one_in(struct world *world, uint32_t n)
{
    return n > 0 && world_below(world, n) == 0;
}

/* ---- paths ----------------------------------------------------------------------------------- */

static struct world_path *path_of(struct world *world, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < world->paths_count; i++) {
        if (world->paths[i]->from == from && world->paths[i]->to == to)
            return world->paths[i];
    }
    ck_assert_uint_lt(world->paths_count, WORLD_PATHS);
    struct world_path *path = mem_zalloc(sizeof *path);
    ck_assert_ptr_nonnull(path);
    path->from = from;
    path->to = to;
    world->paths[world->paths_count++] = path;
    return path;
}

static uint64_t word_of(const struct world_path *path, uint32_t lane, uint64_t frame)
{
    return hash_mix(path->from << 32 | path->to, (uint64_t)lane << 32 | frame);
}

static size_t words_of(uint64_t word)
{
    return 1 + word % 8;
}

/* The k-th slot whose records of a frame are not taken. */
static uint32_t slot_of(uint64_t frame, uint32_t k)
{
    return (uint32_t)(frame * 7 + k) % SLOTS;
}

/* ---- what a node hears ----------------------------------------------------------------------- */

static struct world_node *node_of(struct world *world, const char *name)
{
    return &world->nodes[name[0] - 'a'];
}

static void check_bytes(struct world *world, const struct block *block, uint64_t word)
{
    const uint64_t *words = (const uint64_t *)(const void *)block->data;
    bool same = block->used == 8 * words_of(word);
    for (size_t i = 0; same && i < block->used / 8; i++)
        same = words[i] == word;
    if (!same)
        world_broke(world, "a block has other bytes than were sent");
}

static void on_block(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct world_node *node = user;
    struct world *world = node->world;
    struct world_path *path = path_of(world, arrival->incarnation, node->incarnation);
    struct world_lane *lane = &path->lanes[arrival->token.lane];
    uint64_t frame = arrival->token.frame;
    trace(world, node->index, frame << 8 | arrival->token.lane);
    if (frame != lane->arrived + 1 || frame > lane->sent)
        world_broke(world, "%s has frame %llu of lane %u from %s behind %llu (%llu were sent)",
                    node->name, (ull)frame, arrival->token.lane, arrival->peer, (ull)lane->arrived,
                    (ull)lane->sent);
    else if (frame > lane->returned + world->draw.window)
        world_broke(world, "frame %llu came over its credit of %llu", (ull)frame,
                    (ull)lane->returned + world->draw.window);
    else if (arrival->version != lane->versions[frame])
        world_broke(world, "frame %llu was sent with version %llu, and came with %llu", (ull)frame,
                    (ull)lane->versions[frame], (ull)arrival->version);
    else
        check_bytes(world, block, word_of(path, arrival->token.lane, frame));
    block_release(block);
    if (world->broken[0])
        return;
    lane->arrived = frame;
    ck_assert_uint_lt(node->owed_count, WORLD_OWED);
    node->owed[node->owed_count++] = (struct world_owed){ .token = arrival->token, .path = path };
}

static void on_not_mine(void *user, uint32_t peer, const struct session_frame *frame,
                        const struct block *block, uint32_t slot)
{
    struct world_node *node = user;
    struct world *world = node->world;
    uint32_t to = 0;
    while (node->peers[to] != peer || to == node->index)
        to++;
    struct world_path *path = path_of(world, node->incarnation, node->known[to]);
    struct world_lane *lane = &path->lanes[frame->lane];
    uint8_t k = lane->heard[frame->frame];
    trace(world, slot, frame->frame);
    if (k >= lane->said[frame->frame])
        world_broke(world, "%s heard %u times that frame %llu was not taken", node->name, k + 1,
                    (ull)frame->frame);
    else if (slot != slot_of(frame->frame, k))
        world_broke(world, "it was not slot %u that was not taken", slot);
    check_bytes(world, block, word_of(path, frame->lane, frame->frame));
    lane->heard[frame->frame]++;
    world->not_mine++;
}

static void on_unheard(void *user, const struct net_silence *silence)
{
    struct world_node *node = user;
    struct world *world = node->world;
    struct world_node *other = node_of(world, silence->peer);
    trace(world, silence->heard, silence->incarnation);
    world->silences += !silence->heard;
    if (silence->incarnation != other->incarnation)
        return;
    if (node->unheard[other->index] != silence->heard)
        world_broke(world, "%s is told the same of %s again", node->name, other->name);
    node->unheard[other->index] = !silence->heard;
    uint64_t awake_us = world->clock.now_us - node->back_us;
    if (!silence->heard && awake_us < NET_UNHEARD_US)
        world_broke(world, "%s finds %s silent, and was not there itself until %llu ms ago",
                    node->name, other->name, (ull)awake_us / 1000);
}

static void on_failed(void *user, const char *peer, uint64_t incarnation, const struct diag *diag)
{
    struct world_node *node = user;
    struct world *world = node->world;
    trace(world, incarnation, (uint64_t)diag->code);
    if (incarnation == node_of(world, peer)->incarnation)
        world_broke(world, "%s: %.300s", node->name, diag->text);
}

static const struct net_upcalls upcalls = {
    .block_arrived = on_block,
    .not_mine = on_not_mine,
    .unheard = on_unheard,
    .failed = on_failed,
};

/* ---- nodes ----------------------------------------------------------------------------------- */

void world_connect_to(struct world_node *node, struct world_node *other)
{
    struct diag diag = { 0 };
    node->known[other->index] = other->incarnation;
    ck_assert_int_eq(net_connect(node->net, other->name, other->incarnation, other->name,
                                 &node->peers[other->index], &diag),
                     S4_OK);
}

struct block_pool *world_pool(uint32_t index)
{
    static struct block_pool *pools[WORLD_NODES]; /* for all seeds: each begins with 2 MiB */
    if (!pools[index])
        ck_assert_int_eq(block_pool_create(BLOCK_SIZE_MIN, &pools[index]), S4_OK);
    return pools[index];
}

void world_node_start(struct world *world, uint32_t index)
{
    struct world_node *node = &world->nodes[index];
    struct diag diag = { 0 };
    *node = (struct world_node){ .world = world,
                                 .index = index,
                                 .name = { (char)('a' + index) },
                                 .incarnation = ++world->incarnations,
                                 .pool = world_pool(index),
                                 .stepped_us = world->clock.now_us,
                                 .back_us = world->clock.now_us };
    ck_assert_int_eq(sim_net_endpoint(world->sim, node->pool, &node->transport), S4_OK);
    struct net_options options = {
        .transport = node->transport,
        .clock = &world->clock.clock,
        .node = node->name,
        .seed = rng_next(&world->rng),
        .window = world->draw.window,
        .upcalls = &upcalls,
        .user = node,
    };
    ck_assert_int_eq(net_create(&options, &node->net, &diag), S4_OK);
    ck_assert_int_eq(net_bind(node->net, node->name, &diag), S4_OK);
}

static void add_counters(struct world *world, const struct net *net)
{
    struct net_counters more = net_counters(net);
    const uint64_t *from = (const uint64_t *)&more;
    uint64_t *to = (uint64_t *)&world->counters;
    for (size_t i = 0; i < sizeof more / sizeof *from; i++)
        to[i] += from[i];
}

void world_node_stop(struct world_node *node)
{
    add_counters(node->world, node->net);
    net_destroy(node->net);
}

void world_unblock(struct world *world, uint32_t from, uint32_t to)
{
    sim_net_block(world->sim, world->nodes[from].transport, world->nodes[to].transport, false);
    world->blocked_until_us[from][to] = 0;
}

/* It starts again; the others are told by and by. */
void world_restart(struct world *world, uint32_t index)
{
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        world->nodes[i].unheard[index] = false;
        if (i != index) {
            world_unblock(world, i, index);
            world_unblock(world, index, i);
        }
    }
    world_node_stop(&world->nodes[index]);
    world_node_start(world, index);
    struct world_node *node = &world->nodes[index];
    net_identify(node->net, WORLD_CLUSTER, node->incarnation);
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        if (i != index)
            world_connect_to(node, &world->nodes[i]);
    }
    world->restarts++;
}

/* Somebody else decided that the old incarnation is dead. */
void world_tell_restart(struct world_node *node, struct world_node *other)
{
    if (node == other || node->known[other->index] == other->incarnation ||
        node->paused_until_us > node->world->clock.now_us)
        return;
    uint64_t old = node->known[other->index];
    net_end(node->net, node->peers[other->index]);
    net_end_from(node->net, other->name, old);
    world_connect_to(node, other);
}

static void send_one(struct world_node *node)
{
    struct world *world = node->world;
    uint32_t to = (uint32_t)world_below(world, world->draw.nodes);
    uint32_t number = (uint32_t)world_below(world, WORLD_LANES);
    if (to == node->index || node->known[to] == 0)
        return;
    struct world_path *path = path_of(world, node->incarnation, node->known[to]);
    struct world_lane *lane = &path->lanes[number];
    if (lane->sent == WORLD_FRAMES)
        return;
    uint64_t word = word_of(path, number, lane->sent + 1);
    struct block *block = block_take(node->pool, 8 * words_of(word));
    ck_assert_ptr_nonnull(block);
    block->used = (uint32_t)(8 * words_of(word));
    block->count = 1;
    for (size_t i = 0; i < words_of(word); i++)
        memcpy(block->data + 8 * i, &word, sizeof word);
    s4_status status =
        net_send(node->net, node->peers[to], number, "words", 1, world->version, &block);
    if (status == S4_OK)
        lane->versions[++lane->sent] = world->version;
    else
        block_release(block);
    if (status != S4_OK && node->known[to] == world->nodes[to].incarnation)
        world_broke(world, "%s cannot send to %s: %s", node->name, world->nodes[to].name,
                    s4_status_text(status));
}

static void apply(struct world_node *node, size_t i)
{
    struct world_owed owed = node->owed[i];
    struct world_lane *lane = &owed.path->lanes[owed.token.lane];
    uint64_t frame = owed.token.frame;
    for (uint64_t n = world_below(node->world, 8); n >= 6;
         n--) { /* now and then one or two slots */
        net_not_mine(node->net, &owed.token, slot_of(frame, lane->said[frame]));
        lane->said[frame]++;
    }
    net_applied(node->net, &owed.token);
    lane->is_applied[frame] = true;
    lane->applied++;
    node->owed[i] = node->owed[--node->owed_count];
}

static void settle_one(struct world_node *node)
{
    struct world *world = node->world;
    if (node->owed_count == 0)
        return;
    size_t i = world_below(world, node->owed_count);
    struct world_owed *owed = &node->owed[i];
    if (!world->released && (int)owed->token.lane == world->draw.stuck_lane)
        return;
    if (owed->credited) {
        apply(node, i);
        return;
    }
    net_credit(node->net, &owed->token);
    owed->path->lanes[owed->token.lane].returned++;
    owed->credited = true;
}

bool world_node_step(struct world_node *node)
{
    struct world *world = node->world;
    if (node->paused_until_us > world->clock.now_us)
        return false;
    if (world->clock.now_us - node->stepped_us >= SESSION_ABSENT_US)
        node->back_us = world->clock.now_us;
    node->stepped_us = world->clock.now_us;
    if (world_one_in(world, world->draw.sends) && !world->healed)
        send_one(node);
    uint64_t n = world_below(world, 4);
    n += world->healed ? node->owed_count : 0; /* a few of those that are not stuck, in any case */
    while (n-- > 0)
        settle_one(node);
    return net_step(node->net, 1 + world_below(world, STEP_MAX));
}

/* ---- rules ----------------------------------------------------------------------------------- */

struct held {
    uint64_t first[WORLD_LANES]; /* 0: nothing is held */
};

static void on_held(void *user, const struct session_frame *frame, const struct block *block)
{
    struct held *held = user;
    if (held->first[frame->lane] == 0)
        held->first[frame->lane] = frame->frame;
}

/* What is let go was applied, and what of it was not taken was heard. */
static void check_path(struct world_node *node, uint32_t to)
{
    struct world *world = node->world;
    struct world_path *path = path_of(world, node->incarnation, node->known[to]);
    struct held held = { 0 };
    net_walk(node->net, node->peers[to], on_held, &held);
    for (uint32_t l = 0; l < WORLD_LANES; l++) {
        struct world_lane *lane = &path->lanes[l];
        uint64_t gone = held.first[l] ? held.first[l] - 1 : lane->sent;
        for (uint64_t frame = lane->checked + 1; frame <= gone; frame++) {
            if (!lane->is_applied[frame])
                world_broke(world, "%s let frame %llu go, which is not applied", node->name,
                            (ull)frame);
            if (lane->heard[frame] != lane->said[frame])
                world_broke(world,
                            "%s let frame %llu go, and heard %u of %u times that it was not taken",
                            node->name, (ull)frame, lane->heard[frame], lane->said[frame]);
            lane->checked = frame;
        }
    }
}

static bool is_live(const struct world_node *node, uint32_t to)
{
    return to != node->index && node->known[to] == node->world->nodes[to].incarnation;
}

void world_check_paths(struct world *world)
{
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        for (uint32_t to = 0; to < world->draw.nodes; to++) {
            if (is_live(&world->nodes[i], to))
                check_path(&world->nodes[i], to);
        }
    }
}

/* Nothing is missing on this lane; of a stuck one nothing is said. */
static bool is_lane_settled(const struct world *world, const struct world_path *path, uint32_t l)
{
    const struct world_lane *lane = &path->lanes[l];
    if (!world->released && (int)l == world->draw.stuck_lane)
        return true;
    return lane->applied == lane->sent && lane->checked == lane->sent;
}

bool world_is_settled(struct world *world)
{
    world_check_paths(world);
    for (uint32_t i = 0; i < world->draw.nodes; i++) {
        struct world_node *node = &world->nodes[i];
        for (uint32_t to = 0; to < world->draw.nodes; to++) {
            if (!is_live(node, to))
                continue;
            struct world_path *path = path_of(world, node->incarnation, node->known[to]);
            for (uint32_t l = 0; l < WORLD_LANES; l++) {
                if (!is_lane_settled(world, path, l))
                    return false;
            }
            if (node->unheard[to])
                return false;
        }
    }
    return true;
}
