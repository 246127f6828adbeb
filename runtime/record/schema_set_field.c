/* One field of a FileDescriptorSet: its number, label and type, and its default, which is text
 * there.
 */
#include <errno.h>
#include <math.h>

#include "runtime/base/utf8.h"
#include "runtime/record/schema_set.h"

#define NUMBER_MAX        536870911 /* of a field, in protobuf */
#define RESERVED_FIRST    19000
#define RESERVED_LAST     19999
#define OPTION_PB_C_FIELD 1019 /* protobuf-c's own options of fields */

struct reader {
    struct schema *schema;
    const char *type;
    const set_field *from;
    struct field *field;
    struct diag *diag;
};

static s4_status malformed(const struct reader *reader, const char *what)
{
    return diag_set(reader->diag, S4_MALFORMED, "type %s: field %s: %s", reader->type,
                    reader->from->name, what);
}

static s4_status unsupported(const struct reader *reader, const char *what)
{
    return diag_set(reader->diag, S4_UNSUPPORTED, "type %s: field %s: %s", reader->type,
                    reader->from->name, what);
}

/* By the numbers of FieldDescriptorProto.Type; -1 for groups and what is none. */
static int type_of(int number)
{
    static const int8_t types[] = {
        [0] = -1,
        [1] = PROTOBUF_C_TYPE_DOUBLE,
        [2] = PROTOBUF_C_TYPE_FLOAT,
        [3] = PROTOBUF_C_TYPE_INT64,
        [4] = PROTOBUF_C_TYPE_UINT64,
        [5] = PROTOBUF_C_TYPE_INT32,
        [6] = PROTOBUF_C_TYPE_FIXED64,
        [7] = PROTOBUF_C_TYPE_FIXED32,
        [8] = PROTOBUF_C_TYPE_BOOL,
        [9] = PROTOBUF_C_TYPE_STRING,
        [10] = -1,
        [11] = PROTOBUF_C_TYPE_MESSAGE,
        [12] = PROTOBUF_C_TYPE_BYTES,
        [13] = PROTOBUF_C_TYPE_UINT32,
        [14] = PROTOBUF_C_TYPE_ENUM,
        [15] = PROTOBUF_C_TYPE_SFIXED32,
        [16] = PROTOBUF_C_TYPE_SFIXED64,
        [17] = PROTOBUF_C_TYPE_SINT32,
        [18] = PROTOBUF_C_TYPE_SINT64,
    };
    return number >= 0 && (size_t)number < ARRAY_LEN(types) ? types[number] : -1;
}

static int types_by_name(const void *name, const void *type)
{
    return strcmp(name, ((const struct type *)type)->name);
}

static int enums_by_name(const void *name, const void *type)
{
    return strcmp(name, ((const struct enum_type *)type)->name);
}

static s4_status resolve(const struct reader *reader)
{
    const struct schema *schema = reader->schema;
    const char *name = reader->from->type_name;
    struct field *field = reader->field;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_ENUM)
        return S4_OK;
    if (!name || name[0] != '.')
        return malformed(reader, "its type has no full name");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        field->sub =
            bsearch(name + 1, schema->types, schema->n_types, sizeof *schema->types, types_by_name);
    else
        field->values =
            bsearch(name + 1, schema->enums, schema->n_enums, sizeof *schema->enums, enums_by_name);
    if (!field->sub && !field->values)
        return diag_set(reader->diag, S4_NOT_FOUND,
                        "type %s: field %s is of type %s, which the "
                        "descriptor set does not hold; write it with --include_imports",
                        reader->type, reader->from->name, name + 1);
    return S4_OK;
}

static s4_status read_signed(const struct reader *reader, const char *text, bool wide)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || (!wide && (value < INT32_MIN || value > INT32_MAX)))
        return malformed(reader, "its default is no number of its type");
    int32_t narrow = (int32_t)value;
    memcpy(&reader->field->fallback.bits, wide ? (void *)&value : (void *)&narrow, wide ? 8 : 4);
    return S4_OK;
}

static s4_status read_unsigned(const struct reader *reader, const char *text, bool wide)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end || errno || text[0] == '-' || (!wide && value > UINT32_MAX))
        return malformed(reader, "its default is no number of its type");
    reader->field->fallback.bits = value;
    return S4_OK;
}

/* A float is rounded twice, as the compiler rounds the literal in generated code. */
static s4_status read_real(const struct reader *reader, const char *text, bool wide)
{
    char *end;
    double value = strtod(text, &end);
    if (strcmp(text, "nan") == 0)
        value = (double)NAN;
    else if (end == text || *end)
        return malformed(reader, "its default is no number");
    float narrow = (float)value;
    memcpy(&reader->field->fallback.bits, wide ? (void *)&value : (void *)&narrow, wide ? 8 : 4);
    return S4_OK;
}

static int digit_of(char c, int base)
{
    int value = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : base;
    return value < base ? value : -1;
}

/* What follows a backslash; moves `*at` behind it. -1: nothing that can. */
static int read_escape(const char **at)
{
    static const char codes[] = "abfnrtv\\'\"?";
    static const char bytes[] = "\a\b\f\n\r\t\v\\'\"?";
    char c = *(*at)++;
    const char *found = c ? strchr(codes, c) : NULL;
    if (found)
        return bytes[found - codes];
    int base = c == 'x' || c == 'X' ? 16 : 8;
    int most = base == 16 ? 2 : 3;
    int value = 0;
    int n = 0;
    if (base == 8)
        (*at)--;
    while (n < most && digit_of(**at, base) >= 0) {
        value = value * base + digit_of(*(*at)++, base);
        n++;
    }
    return n > 0 && value <= 255 ? value : -1;
}

static s4_status read_bytes(const struct reader *reader, const char *text)
{
    char *data = schema_text(reader->schema, text, strlen(text));
    uint32_t len = 0;
    if (!data)
        return S4_NO_MEMORY;
    while (*text) {
        int byte = (unsigned char)*text++;
        if (byte == '\\')
            byte = read_escape(&text);
        if (byte < 0)
            return malformed(reader, "its default has an escape that is none");
        data[len++] = (char)byte;
    }
    data[len] = '\0';
    reader->field->fallback.text.data = data;
    reader->field->fallback.text.len = len;
    return S4_OK;
}

static s4_status read_string(const struct reader *reader, const char *text)
{
    size_t len = strlen(text);
    if (utf8_valid(text, len) != len)
        return malformed(reader, "its default is not UTF-8");
    reader->field->fallback.text.data = schema_text(reader->schema, text, len);
    reader->field->fallback.text.len = (uint32_t)len;
    return reader->field->fallback.text.data ? S4_OK : S4_NO_MEMORY;
}

/* The values have no index by name yet. */
static s4_status read_enum(const struct reader *reader, const char *text)
{
    const struct enum_type *values = reader->field->values;
    for (uint32_t i = 0; i < values->n_values; i++)
        if (strcmp(values->values[i].name, text) == 0) {
            memcpy(&reader->field->fallback.bits, &values->values[i].number, 4);
            return S4_OK;
        }
    return malformed(reader, "its default is no value of its enum");
}

static s4_status read_bool(const struct reader *reader, const char *text)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return malformed(reader, "its default is neither true nor false");
    reader->field->fallback.bits = text[0] == 't';
    return S4_OK;
}

static s4_status read_default(const struct reader *reader)
{
    const char *text = reader->from->default_value;
    struct field *field = reader->field;
    if (!text) {
        if (field->values && field->label != PROTOBUF_C_LABEL_REPEATED)
            memcpy(&field->fallback.bits, &field->values->first, 4);
        return S4_OK;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return malformed(reader, "it cannot have a default");
    field->has_default = true;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return read_string(reader, text);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(reader, text);
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(reader, text);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(reader, text);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_real(reader, text, field->type == PROTOBUF_C_TYPE_DOUBLE);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return read_unsigned(reader, text, field_value_size(field) == 8);
    default:
        return read_signed(reader, text, field_value_size(field) == 8);
    }
}

static s4_status read_options(const struct reader *reader)
{
    const Google__Protobuf__FieldOptions *options = reader->from->options;
    if (!options)
        return S4_OK;
    for (unsigned i = 0; i < options->base.n_unknown_fields; i++)
        if (options->base.unknown_fields[i].tag == OPTION_PB_C_FIELD)
            return unsupported(reader, "option pb_c_field is not supported");
    reader->field->packed = options->packed && reader->field->label == PROTOBUF_C_LABEL_REPEATED &&
                            field_value_size(reader->field) != 16 && !reader->field->sub &&
                            reader->field->type != PROTOBUF_C_TYPE_STRING;
    return S4_OK;
}

static s4_status read_label(const struct reader *reader)
{
    static const ProtobufCLabel labels[] = { 0, PROTOBUF_C_LABEL_OPTIONAL,
                                             PROTOBUF_C_LABEL_REQUIRED, PROTOBUF_C_LABEL_REPEATED };
    int number = reader->from->label;
    if (!reader->from->has_label || number < 1 || number > 3)
        return malformed(reader, "it has no label");
    reader->field->label = labels[number];
    return S4_OK;
}

s4_status set_field_read(struct schema *schema, const char *type, const set_field *from,
                         struct field *field, struct diag *diag)
{
    struct reader reader = { schema, type, from, field, diag };
    if (!from->has_number || from->number < 1 || from->number > NUMBER_MAX ||
        (from->number >= RESERVED_FIRST && from->number <= RESERVED_LAST))
        return malformed(&reader, "it has no proper number");
    if (from->has_proto3_optional && from->proto3_optional)
        return unsupported(&reader, "it is of proto3; only proto2 is supported");
    int found = from->has_type ? type_of(from->type) : -1;
    if (found < 0)
        return unsupported(&reader, "groups, and types that protobuf does not have, are not "
                                    "supported");
    field->name = schema_text(schema, from->name, strlen(from->name));
    if (!field->name)
        return S4_NO_MEMORY;
    field->id = (uint32_t)from->number;
    field->type = (ProtobufCType)found;
    TRY(read_label(&reader));
    TRY(resolve(&reader));
    TRY(read_options(&reader));
    return read_default(&reader);
}
