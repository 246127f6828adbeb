/* A schema from a FileDescriptorSet, untrusted: what a bundle carries, so that tools and apps
 * without code know its types. Rules 6 to 9 of README.md give the image that the plugin's compiler
 * made.
 */
#include "runtime/record/schema_set.h"

typedef Google__Protobuf__EnumValueDescriptorProto set_value;

static int values_by_number(const void *a, const void *b, void *arg)
{
    set_value *const *all = *(set_value *const **)arg;
    uint16_t x = *(const uint16_t *)a;
    uint16_t y = *(const uint16_t *)b;
    if (all[x]->number != all[y]->number)
        return all[x]->number < all[y]->number ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int values_by_name(const void *a, const void *b)
{
    return strcmp(((const struct enum_value *)a)->name, ((const struct enum_value *)b)->name);
}

/* Of values with one number all but the first are aliases: by name. */
static void sort_aliases(struct enum_value *values, uint32_t n)
{
    for (uint32_t from = 0, to = 0; from < n; from = to) {
        while (to < n && values[to].number == values[from].number)
            to++;
        if (to - from > 2)
            qsort(values + from + 1, to - from - 1, sizeof *values, values_by_name);
    }
}

static s4_status build_enum(struct schema *schema, const struct set_name *from,
                            struct enum_type *type)
{
    uint16_t order[SCHEMA_VALUES_MAX];
    set_value *const *all = from->values->value;
    uint32_t n = (uint32_t)from->values->n_value;
    struct enum_value *values = schema_take(schema, n * sizeof *values);
    type->name = schema_text(schema, from->name, strlen(from->name));
    if (!values || !type->name)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        order[i] = (uint16_t)i;
    qsort_r(order, n, sizeof *order, values_by_number, &all);
    for (uint32_t i = 0; i < n; i++) {
        const set_value *value = all[order[i]];
        values[i].number = value->number;
        values[i].name = schema_text(schema, value->name, strlen(value->name));
        if (!values[i].name)
            return S4_NO_MEMORY;
    }
    sort_aliases(values, n);
    type->values = values;
    type->n_values = n;
    type->first = all[0]->number;
    return S4_OK;
}

/* The order of the struct; see struct type. */
static int fields_in_struct(const void *a, const void *b, void *arg)
{
    set_field *const *all = *(set_field *const **)arg;
    uint16_t x = *(const uint16_t *)a;
    uint16_t y = *(const uint16_t *)b;
    int32_t x_oneof = all[x]->has_oneof_index ? all[x]->oneof_index : -1;
    int32_t y_oneof = all[y]->has_oneof_index ? all[y]->oneof_index : -1;
    if (x_oneof != y_oneof)
        return x_oneof < y_oneof ? -1 : 1;
    if (x_oneof >= 0 && all[x]->number != all[y]->number)
        return all[x]->number < all[y]->number ? -1 : 1;
    return x < y ? -1 : x > y;
}

static s4_status build_oneofs(struct schema *schema, const set_message *from, struct type *type)
{
    const char **names = schema_take(schema, from->n_oneof_decl * sizeof *names);
    if (!names)
        return S4_NO_MEMORY;
    for (size_t i = 0; i < from->n_oneof_decl; i++) {
        const char *name = from->oneof_decl[i]->name;
        names[i] = schema_text(schema, name, strlen(name));
        if (!names[i])
            return S4_NO_MEMORY;
    }
    type->oneofs = names;
    type->n_oneofs = (uint32_t)from->n_oneof_decl;
    return S4_OK;
}

/* Every oneof has members, and they are all optional. */
static s4_status check_oneofs(const struct type *type, struct diag *diag)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (field->oneof < 0)
            continue;
        if (field->label != PROTOBUF_C_LABEL_OPTIONAL || (uint32_t)field->oneof >= type->n_oneofs)
            return diag_set(diag, S4_MALFORMED, "type %s: field %s cannot be in a oneof",
                            type->name, field->name);
        seen += i == 0 || type->fields[i - 1].oneof != field->oneof;
    }
    if (seen != type->n_oneofs)
        return diag_set(diag, S4_MALFORMED, "type %s: a oneof has no fields", type->name);
    return S4_OK;
}

static s4_status build_type(struct schema *schema, const struct set_name *from, size_t index,
                            struct diag *diag)
{
    struct type *type = &schema->types[index];
    const set_message *message = from->message;
    uint16_t order[SCHEMA_FIELDS_MAX] = { 0 };
    set_field *const *all = message->field;
    for (size_t i = 0; i < message->n_field; i++)
        order[i] = (uint16_t)i;
    if (message->n_field > 1)
        qsort_r(order, message->n_field, sizeof *order, fields_in_struct, &all);
    TRY(schema_take_fields(schema, index, message->n_field));
    for (size_t i = 0; i < message->n_field; i++) {
        struct field *field = &schema->fields[index][i];
        const set_field *here = all[order[i]];
        field->oneof = here->has_oneof_index ? here->oneof_index : -1;
        if (field->oneof < -1 || (here->has_oneof_index && field->oneof == -1))
            return diag_set(diag, S4_MALFORMED, "type %s: field %s cannot be in a oneof",
                            type->name, here->name);
        TRY(set_field_read(schema, type->name, here, field, diag));
    }
    TRY(build_oneofs(schema, message, type));
    return check_oneofs(type, diag);
}

static s4_status build(struct schema *schema, const struct set_names *names, struct diag *diag)
{
    for (size_t i = 0; i < names->n_messages; i++) {
        const char *name = names->messages[i].name;
        schema->types[i].name = schema_text(schema, name, strlen(name));
        if (!schema->types[i].name)
            return S4_NO_MEMORY;
    }
    for (size_t i = 0; i < names->n_enums; i++)
        TRY(build_enum(schema, &names->enums[i], &schema->enums[i]));
    for (size_t i = 0; i < names->n_messages; i++)
        TRY(build_type(schema, &names->messages[i], i, diag));
    return schema_finish(schema, diag);
}

static s4_status build_from(const set_files *set, struct schema **schema, struct diag *diag)
{
    struct set_names names;
    struct schema *fresh = NULL;
    s4_status status = set_names_find(set, &names, diag);
    if (status == S4_OK)
        status = schema_new(names.n_messages, names.n_enums, &fresh);
    if (status == S4_OK)
        status = build(fresh, &names, diag);
    set_names_fini(&names);
    if (status != S4_OK) {
        schema_destroy(fresh);
        return status;
    }
    *schema = fresh;
    return S4_OK;
}

s4_status schema_from_set(const void *bytes, size_t size, struct schema **schema, struct diag *diag)
{
    set_files *set;
    TRY(set_unpack(bytes, size, &set, diag));
    s4_status status = build_from(set, schema, diag);
    set_free(set);
    if (status == S4_NO_MEMORY)
        diag_set(diag, status, "no memory for the schema");
    return status;
}
