/* The references. R1 is as competent as a plain loop is: one memchr, one hash, one probe in a table
 * of 32-byte slots on huge pages, one increment; no prefetching, no blocks, nothing handed on. R5
 * is the least that a table with this load can be. */
#include "tests/bench/reference.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/base/rng.h"

#define COUNTING_KEY_MAX 15u

static void *pages(size_t size, bool huge)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (huge)
        madvise(p, size, MADV_HUGEPAGE);
    return p;
}

/* ---- what it costs ---- */

static uint64_t clock_ns(clockid_t id)
{
    struct timespec now;
    CHECK(clock_gettime(id, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t bench_wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

size_t bench_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file);
    char line[128] = { 0 };
    CHECK(fgets(line, sizeof line, file));
    fclose(file);
    char *end = NULL;
    strtoul(line, &end, 10);
    return strtoul(end, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- R1 ---- */

struct counting_slot {
    uint64_t hash;
    uint64_t count; /* 0: free */
    char key[COUNTING_KEY_MAX];
    uint8_t len;
};

bool counting_init(struct counting *counting, uint32_t log2_slots)
{
    size_t size = sizeof(struct counting_slot) << log2_slots;
    *counting = (struct counting){ .slots = pages(size, true), .mask = (1ull << log2_slots) - 1 };
    return counting->slots != NULL;
}

void counting_fini(struct counting *counting)
{
    if (counting->slots)
        munmap(counting->slots, (counting->mask + 1) * sizeof *counting->slots);
    *counting = (struct counting){ 0 };
}

static inline struct counting_slot *find(const struct counting *counting, uint64_t hash,
                                         const char *key, size_t len)
{
    for (uint64_t i = hash & counting->mask;; i = (i + 1) & counting->mask) {
        struct counting_slot *slot = &counting->slots[i];
        if (slot->count == 0 ||
            (slot->hash == hash && slot->len == len && memcmp(slot->key, key, len) == 0))
            return slot;
    }
}

uint64_t counting_run(struct counting *counting, const char *text, size_t size)
{
    uint64_t lines = 0;
    for (const char *at = text, *end = text + size; at < end; lines++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)(newline - at);
        uint64_t hash = hash_bytes(at, len);
        struct counting_slot *slot = find(counting, hash, at, len);
        if (slot->count++ == 0) {
            CHECK(len <= COUNTING_KEY_MAX);
            slot->hash = hash;
            slot->len = (uint8_t)len;
            memcpy(slot->key, at, len);
            counting->keys++;
        }
        at = newline + 1;
    }
    return lines;
}

uint64_t counting_of(const struct counting *counting, const char *key, size_t len)
{
    return find(counting, hash_bytes(key, len), key, len)->count;
}

/* ---- R5 ---- */

struct inline_slot {
    char key[BENCH_KEY_LEN]; /* the first byte is 0: free */
    uint64_t state[2];
};

struct inline_table {
    struct inline_slot *slots;
    uint64_t n; /* any number: places are a share of it */
};

static inline struct inline_slot *inline_find(const struct inline_table *table, const char *key)
{
    uint64_t hash = hash_bytes(key, BENCH_KEY_LEN);
    uint64_t i = (uint64_t)((unsigned __int128)hash * table->n >> 64);
    while (table->slots[i].key[0] && memcmp(table->slots[i].key, key, BENCH_KEY_LEN) != 0)
        if (++i == table->n)
            i = 0;
    return &table->slots[i];
}

bool inline_cost_measure(uint64_t keys, uint64_t finds, struct inline_cost *cost)
{
    size_t before = bench_resident_bytes();
    struct inline_table table = { .n = keys * 4 / 3 + 1 };
    table.slots = pages(table.n * sizeof *table.slots, false);
    if (!table.slots)
        return false;
    char key[BENCH_KEY_LEN];
    uint64_t start = bench_cpu_ns();
    for (uint64_t i = 0; i < keys; i++) {
        bench_key(i, key);
        struct inline_slot *slot = inline_find(&table, key);
        memcpy(slot->key, key, sizeof key);
        slot->state[0]++;
    }
    cost->create_ns = (double)(bench_cpu_ns() - start) / (double)keys;
    cost->bytes = (double)(bench_resident_bytes() - before) / (double)keys;
    struct rng rng;
    rng_init(&rng, 1);
    start = bench_cpu_ns();
    for (uint64_t i = 0; i < finds; i++) {
        bench_key(rng_below(&rng, keys), key);
        inline_find(&table, key)->state[0]++;
    }
    cost->find_ns = (double)(bench_cpu_ns() - start) / (double)finds;
    munmap(table.slots, table.n * sizeof *table.slots);
    return true;
}
