/* The types of the tests' protos, for the tests of text: every kind of field there is. */
#ifndef TESTS_SUPPORT_TEXT_TYPES_H
#define TESTS_SUPPORT_TEXT_TYPES_H

#include "runtime/record/writer.h"

/* All types that test.nested.Everything and Chain reach, and test.Names; the caller's to destroy.
 */
struct schema *text_schema(void);

/* One of the schema's types, which must be there. */
const struct type *text_type(const struct schema *schema, const char *name);

/* Moves the value into a record and checks that as one from another process; aborts if it is none.
 */
void text_check_record(const struct value *value);

#endif
