/* Queries: against a naive sort over random rows in random partitions, what is refused and how it
 * is said, and how rows are written. */
#include "tests/support/suite.h"

#include "pe/output/query.h"
#include "router/key/key.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/text/json.h"
#include "runtime/text/pb.h"
#include "tests/support/protos/scalars.pb-c.h"
#include "tests/support/rows.h"

#define PARTITIONS 7

struct world {
    struct rng rng;
    struct schema *schema;
    const struct type *type;
    struct writer writer;
    struct keys keys;
    struct key_spec spec;
    const char *key;
    struct table *tables[PARTITIONS];
    struct rowlog *logs[PARTITIONS];
    struct diag diag;
};

/* A table of Rows by the given key in every partition, and a log. */
static void world_init(struct world *world, const char *key)
{
    struct output_limits limits = { .full = OUTPUT_REFUSE };
    *world = (struct world){ .key = key };
    rng_init(&world->rng, suite_seed());
    world->schema = rows_schema();
    world->type = rows_type(world->schema, "test.Row");
    writer_init(&world->writer);
    keys_init(&world->keys);
    ck_assert_int_eq(key_spec_compile(world->type, key, &world->spec, NULL), S4_OK);
    for (int i = 0; i < PARTITIONS; i++) {
        ck_assert_int_eq(table_create(world->type, &limits, &world->tables[i]), S4_OK);
        ck_assert_int_eq(rowlog_create(world->type, &limits, &world->logs[i]), S4_OK);
    }
}

static void world_fini(struct world *world)
{
    for (int i = 0; i < PARTITIONS; i++) {
        table_destroy(world->tables[i]);
        rowlog_destroy(world->logs[i]);
    }
    keys_fini(&world->keys);
    writer_fini(&world->writer);
    schema_destroy(world->schema);
}

static void publish_value(struct world *world, int partition, const struct value *value)
{
    ck_assert_int_eq(keys_of_value(&world->keys, &world->spec, value), S4_OK);
    ck_assert_uint_eq(keys_count(&world->keys), 1);
    const struct key_at *key = keys_at(&world->keys, 0);
    struct table *table = world->tables[partition];
    ck_assert_int_eq(
        table_publish(table, key->hash, keys_bytes(&world->keys, key), key->len, value), S4_OK);
    table_commit(table);
}

static void publish(struct world *world, int partition, const char *json)
{
    struct value value;
    s4_status status =
        json_read(&world->writer, world->type, json, strlen(json), &value, &world->diag);
    ck_assert_msg(status == S4_OK, "%s: %s", json, world->diag.text);
    publish_value(world, partition, &value);
}

static void append(struct world *world, int partition, uint64_t time_us, const char *json)
{
    struct value value;
    ck_assert_int_eq(json_read(&world->writer, world->type, json, strlen(json), &value, NULL),
                     S4_OK);
    ck_assert_int_eq(rowlog_append(world->logs[partition], time_us, &value), S4_OK);
    rowlog_commit(world->logs[partition]);
}

static struct query_pins *pin_all(struct world *world, bool logs)
{
    struct query_pins *pins;
    ck_assert_int_eq(query_pins_create(world->type, logs ? NULL : world->key, PARTITIONS, &pins),
                     S4_OK);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        /* Not in the order of the partitions, which must not show. */
        uint32_t partition = (i * 3) % PARTITIONS;
        pins->pins[i].partition = partition;
        ck_assert_int_eq(logs ? rowlog_pin(world->logs[partition], &pins->pins[i].log)
                              : table_pin(world->tables[partition], &pins->pins[i].table),
                         S4_OK);
    }
    return pins;
}

typedef s4_status write_fn(const struct query_result *result, struct buffer *out);

/* What the query writes, as text; the caller's to mem_free. */
static char *ask(struct world *world, bool logs, struct query_request request, write_fn *write)
{
    struct query_pins *pins = pin_all(world, logs);
    struct query *query;
    struct query_result result;
    struct buffer out;
    buffer_init(&out);
    request.output = "rows";
    s4_status status = query_compile(&request, pins->type, pins->key, &query, &world->diag);
    ck_assert_msg(status == S4_OK, "%s", world->diag.text);
    ck_assert_int_eq(query_run(query, pins, &result), S4_OK);
    ck_assert_int_eq(write(&result, &out), S4_OK);
    ck_assert_ptr_nonnull(buffer_text(&out));
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(pins);
    return out.data;
}

/* The words of the rows, in order, with a blank behind each. */
static s4_status write_words(const struct query_result *result, struct buffer *out)
{
    const struct field *word = type_find(result->type, "word");
    for (size_t i = 0; i < result->n_rows; i++) {
        const char *at = result->rows[i].value.at + word->offset;
        uint32_t off;
        memcpy(&off, at, sizeof off);
        TRY(buffer_printf(out, "%s ", result->rows[i].value.record + off));
    }
    return S4_OK;
}

static void asks(struct world *world, bool logs, struct query_request request, const char *words)
{
    char *text = ask(world, logs, request, write_words);
    ck_assert_str_eq(text, words);
    mem_free(text);
}

static void some_words(struct world *world)
{
    world_init(world, "word");
    publish(world, 0, "{\"word\":\"b\",\"n\":3,\"note\":\"x\",\"place\":{\"city\":\"Ulm\"}}");
    publish(world, 1, "{\"word\":\"aa\",\"n\":-7,\"score\":2.5}");
    publish(world, 2, "{\"word\":\"a\",\"n\":3,\"score\":\"NaN\",\"mood\":\"TENSE\"}");
    publish(world, 6,
            "{\"word\":\"ab\",\"n\":12,\"score\":-1,\"note\":\"y\",\"good\":true,"
            "\"place\":{\"city\":\"Aix\"}}");
    publish(world, 6, "{\"word\":\"\",\"n\":0,\"place\":{}}");
}

START_TEST(rows_come_by_key)
{
    struct world world;
    some_words(&world);
    asks(&world, false, (struct query_request){ 0 }, " a aa ab b ");
    asks(&world, false, (struct query_request){ .limit = 2 }, " a ");
    asks(&world, false, (struct query_request){ .key = "aa" }, "aa ");
    asks(&world, false, (struct query_request){ .key = "" }, " ");
    asks(&world, false, (struct query_request){ .key = "zz" }, "");
    asks(&world, false, (struct query_request){ .prefix = "a" }, "a aa ab ");
    asks(&world, false, (struct query_request){ .prefix = "" }, " a aa ab b ");
    asks(&world, false, (struct query_request){ .prefix = "abc" }, "");
    world_fini(&world);
}
END_TEST

START_TEST(rows_come_by_column)
{
    struct world world;
    some_words(&world);
    asks(&world, false, (struct query_request){ .by = "n" }, "ab a b  aa ");
    asks(&world, false, (struct query_request){ .by = "n", .top = 2 }, "ab a ");
    asks(&world, false, (struct query_request){ .by = "n", .ascending = true }, "aa  a b ab ");
    asks(&world, false, (struct query_request){ .by = "score" }, "a aa ab  b ");
    asks(&world, false, (struct query_request){ .by = "score", .ascending = true }, "ab aa a  b ");
    asks(&world, false, (struct query_request){ .by = "note" }, "ab b  a aa ");
    asks(&world, false, (struct query_request){ .by = "place.city", .top = 3 }, "b ab  ");
    asks(&world, false, (struct query_request){ .by = "mood", .top = 1 }, "a ");
    asks(&world, false, (struct query_request){ .by = "good", .top = 1 }, "ab ");
    asks(&world, false, (struct query_request){ .by = "word", .top = 9, .prefix = "a" },
         "ab aa a ");
    asks(&world, false, (struct query_request){ .by = "n", .top = 3, .limit = 1 }, "ab ");
    world_fini(&world);
}
END_TEST

START_TEST(counting_keeps_no_rows)
{
    struct world world;
    struct query *query;
    struct query_result result;
    some_words(&world);
    struct query_pins *pins = pin_all(&world, false);
    struct query_request request = { .output = "rows", .prefix = "a", .count = true };
    ck_assert_int_eq(query_compile(&request, pins->type, pins->key, &query, NULL), S4_OK);
    ck_assert_int_eq(query_run(query, pins, &result), S4_OK);
    ck_assert_uint_eq(result.matched, 3);
    ck_assert_uint_eq(result.n_rows, 0);
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(pins);
    world_fini(&world);
}
END_TEST

START_TEST(logs_come_by_partition_or_time)
{
    struct world world;
    world_init(&world, "word");
    append(&world, 5, 30, "{\"word\":\"a\",\"n\":1}");
    append(&world, 5, 10, "{\"word\":\"b\",\"n\":2}");
    append(&world, 2, 20, "{\"word\":\"c\",\"n\":3}");
    append(&world, 2, 10, "{\"word\":\"d\",\"n\":4}");
    append(&world, 0, 10, "{\"word\":\"e\",\"n\":5}");
    asks(&world, true, (struct query_request){ 0 }, "e c d a b ");
    asks(&world, true, (struct query_request){ .limit = 3 }, "e c d ");
    asks(&world, true, (struct query_request){ .by_time = true }, "a c e d b ");
    asks(&world, true, (struct query_request){ .by_time = true, .ascending = true }, "e d b c a ");
    asks(&world, true, (struct query_request){ .by = "n", .top = 2 }, "e d ");
    world_fini(&world);
}
END_TEST

START_TEST(keys_of_parts_sort_part_by_part)
{
    struct world world;
    world_init(&world, "word,n");
    publish(&world, 0, "{\"word\":\"b\",\"n\":1}");
    publish(&world, 0, "{\"word\":\"aa\",\"n\":5}");
    publish(&world, 1, "{\"word\":\"aa\",\"n\":-5}");
    publish(&world, 2, "{\"word\":\"aa\",\"n\":300}");
    char *json = ask(&world, false, (struct query_request){ 0 }, query_write_json);
    ck_assert_str_eq(json, "{\"word\":\"aa\",\"n\":-5}\n{\"word\":\"aa\",\"n\":5}\n"
                           "{\"word\":\"aa\",\"n\":300}\n{\"word\":\"b\",\"n\":1}\n");
    mem_free(json);
    asks(&world, false, (struct query_request){ .key = "aa,300" }, "aa ");
    asks(&world, false, (struct query_request){ .key = "aa,30" }, "");
    asks(&world, false, (struct query_request){ .prefix = "b" }, "b ");
    world_fini(&world);
}
END_TEST

/* ---- against a naive sort -------------------------------------------------------------------- */

struct naive {
    char word[8];
    int64_t n;
    int partition;
};

static bool by_n_ascending; /* of the sort below */

static int compare_naive(const void *a, const void *b)
{
    const struct naive *x = a;
    const struct naive *y = b;
    if (x->n != y->n)
        return (x->n < y->n) == by_n_ascending ? -1 : 1;
    int order = strcmp(x->word, y->word);
    return order != 0 ? order : x->partition - y->partition;
}

static size_t random_rows(struct world *world, struct naive *rows)
{
    size_t n = 0;
    for (int i = 0; i < 2000; i++) {
        struct naive row = { .n = (int64_t)rng_below(&world->rng, 40) - 20 };
        row.partition = (int)rng_below(&world->rng, PARTITIONS);
        snprintf(row.word, sizeof row.word, "%u", (unsigned)rng_below(&world->rng, 500));
        struct value value = row_make(&world->writer, world->type, row.word, row.n, 0);
        publish_value(world, row.partition, &value);
        size_t at = 0;
        while (at < n &&
               (rows[at].partition != row.partition || strcmp(rows[at].word, row.word) != 0))
            at++;
        rows[at] = row;
        n += at == n;
    }
    return n;
}

START_TEST(like_a_sort)
{
    struct world world;
    static struct naive rows[2000];
    world_init(&world, "word");
    size_t n = random_rows(&world, rows);
    struct query_pins *pins = pin_all(&world, false);
    for (int round = 0; round < 200; round++) {
        struct query *query;
        struct query_result result;
        struct query_request request = { .output = "rows", .by = "n" };
        request.ascending = by_n_ascending = round % 2;
        request.limit = rng_below(&world.rng, n + 10);
        qsort(rows, n, sizeof rows[0], compare_naive);
        ck_assert_int_eq(query_compile(&request, pins->type, pins->key, &query, NULL), S4_OK);
        ck_assert_int_eq(query_run(query, pins, &result), S4_OK);
        ck_assert_uint_eq(result.matched, n);
        ck_assert_uint_eq(result.n_rows, request.limit ? size_min(n, request.limit) : n);
        for (size_t i = 0; i < result.n_rows; i++) {
            ck_assert_uint_eq(result.rows[i].partition, (uint32_t)rows[i].partition);
            ck_assert(row_is(&result.rows[i].value, rows[i].word, rows[i].n, 0));
        }
        query_result_fini(&result);
        query_destroy(query);
    }
    query_pins_destroy(pins);
    world_fini(&world);
}
END_TEST

START_TEST(returns_so_many_rows_by_default)
{
    struct world world;
    struct query *query;
    struct query_result result;
    world_init(&world, "n");
    struct query_request request = { .output = "rows" };
    for (uint64_t n = 1; n <= QUERY_ROWS_DEFAULT + 1; n++) {
        struct value value = row_make(&world.writer, world.type, "w", (int64_t)n, 0);
        publish_value(&world, (int)(n % PARTITIONS), &value);
        if (n < QUERY_ROWS_DEFAULT)
            continue;
        struct query_pins *pins = pin_all(&world, false);
        ck_assert_int_eq(query_compile(&request, pins->type, pins->key, &query, NULL), S4_OK);
        ck_assert_int_eq(query_run(query, pins, &result), S4_OK);
        ck_assert_uint_eq(result.matched, n);
        ck_assert_uint_eq(result.n_rows, QUERY_ROWS_DEFAULT);
        ck_assert_int_eq(row_n(&result.rows[QUERY_ROWS_DEFAULT - 1].value), QUERY_ROWS_DEFAULT);
        query_result_fini(&result);
        query_destroy(query);
        query_pins_destroy(pins);
    }
    world_fini(&world);
}
END_TEST

/* ---- refusals -------------------------------------------------------------------------------- */

static const struct {
    struct query_request request;
    bool log;
    s4_status status;
    const char *text;
} refusals[] = {
    { { .by = "scor", .top = 1 },
      false,
      S4_NOT_FOUND,
      "output \"rows\": type test.Row has no column \"scor\"; did you mean \"score\"?" },
    { { .by = "xyzzy" },
      false,
      S4_NOT_FOUND,
      "output \"rows\": type test.Row has no column \"xyzzy\"" },
    { { .by = "place.cit" },
      false,
      S4_NOT_FOUND,
      "output \"rows\": type test.Place has no column \"cit\"; did you mean \"city\"?" },
    { { .by = "place" },
      false,
      S4_TYPE,
      "output \"rows\": column \"place\" is a message: name one of its attributes" },
    { { .by = "n.x" },
      false,
      S4_TYPE,
      "output \"rows\": column \"n.x\" goes through what is no message" },
    { { .by = "parts" },
      false,
      S4_TYPE,
      "output \"rows\": column \"parts\" is repeated and has no order" },
    { { .top = 3 }, false, S4_TYPE, "output \"rows\": the top rows by which column? (--by)" },
    { { .by_time = true },
      false,
      S4_TYPE,
      "output \"rows\": it is a table, and its rows have no time" },
    { { .key = "a" }, true, S4_TYPE, "output \"rows\": it is a log, and its rows have no key" },
    { { .prefix = "a" }, true, S4_TYPE, "output \"rows\": it is a log, and its rows have no key" },
};

START_TEST(refusals_say_what_was_wanted)
{
    struct world world;
    world_init(&world, "word");
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct query *query = NULL;
        struct query_request request = refusals[i].request;
        request.output = "rows";
        ck_assert_int_eq(query_compile(&request, world.type, refusals[i].log ? NULL : "word",
                                       &query, &world.diag),
                         refusals[i].status);
        ck_assert_str_eq(world.diag.text, refusals[i].text);
        ck_assert_ptr_null(query);
    }
    struct query *query;
    struct query_request request = { .output = "rows", .prefix = "1" };
    ck_assert_int_eq(query_compile(&request, world.type, "n", &query, &world.diag), S4_TYPE);
    ck_assert_str_eq(world.diag.text,
                     "output \"rows\": its key starts with a number; a prefix is of text");
    request = (struct query_request){ .output = "rows", .key = "1x" };
    ck_assert_int_lt(query_compile(&request, world.type, "n", &query, &world.diag), S4_OK);
    world_fini(&world);
}
END_TEST

START_TEST(suggests_what_is_near)
{
    static const char *const names[] = { "counts", "words", "dead_letters" };
    ck_assert_str_eq(query_suggest("count", names, 3), "counts");
    ck_assert_str_eq(query_suggest("dead_leters", names, 3), "dead_letters");
    ck_assert_ptr_null(query_suggest("zebra", names, 3));
    ck_assert_ptr_null(query_suggest("counts", names, 0));
}
END_TEST

/* ---- writing --------------------------------------------------------------------------------- */

START_TEST(writes_a_table)
{
    struct world world;
    some_words(&world);
    publish(&world, 3,
            "{\"word\":\"z\\u001b[2J\\n\\u009b\",\"n\":1,\"note\":\"\xc3\xbc\",\"parts\":[1,2],"
            "\"raw\":\"AAEC\",\"size\":4000000000}");
    char *text = ask(&world, false, (struct query_request){ 0 }, query_write_text);
    /* clang-format off */
    ck_assert_str_eq(text,
        "word             n  note  score        size  good  mood   place           parts  raw\n"
        "                 0  -         -           -  -     -      {}              []     -\n"
        "a                3  -       NaN           -  -     TENSE  -               []     -\n"
        "aa              -7  -       2.5           -  -     -      -               []     -\n"
        "ab              12  y        -1           -  true  -      {\"city\":\"Aix\"}  []     -\n"
        "b                3  x         -           -  -     -      {\"city\":\"Ulm\"}  []     -\n"
        "z\\x1b[2J\\n\\x9b   1  \xc3\xbc         -  4000000000  -     -      -               [1,2]  AAEC\n");
    /* clang-format on */
    mem_free(text);
    world_fini(&world);
}
END_TEST

START_TEST(writes_the_head_of_an_empty_table)
{
    struct world world;
    world_init(&world, "word");
    char *text = ask(&world, false, (struct query_request){ 0 }, query_write_text);
    ck_assert_str_eq(text, "word  n  note  score  size  good  mood  place  parts  raw\n");
    mem_free(text);
    text = ask(&world, false, (struct query_request){ 0 }, query_write_json);
    ck_assert_str_eq(text, "");
    mem_free(text);
    world_fini(&world);
}
END_TEST

/* A number is preceded by spaces, also where there is nothing before it and nothing to fill. */
START_TEST(writes_a_number_first)
{
    const ProtobufCMessageDescriptor *types[] = { &test__required__descriptor };
    struct schema *schema;
    ck_assert_int_eq(schema_from_descriptors(types, 1, &schema, NULL), S4_OK);
    struct query_result result = { .type = schema_find(schema, "test.Required") };
    struct buffer out;
    buffer_init(&out);
    ck_assert_int_eq(query_write_text(&result, &out), S4_OK);
    ck_assert_int_eq(strncmp(buffer_text(&out), "f_int32  f_sint32  ", 19), 0);
    buffer_fini(&out);
    schema_destroy(schema);
}
END_TEST

START_TEST(writes_messages_that_read_back)
{
    struct world world;
    some_words(&world);
    struct query_pins *pins = pin_all(&world, false);
    struct query_request request = { .output = "rows" };
    struct query *query;
    struct query_result result;
    struct buffer out, json, expected;
    buffer_init(&out);
    buffer_init(&json);
    buffer_init(&expected);
    ck_assert_int_eq(query_compile(&request, pins->type, pins->key, &query, NULL), S4_OK);
    ck_assert_int_eq(query_run(query, pins, &result), S4_OK);
    ck_assert_int_eq(query_write_pb(&result, &out), S4_OK);
    ck_assert_int_eq(query_write_json(&result, &expected), S4_OK);
    for (size_t at = 0; at < out.size;) {
        size_t len = (unsigned char)out.data[at++]; /* all are short */
        struct value value;
        ck_assert_int_eq(pb_read(&world.writer, world.type, out.data + at, len, &value, NULL),
                         S4_OK);
        ck_assert_int_eq(json_write(&value, &json), S4_OK);
        ck_assert_int_eq(buffer_append(&json, "\n", 1), S4_OK);
        at += len;
    }
    ck_assert_str_eq(buffer_text(&json), buffer_text(&expected));
    buffer_fini(&out);
    buffer_fini(&json);
    buffer_fini(&expected);
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(pins);
    world_fini(&world);
}
END_TEST

/* Everything from compiling to writing, with the n-th allocation failing. */
static s4_status whole(const struct query_pins *pins, struct buffer *out)
{
    struct query_request request = { .output = "rows", .by = "n", .prefix = "a", .limit = 2 };
    struct query *query;
    struct query_result result;
    TRY(query_compile(&request, pins->type, pins->key, &query, NULL));
    s4_status status = query_run(query, pins, &result);
    if (status == S4_OK) {
        status = query_write_text(&result, out);
        if (status == S4_OK)
            status = query_write_pb(&result, out);
        if (status == S4_OK)
            status = query_write_json(&result, out);
        query_result_fini(&result);
    }
    query_destroy(query);
    return status;
}

START_TEST(survives_lack_of_memory)
{
    struct world world;
    some_words(&world);
    struct query_pins *pins = pin_all(&world, false);
    s4_status status = S4_NO_MEMORY;
    int64_t n = 0;
    for (; status == S4_NO_MEMORY; n++) {
        struct buffer out;
        buffer_init(&out);
        mem_fail_after(n);
        status = whole(pins, &out);
        mem_fail_after(-1);
        buffer_fini(&out);
    }
    ck_assert_int_eq(status, S4_OK);
    ck_assert_int_gt(n, 5);
    query_pins_destroy(pins);
    for (n = 0; n < 2; n++) {
        mem_fail_after(n);
        ck_assert_int_eq(query_pins_create(world.type, "word", 3, &pins), S4_NO_MEMORY);
        mem_fail_after(-1);
    }
    query_pins_destroy(NULL);
    query_destroy(NULL);
    world_fini(&world);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("query");
    suite_add(suite, "key", rows_come_by_key, 10);
    suite_add(suite, "column", rows_come_by_column, 10);
    suite_add(suite, "count", counting_keeps_no_rows, 10);
    suite_add(suite, "log", logs_come_by_partition_or_time, 10);
    suite_add(suite, "parts", keys_of_parts_sort_part_by_part, 10);
    suite_add(suite, "sort", like_a_sort, 60);
    suite_add(suite, "default", returns_so_many_rows_by_default, 60);
    suite_add(suite, "refusals", refusals_say_what_was_wanted, 10);
    suite_add(suite, "suggest", suggests_what_is_near, 10);
    suite_add(suite, "table", writes_a_table, 10);
    suite_add(suite, "empty", writes_the_head_of_an_empty_table, 10);
    suite_add(suite, "number-first", writes_a_number_first, 10);
    suite_add(suite, "pb", writes_messages_that_read_back, 10);
    suite_add(suite, "memory", survives_lack_of_memory, 10);
    return suite;
}
