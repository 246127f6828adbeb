/* What tests of records share; see the header. */
#include "tests/support/record_bench.h"

#include "runtime/base/mem.h"
#include "tests/support/random_message.h"
#include "tests/support/suite.h"

const ProtobufCMessageDescriptor *const record_roots[] = {
    &test__nested__everything__descriptor,
    &test__nested__chain__descriptor,
    &test__names__descriptor,
};
const size_t record_n_roots = ARRAY_LEN(record_roots);

void bench_open(struct bench *bench, const ProtobufCMessageDescriptor *const *types, size_t n)
{
    bench_open_seed(bench, types, n, suite_seed());
}

void bench_open_seed(struct bench *bench, const ProtobufCMessageDescriptor *const *types, size_t n,
                     uint64_t seed)
{
    *bench = (struct bench){ 0 };
    ck_assert_int_eq(schema_from_descriptors(types, n, &bench->schema, NULL), S4_OK);
    arena_init(&bench->messages);
    arena_init(&bench->decoded);
    rng_init(&bench->rng, seed);
    for (int i = 0; i < 2; i++)
        bench->room[i] = mem_aligned(64, RECORD_ROOM + 2 * RECORD_SLACK);
}

void bench_close(struct bench *bench)
{
    for (int i = 0; i < 2; i++)
        mem_free(bench->room[i]);
    arena_fini(&bench->decoded);
    arena_fini(&bench->messages);
    schema_destroy(bench->schema);
}

struct codec *codec_of(const struct type *type)
{
    struct codec *codec = NULL;
    ck_assert_int_eq(codec_create(type, &codec), S4_OK);
    return codec;
}

char *start_record(char *room, const char *key)
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

struct record *put_message(struct bench *bench, const struct codec *codec,
                           const ProtobufCMessage *message, const struct codec_alias *alias)
{
    char *at = start_record(bench->room[0], RECORD_KEY);
    int64_t size =
        codec_put(codec)(codec, message, bench->room[0], at, bench->room[0] + RECORD_ROOM, alias);
    WANT(size >= 0);
    struct record *record = (struct record *)(void *)bench->room[0];
    record->len += (uint32_t)size;
    return record;
}

ProtobufCMessage *get_message(struct bench *bench, const struct codec *codec,
                              const struct record *record)
{
    void *message = arena_take(&bench->decoded, codec_struct_size(codec));
    memset(message, 0x77, codec_struct_size(codec));
    WANT(codec_get(codec)(codec, (const char *)record, record_attributes(record), message,
                          &bench->decoded) == message);
    return message;
}

void same_packed(struct bench *bench, const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t a_size, b_size;
    const uint8_t *a_bytes = message_pack(a, &bench->messages, &a_size);
    const uint8_t *b_bytes = message_pack(b, &bench->messages, &b_size);
    WANT(a_size == b_size);
    WANT(memcmp(a_bytes, b_bytes, a_size) == 0);
}
