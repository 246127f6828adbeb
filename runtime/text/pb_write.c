/* A value as protobuf bytes: those of protobuf-c's pack for the same message, fields by rising
 * number.
 *
 * What needs its length in front (sub-messages, packed arrays) is written with one byte left for
 * it; where that is too little, the content moves up. So nothing is measured before it is written.
 */
#include "runtime/text/pb.h"

#include "runtime/text/image.h"
#include "runtime/text/wire.h"

/* A number as its varint or its bytes; the tag is before it. */
static char *put_number(char *at, const struct field *field, const char *element)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        return wire_put_varint(at, (uint64_t)(int64_t)(int32_t)load_u32(element));
    case PROTOBUF_C_TYPE_UINT32:
        return wire_put_varint(at, load_u32(element));
    case PROTOBUF_C_TYPE_SINT32:
        return wire_put_varint(at, (uint32_t)wire_zigzag((int32_t)load_u32(element)));
    case PROTOBUF_C_TYPE_BOOL:
        return wire_put_varint(at, load_u32(element) != 0);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return wire_put_varint(at, load_u64(element));
    case PROTOBUF_C_TYPE_SINT64:
        return wire_put_varint(at, wire_zigzag((int64_t)load_u64(element)));
    default:
        memcpy(at, element, image_element_size(field));
        return at + image_element_size(field);
    }
}

static s4_status put_varint(struct buffer *out, uint64_t value)
{
    char bytes[WIRE_VARINT_MAX];
    return buffer_append(out, bytes, (size_t)(wire_put_varint(bytes, value) - bytes));
}

static s4_status put_tag(struct buffer *out, const struct field *field, enum wire wire)
{
    return put_varint(out, (uint64_t)field->id << 3 | wire);
}

/* Leaves one byte for a length; where the content begins. */
static s4_status open_length(struct buffer *out, size_t *content)
{
    TRY(buffer_append(out, "", 1));
    *content = out->size;
    return S4_OK;
}

/* Puts the length of what came since before it. */
static s4_status close_length(struct buffer *out, size_t content)
{
    char bytes[WIRE_VARINT_MAX];
    size_t len = out->size - content;
    size_t n = (size_t)(wire_put_varint(bytes, len) - bytes);
    if (n > 1) {
        if (!buffer_room(out, n - 1))
            return S4_NO_MEMORY;
        memmove(out->data + content + n - 1, out->data + content, len);
    }
    memcpy(out->data + content - 1, bytes, n);
    return S4_OK;
}

static s4_status put_image(struct buffer *out, const struct type *type, const char *record,
                           const char *image);

/* A sub-message. A required one that a struct left out has no bytes. */
static s4_status put_message(struct buffer *out, const struct field *field, const char *record,
                             const char *element)
{
    size_t content;
    uint32_t off = load_u32(element);
    TRY(open_length(out, &content));
    if (off > REF_EMPTY)
        TRY(put_image(out, field->sub, record, record + off));
    return close_length(out, content);
}

static s4_status put_element(struct buffer *out, const struct field *field, const char *record,
                             const char *element)
{
    enum wire wire = wire_of(field->type);
    TRY(put_tag(out, field, wire));
    if (wire != WIRE_LEN) {
        char bytes[WIRE_VARINT_MAX];
        return buffer_append(out, bytes, (size_t)(put_number(bytes, field, element) - bytes));
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return put_message(out, field, record, element);
    struct slice slice = image_slice(record, field, element);
    TRY(put_varint(out, slice.len));
    return buffer_append(out, slice.data, slice.len);
}

static s4_status put_packed(struct buffer *out, const struct field *field, const char *array,
                            uint64_t n)
{
    size_t content;
    size_t size = image_element_size(field);
    TRY(put_tag(out, field, WIRE_LEN));
    TRY(open_length(out, &content));
    for (uint64_t i = 0; i < n; i++) {
        char bytes[WIRE_VARINT_MAX];
        const char *end = put_number(bytes, field, array + i * size);
        TRY(buffer_append(out, bytes, (size_t)(end - bytes)));
    }
    return close_length(out, content);
}

static s4_status put_repeated(struct buffer *out, const struct field *field, const char *record,
                              const char *image)
{
    uint64_t n = load_u64(image + field->has_offset);
    const char *array = record + load_u32(image + field->offset);
    size_t size = image_element_size(field);
    if (field->packed)
        return put_packed(out, field, array, n);
    for (uint64_t i = 0; i < n; i++)
        TRY(put_element(out, field, record, array + i * size));
    return S4_OK;
}

static s4_status put_image(struct buffer *out, const struct type *type, const char *record,
                           const char *image)
{
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[type->by_id[i]];
        if (!image_has(image, field))
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            TRY(put_repeated(out, field, record, image));
        else
            TRY(put_element(out, field, record, image + field->offset));
    }
    return S4_OK;
}

s4_status pb_write(const struct value *value, struct buffer *out)
{
    size_t before = out->size;
    s4_status status = put_image(out, value->type, value->record, value->at);
    if (status != S4_OK)
        out->size = before;
    return status;
}
