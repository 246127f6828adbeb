/* What the builders of a schema share: the object itself, its memory, and the last step.
 *
 * A builder (schema_descriptor.c, schema_set.c) makes the types and enums with names, gives every
 * type its fields in the order of the struct, and calls `schema_finish`, which does the rest for
 * both. Inside runtime/record only.
 */
#ifndef RUNTIME_RECORD_SCHEMA_BUILD_H
#define RUNTIME_RECORD_SCHEMA_BUILD_H

#include "runtime/record/schema.h"

struct schema_chunk;

struct schema {
    struct type *types;    /* by rising name */
    struct field **fields; /* of each type; the same memory as type->fields */
    size_t n_types;
    struct enum_type *enums; /* by rising name */
    size_t n_enums;
    struct schema_chunk *chunks; /* owned: all memory above and below */
};

/* An empty schema with room for so many types and enums. */
s4_status schema_new(size_t n_types, size_t n_enums, struct schema **schema) MUST_USE;

/* Zeroed, 8-aligned, lives as long as the schema; NULL: out of memory. */
void *schema_take(struct schema *schema, size_t size);
char *schema_text(struct schema *schema, const char *text, size_t len);

/* Gives the type at `index` an array of `n` fields. */
s4_status schema_take_fields(struct schema *schema, size_t index, size_t n) MUST_USE;

/* From types with their fields to a schema that can be used: indexes, limits, layout, hashes. */
s4_status schema_finish(struct schema *schema, struct diag *diag) MUST_USE;

/* The parts of it, in this order. */
s4_status schema_index(struct schema *schema, struct diag *diag) MUST_USE;
s4_status schema_layout(struct schema *schema, struct diag *diag) MUST_USE;
s4_status schema_hash(struct schema *schema) MUST_USE;

#endif
