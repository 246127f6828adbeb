/* Every refusal of the JSON reader, by its message. */
#include "tests/support/suite.h"

#include "runtime/text/json.h"
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

static s4_status read_text(const struct type *type, const char *text, size_t size)
{
    struct value value;
    /* A copy of the exact size, so that a sanitizer sees the first byte behind it. */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    memset(&diag, 0, sizeof diag);
    s4_status status = json_read(&writer, type, copy, size, &value, &diag);
    free(copy);
    return status;
}

struct refusal {
    const char *type;
    const char *text;
    s4_status status;
    const char *message;
};

static void check_refusal(const struct refusal *refusal, size_t size)
{
    s4_status status = read_text(text_type(schema, refusal->type), refusal->text, size);
    ck_assert_msg(status == refusal->status, "%s: %s, %s", refusal->text, s4_status_name(status),
                  diag.text);
    ck_assert_str_eq(diag.text, refusal->message);
    ck_assert_int_eq(diag.code, status);
}

START_TEST(what_is_no_json_is_refused)
{
    static const struct refusal table[] = {
        { "test.Optional", "", S4_MALFORMED,
          "column 1: found the end of the text, wanted an object" },
        { "test.Optional", " \t\r\n", S4_MALFORMED,
          "column 5: found the end of the text, wanted an object" },
        { "test.Optional", "[1]", S4_MALFORMED, "column 1: found an array, wanted an object" },
        { "test.Optional", "nothing", S4_MALFORMED, "column 1: found nothing, wanted an object" },
        { "test.Optional", "{} {}", S4_MALFORMED,
          "column 4: found an object, wanted nothing after the object" },
        { "test.Optional", "{", S4_MALFORMED,
          "column 2: found the end of the text, wanted a field's name in quotes" },
        { "test.Optional", "{,}", S4_MALFORMED,
          "column 2: found ',', wanted a field's name in quotes" },
        { "test.Optional", "{f_int32:1}", S4_MALFORMED,
          "column 2: found f_int32, wanted a field's name in quotes" },
        { "test.Optional", "{\"f_int32\" 1}", S4_MALFORMED,
          "column 12: field \"f_int32\": found 1 (a number), wanted ':'" },
        { "test.Optional", "{\"f_int32\":}", S4_TYPE,
          "column 12: field \"f_int32\": found '}', wanted int32" },
        { "test.Optional", "{\"f_int32\":1", S4_MALFORMED,
          "column 13: found the end of the text, wanted ',' or '}'" },
        { "test.Optional", "{\"f_int32\":1;", S4_MALFORMED,
          "column 13: found ';', wanted ',' or '}'" },
        { "test.Optional", "{\"f_int32\":1,}", S4_MALFORMED,
          "column 14: found '}', wanted a field's name in quotes" },
        { "test.Optional", "{\"f_int32\":01}", S4_TYPE,
          "column 12: field \"f_int32\": found 01, wanted int32" },
        { "test.Optional", "{\"f_double\":1.}", S4_TYPE,
          "column 13: field \"f_double\": found 1., wanted double" },
        { "test.Optional", "{\"f_double\":NaN}", S4_TYPE,
          "column 13: field \"f_double\": found NaN, wanted double" },
        { "test.Optional", "{\"f_bool\":True}", S4_TYPE,
          "column 11: field \"f_bool\": found True, wanted bool" },
        { "test.Optional", "{\"f_bool\":truer}", S4_MALFORMED,
          "column 15: found r, wanted ',' or '}'" },
        { "test.Optional", "{\"f_int32", S4_MALFORMED,
          "column 10: found the end of the text, wanted '\"' to close the string" },
        { "test.Optional", "{\"f_int\x01", S4_MALFORMED,
          "column 8: found byte 0x01 in a string, wanted an escape (\\u0001)" },
        { "test.Names", "{\"c\":\"\n\"}", S4_MALFORMED,
          "column 7: field \"c\": found byte 0x0a in a string, wanted an escape (\\u000a)" },
        { "test.Names", "{\"c\":\"\\q\"}", S4_MALFORMED,
          "column 8: field \"c\": found q, wanted one of \" \\ / b f n r t u after a backslash" },
        { "test.Names", "{\"c\":\"\\u12g4\"}", S4_MALFORMED,
          "column 7: field \"c\": wanted four hex digits after \\u" },
        { "test.Names", "{\"c\":\"a\\u0000\"}", S4_MALFORMED,
          "column 8: field \"c\": found \\u0000, and a string cannot hold a NUL" },
        { "test.Names", "{\"c\":\"\\ud800\"}", S4_MALFORMED,
          "column 7: field \"c\": found half of a surrogate pair, which is no character" },
        { "test.Names", "{\"c\":\"\\ud800\\u0041\"}", S4_MALFORMED,
          "column 7: field \"c\": found half of a surrogate pair, which is no character" },
        { "test.Names", "{\"c\":\"\\udc00\\udc00\"}", S4_MALFORMED,
          "column 7: field \"c\": found half of a surrogate pair, which is no character" },
        { "test.Names", "{\"c\":\"12345678\xc3(\"}", S4_MALFORMED,
          "column 15: field \"c\": found byte 0xc3, which is not valid UTF-8 here" },
        { "test.Names", "{\"c\":\"\\n\xed\xa0\x80\"}", S4_MALFORMED,
          "column 9: field \"c\": found byte 0xed, which is not valid UTF-8 here" },
        { "test.Repeated", "{\"f_int32\":[1,]}", S4_TYPE,
          "column 15: field \"f_int32[1]\": found ']', wanted int32" },
        { "test.Repeated", "{\"f_int32\":[1 2]}", S4_MALFORMED,
          "column 15: field \"f_int32[0]\": found 2 (a number), wanted ',' or ']'" },
        { "test.Optional", "{\"f_int32\":\xff}", S4_TYPE,
          "column 12: field \"f_int32\": found byte 0xff, wanted int32" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_refusal(&table[i], strlen(table[i].text));
    static const struct refusal nul = {
        "test.Names", "{\"c\":\"a\0b\"}", S4_MALFORMED,
        "column 8: field \"c\": found byte 0x00, and a string cannot hold a NUL"
    };
    check_refusal(&nul, 11);
}
END_TEST

START_TEST(what_does_not_fit_the_type_is_refused)
{
    static const struct refusal table[] = {
        { "test.Names", "{\"c\":\"x\",\"n\":1,\"cc\":2}", S4_TYPE,
          "column 16: test.Names has no field \"cc\", wanted one of \"a\", \"b\", \"c\", \"n\", "
          "\"d\", \"e\", \"flag\"" },
        { "test.Optional", "{\"x\":0}", S4_TYPE,
          "column 2: test.Optional has no field \"x\", wanted one of \"f_int32\", \"f_sint32\", "
          "\"f_sfixed32\", \"f_int64\", \"f_sint64\", \"f_sfixed64\", \"f_uint32\", \"f_fixed32\", "
          "..." },
        { "test.nested.Nothing", "{\"x\":0}", S4_TYPE,
          "column 2: test.nested.Nothing has no field \"x\", wanted no field at all" },
        { "test.Names", "{\"n\":1}", S4_TYPE,
          "column 1: field \"c\": missing in this object, wanted string" },
        { "test.Names", "{\"n\":null,\"c\":\"\"}", S4_TYPE,
          "column 6: field \"n\": found null, wanted int32" },
        { "test.Optional", "{\"f_int32\":1,\"f_int32\":1}", S4_TYPE,
          "column 14: field \"f_int32\": found twice, wanted once" },
        { "test.Optional", "{\"f_int32\":null,\"f_int32\":1}", S4_TYPE,
          "column 17: field \"f_int32\": found twice, wanted once" },
        { "test.Small", "{\"i\":1,\"b\":true}", S4_TYPE,
          "column 12: field \"b\": found beside \"i\", wanted one of them (a oneof)" },
        { "test.Optional", "{\"f_int32\":\"1\"}", S4_TYPE,
          "column 12: field \"f_int32\": found \"1\" (a string), wanted int32" },
        { "test.Optional", "{\"f_int64\":\"abc\"}", S4_TYPE,
          "column 12: field \"f_int64\": found \"abc\" (a string), wanted int64" },
        { "test.Optional", "{\"f_int64\":\"1 \"}", S4_TYPE,
          "column 12: field \"f_int64\": found \"1 \" (a string), wanted int64" },
        { "test.Optional", "{\"f_int32\":1.5}", S4_TYPE,
          "column 12: field \"f_int32\": found 1.5 (a number), wanted int32" },
        { "test.Optional", "{\"f_int32\":true}", S4_TYPE,
          "column 12: field \"f_int32\": found true, wanted int32" },
        { "test.Optional", "{\"f_int32\":[1]}", S4_TYPE,
          "column 12: field \"f_int32\": found an array, wanted int32" },
        { "test.Optional", "{\"f_bool\":1}", S4_TYPE,
          "column 11: field \"f_bool\": found 1 (a number), wanted bool" },
        { "test.Optional", "{\"f_float\":\"1.5\"}", S4_TYPE,
          "column 12: field \"f_float\": found \"1.5\" (a string), wanted float" },
        { "test.Optional", "{\"f_sign\":\"LESS\"}", S4_TYPE,
          "column 11: field \"f_sign\": found \"LESS\" (a string), wanted a value of test.Sign "
          "(FARTHER, MINUS, NONE, PLUS, FAR)" },
        { "test.Names", "{\"c\":12}", S4_TYPE,
          "column 6: field \"c\": found 12 (a number), wanted string" },
        { "test.Names", "{\"c\":{}}", S4_TYPE,
          "column 6: field \"c\": found an object, wanted string" },
        { "test.Bytes", "{\"plain\":\"a\"}", S4_TYPE,
          "column 10: field \"plain\": found \"a\" (a string), wanted bytes (a string of base64)" },
        { "test.Repeated", "{\"f_int32\":1}", S4_TYPE,
          "column 12: field \"f_int32\": found 1 (a number), wanted an array of int32" },
        { "test.Repeated", "{\"f_int32\":[1,null]}", S4_TYPE,
          "column 15: field \"f_int32[1]\": found null, wanted int32" },
        { "test.nested.Chain", "{\"next\":[]}", S4_TYPE,
          "column 9: field \"next\": found an array, wanted an object (test.nested.Chain)" },
        { "test.nested.Tree",
          "{\"weight\":1,\"children\":[{\"weight\":2},{\"left\":{\"name\":7}}]}", S4_TYPE,
          "column 54: field \"children[1].left.name\": found 7 (a number), wanted string" },
        { "test.nested.Tree", "{\"weight\":1,\"children\":[{}]}", S4_TYPE,
          "column 25: field \"children[0].weight\": missing in this object, wanted int64" },
        { "test.Names",
          "{\"n\":\"a long text that the message cuts, since it is for people, who do not read "
          "on\"}",
          S4_TYPE,
          "column 6: field \"n\": found \"a long text that the message cuts, since it is for "
          "people, "
          "... (a string), wanted int32" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_refusal(&table[i], strlen(table[i].text));
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
    suite_add_with(suite, name, test, 60, setup, teardown);
}

Suite *suite_build(void)
{
    Suite *suite = suite_create("json_refusal");
    add(suite, "no_json", what_is_no_json_is_refused);
    add(suite, "no_fit", what_does_not_fit_the_type_is_refused);
    return suite;
}
