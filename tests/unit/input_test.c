/* Input as events: cutting into lines and messages, at the limits and at every cut; reading slices;
 * alarms and files as commands see them. */
#include "tests/support/suite.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "apps/s4/alarms.h"
#include "apps/s4/file.h"
#include "apps/s4/input.h"
#include "proto/control.pb-c.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/text/json.h"

START_TEST(formats_are_guessed)
{
    static const struct {
        const char *path;
        enum input_format format;
    } cases[] = { { "a.json", INPUT_JSON },       { "a.JSONL", INPUT_JSON },
                  { "d.x/a.ndjson", INPUT_JSON }, { "a.pb", INPUT_PB },
                  { "a.txt", INPUT_TEXT },        { "a", INPUT_TEXT },
                  { "d.json/a", INPUT_TEXT },     { "-", INPUT_TEXT } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_int_eq(input_format_guess(cases[i].path), cases[i].format);
    ck_assert_int_eq(input_format_find("pb"), INPUT_PB);
    ck_assert_int_eq(input_format_find(""), INPUT_UNKNOWN);
    ck_assert_int_eq(input_format_find("jso"), INPUT_UNKNOWN);
    ck_assert_str_eq(input_format_name(INPUT_TEXT), "text");
}
END_TEST

START_TEST(lines_end_as_they_end)
{
    const char text[] = "one\r\n\ntwo\r\r\nlast";
    const char *at = text, *end = text + sizeof text - 1;
    static const char *const expected[] = { "one", "", "two\r", "last" };
    struct slice slice;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        ck_assert_int_eq(slice_next(INPUT_TEXT, &at, end, true, &slice, NULL), S4_OK);
        ck_assert_uint_eq(slice.size, strlen(expected[i]));
        ck_assert_mem_eq(slice.data, expected[i], slice.size);
    }
    ck_assert_int_eq(slice_next(INPUT_TEXT, &at, end, true, &slice, NULL), S4_END);
    at = end - 4;
    ck_assert_int_eq(slice_next(INPUT_TEXT, &at, end, false, &slice, NULL), S4_AGAIN);
    ck_assert_ptr_eq(at, end - 4);
}
END_TEST

START_TEST(a_line_has_a_limit)
{
    char *text = mem_alloc(INPUT_LINE_MAX + 2);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', INPUT_LINE_MAX + 2);
    text[INPUT_LINE_MAX] = '\n';
    const char *at = text;
    struct slice slice;
    ck_assert_int_eq(slice_next(INPUT_JSON, &at, text + INPUT_LINE_MAX + 1, false, &slice, NULL),
                     S4_OK);
    ck_assert_uint_eq(slice.size, INPUT_LINE_MAX);
    text[INPUT_LINE_MAX] = 'x';
    text[INPUT_LINE_MAX + 1] = '\n';
    at = text;
    ck_assert_int_eq(slice_next(INPUT_JSON, &at, text + INPUT_LINE_MAX + 2, false, &slice, NULL),
                     S4_TOO_LARGE);
    ck_assert_ptr_eq(at, text + INPUT_LINE_MAX + 1);
    mem_free(text);
}
END_TEST

static size_t put_varint(uint64_t n, char *out)
{
    size_t len = 0;
    for (; n >= 0x80; n >>= 7)
        out[len++] = (char)(n | 0x80);
    out[len++] = (char)n;
    return len;
}

START_TEST(a_message_has_a_limit)
{
    char *bytes = mem_zalloc(INPUT_MESSAGE_MAX + 16);
    ck_assert_ptr_nonnull(bytes);
    size_t head = put_varint(INPUT_MESSAGE_MAX, bytes);
    const char *at = bytes;
    struct slice slice;
    ck_assert_int_eq(
        slice_next(INPUT_PB, &at, bytes + head + INPUT_MESSAGE_MAX, true, &slice, NULL), S4_OK);
    ck_assert_uint_eq(slice.size, INPUT_MESSAGE_MAX);
    at = bytes;
    put_varint(INPUT_MESSAGE_MAX + 1, bytes);
    ck_assert_int_eq(slice_next(INPUT_PB, &at, bytes + head, false, &slice, NULL), S4_MALFORMED);
    at = bytes;
    memset(bytes, 0xff, 16); /* no varint is so long */
    ck_assert_int_eq(slice_next(INPUT_PB, &at, bytes + 16, false, &slice, NULL), S4_MALFORMED);
    at = bytes;
    ck_assert_int_eq(slice_next(INPUT_PB, &at, bytes + 3, false, &slice, NULL), S4_AGAIN);
    ck_assert_int_eq(slice_next(INPUT_PB, &at, bytes + 3, true, &slice, NULL), S4_MALFORMED);
    mem_free(bytes);
}
END_TEST

/* Hands out the bytes in pieces, as a reader gets them; appends every slice with its length. */
static void slice_in_pieces(enum input_format format, const char *bytes, size_t size,
                            struct rng *rng, struct buffer *out)
{
    const char *at = bytes;
    size_t there = rng ? 0 : size;
    for (;;) {
        struct slice slice;
        s4_status status = slice_next(format, &at, bytes + there, there == size, &slice, NULL);
        if (status == S4_AGAIN) {
            CHECK(rng);
            there += 1 + rng_below(rng, size_min(size - there, 40));
            continue;
        }
        if (status != S4_OK) {
            ck_assert_int_eq(buffer_printf(out, "end %d", status), S4_OK);
            return;
        }
        ck_assert_int_eq(buffer_printf(out, "%zu:", slice.size), S4_OK);
        ck_assert_int_eq(buffer_append(out, slice.data, slice.size), S4_OK);
    }
}

START_TEST(how_the_input_comes_does_not_matter)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 2000; round++) {
        char bytes[400];
        size_t size = 1 + rng_below(&rng, sizeof bytes - 1);
        enum input_format format = round % 2 ? INPUT_PB : INPUT_TEXT;
        for (size_t i = 0; i < size; i++) /* short messages, short lines */
            bytes[i] = (char)(rng_below(&rng, 8) ? rng_below(&rng, 30) : rng_next(&rng));
        struct buffer whole, pieces;
        buffer_init(&whole);
        buffer_init(&pieces);
        slice_in_pieces(format, bytes, size, NULL, &whole);
        slice_in_pieces(format, bytes, size, &rng, &pieces);
        ck_assert_uint_eq(whole.size, pieces.size);
        ck_assert_mem_eq(whole.data, pieces.data, whole.size);
        buffer_fini(&whole);
        buffer_fini(&pieces);
    }
}
END_TEST

/* A type with one string, and one with more. */
static const struct type *type_named(const char *name)
{
    static struct schema *schema;
    const ProtobufCMessageDescriptor *types[] = { &s4__control__hello__descriptor,
                                                  &s4__control__welcome__descriptor };
    if (!schema)
        ck_assert_int_eq(schema_from_descriptors(types, ARRAY_LEN(types), &schema, NULL), S4_OK);
    return schema_find(schema, name);
}

static s4_status read_as(enum input_format format, const char *bytes, size_t size,
                         struct buffer *json)
{
    struct decoder decoder;
    struct value event;
    struct diag diag;
    TRY(decoder_init(&decoder, format, type_named("s4.control.Hello"), &diag));
    struct slice slice = { .data = bytes, .size = size };
    s4_status status = decoder_read(&decoder, slice, &event, &diag);
    buffer_clear(json);
    if (status == S4_OK)
        status = json_write(&event, json);
    decoder_fini(&decoder);
    return status;
}

START_TEST(slices_are_events)
{
    struct buffer json;
    buffer_init(&json);
    ck_assert_int_eq(read_as(INPUT_TEXT, "a line", 6, &json), S4_OK);
    ck_assert_str_eq(buffer_text(&json), "{\"client\":\"a line\"}");
    ck_assert_int_eq(read_as(INPUT_TEXT, "", 0, &json), S4_OK);
    ck_assert_str_eq(buffer_text(&json), "{\"client\":\"\"}");
    ck_assert_int_eq(read_as(INPUT_JSON, "{}", 2, &json), S4_OK);
    ck_assert_str_eq(buffer_text(&json), "{}");
    ck_assert_int_eq(read_as(INPUT_JSON, " \t", 2, &json), S4_END);
    ck_assert_int_eq(read_as(INPUT_JSON, "{", 1, &json), S4_MALFORMED);
    ck_assert_int_eq(read_as(INPUT_PB, "\x0a\x01z", 3, &json), S4_OK);
    ck_assert_str_eq(buffer_text(&json), "{\"client\":\"z\"}");
    ck_assert_int_eq(read_as(INPUT_PB, "\x0a\x02z", 3, &json), S4_MALFORMED);
    struct decoder decoder;
    struct diag diag;
    ck_assert_int_eq(decoder_init(&decoder, INPUT_TEXT, type_named("s4.control.Welcome"), &diag),
                     S4_TYPE);
    buffer_fini(&json);
}
END_TEST

START_TEST(out_of_memory_is_an_answer)
{
    struct buffer json;
    buffer_init(&json);
    (void)type_named("s4.control.Hello");
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        s4_status status = read_as(INPUT_JSON, "{\"client\":\"c\"}", 14, &json);
        mem_fail_after(-1);
        if (status == S4_OK)
            break;
        ck_assert_int_eq(status, S4_NO_MEMORY);
        ck_assert_int_lt(n, 100);
    }
    buffer_fini(&json);
}
END_TEST

START_TEST(alarms_give_way)
{
    struct alarms alarms;
    char text[ALARM_TEXT_MAX];
    alarms_init(&alarms, eventfd(0, EFD_NONBLOCK));
    ck_assert(!alarms_take(&alarms, text));
    for (int i = 0; i < ALARMS_KEPT; i++)
        alarms_raise(&alarms, "app", "one");
    for (int i = 0; i < ALARMS_KEPT; i++) {
        ck_assert(alarms_take(&alarms, text));
        ck_assert_str_eq(text, "app: one");
    }
    ck_assert(!alarms_take(&alarms, text));
    for (int i = 0; i < ALARMS_KEPT + 1; i++)
        alarms_raise(&alarms, "app", i ? "new" : "old");
    ck_assert(alarms_take(&alarms, text));
    ck_assert_str_eq(text, "1 alarms were too many to show");
    ck_assert(alarms_take(&alarms, text));
    ck_assert_str_eq(text, "app: new");
    char latest[3][ALARM_TEXT_MAX];
    ck_assert(!alarms_has_fault(&alarms));
    alarms_fault(&alarms, "lost");
    ck_assert(alarms_has_fault(&alarms));
    ck_assert_uint_eq(alarms_latest(&alarms, latest, 3), 3);
    ck_assert_str_eq(latest[0], "app: new");
    ck_assert_str_eq(latest[2], "fault: lost");
    close(alarms.wake);
    alarms_fini(&alarms);
}
END_TEST

START_TEST(files_are_whole_or_not_there)
{
    char dir[] = "/tmp/s4-input-XXXXXX";
    char path[64];
    struct diag diag;
    struct buffer content;
    buffer_init(&content);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    ck_assert_int_eq(file_read(path, 10, &content, &diag), S4_NOT_FOUND);
    ck_assert_int_eq(file_write(path, "0123456789", 10, &diag), S4_OK);
    ck_assert_int_eq(file_read(path, 10, &content, &diag), S4_OK);
    ck_assert_uint_eq(content.size, 10);
    ck_assert_int_eq(file_read(path, 9, &content, &diag), S4_TOO_LARGE);
    ck_assert_uint_eq(content.size, 10);
    ck_assert_int_eq(file_write("/dev/full", "x", 1, &diag), S4_FULL);
    ck_assert_int_eq(file_write("/nowhere/x", "x", 1, &diag), S4_NOT_FOUND);
    ck_assert_int_eq(file_write(path, "new", 3, &diag), S4_OK);
    buffer_clear(&content);
    ck_assert_int_eq(file_read(path, 10, &content, &diag), S4_OK);
    ck_assert_mem_eq(content.data, "new", 3);
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing else was left there */
    buffer_fini(&content);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("input");
    suite_add(suite, "formats", formats_are_guessed, 20);
    suite_add(suite, "lines", lines_end_as_they_end, 20);
    suite_add(suite, "line_limit", a_line_has_a_limit, 20);
    suite_add(suite, "message_limit", a_message_has_a_limit, 20);
    suite_add(suite, "pieces", how_the_input_comes_does_not_matter, 20);
    suite_add(suite, "slices", slices_are_events, 20);
    suite_add(suite, "memory", out_of_memory_is_an_answer, 20);
    suite_add(suite, "alarms", alarms_give_way, 20);
    suite_add(suite, "files", files_are_whole_or_not_there, 20);
    return suite;
}
