/* Any bytes as one text format, for the fuzzers of texts: what is read is written in both formats,
 * and both read as the same. */
#ifndef TESTS_SUPPORT_TEXT_FUZZ_H
#define TESTS_SUPPORT_TEXT_FUZZ_H

#include "runtime/record/writer.h"

typedef s4_status text_read(struct writer *writer, const struct type *type, const char *bytes,
                            size_t size, struct value *value, struct diag *diag);

/* The first byte chooses the type, `read` takes the others. Aborts on what must not be. */
void text_fuzz(text_read *read, const uint8_t *data, size_t size);

#endif
