/* Tables: against a naive map over a million random steps, with calls that are rolled back, memory
 * that runs out, tables saved and loaded in the middle, and pins that another thread compares with
 * a copy of the map. */
#include "tests/support/suite.h"

#include "pe/output/table.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/pin_reader.h"
#include "tests/support/rows.h"
#include "tests/support/saved_check.h"

#define WORDS 300

struct model_row {
    bool there;
    uint32_t note;
    uint32_t bytes;
    int64_t n;
    uint64_t stamp;
};

struct model {
    struct model_row rows[WORDS];
    struct output_counters counters;
    uint64_t stamp;
};

struct world {
    struct rng rng;
    struct schema *schema;
    const struct type *type;
    struct writer writer;
    struct output_limits limits;
    struct table *table;
    struct model model;
    struct model before; /* the running call */
};

static char words[WORDS][40];

/* Keys of many lengths, the empty one too. */
static void make_words(void)
{
    for (int i = 1; i < WORDS; i++)
        snprintf(words[i], sizeof words[i], "%d%.*s", i, i % 30,
                 "abcdefghijklmnopqrstuvwxyzabcdef");
}

static uint64_t key_of(int word, char key[64], size_t *len)
{
    *len = row_key(words[word], key);
    return hash_bytes(key, *len);
}

static void world_init(struct world *world, struct output_limits limits)
{
    *world = (struct world){ .limits = limits };
    rng_init(&world->rng, suite_seed());
    make_words();
    world->schema = rows_schema();
    world->type = rows_type(world->schema, "test.Row");
    writer_init(&world->writer);
    ck_assert_int_eq(table_create(world->type, &limits, &world->table), S4_OK);
}

static void world_fini(struct world *world)
{
    table_destroy(world->table);
    writer_fini(&world->writer);
    schema_destroy(world->schema);
}

/* ---- the naive map --------------------------------------------------------------------------- */

static int model_oldest(const struct model *model)
{
    int oldest = -1;
    for (int i = 0; i < WORDS; i++)
        if (model->rows[i].there &&
            (oldest < 0 || model->rows[i].stamp < model->rows[oldest].stamp))
            oldest = i;
    return oldest;
}

static void model_remove(struct model *model, int word)
{
    model->rows[word].there = false;
    model->counters.rows--;
    model->counters.bytes -= model->rows[word].bytes;
}

static s4_status model_publish(struct world *world, int word, struct model_row row)
{
    struct model *model = &world->model;
    struct model next = *model;
    if (row.bytes > world->limits.bytes_max) {
        model->counters.refused++;
        return S4_TOO_LARGE;
    }
    if (next.rows[word].there)
        model_remove(&next, word);
    row.there = true;
    row.stamp = ++next.stamp;
    next.rows[word] = row;
    next.counters.rows++;
    next.counters.bytes += row.bytes;
    next.counters.published++;
    while (next.counters.rows > world->limits.rows_max ||
           next.counters.bytes > world->limits.bytes_max) {
        if (world->limits.full == OUTPUT_REFUSE) {
            model->counters.refused++;
            return S4_FULL;
        }
        model_remove(&next, model_oldest(&next));
        next.counters.dropped++;
    }
    *model = next;
    return S4_OK;
}

static void check_same(const struct world *world)
{
    const struct output_counters *counters = table_counters(world->table);
    ck_assert_int_eq(memcmp(counters, &world->model.counters, sizeof *counters), 0);
    for (int i = 0; i < WORDS; i++) {
        const struct model_row *row = &world->model.rows[i];
        char key[64];
        size_t len;
        struct value value;
        uint64_t hash = key_of(i, key, &len);
        ck_assert(table_find(world->table, hash, key, len, &value) == row->there);
        ck_assert(!row->there || row_is(&value, words[i], row->n, row->note));
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint32_t random_note(struct rng *rng)
{
    switch (rng_below(rng, 12)) {
    case 0:
        return (uint32_t)rng_below(rng, 3000); /* a slot of its own */
    case 1:
    case 2:
    case 3:
        return (uint32_t)rng_below(rng, 200);
    default:
        return 0;
    }
}

static void refused_again(struct world *world, s4_status status, uint64_t before)
{
    /* Memory that runs out counts as a refusal, which the naive map knows nothing of. */
    if (status == S4_NO_MEMORY)
        ck_assert_uint_eq(table_counters(world->table)->refused, before + 1);
    world->model.counters.refused += status == S4_NO_MEMORY;
    world->before.counters.refused += status == S4_NO_MEMORY;
}

/* Runs the publish with the first, second, ... allocation failing until it has what it needs. */
static s4_status publish_starved(struct world *world, int word, const struct value *value)
{
    char key[64];
    size_t len;
    uint64_t hash = key_of(word, key, &len);
    for (int64_t n = 0;; n++) {
        uint64_t refused = table_counters(world->table)->refused;
        mem_fail_after(n);
        s4_status status = table_publish(world->table, hash, key, len, value);
        mem_fail_after(-1);
        refused_again(world, status, refused);
        if (status != S4_NO_MEMORY)
            return status;
        table_validate(world->table);
    }
}

static void step_publish(struct world *world)
{
    int word = (int)rng_below(&world->rng, WORDS);
    struct model_row row = { .n = (int64_t)rng_next(&world->rng),
                             .note = random_note(&world->rng) };
    char key[64];
    size_t len;
    uint64_t hash = key_of(word, key, &len);
    struct value value = row_make(&world->writer, world->type, words[word], row.n, row.note);
    row.bytes = (uint32_t)table_row_bytes(len, value.size);
    s4_status status = rng_below(&world->rng, 64) == 0
                           ? publish_starved(world, word, &value)
                           : table_publish(world->table, hash, key, len, &value);
    ck_assert_int_eq(status, model_publish(world, word, row));
}

static void step_unpublish(struct world *world)
{
    int word = (int)rng_below(&world->rng, WORDS);
    char key[64];
    size_t len;
    uint64_t hash = key_of(word, key, &len);
    ck_assert_int_eq(table_unpublish(world->table, hash, key, len), S4_OK);
    if (world->model.rows[word].there) {
        model_remove(&world->model, word);
        world->model.counters.unpublished++;
    }
}

static void step_end_call(struct world *world)
{
    if (rng_below(&world->rng, 5) == 0) {
        uint64_t refused = world->model.counters.refused;
        table_rollback(world->table);
        world->model = world->before;
        world->model.counters.refused = refused;
    } else {
        table_commit(world->table);
    }
    world->before = world->model;
}

/* Every now and then for long: nearly all are removed, so that chunks go and come. */
static void step(struct world *world, uint64_t i)
{
    uint64_t removes = i / 20000 % 3 == 2 ? 7 : 1;
    if (rng_below(&world->rng, 10) < removes)
        step_unpublish(world);
    else
        step_publish(world);
}

static void save_and_load(struct world *world)
{
    struct buffer saved, again;
    buffer_init(&saved);
    buffer_init(&again);
    ck_assert_int_eq(table_save(world->table, &saved), S4_OK);
    struct table *loaded;
    struct diag diag = { 0 };
    const char *at = saved.data;
    ck_assert_int_eq(table_create(world->type, &world->limits, &loaded), S4_OK);
    s4_status status = table_load(loaded, &at, saved.data + saved.size, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    ck_assert_ptr_eq(at, saved.data + saved.size);
    ck_assert_int_eq(table_save(loaded, &again), S4_OK);
    ck_assert_uint_eq(again.size, saved.size);
    ck_assert_int_eq(memcmp(again.data, saved.data, saved.size), 0);
    table_destroy(world->table); /* maybe with living pins */
    world->table = loaded;
    buffer_fini(&saved);
    buffer_fini(&again);
}

/* ---- the reader ------------------------------------------------------------------------------ */

struct pinned {
    struct table_pin *pin;
    struct model model; /* a copy of the map */
};

static int word_of(const struct table_row *row)
{
    char text[64] = { 0 };
    memcpy(text, row->key + 2, row->key_len - 2);
    return (int)strtol(text, NULL, 10);
}

static bool pin_is(const struct table_pin *pin, const struct model *model)
{
    struct table_cursor cursor = table_scan(pin);
    struct table_row row;
    uint64_t n = 0;
    bool seen[WORDS] = { false };
    while (table_next(&cursor, &row)) {
        int word = word_of(&row);
        const struct model_row *expected = &model->rows[word];
        if (seen[word] || !expected->there || row.key_len != strlen(words[word]) + 2 ||
            !row_is(&row.value, words[word], expected->n, expected->note))
            return false;
        seen[word] = true;
        n++;
    }
    return n == model->counters.rows && n == table_pin_rows(pin);
}

static bool pinned_is_right(const void *user)
{
    const struct pinned *pinned = user;
    return pin_is(pinned->pin, &pinned->model);
}

static void pinned_done(void *user)
{
    struct pinned *pinned = user;
    table_unpin(pinned->pin);
    free(pinned);
}

static void give_pin(struct pin_reader *reader, struct world *world)
{
    struct pinned *pinned = malloc(sizeof *pinned);
    pinned->model = world->model;
    ck_assert_int_eq(table_pin(world->table, &pinned->pin), S4_OK);
    pin_reader_give(reader, pinned);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void against_map(struct output_limits limits)
{
    struct world *world = malloc(sizeof *world);
    struct pin_reader reader;
    world_init(world, limits);
    pin_reader_start(&reader, pinned_is_right, pinned_done);
    for (uint64_t i = 0; i < 1000000; i++) {
        step(world, i);
        if (rng_below(&world->rng, 4) != 0)
            continue;
        step_end_call(world);
        uint64_t draw = rng_below(&world->rng, 5000);
        if (draw == 0) {
            table_validate(world->table);
            check_same(world);
        } else if (draw == 1) {
            save_and_load(world);
        } else if (draw < 20) {
            give_pin(&reader, world);
        }
    }
    step_end_call(world);
    check_same(world);
    pin_reader_stop(&reader);
    table_sweep(world->table);
    table_validate(world->table);
    world_fini(world);
    free(world);
}

START_TEST(like_a_map_that_refuses)
{
    against_map((struct output_limits){ 200, 40000, OUTPUT_REFUSE });
}
END_TEST

START_TEST(like_a_map_that_drops)
{
    against_map((struct output_limits){ 200, 40000, OUTPUT_DROP_OLDEST });
}
END_TEST

START_TEST(like_a_map_without_bounds)
{
    against_map((struct output_limits){ 1u << 20, 1u << 30, OUTPUT_DROP_OLDEST });
}
END_TEST

static s4_status publish_number(struct world *world, uint64_t number, uint32_t note)
{
    char word[32], key[64];
    snprintf(word, sizeof word, "%llu", (unsigned long long)number);
    size_t len = row_key(word, key);
    struct value value = row_make(&world->writer, world->type, word, (int64_t)number, note);
    return table_publish(world->table, hash_bytes(key, len), key, len, &value);
}

static bool has_number(struct world *world, uint64_t number)
{
    char word[32], key[64];
    struct value value;
    snprintf(word, sizeof word, "%llu", (unsigned long long)number);
    size_t len = row_key(word, key);
    return table_find(world->table, hash_bytes(key, len), key, len, &value) &&
           row_is(&value, word, (int64_t)number, 0);
}

START_TEST(grows_to_many_rows_and_back)
{
    struct world world;
    struct table_pin *pin;
    world_init(&world, (struct output_limits){ 1u << 20, 1u << 30, OUTPUT_REFUSE });
    size_t empty = table_memory(world.table);
    for (uint64_t i = 0; i < 300000; i++) {
        ck_assert_int_eq(publish_number(&world, i, 0), S4_OK);
        table_commit(world.table);
    }
    ck_assert_int_eq(table_pin(world.table, &pin), S4_OK);
    table_validate(world.table);
    for (uint64_t i = 0; i < 300000; i++)
        ck_assert(has_number(&world, i));
    for (uint64_t i = 0; i < 300000; i++) {
        char word[32], key[64];
        snprintf(word, sizeof word, "%llu", (unsigned long long)i);
        size_t len = row_key(word, key);
        ck_assert_int_eq(table_unpublish(world.table, hash_bytes(key, len), key, len), S4_OK);
        table_commit(world.table);
    }
    struct table_cursor cursor = table_scan(pin);
    struct table_row row;
    uint64_t sum = 0;
    while (table_next(&cursor, &row))
        sum += (uint64_t)row_n(&row.value);
    ck_assert_uint_eq(sum, 299999ull * 300000 / 2);
    table_unpin(pin);
    table_sweep(world.table);
    table_validate(world.table);
    /* What stays is the index, the way to the chunks and a chunk per size. */
    ck_assert_uint_lt(table_memory(world.table), empty + (6u << 20));
    world_fini(&world);
}
END_TEST

START_TEST(refuses_at_the_bound_and_not_before)
{
    struct world world;
    world_init(&world, (struct output_limits){ 10, 1u << 20, OUTPUT_REFUSE });
    for (uint64_t i = 0; i < 10; i++)
        ck_assert_int_eq(publish_number(&world, i, 0), S4_OK);
    ck_assert_int_eq(publish_number(&world, 10, 0), S4_FULL);
    ck_assert_int_eq(publish_number(&world, 9, 0), S4_OK); /* its row is there */
    ck_assert_uint_eq(table_counters(world.table)->refused, 1);
    table_rollback(world.table);
    ck_assert_uint_eq(table_counters(world.table)->rows, 0);
    ck_assert_uint_eq(table_counters(world.table)->published, 0);
    ck_assert_uint_eq(table_counters(world.table)->refused, 1);
    ck_assert(!has_number(&world, 0));
    world_fini(&world);
}
END_TEST

START_TEST(counts_bytes_at_the_bound)
{
    struct world world;
    world_init(&world, (struct output_limits){ 100, 1, OUTPUT_REFUSE });
    char key[64];
    size_t len = row_key("5", key);
    struct value value = row_make(&world.writer, world.type, "5", 5, 0);
    uint64_t bytes = table_row_bytes(len, value.size);
    ck_assert_int_eq(publish_number(&world, 5, 0), S4_TOO_LARGE);
    world.limits.bytes_max = 2 * bytes;
    table_destroy(world.table);
    ck_assert_int_eq(table_create(world.type, &world.limits, &world.table), S4_OK);
    ck_assert_int_eq(publish_number(&world, 5, 0), S4_OK);
    ck_assert_int_eq(publish_number(&world, 5, 20), S4_OK);
    ck_assert_int_eq(publish_number(&world, 6, 0), S4_FULL);
    ck_assert_int_eq(publish_number(&world, 5, 0), S4_OK);
    ck_assert_int_eq(publish_number(&world, 6, 0), S4_OK);
    ck_assert_int_eq(publish_number(&world, 6, 20), S4_FULL);
    ck_assert_uint_eq(table_counters(world.table)->bytes, 2 * bytes);
    world_fini(&world);
}
END_TEST

START_TEST(drops_the_row_published_longest_ago)
{
    struct world world;
    world_init(&world, (struct output_limits){ 3, 1u << 20, OUTPUT_DROP_OLDEST });
    for (uint64_t i = 0; i < 3; i++)
        ck_assert_int_eq(publish_number(&world, i, 0), S4_OK);
    ck_assert_int_eq(publish_number(&world, 0, 0), S4_OK); /* 0 is the newest now */
    table_commit(world.table);
    ck_assert_int_eq(publish_number(&world, 3, 0), S4_OK);
    ck_assert(!has_number(&world, 1) && has_number(&world, 0));
    table_rollback(world.table);
    ck_assert(has_number(&world, 1) && !has_number(&world, 3));
    ck_assert_int_eq(publish_number(&world, 4, 0), S4_OK);
    ck_assert_int_eq(publish_number(&world, 5, 0), S4_OK);
    table_commit(world.table);
    ck_assert(has_number(&world, 0) && !has_number(&world, 1) && !has_number(&world, 2));
    ck_assert_uint_eq(table_counters(world.table)->dropped, 2);
    world_fini(&world);
}
END_TEST

START_TEST(bounds_one_call)
{
    struct world world;
    world_init(&world, (struct output_limits){ 1u << 20, 1u << 30, OUTPUT_REFUSE });
    for (uint64_t i = 0; i < OUTPUT_CALL_MAX; i++)
        ck_assert_int_eq(publish_number(&world, i % 1000, 0), S4_OK);
    ck_assert_int_eq(publish_number(&world, 0, 0), S4_FULL);
    table_rollback(world.table);
    ck_assert_uint_eq(table_counters(world.table)->rows, 0);
    ck_assert_int_eq(publish_number(&world, 0, 0), S4_OK);
    table_commit(world.table);
    table_validate(world.table);
    world_fini(&world);
}
END_TEST

START_TEST(bounds_keys_and_rows)
{
    struct world world;
    char key[RECORD_KEY_MAX + 1] = { 0 };
    world_init(&world, (struct output_limits){ 10, 1u << 30, OUTPUT_REFUSE });
    struct value row = row_make(&world.writer, world.type, "x", 1, 0);
    uint64_t hash = hash_bytes(key, RECORD_KEY_MAX);
    ck_assert_int_eq(table_publish(world.table, hash, key, RECORD_KEY_MAX, &row), S4_OK);
    ck_assert(table_find(world.table, hash, key, RECORD_KEY_MAX, &row));
    ck_assert_int_eq(table_publish(world.table, 1, key, sizeof key, &row), S4_TOO_LARGE);
    ck_assert_int_eq(table_unpublish(world.table, 1, key, sizeof key), S4_OK);
    row.size = RECORD_MAX + 8;
    ck_assert_int_eq(table_publish(world.table, 1, key, 1, &row), S4_TOO_LARGE);
    world_fini(&world);
}
END_TEST

START_TEST(equal_hashes_are_told_apart)
{
    struct world world;
    world_init(&world, (struct output_limits){ 10000, 1u << 30, OUTPUT_REFUSE });
    for (uint32_t i = 0; i < 3000; i++) {
        struct value row = row_make(&world.writer, world.type, "x", i, 0);
        ck_assert_int_eq(table_publish(world.table, 7, &i, sizeof i, &row), S4_OK);
    }
    table_commit(world.table);
    for (uint32_t i = 0; i < 3000; i++) {
        struct value row;
        ck_assert(table_find(world.table, 7, &i, sizeof i, &row));
        ck_assert_int_eq(row_n(&row), i);
    }
    world_fini(&world);
}
END_TEST

START_TEST(bounds_pins_and_outlives_its_owner)
{
    struct world world;
    struct table_pin *pins[OUTPUT_PINS_MAX + 1];
    world_init(&world, (struct output_limits){ 10, 1u << 20, OUTPUT_REFUSE });
    for (uint64_t i = 0; i < OUTPUT_PINS_MAX; i++) {
        ck_assert_int_eq(publish_number(&world, i % 10, 0), S4_OK);
        table_commit(world.table);
        ck_assert_int_eq(table_pin(world.table, &pins[i]), S4_OK);
    }
    ck_assert_int_eq(table_pin(world.table, &pins[OUTPUT_PINS_MAX]), S4_FULL);
    table_unpin(pins[3]);
    ck_assert_int_eq(table_pin(world.table, &pins[3]), S4_OK);
    table_destroy(world.table);
    world.table = NULL;
    for (uint64_t i = 0; i < OUTPUT_PINS_MAX; i++) {
        ck_assert_uint_eq(table_pin_rows(pins[i]), i == 3 || i > 9 ? 10 : i + 1);
        table_unpin(pins[i]);
    }
    table_unpin(NULL);
    world_fini(&world);
}
END_TEST

START_TEST(pins_one_key)
{
    struct world world;
    struct table_pin *pin, *none;
    struct table_row row;
    char key[64];
    world_init(&world, (struct output_limits){ 10, 1u << 20, OUTPUT_DROP_OLDEST });
    ck_assert_int_eq(publish_number(&world, 7, 100), S4_OK);
    table_commit(world.table);
    size_t len = row_key("7", key);
    uint64_t hash = hash_bytes(key, len);
    ck_assert_int_eq(table_pin_key(world.table, hash, key, len, &pin), S4_OK);
    ck_assert_int_eq(table_pin_key(world.table, 3, key, len, &none), S4_OK);
    table_destroy(world.table);
    world.table = NULL;
    struct table_cursor cursor = table_scan(pin);
    ck_assert(table_next(&cursor, &row));
    ck_assert(row_is(&row.value, "7", 7, 100));
    ck_assert(row.key_len == len && memcmp(row.key, key, len) == 0);
    ck_assert(!table_next(&cursor, &row));
    cursor = table_scan(none);
    ck_assert(!table_next(&cursor, &row));
    table_unpin(pin);
    table_unpin(none);
    world_fini(&world);
}
END_TEST

START_TEST(creation_survives_lack_of_memory)
{
    struct world world;
    struct output_limits limits = { 10, 1u << 20, OUTPUT_REFUSE };
    world_init(&world, limits);
    s4_status status = S4_NO_MEMORY;
    struct table *table = NULL;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        mem_fail_after(n);
        status = table_create(world.type, &limits, &table);
        mem_fail_after(-1);
    }
    ck_assert_int_eq(status, S4_OK);
    mem_fail_after(0);
    struct table_pin *pin;
    ck_assert_int_eq(table_pin(table, &pin), S4_NO_MEMORY);
    ck_assert_int_eq(table_pin_key(table, 1, "", 0, &pin), S4_NO_MEMORY);
    mem_fail_after(-1);
    table_destroy(table);
    table_destroy(NULL);
    world_fini(&world);
}
END_TEST

/* The steady state: what is overwritten in place allocates nothing. */
START_TEST(overwriting_allocates_nothing)
{
    struct world world;
    world_init(&world, (struct output_limits){ 1u << 20, 1u << 30, OUTPUT_DROP_OLDEST });
    for (uint64_t i = 0; i < 20000; i++) {
        ck_assert_int_eq(publish_number(&world, i % 5000, 0), S4_OK);
        table_commit(world.table);
    }
    uint64_t calls = mem_calls();
    for (uint64_t i = 0; i < 20000; i++) {
        ck_assert_int_eq(publish_number(&world, i % 5000, 0), S4_OK);
        table_commit(world.table);
    }
    ck_assert_uint_eq(mem_calls(), calls);
    world_fini(&world);
}
END_TEST

/* ---- saved bytes ----------------------------------------------------------------------------- */

SAVED_OPS(table);

static void filled(struct world *world, struct buffer *saved)
{
    world_init(world, (struct output_limits){ 1000, 1u << 20, OUTPUT_DROP_OLDEST });
    buffer_init(saved);
    for (uint64_t i = 0; i < 20; i++)
        ck_assert_int_eq(publish_number(world, i, i % 3 ? 0 : 50), S4_OK);
    table_commit(world->table);
    ck_assert_int_eq(table_save(world->table, saved), S4_OK);
    table_destroy(world->table);
    ck_assert_int_eq(table_create(world->type, &world->limits, &world->table), S4_OK);
}

START_TEST(loading_distrusts_every_byte)
{
    struct world world;
    struct buffer saved;
    filled(&world, &saved);
    saved_distrusts(&saved_ops, &world, &saved, &world.rng);
    buffer_fini(&saved);
    world_fini(&world);
}
END_TEST

/* What a record may do, a row may not: have its text where a record has its key. */
START_TEST(loading_refuses_text_in_the_key)
{
    struct world world;
    struct buffer saved;
    struct diag diag = { 0 };
    uint32_t in_key[2] = { sizeof(struct record) + 2, 0 };
    filled(&world, &saved);
    struct buffer bent;
    buffer_init(&bent);
    ck_assert_int_eq(buffer_append(&bent, saved.data, saved.size), S4_OK);
    size_t key_len = row_key("0", (char[64]){ 0 });
    size_t head = saved.size;
    for (size_t at = 0; head == saved.size; at++)
        if (memcmp(saved.data + at,
                   "\0\1"
                   "0",
                   key_len) == 0)
            head = at;
    memcpy(bent.data + head + key_len + type_find(world.type, "word")->offset, in_key,
           sizeof in_key);
    const char *at = bent.data;
    ck_assert_int_eq(table_load(world.table, &at, bent.data + bent.size, &diag), S4_CORRUPT);
    ck_assert_str_eq(diag.text, "saved table of test.Row: a row refers to what is not its");
    buffer_fini(&bent);
    buffer_fini(&saved);
    world_fini(&world);
}
END_TEST

START_TEST(saving_and_loading_survive_lack_of_memory)
{
    struct world world;
    struct buffer saved;
    filled(&world, &saved);
    saved_survives_lack_of_memory(&saved_ops, &world, &saved, 20);
    buffer_fini(&saved);
    world_fini(&world);
}
END_TEST

START_TEST(loading_holds_the_bounds_and_the_type)
{
    struct world world;
    struct buffer saved;
    struct table *table;
    struct diag diag = { 0 };
    filled(&world, &saved);
    struct output_limits limits = { 20, 1u << 20, OUTPUT_DROP_OLDEST };
    const char *at = saved.data;
    ck_assert_int_eq(table_create(world.type, &limits, &table), S4_OK);
    ck_assert_int_eq(table_load(table, &at, saved.data + saved.size, &diag), S4_OK);
    table_destroy(table);
    limits.rows_max = 19;
    at = saved.data;
    ck_assert_int_eq(table_create(world.type, &limits, &table), S4_OK);
    ck_assert_int_eq(table_load(table, &at, saved.data + saved.size, &diag), S4_RANGE);
    table_destroy(table);
    ck_assert_int_eq(table_create(rows_type(world.schema, "test.Count"), &limits, &table), S4_OK);
    ck_assert_int_eq(table_load(table, &at, saved.data + saved.size, &diag), S4_TYPE);
    table_destroy(table);
    buffer_fini(&saved);
    world_fini(&world);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("table");
    suite_add(suite, "refuses", like_a_map_that_refuses, 100);
    suite_add(suite, "drops", like_a_map_that_drops, 100);
    suite_add(suite, "unbounded", like_a_map_without_bounds, 100);
    suite_add(suite, "many", grows_to_many_rows_and_back, 60);
    suite_add(suite, "full-rows", refuses_at_the_bound_and_not_before, 10);
    suite_add(suite, "full-bytes", counts_bytes_at_the_bound, 10);
    suite_add(suite, "oldest", drops_the_row_published_longest_ago, 10);
    suite_add(suite, "call", bounds_one_call, 10);
    suite_add(suite, "sizes", bounds_keys_and_rows, 10);
    suite_add(suite, "hashes", equal_hashes_are_told_apart, 10);
    suite_add(suite, "pins", bounds_pins_and_outlives_its_owner, 10);
    suite_add(suite, "pin-key", pins_one_key, 10);
    suite_add(suite, "memory", creation_survives_lack_of_memory, 10);
    suite_add(suite, "steady", overwriting_allocates_nothing, 10);
    suite_add(suite, "distrust", loading_distrusts_every_byte, 60);
    suite_add(suite, "distrust-key", loading_refuses_text_in_the_key, 10);
    suite_add(suite, "save-memory", saving_and_loading_survive_lack_of_memory, 60);
    suite_add(suite, "save-bounds", loading_holds_the_bounds_and_the_type, 10);
    return suite;
}
