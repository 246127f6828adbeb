/* Logs: against a naive array over a million random steps, with calls that are rolled back, memory
 * that runs out, logs saved and loaded in the middle, and pins that another thread reads. */
#include "tests/support/suite.h"

#include "pe/output/rowlog.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/pin_reader.h"
#include "tests/support/rows.h"
#include "tests/support/saved_check.h"

#define STEPS 1000000

/* What was ever appended, by number. Written ahead of the readers, who look only below their pin's
 * end. */
struct model_row {
    int64_t n;
    uint64_t time_us;
    uint32_t note;
    uint32_t bytes;
};

struct model {
    uint64_t first; /* living rows: [first, next) */
    uint64_t next;
    struct output_counters counters;
};

struct world {
    struct rng rng;
    struct schema *schema;
    const struct type *type;
    struct writer writer;
    struct output_limits limits;
    struct rowlog *log;
    struct model_row *rows;
    struct model model;
    struct model before; /* the running call */
};

static void world_init(struct world *world, struct output_limits limits)
{
    *world = (struct world){ .limits = limits };
    rng_init(&world->rng, suite_seed());
    world->schema = rows_schema();
    world->type = rows_type(world->schema, "test.Row");
    world->rows = calloc(STEPS + 1, sizeof *world->rows);
    writer_init(&world->writer);
    ck_assert_int_eq(rowlog_create(world->type, &limits, &world->log), S4_OK);
}

static void world_fini(struct world *world)
{
    rowlog_destroy(world->log);
    writer_fini(&world->writer);
    schema_destroy(world->schema);
    free(world->rows);
}

static s4_status model_append(struct world *world, struct model_row row)
{
    struct model *model = &world->model;
    struct model next = *model;
    if (row.bytes > world->limits.bytes_max) {
        model->counters.refused++;
        return S4_TOO_LARGE;
    }
    world->rows[next.next++] = row;
    next.counters.rows++;
    next.counters.bytes += row.bytes;
    next.counters.published++;
    while (next.counters.rows > world->limits.rows_max ||
           next.counters.bytes > world->limits.bytes_max) {
        if (world->limits.full == OUTPUT_REFUSE) {
            model->counters.refused++;
            return S4_FULL;
        }
        next.counters.bytes -= world->rows[next.first++].bytes;
        next.counters.rows--;
        next.counters.dropped++;
    }
    *model = next;
    return S4_OK;
}

static struct model_row random_row(struct world *world)
{
    struct rng *rng = &world->rng;
    struct model_row row = { .n = (int64_t)rng_next(rng), .time_us = rng_below(rng, 1000) };
    if (rng_below(rng, 4) == 0)
        row.note = (uint32_t)rng_below(rng, rng_below(rng, 50) == 0 ? 4000 : 200);
    return row;
}

/* Sometimes with the first, second, ... allocation failing until it has what it needs. */
static s4_status append_starved(struct world *world, const struct model_row *row,
                                const struct value *value)
{
    bool starved = rng_below(&world->rng, 64) == 0;
    for (int64_t n = starved ? 0 : -1;; n++) {
        mem_fail_after(n);
        s4_status status = rowlog_append(world->log, row->time_us, value);
        mem_fail_after(-1);
        if (status != S4_NO_MEMORY)
            return status;
        rowlog_validate(world->log);
        world->model.counters.refused++; /* lack of memory refuses too */
        world->before.counters.refused++;
    }
}

static void step(struct world *world)
{
    struct model_row row = random_row(world);
    struct value value = row_make(&world->writer, world->type, "w", row.n, row.note);
    row.bytes = (uint32_t)rowlog_row_bytes(value.size);
    s4_status status = append_starved(world, &row, &value);
    ck_assert_int_eq(status, model_append(world, row));
}

static void end_call(struct world *world)
{
    if (rng_below(&world->rng, 5) == 0) {
        uint64_t refused = world->model.counters.refused;
        rowlog_rollback(world->log);
        world->model = world->before;
        world->model.counters.refused = refused;
    } else {
        rowlog_commit(world->log);
    }
    world->before = world->model;
}

/* Only where the log refuses: empties it, so that rows come again. */
static void start_again(struct world *world)
{
    rowlog_destroy(world->log);
    ck_assert_int_eq(rowlog_create(world->type, &world->limits, &world->log), S4_OK);
    world->model = world->before = (struct model){ 0 };
}

/* `rows` start with the model's first. */
static bool pin_is(const struct rowlog_pin *pin, const struct model *model,
                   const struct model_row *rows)
{
    struct rowlog_cursor cursor = rowlog_scan(pin);
    struct rowlog_row row;
    uint64_t seq = model->first;
    for (; rowlog_next(&cursor, &row); seq++, rows++)
        if (row.seq != seq || row.time_us != rows->time_us ||
            !row_is(&row.value, "w", rows->n, rows->note))
            return false;
    return seq == model->next && rowlog_pin_rows(pin) == model->next - model->first;
}

static void check_same(const struct world *world)
{
    struct rowlog_pin *pin;
    const struct output_counters *counters = rowlog_counters(world->log);
    rowlog_validate(world->log);
    ck_assert_int_eq(memcmp(counters, &world->model.counters, sizeof *counters), 0);
    ck_assert_uint_eq(rowlog_next_seq(world->log), world->model.next);
    ck_assert_int_eq(rowlog_pin(world->log, &pin), S4_OK);
    ck_assert(pin_is(pin, &world->model, world->rows + world->model.first));
    rowlog_unpin(pin);
}

static void save_and_load(struct world *world)
{
    struct buffer saved, again;
    struct rowlog *loaded;
    buffer_init(&saved);
    buffer_init(&again);
    ck_assert_int_eq(rowlog_save(world->log, &saved), S4_OK);
    const char *at = saved.data;
    ck_assert_int_eq(rowlog_create(world->type, &world->limits, &loaded), S4_OK);
    ck_assert_int_eq(rowlog_load(loaded, &at, saved.data + saved.size, NULL), S4_OK);
    ck_assert_ptr_eq(at, saved.data + saved.size);
    ck_assert_int_eq(rowlog_save(loaded, &again), S4_OK);
    ck_assert_uint_eq(again.size, saved.size);
    ck_assert_int_eq(memcmp(again.data, saved.data, saved.size), 0);
    rowlog_destroy(world->log); /* maybe with living pins */
    world->log = loaded;
    buffer_fini(&saved);
    buffer_fini(&again);
}

/* ---- the reader ------------------------------------------------------------------------------ */

struct pinned {
    struct rowlog_pin *pin;
    struct model model;
    struct model_row *rows; /* a copy */
};

static bool pinned_is_right(const void *user)
{
    const struct pinned *pinned = user;
    return pin_is(pinned->pin, &pinned->model, pinned->rows);
}

static void pinned_done(void *user)
{
    struct pinned *pinned = user;
    rowlog_unpin(pinned->pin);
    free(pinned->rows);
    free(pinned);
}

static void give_pin(struct pin_reader *reader, struct world *world)
{
    struct pinned *pinned = malloc(sizeof *pinned);
    size_t size = (world->model.next - world->model.first) * sizeof *world->rows;
    *pinned = (struct pinned){ .model = world->model, .rows = malloc(size + 1) };
    memcpy(pinned->rows, world->rows + world->model.first, size);
    ck_assert_int_eq(rowlog_pin(world->log, &pinned->pin), S4_OK);
    pin_reader_give(reader, pinned);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void against_array(struct output_limits limits)
{
    struct world world;
    struct pin_reader reader;
    world_init(&world, limits);
    pin_reader_start(&reader, pinned_is_right, pinned_done);
    for (uint64_t i = 0; i < STEPS; i++) {
        step(&world);
        if (rng_below(&world.rng, 4) != 0)
            continue;
        end_call(&world);
        uint64_t draw = rng_below(&world.rng, 5000);
        if (draw == 0)
            check_same(&world);
        else if (draw == 1)
            save_and_load(&world);
        else if (draw < 20)
            give_pin(&reader, &world);
        else if (draw < 25 && limits.full == OUTPUT_REFUSE)
            start_again(&world);
    }
    end_call(&world);
    check_same(&world);
    pin_reader_stop(&reader);
    rowlog_sweep(world.log);
    rowlog_validate(world.log);
    world_fini(&world);
}

START_TEST(like_an_array_that_refuses)
{
    against_array((struct output_limits){ 500, 60000, OUTPUT_REFUSE });
}
END_TEST

START_TEST(like_an_array_that_drops)
{
    against_array((struct output_limits){ 500, 60000, OUTPUT_DROP_OLDEST });
}
END_TEST

START_TEST(like_an_array_of_three)
{
    against_array((struct output_limits){ 3, 3000, OUTPUT_DROP_OLDEST });
}
END_TEST

static s4_status append_number(struct world *world, uint64_t number, uint32_t note)
{
    struct value value = row_make(&world->writer, world->type, "w", (int64_t)number, note);
    return rowlog_append(world->log, number, &value);
}

START_TEST(refuses_at_the_bound_and_not_before)
{
    struct world world;
    world_init(&world, (struct output_limits){ 10, 1u << 20, OUTPUT_REFUSE });
    for (uint64_t i = 0; i < 10; i++)
        ck_assert_int_eq(append_number(&world, i, 0), S4_OK);
    ck_assert_int_eq(append_number(&world, 10, 0), S4_FULL);
    rowlog_rollback(world.log);
    ck_assert_uint_eq(rowlog_counters(world.log)->rows, 0);
    ck_assert_uint_eq(rowlog_counters(world.log)->refused, 1);
    ck_assert_uint_eq(rowlog_next_seq(world.log), 0);
    rowlog_validate(world.log);
    world_fini(&world);
}
END_TEST

START_TEST(counts_bytes_at_the_bound)
{
    struct world world;
    world_init(&world, (struct output_limits){ 100, 1, OUTPUT_DROP_OLDEST });
    struct value value = row_make(&world.writer, world.type, "w", 5, 0);
    uint64_t bytes = rowlog_row_bytes(value.size);
    ck_assert_int_eq(append_number(&world, 5, 0), S4_TOO_LARGE);
    rowlog_destroy(world.log);
    world.limits.bytes_max = 2 * bytes;
    ck_assert_int_eq(rowlog_create(world.type, &world.limits, &world.log), S4_OK);
    for (uint64_t i = 0; i < 3; i++)
        ck_assert_int_eq(append_number(&world, i, 0), S4_OK);
    ck_assert_uint_eq(rowlog_counters(world.log)->rows, 2);
    ck_assert_uint_eq(rowlog_counters(world.log)->dropped, 1);
    rowlog_rollback(world.log);
    ck_assert_uint_eq(rowlog_counters(world.log)->dropped, 0);
    value.size = RECORD_MAX + 8;
    ck_assert_int_eq(rowlog_append(world.log, 0, &value), S4_TOO_LARGE);
    world_fini(&world);
}
END_TEST

START_TEST(bounds_one_call)
{
    struct world world;
    world_init(&world, (struct output_limits){ 1u << 20, 1u << 30, OUTPUT_REFUSE });
    for (uint64_t i = 0; i < OUTPUT_CALL_MAX; i++)
        ck_assert_int_eq(append_number(&world, i, 0), S4_OK);
    ck_assert_int_eq(append_number(&world, 0, 0), S4_FULL);
    rowlog_commit(world.log);
    ck_assert_int_eq(append_number(&world, 0, 0), S4_OK);
    rowlog_rollback(world.log);
    rowlog_validate(world.log);
    ck_assert_uint_eq(rowlog_counters(world.log)->rows, OUTPUT_CALL_MAX);
    world_fini(&world);
}
END_TEST

START_TEST(gives_memory_back)
{
    struct world world;
    struct rowlog_pin *pin;
    world_init(&world, (struct output_limits){ 100, 1u << 30, OUTPUT_DROP_OLDEST });
    for (uint64_t i = 0; i < 100; i++)
        ck_assert_int_eq(append_number(&world, i, 0), S4_OK);
    rowlog_commit(world.log);
    ck_assert_int_eq(rowlog_pin(world.log, &pin), S4_OK);
    rowlog_unpin(pin); /* nobody sweeps */
    for (uint64_t i = 0; i < 100000; i++) {
        ck_assert_int_eq(append_number(&world, i, 0), S4_OK);
        rowlog_commit(world.log);
    }
    ck_assert_uint_lt(rowlog_memory(world.log), 200 * KIB);
    world_fini(&world);
}
END_TEST

START_TEST(bounds_pins_and_outlives_its_owner)
{
    struct world world;
    struct rowlog_pin *pins[OUTPUT_PINS_MAX + 1];
    world_init(&world, (struct output_limits){ 10, 1u << 20, OUTPUT_DROP_OLDEST });
    for (uint64_t i = 0; i < OUTPUT_PINS_MAX; i++) {
        ck_assert_int_eq(append_number(&world, i, 2000), S4_OK);
        rowlog_commit(world.log);
        ck_assert_int_eq(rowlog_pin(world.log, &pins[i]), S4_OK);
    }
    ck_assert_int_eq(rowlog_pin(world.log, &pins[OUTPUT_PINS_MAX]), S4_FULL);
    rowlog_unpin(pins[3]);
    ck_assert_int_eq(rowlog_pin(world.log, &pins[3]), S4_OK);
    rowlog_destroy(world.log);
    world.log = NULL;
    for (uint64_t i = 0; i < OUTPUT_PINS_MAX; i++) {
        struct rowlog_cursor cursor = rowlog_scan(pins[i]);
        struct rowlog_row row;
        uint64_t last = i == 3 ? OUTPUT_PINS_MAX - 1 : i;
        while (rowlog_next(&cursor, &row))
            ck_assert(row_is(&row.value, "w", (int64_t)row.seq, 2000));
        ck_assert_uint_eq(row.seq, last);
        rowlog_unpin(pins[i]);
    }
    rowlog_unpin(NULL);
    world_fini(&world);
}
END_TEST

START_TEST(creation_survives_lack_of_memory)
{
    struct world world;
    struct rowlog *log;
    struct rowlog_pin *pin;
    world_init(&world, (struct output_limits){ 10, 1u << 20, OUTPUT_REFUSE });
    mem_fail_after(0);
    ck_assert_int_eq(rowlog_create(world.type, &world.limits, &log), S4_NO_MEMORY);
    ck_assert_int_eq(rowlog_pin(world.log, &pin), S4_NO_MEMORY);
    mem_fail_after(-1);
    rowlog_destroy(NULL);
    world_fini(&world);
}
END_TEST

/* ---- saved bytes ----------------------------------------------------------------------------- */

SAVED_OPS(rowlog);

static void filled(struct world *world, struct buffer *saved)
{
    world_init(world, (struct output_limits){ 20, 1u << 20, OUTPUT_DROP_OLDEST });
    buffer_init(saved);
    for (uint64_t i = 0; i < 33; i++)
        ck_assert_int_eq(append_number(world, i, i % 3 ? 0 : 50), S4_OK);
    rowlog_commit(world->log);
    ck_assert_int_eq(rowlog_save(world->log, saved), S4_OK);
    rowlog_destroy(world->log);
    ck_assert_int_eq(rowlog_create(world->type, &world->limits, &world->log), S4_OK);
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

START_TEST(saving_and_loading_survive_lack_of_memory)
{
    struct world world;
    struct buffer saved;
    filled(&world, &saved);
    saved_survives_lack_of_memory(&saved_ops, &world, &saved, 20);
    const char *at = saved.data;
    ck_assert_int_eq(rowlog_load(world.log, &at, saved.data + saved.size, NULL), S4_OK);
    ck_assert_uint_eq(rowlog_next_seq(world.log), 33);
    buffer_fini(&saved);
    world_fini(&world);
}
END_TEST

START_TEST(loading_holds_the_bounds_and_the_type)
{
    struct world world;
    struct buffer saved;
    struct rowlog *log;
    struct diag diag = { 0 };
    filled(&world, &saved);
    struct output_limits limits = { 19, 1u << 20, OUTPUT_DROP_OLDEST };
    const char *at = saved.data;
    ck_assert_int_eq(rowlog_create(world.type, &limits, &log), S4_OK);
    ck_assert_int_eq(rowlog_load(log, &at, saved.data + saved.size, &diag), S4_RANGE);
    rowlog_destroy(log);
    ck_assert_int_eq(rowlog_create(rows_type(world.schema, "test.Count"), &limits, &log), S4_OK);
    ck_assert_int_eq(rowlog_load(log, &at, saved.data + saved.size, &diag), S4_TYPE);
    rowlog_destroy(log);
    buffer_fini(&saved);
    world_fini(&world);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("rowlog");
    suite_add(suite, "refuses", like_an_array_that_refuses, 100);
    suite_add(suite, "drops", like_an_array_that_drops, 100);
    suite_add(suite, "three", like_an_array_of_three, 100);
    suite_add(suite, "full-rows", refuses_at_the_bound_and_not_before, 10);
    suite_add(suite, "full-bytes", counts_bytes_at_the_bound, 10);
    suite_add(suite, "call", bounds_one_call, 10);
    suite_add(suite, "memory-back", gives_memory_back, 10);
    suite_add(suite, "pins", bounds_pins_and_outlives_its_owner, 10);
    suite_add(suite, "memory", creation_survives_lack_of_memory, 10);
    suite_add(suite, "distrust", loading_distrusts_every_byte, 60);
    suite_add(suite, "save-memory", saving_and_loading_survive_lack_of_memory, 60);
    suite_add(suite, "save-bounds", loading_holds_the_bounds_and_the_type, 10);
    return suite;
}
