/* Random messages, by walking a descriptor. Allocation failure ends the test. */
#include "tests/support/plain_message.h"

#include <math.h>

#include "runtime/base/base.h"
#include "runtime/base/utf8.h"

static void *take(struct plain_pool *pool, size_t size)
{
    if (pool->n == pool->capacity) {
        pool->capacity = pool->capacity ? pool->capacity * 2 : 64;
        pool->items = realloc(pool->items, pool->capacity * sizeof *pool->items);
        CHECK(pool->items);
    }
    void *item = calloc(1, size ? size : 1);
    CHECK(item);
    pool->items[pool->n++] = item;
    return item;
}

void plain_pool_clear(struct plain_pool *pool)
{
    for (size_t i = 0; i < pool->n; i++)
        free(pool->items[i]);
    free(pool->items);
    *pool = (struct plain_pool){ 0 };
}

static uint64_t random_bits(struct rng *rng)
{
    static const uint64_t limits[] = {
        0,          1,         INT32_MAX,         UINT64_MAX, 0x80000000u,
        UINT32_MAX, INT64_MAX, (uint64_t)1 << 63, 127,        128,
    };
    switch (rng_below(rng, 3)) {
    case 0:
        return limits[rng_below(rng, ARRAY_LEN(limits))];
    case 1:
        return rng_next(rng) >> rng_below(rng, 64);
    default:
        return -(rng_next(rng) >> rng_below(rng, 64));
    }
}

static double random_double(struct rng *rng)
{
    static const double specials[] = {
        0.0, -0.0, 1.5, 1e15, 0.1, 1e22, 5e-324, -1e300, (double)INFINITY, (double)NAN
    };
    double value;
    switch (rng_below(rng, 3)) {
    case 0:
        return specials[rng_below(rng, ARRAY_LEN(specials))];
    case 1:
        return (double)rng_below(rng, 1000000) / 100;
    default: {
        uint64_t bits = rng_next(rng);
        memcpy(&value, &bits, sizeof value);
        return isnan(value) ? (double)NAN : value;
    }
    }
}

static float random_float(struct rng *rng)
{
    uint32_t bits = (uint32_t)rng_next(rng);
    float value;
    memcpy(&value, &bits, sizeof value);
    if (rng_below(rng, 2))
        value = (float)random_double(rng);
    return isnan(value) ? NAN : value;
}

/* Mostly short, of all lengths of code points, quotes and control characters among them. */
static char *random_string(struct rng *rng, struct plain_pool *pool)
{
    size_t n = rng_below(rng, 8) ? rng_below(rng, 12) : rng_below(rng, 300);
    char *text = take(pool, n * 4 + 1);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        static const uint32_t ranges[][2] = {
            { 'a', 26 }, { 1, 0x7f }, { 0x80, 0x780 }, { 0x800, 0xd000 }, { 0x10000, 0x100000 }
        };
        const uint32_t *range = ranges[rng_below(rng, 4) ? rng_below(rng, 2) : rng_below(rng, 5)];
        at += utf8_put(range[0] + (uint32_t)rng_below(rng, range[1]), text + at);
    }
    return text;
}

static ProtobufCBinaryData random_bytes(struct rng *rng, struct plain_pool *pool)
{
    ProtobufCBinaryData bytes = { .len = rng_below(rng, 20) };
    if (bytes.len == 0)
        return bytes;
    bytes.data = take(pool, bytes.len);
    for (size_t i = 0; i < bytes.len; i++)
        bytes.data[i] = (uint8_t)rng_next(rng);
    return bytes;
}

static int32_t random_enum(struct rng *rng, const ProtobufCEnumDescriptor *type)
{
    if (rng_below(rng, 10) == 0)
        return (int32_t)random_bits(rng);
    return type->values[rng_below(rng, type->n_values)].value;
}

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static void fill(struct rng *rng, const ProtobufCFieldDescriptor *field, unsigned depth,
                 struct plain_pool *pool, void *at)
{
    uint64_t bits = random_bits(rng);
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
        *(float *)at = random_float(rng);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)at = random_double(rng);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = bits & 1;
        break;
    case PROTOBUF_C_TYPE_ENUM:
        *(int32_t *)at = random_enum(rng, field->descriptor);
        break;
    case PROTOBUF_C_TYPE_STRING:
        *(char **)at = random_string(rng, pool);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)at = random_bytes(rng, pool);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)at =
            plain_random(rng, field->descriptor, depth ? depth - 1 : 0, pool);
        break;
    default:
        memcpy(at, &bits, element_size(field->type));
    }
}

static void fill_repeated(struct rng *rng, const ProtobufCFieldDescriptor *field, unsigned depth,
                          struct plain_pool *pool, char *message)
{
    size_t n = rng_below(rng, 3) ? rng_below(rng, 4) : 0;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && depth == 0)
        n = 0;
    else if (field->type != PROTOBUF_C_TYPE_MESSAGE && rng_below(rng, 50) == 0)
        n = rng_below(rng, 200);
    if (n == 0)
        return;
    size_t size = element_size(field->type);
    char *array = take(pool, n * size);
    for (size_t i = 0; i < n; i++)
        fill(rng, field, depth, pool, array + i * size);
    *(size_t *)(void *)(message + field->quantifier_offset) = n;
    *(void **)(void *)(message + field->offset) = array;
}

static void fill_optional(struct rng *rng, const ProtobufCFieldDescriptor *field, unsigned depth,
                          struct plain_pool *pool, char *message)
{
    uint32_t *has = (uint32_t *)(void *)(message + field->quantifier_offset);
    bool in_oneof = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (rng_below(rng, 2) || (field->type == PROTOBUF_C_TYPE_MESSAGE && depth == 0) ||
        (in_oneof && *has != 0))
        return;
    fill(rng, field, depth, pool, message + field->offset);
    if (field->quantifier_offset != 0)
        *has = in_oneof ? field->id : 1;
}

ProtobufCMessage *plain_random(struct rng *rng, const ProtobufCMessageDescriptor *type,
                               unsigned depth, struct plain_pool *pool)
{
    ProtobufCMessage *message = take(pool, type->sizeof_message);
    type->message_init(message);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        char *at = (char *)message;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            fill_repeated(rng, field, depth, pool, at);
        else if (field->label == PROTOBUF_C_LABEL_REQUIRED)
            fill(rng, field, depth, pool, at + field->offset);
        else
            fill_optional(rng, field, depth, pool, at);
    }
    return message;
}

size_t plain_pack(const ProtobufCMessage *message, struct plain_pool *pool, uint8_t **bytes)
{
    *bytes = take(pool, protobuf_c_message_get_packed_size(message));
    return protobuf_c_message_pack(message, *bytes);
}

static void drop_in(const ProtobufCFieldDescriptor *field, char *message)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(size_t *)(void *)(message + field->quantifier_offset);
        ProtobufCMessage **array = *(ProtobufCMessage ***)(void *)(message + field->offset);
        for (size_t i = 0; i < n; i++)
            plain_drop_unknown(array[i]);
        return;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
        *(uint32_t *)(void *)(message + field->quantifier_offset) != field->id)
        return;
    ProtobufCMessage *sub = *(ProtobufCMessage **)(void *)(message + field->offset);
    if (sub)
        plain_drop_unknown(sub);
}

void plain_drop_unknown(ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        free(message->unknown_fields[i].data);
    free(message->unknown_fields);
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        drop_in(&message->descriptor->fields[i], (char *)message);
}
