/* Text lines: a line fills the type's one string attribute.
 *
 * `line_field` finds that attribute: the only string field of the type, of one value, where no
 * other field is required; S4_TYPE and a message otherwise. `line_read` takes a line with or
 * without its end (\n, a \r before it belongs to it). A line with invalid UTF-8 or a NUL is refused
 * with its column; an empty line is an empty string.
 */
#ifndef RUNTIME_TEXT_LINE_H
#define RUNTIME_TEXT_LINE_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

s4_status line_field(const struct type *type, const struct field **field,
                     struct diag *diag) MUST_USE;
s4_status line_read(struct writer *writer, const struct type *type, const struct field *field,
                    const char *line, size_t len, struct value *value, struct diag *diag) MUST_USE;

#endif
