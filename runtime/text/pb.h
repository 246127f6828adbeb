/* Protobuf bytes to and from values, driven by the type. Own code: protobuf-c unpacks into a tree of
 * mallocs, this into the record's layout.
 *
 * Reading takes what protobuf-c's unpack takes (fields in any order, the last of repeated singulars
 * wins, singular sub-messages merge, packed and unpacked), refuses what is truncated, has a wrong wire
 * type, misses a required field, nests deeper than SCHEMA_DEPTH_MAX or has invalid UTF-8 in a string,
 * with the byte position. Unknown fields are dropped. Writing gives the bytes that protobuf-c's pack
 * gives for the same message.
 */
#ifndef RUNTIME_TEXT_PB_H
#define RUNTIME_TEXT_PB_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

s4_status pb_read(struct writer *writer, const struct type *type, const void *bytes, size_t size,
                  struct value *value, struct diag *diag) MUST_USE;
s4_status pb_write(const struct value *value, struct buffer *out) MUST_USE;

#endif
