/* Building FileDescriptorSets in tests: by hand, one declaration a call, and at random. */
#ifndef TESTS_SUPPORT_SET_BUILDER_H
#define TESTS_SUPPORT_SET_BUILDER_H

#include "proto/descriptor.pb-c.h"
#include "runtime/base/rng.h"
#include "runtime/record/codec.h"

typedef Google__Protobuf__FileDescriptorSet set_files;
typedef Google__Protobuf__FileDescriptorProto set_file;
typedef Google__Protobuf__DescriptorProto set_message;
typedef Google__Protobuf__FieldDescriptorProto set_field;
typedef Google__Protobuf__EnumDescriptorProto set_enum;
typedef Google__Protobuf__EnumValueDescriptorProto set_value;

/* Numbers of FieldDescriptorProto.Type and Label. */
enum {
    SET_DOUBLE = 1,
    SET_FLOAT = 2,
    SET_INT64 = 3,
    SET_INT32 = 5,
    SET_BOOL = 8,
    SET_STRING = 9,
    SET_GROUP = 10,
    SET_MESSAGE = 11,
    SET_BYTES = 12,
    SET_UINT32 = 13,
    SET_ENUM = 14
};
enum { SET_OPTIONAL = 1, SET_REQUIRED = 2, SET_REPEATED = 3 };

/* All memory is the arena's; arrays have room for as many as the schema's limits allow, plus some.
 */
struct set_builder {
    struct arena memory;
    set_files *set;
};

void set_builder_init(struct set_builder *builder);
void set_builder_fini(struct set_builder *builder);
char *set_text(struct set_builder *builder, const char *format, ...) PRINTF(2, 3);
set_file *set_add_file(struct set_builder *builder, const char *package);
set_message *set_add_message(struct set_builder *builder, set_file *file, const char *name);
set_message *set_add_nested(struct set_builder *builder, set_message *outer, const char *name);
/* In `outer`, or in `file` where that is NULL. */
set_enum *set_add_enum(struct set_builder *builder, set_file *file, set_message *outer,
                       const char *name);
set_value *set_add_value(struct set_builder *builder, set_enum *to, const char *name, int number);
set_field *set_add_field(struct set_builder *builder, set_message *to, const char *name, int number,
                         int label, int type);
void set_add_oneof(struct set_builder *builder, set_message *to, const char *name);

/* The packed set; the arena's. */
const void *set_pack(struct set_builder *builder, size_t *size);

/* Any valid set: several packages, nesting, recursion, oneofs, enums, defaults. */
void set_random(struct set_builder *builder, struct rng *rng);

#endif
