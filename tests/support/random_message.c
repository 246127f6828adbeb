/* Random messages; see the header. */
#include "tests/support/random_message.h"

struct maker {
    struct rng *rng;
    struct arena *arena;
    int filler;
};

static void *take(const struct maker *maker, size_t size)
{
    void *at = arena_take(maker->arena, size);
    CHECK(at);
    return at;
}

static size_t random_length(struct rng *rng)
{
    switch (rng_below(rng, 8)) {
    case 0:
        return 0;
    case 1:
        return 14 + rng_below(rng, 4);
    case 2:
        return rng_below(rng, 200);
    case 3:
        return rng_below(rng, 64) ? rng_below(rng, 40) : rng_below(rng, 6000);
    default:
        return rng_below(rng, 14);
    }
}

static uint8_t *random_bytes(const struct maker *maker, size_t len, bool text)
{
    uint8_t *data = take(maker, len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(text ? 1 + rng_below(maker->rng, 126) : rng_next(maker->rng));
    data[len] = '\0';
    return data;
}

static uint64_t random_scalar(struct rng *rng, ProtobufCType type)
{
    static const uint64_t ends[] = {
        0,          1,  UINT64_MAX, INT32_MAX, (uint64_t)INT32_MIN, INT64_MAX, (uint64_t)1 << 63,
        UINT32_MAX, 300
    };
    if (type == PROTOBUF_C_TYPE_BOOL)
        return rng_below(rng, 3); /* 2 is true as well */
    return rng_below(rng, 3) ? rng_next(rng) >> rng_below(rng, 64)
                             : ends[rng_below(rng, ARRAY_LEN(ends))];
}

static bool is_wide(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return true;
    default:
        return false;
    }
}

static void fill_string(const struct maker *maker, const ProtobufCFieldDescriptor *field, void *at)
{
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    uint64_t draw = repeated ? 9 : rng_below(maker->rng, 10);
    const void *text = draw == 0   ? NULL
                       : draw == 1 ? field->default_value
                                   : random_bytes(maker, random_length(maker->rng), true);
    memcpy(at, &text, sizeof text);
}

static void fill_bytes(const struct maker *maker, const ProtobufCFieldDescriptor *field, void *at)
{
    ProtobufCBinaryData data = { 0 };
    if (field->default_value && rng_below(maker->rng, 4) == 0) {
        data = *(const ProtobufCBinaryData *)field->default_value;
    } else if (rng_below(maker->rng, 8)) {
        data.len = random_length(maker->rng);
        data.data = random_bytes(maker, data.len, false);
    }
    memcpy(at, &data, sizeof data);
}

static ProtobufCMessage *make(const struct maker *maker, const ProtobufCMessageDescriptor *type,
                              int depth);

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return is_wide(field->type) ? 8 : 4;
    }
}

/* One value; of a message at least an empty one if `some`. */
static void fill_value(const struct maker *maker, const ProtobufCFieldDescriptor *field, char *at,
                       int depth, bool some)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        fill_string(maker, field, at);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        fill_bytes(maker, field, at);
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        void *sub = NULL;
        if (some || (depth > 0 && rng_below(maker->rng, 3)))
            sub = make(maker, field->descriptor, depth - 1);
        memcpy(at, &sub, sizeof sub);
    } else {
        uint64_t bits = random_scalar(maker->rng, field->type);
        memcpy(at, &bits, value_size(field));
    }
}

static void fill_repeated(const struct maker *maker, const ProtobufCFieldDescriptor *field,
                          char *message, int depth)
{
    size_t n = rng_below(maker->rng, rng_below(maker->rng, 10) ? 4 : 30);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && depth <= 0)
        n = 0;
    char *array = n ? take(maker, n * value_size(field)) : NULL;
    for (size_t i = 0; i < n; i++)
        fill_value(maker, field, array + i * value_size(field), depth, true);
    memcpy(message + field->quantifier_offset, &n, sizeof n);
    memcpy(message + field->offset, &array, sizeof array);
}

static void fill_optional(const struct maker *maker, const ProtobufCFieldDescriptor *field,
                          char *message, int depth)
{
    protobuf_c_boolean has = rng_below(maker->rng, 3) != 0;
    if (has && rng_below(maker->rng, 16) == 0)
        has = 8; /* what is not 0 is set */
    fill_value(maker, field, message + field->offset, depth, false);
    if (field->quantifier_offset)
        memcpy(message + field->quantifier_offset, &has, sizeof has);
    if (!has && field->type == PROTOBUF_C_TYPE_BYTES && rng_below(maker->rng, 2)) {
        ProtobufCBinaryData nowhere = { 77, (uint8_t *)16 }; /* absent: nobody may look */
        memcpy(message + field->offset, &nowhere, sizeof nowhere);
    }
}

/* Every member draws; the last one that wins has the slot. */
static void fill_member(const struct maker *maker, const ProtobufCFieldDescriptor *field,
                        char *message, int depth)
{
    uint32_t chosen = field->id;
    if (rng_below(maker->rng, 3)) {
        fill_value(maker, field, message + field->offset, depth, false);
        memcpy(message + field->quantifier_offset, &chosen, sizeof chosen);
    } else if (rng_below(maker->rng, 16) == 0) {
        chosen = 12345; /* no member's: none */
        memcpy(message + field->quantifier_offset, &chosen, sizeof chosen);
    }
}

static ProtobufCMessage *make(const struct maker *maker, const ProtobufCMessageDescriptor *type,
                              int depth)
{
    char *message = take(maker, type->sizeof_message);
    memset(message, maker->filler, type->sizeof_message);
    ProtobufCMessage base = { .descriptor = type };
    memcpy(message, &base, sizeof base);
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            memset(message + type->fields[i].quantifier_offset, 0, 4);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            fill_member(maker, field, message, depth);
        else if (field->label == PROTOBUF_C_LABEL_REPEATED)
            fill_repeated(maker, field, message, depth);
        else if (field->label == PROTOBUF_C_LABEL_OPTIONAL)
            fill_optional(maker, field, message, depth);
        else
            fill_value(maker, field, message + field->offset, depth, false);
    }
    return (ProtobufCMessage *)(void *)message;
}

ProtobufCMessage *message_random(const ProtobufCMessageDescriptor *type, struct rng *rng,
                                 struct arena *arena, int depth, int filler)
{
    struct maker maker = { .rng = rng, .arena = arena, .filler = filler };
    return make(&maker, type, depth);
}

uint8_t *message_pack(const ProtobufCMessage *message, struct arena *arena, size_t *size)
{
    *size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_take(arena, *size);
    CHECK(bytes);
    protobuf_c_message_pack(message, bytes);
    return bytes;
}
