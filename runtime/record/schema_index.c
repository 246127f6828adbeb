/* The indexes of types and enums by name and by id, and the clashes that they bring to light. A
 * plugin's descriptors cannot clash; a descriptor set from outside may.
 */
#include "runtime/record/schema_build.h"

/* The comparisons get the address of the array's address, which keeps the array const. */
static int fields_by_id(const void *a, const void *b, void *fields)
{
    const struct field *all = *(const struct field **)fields;
    uint32_t x = all[*(const uint16_t *)a].id;
    uint32_t y = all[*(const uint16_t *)b].id;
    return (x > y) - (x < y);
}

static int fields_by_name(const void *a, const void *b, void *fields)
{
    const struct field *all = *(const struct field **)fields;
    return strcmp(all[*(const uint16_t *)a].name, all[*(const uint16_t *)b].name);
}

static int values_by_name(const void *a, const void *b, void *values)
{
    const struct enum_value *all = *(const struct enum_value **)values;
    return strcmp(all[*(const uint16_t *)a].name, all[*(const uint16_t *)b].name);
}

typedef int index_order_fn(const void *a, const void *b, void *all);

/* The numbers below n, ordered by what they stand for; NULL: out of memory. */
static uint16_t *make_index(struct schema *schema, size_t n, index_order_fn *order, void *all)
{
    uint16_t *index = schema_take(schema, n * sizeof *index);
    if (!index)
        return NULL;
    for (size_t i = 0; i < n; i++)
        index[i] = (uint16_t)i;
    if (n > 1)
        qsort_r(index, n, sizeof *index, order, all);
    return index;
}

static s4_status index_enum(struct schema *schema, struct enum_type *type, struct diag *diag)
{
    const struct enum_value *values = type->values;
    const uint16_t *index = make_index(schema, type->n_values, values_by_name, &values);
    if (!index)
        return S4_NO_MEMORY;
    for (uint32_t i = 1; i < type->n_values; i++)
        if (strcmp(values[index[i]].name, values[index[i - 1]].name) == 0)
            return diag_set(diag, S4_MALFORMED, "enum %s: two values are named %s", type->name,
                            values[index[i]].name);
    type->by_name = index;
    return S4_OK;
}

static s4_status index_type(struct schema *schema, struct type *type, struct diag *diag)
{
    const struct field *fields = type->fields;
    const uint16_t *by_id = make_index(schema, type->n_fields, fields_by_id, &fields);
    const uint16_t *by_name = make_index(schema, type->n_fields, fields_by_name, &fields);
    if (!by_id || !by_name)
        return S4_NO_MEMORY;
    for (uint32_t i = 1; i < type->n_fields; i++) {
        const struct field *field = &fields[by_id[i]];
        if (field->id == fields[by_id[i - 1]].id)
            return diag_set(diag, S4_MALFORMED, "type %s: two fields have the number %u",
                            type->name, field->id);
        field = &fields[by_name[i]];
        if (strcmp(field->name, fields[by_name[i - 1]].name) == 0)
            return diag_set(diag, S4_MALFORMED, "type %s: two fields are named %s", type->name,
                            field->name);
    }
    for (uint32_t i = 0; i < type->n_fields; i++)
        type->n_required += fields[i].label == PROTOBUF_C_LABEL_REQUIRED;
    type->by_id = by_id;
    type->by_name = by_name;
    return S4_OK;
}

s4_status schema_index(struct schema *schema, struct diag *diag)
{
    for (size_t i = 0; i < schema->n_enums; i++)
        TRY(index_enum(schema, &schema->enums[i], diag));
    for (size_t i = 0; i < schema->n_types; i++)
        TRY(index_type(schema, &schema->types[i], diag));
    return S4_OK;
}
