/* From a type's fields to its image.
 *
 * The image is the struct that protoc-c generates, member by member (README.md, rules 6 to 9):
 * fields outside of oneofs in order of declaration, each behind its has_ flag or its count, then
 * every oneof: its case and a union. Only sizes of 4, 8 and 16 and alignments of 4 and 8 exist, so
 * no hole is wider than 4 bytes.
 */
#include "runtime/record/schema_build.h"

static uint32_t place(uint32_t *at, uint32_t size, uint32_t align)
{
    uint32_t offset = (uint32_t)align_up(*at, align);
    *at = offset + size;
    return offset;
}

static void place_single(struct field *field, uint32_t *at)
{
    uint32_t size = field_value_size(field);
    field->has_offset = FIELD_NONE;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        field->has_offset = place(at, 8, 8);
        size = 8;
    } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
               field->type != PROTOBUF_C_TYPE_MESSAGE) {
        field->has_offset = place(at, 4, 4);
    }
    field->offset = place(at, size, (uint32_t)size_min(size, 8));
}

/* The members of one oneof, `n` of them. */
static void place_oneof(struct field *members, size_t n, uint32_t *at)
{
    uint32_t size = 4;
    for (size_t i = 0; i < n; i++)
        size = (uint32_t)size_max(size, field_value_size(&members[i]));
    uint32_t chosen = place(at, 4, 4);
    uint32_t slot = place(at, size, (uint32_t)size_min(size, 8));
    for (size_t i = 0; i < n; i++) {
        members[i].has_offset = chosen;
        members[i].offset = slot;
    }
}

static void place_fields(struct type *type, struct field *fields)
{
    uint32_t at = 0;
    uint32_t n = type->n_fields;
    for (uint32_t i = 0; i < n; i++)
        fields[i].declared = i;
    for (uint32_t i = 0; i < n;) {
        uint32_t members = 1;
        while (fields[i].oneof >= 0 && i + members < n &&
               fields[i + members].oneof == fields[i].oneof)
            members++;
        if (fields[i].oneof >= 0)
            place_oneof(&fields[i], members, &at);
        else
            place_single(&fields[i], &at);
        i += members;
    }
    type->image_size = (uint32_t)align_up(at, 8);
}

/* The lists of fields that the codec, the checks and the moves walk. */
static s4_status list_refs(struct schema *schema, struct type *type)
{
    const struct field **refs = schema_take(schema, type->n_fields * sizeof *refs);
    uint32_t *strings = schema_take(schema, type->n_fields * sizeof *strings);
    if (!refs || !strings)
        return S4_NO_MEMORY;
    type->flat = true;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (field_has_ref(field)) {
            strings[type->n_refs] = field->offset;
            refs[type->n_refs++] = field;
        }
        if (field->oneof >= 0 || field->label == PROTOBUF_C_LABEL_REPEATED ||
            (field_has_ref(field) && field->type != PROTOBUF_C_TYPE_STRING))
            type->flat = false;
    }
    type->refs = refs;
    if (type->flat) {
        type->n_strings = type->n_refs;
        type->strings = strings;
        type->string_fields = refs;
    }
    return S4_OK;
}

static s4_status fill_initial(struct schema *schema, struct type *type)
{
    char *image = schema_take(schema, type->image_size);
    if (!image)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        const uint32_t ref = REF_DEFAULT;
        if (field->oneof >= 0 || field->label == PROTOBUF_C_LABEL_REPEATED)
            continue;
        if (!field_has_ref(field))
            memcpy(image + field->offset, &field->fallback.bits, field_value_size(field));
        else if (field->has_default && field->type == PROTOBUF_C_TYPE_STRING)
            memcpy(image + field->offset, &ref, sizeof ref);
        else if (field->has_default)
            memcpy(image + field->offset + 8, &ref, sizeof ref);
    }
    type->initial = image;
    return S4_OK;
}

/* Whether a value of the type needs a value of the type, through required fields. `state` of a
 * type: 0 unseen, 1 on the path, 2 done. Recursion is at most as deep as the number of types. */
static bool needs_itself(const struct schema *schema, const struct type *type, uint8_t *state)
{
    uint8_t *mine = &state[type - schema->types];
    if (*mine)
        return *mine == 1;
    *mine = 1;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (field->sub && field->label == PROTOBUF_C_LABEL_REQUIRED &&
            needs_itself(schema, field->sub, state))
            return true;
    }
    *mine = 2;
    return false;
}

s4_status schema_layout(struct schema *schema, struct diag *diag)
{
    uint8_t state[SCHEMA_TYPES_MAX] = { 0 };
    for (size_t i = 0; i < schema->n_types; i++) {
        struct type *type = &schema->types[i];
        place_fields(type, schema->fields[i]);
        if (type->image_size > SCHEMA_IMAGE_MAX)
            return diag_set(diag, S4_TOO_LARGE,
                            "type %s: its struct takes %u bytes, the most are %zu", type->name,
                            type->image_size, SCHEMA_IMAGE_MAX);
        if (needs_itself(schema, type, state))
            return diag_set(diag, S4_UNSUPPORTED,
                            "type %s: needs itself through required fields, no value is finite",
                            type->name);
        TRY(list_refs(schema, type));
        TRY(fill_initial(schema, type));
    }
    return S4_OK;
}
