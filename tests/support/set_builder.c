/* FileDescriptorSets by hand; see the header. */
#include "tests/support/set_builder.h"

#include <stdarg.h>

static void *take(struct set_builder *builder, size_t size)
{
    void *at = arena_take(&builder->memory, size);
    CHECK(at);
    memset(at, 0, size);
    return at;
}

/* Appends to an array that doubles at powers of two. */
static void **append(struct set_builder *builder, void **array, size_t *n, void *item)
{
    if ((*n & (*n - 1)) == 0) {
        void **larger = take(builder, (*n ? 2 * *n : 1) * sizeof *larger);
        if (*n)
            memcpy(larger, array, *n * sizeof *larger);
        array = larger;
    }
    array[(*n)++] = item;
    return array;
}

#define APPEND(array, n, item) array = (void *)append(builder, (void **)(array), &(n), item)

void set_builder_init(struct set_builder *builder)
{
    arena_init(&builder->memory);
    builder->set = take(builder, sizeof *builder->set);
    google__protobuf__file_descriptor_set__init(builder->set);
}

void set_builder_fini(struct set_builder *builder)
{
    arena_fini(&builder->memory);
}

char *set_text(struct set_builder *builder, const char *format, ...)
{
    char text[2 * SCHEMA_NAME_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof text);
    return memcpy(take(builder, (size_t)n + 1), text, (size_t)n + 1);
}

set_file *set_add_file(struct set_builder *builder, const char *package)
{
    set_file *file = take(builder, sizeof *file);
    google__protobuf__file_descriptor_proto__init(file);
    file->name = set_text(builder, "file%zu.proto", builder->set->n_file);
    file->package = set_text(builder, "%s", package);
    APPEND(builder->set->file, builder->set->n_file, file);
    return file;
}

static set_message *make_message(struct set_builder *builder, const char *name)
{
    set_message *message = take(builder, sizeof *message);
    google__protobuf__descriptor_proto__init(message);
    message->name = set_text(builder, "%s", name);
    return message;
}

set_message *set_add_message(struct set_builder *builder, set_file *file, const char *name)
{
    set_message *message = make_message(builder, name);
    APPEND(file->message_type, file->n_message_type, message);
    return message;
}

set_message *set_add_nested(struct set_builder *builder, set_message *outer, const char *name)
{
    set_message *message = make_message(builder, name);
    APPEND(outer->nested_type, outer->n_nested_type, message);
    return message;
}

set_enum *set_add_enum(struct set_builder *builder, set_file *file, set_message *outer,
                       const char *name)
{
    set_enum *made = take(builder, sizeof *made);
    google__protobuf__enum_descriptor_proto__init(made);
    made->name = set_text(builder, "%s", name);
    if (outer)
        APPEND(outer->enum_type, outer->n_enum_type, made);
    else
        APPEND(file->enum_type, file->n_enum_type, made);
    return made;
}

set_value *set_add_value(struct set_builder *builder, set_enum *to, const char *name, int number)
{
    set_value *value = take(builder, sizeof *value);
    google__protobuf__enum_value_descriptor_proto__init(value);
    value->name = set_text(builder, "%s", name);
    value->has_number = 1;
    value->number = number;
    APPEND(to->value, to->n_value, value);
    return value;
}

set_field *set_add_field(struct set_builder *builder, set_message *to, const char *name, int number,
                         int label, int type)
{
    set_field *field = take(builder, sizeof *field);
    google__protobuf__field_descriptor_proto__init(field);
    field->name = set_text(builder, "%s", name);
    field->has_number = field->has_label = field->has_type = 1;
    field->number = number;
    field->label = (Google__Protobuf__FieldDescriptorProto__Label)label;
    field->type = (Google__Protobuf__FieldDescriptorProto__Type)type;
    APPEND(to->field, to->n_field, field);
    return field;
}

void set_add_oneof(struct set_builder *builder, set_message *to, const char *name)
{
    Google__Protobuf__OneofDescriptorProto *oneof = take(builder, sizeof *oneof);
    google__protobuf__oneof_descriptor_proto__init(oneof);
    oneof->name = set_text(builder, "%s", name);
    APPEND(to->oneof_decl, to->n_oneof_decl, oneof);
}

const void *set_pack(struct set_builder *builder, size_t *size)
{
    *size = google__protobuf__file_descriptor_set__get_packed_size(builder->set);
    uint8_t *bytes = take(builder, *size);
    google__protobuf__file_descriptor_set__pack(builder->set, bytes);
    return bytes;
}
