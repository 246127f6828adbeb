/* Blocks: takes and releases by many threads, large ones, memory, and frames that are not to be
 * trusted. */
#include "tests/support/suite.h"

#include <pthread.h>

#include "runtime/base/diag.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/record/block.h"

static struct block_pool *pool_of(size_t size)
{
    struct block_pool *pool = NULL;
    ck_assert_int_eq(block_pool_create(size, &pool), S4_OK);
    return pool;
}

START_TEST(take_and_release)
{
    struct block_pool *pool = pool_of(BLOCK_SIZE_DEFAULT);
    struct block *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = block_take(pool, 0);
        ck_assert_uint_eq((uintptr_t)blocks[i]->data % 64, 0);
        ck_assert_uint_eq(blocks[i]->capacity, BLOCK_SIZE_DEFAULT);
        memset(blocks[i]->data, i, blocks[i]->capacity + BLOCK_SLACK);
    }
    ck_assert_uint_ge(block_pool_bytes(pool), 100 * BLOCK_SIZE_DEFAULT);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(blocks[i]->data[0], i);
        ck_assert_int_eq(blocks[i]->data[blocks[i]->capacity + BLOCK_SLACK - 1], i);
        block_hold(blocks[i]);
        block_release(blocks[i]);
        block_release(blocks[i]);
    }
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    struct block *used = block_take(pool, 0);
    used->used = used->count = 8;
    used->app = used->worker = used->hops = 1;
    used->opened_us = 1;
    used->user = used->next = used;
    block_release(used);
    struct block *again = block_take(pool, 0);
    ck_assert_ptr_eq(again, used); /* the warmest, and as new */
    ck_assert_uint_eq(again->used + again->count + again->app + again->worker + again->hops, 0);
    ck_assert_uint_eq(again->opened_us, 0);
    ck_assert(!again->user && !again->next);
    block_release(again);
    block_pool_destroy(pool);
    block_pool_destroy(NULL);
}
END_TEST

START_TEST(limits_and_large_blocks)
{
    struct block_pool *pool = NULL;
    ck_assert_int_eq(block_pool_create(BLOCK_SIZE_MIN - 1, &pool), S4_RANGE);
    ck_assert_int_eq(block_pool_create(RECORD_MAX + 1, &pool), S4_RANGE);
    ck_assert_ptr_null(pool);
    pool = pool_of(RECORD_MAX); /* does not fit into an arena of the usual size twice */
    struct block *a = block_take(pool, RECORD_MAX);
    struct block *b = block_take(pool, RECORD_MAX);
    memset(a->data, 1, a->capacity + BLOCK_SLACK);
    memset(b->data, 2, b->capacity + BLOCK_SLACK);
    ck_assert_int_eq(a->data[a->capacity], 1);
    block_release(a);
    block_release(b);
    block_pool_destroy(pool);
    pool = pool_of(BLOCK_SIZE_MIN);
    struct block *large = block_take(pool, RECORD_MAX);
    ck_assert_uint_eq(large->capacity, RECORD_MAX);
    memset(large->data, 3, large->capacity + BLOCK_SLACK);
    ck_assert_uint_gt(block_pool_bytes(pool), RECORD_MAX);
    block_release(large);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    /* As small as it is asked for. */
    struct block *small = block_take_alone(pool, 65);
    ck_assert_uint_eq(small->capacity, 128);
    memset(small->data, 4, small->capacity + BLOCK_SLACK);
    ck_assert_uint_eq(block_pool_bytes(pool), block_bytes(small));
    ck_assert_uint_le(block_bytes(small), 128 + 2 * 64);
    block_release(small);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    block_pool_destroy(pool);
}
END_TEST

START_TEST(steady_state_allocates_nothing)
{
    struct block_pool *pool = pool_of(BLOCK_SIZE_DEFAULT);
    struct block *held[40] = { 0 };
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int i = 0; i < 40; i++)
        held[i] = block_take(pool, 0);
    uint64_t calls = mem_calls();
    for (int step = 0; step < 100000; step++) {
        size_t i = rng_below(&rng, 40);
        if (held[i])
            block_release(held[i]);
        held[i] = held[i] ? NULL : block_take(pool, 1);
    }
    ck_assert_uint_eq(mem_calls(), calls);
    for (int i = 0; i < 40; i++)
        if (held[i])
            block_release(held[i]);
    block_pool_destroy(pool);
}
END_TEST

START_TEST(memory_may_fail)
{
    struct block_pool *pool = NULL;
    mem_fail_after(0);
    ck_assert_int_eq(block_pool_create(BLOCK_SIZE_DEFAULT, &pool), S4_NO_MEMORY);
    mem_fail_after(-1);
    pool = pool_of(BLOCK_SIZE_DEFAULT);
    for (int64_t n = 0; n < 2; n++) { /* the cache, then the arena */
        mem_fail_after(n);
        ck_assert_ptr_null(block_take(pool, 0));
        mem_fail_after(-1);
    }
    mem_fail_after(0);
    ck_assert_ptr_null(block_take(pool, RECORD_MAX));
    mem_fail_after(-1);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    block_release(block_take(pool, 0));
    block_pool_destroy(pool);
}
END_TEST

/* Producers take and fill, everybody hands on over one slot, whoever finds a block checks it. */
struct exchange {
    struct block_pool *pool;
    struct block *_Atomic slot; /* release of the exchange that puts pairs with acquire of it */
    uint64_t seed;
    _Atomic uint64_t faults;
};

static void *exchange_run(void *arg)
{
    struct exchange *exchange = arg;
    struct rng rng;
    rng_init(&rng, exchange->seed + (uintptr_t)&rng);
    for (int i = 0; i < 20000; i++) {
        struct block *block = block_take(exchange->pool, 0);
        uint64_t mark = rng_next(&rng);
        memcpy(block->data, &mark, sizeof mark);
        memcpy(block->data + block->capacity - sizeof mark, &mark, sizeof mark);
        if (mark % 3 == 0) {
            block_hold(block);
            block_release(block);
        }
        block = atomic_exchange_explicit(&exchange->slot, block, memory_order_acq_rel);
        if (!block)
            continue;
        if (memcmp(block->data, block->data + block->capacity - sizeof mark, sizeof mark) != 0)
            atomic_fetch_add(&exchange->faults, 1);
        block_release(block);
    }
    return NULL;
}

START_TEST(threads_exchange_blocks)
{
    struct exchange exchange = { .pool = pool_of(BLOCK_SIZE_MIN), .seed = suite_seed() };
    pthread_t threads[4];
    for (int round = 0; round < 2; round++) { /* the second finds what ended threads left */
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, exchange_run, &exchange), 0);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            pthread_join(threads[i], NULL);
    }
    if (exchange.slot)
        block_release(exchange.slot);
    ck_assert_uint_eq(exchange.faults, 0);
    ck_assert_uint_eq(block_pool_bytes(exchange.pool), 0);
    block_pool_destroy(exchange.pool);
}
END_TEST

/* Appends a record with a key and some attributes, and answers it. */
static struct record *add_record(struct block *block, size_t key_len, size_t attributes)
{
    struct record *record = (struct record *)(void *)(block->data + block->used);
    size_t len = sizeof *record + record_key_room(key_len) + attributes;
    memset(record, 0, len);
    record->len = (uint32_t)len;
    record->dst = 7;
    uint16_t key_len16 = (uint16_t)key_len;
    memcpy(record + 1, &key_len16, sizeof key_len16);
    memset((char *)(record + 1) + 2, 'k', key_len);
    block->used += (uint32_t)len;
    block->count++;
    return record;
}

#define REFUSED(block)                                               \
    do {                                                             \
        struct diag diag_ = { 0 };                                   \
        ck_assert_int_eq(block_check(block, 8, &diag_), S4_CORRUPT); \
        ck_assert_uint_gt(strlen(diag_.text), 0);                    \
    } while (0)

START_TEST(check_finds_what_is_wrong)
{
    struct block_pool *pool = pool_of(BLOCK_SIZE_DEFAULT);
    struct block *block = block_take(pool, 0);
    ck_assert_int_eq(block_check(block, 8, NULL), S4_OK);
    add_record(block, 5, 16);
    struct record *record = add_record(block, RECORD_KEY_MAX, 0);
    struct record *last = add_record(block, 0, 0);
    ck_assert_int_eq(block_check(block, 8, NULL), S4_OK);
    const struct record good = *record;
    uint16_t *key_len = (uint16_t *)(void *)(record + 1);

#define BREAK(change)                                         \
    do {                                                      \
        change;                                               \
        REFUSED(block);                                       \
        *record = good;                                       \
        *key_len = RECORD_KEY_MAX;                            \
        ck_assert_int_eq(block_check(block, 8, NULL), S4_OK); \
    } while (0)
    BREAK(record->dst = 8);
    BREAK(record->len = 0);
    BREAK(record->len = 32);
    BREAK(record->len += 4);
    BREAK(record->len -= 8);
    BREAK(record->len = UINT32_MAX - 7);
    BREAK(*key_len = RECORD_KEY_MAX + 1);
    BREAK(*key_len = UINT16_MAX);
    BREAK(*key_len = 3);
    last->len = 48;
    REFUSED(block);
    last->len = 40;
    block->count--;
    REFUSED(block);
    block->count++;
    block->used -= 8;
    REFUSED(block);
    block->used = block->capacity + 8;
    REFUSED(block);
    block_release(block);
    block_pool_destroy(pool);
}
END_TEST

/* A place has 16 bits for where its record begins; an honest block is not so large. */
START_TEST(a_record_begins_where_a_place_can_tell)
{
    struct block_pool *pool = pool_of(BLOCK_SIZE_DEFAULT);
    for (size_t more = 0; more <= BLOCK_UNIT; more += BLOCK_UNIT) {
        struct block *block = block_take(pool, RECORD_MAX);
        size_t head = sizeof(struct record) + record_key_room(0);
        add_record(block, 0, BLOCK_AT_MAX + more - head);
        const struct record *last = add_record(block, 0, 0);
        if (more == 0) {
            ck_assert_int_eq(block_check(block, 8, NULL), S4_OK);
            struct block_place place = block_place_of(block, last);
            ck_assert_ptr_eq(block_record(block->data, &place), last);
        } else {
            REFUSED(block);
        }
        block_release(block);
    }
    block_pool_destroy(pool);
}
END_TEST

START_TEST(check_survives_anything)
{
    struct block_pool *pool = pool_of(BLOCK_SIZE_MIN);
    struct rng rng;
    rng_init(&rng, suite_seed());
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        struct block *block = block_take(pool, 0);
        for (int i = 0; i < 4; i++)
            add_record(block, rng_below(&rng, 40), rng_below(&rng, 8) * 8);
        for (uint64_t n = rng_below(&rng, 3); n > 0; n--)
            block->data[rng_below(&rng, block->used)] ^= (char)(1 << rng_below(&rng, 8));
        if (block_check(block, 8, NULL) == S4_OK) {
            accepted++;
            uint32_t count = 0;
            for (const struct record *at = block_first(block); at < block_end(block); count++) {
                const char *key = record_key(at);
                ck_assert(key + record_key_len(at) < (const char *)record_next(at));
                ck_assert_int_eq(key[record_key_len(at)], '\0');
                at = record_next(at);
            }
            ck_assert_uint_eq(count, 4);
        }
        block_release(block);
    }
    ck_assert_int_gt(accepted, 1000);
    block_pool_destroy(pool);
}
END_TEST

static bool wants_slot(void *user, const struct record *record)
{
    return record->dst == *(const uint16_t *)user;
}

START_TEST(some_records_of_a_block)
{
    struct block_pool *pool = pool_of(BLOCK_SIZE_DEFAULT);
    struct block *from = block_take(pool, 0);
    struct block *picked;
    for (uint32_t i = 0; i < 30; i++) {
        struct record *record = (struct record *)(void *)(from->data + from->used);
        *record =
            (struct record){ .len = 48 + i % 2 * 8, .dst = i % 3, .hop = 3 - i % 3, .seq = i };
        from->used += record->len;
        from->count++;
    }
    from->worker = 9;
    for (uint16_t slot = 0; slot < 3; slot++) {
        ck_assert_int_eq(block_pick(from, pool, wants_slot, &slot, &picked), S4_OK);
        ck_assert_uint_eq(picked->count, 10);
        ck_assert_uint_eq(picked->worker, 9);
        ck_assert_uint_eq(picked->hops, 3 - slot);
        uint32_t seq = slot;
        const struct record *end = block_end(picked);
        for (const struct record *r = block_first(picked); r < end; r = record_next(r), seq += 3) {
            ck_assert_uint_eq(r->seq, seq);
            ck_assert_uint_eq(r->dst, slot);
        }
        block_release(picked);
    }
    uint16_t none = 3;
    ck_assert_int_eq(block_pick(from, pool, wants_slot, &none, &picked), S4_OK);
    ck_assert_ptr_null(picked);
    none = 0;
    mem_fail_after(0);
    ck_assert_int_eq(block_pick(from, pool, wants_slot, &none, &picked), S4_NO_MEMORY);
    mem_fail_after(-1);
    block_release(from);
    block_pool_destroy(pool);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("block");
    suite_add(suite, "take", take_and_release, 10);
    suite_add(suite, "limits", limits_and_large_blocks, 10);
    suite_add(suite, "pick", some_records_of_a_block, 10);
    suite_add(suite, "steady", steady_state_allocates_nothing, 10);
    suite_add(suite, "memory", memory_may_fail, 10);
    suite_add(suite, "threads", threads_exchange_blocks, 30);
    suite_add(suite, "check", check_finds_what_is_wrong, 10);
    suite_add(suite, "begins", a_record_begins_where_a_place_can_tell, 10);
    suite_add(suite, "survives", check_survives_anything, 30);
    return suite;
}
