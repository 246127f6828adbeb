/* Between the files that build a schema from a FileDescriptorSet. Inside runtime/record only. */
#ifndef RUNTIME_RECORD_SCHEMA_SET_H
#define RUNTIME_RECORD_SCHEMA_SET_H

#include "proto/descriptor.pb-c.h"
#include "runtime/record/codec.h"
#include "runtime/record/schema_build.h"

#define SET_NESTING_MAX 32         /* declarations of messages in messages */
#define SET_MEMORY_MAX  (64 * MIB) /* that an unpacked set may take */

typedef Google__Protobuf__FileDescriptorSet set_files;
typedef Google__Protobuf__FileDescriptorProto set_file;
typedef Google__Protobuf__DescriptorProto set_message;
typedef Google__Protobuf__FieldDescriptorProto set_field;
typedef Google__Protobuf__EnumDescriptorProto set_enum;

/* Unpacks untrusted bytes within the two limits. Ends with set_free. */
s4_status set_unpack(const void *bytes, size_t size, set_files **set, struct diag *diag) MUST_USE;
void set_free(set_files *set);

/* A declaration, by its full name. */
struct set_name {
    const char *name;
    const set_message *message; /* one of these */
    const set_enum *values;
};

/* All messages and all enums of a set, by rising name. */
struct set_names {
    struct set_name *messages;
    size_t n_messages;
    struct set_name *enums;
    size_t n_enums;
    struct arena memory;
};
s4_status set_names_find(const set_files *set, struct set_names *names, struct diag *diag) MUST_USE;
void set_names_fini(struct set_names *names);

/* Fills in all of the field but its place among the oneofs. `type` names it in messages. */
s4_status set_field_read(struct schema *schema, const char *type, const set_field *from,
                         struct field *field, struct diag *diag) MUST_USE;

#endif
