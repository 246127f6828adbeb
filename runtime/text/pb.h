/* Protobuf bytes to and from values, driven by the type. Own code: protobuf-c unpacks into a tree
 * of mallocs, this into the record's layout.
 *
 * Reading takes what protobuf-c's unpack takes: fields in any order, the last of repeated singulars
 * wins, singular sub-messages merge (each piece has its required fields), packed and unpacked. It
 * refuses, with the byte (from 0) and the field: what is truncated, a wrong wire type, a required
 * field that is missing, nesting beyond SCHEMA_DEPTH_MAX, invalid UTF-8 or a NUL in a string, more
 * than PB_SIZE_MAX bytes. Unknown fields are dropped, groups too. Where protobuf-c departs from
 * protobuf (it replaces a required message, or one in a oneof, when pieces merge), this follows
 * protobuf. Writing gives the bytes that protobuf-c's pack gives for the same message.
 */
#ifndef RUNTIME_TEXT_PB_H
#define RUNTIME_TEXT_PB_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

#define PB_SIZE_MAX (16 * MIB) /* bytes of one message that is read */

/* S4_MALFORMED, S4_TYPE (wire type, required field), S4_TOO_LARGE, S4_NO_MEMORY. */
s4_status pb_read(struct writer *writer, const struct type *type, const void *bytes, size_t size,
                  struct value *value, struct diag *diag) MUST_USE;

/* Appends the message. The value is trusted. */
s4_status pb_write(const struct value *value, struct buffer *out) MUST_USE;

#endif
