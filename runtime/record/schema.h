/* Types: what an event's attributes are, compiled once from a descriptor.
 *
 * A schema comes from a plugin's protobuf-c descriptors or from a FileDescriptorSet in a bundle;
 * both give the same layouts and the same hashes for the same .proto.
 *
 * The image of a type is the C struct that protoc-c 1.4 generates for it on an LP64 little-endian
 * machine, without the 24 bytes of its base, in which every pointer is replaced by a reference:
 *   string             { u32 off, u32 len }        len without the NUL, which is always there
 *   bytes              { u64 len, u32 off, u32 0 } in the place of { size_t len, uint8_t *data }
 *   repeated           { u64 n, u32 off, u32 0 }   off of an 8-aligned array: scalars as in C (bool
 *                                                  4 bytes), strings as { off, len }, bytes as
 *                                                  { len, off, 0 }, messages as u64 off
 *   sub-message        { u32 off, u32 0 }          off of an 8-aligned image
 *   oneof              u32 case and the slot of 8 or 16 bytes, as in the struct
 * An `off` counts from the start of the record. 0 is NULL (or empty), REF_DEFAULT the field's
 * default, REF_EMPTY an empty, non-NULL bytes value. The values of absent optional scalars are
 * written as the sender's struct has them.
 *
 * Immutable once built; any thread.
 */
#ifndef RUNTIME_RECORD_SCHEMA_H
#define RUNTIME_RECORD_SCHEMA_H

#include <protobuf-c/protobuf-c.h>

#include "runtime/base/base.h"
#include "runtime/base/diag.h"

/* Sub-messages in sub-messages, of a value: the outermost one is at depth 0, one at depth 64 is
 * fine, one at 65 is refused. */
#define SCHEMA_DEPTH_MAX  64
#define SCHEMA_TYPES_MAX  1024       /* message types of one schema */
#define SCHEMA_ENUMS_MAX  1024       /* enum types of one schema */
#define SCHEMA_FIELDS_MAX 1024       /* fields of one type */
#define SCHEMA_VALUES_MAX 4096       /* values of one enum */
#define SCHEMA_NAME_MAX   512        /* bytes of a full name */
#define SCHEMA_IMAGE_MAX  (16 * KIB) /* bytes of one type's image */
#define SCHEMA_SET_MAX    (4 * MIB)  /* bytes of a serialised descriptor set */

#define FIELD_NONE  0xffffffffu
#define REF_NULL    0u
#define REF_DEFAULT 1u
#define REF_EMPTY   2u

#define MESSAGE_BASE                                                            \
    24 /* sizeof(ProtobufCMessage): struct offset = image offset + MESSAGE_BASE \
        */

struct enum_value {
    const char *name;
    int32_t number;
};

struct enum_type {
    const char *name; /* full */
    uint32_t n_values;
    const struct enum_value *values; /* by rising number; of aliases the one declared first comes
                                        first, the others by name */
    const uint16_t *by_name;         /* indexes into values, by rising name */
    int32_t first;                   /* the number declared first: the default without a default */
};

struct type;

struct field {
    const char *name;
    uint32_t id;
    ProtobufCType type;
    ProtobufCLabel label;
    bool packed;
    bool has_default;
    uint32_t offset;     /* of the value (the slot, for a oneof member) in the image */
    uint32_t has_offset; /* of the presence flag, the count or the oneof's case; else FIELD_NONE */
    int32_t oneof;       /* index in the type's oneofs, or -1 */
    uint32_t declared;   /* index in the type's fields */
    const struct type *sub;         /* MESSAGE */
    const struct enum_type *values; /* ENUM */
    union {                         /* the default, or an enum's first value, or zero */
        uint64_t bits;              /* scalars, as they lie in the image */
        struct {
            const char *data; /* strings and bytes: NUL-terminated copy, owned by the schema */
            uint32_t len;
        } text;
    } fallback;
};

struct type {
    const char *name; /* full: "package.Message" */
    uint32_t n_fields;
    uint32_t n_required;        /* fields that are required */
    const struct field *fields; /* in the order of the struct: those outside of oneofs as declared,
                                   then oneof after oneof, the members of one by rising id */
    const uint16_t *by_id;      /* indexes into fields, by rising id */
    const uint16_t *by_name;    /* indexes into fields, by rising name */
    uint32_t n_oneofs;
    const char *const *oneofs; /* names; a plugin's descriptor has none, there they are made up */
    uint32_t image_size;       /* multiple of 8 */
    const char *initial;     /* the image of a message in which nothing is set: defaults in place */
    uint64_t hash;           /* identity: names, ids, types, labels, order, oneofs, enums,
                                defaults and all of the sub-types; no addresses, no offsets, but
                                equal hashes mean equal images */
    bool flat;               /* only scalars and strings: the unrolled codec serves it */
    uint32_t n_strings;      /* flat types: string fields, by rising offset */
    const uint32_t *strings; /* their image offsets */
    const struct field *const *string_fields;
    uint32_t n_refs; /* fields with references in their values, by rising offset */
    const struct field *const *refs;
    const ProtobufCMessageDescriptor *descriptor; /* of the plugin; NULL from a descriptor set */
};

struct schema;

/* Builds a schema of the given types and all that they reach. The descriptors must outlive it.
 * Refuses structs that are not laid out as above (S4_UNSUPPORTED), naming type and field. */
s4_status schema_from_descriptors(const ProtobufCMessageDescriptor *const *types, size_t n,
                                  struct schema **schema, struct diag *diag) MUST_USE;

/* Builds a schema of all message types of a serialised FileDescriptorSet; untrusted input. proto2,
 * no groups, no extensions, no required recursion. */
s4_status schema_from_set(const void *bytes, size_t size, struct schema **schema,
                          struct diag *diag) MUST_USE;

void schema_destroy(struct schema *schema); /* NULL is fine */

/* By full name; NULL if there is none. Borrowed from the schema. */
const struct type *schema_find(const struct schema *schema, const char *name);
size_t schema_count(const struct schema *schema);
const struct type *schema_get(const struct schema *schema, size_t index);

/* Writes the schema as a FileDescriptorSet, from which schema_from_set builds equal types (equal
 * hashes). *bytes is the caller's to mem_free. */
s4_status schema_to_set(const struct schema *schema, void **bytes, size_t *size) MUST_USE;

/* By name or by id; NULL if there is none. */
const struct field *type_find(const struct type *type, const char *name);
const struct field *type_find_len(const struct type *type, const char *name, size_t len);
const struct field *type_find_id(const struct type *type, uint32_t id);

const struct enum_value *enum_find(const struct enum_type *values, const char *name, size_t len);
const struct enum_value *enum_find_number(const struct enum_type *values, int32_t number);

/* Bytes of one value in an image or in the array of a repeated field: 4, 8 or 16. */
uint32_t field_value_size(const struct field *field);
/* Whether the value holds a reference (strings, bytes, messages, repeated fields). */
bool field_has_ref(const struct field *field);

/* "string", "int32", ... for messages to people. */
const char *field_type_name(const struct field *field);

#endif
