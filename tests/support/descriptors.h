/* protobuf-c descriptors made at run time from a schema, as protoc-c would have compiled them: so
 * that protobuf-c packs and unpacks messages of schemas that a test drew at random. */
#ifndef TESTS_SUPPORT_DESCRIPTORS_H
#define TESTS_SUPPORT_DESCRIPTORS_H

#include "runtime/record/codec.h"
#include "runtime/record/schema.h"

/* One for each type of the schema, in its order; all memory is the arena's. They have no init
 * functions. The schema must outlive them. */
const ProtobufCMessageDescriptor *const *descriptors_make(const struct schema *schema,
                                                          struct arena *arena);

#endif
