/* Blocks, and the pool that they come from and go back to.
 *
 *   thread A            depot (one lock)         thread B
 *   loaded, spare  <->  chains of MAGAZINE  <->  loaded, spare
 *                            ^
 *                       arenas of 2 MiB, never given back before the pool's end
 *
 * A thread takes from and releases to its own cache: two chains of at most MAGAZINE free blocks.
 * When both are empty or full it exchanges one whole chain with the depot, so that there is one
 * lock for MAGAZINE blocks, whichever threads take and whichever release. What was released last is
 * taken first, while it is warm. A block for one large record, or for records that must wait, is
 * allocated and freed on its own.
 *
 * Under AddressSanitizer the bytes of a free block are poisoned: who keeps a pointer into a block
 * beyond its hold is found.
 */
#include "runtime/record/block.h"

#include <pthread.h>
#include <sys/mman.h>

#include "runtime/base/asan.h"
#include "runtime/base/mem.h"

#define ARENA_SIZE (2 * MIB)
#define MAGAZINE   8

/* Free blocks, linked by `next`. In the depot, chains are linked by their first block's `user`. */
struct chain {
    struct block *first;
    uint32_t count;
};

/* One per thread and pool. Owner: the thread; the pool only lists it, and frees it at its end. */
struct cache {
    struct block_pool *pool;
    struct cache *next; /* pool->lock */
    struct chain loaded;
    struct chain spare; /* empty or full */
};

struct arena_head { /* at the start of an arena */
    struct arena_head *next;
};

struct block_pool {
    size_t block_size;
    size_t stride; /* of blocks in an arena: header, data, slack */
    pthread_key_t key;

    pthread_mutex_t lock; /* for all up to `bytes` */
    struct block *depot;
    struct cache *caches;
    struct arena_head *arenas;
    char *fresh; /* not yet used part of the newest arena */
    char *fresh_end;

    /* Relaxed everywhere: a count, which orders nothing. */
    _Alignas(CACHE_LINE) _Atomic size_t bytes;
};

#define HEADER_SIZE align_up(sizeof(struct block), CACHE_LINE)
#define RECORD_MIN  (sizeof(struct record) + 8) /* without attributes, with an empty key */

/* How many places a block has room for: of all records that fit, or of the one large one. */
static size_t places_of(const struct block_pool *pool, size_t capacity, bool alone)
{
    if (alone)
        return capacity > pool->block_size;
    return capacity / RECORD_MIN + 1;
}

/* Header, data, slack, places. */
static size_t whole_size(const struct block_pool *pool, size_t capacity, bool alone)
{
    size_t size = HEADER_SIZE + capacity + BLOCK_SLACK;
    size += places_of(pool, capacity, alone) * sizeof(struct block_place);
    return align_up(size, CACHE_LINE);
}

static struct block *chain_pop(struct chain *chain)
{
    struct block *block = chain->first;
    chain->first = block->next;
    chain->count--;
    return block;
}

static void chain_push(struct chain *chain, struct block *block)
{
    block->next = chain->first;
    chain->first = block;
    chain->count++;
}

/* Needs the lock. */
static void depot_push(struct block_pool *pool, struct chain *chain)
{
    chain->first->user = pool->depot;
    chain->first->count = chain->count;
    pool->depot = chain->first;
    *chain = (struct chain){ 0 };
}

/* Needs the lock. */
static bool depot_pop(struct block_pool *pool, struct chain *chain)
{
    struct block *first = pool->depot;
    if (!first)
        return false;
    pool->depot = first->user;
    *chain = (struct chain){ first, first->count };
    return true;
}

/* Needs the lock. */
static bool add_arena(struct block_pool *pool)
{
    /* An arena of the largest blocks may have to be larger than one huge page. */
    size_t size = align_up(size_max(ARENA_SIZE, CACHE_LINE + pool->stride), ARENA_SIZE);
    struct arena_head *arena = mem_aligned(ARENA_SIZE, size);
    if (!arena)
        return false;
    madvise(arena, size, MADV_HUGEPAGE); /* a wish; nothing depends on it */
    arena->next = pool->arenas;
    pool->arenas = arena;
    pool->fresh = (char *)arena + CACHE_LINE;
    pool->fresh_end = (char *)arena + size;
    return true;
}

static void block_set_up(struct block_pool *pool, struct block *block, size_t capacity)
{
    *block = (struct block){
        .pool = pool,
        .capacity = (uint32_t)capacity,
        .data = (char *)block + HEADER_SIZE,
    };
}

/* Needs the lock. At least one new block, or false: out of memory. */
static bool make_chain(struct block_pool *pool, struct chain *chain)
{
    if ((size_t)(pool->fresh_end - pool->fresh) < pool->stride && !add_arena(pool))
        return false;
    while (chain->count < MAGAZINE && (size_t)(pool->fresh_end - pool->fresh) >= pool->stride) {
        struct block *block = (struct block *)(void *)pool->fresh;
        pool->fresh += pool->stride;
        block_set_up(pool, block, pool->block_size);
        asan_poison(block->data, block->capacity + BLOCK_SLACK);
        chain_push(chain, block);
    }
    return true;
}

/* At a thread's end its free blocks go to the depot. */
static void cache_end(void *arg)
{
    struct cache *cache = arg;
    struct block_pool *pool = cache->pool;
    pthread_mutex_lock(&pool->lock);
    if (cache->loaded.count)
        depot_push(pool, &cache->loaded);
    if (cache->spare.count)
        depot_push(pool, &cache->spare);
    struct cache **at = &pool->caches;
    while (*at != cache)
        at = &(*at)->next;
    *at = cache->next;
    pthread_mutex_unlock(&pool->lock);
    mem_free(cache);
}

/* This thread's cache; NULL: out of memory. */
static struct cache *cache_get(struct block_pool *pool)
{
    struct cache *cache = pthread_getspecific(pool->key);
    if (LIKELY(cache != NULL))
        return cache;
    cache = mem_zalloc(sizeof *cache);
    if (!cache || pthread_setspecific(pool->key, cache) != 0) {
        mem_free(cache);
        return NULL;
    }
    cache->pool = pool;
    pthread_mutex_lock(&pool->lock);
    cache->next = pool->caches;
    pool->caches = cache;
    pthread_mutex_unlock(&pool->lock);
    return cache;
}

static struct block *take_ordinary(struct block_pool *pool)
{
    struct cache *cache = cache_get(pool);
    if (!cache)
        return NULL;
    if (cache->loaded.count == 0 && cache->spare.count > 0) {
        cache->loaded = cache->spare;
        cache->spare = (struct chain){ 0 };
    } else if (cache->loaded.count == 0) {
        pthread_mutex_lock(&pool->lock);
        bool found = depot_pop(pool, &cache->loaded) || make_chain(pool, &cache->loaded);
        pthread_mutex_unlock(&pool->lock);
        if (!found)
            return NULL;
    }
    return chain_pop(&cache->loaded);
}

static void give_ordinary(struct block_pool *pool, struct block *block)
{
    struct cache *cache = cache_get(pool);
    if (!cache) { /* no memory for a cache of our own: a chain of one */
        struct chain chain = { 0 };
        chain_push(&chain, block);
        pthread_mutex_lock(&pool->lock);
        depot_push(pool, &chain);
        pthread_mutex_unlock(&pool->lock);
        return;
    }
    if (cache->loaded.count == MAGAZINE) {
        if (cache->spare.count) {
            pthread_mutex_lock(&pool->lock);
            depot_push(pool, &cache->spare);
            pthread_mutex_unlock(&pool->lock);
        }
        cache->spare = cache->loaded;
        cache->loaded = (struct chain){ 0 };
    }
    chain_push(&cache->loaded, block);
}

static struct block *take_own(struct block_pool *pool, size_t capacity)
{
    capacity = align_up(capacity, CACHE_LINE);
    struct block *block = mem_aligned(CACHE_LINE, whole_size(pool, capacity, true));
    if (block) {
        block_set_up(pool, block, capacity);
        block->alone = true;
    }
    return block;
}

size_t block_bytes(const struct block *block)
{
    return whole_size(block->pool, block->capacity, block->alone);
}

static struct block *handed_out(struct block_pool *pool, struct block *block)
{
    if (!block)
        return NULL;
    block->next = NULL;
    block->used = 0;
    block->count = 0;
    block->app = 0;
    block->worker = 0;
    block->hops = 0;
    block->placed = false;
    block->far = false;
    block->copied = false;
    block->opened_us = 0;
    block->user = NULL;
    /* Nobody else has the block yet: what hands it over orders this. */
    atomic_store_explicit(&block->holds, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->bytes, block_bytes(block), memory_order_relaxed);
    return block;
}

struct block *block_take(struct block_pool *pool, size_t capacity_min)
{
    CHECK(capacity_min <= RECORD_MAX);
    if (capacity_min > pool->block_size)
        return block_take_alone(pool, capacity_min);
    struct block *block = take_ordinary(pool);
    if (block)
        asan_unpoison(block->data, block->capacity + BLOCK_SLACK);
    return handed_out(pool, block);
}

struct block *block_take_alone(struct block_pool *pool, size_t capacity)
{
    return handed_out(pool, take_own(pool, capacity));
}

void block_hold(struct block *block)
{
    /* The caller has a hold already, so nothing has to be ordered. */
    uint32_t before = atomic_fetch_add_explicit(&block->holds, 1, memory_order_relaxed);
    CHECK(before > 0);
}

void block_release(struct block *block)
{
    /* Release: what this holder did to the block comes before its end. Pairs with the acquire of
     * whoever finds itself to be the last, below. */
    uint32_t before = atomic_fetch_sub_explicit(&block->holds, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    struct block_pool *pool = block->pool;
    atomic_fetch_sub_explicit(&pool->bytes, block_bytes(block), memory_order_relaxed);
    if (block->alone) {
        mem_free(block);
        return;
    }
    asan_poison(block->data, block->capacity + BLOCK_SLACK);
    give_ordinary(pool, block);
}

s4_status block_pool_create(size_t block_size, struct block_pool **pool)
{
    if (block_size < BLOCK_SIZE_MIN || block_size > RECORD_MAX)
        return S4_RANGE;
    struct block_pool *fresh = mem_aligned(CACHE_LINE, sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    *fresh = (struct block_pool){ .block_size = align_up(block_size, CACHE_LINE) };
    fresh->stride = whole_size(fresh, fresh->block_size, false);
    if (pthread_key_create(&fresh->key, cache_end) != 0) {
        mem_free(fresh);
        return S4_FULL;
    }
    pthread_mutex_init(&fresh->lock, NULL);
    *pool = fresh;
    return S4_OK;
}

void block_pool_destroy(struct block_pool *pool)
{
    if (!pool)
        return;
    CHECK(block_pool_bytes(pool) == 0);
    pthread_key_delete(pool->key); /* threads that still run forget their caches */
    while (pool->caches) {
        struct cache *cache = pool->caches;
        pool->caches = cache->next;
        mem_free(cache);
    }
    while (pool->arenas) {
        struct arena_head *arena = pool->arenas;
        pool->arenas = arena->next;
        mem_free(arena);
    }
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}

size_t block_pool_block_size(const struct block_pool *pool)
{
    return pool->block_size;
}

size_t block_pool_bytes(const struct block_pool *pool)
{
    return atomic_load_explicit(&pool->bytes, memory_order_relaxed);
}
