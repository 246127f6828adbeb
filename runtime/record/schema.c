/* A schema's memory, and looking things up in it.
 *
 * Everything that a schema holds is bump-allocated from its chunks and freed with it. Types and
 * enums are sorted by name whatever they were built from, so that equal .proto files give equal
 * schemas.
 */
#include "runtime/record/schema_build.h"

#include "runtime/base/mem.h"

#define CHUNK_SIZE (16 * KIB)

struct schema_chunk {
    struct schema_chunk *next;
    size_t used;
    size_t size;
    _Alignas(8) char data[];
};

void *schema_take(struct schema *schema, size_t size)
{
    struct schema_chunk *chunk = schema->chunks;
    size = align_up(size, 8);
    if (!chunk || size > chunk->size - chunk->used) {
        size_t room = size_max(size, CHUNK_SIZE);
        struct schema_chunk *fresh = mem_zalloc(sizeof *fresh + room);
        if (!fresh)
            return NULL;
        *fresh = (struct schema_chunk){ .next = chunk, .size = room };
        schema->chunks = chunk = fresh;
    }
    void *at = chunk->data + chunk->used;
    chunk->used += size;
    return at;
}

char *schema_text(struct schema *schema, const char *text, size_t len)
{
    char *copy = schema_take(schema, len + 1);
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

s4_status schema_take_fields(struct schema *schema, size_t index, size_t n)
{
    struct field *fields = schema_take(schema, n * sizeof *fields);
    if (!fields)
        return S4_NO_MEMORY;
    schema->fields[index] = fields;
    schema->types[index].fields = fields;
    schema->types[index].n_fields = (uint32_t)n;
    return S4_OK;
}

s4_status schema_new(size_t n_types, size_t n_enums, struct schema **schema)
{
    struct schema *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->n_types = n_types;
    fresh->n_enums = n_enums;
    fresh->types = schema_take(fresh, n_types * sizeof *fresh->types);
    fresh->fields = schema_take(fresh, n_types * sizeof(struct field *));
    fresh->enums = schema_take(fresh, n_enums * sizeof *fresh->enums);
    if (!fresh->types || !fresh->fields || !fresh->enums) {
        schema_destroy(fresh);
        return S4_NO_MEMORY;
    }
    *schema = fresh;
    return S4_OK;
}

void schema_destroy(struct schema *schema)
{
    if (!schema)
        return;
    while (schema->chunks) {
        struct schema_chunk *chunk = schema->chunks;
        schema->chunks = chunk->next;
        mem_free(chunk);
    }
    mem_free(schema);
}

s4_status schema_finish(struct schema *schema, struct diag *diag)
{
    TRY(schema_index(schema, diag));
    TRY(schema_layout(schema, diag));
    return schema_hash(schema);
}

static int type_by_name(const void *name, const void *type)
{
    return strcmp(name, ((const struct type *)type)->name);
}

const struct type *schema_find(const struct schema *schema, const char *name)
{
    return bsearch(name, schema->types, schema->n_types, sizeof *schema->types, type_by_name);
}

size_t schema_count(const struct schema *schema)
{
    return schema->n_types;
}

const struct type *schema_get(const struct schema *schema, size_t index)
{
    CHECK(index < schema->n_types);
    return &schema->types[index];
}

/* Like strcmp of a NUL-terminated name with one that is given by its length. */
static int name_compare(const char *name, const char *given, size_t len)
{
    int order = strncmp(name, given, len);
    return order ? order : (unsigned char)name[len];
}

const struct field *type_find_len(const struct type *type, const char *name, size_t len)
{
    size_t low = 0;
    size_t high = type->n_fields;
    if (memchr(name, '\0', len))
        return NULL;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct field *field = &type->fields[type->by_name[mid]];
        int order = name_compare(field->name, name, len);
        if (order == 0)
            return field;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct field *type_find(const struct type *type, const char *name)
{
    return type_find_len(type, name, strlen(name));
}

const struct field *type_find_id(const struct type *type, uint32_t id)
{
    size_t low = 0;
    size_t high = type->n_fields;
    if (id - 1 < high && type->fields[type->by_id[id - 1]].id == id) /* ids from 1 without a gap */
        return &type->fields[type->by_id[id - 1]];
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct field *field = &type->fields[type->by_id[mid]];
        if (field->id == id)
            return field;
        if (field->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct enum_value *enum_find(const struct enum_type *values, const char *name, size_t len)
{
    size_t low = 0;
    size_t high = values->n_values;
    if (memchr(name, '\0', len))
        return NULL;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct enum_value *value = &values->values[values->by_name[mid]];
        int order = name_compare(value->name, name, len);
        if (order == 0)
            return value;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct enum_value *enum_find_number(const struct enum_type *values, int32_t number)
{
    size_t low = 0;
    size_t high = values->n_values;
    while (low < high) { /* the first of several */
        size_t mid = (low + high) / 2;
        if (values->values[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    bool found = low < values->n_values && values->values[low].number == number;
    return found ? &values->values[low] : NULL;
}

uint32_t field_value_size(const struct field *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_BYTES:
        return 16;
    default:
        return 8;
    }
}

bool field_has_ref(const struct field *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED || field->type == PROTOBUF_C_TYPE_STRING ||
           field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

const char *field_type_name(const struct field *field)
{
    static const char *const names[] = {
        [PROTOBUF_C_TYPE_INT32] = "int32",       [PROTOBUF_C_TYPE_SINT32] = "sint32",
        [PROTOBUF_C_TYPE_SFIXED32] = "sfixed32", [PROTOBUF_C_TYPE_INT64] = "int64",
        [PROTOBUF_C_TYPE_SINT64] = "sint64",     [PROTOBUF_C_TYPE_SFIXED64] = "sfixed64",
        [PROTOBUF_C_TYPE_UINT32] = "uint32",     [PROTOBUF_C_TYPE_FIXED32] = "fixed32",
        [PROTOBUF_C_TYPE_UINT64] = "uint64",     [PROTOBUF_C_TYPE_FIXED64] = "fixed64",
        [PROTOBUF_C_TYPE_FLOAT] = "float",       [PROTOBUF_C_TYPE_DOUBLE] = "double",
        [PROTOBUF_C_TYPE_BOOL] = "bool",         [PROTOBUF_C_TYPE_ENUM] = "enum",
        [PROTOBUF_C_TYPE_STRING] = "string",     [PROTOBUF_C_TYPE_BYTES] = "bytes",
        [PROTOBUF_C_TYPE_MESSAGE] = "message",
    };
    return names[field->type];
}
