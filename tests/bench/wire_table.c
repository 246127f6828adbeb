/* R2b's table: 8 bytes of index per slot, the counters dense behind it, records taken in groups so
 * that the index and then the counters of a group are on their way from memory together. */
#include "tests/bench/wire_table.h"

#include <sys/mman.h>

#define GROUP 32u
#define SLOTS (2ull * WIRE_KEYS)

struct counter;
typedef void counter_handler(struct counter *counter, const struct wire_record *record);

struct counter {
    uint64_t hash;
    uint64_t count;
    uint64_t seen; /* when, by the record */
    uint32_t kind;
    uint16_t key_len;
    char key[14];
};

struct wire_table {
    uint64_t *index;          /* the hash's upper half, and the counter's number; 0: free */
    struct counter *counters; /* from number 1 */
    counter_handler *handlers[2];
    uint64_t keys;
};

static void *pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    madvise(p, size, MADV_HUGEPAGE);
    return p;
}

/* Kept from being inlined: a handler is another program's code. */
__attribute__((noinline)) static void on_record(struct counter *counter,
                                                const struct wire_record *record)
{
    counter->count += record->value;
    counter->seen = record->time;
}

struct wire_table *wire_table_create(void)
{
    struct wire_table *table = malloc(sizeof *table);
    CHECK(table);
    *table = (struct wire_table){ .index = pages(SLOTS * sizeof *table->index),
                                  .counters = pages((WIRE_KEYS + 1) * sizeof *table->counters),
                                  .handlers = { on_record, on_record } };
    return table;
}

void wire_table_destroy(struct wire_table *table)
{
    munmap(table->index, SLOTS * sizeof *table->index);
    munmap(table->counters, (WIRE_KEYS + 1) * sizeof *table->counters);
    free(table);
}

static struct counter *insert(struct wire_table *table, uint64_t slot,
                              const struct wire_record *record)
{
    CHECK(table->keys < WIRE_KEYS);
    uint64_t number = ++table->keys;
    struct counter *counter = &table->counters[number];
    *counter = (struct counter){ .hash = record->hash, .kind = 1, .key_len = record->key_len };
    memcpy(counter->key, record->key, sizeof counter->key);
    table->index[slot] = (record->hash >> 32 | 1) << 32 | number;
    return counter;
}

static inline struct counter *find(struct wire_table *table, const struct wire_record *record)
{
    uint64_t tag = record->hash >> 32 | 1;
    for (uint64_t slot = record->hash % SLOTS;; slot = (slot + 1) % SLOTS) {
        uint64_t entry = table->index[slot];
        if (entry == 0)
            return insert(table, slot, record);
        struct counter *counter = &table->counters[(uint32_t)entry];
        if (entry >> 32 == tag && counter->hash == record->hash &&
            counter->key_len == record->key_len &&
            memcmp(counter->key, record->key, record->key_len) == 0)
            return counter;
    }
}

static void count_group(struct wire_table *table, const struct wire_record *const *group,
                        uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(&table->index[group[i]->hash % SLOTS]);
    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(&table->counters[(uint32_t)table->index[group[i]->hash % SLOTS]], 1);
    for (uint32_t i = 0; i < n; i++) {
        struct counter *counter = find(table, group[i]);
        table->handlers[counter->kind](counter, group[i]);
    }
}

uint64_t wire_table_count(struct wire_table *table, const char *data, size_t size)
{
    const struct wire_record *group[GROUP];
    uint64_t records = 0;
    for (const char *at = data, *end = data + size; at < end;) {
        uint32_t n = 0;
        for (; n < GROUP && at < end; n++) {
            group[n] = (const struct wire_record *)(const void *)at;
            at += group[n]->len;
        }
        count_group(table, group, n);
        records += n;
    }
    return records;
}

uint64_t wire_table_keys(const struct wire_table *table)
{
    return table->keys;
}

uint64_t wire_table_sum(const struct wire_table *table)
{
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= table->keys; i++)
        sum += table->counters[i].count;
    return sum;
}
