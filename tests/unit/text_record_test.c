/* Text and records: what is read from text is a record like any other, and what handlers put into
 * records, however odd, is written like protobuf-c writes it. */
#include "tests/support/suite.h"

#include <jansson.h>

#include "runtime/text/json.h"
#include "runtime/text/pb.h"
#include "tests/support/plain_message.h"
#include "tests/support/random_message.h"
#include "tests/support/record_bench.h"

static struct bench bench;
static struct codec *codecs[64];
static struct writer writer;
static struct buffer out;

static void setup(void)
{
    bench_open(&bench, record_roots, record_n_roots);
    ck_assert_uint_le(schema_count(bench.schema), ARRAY_LEN(codecs));
    for (size_t i = 0; i < schema_count(bench.schema); i++)
        codecs[i] = codec_of(schema_get(bench.schema, i));
    writer_init(&writer);
    buffer_init(&out);
}

static void teardown(void)
{
    buffer_fini(&out);
    writer_fini(&writer);
    for (size_t i = 0; i < schema_count(bench.schema); i++)
        codec_destroy(codecs[i]);
    bench_close(&bench);
}

static const struct codec *random_codec(void)
{
    return codecs[rng_below(&bench.rng, schema_count(bench.schema))];
}

/* The value as a record that came from afar is the message. */
static void check_read(const struct codec *codec, const struct value *value,
                       const ProtobufCMessage *message)
{
    struct diag diag = { 0 };
    char *at = start_record(bench.room[0], RECORD_KEY);
    struct record *record = (struct record *)(void *)bench.room[0];
    WANT(record->len + value->size <= RECORD_ROOM);
    value_copy(value, bench.room[0], at);
    record->len += value->size;
    if (codec_check(value->type, record, &diag) != S4_OK)
        ck_abort_msg("%s", diag.text);
    same_packed(&bench, message, get_message(&bench, codec, record));
}

START_TEST(what_is_read_is_a_record)
{
    for (int round = 0; round < 20000; round++) {
        const struct codec *codec = random_codec();
        const struct type *type = codec_type(codec);
        struct plain_pool pool = { 0 };
        struct value value;
        struct diag diag = { 0 };
        uint8_t *packed;
        arena_reset(&bench.messages);
        arena_reset(&bench.decoded);
        const ProtobufCMessage *message = plain_random(&bench.rng, type->descriptor, 3, &pool);
        size_t size = plain_pack(message, &pool, &packed);
        WANT(pb_read(&writer, type, packed, size, &value, &diag) == S4_OK);
        check_read(codec, &value, message);
        buffer_clear(&out);
        WANT(json_write(&value, &out) == S4_OK);
        WANT(json_read(&writer, type, out.data, out.size, &value, &diag) == S4_OK);
        check_read(codec, &value, message);
        plain_pool_clear(&pool);
    }
}
END_TEST

/* What pb_write and json_write make of a record. */
static void check_written(const struct type *type, const struct record *record,
                          const uint8_t *packed, size_t size)
{
    struct value value = value_of_record(type, record);
    buffer_clear(&out);
    WANT(pb_write(&value, &out) == S4_OK);
    WANT(out.size == size && (size == 0 || memcmp(out.data, packed, size) == 0));
    buffer_clear(&out);
    WANT(json_write(&value, &out) == S4_OK);
    json_error_t error;
    json_t *tree = json_loadb(out.data, out.size, 0, &error);
    /* jansson has no integers above 2^63, and no long numbers. */
    bool too_big = !tree && (strstr(error.text, "too big") || strstr(error.text, "overflow"));
    if (!tree && !too_big)
        ck_abort_msg("%s: %.*s", error.text, (int)out.size, out.data);
    json_decref(tree);
}

START_TEST(any_record_is_written_like_its_struct)
{
    for (int round = 0; round < 20000; round++) {
        const struct codec *codec = random_codec();
        const struct type *type = codec_type(codec);
        arena_reset(&bench.messages);
        ProtobufCMessage *message = message_random(type->descriptor, &bench.rng, &bench.messages,
                                                   (int)rng_below(&bench.rng, 3), 0xaa);
        size_t size;
        const uint8_t *packed = message_pack(message, &bench.messages, &size);
        if (size > RECORD_ROOM / 16)
            continue; /* seldom; it might not fit */
        const struct record *record = put_message(&bench, codec, message, &codec_no_alias);
        check_written(type, record, packed, size);
    }
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
    suite_add_with(suite, name, test, 60, setup, teardown);
}

Suite *suite_build(void)
{
    Suite *suite = suite_create("text_record");
    add(suite, "read", what_is_read_is_a_record);
    add(suite, "written", any_record_is_written_like_its_struct);
    return suite;
}
