/* A schema from a plugin's protobuf-c descriptors.
 *
 * They come from a shared object that passed the loader's checks, so they are believed, with one
 * exception: that the structs are laid out as rules 6 to 9 of README.md say is compared field by
 * field, since everything after it depends on it.
 *
 * What a descriptor does not tell is found out: the order of declaration from the offsets, an
 * enum's first value from a message that its own init function filled. Names of oneofs are lost.
 */
#include "runtime/record/schema_build.h"

#include "runtime/base/mem.h"

struct finder { /* the messages and enums that are reached, each once */
    const ProtobufCMessageDescriptor **messages;
    size_t n_messages;
    const ProtobufCEnumDescriptor **enums;
    size_t n_enums;
};

static s4_status add_message(struct finder *finder, const ProtobufCMessageDescriptor *message,
                             struct diag *diag)
{
    if (!message || message->magic != PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC)
        return diag_set(diag, S4_INVALID, "found something that is no message descriptor");
    for (size_t i = 0; i < finder->n_messages; i++)
        if (finder->messages[i] == message)
            return S4_OK;
    if (!message->name || !message->name[0])
        return diag_set(diag, S4_UNSUPPORTED,
                        "found a message without a name; build its .proto "
                        "without optimize_for CODE_SIZE or LITE_RUNTIME");
    if (finder->n_messages == SCHEMA_TYPES_MAX)
        return diag_set(diag, S4_TOO_LARGE, "type %s: more than %d types", message->name,
                        SCHEMA_TYPES_MAX);
    if (message->n_fields > SCHEMA_FIELDS_MAX)
        return diag_set(diag, S4_TOO_LARGE, "type %s: %u fields, the most are %d", message->name,
                        message->n_fields, SCHEMA_FIELDS_MAX);
    finder->messages[finder->n_messages++] = message;
    return S4_OK;
}

static s4_status add_enum(struct finder *finder, const ProtobufCEnumDescriptor *found,
                          struct diag *diag)
{
    for (size_t i = 0; i < finder->n_enums; i++)
        if (finder->enums[i] == found)
            return S4_OK;
    if (!found->name || !found->name[0] || !found->values_by_name)
        return diag_set(diag, S4_UNSUPPORTED,
                        "found an enum without names; build its .proto "
                        "without optimize_for CODE_SIZE or LITE_RUNTIME");
    if (finder->n_enums == SCHEMA_ENUMS_MAX)
        return diag_set(diag, S4_TOO_LARGE, "enum %s: more than %d enums", found->name,
                        SCHEMA_ENUMS_MAX);
    if (found->n_value_names > SCHEMA_VALUES_MAX)
        return diag_set(diag, S4_TOO_LARGE, "enum %s: %u values, the most are %d", found->name,
                        found->n_value_names, SCHEMA_VALUES_MAX);
    finder->enums[finder->n_enums++] = found;
    return S4_OK;
}

static s4_status find_all(struct finder *finder, struct diag *diag)
{
    for (size_t i = 0; i < finder->n_messages; i++) { /* grows on the way */
        const ProtobufCMessageDescriptor *message = finder->messages[i];
        for (unsigned f = 0; f < message->n_fields; f++) {
            const ProtobufCFieldDescriptor *field = &message->fields[f];
            if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                TRY(add_message(finder, field->descriptor, diag));
            else if (field->type == PROTOBUF_C_TYPE_ENUM)
                TRY(add_enum(finder, field->descriptor, diag));
        }
    }
    return S4_OK;
}

static int messages_by_name(const void *a, const void *b)
{
    const ProtobufCMessageDescriptor *const *x = a;
    const ProtobufCMessageDescriptor *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int enums_by_name(const void *a, const void *b)
{
    const ProtobufCEnumDescriptor *const *x = a;
    const ProtobufCEnumDescriptor *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static s4_status sort_found(struct finder *finder, struct diag *diag)
{
    if (finder->n_messages > 1)
        qsort(finder->messages, finder->n_messages, sizeof *finder->messages, messages_by_name);
    for (size_t i = 1; i < finder->n_messages; i++)
        if (messages_by_name(&finder->messages[i - 1], &finder->messages[i]) == 0)
            return diag_set(diag, S4_EXISTS, "type %s: found twice, at different addresses",
                            finder->messages[i]->name);
    if (finder->n_enums > 1)
        qsort(finder->enums, finder->n_enums, sizeof *finder->enums, enums_by_name);
    for (size_t i = 1; i < finder->n_enums; i++)
        if (enums_by_name(&finder->enums[i - 1], &finder->enums[i]) == 0)
            return diag_set(diag, S4_EXISTS, "enum %s: found twice, at different addresses",
                            finder->enums[i]->name);
    return S4_OK;
}

/* A descriptor has one value per number, and all names, sorted, with the value that each means. */
static s4_status build_enum(struct schema *schema, const ProtobufCEnumDescriptor *from,
                            struct enum_type *type)
{
    struct enum_value *values = schema_take(schema, from->n_value_names * sizeof *values);
    type->name = schema_text(schema, from->name, strlen(from->name));
    if (!values || !type->name)
        return S4_NO_MEMORY;
    uint32_t n = 0;
    for (unsigned i = 0; i < from->n_values; i++) {
        const ProtobufCEnumValue *value = &from->values[i];
        values[n++] = (struct enum_value){ value->name, value->value };
        for (unsigned k = 0; k < from->n_value_names; k++) {
            const ProtobufCEnumValueIndex *alias = &from->values_by_name[k];
            if (alias->index == i && strcmp(alias->name, value->name) != 0)
                values[n++] = (struct enum_value){ alias->name, value->value };
        }
    }
    type->values = values;
    type->n_values = n;
    type->first = n ? values[0].number : 0; /* until a field tells better */
    return S4_OK;
}

static struct type *find_type(struct schema *schema, const struct finder *finder,
                              const void *descriptor)
{
    const ProtobufCMessageDescriptor *key = descriptor;
    const ProtobufCMessageDescriptor **at =
        bsearch(&key, finder->messages, finder->n_messages, sizeof *at, messages_by_name);
    return &schema->types[at - finder->messages];
}

static struct enum_type *find_enum(struct schema *schema, const struct finder *finder,
                                   const void *descriptor)
{
    const ProtobufCEnumDescriptor *key = descriptor;
    const ProtobufCEnumDescriptor **at =
        bsearch(&key, finder->enums, finder->n_enums, sizeof *at, enums_by_name);
    return &schema->enums[at - finder->enums];
}

static bool in_oneof(const ProtobufCFieldDescriptor *field)
{
    return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

/* The order of the struct; see struct type. */
static int fields_in_struct(const void *a, const void *b, void *fields)
{
    const ProtobufCFieldDescriptor *all = *(const ProtobufCFieldDescriptor **)fields;
    const ProtobufCFieldDescriptor *x = &all[*(const uint16_t *)a];
    const ProtobufCFieldDescriptor *y = &all[*(const uint16_t *)b];
    if (in_oneof(x) != in_oneof(y))
        return in_oneof(x) - in_oneof(y);
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static s4_status copy_text(struct schema *schema, const void *data, size_t len, struct field *field)
{
    const char *copy = schema_text(schema, data, len);
    if (!copy)
        return S4_NO_MEMORY;
    field->fallback.text.data = copy;
    field->fallback.text.len = (uint32_t)len;
    return S4_OK;
}

/* `filled` is a struct of the message as its init function leaves it. */
static s4_status build_default(struct schema *schema, const ProtobufCFieldDescriptor *from,
                               const char *filled, struct field *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return S4_OK;
    field->has_default = from->default_value != NULL;
    if (!field->has_default) {
        if (field->type == PROTOBUF_C_TYPE_ENUM && field->oneof < 0) {
            memcpy(&field->fallback.bits, filled + from->offset, 4);
            /* field->values is const for readers; the schema owns it and is being built. */
            struct enum_type *values = &schema->enums[field->values - schema->enums];
            memcpy(&values->first, filled + from->offset, 4);
        }
        return S4_OK;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return copy_text(schema, from->default_value, strlen(from->default_value), field);
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *data = from->default_value;
        return copy_text(schema, data->data, data->len, field);
    }
    memcpy(&field->fallback.bits, from->default_value, field_value_size(field));
    return S4_OK;
}

static s4_status build_field(struct schema *schema, const struct finder *finder,
                             const ProtobufCFieldDescriptor *from, struct field *field)
{
    field->name = schema_text(schema, from->name, strlen(from->name));
    if (!field->name)
        return S4_NO_MEMORY;
    field->id = from->id;
    field->type = from->type;
    field->label = from->label;
    field->packed = from->flags & PROTOBUF_C_FIELD_FLAG_PACKED;
    if (from->type == PROTOBUF_C_TYPE_MESSAGE)
        field->sub = find_type(schema, finder, from->descriptor);
    if (from->type == PROTOBUF_C_TYPE_ENUM)
        field->values = find_enum(schema, finder, from->descriptor);
    return S4_OK;
}

/* "oneof_1", with more underscores while a field has that name. */
static const char *make_oneof_name(struct schema *schema, const ProtobufCMessageDescriptor *from,
                                   uint32_t number)
{
    char name[32] = "oneof";
    size_t len = strlen(name);
    for (;;) {
        name[len++] = '_';
        snprintf(name + len, sizeof name - len, "%u", number);
        if (len > 16 || !protobuf_c_message_descriptor_get_field_by_name(from, name))
            return schema_text(schema, name, strlen(name));
    }
}

static s4_status name_oneofs(struct schema *schema, const ProtobufCMessageDescriptor *from,
                             struct type *type)
{
    const char **names = schema_take(schema, type->n_oneofs * sizeof *names);
    if (!names)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < type->n_oneofs; i++) {
        names[i] = make_oneof_name(schema, from, i + 1);
        if (!names[i])
            return S4_NO_MEMORY;
    }
    type->oneofs = names;
    return S4_OK;
}

static s4_status check_supported(const ProtobufCMessageDescriptor *from, struct diag *diag)
{
    for (unsigned i = 0; i < from->n_fields; i++) {
        if (!from->fields[i].name || !from->fields[i].name[0])
            return diag_set(diag, S4_UNSUPPORTED,
                            "type %s: its fields have no names; build its "
                            ".proto without optimize_for CODE_SIZE or LITE_RUNTIME",
                            from->name);
        if (from->fields[i].label == PROTOBUF_C_LABEL_NONE)
            return diag_set(diag, S4_UNSUPPORTED,
                            "type %s: field %s is of proto3; only proto2 "
                            "is supported",
                            from->name, from->fields[i].name);
    }
    return S4_OK;
}

static s4_status build_type(struct schema *schema, const struct finder *finder, size_t index,
                            const char *filled, struct diag *diag)
{
    struct type *type = &schema->types[index];
    const ProtobufCMessageDescriptor *from = finder->messages[index];
    uint16_t order[SCHEMA_FIELDS_MAX];
    unsigned n = from->n_fields;
    TRY(check_supported(from, diag));
    for (unsigned i = 0; i < n; i++)
        order[i] = (uint16_t)i;
    const ProtobufCFieldDescriptor *all = from->fields;
    if (n > 1)
        qsort_r(order, n, sizeof *order, fields_in_struct, &all);
    TRY(schema_take_fields(schema, index, n));
    for (unsigned i = 0; i < n; i++) {
        const ProtobufCFieldDescriptor *here = &all[order[i]];
        struct field *field = &schema->fields[index][i];
        TRY(build_field(schema, finder, here, field));
        field->oneof = -1;
        if (in_oneof(here)) {
            bool same = i > 0 && in_oneof(&all[order[i - 1]]) &&
                        all[order[i - 1]].quantifier_offset == here->quantifier_offset;
            type->n_oneofs += !same;
            field->oneof = (int32_t)type->n_oneofs - 1;
        }
        TRY(build_default(schema, here, filled, field));
    }
    return name_oneofs(schema, from, type);
}

static s4_status build_types(struct schema *schema, const struct finder *finder, struct diag *diag)
{
    for (size_t i = 0; i < finder->n_messages; i++) {
        const ProtobufCMessageDescriptor *from = finder->messages[i];
        if (from->sizeof_message > SCHEMA_IMAGE_MAX + MESSAGE_BASE)
            return diag_set(diag, S4_TOO_LARGE,
                            "type %s: its struct takes %zu bytes, the most are %zu", from->name,
                            from->sizeof_message - MESSAGE_BASE, SCHEMA_IMAGE_MAX);
        char *filled = mem_zalloc(from->sizeof_message);
        if (!filled)
            return S4_NO_MEMORY;
        if (from->message_init)
            from->message_init((ProtobufCMessage *)(void *)filled);
        s4_status status = build_type(schema, finder, i, filled, diag);
        mem_free(filled);
        TRY(status);
    }
    return S4_OK;
}

/* A oneof's enum is absent in an empty message; its first value is known when all else is built. */
static void complete_defaults(struct schema *schema)
{
    for (size_t i = 0; i < schema->n_types; i++)
        for (uint32_t f = 0; f < schema->types[i].n_fields; f++) {
            struct field *field = &schema->fields[i][f];
            if (field->values && !field->has_default && field->oneof >= 0)
                memcpy(&field->fallback.bits, &field->values->first, 4);
        }
}

/* Compares the layout with that of the compiler. */
static s4_status check_layout(const struct type *type, const ProtobufCMessageDescriptor *from,
                              struct diag *diag)
{
    if (type->image_size + MESSAGE_BASE != from->sizeof_message)
        return diag_set(diag, S4_UNSUPPORTED,
                        "type %s: its struct has %zu bytes, wanted %u; was "
                        "it generated by protoc-c 1.4 for this machine?",
                        type->name, from->sizeof_message, type->image_size + MESSAGE_BASE);
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        const ProtobufCFieldDescriptor *there =
            protobuf_c_message_descriptor_get_field(from, field->id);
        uint32_t has = field->has_offset == FIELD_NONE ? 0 : field->has_offset + MESSAGE_BASE;
        if (!there || there->offset != field->offset + MESSAGE_BASE ||
            there->quantifier_offset != has)
            return diag_set(diag, S4_UNSUPPORTED,
                            "type %s: field %s lies elsewhere in the struct "
                            "than protoc-c 1.4 puts it",
                            type->name, field->name);
    }
    return S4_OK;
}

static s4_status build(struct finder *finder, struct schema **schema, struct diag *diag)
{
    TRY(find_all(finder, diag));
    TRY(sort_found(finder, diag));
    struct schema *fresh;
    TRY(schema_new(finder->n_messages, finder->n_enums, &fresh));
    s4_status status = S4_OK;
    for (size_t i = 0; i < finder->n_messages && status == S4_OK; i++) {
        const char *name = finder->messages[i]->name;
        fresh->types[i].name = schema_text(fresh, name, strlen(name));
        fresh->types[i].descriptor = finder->messages[i];
        status = fresh->types[i].name ? S4_OK : S4_NO_MEMORY;
    }
    for (size_t i = 0; i < finder->n_enums && status == S4_OK; i++)
        status = build_enum(fresh, finder->enums[i], &fresh->enums[i]);
    if (status == S4_OK)
        status = build_types(fresh, finder, diag);
    if (status == S4_OK) {
        complete_defaults(fresh);
        status = schema_finish(fresh, diag);
    }
    for (size_t i = 0; i < fresh->n_types && status == S4_OK; i++)
        status = check_layout(&fresh->types[i], finder->messages[i], diag);
    if (status != S4_OK) {
        schema_destroy(fresh);
        return status;
    }
    *schema = fresh;
    return S4_OK;
}

s4_status schema_from_descriptors(const ProtobufCMessageDescriptor *const *types, size_t n,
                                  struct schema **schema, struct diag *diag)
{
    struct finder finder = {
        .messages = mem_calloc(SCHEMA_TYPES_MAX, sizeof *finder.messages),
        .enums = mem_calloc(SCHEMA_ENUMS_MAX, sizeof *finder.enums),
    };
    s4_status status = S4_NO_MEMORY;
    if (finder.messages && finder.enums) {
        status = S4_OK;
        for (size_t i = 0; i < n && status == S4_OK; i++)
            status = add_message(&finder, types[i], diag);
        if (status == S4_OK)
            status = build(&finder, schema, diag);
    }
    mem_free(finder.messages);
    mem_free(finder.enums);
    if (status == S4_NO_MEMORY)
        diag_set(diag, status, "no memory for the schema");
    return status;
}
