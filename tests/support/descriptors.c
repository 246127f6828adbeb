/* Descriptors at run time; see the header. */
#include "tests/support/descriptors.h"

struct maker {
    const struct schema *schema;
    struct arena *arena;
    ProtobufCMessageDescriptor *messages;
    const struct enum_type **enums; /* that were met, and what they became */
    ProtobufCEnumDescriptor **made;
    size_t n_enums;
};

static void *take(struct maker *maker, size_t size)
{
    void *at = arena_take(maker->arena, size);
    CHECK(at);
    return memset(at, 0, size);
}

/* One value per number, the one declared first; all names, sorted. */
static ProtobufCEnumDescriptor *make_enum(struct maker *maker, const struct enum_type *from)
{
    ProtobufCEnumDescriptor *made = take(maker, sizeof *made);
    ProtobufCEnumValue *values = take(maker, from->n_values * sizeof *values);
    ProtobufCEnumValueIndex *names = take(maker, from->n_values * sizeof *names);
    unsigned *becomes = take(maker, from->n_values * sizeof *becomes);
    unsigned n = 0;
    for (uint32_t i = 0; i < from->n_values; i++) {
        if (i == 0 || from->values[i].number != from->values[i - 1].number)
            values[n++] = (ProtobufCEnumValue){ .name = from->values[i].name,
                                                .value = from->values[i].number };
        becomes[i] = n - 1;
    }
    for (uint32_t i = 0; i < from->n_values; i++)
        names[i] = (ProtobufCEnumValueIndex){ .name = from->values[from->by_name[i]].name,
                                              .index = becomes[from->by_name[i]] };
    *made = (ProtobufCEnumDescriptor){
        .magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
        .name = from->name,
        .n_values = n,
        .values = values,
        .n_value_names = from->n_values,
        .values_by_name = names,
    };
    return made;
}

static const ProtobufCEnumDescriptor *enum_of(struct maker *maker, const struct enum_type *type)
{
    for (size_t i = 0; i < maker->n_enums; i++)
        if (maker->enums[i] == type)
            return maker->made[i];
    CHECK(maker->n_enums < SCHEMA_ENUMS_MAX);
    maker->enums[maker->n_enums] = type;
    maker->made[maker->n_enums] = make_enum(maker, type);
    return maker->made[maker->n_enums++];
}

static const void *make_default(struct maker *maker, const struct field *field)
{
    if (!field->has_default)
        return NULL;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return field->fallback.text.data;
    if (field->type != PROTOBUF_C_TYPE_BYTES)
        return &field->fallback.bits;
    ProtobufCBinaryData *data = take(maker, sizeof *data);
    data->len = field->fallback.text.len;
    data->data = take(maker, data->len + 1);
    memcpy(data->data, field->fallback.text.data, data->len);
    return data;
}

static ProtobufCFieldDescriptor make_field(struct maker *maker, const struct field *field)
{
    const void *refers = NULL;
    if (field->sub)
        for (size_t i = 0; i < schema_count(maker->schema); i++)
            if (schema_get(maker->schema, i) == field->sub)
                refers = &maker->messages[i];
    if (field->values)
        refers = enum_of(maker, field->values);
    return (ProtobufCFieldDescriptor){
        .name = field->name,
        .id = field->id,
        .label = field->label,
        .type = field->type,
        .quantifier_offset = field->has_offset == FIELD_NONE ? 0 : field->has_offset + MESSAGE_BASE,
        .offset = field->offset + MESSAGE_BASE,
        .descriptor = refers,
        .default_value = make_default(maker, field),
        .flags = (field->oneof >= 0 ? PROTOBUF_C_FIELD_FLAG_ONEOF : 0) |
                 (field->packed ? PROTOBUF_C_FIELD_FLAG_PACKED : 0),
    };
}

/* Runs of numbers that follow each other, and where they start; closed by the count. */
static unsigned make_ranges(const ProtobufCFieldDescriptor *fields, unsigned n,
                            ProtobufCIntRange *ranges)
{
    unsigned n_ranges = 0;
    for (unsigned i = 0; i < n; i++)
        if (i == 0 || fields[i].id != fields[i - 1].id + 1)
            ranges[n_ranges++] = (ProtobufCIntRange){ (int)fields[i].id, i };
    ranges[n_ranges] = (ProtobufCIntRange){ 0, n };
    return n_ranges;
}

static void make_message(struct maker *maker, const struct type *from,
                         ProtobufCMessageDescriptor *message)
{
    ProtobufCFieldDescriptor *fields = take(maker, from->n_fields * sizeof *fields);
    unsigned *by_name = take(maker, from->n_fields * sizeof *by_name);
    unsigned *place = take(maker, from->n_fields * sizeof *place);
    ProtobufCIntRange *ranges = take(maker, (from->n_fields + 1) * sizeof *ranges);
    for (uint32_t i = 0; i < from->n_fields; i++) {
        fields[i] = make_field(maker, &from->fields[from->by_id[i]]);
        place[from->by_id[i]] = i;
    }
    for (uint32_t i = 0; i < from->n_fields; i++)
        by_name[i] = place[from->by_name[i]];
    *message = (ProtobufCMessageDescriptor){
        .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
        .name = from->name,
        .sizeof_message = from->image_size + MESSAGE_BASE,
        .n_fields = from->n_fields,
        .fields = fields,
        .fields_sorted_by_name = by_name,
        .n_field_ranges = make_ranges(fields, from->n_fields, ranges),
        .field_ranges = ranges,
    };
}

const ProtobufCMessageDescriptor *const *descriptors_make(const struct schema *schema,
                                                          struct arena *arena)
{
    size_t n = schema_count(schema);
    struct maker maker = { .schema = schema, .arena = arena };
    maker.messages = take(&maker, n * sizeof *maker.messages);
    maker.enums = take(&maker, SCHEMA_ENUMS_MAX * sizeof *maker.enums);
    maker.made = take(&maker, SCHEMA_ENUMS_MAX * sizeof *maker.made);
    const ProtobufCMessageDescriptor **all = take(&maker, n * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        make_message(&maker, schema_get(schema, i), &maker.messages[i]);
        all[i] = &maker.messages[i];
    }
    return all;
}
