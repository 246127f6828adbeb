/* JSON to and from values, driven by the type: own streaming code, one pass, no tree.
 *
 * The mapping is protobuf's JSON mapping with the field names of the .proto: int64 and uint64 are
 * written as numbers (and read as numbers or strings), bytes as base64, enums by name (read by name
 * or number), absent optional fields are not written, floats round-trip; NaN and infinities as
 * "NaN", "Infinity", "-Infinity". Reading refuses, with the byte position: what is not JSON, an
 * unknown field, a wrong type, a number out of range, invalid UTF-8, a NUL in a string, a required
 * field that is missing, a field that is given twice, two members of a oneof, nesting beyond
 * SCHEMA_DEPTH_MAX. null means absent.
 */
#ifndef RUNTIME_TEXT_JSON_H
#define RUNTIME_TEXT_JSON_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"
#include "runtime/base/buffer.h"
#include "runtime/record/writer.h"

/* Reads one JSON object of `size` bytes (white space around it is fine). */
s4_status json_read(struct writer *writer, const struct type *type, const char *text, size_t size,
                    struct value *value, struct diag *diag) MUST_USE;

/* Appends the object, on one line, fields in order of declaration. The value is trusted. */
s4_status json_write(const struct value *value, struct buffer *out) MUST_USE;

/* Appends one field of the value as JSON (`null` if absent); the same for a table's columns. */
s4_status json_write_field(const struct value *value, const struct field *field,
                           struct buffer *out) MUST_USE;

/* Appends a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
s4_status json_write_string(struct buffer *out, const char *text, size_t len) MUST_USE;

#endif
