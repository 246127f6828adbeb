/* A schema as a FileDescriptorSet.
 *
 * Schemas know full names only, so files and nesting are made up: a type whose name continues that
 * of another type is declared in that one, all others at the top of the file of their package. (If
 * test.Outer is not in the schema, test.Outer.Inner is the Inner of a package test.Outer.) All is
 * built in an arena and packed from there.
 */
#include <inttypes.h>
#include <math.h>

#include "runtime/base/mem.h"
#include "runtime/record/schema_set.h"

struct file {
    const char *package;
    set_file set;
};

struct maker {
    const struct schema *schema;
    struct arena memory;
    struct file *files;
    size_t n_files;
    bool failed; /* out of memory */
};

static void *take(struct maker *maker, size_t size)
{
    void *at = maker->failed ? NULL : arena_take(&maker->memory, size);
    if (at)
        memset(at, 0, size);
    maker->failed |= !at;
    return at;
}

static char *take_text(struct maker *maker, const char *text, size_t len)
{
    char *copy = take(maker, len + 1);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

static char *copy_text(struct maker *maker, const char *text)
{
    return take_text(maker, text, strlen(text));
}

/* The two halves of a full name. */
static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static char *outer_part(struct maker *maker, const char *name)
{
    const char *last = last_part(name);
    return take_text(maker, name, last == name ? 0 : (size_t)(last - name) - 1);
}

/* Whether something of this name is declared in `outer`, a type or a package. */
static bool lies_in(const char *name, const char *outer)
{
    const char *last = last_part(name);
    size_t len = strlen(outer);
    if (last == name)
        return len == 0;
    return (size_t)(last - name) == len + 1 && memcmp(name, outer, len) == 0;
}

static struct file *file_of(struct maker *maker, const char *name)
{
    char *package = outer_part(maker, name);
    while (package && schema_find(maker->schema, package))
        package = outer_part(maker, package);
    for (size_t i = 0; package && i < maker->n_files; i++)
        if (strcmp(maker->files[i].package, package) == 0)
            return &maker->files[i];
    if (!package)
        return NULL;
    struct file *file = &maker->files[maker->n_files++];
    google__protobuf__file_descriptor_proto__init(&file->set);
    file->package = package;
    size_t size = strlen(package) + sizeof "types.proto" + 1;
    char *path = take(maker, size);
    if (path)
        snprintf(path, size, "%s%stypes.proto", package, package[0] ? "/" : "");
    file->set.name = path;
    file->set.package = package[0] ? package : NULL;
    return file;
}

static char *print_real(struct maker *maker, double value, int digits)
{
    char text[64];
    if (isnan(value))
        return copy_text(maker, "nan");
    if (isinf(value))
        return copy_text(maker, value > 0 ? "inf" : "-inf");
    snprintf(text, sizeof text, "%.*g", digits, value);
    return copy_text(maker, text);
}

static char *print_bytes(struct maker *maker, const char *data, uint32_t len)
{
    char *text = take(maker, (size_t)len * 4 + 1);
    char *at = text;
    for (uint32_t i = 0; text && i < len; i++) {
        unsigned char byte = (unsigned char)data[i];
        if (byte < ' ' || byte > '~' || byte == '\\' || byte == '"' || byte == '\'')
            at += snprintf(at, 5, "\\%03o", byte);
        else
            *at++ = (char)byte;
    }
    return text;
}

static char *print_number(struct maker *maker, const struct field *field)
{
    char text[32];
    uint64_t bits = field->fallback.bits;
    bool wide = field_value_size(field) == 8;
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        snprintf(text, sizeof text, "%" PRIu64, bits);
        break;
    default:
        snprintf(text, sizeof text, "%" PRId64, wide ? (int64_t)bits : (int64_t)(int32_t)bits);
        break;
    }
    return copy_text(maker, text);
}

static char *print_default(struct maker *maker, const struct field *field)
{
    float narrow;
    double wide;
    memcpy(&narrow, &field->fallback.bits, sizeof narrow);
    memcpy(&wide, &field->fallback.bits, sizeof wide);
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return take_text(maker, field->fallback.text.data, field->fallback.text.len);
    case PROTOBUF_C_TYPE_BYTES:
        return print_bytes(maker, field->fallback.text.data, field->fallback.text.len);
    case PROTOBUF_C_TYPE_BOOL:
        return copy_text(maker, field->fallback.bits ? "true" : "false");
    case PROTOBUF_C_TYPE_FLOAT:
        return print_real(maker, (double)narrow, 9);
    case PROTOBUF_C_TYPE_DOUBLE:
        return print_real(maker, wide, 17);
    case PROTOBUF_C_TYPE_ENUM:
        return copy_text(maker,
                         enum_find_number(field->values, (int32_t)field->fallback.bits)->name);
    default:
        return print_number(maker, field);
    }
}

/* By the numbers of FieldDescriptorProto.Type. */
static int type_number(const struct field *field)
{
    static const uint8_t numbers[] = {
        [PROTOBUF_C_TYPE_INT32] = 5,     [PROTOBUF_C_TYPE_SINT32] = 17,
        [PROTOBUF_C_TYPE_SFIXED32] = 15, [PROTOBUF_C_TYPE_INT64] = 3,
        [PROTOBUF_C_TYPE_SINT64] = 18,   [PROTOBUF_C_TYPE_SFIXED64] = 16,
        [PROTOBUF_C_TYPE_UINT32] = 13,   [PROTOBUF_C_TYPE_FIXED32] = 7,
        [PROTOBUF_C_TYPE_UINT64] = 4,    [PROTOBUF_C_TYPE_FIXED64] = 6,
        [PROTOBUF_C_TYPE_FLOAT] = 2,     [PROTOBUF_C_TYPE_DOUBLE] = 1,
        [PROTOBUF_C_TYPE_BOOL] = 8,      [PROTOBUF_C_TYPE_ENUM] = 14,
        [PROTOBUF_C_TYPE_STRING] = 9,    [PROTOBUF_C_TYPE_BYTES] = 12,
        [PROTOBUF_C_TYPE_MESSAGE] = 11,
    };
    return numbers[field->type];
}

static int label_number(const struct field *field)
{
    switch (field->label) {
    case PROTOBUF_C_LABEL_REQUIRED:
        return 2;
    case PROTOBUF_C_LABEL_REPEATED:
        return 3;
    default:
        return 1;
    }
}

static set_field *make_field(struct maker *maker, const struct field *from)
{
    set_field *field = take(maker, sizeof *field);
    if (!field)
        return NULL;
    google__protobuf__field_descriptor_proto__init(field);
    field->name = copy_text(maker, from->name);
    field->has_number = field->has_label = field->has_type = 1;
    field->number = (int32_t)from->id;
    field->label = (Google__Protobuf__FieldDescriptorProto__Label)label_number(from);
    field->type = (Google__Protobuf__FieldDescriptorProto__Type)type_number(from);
    const char *name = from->sub ? from->sub->name : from->values ? from->values->name : NULL;
    if (name) {
        size_t size = strlen(name) + 2;
        field->type_name = take(maker, size);
        if (field->type_name)
            snprintf(field->type_name, size, ".%s", name);
    }
    field->has_oneof_index = from->oneof >= 0;
    field->oneof_index = from->oneof >= 0 ? from->oneof : 0;
    if (from->has_default)
        field->default_value = print_default(maker, from);
    if (from->packed) {
        field->options = take(maker, sizeof *field->options);
        if (field->options) {
            google__protobuf__field_options__init(field->options);
            field->options->has_packed = field->options->packed = 1;
        }
    }
    return field;
}

static Google__Protobuf__EnumValueDescriptorProto *make_value(struct maker *maker,
                                                              const struct enum_value *from)
{
    Google__Protobuf__EnumValueDescriptorProto *value = take(maker, sizeof *value);
    if (!value)
        return NULL;
    google__protobuf__enum_value_descriptor_proto__init(value);
    value->name = copy_text(maker, from->name);
    value->has_number = 1;
    value->number = from->number;
    return value;
}

static bool has_aliases(const struct enum_type *type)
{
    for (uint32_t i = 1; i < type->n_values; i++)
        if (type->values[i - 1].number == type->values[i].number)
            return true;
    return false;
}

/* The value that was declared first is so again. */
static set_enum *make_enum(struct maker *maker, const struct enum_type *from)
{
    set_enum *made = take(maker, sizeof *made);
    Google__Protobuf__EnumValueDescriptorProto **values =
        take(maker, from->n_values * sizeof(void *));
    if (!made || !values)
        return NULL;
    google__protobuf__enum_descriptor_proto__init(made);
    made->name = copy_text(maker, last_part(from->name));
    made->value = values;
    const struct enum_value *first = enum_find_number(from, from->first);
    if (first)
        values[made->n_value++] = make_value(maker, first);
    uint32_t done = first ? (uint32_t)(first - from->values) : from->n_values;
    for (uint32_t i = 0; i < from->n_values; i++)
        if (i != done)
            values[made->n_value++] = make_value(maker, &from->values[i]);
    if (has_aliases(from)) {
        made->options = take(maker, sizeof *made->options);
        if (made->options) {
            google__protobuf__enum_options__init(made->options);
            made->options->has_allow_alias = made->options->allow_alias = 1;
        }
    }
    return made;
}

/* The enums that are declared in `outer`. */
static set_enum **make_enums(struct maker *maker, const char *outer, size_t *n)
{
    const struct schema *schema = maker->schema;
    set_enum **made = take(maker, schema->n_enums * sizeof(void *));
    *n = 0;
    for (size_t i = 0; made && i < schema->n_enums; i++)
        if (lies_in(schema->enums[i].name, outer))
            made[(*n)++] = make_enum(maker, &schema->enums[i]);
    return made;
}

static set_message **make_messages(struct maker *maker, const char *outer, size_t *n);

static void make_oneofs(struct maker *maker, const struct type *from, set_message *message)
{
    message->oneof_decl = take(maker, from->n_oneofs * sizeof(void *));
    for (uint32_t i = 0; message->oneof_decl && i < from->n_oneofs; i++) {
        Google__Protobuf__OneofDescriptorProto *oneof = take(maker, sizeof *oneof);
        if (!oneof)
            return;
        google__protobuf__oneof_descriptor_proto__init(oneof);
        oneof->name = copy_text(maker, from->oneofs[i]);
        message->oneof_decl[message->n_oneof_decl++] = oneof;
    }
}

static set_message *make_message(struct maker *maker, const struct type *from)
{
    set_message *message = take(maker, sizeof *message);
    if (!message)
        return NULL;
    google__protobuf__descriptor_proto__init(message);
    message->name = copy_text(maker, last_part(from->name));
    message->field = take(maker, from->n_fields * sizeof(void *));
    for (uint32_t i = 0; message->field && i < from->n_fields; i++)
        message->field[message->n_field++] = make_field(maker, &from->fields[i]);
    make_oneofs(maker, from, message);
    message->enum_type = make_enums(maker, from->name, &message->n_enum_type);
    message->nested_type = make_messages(maker, from->name, &message->n_nested_type);
    return message;
}

/* The types that are declared in `outer`. As deep as names have dots. */
static set_message **make_messages(struct maker *maker, const char *outer, size_t *n)
{
    const struct schema *schema = maker->schema;
    size_t count = 0;
    *n = 0;
    for (size_t i = 0; i < schema->n_types; i++)
        count += lies_in(schema->types[i].name, outer);
    set_message **made = take(maker, count * sizeof(void *));
    for (size_t i = 0; made && i < schema->n_types; i++)
        if (lies_in(schema->types[i].name, outer))
            made[(*n)++] = make_message(maker, &schema->types[i]);
    return made;
}

static void depend(struct maker *maker, struct file *file, const char *name)
{
    const struct file *on = file_of(maker, name);
    if (!on || on == file)
        return;
    for (size_t i = 0; i < file->set.n_dependency; i++)
        if (file->set.dependency[i] == on->set.name)
            return;
    file->set.dependency[file->set.n_dependency++] = on->set.name;
}

static void find_files(struct maker *maker)
{
    const struct schema *schema = maker->schema;
    maker->files = take(maker, (schema->n_types + schema->n_enums) * sizeof *maker->files);
    for (size_t i = 0; !maker->failed && i < schema->n_types; i++)
        file_of(maker, schema->types[i].name);
    for (size_t i = 0; !maker->failed && i < schema->n_enums; i++)
        file_of(maker, schema->enums[i].name);
    for (size_t i = 0; !maker->failed && i < maker->n_files; i++)
        maker->files[i].set.dependency = take(maker, maker->n_files * sizeof(char *));
    for (size_t i = 0; !maker->failed && i < schema->n_types; i++) {
        struct file *file = file_of(maker, schema->types[i].name);
        for (uint32_t f = 0; file && f < schema->types[i].n_fields; f++) {
            const struct field *field = &schema->types[i].fields[f];
            if (field->sub)
                depend(maker, file, field->sub->name);
            else if (field->values)
                depend(maker, file, field->values->name);
        }
    }
}

static s4_status pack(struct maker *maker, void **bytes, size_t *size)
{
    set_files set = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_SET__INIT;
    find_files(maker);
    set.file = take(maker, maker->n_files * sizeof(void *));
    for (size_t i = 0; !maker->failed && i < maker->n_files; i++) {
        struct file *file = &maker->files[i];
        file->set.message_type = make_messages(maker, file->package, &file->set.n_message_type);
        file->set.enum_type = make_enums(maker, file->package, &file->set.n_enum_type);
        set.file[set.n_file++] = &file->set;
    }
    if (maker->failed)
        return S4_NO_MEMORY;
    size_t packed = google__protobuf__file_descriptor_set__get_packed_size(&set);
    uint8_t *out = mem_alloc(packed);
    if (!out)
        return S4_NO_MEMORY;
    google__protobuf__file_descriptor_set__pack(&set, out);
    *bytes = out;
    *size = packed;
    return S4_OK;
}

s4_status schema_to_set(const struct schema *schema, void **bytes, size_t *size)
{
    struct maker maker = { .schema = schema };
    arena_init(&maker.memory);
    s4_status status = pack(&maker, bytes, size);
    arena_fini(&maker.memory);
    return status;
}
