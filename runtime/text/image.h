/* What the readers and writers of text share about a type's image (schema.h): presence, and the
 * form of one element. Inside runtime/text only; the images are trusted. */
#ifndef RUNTIME_TEXT_IMAGE_H
#define RUNTIME_TEXT_IMAGE_H

#include "runtime/base/base.h"
#include "runtime/record/writer.h"

#define ELEMENT_MAX 16 /* bytes of the largest element: bytes */

/* One element as it lies in an image or in the array of a repeated field. */
union element {
    char raw[ELEMENT_MAX];
    uint32_t u32; /* int32, uint32, enum, bool, float */
    uint64_t u64; /* int64, uint64, double */
    struct {
        uint32_t off;
        uint32_t len;
    } string;
    struct {
        uint64_t len;
        uint32_t off;
        uint32_t zero;
    } bytes;
    uint32_t message; /* off */
};

/* Is the field there, as protobuf-c's pack understands it? Repeated: has it elements? */
bool image_has(const char *image, const struct field *field);

/* Bytes of one element: field_value_size, in line. */
static inline uint32_t image_element_size(const struct field *field)
{
    static const uint8_t sizes[] = {
        [PROTOBUF_C_TYPE_INT32] = 4,    [PROTOBUF_C_TYPE_SINT32] = 4,
        [PROTOBUF_C_TYPE_SFIXED32] = 4, [PROTOBUF_C_TYPE_INT64] = 8,
        [PROTOBUF_C_TYPE_SINT64] = 8,   [PROTOBUF_C_TYPE_SFIXED64] = 8,
        [PROTOBUF_C_TYPE_UINT32] = 4,   [PROTOBUF_C_TYPE_FIXED32] = 4,
        [PROTOBUF_C_TYPE_UINT64] = 8,   [PROTOBUF_C_TYPE_FIXED64] = 8,
        [PROTOBUF_C_TYPE_FLOAT] = 4,    [PROTOBUF_C_TYPE_DOUBLE] = 8,
        [PROTOBUF_C_TYPE_BOOL] = 4,     [PROTOBUF_C_TYPE_ENUM] = 4,
        [PROTOBUF_C_TYPE_STRING] = 8,   [PROTOBUF_C_TYPE_BYTES] = 16,
        [PROTOBUF_C_TYPE_MESSAGE] = 8,
    };
    return sizes[field->type];
}

/* Copies an element to its place, in moves of fixed size. */
static inline void image_put(char *at, const union element *element, uint32_t size)
{
    if (size == 4)
        memcpy(at, element->raw, 4);
    else if (size == 8)
        memcpy(at, element->raw, 8);
    else
        memcpy(at, element->raw, 16);
}

/* Marks a singular field as present, in the way of its kind. */
static inline void image_mark(char *image, const struct field *field)
{
    if (field->has_offset != FIELD_NONE)
        store_u32(image + field->has_offset, field->oneof >= 0 ? field->id : 1);
}

/* Bytes that a string or bytes element stands for; the field's default if it refers to that.
 * Borrowed from the record or the schema; "" if there are none. */
struct slice {
    const char *data;
    size_t len;
};
struct slice image_slice(const char *record, const struct field *field, const char *element);

#endif
