/* Compiles key specifications and builds keys in their canonical form; see the header for the form.
 *
 * An event comes as a protoc-c struct (emitted by a PE) or as a value (read from text or taken from
 * a record). Both have the same offsets (schema.h); what differs is how a pointer is followed.
 * `struct spot` hides that: the rest of the file is written once.
 */
#include "router/key/key.h"

#include <endian.h>
#include <errno.h>

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define KEY_SLACK 16 /* readable bytes behind each key */
#define KEYS_FEW  32 /* so many are compared one by one; more are found through a set */
#define KEY_SIGN  (UINT64_C(1) << 63) /* flipped, so that bytes sort as numbers do */

/* ---- compiling ----------------------------------------------------------------------------- */

static bool is_number(const struct field *field)
{
    return field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES;
}

static s4_status check_leaf(const struct type *type, const struct field *field, struct diag *diag)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return diag_set(diag, S4_TYPE,
                        "attribute \"%s\" of %s is a %s: a key takes text, bytes, "
                        "integers, bools and enums",
                        field->name, type->name, field_type_name(field));
    case PROTOBUF_C_TYPE_MESSAGE:
        return diag_set(diag, S4_TYPE,
                        "attribute \"%s\" of %s is a message: name one of its "
                        "attributes, as in \"%s.x\"",
                        field->name, type->name, field->name);
    default:
        return S4_OK;
    }
}

static s4_status compile_part(const struct type *type, const char *text, size_t len,
                              struct key_part *part, struct diag *diag)
{
    const char *end = text + len;
    const struct type *at = type;
    for (;;) {
        const char *dot = memchr(text, '.', (size_t)(end - text));
        size_t n = (size_t)((dot ? dot : end) - text);
        if (part->depth == KEY_DEPTH_MAX)
            return diag_set(diag, S4_TOO_LARGE, "a key's path goes deeper than %d", KEY_DEPTH_MAX);
        const struct field *field = type_find_len(at, text, n);
        if (!field)
            return diag_set(diag, S4_NOT_FOUND, "type %s has no attribute \"%.*s\"", at->name,
                            (int)n, text);
        part->path[part->depth++] = field;
        if (!dot) {
            TRY(check_leaf(at, field, diag));
            part->number = is_number(field);
            part->repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
            return S4_OK;
        }
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED)
            return diag_set(diag, S4_TYPE,
                            "attribute \"%s\" of %s is not a single message: a path "
                            "goes only through these",
                            field->name, at->name);
        at = field->sub;
        text = dot + 1;
    }
}

s4_status key_spec_compile(const struct type *type, const char *text, struct key_spec *spec,
                           struct diag *diag)
{
    struct key_spec made = { .type = type, .text_offset = FIELD_NONE };
    for (const char *at = text;;) {
        const char *comma = strchr(at, ',');
        const char *end = comma ? comma : at + strlen(at);
        while (at < end && *at == ' ')
            at++;
        const char *stop = end;
        while (stop > at && stop[-1] == ' ')
            stop--;
        if (stop == at)
            return diag_set(diag, S4_MALFORMED, "key \"%s\" has an empty part", text);
        if (made.n_parts == KEY_PARTS_MAX)
            return diag_set(diag, S4_TOO_LARGE, "key \"%s\" has more than %d parts", text,
                            KEY_PARTS_MAX);
        struct key_part *part = &made.parts[made.n_parts++];
        TRY(compile_part(type, at, (size_t)(stop - at), part, diag));
        made.repeated |= part->repeated;
        if (!comma)
            break;
        at = comma + 1;
    }
    const struct key_part *only = &made.parts[0];
    const struct field *leaf = only->path[0];
    if (made.n_parts == 1 && only->depth == 1 && leaf->type == PROTOBUF_C_TYPE_STRING &&
        !only->repeated && leaf->oneof < 0 && !leaf->has_default) {
        made.text_offset = leaf->offset;
        made.text_required = leaf->label == PROTOBUF_C_LABEL_REQUIRED;
    }
    *spec = made;
    return S4_OK;
}

/* ---- reading an event ---------------------------------------------------------------------- */

/* An image: of a struct (record NULL; pointers) or of a value (references from record). */
struct spot {
    const char *image;
    const char *record;
};

static uint32_t load_u32(const char *at)
{
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static uint64_t load_u64(const char *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

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
    uint8_t number[8];
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

static void number_form(ProtobufCType type, const char *at, struct element *element)
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
    memcpy(element->number, &x, sizeof x);
    element->data = (const char *)element->number;
    element->len = sizeof x;
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

/* ---- taking apart and text ----------------------------------------------------------------- */

static bool key_part_bytes(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
                           const char **data, size_t *size)
{
    if (part >= spec->n_parts)
        return false;
    if (spec->n_parts == 1) {
        *data = key;
        *size = len;
        return true;
    }
    const char *end = key + len;
    for (uint32_t i = 0; end - key >= 2; i++) {
        uint16_t n;
        memcpy(&n, key, sizeof n);
        n = le16toh(n);
        key += 2;
        if (n > end - key)
            return false;
        if (i == part) {
            *data = key;
            *size = n;
            return true;
        }
        key += n;
    }
    return false;
}

bool key_text(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
              const char **text, size_t *text_len)
{
    return part < spec->n_parts && !spec->parts[part].number &&
           key_part_bytes(spec, key, len, part, text, text_len);
}

static bool is_unsigned_64(const struct key_part *part)
{
    ProtobufCType type = part->path[part->depth - 1]->type;
    return type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64;
}

bool key_number(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
                int64_t *number)
{
    const char *data;
    size_t size;
    if (part >= spec->n_parts || !spec->parts[part].number ||
        !key_part_bytes(spec, key, len, part, &data, &size) || size != 8)
        return false;
    uint64_t x = be64toh(load_u64(data));
    *number = (int64_t)(x ^ KEY_SIGN);
    return true;
}

static s4_status parse_number(const struct key_part *part, const char *text, uint64_t *form,
                              struct diag *diag)
{
    const struct field *leaf = part->path[part->depth - 1];
    const struct enum_value *value =
        leaf->type == PROTOBUF_C_TYPE_ENUM ? enum_find(leaf->values, text, strlen(text)) : NULL;
    char *end = NULL;
    errno = 0;
    if (value) {
        *form = (uint64_t)(int64_t)value->number ^ KEY_SIGN;
        return S4_OK;
    }
    if (leaf->type == PROTOBUF_C_TYPE_BOOL) {
        bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
        if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
            return diag_set(diag, S4_TYPE, "key part \"%s\": wanted true or false", text);
        *form = (uint64_t)yes ^ KEY_SIGN;
        return S4_OK;
    }
    if (is_unsigned_64(part)) {
        *form = strtoull(text, &end, 10) ^ KEY_SIGN;
        if (strchr(text, '-'))
            end = NULL;
    } else {
        *form = (uint64_t)strtoll(text, &end, 10) ^ KEY_SIGN;
    }
    if (errno != 0 || !end || end == text || *end)
        return diag_set(diag, S4_TYPE, "key part \"%s\": wanted a %s", text, field_type_name(leaf));
    return S4_OK;
}

/* Splits off one part: up to an unescaped comma, or all when it is the last. */
static s4_status next_part(const char **text, bool last, struct buffer *part)
{
    const char *at = *text;
    buffer_clear(part);
    for (; *at && (last || *at != ','); at++) {
        if (*at == '\\' && at[1])
            at++;
        TRY(buffer_append(part, at, 1));
    }
    *text = at;
    return buffer_text(part) ? S4_OK : S4_NO_MEMORY;
}

static s4_status parse_parts(const struct key_spec *spec, const char *text, struct buffer *part,
                             struct buffer *out, struct diag *diag)
{
    const char *at = text;
    for (uint32_t i = 0; i < spec->n_parts; i++) {
        TRY(next_part(&at, i + 1 == spec->n_parts, part));
        if (i + 1 < spec->n_parts && *at++ != ',')
            return diag_set(diag, S4_MALFORMED, "key \"%s\" has %u parts, wanted %u", text, i + 1,
                            spec->n_parts);
        uint64_t form;
        const void *data = part->data;
        size_t size = part->size;
        if (spec->parts[i].number) {
            TRY(parse_number(&spec->parts[i], part->data, &form, diag));
            form = htobe64(form);
            data = &form;
            size = sizeof form;
        }
        if (size > RECORD_KEY_MAX)
            return diag_set(diag, S4_TOO_LARGE, "the key has %zu bytes, at most %zu are allowed",
                            size, (size_t)RECORD_KEY_MAX);
        uint16_t n = htole16((uint16_t)size);
        if (spec->n_parts > 1)
            TRY(buffer_append(out, &n, sizeof n));
        TRY(buffer_append(out, data, size));
    }
    return S4_OK;
}

s4_status key_parse(const struct key_spec *spec, const char *text, struct buffer *out,
                    struct diag *diag)
{
    struct buffer part;
    buffer_init(&part);
    size_t before = out->size;
    s4_status status = parse_parts(spec, text, &part, out, diag);
    if (status == S4_OK && out->size - before > RECORD_KEY_MAX)
        status = diag_set(diag, S4_TOO_LARGE, "the key has %zu bytes, at most %zu are allowed",
                          out->size - before, (size_t)RECORD_KEY_MAX);
    if (status != S4_OK)
        out->size = before;
    buffer_fini(&part);
    return status;
}

static s4_status format_part(const struct key_spec *spec, const char *key, size_t len, uint32_t i,
                             struct buffer *out)
{
    const char *text;
    size_t size;
    int64_t number;
    if (key_text(spec, key, len, i, &text, &size)) {
        for (size_t k = 0; k < size; k++) {
            if (text[k] == '\\' || (text[k] == ',' && i + 1 < spec->n_parts))
                TRY(buffer_append(out, "\\", 1));
            TRY(buffer_append(out, &text[k], 1));
        }
        return S4_OK;
    }
    if (!key_number(spec, key, len, i, &number))
        return S4_OK;
    if (is_unsigned_64(&spec->parts[i]))
        return buffer_printf(out, "%llu", (unsigned long long)number);
    return buffer_printf(out, "%lld", (long long)number);
}

s4_status key_format(const struct key_spec *spec, const char *key, size_t len, struct buffer *out)
{
    for (uint32_t i = 0; i < spec->n_parts; i++) {
        if (i > 0)
            TRY(buffer_append(out, ",", 1));
        TRY(format_part(spec, key, len, i, out));
    }
    return S4_OK;
}
