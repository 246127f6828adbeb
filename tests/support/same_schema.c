/* Equality of schemas; see the header. */
#include "tests/support/same_schema.h"

#include <check.h>

#define SAME(cond)                     \
    do {                               \
        if (!(cond))                   \
            ck_abort_msg("%s", #cond); \
    } while (0)

static void same_enum(const struct enum_type *a, const struct enum_type *b)
{
    SAME(strcmp(a->name, b->name) == 0);
    SAME(a->first == b->first);
    SAME(a->n_values == b->n_values);
    for (uint32_t i = 0; i < a->n_values; i++) {
        SAME(strcmp(a->values[i].name, b->values[i].name) == 0);
        SAME(a->values[i].number == b->values[i].number);
        SAME(a->by_name[i] == b->by_name[i]);
    }
}

static void same_default(const struct field *a, const struct field *b)
{
    SAME(a->has_default == b->has_default);
    if (!field_has_ref(a)) {
        SAME(a->fallback.bits == b->fallback.bits);
    } else if (a->has_default) {
        SAME(a->fallback.text.len == b->fallback.text.len);
        SAME(memcmp(a->fallback.text.data, b->fallback.text.data, a->fallback.text.len + 1) == 0);
    }
}

static void same_field(const struct field *a, const struct field *b)
{
    SAME(strcmp(a->name, b->name) == 0);
    SAME(a->id == b->id && a->type == b->type && a->label == b->label);
    SAME(a->packed == b->packed);
    SAME(a->offset == b->offset && a->has_offset == b->has_offset);
    SAME(a->oneof == b->oneof && a->declared == b->declared);
    SAME(!a->sub == !b->sub && !a->values == !b->values);
    if (a->sub)
        SAME(strcmp(a->sub->name, b->sub->name) == 0);
    if (a->values)
        same_enum(a->values, b->values);
    same_default(a, b);
}

void same_type(const struct type *a, const struct type *b)
{
    SAME(b);
    SAME(strcmp(a->name, b->name) == 0);
    SAME(a->n_fields == b->n_fields && a->n_oneofs == b->n_oneofs);
    SAME(a->image_size == b->image_size);
    for (uint32_t i = 0; i < a->n_fields; i++) {
        same_field(&a->fields[i], &b->fields[i]);
        SAME(a->fields[i].declared == i);
        SAME(a->by_id[i] == b->by_id[i] && a->by_name[i] == b->by_name[i]);
    }
    SAME(a->flat == b->flat && a->n_strings == b->n_strings && a->n_refs == b->n_refs);
    for (uint32_t i = 0; i < a->n_strings; i++)
        SAME(a->strings[i] == b->strings[i]);
    SAME(memcmp(a->initial, b->initial, a->image_size) == 0);
    SAME(a->hash == b->hash);
}

void same_schema(const struct schema *a, const struct schema *b)
{
    SAME(schema_count(a) == schema_count(b));
    for (size_t i = 0; i < schema_count(a); i++)
        same_type(schema_get(a, i), schema_get(b, i));
}
