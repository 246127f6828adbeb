/* Dead letters: rows of a log like any other, with their event as JSON, cut where it is long. */
#include "tests/support/suite.h"

#include "pe/output/deadletter.h"
#include "pe/output/query.h"
#include "runtime/base/mem.h"
#include "tests/support/rows.h"

struct world {
    struct schema *schema; /* of the letters */
    struct codec *codec;
    struct schema *events;
    struct writer writer;
    struct rowlog *log;
    struct buffer row;
};

static void world_init(struct world *world)
{
    struct output_limits limits = { .full = OUTPUT_DROP_OLDEST };
    *world = (struct world){ 0 };
    ck_assert_int_eq(deadletter_type(&world->schema, &world->codec), S4_OK);
    world->events = rows_schema();
    writer_init(&world->writer);
    buffer_init(&world->row);
    ck_assert_int_eq(rowlog_create(codec_type(world->codec), &limits, &world->log), S4_OK);
}

static void world_fini(struct world *world)
{
    rowlog_destroy(world->log);
    buffer_fini(&world->row);
    writer_fini(&world->writer);
    schema_destroy(world->events);
    codec_destroy(world->codec);
    schema_destroy(world->schema);
}

static s4_status bury(struct world *world, const char *word, uint32_t note)
{
    struct value row;
    struct value event =
        row_make(&world->writer, rows_type(world->events, "test.Row"), word, 7, note);
    struct deadletter letter = {
        .version = "1.2",
        .stream = "words",
        .prototype = "counter",
        .key = word,
        .status = S4_FULL,
        .cause = "the table is full",
        .event = &event,
    };
    TRY(deadletter_row(world->codec, &letter, &world->row, &row));
    return rowlog_append(world->log, 11, &row);
}

/* All letters as JSON; the caller's to mem_free. */
static char *read_all(struct world *world)
{
    struct query_pins *pins;
    struct query *query;
    struct query_result result;
    struct buffer out;
    struct query_request request = { .output = "dead_letters" };
    buffer_init(&out);
    ck_assert_int_eq(query_pins_create(codec_type(world->codec), NULL, 1, &pins), S4_OK);
    ck_assert_int_eq(rowlog_pin(world->log, &pins->pins[0].log), S4_OK);
    ck_assert_int_eq(query_compile(&request, pins->type, NULL, &query, NULL), S4_OK);
    ck_assert_int_eq(query_run(query, pins, &result), S4_OK);
    ck_assert_int_eq(query_write_json(&result, &out), S4_OK);
    ck_assert_ptr_nonnull(buffer_text(&out));
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(pins);
    return out.data;
}

START_TEST(letters_are_rows)
{
    struct world world;
    world_init(&world);
    ck_assert_int_eq(bury(&world, "a", 0), S4_OK);
    rowlog_commit(world.log);
    char *text = read_all(&world);
    ck_assert_str_eq(text, "{\"prototype\":\"counter\",\"key\":\"a\",\"stream\":\"words\","
                           "\"status\":\"FULL\",\"cause\":\"the table is full\","
                           "\"event\":\"{\\\"word\\\":\\\"a\\\",\\\"n\\\":7}\","
                           "\"version\":\"1.2\"}\n");
    mem_free(text);
    world_fini(&world);
}
END_TEST

START_TEST(long_events_are_cut)
{
    struct world world;
    static char word[DEADLETTER_EVENT_MAX + 1];
    memset(word, 'x', DEADLETTER_EVENT_MAX);
    world_init(&world);
    ck_assert_int_eq(bury(&world, word, 4000), S4_OK);
    rowlog_commit(world.log);
    char *text = read_all(&world);
    ck_assert_ptr_nonnull(strstr(text, "xxx... (cut)\""));
    ck_assert_uint_lt(strlen(text), 2 * DEADLETTER_EVENT_MAX + 300);
    mem_free(text);
    world_fini(&world);
}
END_TEST

START_TEST(lack_of_memory_leaves_nothing)
{
    struct world world;
    world_init(&world);
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        buffer_fini(&world.row);
        ck_assert_uint_eq(rowlog_counters(world.log)->rows, 0);
        struct value event =
            row_make(&world.writer, rows_type(world.events, "test.Row"), "a", 7, 0);
        struct deadletter letter = { .version = "1",
                                     .stream = "",
                                     .prototype = "",
                                     .status = S4_FAILED,
                                     .cause = "",
                                     .event = &event };
        struct value row;
        mem_fail_after(n);
        status = deadletter_row(world.codec, &letter, &world.row, &row);
        if (status == S4_OK)
            status = rowlog_append(world.log, 0, &row);
        mem_fail_after(-1);
        rowlog_commit(world.log);
    }
    ck_assert_int_eq(status, S4_OK);
    status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        struct schema *schema;
        struct codec *codec;
        mem_fail_after(n);
        status = deadletter_type(&schema, &codec);
        mem_fail_after(-1);
        if (status == S4_OK) {
            codec_destroy(codec);
            schema_destroy(schema);
        }
    }
    ck_assert_int_eq(status, S4_OK);
    world_fini(&world);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("deadletter");
    suite_add(suite, "rows", letters_are_rows, 10);
    suite_add(suite, "cut", long_events_are_cut, 10);
    suite_add(suite, "memory", lack_of_memory_leaves_nothing, 10);
    return suite;
}
