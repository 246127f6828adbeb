/* JSON there and back on random messages, with jansson as the judge of what is written and as
 * another writer of what is read; and the limits. */
#include "tests/support/suite.h"

#include <jansson.h>

#include "runtime/base/mem.h"
#include "runtime/base/utf8.h"
#include "runtime/text/base64.h"
#include "runtime/text/json.h"
#include "runtime/text/number.h"
#include "runtime/text/pb.h"
#include "tests/support/json_tree.h"
#include "tests/support/plain_message.h"
#include "tests/support/text_types.h"

static struct schema *schema;
static struct writer writer;
static struct writer other;
static struct buffer json;
static struct buffer bytes;
static struct diag diag;

static void setup(void)
{
    schema = text_schema();
    writer_init(&writer);
    writer_init(&other);
    buffer_init(&json);
    buffer_init(&bytes);
}

static void teardown(void)
{
    buffer_fini(&bytes);
    buffer_fini(&json);
    writer_fini(&other);
    writer_fini(&writer);
    schema_destroy(schema);
}

static s4_status read_copy(const struct type *type, const char *text, size_t size,
                           struct value *value)
{
    /* A copy of the exact size, so that a sanitizer sees the first byte behind it. */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    memset(&diag, 0, sizeof diag);
    s4_status status = json_read(&writer, type, copy, size, value, &diag);
    free(copy);
    return status;
}

/* Reads JSON; the value as protobuf bytes is in `bytes`. */
static s4_status read_json(const struct type *type, const char *text, size_t size)
{
    struct value value;
    s4_status status = read_copy(type, text, size, &value);
    buffer_clear(&bytes);
    if (status == S4_OK)
        status = pb_write(&value, &bytes);
    return status;
}

/* Protobuf bytes as JSON, in `json`. */
static void write_json(const struct type *type, const void *packed, size_t size)
{
    struct value value;
    ck_assert_int_eq(pb_read(&other, type, packed, size, &value, &diag), S4_OK);
    buffer_clear(&json);
    ck_assert_int_eq(json_write(&value, &json), S4_OK);
}

static bool bytes_are(const void *want, size_t size)
{
    return bytes.size == size && (size == 0 || memcmp(bytes.data, want, size) == 0);
}

START_TEST(random_messages_come_back)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 20000; round++) {
        const struct type *type = schema_get(schema, rng_below(&rng, schema_count(schema)));
        struct plain_pool pool = { 0 };
        uint8_t *packed;
        size_t size =
            plain_pack(plain_random(&rng, type->descriptor, (unsigned)rng_below(&rng, 4), &pool),
                       &pool, &packed);
        write_json(type, packed, size);
        if (read_json(type, json.data, json.size) != S4_OK || !bytes_are(packed, size))
            ck_abort_msg("round %d, %s: %s\n%.*s", round, type->name, diag.text, (int)json.size,
                         json.data);
        plain_pool_clear(&pool);
    }
}
END_TEST

/* jansson has no integers above 2^63: those of uint64 fields are left out. */
static bool jansson_can(const char *text, size_t size, json_t **tree)
{
    json_error_t error;
    *tree = json_loadb(text, size, JSON_DISABLE_EOF_CHECK, &error);
    if (*tree)
        return true;
    bool too_big =
        strstr(error.text, "too big integer") || strstr(error.text, "real number overflow");
    ck_assert_msg(too_big, "%s at %d: %.*s", error.text, error.position, (int)size, text);
    return false;
}

/* Another writer: other white space, other escapes, other numbers, another order. */
START_TEST(what_jansson_writes_is_read)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    size_t compared = 0;
    static const size_t styles[] = { 0, JSON_INDENT(3), JSON_ENSURE_ASCII, JSON_ESCAPE_SLASH,
                                     JSON_SORT_KEYS };
    for (int round = 0; round < 10000; round++) {
        const struct type *type = schema_get(schema, rng_below(&rng, schema_count(schema)));
        struct plain_pool pool = { 0 };
        uint8_t *packed;
        size_t size = plain_pack(plain_random(&rng, type->descriptor, 2, &pool), &pool, &packed);
        write_json(type, packed, size);
        json_t *tree;
        if (jansson_can(json.data, json.size, &tree)) {
            char *text = json_dumps(tree, styles[rng_below(&rng, ARRAY_LEN(styles))]);
            if (read_json(type, text, strlen(text)) != S4_OK || !bytes_are(packed, size))
                ck_abort_msg("round %d, %s: %s\n%s", round, type->name, diag.text, text);
            free(text);
            json_decref(tree);
            compared++;
        }
        plain_pool_clear(&pool);
    }
    ck_assert_uint_gt(compared, 3000);
}
END_TEST

/* What is written, read by jansson, has the fields of the struct. */
START_TEST(what_is_written_is_the_struct)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    size_t compared = 0;
    for (int round = 0; round < 10000; round++) {
        const struct type *type = schema_get(schema, rng_below(&rng, schema_count(schema)));
        struct plain_pool pool = { 0 };
        const ProtobufCMessage *message = plain_random(&rng, type->descriptor, 2, &pool);
        uint8_t *packed;
        size_t size = plain_pack(message, &pool, &packed);
        write_json(type, packed, size);
        ck_assert_ptr_null(memchr(json.data, '\n', json.size));
        json_t *tree;
        if (jansson_can(json.data, json.size, &tree)) {
            if (!json_tree_is(tree, message))
                ck_abort_msg("round %d, %s: %.*s", round, type->name, (int)json.size, json.data);
            json_decref(tree);
            compared++;
        }
        plain_pool_clear(&pool);
    }
    ck_assert_uint_gt(compared, 3000);
}
END_TEST

START_TEST(numbers_have_the_range_of_their_type)
{
    static const struct {
        const char *field;
        const char *good[2];
        const char *bad[2];
    } table[] = {
        { "f_int32", { "-2147483648", "2147483647" }, { "-2147483649", "2147483648" } },
        { "f_sint32", { "-2147483648", "2147483647" }, { "-2147483649", "2147483648" } },
        { "f_sfixed32", { "-2147483648", "2147483647" }, { "-2147483649", "2147483648" } },
        { "f_uint32", { "0", "4294967295" }, { "-1", "4294967296" } },
        { "f_fixed32", { "0", "4294967295" }, { "-1", "4294967296" } },
        { "f_sign", { "-2147483648", "2147483647" }, { "-2147483649", "2147483648" } },
        { "f_int64",
          { "-9223372036854775808", "9223372036854775807" },
          { "-9223372036854775809", "9223372036854775808" } },
        { "f_sint64",
          { "\"-9223372036854775808\"", "\"9223372036854775807\"" },
          { "\"-9223372036854775809\"", "\"9223372036854775808\"" } },
        { "f_sfixed64",
          { "-9223372036854775808", "9.223372036854775807e18" },
          { "-1e19", "1e19" } },
        { "f_uint64", { "0", "18446744073709551615" }, { "-1", "18446744073709551616" } },
        { "f_fixed64",
          { "\"0\"", "\"18446744073709551615\"" },
          { "\"-1\"", "\"18446744073709551616\"" } },
        { "f_float", { "-3.4028235e38", "3.4028235e38" }, { "-3.4028236e38", "3.4028236e38" } },
        { "f_double", { "-1.7976931348623157e308", "1e-400" }, { "-1e309", "1e309" } },
    };
    const struct type *type = text_type(schema, "test.Optional");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[128];
        for (size_t k = 0; k < 2; k++) {
            snprintf(text, sizeof text, "{\"%s\":%s}", table[i].field, table[i].good[k]);
            ck_assert_msg(read_json(type, text, strlen(text)) == S4_OK, "%s", diag.text);
            struct value value;
            ck_assert_int_eq(pb_read(&other, type, bytes.data, bytes.size, &value, &diag), S4_OK);
            buffer_clear(&json);
            ck_assert_int_eq(json_write(&value, &json), S4_OK);
            buffer_clear(&bytes);
            ck_assert_int_eq(pb_write(&value, &bytes), S4_OK);
            ck_assert_msg(read_json(type, json.data, json.size) == S4_OK, "%s", diag.text);
            snprintf(text, sizeof text, "{\"%s\":%s}", table[i].field, table[i].bad[k]);
            ck_assert_msg(read_json(type, text, strlen(text)) == S4_RANGE, "%s", text);
            ck_assert_ptr_nonnull(strstr(diag.text, table[i].field));
        }
    }
    ck_assert_int_eq(read_json(type, "{\"f_uint32\":4294967296}", 23), S4_RANGE);
    ck_assert_str_eq(diag.text,
                     "column 13: field \"f_uint32\": found 4294967296 (a number), wanted "
                     "uint32 (0 to 4294967295)");
}
END_TEST

/* Text, and the same fields in the way in which this writes them. */
START_TEST(other_ways_to_write_are_read)
{
    static const struct {
        const char *type;
        const char *text;
        const char *same;
    } table[] = {
        { "test.Optional", " {\r\n\t\"f_int32\" : 1 , \"f_bool\":true }\n",
          "{\"f_int32\":1,\"f_bool\":true}" },
        { "test.Optional", "{\"f_bool\":true,\"f_int32\":1}", "{\"f_int32\":1,\"f_bool\":true}" },
        { "test.Optional", "{\"f_int32\":1.0,\"f_int64\":\"12\",\"f_uint64\":1.2e1}",
          "{\"f_int32\":1,\"f_int64\":12,\"f_uint64\":12}" },
        { "test.Optional", "{\"f_int32\":null,\"f_int64\":-0}", "{\"f_int64\":0}" },
        { "test.Optional", "{\"f_sign\":-1,\"f_alias\":5}",
          "{\"f_sign\":\"MINUS\",\"f_alias\":\"Z\"}" },
        { "test.Optional", "{\"f_alias\":\"AA\",\"f_sign\":77}",
          "{\"f_sign\":77,\"f_alias\":\"Z\"}" },
        { "test.Optional", "{\"f_\\u0069nt32\":3}", "{\"f_int32\":3}" },
        { "test.Optional", "{\"f_double\":\"NaN\",\"f_float\":\"-Infinity\"}",
          "{\"f_float\":\"-Infinity\",\"f_double\":\"NaN\"}" },
        { "test.Optional", "{\"f_double\":-0.0,\"f_float\":0.1}",
          "{\"f_float\":0.1,\"f_double\":-0.0}" },
        { "test.Repeated", "{\"f_int32\":[ ],\"f_bool\":null,\"f_sint32\":[ 1 , 2 ]}",
          "{\"f_sint32\":[1,2]}" },
        { "test.Small", "{\"i\":null,\"b\":false}", "{\"b\":false}" },
        { "test.Strings",
          "{\"needed\":\"\\u00e4\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\\\\\\"\","
          "\"both\":\"\\u0001\x7f\"}",
          "{\"needed\":\"\xc3\xa4\xf0\x9f\x98\x80/"
          "\\b\\f\\n\\r\\t\\\\\\\"\",\"both\":\"\\u0001\x7f\"}" },
        { "test.Strings", "{\"both\":\"\",\"needed\":\"\",\"fallback\":\"\",\"many\":[\"\",\"a\"]}",
          "{\"needed\":\"\",\"fallback\":\"\",\"both\":\"\",\"many\":[\"\",\"a\"]}" },
        { "test.Bytes",
          "{\"needed\":\"\",\"both\":\"-_8\",\"plain\":\"\\/w==\",\"many\":[\"AAE\"]}",
          "{\"needed\":\"\",\"plain\":\"/w==\",\"both\":\"+/8=\",\"many\":[\"AAE=\"]}" },
        { "test.nested.Outer",
          "{\"needed\":{\"most\":{}},\"counts\":[{\"key\":\"a\",\"value\":1}],\"nothing\":{},"
          "\"nothings\":[{},{}]}",
          "{\"needed\":{\"most\":{}},\"counts\":[{\"key\":\"a\",\"value\":1}],\"nothings\":[{},{}],"
          "\"nothing\":{}}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct value value;
        s4_status status = read_copy(text_type(schema, table[i].type), table[i].text,
                                     strlen(table[i].text), &value);
        ck_assert_msg(status == S4_OK, "%s: %s", table[i].text, diag.text);
        buffer_clear(&json);
        ck_assert_int_eq(json_write(&value, &json), S4_OK);
        ck_assert_str_eq(buffer_text(&json), table[i].same);
    }
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 300; round++) {
        const struct type *type = schema_get(schema, (size_t)round % schema_count(schema));
        struct plain_pool pool = { 0 };
        uint8_t *packed;
        size_t size = plain_pack(plain_random(&rng, type->descriptor, 2, &pool), &pool, &packed);
        write_json(type, packed, size);
        for (size_t cut = 0; cut < size_min(json.size, 1500); cut++) {
            s4_status status = read_json(type, json.data, cut);
            /* A type error where a value begins or a number is cut, else no JSON. */
            if ((status != S4_MALFORMED && status != S4_TYPE) || diag.code != status)
                ck_abort_msg("%s cut at %zu: %s, %s\n%.*s", type->name, cut, s4_status_name(status),
                             diag.text, (int)cut, json.data);
        }
        plain_pool_clear(&pool);
    }
}
END_TEST

/* What is still read after bytes changed must be JSON to jansson too. */
START_TEST(changed_bytes_do_no_harm)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    size_t accepted = 0;
    for (int round = 0; round < 30000; round++) {
        const struct type *type = schema_get(schema, rng_below(&rng, schema_count(schema)));
        struct plain_pool pool = { 0 };
        uint8_t *packed;
        size_t size = plain_pack(plain_random(&rng, type->descriptor, 1, &pool), &pool, &packed);
        write_json(type, packed, size);
        static const char likely[] = "\"\\{}[],:0123456789.eE+-ntf \xc3\xa9\x01u";
        for (uint64_t i = 1 + rng_below(&rng, 2); i > 0; i--)
            json.data[rng_below(&rng, json.size)] = likely[rng_below(&rng, sizeof likely)];
        s4_status status = read_json(type, json.data, json.size);
        json_t *tree;
        if (status == S4_OK && jansson_can(json.data, json.size, &tree))
            json_decref(tree);
        accepted += status == S4_OK;
        plain_pool_clear(&pool);
    }
    ck_assert_uint_gt(accepted, 300);
}
END_TEST

START_TEST(depth_has_a_limit)
{
    const struct type *chain = text_type(schema, "test.nested.Chain");
    for (size_t depth = SCHEMA_DEPTH_MAX; depth <= SCHEMA_DEPTH_MAX + 1; depth++) {
        buffer_clear(&json);
        for (size_t i = 0; i < depth; i++)
            ck_assert_int_eq(buffer_append_text(&json, "{\"next\":"), S4_OK);
        ck_assert_int_eq(buffer_append_text(&json, "{}"), S4_OK);
        for (size_t i = 0; i < depth; i++)
            ck_assert_int_eq(buffer_append_text(&json, "}"), S4_OK);
        s4_status want = depth > SCHEMA_DEPTH_MAX ? S4_TOO_LARGE : S4_OK;
        ck_assert_int_eq(read_json(chain, json.data, json.size), want);
    }
    ck_assert_ptr_nonnull(
        strstr(diag.text, ".next.next\": found objects in objects more than 64 deep"));
    /* Brackets that no type has do not nest at all. */
    ck_assert_int_eq(read_json(chain, "{\"next\":[[[[", 12), S4_TYPE);
}
END_TEST

static s4_status read_long(const char *before, const char *repeat, size_t n, const char *after,
                           const char *type)
{
    buffer_clear(&json);
    ck_assert_int_eq(buffer_append_text(&json, before), S4_OK);
    size_t len = strlen(repeat);
    char *at = buffer_room(&json, n * len);
    for (size_t i = 0; i < n; i++)
        memcpy(at + i * len, repeat, len);
    ck_assert_int_eq(buffer_append_text(&json, after), S4_OK);
    return read_json(text_type(schema, type), json.data, json.size);
}

START_TEST(a_value_has_a_limit)
{
    size_t len = RECORD_MAX;
    while (read_long("{\"n\":1,\"c\":\"", "x", len, "\"}", "test.Names") != S4_OK)
        len--;
    ck_assert_uint_gt(len, RECORD_MAX - 1024);
    ck_assert_int_eq(read_long("{\"n\":1,\"c\":\"", "x", len + 1, "\"}", "test.Names"),
                     S4_TOO_LARGE);
    ck_assert_str_eq(diag.text, "the event takes more than 1048576 bytes");
    /* Elements wait on the stack, which has the same limit: 8 bytes each. */
    ck_assert_int_eq(read_long("{\"f_int64\":[1", ",1", 130000, "]}", "test.Repeated"), S4_OK);
    ck_assert_int_eq(read_long("{\"f_int64\":[1", ",1", 132000, "", "test.Repeated"), S4_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(diag.text, "the array takes more than the 1048576 bytes"));
    size_t digits = NUMBER_LEN_MAX - 2;
    ck_assert_int_eq(read_long("{\"f_double\":0.", "1", digits, "}", "test.Optional"), S4_OK);
    ck_assert_int_eq(read_long("{\"f_double\":0.", "1", digits + 1, "}", "test.Optional"),
                     S4_TOO_LARGE);
    ck_assert_str_eq(diag.text,
                     "column 13: field \"f_double\": the number is longer than 1024 characters");
}
END_TEST

START_TEST(single_fields_are_columns)
{
    static const char text[] = "{\"needed\":\"a\\\"b\",\"many\":[\"x\",\"y\"],\"both\":\"\"}";
    static const struct {
        const char *field, *want;
    } table[] = {
        { "needed", "\"a\\\"b\"" }, { "many", "[\"x\",\"y\"]" }, { "plain", "null" },
        { "fallback", "null" },     { "both", "\"\"" },
    };
    const struct type *type = text_type(schema, "test.Strings");
    struct value value;
    ck_assert_int_eq(json_read(&writer, type, text, sizeof text - 1, &value, &diag), S4_OK);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buffer_clear(&json);
        ck_assert_int_eq(json_write_field(&value, type_find(type, table[i].field), &json), S4_OK);
        ck_assert_str_eq(buffer_text(&json), table[i].want);
    }
    ck_assert_int_eq(json_read(&writer, type, "{\"needed\":\"\",\"both\":\"\"}", 23, &value, &diag),
                     S4_OK);
    buffer_clear(&json);
    ck_assert_int_eq(json_write_field(&value, type_find(type, "many"), &json), S4_OK);
    ck_assert_str_eq(buffer_text(&json), "[]");
}
END_TEST

START_TEST(strings_are_text_whatever_they_hold)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 20000; round++) {
        char text[40];
        size_t len = rng_below(&rng, sizeof text);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)rng_next(&rng);
        buffer_clear(&json);
        ck_assert_int_eq(json_write_string(&json, text, len), S4_OK);
        json_t *tree = json_loadb(json.data, json.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!tree)
            ck_abort_msg("%.*s", (int)json.size, json.data);
        if (utf8_valid(text, len) == len &&
            (json_string_length(tree) != len || memcmp(json_string_value(tree), text, len) != 0))
            ck_abort_msg("%.*s", (int)json.size, json.data);
        json_decref(tree);
    }
    buffer_clear(&json);
    ck_assert_int_eq(json_write_string(&json, "a\xff\0z", 4), S4_OK);
    ck_assert_str_eq(buffer_text(&json), "\"a\xef\xbf\xbd\\u0000z\"");
    buffer_clear(&json);
    ck_assert_int_eq(json_write_string(&json, NULL, 0), S4_OK);
    ck_assert_str_eq(buffer_text(&json), "\"\"");
}
END_TEST

START_TEST(base64_goes_both_ways)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 20000; round++) {
        char data[48], text[64], back[64];
        size_t len = rng_below(&rng, sizeof data);
        for (size_t i = 0; i < len; i++)
            data[i] = (char)rng_next(&rng);
        base64_encode(data, len, text);
        size_t size = base64_encoded(len);
        if (base64_decode(text, size, back) != len || memcmp(back, data, len) != 0)
            ck_abort_msg("%.*s", (int)size, text);
        while (size > 0 && text[size - 1] == '=')
            size--;
        if (base64_decode(text, size, back) != len || memcmp(back, data, len) != 0)
            ck_abort_msg("%.*s", (int)size, text);
    }
    static const char *const bad[] = { "A",    "AAAAA", "AA=",  "A===", "AAA==", "=",     "====",
                                       "AA=A", "AB",    "AB==", "AAB",  "AA A",  "AAA\n", "AAAA=" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char out[16];
        ck_assert_msg(base64_decode(bad[i], strlen(bad[i]), out) == BASE64_BAD, "%s", bad[i]);
    }
}
END_TEST

/* Reads and writes with all memory new; whether it went well. */
static s4_status there_and_back(const struct type *type, const char *text, size_t size)
{
    struct value value;
    TRY(json_read(&writer, type, text, size, &value, &diag));
    buffer_clear(&bytes);
    return json_write(&value, &bytes);
}

START_TEST(memory_may_fail_anywhere)
{
    struct rng rng;
    rng_init(&rng, 11);
    const struct type *type = text_type(schema, "test.nested.Everything");
    struct plain_pool pool = { 0 };
    uint8_t *packed;
    size_t size = plain_pack(plain_random(&rng, type->descriptor, 3, &pool), &pool, &packed);
    write_json(type, packed, size);
    s4_status status = S4_NO_MEMORY;
    int64_t failures = 0;
    for (int64_t n = 0; status != S4_OK; n++) {
        writer_fini(&writer);
        buffer_fini(&bytes);
        memset(&diag, 0, sizeof diag);
        mem_fail_after(n);
        status = there_and_back(type, json.data, json.size);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
        ck_assert_uint_eq(bytes.size, status == S4_OK ? json.size : 0);
        failures += status != S4_OK;
    }
    ck_assert_int_eq(memcmp(bytes.data, json.data, json.size), 0);
    ck_assert_int_gt(failures, 5);
    plain_pool_clear(&pool);
}
END_TEST

START_TEST(steady_state_takes_no_memory)
{
    static const char text[] = "{\"needed\":\"a\\nb\",\"many\":[\"x\",\"yy\"],\"both\":\"\"}";
    const struct type *type = text_type(schema, "test.Strings");
    ck_assert_int_eq(there_and_back(type, text, sizeof text - 1), S4_OK);
    uint64_t calls = mem_calls();
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(there_and_back(type, text, sizeof text - 1), S4_OK);
    ck_assert_uint_eq(mem_calls(), calls);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
    suite_add_with(suite, name, test, 60, setup, teardown);
}

Suite *suite_build(void)
{
    Suite *suite = suite_create("json");
    add(suite, "random", random_messages_come_back);
    add(suite, "jansson_writes", what_jansson_writes_is_read);
    add(suite, "jansson_reads", what_is_written_is_the_struct);
    add(suite, "ranges", numbers_have_the_range_of_their_type);
    add(suite, "forms", other_ways_to_write_are_read);
    add(suite, "truncated", every_truncation_is_refused);
    add(suite, "changed", changed_bytes_do_no_harm);
    add(suite, "depth", depth_has_a_limit);
    add(suite, "size", a_value_has_a_limit);
    add(suite, "columns", single_fields_are_columns);
    add(suite, "strings", strings_are_text_whatever_they_hold);
    add(suite, "base64", base64_goes_both_ways);
    add(suite, "memory", memory_may_fail_anywhere);
    add(suite, "steady", steady_state_takes_no_memory);
    return suite;
}
