/* What instances cost, in 64 tables as in 64 slots, with keys and states of 16 bytes: resident
 * bytes, nanoseconds to make one and to find one in groups of records that are fetched ahead, as
 * the host does it; beside R5, in the same run.
 *
 *     instances_bench [instances ...]        default: 100000 and 10000000
 */
#include "pe/host/instances.h"
#include "runtime/base/hash.h"
#include "runtime/base/rng.h"
#include "tests/bench/reference.h"

#define TABLES  64u
#define GROUP   32u
#define RECORDS 65536u /* drawn anew for each pass; cache is theirs, too, as in the product */
#define PASSES  300u
#define FINDS   ((double)PASSES * RECORDS)

struct record {
    uint64_t hash;
    char key[BENCH_KEY_LEN + 16];
};

struct bench {
    struct instances tables[TABLES];
    struct record *records;
    uint64_t n;
    uint64_t sum;
};

static struct instances *table_of(struct bench *bench, uint64_t hash)
{
    return &bench->tables[hash >> 58];
}

static uint64_t *state_of(const struct instances *table, uint32_t number)
{
    return instance_state(table, instances_at(table, number));
}

static void tables_init(struct bench *bench)
{
    static const struct instances_options options = { .key_room = 16,
                                                      .state_size = 16,
                                                      .max = UINT64_MAX };
    for (uint32_t i = 0; i < TABLES; i++)
        CHECK(instances_init(&bench->tables[i], &options) == S4_OK);
}

static void tables_fini(struct bench *bench)
{
    for (uint32_t i = 0; i < TABLES; i++)
        instances_fini(&bench->tables[i]);
}

static double create_all(struct bench *bench)
{
    uint64_t start = bench_cpu_ns();
    for (uint64_t i = 0; i < bench->n; i++) {
        char key[BENCH_KEY_LEN + 16] = { 0 };
        bench_key(i, key);
        uint64_t hash = hash_bytes(key, BENCH_KEY_LEN);
        struct instances *table = table_of(bench, hash);
        uint32_t number = instances_find(table, hash, key, BENCH_KEY_LEN);
        if (number == INSTANCE_NONE)
            CHECK(instances_create(table, hash, key, BENCH_KEY_LEN, 1, &number) == S4_OK);
        *state_of(table, number) = 1;
    }
    return (double)(bench_cpu_ns() - start) / (double)bench->n;
}

static void draw_records(struct bench *bench, struct rng *rng)
{
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct record *record = &bench->records[i];
        bench_key(rng_below(rng, bench->n), record->key);
        record->hash = hash_bytes(record->key, BENCH_KEY_LEN);
    }
}

/* The first group's index words are fetched while the second one's entries are, and so on. */
static void find_group(struct bench *bench, const struct record *records, bool ahead)
{
    for (uint32_t i = 0; ahead && i < GROUP; i++)
        instances_prefetch_index(table_of(bench, records[i].hash), records[i].hash);
    for (uint32_t i = 0; ahead && i < GROUP; i++)
        instances_prefetch_entry(table_of(bench, records[i].hash), records[i].hash);
    for (uint32_t i = 0; i < GROUP; i++) {
        struct instances *table = table_of(bench, records[i].hash);
        uint32_t number = instances_find(table, records[i].hash, records[i].key, BENCH_KEY_LEN);
        CHECK(number != INSTANCE_NONE);
        bench->sum += ++*state_of(table, number);
    }
}

static double find_many(struct bench *bench, bool ahead)
{
    struct rng rng;
    rng_init(&rng, 1);
    uint64_t spent = 0;
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        draw_records(bench, &rng);
        uint64_t start = bench_cpu_ns();
        for (uint32_t i = 0; i < RECORDS; i += GROUP)
            find_group(bench, bench->records + i, ahead);
        spent += bench_cpu_ns() - start;
    }
    return (double)spent / FINDS;
}

static void measure(struct bench *bench, uint64_t n)
{
    struct inline_cost cost;
    CHECK(inline_cost_measure(n, PASSES * RECORDS / 2, &cost));
    bench->n = n;
    size_t before = bench_resident_bytes();
    tables_init(bench);
    double create_ns = create_all(bench);
    double bytes = (double)(bench_resident_bytes() - before) / (double)n;
    double plain_ns = find_many(bench, false);
    double ahead_ns = find_many(bench, true);
    tables_fini(bench);
    printf("%llu instances: %.1f bytes (%.2f of R5's %.1f), create %.1f ns (R5 %.1f), "
           "find %.1f ns (R5 %.1f), fetched ahead %.1f ns\n",
           (unsigned long long)n, bytes, bytes / cost.bytes, cost.bytes, create_ns, cost.create_ns,
           plain_ns, cost.find_ns, ahead_ns);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bench.records = calloc(RECORDS, sizeof *bench.records);
    CHECK(bench.records);
    for (int i = 1; i < argc; i++)
        measure(&bench, strtoull(argv[i], NULL, 10));
    if (argc == 1) {
        measure(&bench, 100000);
        measure(&bench, 10000000);
    }
    free(bench.records);
    return bench.sum == 42;
}
