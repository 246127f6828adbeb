/* A value as JSON, on one line, in the order of declaration.
 *
 * Values are trusted, with one exception: a handler may have put anything into a string, and what
 * leaves here must be JSON whatever it is, so invalid UTF-8 becomes U+FFFD.
 */
#include "runtime/text/json.h"

#include <math.h>

#include "runtime/text/base64.h"
#include "runtime/text/image.h"
#include "runtime/text/json_token.h"
#include "runtime/text/number.h"

static s4_status put_char(struct buffer *out, char c)
{
    return buffer_append(out, &c, 1);
}

static s4_status put_escape(struct buffer *out, uint8_t c)
{
    static const char names[] = "btn\0fr"; /* from 8 to 13 */
    if (c == '"' || c == '\\')
        return buffer_append(out, (char[]){ '\\', (char)c }, 2);
    if (c >= 0x80)
        return buffer_append_text(out, "\xef\xbf\xbd");
    if (c >= 8 && c <= 13 && names[c - 8] != '\0')
        return buffer_append(out, (char[]){ '\\', names[c - 8] }, 2);
    return buffer_printf(out, "\\u%04x", c);
}

/* `text` in quotes, and one more character on either side unless that is NUL; it needs no escapes.
 */
static s4_status put_quoted(struct buffer *out, char before, const char *text, size_t len,
                            char behind)
{
    char *at = buffer_room(out, len + 2 + (before != '\0') + (behind != '\0'));
    if (!at)
        return S4_NO_MEMORY;
    if (before != '\0')
        *at++ = before;
    *at++ = '"';
    memcpy(at, text, len);
    at[len] = '"';
    if (behind != '\0')
        at[len + 1] = behind;
    return S4_OK;
}

static s4_status put_string(struct buffer *out, const char *text, size_t len)
{
    const char *end = text + len;
    const char *stop = json_skip_run(text, end);
    if (LIKELY(stop == end))
        return put_quoted(out, '\0', text, len, '\0');
    TRY(put_char(out, '"'));
    for (; text < end; stop = json_skip_run(text, end)) {
        TRY(buffer_append(out, text, (size_t)(stop - text)));
        text = stop;
        if (text < end)
            TRY(put_escape(out, (uint8_t)*text++));
    }
    return put_char(out, '"');
}

static s4_status put_bytes(struct buffer *out, struct slice bytes)
{
    size_t len = base64_encoded(bytes.len);
    char *at = buffer_room(out, len + 2);
    if (!at)
        return S4_NO_MEMORY;
    at[0] = '"';
    base64_encode(bytes.data, bytes.len, at + 1);
    at[len + 1] = '"';
    return S4_OK;
}

static s4_status put_double(struct buffer *out, double value, bool is_float)
{
    if (isnan(value))
        return buffer_append_text(out, "\"NaN\"");
    if (isinf(value))
        return buffer_append_text(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    char text[NUMBER_TEXT_MAX];
    size_t len =
        is_float ? number_print_float((float)value, text) : number_print_double(value, text);
    return buffer_append(out, text, len);
}

static s4_status put_signed(struct buffer *out, int64_t value)
{
    char *at = buffer_room(out, NUMBER_TEXT_MAX);
    if (!at)
        return S4_NO_MEMORY;
    out->size -= NUMBER_TEXT_MAX - number_print_signed(value, at);
    return S4_OK;
}

static s4_status put_unsigned(struct buffer *out, uint64_t value)
{
    char *at = buffer_room(out, NUMBER_TEXT_MAX);
    if (!at)
        return S4_NO_MEMORY;
    out->size -= NUMBER_TEXT_MAX - number_print_unsigned(value, at);
    return S4_OK;
}

/* A number that has no name stays a number. */
static s4_status put_enum(struct buffer *out, const struct field *field, int32_t number)
{
    const struct enum_value *value = enum_find_number(field->values, number);
    return value ? put_string(out, value->name, strlen(value->name)) : put_signed(out, number);
}

static s4_status put_image(struct buffer *out, const struct type *type, const char *record,
                           const char *image);

/* A required message that a struct left out is an empty one, as on the wire. */
static s4_status put_message(struct buffer *out, const struct field *field, const char *record,
                             const char *element)
{
    uint32_t off = load_u32(element);
    if (off <= REF_EMPTY)
        return buffer_append_text(out, "{}");
    return put_image(out, field->sub, record, record + off);
}

static s4_status put_floating(struct buffer *out, const struct field *field, const char *element)
{
    if (field->type == PROTOBUF_C_TYPE_FLOAT) {
        float value;
        memcpy(&value, element, sizeof value);
        return put_double(out, (double)value, true);
    }
    double value;
    memcpy(&value, element, sizeof value);
    return put_double(out, value, false);
}

static s4_status put_element(struct buffer *out, const struct field *field, const char *record,
                             const char *element)
{
    struct slice slice;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return put_signed(out, (int32_t)load_u32(element));
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return put_unsigned(out, load_u32(element));
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return put_signed(out, (int64_t)load_u64(element));
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return put_unsigned(out, load_u64(element));
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return put_floating(out, field, element);
    case PROTOBUF_C_TYPE_BOOL:
        return buffer_append_text(out, load_u32(element) ? "true" : "false");
    case PROTOBUF_C_TYPE_ENUM:
        return put_enum(out, field, (int32_t)load_u32(element));
    case PROTOBUF_C_TYPE_STRING:
        slice = image_slice(record, field, element);
        return put_string(out, slice.data, slice.len);
    case PROTOBUF_C_TYPE_BYTES:
        return put_bytes(out, image_slice(record, field, element));
    case PROTOBUF_C_TYPE_MESSAGE:
        return put_message(out, field, record, element);
    }
    CHECK(!"a field of no type");
    return S4_INVALID;
}

static s4_status put_array(struct buffer *out, const struct field *field, const char *record,
                           const char *image)
{
    uint64_t n = load_u64(image + field->has_offset);
    const char *array = record + load_u32(image + field->offset);
    size_t size = image_element_size(field);
    TRY(put_char(out, '['));
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0)
            TRY(put_char(out, ','));
        TRY(put_element(out, field, record, array + i * size));
    }
    return put_char(out, ']');
}

static s4_status put_field(struct buffer *out, const struct field *field, const char *record,
                           const char *image)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return put_array(out, field, record, image);
    return put_element(out, field, record, image + field->offset);
}

static s4_status put_image(struct buffer *out, const struct type *type, const char *record,
                           const char *image)
{
    TRY(put_char(out, '{'));
    bool first = true;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (!image_has(image, field))
            continue;
        TRY(put_quoted(out, first ? '\0' : ',', field->name, strlen(field->name), ':'));
        first = false;
        TRY(put_field(out, field, record, image));
    }
    return put_char(out, '}');
}

/* A failed append leaves the buffer as it was before the whole of it. */
static s4_status whole(struct buffer *out, size_t before, s4_status status)
{
    if (status != S4_OK)
        out->size = before;
    return status;
}

s4_status json_write(const struct value *value, struct buffer *out)
{
    size_t before = out->size;
    return whole(out, before, put_image(out, value->type, value->record, value->at));
}

s4_status json_write_field(const struct value *value, const struct field *field, struct buffer *out)
{
    size_t before = out->size;
    bool absent = field->label != PROTOBUF_C_LABEL_REPEATED && !image_has(value->at, field);
    return whole(out, before,
                 absent ? buffer_append_text(out, "null")
                        : put_field(out, field, value->record, value->at));
}

s4_status json_write_string(struct buffer *out, const char *text, size_t len)
{
    size_t before = out->size;
    return whole(out, before, put_string(out, len ? text : "", len));
}
