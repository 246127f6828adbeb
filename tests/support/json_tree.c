/* A walk over a descriptor and a tree, side by side. */
#include "tests/support/json_tree.h"

#include <math.h>

#include "runtime/text/base64.h"

static bool is_present(const ProtobufCFieldDescriptor *field, const char *message)
{
    const void *at = message + field->offset;
    uint32_t has = *(const uint32_t *)(const void *)(message + field->quantifier_offset);
    if (field->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return has != 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return has == field->id;
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const void *p = *(const void *const *)at;
        return p != NULL && p != field->default_value;
    }
    return has != 0;
}

static bool same_double(const json_t *tree, double want)
{
    if (isnan(want))
        return strcmp(json_string_value(tree), "NaN") == 0;
    if (isinf(want))
        return strcmp(json_string_value(tree), want > 0 ? "Infinity" : "-Infinity") == 0;
    return json_is_number(tree) && json_number_value(tree) == want;
}

static bool same_enum(const json_t *tree, const ProtobufCEnumDescriptor *type, int32_t want)
{
    if (!json_is_string(tree))
        return json_is_integer(tree) && json_integer_value(tree) == want &&
               !protobuf_c_enum_descriptor_get_value(type, want);
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(type, json_string_value(tree));
    return value && value->value == want;
}

static bool same_bytes(const json_t *tree, const ProtobufCBinaryData *want)
{
    char text[256];
    size_t size = base64_decode(json_string_value(tree), json_string_length(tree), text);
    return size == want->len && (size == 0 || memcmp(text, want->data, size) == 0);
}

static bool same_element(const json_t *tree, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
        return isfinite(*(const float *)at)
                   ? json_is_number(tree) && (float)json_number_value(tree) == *(const float *)at
                   : same_double(tree, (double)*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return same_double(tree, *(const double *)at);
    case PROTOBUF_C_TYPE_BOOL:
        return json_is_boolean(tree) && json_is_true(tree) == (*(const int *)at != 0);
    case PROTOBUF_C_TYPE_ENUM:
        return same_enum(tree, field->descriptor, *(const int32_t *)at);
    case PROTOBUF_C_TYPE_STRING:
        return json_is_string(tree) && strcmp(json_string_value(tree), *(char *const *)at) == 0;
    case PROTOBUF_C_TYPE_BYTES:
        return json_is_string(tree) && same_bytes(tree, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return json_tree_is(tree, *(ProtobufCMessage *const *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_is_integer(tree) && json_integer_value(tree) == *(const uint32_t *)at;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_is_integer(tree) && json_integer_value(tree) == *(const int32_t *)at;
    default:
        return json_is_integer(tree) && json_integer_value(tree) == *(const int64_t *)at;
    }
}

static bool same_field(const json_t *tree, const ProtobufCFieldDescriptor *field,
                       const char *message)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return same_element(tree, field, message + field->offset);
    size_t n = *(const size_t *)(const void *)(message + field->quantifier_offset);
    const char *array = *(const char *const *)(const void *)(message + field->offset);
    bool wide = field->type == PROTOBUF_C_TYPE_INT64 || field->type == PROTOBUF_C_TYPE_SINT64 ||
                field->type == PROTOBUF_C_TYPE_SFIXED64 || field->type == PROTOBUF_C_TYPE_UINT64 ||
                field->type == PROTOBUF_C_TYPE_FIXED64 || field->type == PROTOBUF_C_TYPE_DOUBLE ||
                field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
    size_t size = field->type == PROTOBUF_C_TYPE_BYTES ? 16 : wide ? 8 : 4;
    if (json_array_size(tree) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!same_element(json_array_get(tree, i), field, array + i * size))
            return false;
    return true;
}

bool json_tree_is(const json_t *tree, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    size_t present = 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const json_t *each = json_object_get(tree, field->name);
        bool there = is_present(field, (const char *)message);
        present += there;
        if (there != (each != NULL) || (there && !same_field(each, field, (const char *)message)))
            return false;
    }
    return json_is_object(tree) && json_object_size(tree) == present;
}
