/* Rows for the tests and benches of outputs: the types of rows.proto, and values of them. */
#ifndef TESTS_SUPPORT_ROWS_H
#define TESTS_SUPPORT_ROWS_H

#include "runtime/record/writer.h"

/* The types Count, Row and Place; the caller's to destroy. */
struct schema *rows_schema(void);
const struct type *rows_type(const struct schema *schema, const char *name);

/* A Row with word, n and a note of `note` bytes that follow from n (none: 0). Borrowed from the
 * writer. */
struct value row_make(struct writer *writer, const struct type *type, const char *word, int64_t n,
                      uint32_t note);
/* A Count. */
struct value count_make(struct writer *writer, const struct type *type, const char *word,
                        int64_t n);

/* Whether a value is what row_make makes. */
bool row_is(const struct value *value, const char *word, int64_t n, uint32_t note);
int64_t row_n(const struct value *value);

/* The canonical key of a word: its length, then its bytes. Answers the length of the key. */
size_t row_key(const char *word, char key[64]);

#endif
