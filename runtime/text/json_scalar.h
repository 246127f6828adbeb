/* Scalars, strings and bytes of JSON, by the field's type. Inside runtime/text only. */
#ifndef RUNTIME_TEXT_JSON_SCALAR_H
#define RUNTIME_TEXT_JSON_SCALAR_H

#include "runtime/record/writer.h"
#include "runtime/text/image.h"
#include "runtime/text/json_token.h"

/* Reads the value at the cursor for a field that is no message; text goes into the writer. */
s4_status json_scalar(struct cursor *cursor, struct writer *writer, const struct place *place,
                      union element *element) MUST_USE;

/* "int64", "an object (test.Inner)", ...: what a value of this field looks like. */
#define JSON_WANTED_MAX 192
const char *json_form(const struct field *field, char text[JSON_WANTED_MAX]);

/* Refuses what stands at `at` as no value of the field. */
COLD s4_status json_wrong(const struct cursor *cursor, const char *at, const struct place *place);

#endif
