/* Two transports of one kind; see the header. */
#include "tests/support/ends.h"

#include <check.h>

#include "runtime/base/rng.h"
#include "runtime/net/transport_zmq.h"

#define DELAY_MAX_US 300

static void open_zmq(struct ends *ends, uint32_t queue_max)
{
    struct diag diag = { 0 };
    for (int i = 0; i < 2; i++) {
        struct transport_zmq_options options = { .pool = ends->pools[i],
                                                 .queue_max = queue_max,
                                                 .ring = ends->rings[i] };
        ck_assert_msg(transport_zmq_create(&options, &ends->transports[i], &diag) == S4_OK, "%s",
                      diag.text);
    }
}

static void open_keys(struct ends *ends)
{
    static const char *const names[] = { "a", "b" };
    for (int i = 0; i < 2; i++) {
        key_place_open(&ends->places[i]);
        key_place_draw(&ends->places[i], KEYRING_NODE, names[i]);
        key_place_revoke(&ends->places[i], KEYRING_NODE, names[i]);
    }
    for (int i = 0; i < 2; i++) {
        key_place_admit(&ends->places[i], KEYRING_NODE, names[!i], &ends->places[!i]);
        ends->rings[i] = key_place_ring(&ends->places[i], names[i]);
    }
}

static void open_sim(struct ends *ends, uint64_t seed, uint32_t queue_max)
{
    bool simulated = ends->kind == ENDS_SIM;
    struct sim_net_options options = {
        .clock = ends->clock,
        .seed = seed,
        .delay_max_us = simulated ? DELAY_MAX_US : 0,
        .queue_max = queue_max,
    };
    ck_assert_int_eq(sim_net_create(&options, &ends->sim), S4_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(sim_net_endpoint(ends->sim, ends->pools[i], &ends->transports[i]), S4_OK);
}

void ends_open(struct ends *ends, enum ends_kind kind, uint64_t seed, uint32_t queue_max)
{
    *ends = (struct ends){ .kind = kind, .clock = &clock_real };
    clock_sim_init(&ends->sim_clock, 1000000);
    if (kind == ENDS_SIM)
        ends->clock = &ends->sim_clock.clock;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(block_pool_create(BLOCK_SIZE_DEFAULT, &ends->pools[i]), S4_OK);
    if (kind == ENDS_CURVE)
        open_keys(ends);
    if (kind == ENDS_TCP || kind == ENDS_IPC || kind == ENDS_CURVE)
        open_zmq(ends, queue_max);
    else
        open_sim(ends, seed, queue_max);
}

void ends_close(struct ends *ends)
{
    for (int i = 0; i < 2; i++)
        transport_destroy(ends->transports[i]);
    sim_net_destroy(ends->sim);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(block_pool_bytes(ends->pools[i]), 0);
        block_pool_destroy(ends->pools[i]);
        keyring_close(ends->rings[i]);
        if (ends->rings[i])
            key_place_close(&ends->places[i]);
    }
}

const char *ends_address(const struct ends *ends)
{
    static const char *const addresses[] = { "b", "b", "tcp://127.0.0.1:*", "ipc://*",
                                             "tcp://127.0.0.1:*" };
    return addresses[ends->kind];
}

void ends_idle(struct ends *ends, int i)
{
    if (ends->kind != ENDS_SIM) {
        if (ends->transports[i])
            transport_wait(ends->transports[i], 1000);
        return;
    }
    uint64_t due = sim_net_due_us(ends->sim);
    uint64_t now = ends->sim_clock.now_us;
    if (due == UINT64_MAX)
        clock_sim_advance(&ends->sim_clock, 100000);
    else if (due > now)
        clock_sim_advance(&ends->sim_clock, due - now);
}

static size_t size_of(struct rng *rng)
{
    static const size_t scales[] = { 8, 1024, 9 * 1024, BLOCK_SIZE_DEFAULT };
    size_t scale = scales[rng_below(rng, ARRAY_LEN(scales))];
    return 8 * (1 + rng_below(rng, scale / 8));
}

struct block *ends_block(struct block_pool *pool, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    size_t size = size_of(&rng);
    struct block *block = block_take(pool, size);
    ck_assert_ptr_nonnull(block);
    uint64_t *words = (uint64_t *)(void *)block->data;
    for (size_t i = 0; i < size / 8; i++)
        words[i] = rng_next(&rng);
    block->used = (uint32_t)size;
    block->count = 1 + (uint32_t)(size / 64);
    block->worker = (uint16_t)seed;
    block->hops = (uint8_t)(seed >> 16);
    return block;
}

void ends_check_block(const struct block *block, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    ck_assert_uint_eq(block->used, size_of(&rng));
    ck_assert_uint_eq((uintptr_t)block->data % 8, 0);
    const uint64_t *words = (const uint64_t *)(const void *)block->data;
    for (size_t i = 0; i < block->used / 8; i++) {
        uint64_t wanted = rng_next(&rng);
        if (words[i] != wanted)
            ck_abort_msg("word %zu of block %llx differs", i, (unsigned long long)seed);
    }
}
