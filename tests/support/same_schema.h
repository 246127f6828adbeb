/* Equality of schemas, in every respect but the plugin's addresses and the names of oneofs. */
#ifndef TESTS_SUPPORT_SAME_SCHEMA_H
#define TESTS_SUPPORT_SAME_SCHEMA_H

#include "runtime/record/schema.h"

/* They fail the test where there is a difference. */
void same_type(const struct type *a, const struct type *b);
void same_schema(const struct schema *a, const struct schema *b);

#endif
