/* JSON to and from values, driven by the type: own streaming code, one pass, no tree.
 *
 * The mapping is protobuf's JSON mapping with the field names of the .proto: int64 and uint64 are
 * written as numbers (and read as numbers or strings), integers may be written 12.0 or 1.2e1, bytes
 * as base64, enums by name (read by name or number; a number without a name stays one), absent
 * optional and empty repeated fields are not written, floats round-trip; NaN and infinities as
 * "NaN", "Infinity", "-Infinity". null means absent.
 *
 * Reading refuses, with the byte column (from 1) and the field: what is not JSON, an unknown field,
 * a wrong type, a number out of range or of more than NUMBER_LEN_MAX characters, invalid UTF-8, a
 * NUL in a string, a required field that is missing or null, a field that is given twice, two
 * members of a oneof, nesting beyond SCHEMA_DEPTH_MAX. The message is of this form:
 *
 *     column 17: field "count": found "abc" (a string), wanted int64
 */
#ifndef RUNTIME_TEXT_JSON_H
#define RUNTIME_TEXT_JSON_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"
#include "runtime/base/buffer.h"
#include "runtime/record/writer.h"

/* Reads one JSON object of `size` bytes (white space around it is fine). S4_MALFORMED: no JSON, or
 * no text; S4_TYPE: not of this type; S4_RANGE, S4_TOO_LARGE, S4_NO_MEMORY. */
s4_status json_read(struct writer *writer, const struct type *type, const char *text, size_t size,
                    struct value *value, struct diag *diag) MUST_USE;

/* Appends the object, on one line, in the order of the type's fields. The value is trusted; a
 * failed append leaves the buffer as it was, here and below. */
s4_status json_write(const struct value *value, struct buffer *out) MUST_USE;

/* Appends one field of the value as JSON (`null` if absent, `[]` if repeated and empty); the same
 * for a table's columns. */
s4_status json_write_field(const struct value *value, const struct field *field,
                           struct buffer *out) MUST_USE;

/* Appends a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
s4_status json_write_string(struct buffer *out, const char *text, size_t len) MUST_USE;

#endif
