/* The codec against protobuf-c: a message that went through a record packs to the same bytes. */
#include "tests/support/suite.h"

#include <sys/mman.h>

#include "runtime/base/asan.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/record/codec.h"
#include "runtime/record/writer.h"
#include "tests/support/random_message.h"
#include "tests/support/protos/nested.pb-c.h"
#include "tests/support/protos/shapes.pb-c.h"

#define ROOM  (256 * KIB)
#define SLACK 64
#define KEY   "the key"

#if SANITIZED
#define SHARE 5 /* a sanitizer makes it so much slower */
#else
#define SHARE 1
#endif

/* Like ck_assert, which writes to a pipe each time and so cannot be called a hundred million times.
 */
#define WANT(cond)                     \
    do {                               \
        if (!(cond))                   \
            ck_abort_msg("%s", #cond); \
    } while (0)

struct bench { /* what every test here needs */
    struct schema *schema;
    struct arena messages;
    struct arena decoded;
    struct rng rng;
    char *room[2]; /* two places for a record, with guards behind the slack */
};

static const ProtobufCMessageDescriptor *const roots[] = {
    &test__nested__everything__descriptor,
    &test__nested__chain__descriptor,
    &test__names__descriptor,
};

static void bench_open(struct bench *bench, const ProtobufCMessageDescriptor *const *types,
                       size_t n)
{
    struct diag diag = { 0 };
    *bench = (struct bench){ 0 };
    ck_assert_int_eq(schema_from_descriptors(types, n, &bench->schema, &diag), S4_OK);
    arena_init(&bench->messages);
    arena_init(&bench->decoded);
    rng_init(&bench->rng, suite_seed());
    for (int i = 0; i < 2; i++)
        bench->room[i] = mem_aligned(64, ROOM + 2 * SLACK);
}

static void bench_close(struct bench *bench)
{
    for (int i = 0; i < 2; i++)
        mem_free(bench->room[i]);
    arena_fini(&bench->decoded);
    arena_fini(&bench->messages);
    schema_destroy(bench->schema);
}

static struct codec *codec_of(const struct type *type)
{
    struct codec *codec = NULL;
    ck_assert_int_eq(codec_create(type, &codec), S4_OK);
    return codec;
}

/* A header and a key at the start of a room; answers where the attributes go. */
static char *start_record(char *room, const char *key)
{
    struct record *record = (struct record *)(void *)room;
    uint16_t key_len = (uint16_t)strlen(key);
    size_t size = sizeof *record + record_key_room(key_len);
    memset(room, 0, size);
    memcpy(record + 1, &key_len, sizeof key_len);
    memcpy((char *)(record + 1) + 2, key, key_len);
    record->len = (uint32_t)size;
    return room + size;
}

static void same_packed(struct bench *bench, const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t a_size, b_size;
    const uint8_t *a_bytes = message_pack(a, &bench->messages, &a_size);
    const uint8_t *b_bytes = message_pack(b, &bench->messages, &b_size);
    WANT(a_size == b_size);
    WANT(memcmp(a_bytes, b_bytes, a_size) == 0);
}

/* Exactly enough room is enough, 8 bytes less are not, and nothing behind the slack is touched. */
static void check_room(struct bench *bench, const struct codec *codec, const void *message,
                       int64_t size)
{
    char *at = start_record(bench->room[1], KEY);
    memset(at, 0x5a, (size_t)size + 2 * SLACK);
    codec_put_fn *put = codec_put(codec);
    if (size >= 8) {
        int64_t full = put(codec, message, bench->room[1], at, at + size - 8, &codec_no_alias);
        WANT(full == CODEC_FULL);
    }
    WANT(put(codec, message, bench->room[1], at, at + size, &codec_no_alias) == size);
    WANT(memcmp(bench->room[0], bench->room[1], (size_t)(at - bench->room[1])) == 0);
    char *before = bench->room[0] + (at - bench->room[1]);
    WANT(memcmp(before, at, (size_t)size) == 0);
    for (int i = SLACK; i < 2 * SLACK; i++)
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
    char *at = start_record(bench->room[0], KEY);
    int64_t size = codec_put(codec)(codec, message, bench->room[0], at, bench->room[0] + ROOM,
                                    &codec_no_alias);
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
    round_trips(roots, ARRAY_LEN(roots), 400000);
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

Suite *suite_build(void)
{
    Suite *suite = suite_create("codec");
    suite_add(suite, "general", general_types_round_trip, 60);
    suite_add(suite, "flat", flat_types_round_trip, 60);
    return suite;
}
