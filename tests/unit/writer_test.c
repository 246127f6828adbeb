/* The writer, and moving values from record to record. */
#include "tests/support/suite.h"

#include <signal.h>

#include "runtime/base/asan.h"
#include "runtime/base/mem.h"
#include "tests/support/random_message.h"
#include "tests/support/record_bench.h"

/* A value's record and where it begins, made from what a writer wrote. */
static struct record *record_of(struct bench *bench, const struct value *value, const char *key)
{
    char *at = start_record(bench->room[0], key);
    value_copy(value, bench->room[0], at);
    struct record *record = (struct record *)(void *)bench->room[0];
    record->len += value->size;
    ck_assert_int_eq(codec_check(value->type, record, NULL), S4_OK);
    return record;
}

static void write_ref(struct writer *writer, uint32_t at, uint32_t off, uint32_t len)
{
    memcpy(writer_at(writer, at), &off, sizeof off);
    memcpy(writer_at(writer, at + 4), &len, sizeof len);
}

START_TEST(a_written_value_is_a_message)
{
    struct bench bench;
    struct writer writer;
    struct value value;
    bench_open(&bench, record_roots, record_n_roots);
    writer_init(&writer);
    const struct type *tree = schema_find(bench.schema, "test.nested.Tree");
    for (int round = 0; round < 2; round++) { /* the second finds old bytes in the buffer */
        writer_start(&writer, tree);
        uint32_t root = writer_image(&writer);
        uint32_t text = writer_bytes(&writer, "root", 4);
        write_ref(&writer, root + type_find(tree, "name")->offset, text, 4);
        uint32_t array = writer_room(&writer, 3 * 8);
        memcpy(writer_at(&writer, root + type_find(tree, "children")->offset), &array, 4);
        uint64_t n = 3;
        memcpy(writer_at(&writer, root + type_find(tree, "children")->has_offset), &n, 8);
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t child = writer_message(&writer, tree);
            uint64_t weight = i;
            memcpy(writer_at(&writer, child + type_find(tree, "weight")->offset), &weight, 8);
            memcpy(writer_at(&writer, array + i * 8), &child, 4);
        }
        ck_assert_int_eq(writer_finish(&writer, &value), S4_OK);
        ck_assert_uint_eq(value_size_whole(&value), value.size);
        struct codec *codec = codec_of(tree);
        struct record *record = record_of(&bench, &value, "a key of some length");
        const Test__Nested__Tree *back = (void *)get_message(&bench, codec, record);
        ck_assert_str_eq(back->name, "root");
        ck_assert_uint_eq(back->n_children, 3);
        ck_assert_int_eq(back->children[2]->weight, 2);
        ck_assert_ptr_null(back->children[2]->name);
        ck_assert_ptr_null(back->left);
        codec_destroy(codec);
    }
    writer_fini(&writer);
    bench_close(&bench);
}
END_TEST

/* An empty value is what protobuf-c's init function makes. */
START_TEST(an_empty_value_has_its_defaults)
{
    struct bench bench;
    struct writer writer;
    struct value value;
    bench_open(&bench, record_roots, record_n_roots);
    writer_init(&writer);
    for (size_t i = 0; i < schema_count(bench.schema); i++) {
        const struct type *type = schema_get(bench.schema, i);
        struct codec *codec = codec_of(type);
        writer_start(&writer, type);
        ck_assert_int_eq(writer_finish(&writer, &value), S4_OK);
        ck_assert_uint_eq(value.size, type->image_size);
        char *fresh = arena_take(&bench.messages, codec_struct_size(codec));
        memset(fresh, 0, codec_struct_size(codec));
        protobuf_c_message_init(type->descriptor, fresh);
        const char *back = (const char *)get_message(&bench, codec, record_of(&bench, &value, ""));
        for (uint32_t f = 0; f < type->n_fields; f++) {
            const struct field *field = &type->fields[f];
            bool bytes = field->type == PROTOBUF_C_TYPE_BYTES;
            size_t at = MESSAGE_BASE + field->offset + (bytes && field->oneof < 0 ? 8 : 0);
            size_t size = field_value_size(field) > 8 ? 8 : field_value_size(field);
            ck_assert_msg(memcmp(back + at, fresh + at, size) == 0, "%s.%s", type->name,
                          field->name);
        }
        codec_destroy(codec);
    }
    writer_fini(&writer);
    bench_close(&bench);
}
END_TEST

/* From a record into another place of another record, and on from there. */
static void move_about(struct bench *bench, const struct codec *codec,
                       const ProtobufCMessage *message, const struct codec_alias *alias)
{
    static const char *const keys[] = { "", "short", "a key that is longer than the others are" };
    const struct type *type = codec_type(codec);
    struct record *record = put_message(bench, codec, message, alias);
    struct value value = value_of_record(type, record);
    size_t size = value_size_whole(&value);
    bool whole = alias->field_offset != FIELD_NONE || rng_below(&bench->rng, 2);
    WANT(size % 8 == 0 && (whole || size == value.size));
    char *at = start_record(bench->room[1], keys[rng_below(&bench->rng, ARRAY_LEN(keys))]);
    memset(at, 0xee, size);
    if (whole)
        value_copy_whole(&value, bench->room[1], at);
    else
        value_copy(&value, bench->room[1], at);
    memset(bench->room[0], 0xee, record->len);
    struct record *moved = (struct record *)(void *)bench->room[1];
    moved->len += (uint32_t)size;
    WANT(codec_check(type, moved, NULL) == S4_OK);
    same_packed(bench, message, get_message(bench, codec, moved));
}

START_TEST(values_move)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    const char *key = RECORD_KEY;
    for (size_t i = 0; i < schema_count(bench.schema); i++) {
        const struct type *type = schema_get(bench.schema, i);
        struct codec *codec = codec_of(type);
        int rounds = (strstr(type->name, "Everything") ? 100 : 4000) / (SANITIZED ? 10 : 1);
        for (int k = 0; k < rounds; k++) {
            char *message =
                (char *)message_random(type->descriptor, &bench.rng, &bench.messages, 3, 0);
            struct codec_alias alias = codec_no_alias;
            for (uint32_t f = 0; f < type->n_refs; f++)
                if (type->refs[f]->type == PROTOBUF_C_TYPE_STRING && type->refs[f]->oneof < 0 &&
                    type->refs[f]->label != PROTOBUF_C_LABEL_REPEATED &&
                    rng_below(&bench.rng, 4) == 0) {
                    alias = (struct codec_alias){ type->refs[f]->offset, RECORD_KEY_AT,
                                                  strlen(RECORD_KEY) };
                    memcpy(message + MESSAGE_BASE + alias.field_offset, &key, sizeof key);
                    break;
                }
            move_about(&bench, codec, (ProtobufCMessage *)(void *)message, &alias);
            arena_reset(&bench.messages);
            arena_reset(&bench.decoded);
        }
        codec_destroy(codec);
    }
    bench_close(&bench);
}
END_TEST

START_TEST(limits_hold)
{
    struct bench bench;
    struct writer writer;
    struct value value;
    bench_open(&bench, record_roots, record_n_roots);
    const struct type *type = schema_find(bench.schema, "test.nested.Chain");
    writer_init(&writer);
    writer_start(&writer, type);
    size_t left = RECORD_MAX - writer.used;
    char *text = mem_zalloc(RECORD_MAX);
    ck_assert_uint_ne(writer_bytes(&writer, text, left - 1), 0);
    ck_assert_int_eq(writer_finish(&writer, &value), S4_OK);
    ck_assert_uint_eq(value.size + writer_image(&writer), RECORD_MAX);

    writer_start(&writer, type);
    ck_assert_uint_eq(writer_bytes(&writer, text, left), 0);
    ck_assert_uint_eq(writer_room(&writer, 8), 0); /* nothing works from here on */
    ck_assert_int_eq(writer_finish(&writer, &value), S4_TOO_LARGE);
    for (int i = 0; i < 2; i++) {
        writer_start(&writer, type);
        uint32_t off = i ? writer_bytes(&writer, text, SIZE_MAX) : writer_room(&writer, SIZE_MAX);
        ck_assert_uint_eq(off, 0);
        ck_assert_int_eq(writer_finish(&writer, &value), S4_TOO_LARGE);
    }
    writer_start(&writer, type);
    ck_assert_int_eq(writer_finish(&writer, &value), S4_OK);
    ck_assert_uint_eq(value.size, 8);
    mem_free(text);
    writer_fini(&writer);
    writer_fini(&writer);
    bench_close(&bench);
}
END_TEST

START_TEST(memory_may_fail)
{
    struct bench bench;
    struct writer writer;
    struct value value;
    bench_open(&bench, record_roots, record_n_roots);
    const struct type *type = schema_find(bench.schema, "test.nested.Chain");
    writer_init(&writer);
    s4_status status = S4_NO_MEMORY;
    int failures = 0;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        mem_fail_after(n);
        writer_start(&writer, type);
        for (int i = 0; i < 100; i++)
            writer_message(&writer, type);
        status = writer_finish(&writer, &value);
        mem_fail_after(-1);
        failures += status != S4_OK;
        writer_fini(&writer);
    }
    ck_assert_int_eq(status, S4_OK);
    ck_assert_int_gt(failures, 2);
    bench_close(&bench);
}
END_TEST

START_TEST(text_in_the_key_needs_a_whole_copy)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    struct codec *codec = codec_of(schema_find(bench.schema, "test.Names"));
    Test__Names message = TEST__NAMES__INIT;
    char text[] = RECORD_KEY;
    message.c = text;
    struct codec_alias alias = { type_find(codec_type(codec), "c")->offset, RECORD_KEY_AT, 7 };
    struct record *record = put_message(&bench, codec, &message.base, &alias);
    struct value value = value_of_record(codec_type(codec), record);
    value_copy(&value, bench.room[1], bench.room[1] + 256); /* stops here */
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("writer");
    suite_add(suite, "message", a_written_value_is_a_message, 10);
    suite_add(suite, "defaults", an_empty_value_has_its_defaults, 10);
    suite_add(suite, "move", values_move, 60);
    suite_add(suite, "limits", limits_hold, 10);
    suite_add(suite, "memory", memory_may_fail, 10);
    TCase *stops = tcase_create("stops");
    tcase_add_test_raise_signal(stops, text_in_the_key_needs_a_whole_copy, SIGABRT);
    suite_add_tcase(suite, stops);
    return suite;
}
