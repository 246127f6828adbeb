/* Any bytes as the attributes of a record: they are refused, or they can be got, packed by
 * protobuf-c and moved into another record, where they are accepted again and mean the same.
 *
 * The first byte chooses the type, the second the length of the key, which comes next. */
#include "runtime/base/mem.h"
#include "runtime/record/codec.h"
#include "runtime/record/writer.h"
#include "tests/support/protos/nested.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TYPES_MAX 64

static const ProtobufCMessageDescriptor *const roots[] = {
    &test__nested__everything__descriptor,
    &test__nested__chain__descriptor,
    &test__names__descriptor,
};

static struct schema *schema;
static struct codec *codecs[TYPES_MAX];
static struct arena arena;

static void set_up(void)
{
    CHECK(schema_from_descriptors(roots, ARRAY_LEN(roots), &schema, NULL) == S4_OK);
    CHECK(schema_count(schema) <= TYPES_MAX);
    for (size_t i = 0; i < schema_count(schema); i++)
        CHECK(codec_create(schema_get(schema, i), &codecs[i]) == S4_OK);
    arena_init(&arena);
}

/* In memory of exactly its size. */
static struct record *make_record(const uint8_t *key, size_t key_len, const uint8_t *attributes,
                                  size_t size)
{
    size_t head = sizeof(struct record) + record_key_room(key_len);
    struct record *record = mem_zalloc(head + size);
    uint16_t len = (uint16_t)key_len;
    CHECK(record);
    record->len = (uint32_t)(head + size);
    memcpy(record + 1, &len, sizeof len);
    memcpy((char *)(record + 1) + 2, key, key_len);
    if (size)
        memcpy((char *)record + head, attributes, size);
    return record;
}

static uint8_t *pack(const struct codec *codec, const struct record *record, size_t *size)
{
    void *message = arena_take(&arena, codec_struct_size(codec));
    CHECK(message);
    CHECK(
        codec_get(codec)(codec, (const char *)record, record_attributes(record), message, &arena));
    *size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_take(&arena, *size);
    CHECK(bytes);
    CHECK(protobuf_c_message_pack(message, bytes) == *size);
    return bytes;
}

static void use(const struct codec *codec, const struct record *record)
{
    const struct type *type = codec_type(codec);
    struct value value = value_of_record(type, record);
    size_t size = value_size_whole(&value);
    struct record *copy = make_record((const uint8_t *)"other key", 9, NULL, 0);
    size_t head = copy->len;
    copy = mem_realloc(copy, head + size);
    CHECK(copy);
    value_copy_whole(&value, (char *)copy, (char *)copy + head);
    copy->len += (uint32_t)size;
    CHECK(codec_check(type, copy, NULL) == S4_OK);
    size_t before, after;
    const uint8_t *a = pack(codec, record, &before);
    const uint8_t *b = pack(codec, copy, &after);
    CHECK(before == after && memcmp(a, b, before) == 0);
    mem_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!schema)
        set_up();
    if (size < 2 || size > 64 * KIB)
        return 0;
    const struct codec *codec = codecs[data[0] % schema_count(schema)];
    size_t key_len = size_min(data[1] % 40, size - 2);
    const uint8_t *key = data + 2;
    struct record *record =
        make_record(key, key_len, key + key_len, (size - 2 - key_len) & ~(size_t)7);
    if (codec_check(codec_type(codec), record, NULL) == S4_OK)
        use(codec, record);
    arena_reset(&arena);
    mem_free(record);
    return 0;
}
