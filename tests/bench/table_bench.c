/* What publishing costs: nanoseconds per row and bytes per row, new and existing, with and without
 * a living pin. The rows are Counts of words of 9 to 15 letters, spread over 64 tables as over 64
 * slots; publishing is committed row by row.
 *
 *     table_bench [rows]
 */
#include <time.h>

#include "pe/output/table.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/rows.h"

#define TABLES 64

/* A row that is ready to be published: its key and hash, and its value with another n each time. */
struct item {
    uint64_t hash;
    char key[18];
    uint8_t key_len;
    uint8_t table;
};

struct bench {
    struct schema *schema;
    const struct type *type;
    struct writer writer;
    struct value value; /* a Count, of which only word and n change */
    uint32_t n_offset;
    uint32_t word_offset;
    struct table *tables[TABLES];
    struct item *items;
    uint64_t n;
    uint64_t sum;
};

/* Of the processor, so that other programs disturb less. */
static uint64_t now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void item_make(struct item *item, uint64_t i)
{
    char word[32], key[64];
    uint64_t mixed = i * 0x9e3779b97f4a7c15u;
    int len = snprintf(word, sizeof word, "%015llx", (unsigned long long)(mixed >> 4));
    word[9 + i % 7] = '\0';
    CHECK(len == 15);
    item->key_len = (uint8_t)row_key(word, key);
    memcpy(item->key, key, item->key_len);
    item->hash = hash_bytes(item->key, item->key_len);
    item->table = (uint8_t)(item->hash >> 58);
}

static void publish(struct bench *bench, const struct item *item, int64_t n)
{
    struct table *table = bench->tables[item->table];
    uint32_t len = item->key_len - 2u;
    char *at = writer_at(&bench->writer, writer_image(&bench->writer));
    memcpy(at + bench->n_offset, &n, sizeof n);
    memcpy(at + bench->word_offset + 4, &len, sizeof len);
    memcpy(at + bench->type->image_size, item->key + 2, 16);
    CHECK(table_publish(table, item->hash, item->key, item->key_len, &bench->value) == S4_OK);
    table_commit(table);
}

static void tables_create(struct bench *bench, enum output_full full)
{
    struct output_limits limits = { OUTPUT_ROWS_MAX, OUTPUT_BYTES_MAX, full };
    for (int i = 0; i < TABLES; i++)
        CHECK(table_create(bench->type, &limits, &bench->tables[i]) == S4_OK);
}

static void tables_destroy(struct bench *bench)
{
    for (int i = 0; i < TABLES; i++)
        table_destroy(bench->tables[i]);
}

static void say(const char *what, uint64_t start_ns, uint64_t n)
{
    printf("  %-44s %8.1f ns\n", what, (double)(now_ns() - start_ns) / (double)n);
}

static void publish_all(struct bench *bench, const char *what)
{
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < bench->n; i++)
        publish(bench, &bench->items[i], (int64_t)i);
    say(what, start, bench->n);
}

static void publish_random(struct bench *bench, const char *what, uint64_t among, uint64_t times)
{
    struct rng rng;
    rng_init(&rng, 1);
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < times; i++)
        publish(bench, &bench->items[rng_below(&rng, among)], (int64_t)i);
    say(what, start, times);
}

#define GROUP 16

/* As a host does that prefetches for a group of records. */
static void publish_grouped(struct bench *bench, const char *what, uint64_t times)
{
    const struct item *group[GROUP];
    struct rng rng;
    rng_init(&rng, 1);
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < times; i += GROUP) {
        for (int j = 0; j < GROUP; j++) {
            group[j] = &bench->items[rng_below(&rng, bench->n)];
            __builtin_prefetch(group[j]);
        }
        for (int j = 0; j < GROUP; j++)
            table_prefetch_index(bench->tables[group[j]->table], group[j]->hash);
        for (int j = 0; j < GROUP; j++)
            table_prefetch_row(bench->tables[group[j]->table], group[j]->hash);
        for (int j = 0; j < GROUP; j++)
            publish(bench, group[j], (int64_t)i + j);
    }
    say(what, start, times);
}

static void scan_all(struct bench *bench)
{
    uint64_t start = now_ns();
    uint64_t rows = 0;
    for (int i = 0; i < TABLES; i++) {
        struct table_pin *pin;
        CHECK(table_pin(bench->tables[i], &pin) == S4_OK);
        struct table_cursor cursor = table_scan(pin);
        struct table_row row;
        for (; table_next(&cursor, &row); rows++)
            bench->sum += (uint64_t)row.value.at[bench->n_offset];
        table_unpin(pin);
    }
    say("scan, per row", start, rows);
}

static void publish_pinned(struct bench *bench)
{
    struct table_pin *pins[TABLES];
    for (int i = 0; i < TABLES; i++)
        CHECK(table_pin(bench->tables[i], &pins[i]) == S4_OK);
    publish_random(bench, "existing, random, a pin living", bench->n, bench->n);
    publish_random(bench, "existing, random, once more", bench->n, bench->n);
    for (int i = 0; i < TABLES; i++) {
        table_unpin(pins[i]);
        table_sweep(bench->tables[i]);
    }
}

static void memory(const struct bench *bench)
{
    size_t held = 0, rows = 0;
    for (int i = 0; i < TABLES; i++) {
        held += table_memory(bench->tables[i]);
        rows += table_counters(bench->tables[i])->rows;
    }
    size_t row = bench->value.size;
    size_t keys = 0;
    for (uint64_t i = 0; i < bench->n; i++)
        keys += bench->items[i].key_len;
    double each = (double)held / (double)rows;
    printf("  %-44s %8.1f bytes: row %zu, key %.1f, the rest %.1f\n", "memory per row", each, row,
           (double)keys / (double)rows, each - (double)row - (double)keys / (double)rows);
}

static void run(struct bench *bench, enum output_full full, const char *name)
{
    printf("%s, %llu rows in %d tables\n", name, (unsigned long long)bench->n, TABLES);
    tables_create(bench, full);
    publish_all(bench, "new");
    memory(bench);
    publish_all(bench, "existing, in order");
    publish_random(bench, "existing, random", bench->n, bench->n);
    publish_grouped(bench, "existing, random, prefetched in groups", bench->n);
    publish_random(bench, "existing, 1000 of them", 1000, bench->n);
    scan_all(bench);
    publish_pinned(bench);
    publish_random(bench, "existing, random, pins gone", bench->n, bench->n);
    tables_destroy(bench);
}

int main(int argc, char **argv)
{
    struct bench bench = { .n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000 };
    bench.schema = rows_schema();
    bench.type = rows_type(bench.schema, "test.Count");
    bench.n_offset = type_find(bench.type, "n")->offset;
    bench.word_offset = type_find(bench.type, "word")->offset;
    bench.items = mem_calloc(bench.n + 1, sizeof *bench.items);
    CHECK(bench.items && bench.n > 0);
    for (uint64_t i = 0; i < bench.n; i++)
        item_make(&bench.items[i], i);
    writer_init(&bench.writer);
    bench.value = count_make(&bench.writer, bench.type, "123456789012345", 0);
    run(&bench, OUTPUT_REFUSE, "refusing");
    run(&bench, OUTPUT_DROP_OLDEST, "dropping the oldest");
    mem_free(bench.items);
    writer_fini(&bench.writer);
    schema_destroy(bench.schema);
    return bench.sum == 0;
}
