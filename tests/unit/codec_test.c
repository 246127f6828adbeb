/* The codec against protobuf-c: a message that went through a record packs to the same bytes. */
#include "tests/support/suite.h"

#include <sys/mman.h>

#include "runtime/base/asan.h"
#include "runtime/base/mem.h"
#include "tests/support/descriptors.h"
#include "tests/support/random_message.h"
#include "tests/support/record_bench.h"
#include "tests/support/set_builder.h"
#include "tests/support/protos/shapes.pb-c.h"

#if SANITIZED
#define SHARE 5 /* a sanitizer makes it so much slower */
#else
#define SHARE 1
#endif

/* Exactly enough room is enough, 8 bytes less are not, and nothing behind the slack is touched. */
static void check_room(struct bench *bench, const struct codec *codec, const void *message,
                       int64_t size)
{
    char *at = start_record(bench->room[1], RECORD_KEY);
    memset(at, 0x5a, (size_t)size + 2 * RECORD_SLACK);
    codec_put_fn *put = codec_put(codec);
    if (size >= 8) {
        int64_t full = put(codec, message, bench->room[1], at, at + size - 8, &codec_no_alias);
        WANT(full == CODEC_FULL);
    }
    WANT(put(codec, message, bench->room[1], at, at + size, &codec_no_alias) == size);
    WANT(memcmp(bench->room[0], bench->room[1], (size_t)(at - bench->room[1])) == 0);
    char *before = bench->room[0] + (at - bench->room[1]);
    WANT(memcmp(before, at, (size_t)size) == 0);
    for (int i = RECORD_SLACK; i < 2 * RECORD_SLACK; i++)
        WANT(at[size + i] == 0x5a);
}

static void round_trip(struct bench *bench, const struct codec *codec)
{
    const struct type *type = codec_type(codec);
    struct rng again = bench->rng;
    arena_reset(&bench->messages);
    arena_reset(&bench->decoded);
    int depth = (int)rng_below(&bench->rng, 5);
    rng_below(&again, 5);
    ProtobufCMessage *message =
        message_random(type->descriptor, &bench->rng, &bench->messages, depth, 0xaa);
    char *at = start_record(bench->room[0], RECORD_KEY);
    int64_t size = codec_put(codec)(codec, message, bench->room[0], at,
                                    bench->room[0] + RECORD_ROOM, &codec_no_alias);
    if (size == CODEC_FULL)
        return; /* larger than the room: seldom */
    WANT(size >= type->image_size);
    WANT(size % 8 == 0);
    struct record *record = (struct record *)(void *)bench->room[0];
    record->len += (uint32_t)size;
    struct diag diag = { 0 };
    if (codec_check(type, record, &diag) != S4_OK)
        ck_abort_msg("%s", diag.text);

    /* The same message with other garbage between its members gives the same bytes. */
    uint32_t len = record->len;
    record->len -= (uint32_t)size;
    check_room(bench, codec,
               message_random(type->descriptor, &again, &bench->messages, depth, 0x55), size);
    record->len = len;

    char *moved = bench->room[1] + 8 * rng_below(&bench->rng, 8);
    memcpy(moved, bench->room[0], len);
    memset(bench->room[0], 0xee, len);
    void *copy = arena_take(&bench->decoded, codec_struct_size(codec));
    memset(copy, 0x77, codec_struct_size(codec));
    WANT(codec_get(codec)(codec, moved, moved + (at - bench->room[0]), copy, &bench->decoded) ==
         copy);
    WANT(((ProtobufCMessage *)copy)->descriptor == type->descriptor);
    same_packed(bench, message, copy);
}

/* The weight of a type in the million: those that hold all others are slow. */
static int rounds_of(const struct type *type)
{
    if (strstr(type->name, "Everything"))
        return 200;
    if (strstr(type->name, "nested.") || strstr(type->name, "Choice"))
        return 8000;
    return 36000;
}

static void round_trips(const ProtobufCMessageDescriptor *const *types, size_t n, long want)
{
    struct bench bench;
    long total = 0;
    bench_open(&bench, types, n);
    for (size_t i = 0; i < schema_count(bench.schema); i++) {
        struct codec *codec = codec_of(schema_get(bench.schema, i));
        int rounds = rounds_of(codec_type(codec)) / SHARE;
        for (int k = 0; k < rounds; k++)
            round_trip(&bench, codec);
        total += rounds;
        codec_destroy(codec);
    }
    ck_assert_int_ge(total, want / SHARE);
    bench_close(&bench);
}

START_TEST(general_types_round_trip)
{
    round_trips(record_roots, record_n_roots, 400000);
}
END_TEST

#define SHAPE(name) &test__shape__##name##__descriptor
static const ProtobufCMessageDescriptor *const shapes[] = {
    SHAPE(w0),    SHAPE(w1_s0),  SHAPE(w1_s1),  SHAPE(w2_s0),  SHAPE(w2_s1),   SHAPE(w2_s2),
    SHAPE(w3_s0), SHAPE(w3_s1),  SHAPE(w3_s2),  SHAPE(w3_s3),  SHAPE(w4_s0),   SHAPE(w4_s1),
    SHAPE(w4_s2), SHAPE(w4_s4),  SHAPE(w5_s0),  SHAPE(w5_s1),  SHAPE(w5_s2),   SHAPE(w5_s4),
    SHAPE(w5_s5), SHAPE(w8_s0),  SHAPE(w8_s1),  SHAPE(w8_s2),  SHAPE(w8_s4),   SHAPE(w8_s5),
    SHAPE(w8_s8), SHAPE(w9_s0),  SHAPE(w9_s1),  SHAPE(w9_s2),  SHAPE(w9_s4),   SHAPE(w9_s5),
    SHAPE(w9_s9), SHAPE(w12_s0), SHAPE(w12_s1), SHAPE(w12_s2), SHAPE(w12_s12), SHAPE(holes),
    SHAPE(tail),
};

START_TEST(flat_types_round_trip)
{
    round_trips(shapes, ARRAY_LEN(shapes), 1000000);
}
END_TEST

/* Schemas that nobody wrote, with descriptors that nobody compiled: they are taken for those that
 * they were made from, and protobuf-c agrees about every message. */
START_TEST(random_types_round_trip)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 300 / SHARE; round++) {
        struct set_builder builder;
        struct bench bench;
        struct schema *set = NULL;
        size_t size;
        set_builder_init(&builder);
        set_random(&builder, &rng);
        const void *bytes = set_pack(&builder, &size);
        ck_assert_int_eq(schema_from_set(bytes, size, &set, NULL), S4_OK);
        bench_open_seed(&bench, descriptors_make(set, &builder.memory), schema_count(set),
                        rng_next(&rng));
        for (size_t i = 0; i < schema_count(set); i++) {
            const struct type *type = schema_get(bench.schema, i);
            ck_assert_uint_eq(type->hash, schema_get(set, i)->hash);
            struct codec *codec = codec_of(type);
            for (int k = 0; k < 100; k++)
                round_trip(&bench, codec);
            codec_destroy(codec);
        }
        bench_close(&bench);
        schema_destroy(set);
        set_builder_fini(&builder);
    }
}
END_TEST

/* A string that is the key already: it is not written again, and comes back all the same. */
START_TEST(aliased_strings_round_trip)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    int tried = 0;
    for (size_t i = 0; i < schema_count(bench.schema); i++) {
        struct codec *codec = codec_of(schema_get(bench.schema, i));
        const struct type *type = codec_type(codec);
        for (uint32_t f = 0; f < type->n_refs; f++) {
            const struct field *field = type->refs[f];
            if (field->type != PROTOBUF_C_TYPE_STRING || field->oneof >= 0 ||
                field->label == PROTOBUF_C_LABEL_REPEATED)
                continue;
            struct codec_alias alias = { field->offset, RECORD_KEY_AT, strlen(RECORD_KEY) };
            char *message =
                (char *)message_random(type->descriptor, &bench.rng, &bench.messages, 2, 0);
            char *text = message + MESSAGE_BASE + field->offset;
            const char *key = RECORD_KEY;
            memcpy(text, &key, sizeof key);
            ProtobufCMessage *base = (ProtobufCMessage *)(void *)message;
            struct record *record = put_message(&bench, codec, base, &alias);
            uint32_t off;
            memcpy(&off, record_attributes(record) + field->offset, sizeof off);
            ck_assert_uint_eq(off, RECORD_KEY_AT);
            ck_assert_int_eq(codec_check(type, record, NULL), S4_OK);
            same_packed(&bench, base, get_message(&bench, codec, record));

            /* The default's pointer means absent, whatever the key is. */
            const void *fallback =
                protobuf_c_message_descriptor_get_field(type->descriptor, field->id)->default_value;
            memcpy(text, &fallback, sizeof fallback);
            record = put_message(&bench, codec, base, &alias);
            same_packed(&bench, base, get_message(&bench, codec, record));
            tried++;
        }
        codec_destroy(codec);
    }
    ck_assert_int_gt(tried, 8);
    bench_close(&bench);
}
END_TEST

/* No string is read past the end of its page. */
START_TEST(strings_at_the_end_of_memory)
{
    struct bench bench;
    bench_open(&bench, shapes, ARRAY_LEN(shapes));
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(page != MAP_FAILED);
    ck_assert_int_eq(mprotect(page + 4096, 4096, PROT_NONE), 0);
    struct codec *codec = codec_of(schema_find(bench.schema, "test.shape.Tail"));
    for (size_t len = 0; len < 64; len++) {
        Test__Shape__Tail message = TEST__SHAPE__TAIL__INIT;
        message.s = page + 4096 - len - 1;
        memset(message.s, 'x', len);
        message.s[len] = '\0';
        struct record *record = put_message(&bench, codec, &message.base, &codec_no_alias);
        const Test__Shape__Tail *back = (void *)get_message(&bench, codec, record);
        ck_assert_str_eq(back->s, message.s);
    }
    codec_destroy(codec);
    munmap(page, 8192);
    bench_close(&bench);
}
END_TEST

/* A chain with so many messages below the first one. */
static Test__Nested__Chain *chain_of(struct arena *arena, int below)
{
    Test__Nested__Chain *outer = NULL;
    for (int i = 0; i <= below; i++) {
        Test__Nested__Chain *chain = arena_take(arena, sizeof *chain);
        test__nested__chain__init(chain);
        chain->next = outer;
        outer = chain;
    }
    return outer;
}

START_TEST(depth_is_bounded)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    struct codec *codec = codec_of(schema_find(bench.schema, "test.nested.Chain"));
    Test__Nested__Chain *deep = chain_of(&bench.messages, SCHEMA_DEPTH_MAX);
    struct record *record = put_message(&bench, codec, &deep->base, &codec_no_alias);
    ck_assert_int_eq(codec_check(codec_type(codec), record, NULL), S4_OK);
    same_packed(&bench, &deep->base, get_message(&bench, codec, record));

    char *at = start_record(bench.room[0], RECORD_KEY);
    char *end = bench.room[0] + RECORD_ROOM;
    deep = chain_of(&bench.messages, SCHEMA_DEPTH_MAX + 1);
    ck_assert_int_eq(codec_put(codec)(codec, deep, bench.room[0], at, end, &codec_no_alias),
                     CODEC_DEEP);
    deep->next = deep;
    ck_assert_int_eq(codec_put(codec)(codec, deep, bench.room[0], at, end, &codec_no_alias),
                     CODEC_DEEP);
    codec_destroy(codec);
    bench_close(&bench);
}
END_TEST

/* protobuf-c would crash on them; here they are empty, and valid for every receiver. */
START_TEST(missing_elements_are_empty)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    struct codec *codec = codec_of(schema_find(bench.schema, "test.Strings"));
    Test__Strings strings = TEST__STRINGS__INIT;
    char *many[] = { NULL, NULL };
    strings.n_many = 2;
    strings.many = many;
    struct record *record = put_message(&bench, codec, &strings.base, &codec_no_alias);
    ck_assert_int_eq(codec_check(codec_type(codec), record, NULL), S4_OK);
    const Test__Strings *strings_back = (void *)get_message(&bench, codec, record);
    ck_assert_str_eq(strings_back->many[1], "");
    codec_destroy(codec);

    codec = codec_of(schema_find(bench.schema, "test.Choice"));
    Test__Choice choice;
    test__choice__init(&choice);
    Test__Choice *more[] = { NULL };
    choice.n_more = 1;
    choice.more = more;
    record = put_message(&bench, codec, &choice.base, &codec_no_alias);
    ck_assert_int_eq(codec_check(codec_type(codec), record, NULL), S4_OK);
    const Test__Choice *choice_back = (void *)get_message(&bench, codec, record);
    ck_assert_int_eq(choice_back->more[0]->first_case, 0);
    codec_destroy(codec);
    bench_close(&bench);
}
END_TEST

START_TEST(memory_may_fail)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    const struct type *type = schema_find(bench.schema, "test.nested.Everything");
    struct codec *codec = NULL;
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        ck_assert_ptr_null(codec);
        mem_fail_after(n);
        status = codec_create(type, &codec);
        mem_fail_after(-1);
    }
    ck_assert_int_eq(status, S4_OK);
    Test__Nested__Chain *deep = chain_of(&bench.messages, 1);
    struct codec *chain = codec_of(schema_find(bench.schema, "test.nested.Chain"));
    const struct record *record = put_message(&bench, chain, &deep->base, &codec_no_alias);
    Test__Nested__Chain back;
    mem_fail_after(0);
    ck_assert_ptr_null(codec_get(chain)(chain, (const char *)record, record_attributes(record),
                                        &back, &bench.decoded));
    mem_fail_after(-1);
    ck_assert_ptr_nonnull(codec_get(chain)(chain, (const char *)record, record_attributes(record),
                                           &back, &bench.decoded));
    codec_destroy(chain);
    codec_destroy(codec);
    codec_destroy(NULL);
    bench_close(&bench);
}
END_TEST

/* In the steady state an arena keeps one chunk that is large enough. */
START_TEST(arena_settles)
{
    struct arena arena;
    arena_init(&arena);
    uint64_t calls = 0;
    for (int round = 0; round < 100; round++) {
        arena_reset(&arena);
        for (int i = 0; i < 1000; i++) {
            char *at = arena_take(&arena, 1 + (size_t)(i * 7 + round) % 100);
            ck_assert_uint_eq((uintptr_t)at % 8, 0);
            memset(at, 0xff, 1 + (size_t)(i * 7 + round) % 100);
        }
        if (round == 2)
            calls = mem_calls();
    }
    ck_assert_uint_eq(mem_calls(), calls);
    arena_fini(&arena);
}
END_TEST

START_TEST(types_without_code_have_no_codec)
{
    struct bench bench;
    bench_open(&bench, record_roots, record_n_roots);
    void *bytes;
    size_t size;
    struct schema *set = NULL;
    ck_assert_int_eq(schema_to_set(bench.schema, &bytes, &size), S4_OK);
    ck_assert_int_eq(schema_from_set(bytes, size, &set, NULL), S4_OK);
    struct codec *codec = NULL;
    ck_assert_int_eq(codec_create(schema_find(set, "test.Names"), &codec), S4_INVALID);
    ck_assert_ptr_null(codec);
    schema_destroy(set);
    mem_free(bytes);
    bench_close(&bench);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("codec");
    suite_add(suite, "general", general_types_round_trip, 60);
    suite_add(suite, "flat", flat_types_round_trip, 60);
    suite_add(suite, "random", random_types_round_trip, 60);
    suite_add(suite, "alias", aliased_strings_round_trip, 10);
    suite_add(suite, "page", strings_at_the_end_of_memory, 10);
    suite_add(suite, "depth", depth_is_bounded, 10);
    suite_add(suite, "missing", missing_elements_are_empty, 10);
    suite_add(suite, "memory", memory_may_fail, 10);
    suite_add(suite, "arena", arena_settles, 10);
    suite_add(suite, "no-code", types_without_code_have_no_codec, 10);
    return suite;
}
