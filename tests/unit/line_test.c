/* Lines of text: which types take them, what a line's end is, what is refused. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/text/json.h"
#include "runtime/text/line.h"
#include "tests/support/text_types.h"

static struct schema *schema;
static struct writer writer;
static struct diag diag;

static void setup(void)
{
    schema = text_schema();
    writer_init(&writer);
}

static void teardown(void)
{
    writer_fini(&writer);
    schema_destroy(schema);
}

START_TEST(one_string_field_takes_lines)
{
    static const struct {
        const char *type;
        const char *field;   /* or */
        const char *message; /* why not */
    } table[] = {
        { "test.nested.Outer.Inner", NULL,
          "type test.nested.Outer.Inner requires field \"most\" (message), which a line of text "
          "cannot "
          "fill; use json or pb" },
        { "test.nested.Tree", NULL,
          "type test.nested.Tree requires field \"weight\" (int64), which a line of text cannot "
          "fill; "
          "use json or pb" },
        { "test.Names", NULL,
          "type test.Names has more than one string field (\"a\", \"b\"), and a line of text can "
          "fill "
          "only one; use json or pb" },
        { "test.nested.Chain", NULL,
          "type test.nested.Chain has no string field of one value that a line of text could fill; "
          "use json or pb" },
        { "test.nested.Outer.CountsEntry", "key", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct field *field = NULL;
        const struct type *type = text_type(schema, table[i].type);
        memset(&diag, 0, sizeof diag);
        s4_status status = line_field(type, &field, &diag);
        if (table[i].field) {
            ck_assert_int_eq(status, S4_OK);
            ck_assert_str_eq(field->name, table[i].field);
        } else {
            ck_assert_int_eq(status, S4_TYPE);
            ck_assert_ptr_null(field);
            ck_assert_str_eq(diag.text, table[i].message);
        }
    }
}
END_TEST

static s4_status read_line(const char *line, size_t len, struct buffer *json)
{
    const struct type *type = text_type(schema, "test.nested.Outer.CountsEntry");
    const struct field *field;
    struct value value;
    ck_assert_int_eq(line_field(type, &field, &diag), S4_OK);
    memset(&diag, 0, sizeof diag);
    TRY(line_read(&writer, type, field, line, len, &value, &diag));
    buffer_clear(json);
    return json_write(&value, json);
}

START_TEST(a_line_is_its_text_without_the_end)
{
    static const struct {
        const char *line, *want;
    } table[] = {
        { "hello", "{\"key\":\"hello\"}" },
        { "hello\n", "{\"key\":\"hello\"}" },
        { "hello\r\n", "{\"key\":\"hello\"}" },
        { "hello\r", "{\"key\":\"hello\"}" },
        { "a\rb\r\r\n", "{\"key\":\"a\\rb\\r\"}" },
        { "\xc3\xa4 \"", "{\"key\":\"\xc3\xa4 \\\"\"}" },
    };
    struct buffer json = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        ck_assert_int_eq(read_line(table[i].line, strlen(table[i].line), &json), S4_OK);
        ck_assert_str_eq(buffer_text(&json), table[i].want);
    }
    for (size_t len = 0; len < 3; len++) {
        ck_assert_int_eq(read_line(&"\r\n"[2 - len], len, &json), S4_OK);
        ck_assert_str_eq(buffer_text(&json), "{\"key\":\"\"}");
    }
    buffer_fini(&json);
}
END_TEST

START_TEST(what_is_no_text_is_refused)
{
    struct buffer json = { 0 };
    ck_assert_int_eq(read_line("abc\xc3(\n", 6, &json), S4_MALFORMED);
    ck_assert_str_eq(diag.text, "column 4: found byte 0xc3, which is not valid UTF-8 here");
    ck_assert_int_eq(read_line("\0", 1, &json), S4_MALFORMED);
    ck_assert_str_eq(diag.text, "column 1: found byte 0x00, and a text cannot hold a NUL");
    char *big = malloc(RECORD_MAX);
    memset(big, 'x', RECORD_MAX);
    ck_assert_int_eq(read_line(big, RECORD_MAX - 1024, &json), S4_OK);
    ck_assert_int_eq(read_line(big, RECORD_MAX, &json), S4_TOO_LARGE);
    ck_assert_str_eq(diag.text, "the event takes more than 1048576 bytes");
    free(big);
    buffer_fini(&json);
}
END_TEST

START_TEST(memory_may_fail_anywhere)
{
    struct buffer json = { 0 };
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status != S4_OK; n++) {
        writer_fini(&writer);
        mem_fail_after(n);
        status = read_line("hello", 5, &json);
        mem_fail_after(-1);
        ck_assert(n > 0 || status == S4_NO_MEMORY);
        buffer_fini(&json);
    }
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
    suite_add_with(suite, name, test, 60, setup, teardown);
}

Suite *suite_build(void)
{
    Suite *suite = suite_create("line");
    add(suite, "field", one_string_field_takes_lines);
    add(suite, "line", a_line_is_its_text_without_the_end);
    add(suite, "refused", what_is_no_text_is_refused);
    add(suite, "memory", memory_may_fail_anywhere);
    return suite;
}
