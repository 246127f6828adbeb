/* Attributes that are not to be trusted: whatever was done to a record, it is refused, or it can be
 * got, moved and packed without a step outside of it (AddressSanitizer watches: the record lies in
 * memory of exactly its size). */
#include "tests/support/suite.h"

#include "runtime/base/asan.h"
#include "runtime/base/mem.h"
#include "tests/support/random_message.h"
#include "tests/support/record_bench.h"

struct tally {
    long accepted;
    long refused;
};

/* If the record is accepted, it and its copies can be used. */
static void judge(struct bench *bench, const struct codec *codec, const struct record *record,
                  struct tally *tally)
{
    const struct type *type = codec_type(codec);
    struct diag diag = { 0 };
    if (codec_check(type, record, &diag) != S4_OK) {
        WANT(diag.code == S4_CORRUPT && diag.text[0]);
        tally->refused++;
        return;
    }
    tally->accepted++;
    arena_reset(&bench->decoded);
    arena_reset(&bench->messages);
    struct value value = value_of_record(type, record);
    size_t size = value_size_whole(&value);
    char *at = start_record(bench->room[1], "another, longer key");
    WANT(size <= 2 * record->len && (size_t)(at - bench->room[1]) + size <= RECORD_ROOM);
    struct record *copy = (struct record *)(void *)bench->room[1];
    value_copy_whole(&value, bench->room[1], at);
    copy->len += (uint32_t)size;
    WANT(codec_check(type, copy, NULL) == S4_OK);
    same_packed(bench, get_message(bench, codec, record), get_message(bench, codec, copy));
}

/* Every bit flipped, and every length that is a multiple of 8. */
static void damage(struct bench *bench, const struct codec *codec, const struct record *record,
                   struct tally *tally)
{
    size_t from = (size_t)(record_attributes(record) - (const char *)record);
    char *copy = mem_dup(record, record->len);
    for (size_t bit = from * 8; bit < (size_t)record->len * 8; bit++) {
        copy[bit / 8] ^= (char)(1 << bit % 8);
        judge(bench, codec, (struct record *)(void *)copy, tally);
        copy[bit / 8] ^= (char)(1 << bit % 8);
    }
    mem_free(copy);
    for (uint32_t len = (uint32_t)from; len < record->len; len += 8) {
        struct record *cut = mem_dup(record, len);
        cut->len = len;
        judge(bench, codec, cut, tally);
        mem_free(cut);
    }
}

START_TEST(damaged_records)
{
    struct bench bench;
    struct tally tally = { 0 };
    bench_open(&bench, record_roots, record_n_roots);
    for (size_t i = 0; i < schema_count(bench.schema); i++) {
        const struct type *type = schema_get(bench.schema, i);
        struct codec *codec = codec_of(type);
        int rounds = SANITIZED ? 4 : 20;
        for (int k = 0; k < rounds; k++) {
            ProtobufCMessage *message =
                message_random(type->descriptor, &bench.rng, &bench.messages, 2, 0);
            struct record *record = put_message(&bench, codec, message, &codec_no_alias);
            if (record->len < 1500)
                damage(&bench, codec, record, &tally);
            arena_reset(&bench.messages);
        }
        codec_destroy(codec);
    }
    ck_assert_int_gt(tally.accepted, 10000);
    ck_assert_int_gt(tally.refused, 10000);
    bench_close(&bench);
}
END_TEST

/* Words of the attributes replaced by what might be a reference. */
START_TEST(confused_references)
{
    struct bench bench;
    struct tally tally = { 0 };
    bench_open(&bench, record_roots, record_n_roots);
    static const char *const names[] = { "test.nested.Tree", "test.Choice", "test.Bytes",
                                         "test.Strings", "test.nested.Outer" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct codec *codec = codec_of(schema_find(bench.schema, names[i]));
        for (int round = 0; round < (SANITIZED ? 5000 : 40000); round++) {
            ProtobufCMessage *message =
                message_random(codec_type(codec)->descriptor, &bench.rng, &bench.messages, 3, 0);
            struct record *record = put_message(&bench, codec, message, &codec_no_alias);
            struct record *copy = mem_dup(record, record->len);
            uint32_t *words = (uint32_t *)(void *)copy;
            size_t from = (size_t)(record_attributes(copy) - (const char *)copy) / 4;
            for (uint64_t n = 1 + rng_below(&bench.rng, 3); n > 0; n--)
                words[from + rng_below(&bench.rng, record->len / 4 - from)] =
                    (uint32_t)rng_below(&bench.rng, copy->len + 16) & ~7u;
            judge(&bench, codec, copy, &tally);
            mem_free(copy);
            arena_reset(&bench.messages);
        }
        codec_destroy(codec);
    }
    ck_assert_int_gt(tally.accepted, 1000);
    ck_assert_int_gt(tally.refused, 1000);
    bench_close(&bench);
}
END_TEST

/* 64 messages, each of which is both children of the one before: 2^64 visits for who follows them.
 */
START_TEST(shared_messages_are_refused)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    const struct type *tree = schema_find(bench.schema, "test.nested.Tree");
    struct record *record = (struct record *)(void *)bench.room[0];
    char *at = start_record(bench.room[0], RECORD_KEY);
    for (int i = 0; i < 60; i++) {
        char *image = bench.room[0] + record->len;
        memcpy(image, tree->initial, tree->image_size);
        record->len += tree->image_size + 8;
        uint64_t next = record->len;
        uint64_t one = 1, array = record->len - 8;
        memcpy(image + type_find(tree, "left")->offset, &next, sizeof next);
        memcpy(image + type_find(tree, "children")->has_offset, &one, sizeof one);
        memcpy(image + type_find(tree, "children")->offset, &array, sizeof array);
        memcpy(bench.room[0] + array, &next, sizeof next);
    }
    memcpy(bench.room[0] + record->len, tree->initial, tree->image_size);
    record->len += tree->image_size;
    struct diag diag = { 0 };
    ck_assert_int_eq(codec_check(tree, record, &diag), S4_CORRUPT);
    ck_assert_msg(strstr(diag.text, "into something else"), "%s", diag.text);
    /* With the second way cut it is a tree. */
    for (char *image = at; image < bench.room[0] + record->len; image += tree->image_size + 8)
        memset(image + type_find(tree, "left")->offset, 0, 8);
    ck_assert_int_eq(codec_check(tree, record, &diag), S4_OK);
    bench_close(&bench);
}
END_TEST

START_TEST(depth_is_checked)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    const struct type *chain = schema_find(bench.schema, "test.nested.Chain");
    for (int below = SCHEMA_DEPTH_MAX; below <= SCHEMA_DEPTH_MAX + 1; below++) {
        struct record *record = (struct record *)(void *)bench.room[0];
        start_record(bench.room[0], RECORD_KEY);
        for (int i = 0; i <= below; i++) {
            uint64_t next = i < below ? record->len + 8 : REF_NULL;
            memcpy(bench.room[0] + record->len, &next, sizeof next);
            record->len += 8;
        }
        ck_assert_int_eq(codec_check(chain, record, NULL),
                         below == SCHEMA_DEPTH_MAX ? S4_OK : S4_CORRUPT);
    }
    bench_close(&bench);
}
END_TEST

/* One record of the type `Names`, changed in one place. */
START_TEST(each_fault_is_named)
{
    static const struct {
        const char *field;
        uint32_t off;
        uint32_t len;
        const char *fault;
    } cases[] = {
        { "a", REF_DEFAULT, 0, "no reference" }, /* it has no default */
        { "b", REF_DEFAULT, 0, NULL },
        { "b", REF_DEFAULT, 1, "no reference" },
        { "a", REF_EMPTY, 0, "no reference" },
        { "a", REF_NULL, 4, "no reference" },
        { "a", RECORD_KEY_AT, 7, NULL },
        { "a", RECORD_KEY_AT, 6, "without its NUL" },
        { "a", RECORD_KEY_AT, 8, "out of the key" },
        { "a", RECORD_KEY_AT - 1, 8, "out of the key" },
        { "a", 3, 0, "out of the key" },
        { "a", 1000000, 1, "behind the record" },
        { "a", 48, UINT32_MAX, "more text" },
        { "a", 48, 1, "into something else" },
    };
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    struct codec *codec = codec_of(schema_find(bench.schema, "test.Names"));
    Test__Names message = TEST__NAMES__INIT;
    char text[] = "a text";
    message.c = text;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct diag diag = { 0 };
        struct record *record = put_message(&bench, codec, &message.base, &codec_no_alias);
        char *ref = bench.room[0] + (record_attributes(record) - (const char *)record) +
                    type_find(codec_type(codec), cases[i].field)->offset;
        memcpy(ref, &cases[i].off, 4);
        memcpy(ref + 4, &cases[i].len, 4);
        s4_status status = codec_check(codec_type(codec), record, &diag);
        ck_assert_int_eq(status, cases[i].fault ? S4_CORRUPT : S4_OK);
        if (cases[i].fault) {
            ck_assert_msg(strstr(diag.text, cases[i].fault), "case %zu: %s", i, diag.text);
            ck_assert_ptr_nonnull(strstr(diag.text, "test.Names"));
        }
    }
    codec_destroy(codec);
    bench_close(&bench);
}
END_TEST

/* Of an empty value one or two words of the image are set. */
static const struct {
    const char *type;
    const char *field;
    uint64_t has; /* the count, or the case */
    uint64_t ref;
    const char *fault;
} structure_cases[] = {
    { "test.nested.Chain", "next", 0, 52, "not aligned" },
    { "test.nested.Chain", "next", 0, 40, "out of the record" }, /* the key is no place for it */
    { "test.nested.Chain", "next", 0, 56, "out of the record" },
    { "test.nested.Chain", "next", 0, 48, "into something else" }, /* itself */
    { "test.nested.Chain", "next", 0, (uint64_t)1 << 32, "out of the record" },
    { "test.Packed", "f_int32", 1, 52, "not aligned" },
    { "test.Packed", "f_int32", 1, 0, "out of the record" },
    { "test.Packed", "f_int32", 0, 48, "no elements, but a reference" },
    { "test.Packed", "f_int64", UINT64_MAX / 8 + 2, 48, "more elements" },
    { "test.Packed", "f_int64", 1, 48, "into something else" },
    { "test.Choice", "wide", 7, 0, "does not have" },
    { "test.Choice", "wide", 20, 0, "does not have" }, /* a field, but no member */
    { "test.Choice", "wide", 4, 0, "does not have" },  /* a member of another oneof */
    { "test.Choice", "wide", 5, UINT64_MAX, NULL },
    { "test.Choice", "text", 8, REF_DEFAULT, NULL },
    { "test.Choice", "only", 31, REF_DEFAULT, "no reference" },
    { "test.Choice", "again", 3, 3, "not aligned" },
    { "test.Bytes", "plain", 1, 3, "out of the key" },
};

START_TEST(each_fault_of_structure_is_named)
{
    struct bench bench;
    struct writer writer;
    struct value value;
    bench_open(&bench, record_roots, record_n_roots);
    writer_init(&writer);
    for (size_t i = 0; i < ARRAY_LEN(structure_cases); i++) {
        const struct type *type = schema_find(bench.schema, structure_cases[i].type);
        const struct field *field = type_find(type, structure_cases[i].field);
        char *at = start_record(bench.room[0], RECORD_KEY);
        struct record *record = (struct record *)(void *)bench.room[0];
        writer_start(&writer, type);
        ck_assert_int_eq(writer_finish(&writer, &value), S4_OK);
        value_copy(&value, bench.room[0], at);
        record->len += value.size;
        if (field->has_offset != FIELD_NONE)
            memcpy(at + field->has_offset, &structure_cases[i].has, field->oneof < 0 ? 8 : 4);
        bool bytes = field->type == PROTOBUF_C_TYPE_BYTES;
        memcpy(at + field->offset + (bytes ? 8 : 0), &structure_cases[i].ref, 8);
        struct diag diag = { 0 };
        s4_status status = codec_check(type, record, &diag);
        const char *fault = structure_cases[i].fault;
        ck_assert_msg(status == (fault ? S4_CORRUPT : S4_OK), "case %zu: %s", i, diag.text);
        ck_assert_msg(!fault || strstr(diag.text, fault), "case %zu: %s", i, diag.text);
    }
    writer_fini(&writer);
    bench_close(&bench);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("codec_check");
    suite_add(suite, "damaged", damaged_records, 60);
    suite_add(suite, "confused", confused_references, 60);
    suite_add(suite, "shared", shared_messages_are_refused, 10);
    suite_add(suite, "depth", depth_is_checked, 10);
    suite_add(suite, "faults", each_fault_is_named, 10);
    suite_add(suite, "structure", each_fault_of_structure_is_named, 10);
    return suite;
}
