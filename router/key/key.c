/* Builds the keys of an event in their canonical form; see the header for the form.
 *
 * An event comes as a protoc-c struct (emitted by a PE) or as a value (read from text or taken from
 * a record). Both have the same offsets (schema.h); what differs is how a pointer is followed.
 * `struct spot` hides that: the rest of the file is written once.
 */
#include "router/key/key.h"

#include <endian.h>

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define KEY_SLACK 16 /* readable bytes behind each key */
#define KEYS_FEW  32 /* so many are compared one by one; more are found through a set */

/* ---- reading an event ---------------------------------------------------------------------- */

/* An image: of a struct (record NULL; pointers) or of a value (references from record). */
struct spot {
    const char *image;
    const char *record;
};

/* What the pointer or reference at `offset` leads to; NULL: nothing, or only the default. */
static const char *follow(struct spot spot, uint32_t offset)
{
    if (!spot.record)
        return (const char *)(uintptr_t)load_u64(spot.image + offset);
    uint32_t off = load_u32(spot.image + offset);
    return off > REF_EMPTY ? spot.record + off : NULL;
}

static bool is_present(struct spot spot, const struct field *field)
{
    if (field->oneof >= 0)
        return load_u32(spot.image + field->has_offset) == field->id;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (spot.record)
            return load_u32(spot.image + field->offset) > REF_DEFAULT;
        const char *text = follow(spot, field->offset);
        return text != NULL;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return follow(spot, field->offset) != NULL;
    return field->has_offset == FIELD_NONE || load_u32(spot.image + field->has_offset) != 0;
}

/* A struct's string that is the descriptor's default counts as absent, as protobuf-c has it. */
static bool is_default(struct spot spot, const struct type *type, const struct field *field)
{
    if (spot.record || !field->has_default || field->type != PROTOBUF_C_TYPE_STRING ||
        !type->descriptor)
        return false;
    const ProtobufCFieldDescriptor *d =
        protobuf_c_message_descriptor_get_field(type->descriptor, field->id);
    return d && d->default_value == follow(spot, field->offset);
}

struct element {
    const char *data;
    size_t len;
    char number[sizeof(uint64_t)];
};

static uint32_t scalar_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return 8;
    default:
        return 4;
    }
}

void key_number_form(ProtobufCType type, const char *at, char form[sizeof(uint64_t)])
{
    uint64_t x;
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        x = load_u64(at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        x = load_u32(at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        x = load_u32(at) != 0;
        break;
    default:
        x = (uint64_t)(int64_t)(int32_t)load_u32(at);
        break;
    }
    x = htobe64(x ^ KEY_SIGN);
    memcpy(form, &x, sizeof x);
}

static void number_form(ProtobufCType type, const char *at, struct element *element)
{
    key_number_form(type, at, element->number);
    element->data = element->number;
    element->len = sizeof element->number;
}

static void text_form(struct spot spot, const char *slot, struct element *element)
{
    if (spot.record) {
        element->data = spot.record + load_u32(slot);
        element->len = load_u32(slot + 4);
    } else {
        element->data = (const char *)(uintptr_t)load_u64(slot);
        element->len = element->data ? strlen(element->data) : 0;
    }
}

static void bytes_form(struct spot spot, const char *slot, struct element *element)
{
    element->len = (size_t)load_u64(slot);
    if (spot.record)
        element->data = element->len ? spot.record + load_u32(slot + 8) : "";
    else
        element->data = element->len ? (const char *)(uintptr_t)load_u64(slot + 8) : "";
}

static void element_form(struct spot spot, const struct field *field, const char *slot,
                         struct element *element)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        text_form(spot, slot, element);
    else if (field->type == PROTOBUF_C_TYPE_BYTES)
        bytes_form(spot, slot, element);
    else
        number_form(field->type, slot, element);
}

/* Where a part's attribute lies: its image, and the type that it belongs to. False: absent. */
static bool walk(const struct key_spec *spec, const struct key_part *part, struct spot *spot)
{
    const struct type *type = spec->type;
    for (uint32_t i = 0; i + 1 < part->depth; i++) {
        const struct field *field = part->path[i];
        if (!is_present(*spot, field))
            return false;
        const char *sub = follow(*spot, field->offset);
        CHECK(sub); /* is present */
        spot->image = spot->record ? sub : sub + MESSAGE_BASE;
        type = field->sub;
    }
    const struct field *leaf = part->path[part->depth - 1];
    return part->repeated || (is_present(*spot, leaf) && !is_default(*spot, type, leaf));
}

static uint64_t part_count(const struct key_part *part, struct spot spot)
{
    return part->repeated ? load_u64(spot.image + part->path[part->depth - 1]->has_offset) : 1;
}

static void part_element(const struct key_part *part, struct spot spot, uint64_t i,
                         struct element *element)
{
    const struct field *leaf = part->path[part->depth - 1];
    if (!part->repeated) {
        element_form(spot, leaf, spot.image + leaf->offset, element);
        return;
    }
    const char *array = follow(spot, leaf->offset);
    size_t stride = leaf->type == PROTOBUF_C_TYPE_STRING  ? 8
                    : leaf->type == PROTOBUF_C_TYPE_BYTES ? 16
                                                          : scalar_size(leaf->type);
    element_form(spot, leaf, array + i * stride, element);
}

/* ---- building ------------------------------------------------------------------------------ */

void keys_init(struct keys *keys)
{
    buffer_init(&keys->bytes);
    buffer_init(&keys->list);
    buffer_init(&keys->set);
}

void keys_fini(struct keys *keys)
{
    buffer_fini(&keys->bytes);
    buffer_fini(&keys->list);
    buffer_fini(&keys->set);
}

static bool is_same(const struct keys *keys, const struct key_at *a, const struct key_at *b)
{
    return a->hash == b->hash && a->len == b->len &&
           memcmp(keys_bytes(keys, a), keys_bytes(keys, b), a->len) == 0;
}

/* The place in the set where a key is, or would be. */
static uint32_t *set_at(struct keys *keys, const struct key_at *key)
{
    uint32_t *set = (uint32_t *)(void *)keys->set.data;
    size_t mask = keys->set.size / sizeof *set - 1;
    for (size_t i = key->hash & mask;; i = (i + 1) & mask)
        if (set[i] == 0 || is_same(keys, keys_at(keys, set[i] - 1), key))
            return &set[i];
}

/* Twice as large, or the first one, with all keys that there are. */
static s4_status set_grow(struct keys *keys)
{
    size_t n = keys_count(keys);
    size_t size = size_max(keys->set.size * 2, 4 * KEYS_FEW * sizeof(uint32_t));
    buffer_clear(&keys->set);
    char *set = buffer_room(&keys->set, size);
    if (!set)
        return S4_NO_MEMORY;
    memset(set, 0, size);
    for (size_t i = 0; i < n; i++)
        *set_at(keys, keys_at(keys, i)) = (uint32_t)i + 1;
    return S4_OK;
}

/* Is there an equal key? If there is none, it will be the next in the list. */
static s4_status find_repeat(struct keys *keys, const struct key_at *key, bool *repeat)
{
    size_t n = keys_count(keys);
    *repeat = false;
    if (n < KEYS_FEW) {
        for (size_t i = 0; i < n && !*repeat; i++)
            *repeat = is_same(keys, keys_at(keys, i), key);
        return S4_OK;
    }
    if (n * 2 >= keys->set.size / sizeof(uint32_t))
        TRY(set_grow(keys));
    uint32_t *at = set_at(keys, key);
    *repeat = *at != 0;
    if (!*repeat && n < KEYS_MAX)
        *at = (uint32_t)n + 1;
    return S4_OK;
}

/* Adds one key of the given elements, unless it is there. */
static s4_status keys_add(struct keys *keys, const struct element *elements, uint32_t n)
{
    struct key_at key = { .offset = (uint32_t)keys->bytes.size };
    size_t len = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (elements[i].len > RECORD_KEY_MAX)
            return S4_TOO_LARGE;
        len += elements[i].len + (n > 1 ? 2 : 0);
    }
    if (len > RECORD_KEY_MAX)
        return S4_TOO_LARGE;
    char *at = buffer_room(&keys->bytes, len + KEY_SLACK);
    if (!at)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        if (n > 1) {
            uint16_t size = htole16((uint16_t)elements[i].len);
            memcpy(at, &size, sizeof size);
            at += sizeof size;
        }
        if (elements[i].len > 0)
            memcpy(at, elements[i].data, elements[i].len);
        at += elements[i].len;
    }
    memset(at, 0, KEY_SLACK);
    key.len = (uint32_t)len;
    key.hash = hash_bytes(keys->bytes.data + key.offset, len);
    bool repeat;
    TRY(find_repeat(keys, &key, &repeat));
    if (repeat) {
        keys->bytes.size = key.offset;
        return S4_OK;
    }
    if (keys_count(keys) == KEYS_MAX)
        return S4_TOO_LARGE;
    return buffer_append(&keys->list, &key, sizeof key);
}

/* All combinations of the parts' elements, the last part fastest. */
static s4_status keys_build(struct keys *keys, const struct key_spec *spec, struct spot event)
{
    struct spot spots[KEY_PARTS_MAX];
    uint64_t counts[KEY_PARTS_MAX];
    uint64_t at[KEY_PARTS_MAX] = { 0 };
    buffer_clear(&keys->bytes);
    buffer_clear(&keys->list);
    buffer_clear(&keys->set);
    uint64_t combined = 1;
    for (uint32_t i = 0; i < spec->n_parts; i++) {
        spots[i] = event;
        if (!walk(spec, &spec->parts[i], &spots[i]))
            return S4_OK;
        counts[i] = part_count(&spec->parts[i], spots[i]);
        if (counts[i] == 0)
            return S4_OK;
        combined = size_min(combined * size_min(counts[i], UINT32_MAX), UINT32_MAX);
    }
    if (combined > KEYS_COMBINED_MAX)
        return S4_TOO_LARGE;
    struct element elements[KEY_PARTS_MAX];
    for (;;) {
        for (uint32_t i = 0; i < spec->n_parts; i++)
            part_element(&spec->parts[i], spots[i], at[i], &elements[i]);
        TRY(keys_add(keys, elements, spec->n_parts));
        uint32_t i = spec->n_parts;
        while (i > 0 && ++at[i - 1] == counts[i - 1])
            at[--i] = 0;
        if (i == 0)
            return S4_OK;
    }
}

s4_status keys_of_message(struct keys *keys, const struct key_spec *spec, const void *message)
{
    struct spot event = { .image = (const char *)message + MESSAGE_BASE };
    return keys_build(keys, spec, event);
}

s4_status keys_of_value(struct keys *keys, const struct key_spec *spec, const struct value *value)
{
    struct spot event = { .image = value->at, .record = value->record };
    return keys_build(keys, spec, event);
}
