/* One JSON value to one element of an image.
 *
 * Integers of up to 18 digits, which is nearly all of them, are read here digit by digit; whatever
 * looks different (longer, a fraction, an exponent, a string) goes through number.h and is exact
 * too.
 */
#include "runtime/text/json_scalar.h"

#include <math.h>

#include "runtime/text/base64.h"
#include "runtime/text/number.h"

#define NAMES_SHOWN 5 /* of an enum, in a message */

static COLD void enum_form(const struct enum_type *values, char *text, size_t room)
{
    size_t at = (size_t)snprintf(text, room, "a value of %s (", values->name);
    for (uint32_t i = 0; i < values->n_values && i <= NAMES_SHOWN && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, "%s%s", i ? ", " : "",
                               i < NAMES_SHOWN ? values->values[i].name : "...");
    if (at < room)
        snprintf(text + at, room - at, ")");
}

const char *json_form(const struct field *field, char text[JSON_WANTED_MAX])
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        snprintf(text, JSON_WANTED_MAX, "an object (%s)", field->sub->name);
    else if (field->type == PROTOBUF_C_TYPE_ENUM)
        enum_form(field->values, text, JSON_WANTED_MAX);
    else if (field->type == PROTOBUF_C_TYPE_BYTES)
        snprintf(text, JSON_WANTED_MAX, "bytes (a string of base64)");
    else
        snprintf(text, JSON_WANTED_MAX, "%s", field_type_name(field));
    return text;
}

s4_status json_wrong(const struct cursor *cursor, const char *at, const struct place *place)
{
    char form[JSON_WANTED_MAX];
    return json_wanted(cursor, at, place, S4_TYPE, json_form(place->field, form));
}

/* Refuses a number that could not be converted, by the reason. */
static COLD s4_status bad_number(const struct cursor *cursor, const char *at,
                                 const struct place *place, s4_status reason, const char *range)
{
    char wanted[JSON_WANTED_MAX];
    if (reason == S4_TYPE)
        return json_wrong(cursor, at, place);
    if (reason == S4_TOO_LARGE)
        return json_refuse(cursor, at, place, S4_TOO_LARGE,
                           "the number is longer than %d characters", NUMBER_LEN_MAX);
    snprintf(wanted, sizeof wanted, "%s (%s)", field_type_name(place->field), range);
    return json_wanted(cursor, at, place, S4_RANGE, wanted);
}

/* The number at the cursor; 64-bit integers may stand in quotes, as other writers put them. */
static s4_status take_number(struct cursor *cursor, const struct place *place, bool quoted,
                             struct number *number)
{
    const char *from = cursor->at;
    const char *at = from;
    quoted = quoted && at < cursor->end && *at == '"';
    if (!number_scan(at + quoted, cursor->end, number))
        return json_wrong(cursor, from, place);
    at += quoted + number->len;
    if (quoted && (at >= cursor->end || *at++ != '"'))
        return json_wrong(cursor, from, place);
    cursor->at = at;
    return S4_OK;
}

/* An integer of at most 18 digits in its plain form; false: look closer. */
static inline bool take_short(struct cursor *cursor, int64_t *value)
{
    const char *at = cursor->at;
    bool negative = at < cursor->end && *at == '-';
    at += negative;
    const char *first = at;
    const char *end = at + size_min((size_t)(cursor->end - at), 19);
    uint64_t magnitude = 0;
    for (; at < end && (uint8_t)(*at - '0') < 10; at++)
        magnitude = magnitude * 10 + (uint64_t)(*at - '0');
    if (at == end || at == first || (*first == '0' && at - first > 1) || *at == '.' || *at == 'e' ||
        *at == 'E')
        return false;
    cursor->at = at;
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

static s4_status read_signed(struct cursor *cursor, const struct place *place, bool wide,
                             int64_t *value)
{
    const char *from = cursor->at;
    int64_t min = wide ? INT64_MIN : INT32_MIN;
    int64_t max = wide ? INT64_MAX : INT32_MAX;
    int64_t taken;
    if (LIKELY(take_short(cursor, &taken)) && taken >= min && taken <= max) {
        *value = taken;
        return S4_OK;
    }
    cursor->at = from;
    struct number number;
    TRY(take_number(cursor, place, wide, &number));
    s4_status status = number_signed(&number, min, max, value);
    if (status != S4_OK)
        return bad_number(cursor, from, place, status,
                          wide ? "-9223372036854775808 to 9223372036854775807"
                               : "-2147483648 to 2147483647");
    return S4_OK;
}

static s4_status read_unsigned(struct cursor *cursor, const struct place *place, bool wide,
                               uint64_t *value)
{
    const char *from = cursor->at;
    uint64_t max = wide ? UINT64_MAX : UINT32_MAX;
    int64_t taken;
    if (LIKELY(take_short(cursor, &taken)) && taken >= 0 && (uint64_t)taken <= max) {
        *value = (uint64_t)taken;
        return S4_OK;
    }
    cursor->at = from;
    struct number number;
    TRY(take_number(cursor, place, wide, &number));
    s4_status status = number_unsigned(&number, max, value);
    if (status != S4_OK)
        return bad_number(cursor, from, place, status,
                          wide ? "0 to 18446744073709551615" : "0 to 4294967295");
    return S4_OK;
}

/* Takes one of the names that floating point has for what is no number. */
static bool take_special(struct cursor *cursor, double *value)
{
    static const struct {
        const char *text;
        double value;
    } specials[] = {
        { "\"NaN\"", (double)NAN },
        { "\"Infinity\"", (double)INFINITY },
        { "\"-Infinity\"", -(double)INFINITY },
    };
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        size_t len = strlen(specials[i].text);
        if ((size_t)(cursor->end - cursor->at) >= len &&
            memcmp(cursor->at, specials[i].text, len) == 0) {
            cursor->at += len;
            *value = specials[i].value;
            return true;
        }
    }
    return false;
}

static s4_status read_double(struct cursor *cursor, const struct place *place,
                             union element *element)
{
    const char *from = cursor->at;
    double value;
    if (!take_special(cursor, &value)) {
        struct number number;
        TRY(take_number(cursor, place, false, &number));
        s4_status status = number_double(&number, &value);
        if (status != S4_OK)
            return bad_number(cursor, from, place, status, "up to 1.8e308");
    }
    memcpy(&element->u64, &value, sizeof value);
    return S4_OK;
}

static s4_status read_float(struct cursor *cursor, const struct place *place,
                            union element *element)
{
    const char *from = cursor->at;
    double special;
    float value;
    if (take_special(cursor, &special)) {
        value = (float)special;
    } else {
        struct number number;
        TRY(take_number(cursor, place, false, &number));
        s4_status status = number_float(&number, &value);
        if (status != S4_OK)
            return bad_number(cursor, from, place, status, "up to 3.4e38");
    }
    memcpy(&element->u32, &value, sizeof value);
    return S4_OK;
}

static bool take_word(struct cursor *cursor, const char *word, size_t len)
{
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

static s4_status read_bool(struct cursor *cursor, const struct place *place, union element *element)
{
    if (take_word(cursor, "true", 4))
        element->u32 = 1;
    else if (take_word(cursor, "false", 5))
        element->u32 = 0;
    else
        return json_wrong(cursor, cursor->at, place);
    return S4_OK;
}

static s4_status read_enum(struct cursor *cursor, const struct place *place, union element *element)
{
    const char *from = cursor->at;
    if (from < cursor->end && *from == '"') {
        struct json_string name;
        size_t top = cursor->stack->size;
        TRY(json_string(cursor, place, &name));
        const struct enum_value *value = enum_find(place->field->values, name.data, name.len);
        cursor->stack->size = top;
        if (!value)
            return json_wrong(cursor, from, place);
        element->u32 = (uint32_t)value->number;
        return S4_OK;
    }
    int64_t number;
    TRY(read_signed(cursor, place, false, &number));
    element->u32 = (uint32_t)(int32_t)number;
    return S4_OK;
}

static s4_status read_string(struct cursor *cursor, struct writer *writer,
                             const struct place *place, union element *element)
{
    struct json_string string;
    if (cursor->at >= cursor->end || *cursor->at != '"')
        return json_wrong(cursor, cursor->at, place);
    size_t top = cursor->stack->size;
    TRY(json_string(cursor, place, &string));
    element->string.off = writer_bytes(writer, string.data, string.len);
    element->string.len = (uint32_t)string.len;
    cursor->stack->size = top;
    return element->string.off ? S4_OK : writer->error;
}

/* Decoded on the stack's top, since the writer keeps what it once has. No bytes are a NULL
 * reference, which is what protobuf-c's unpack gives for them. */
static s4_status read_bytes(struct cursor *cursor, struct writer *writer, const struct place *place,
                            union element *element)
{
    const char *from = cursor->at;
    struct json_string string;
    if (from >= cursor->end || *from != '"')
        return json_wrong(cursor, from, place);
    struct buffer *stack = cursor->stack;
    size_t top = stack->size;
    TRY(json_string(cursor, place, &string));
    bool on_stack = stack->size != top;
    size_t room = base64_decoded_max(string.len);
    char *decoded = buffer_room(stack, room);
    if (!decoded)
        return S4_NO_MEMORY;
    const char *text = on_stack ? stack->data + top : string.data;
    size_t size = base64_decode(text, string.len, decoded);
    if (size == BASE64_BAD)
        return json_wrong(cursor, from, place);
    element->bytes.len = size;
    element->bytes.off = size ? writer_bytes(writer, decoded, size) : REF_NULL;
    element->bytes.zero = 0;
    stack->size = top;
    return size == 0 || element->bytes.off ? S4_OK : writer->error;
}

s4_status json_scalar(struct cursor *cursor, struct writer *writer, const struct place *place,
                      union element *element)
{
    int64_t number;
    uint64_t magnitude;
    switch (place->field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        TRY(read_signed(cursor, place, false, &number));
        element->u32 = (uint32_t)(int32_t)number;
        return S4_OK;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        TRY(read_unsigned(cursor, place, false, &magnitude));
        element->u32 = (uint32_t)magnitude;
        return S4_OK;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        TRY(read_signed(cursor, place, true, &number));
        element->u64 = (uint64_t)number;
        return S4_OK;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return read_unsigned(cursor, place, true, &element->u64);
    case PROTOBUF_C_TYPE_FLOAT:
        return read_float(cursor, place, element);
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_double(cursor, place, element);
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(cursor, place, element);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(cursor, place, element);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(cursor, writer, place, element);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(cursor, writer, place, element);
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    CHECK(!"a message is no scalar");
    return S4_INVALID;
}
