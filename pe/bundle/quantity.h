/* Numbers as people write them in app.yaml and on command lines. No state; any thread. */
#ifndef PE_BUNDLE_QUANTITY_H
#define PE_BUNDLE_QUANTITY_H

#include "runtime/base/base.h"

/* All of the text is the number, with single _ between digits. S4_MALFORMED, S4_RANGE. */
s4_status quantity_integer(const char *text, int64_t *value) MUST_USE;
s4_status quantity_count(const char *text, uint64_t *value) MUST_USE; /* from 0 */
s4_status quantity_duration(const char *text, uint64_t *us) MUST_USE; /* 5ms; a unit is needed */
s4_status quantity_size(const char *text, uint64_t *bytes) MUST_USE;  /* 4096, 64k, 10M, 1G */
s4_status quantity_real(const char *text, double *value) MUST_USE;    /* finite */

/* The shortest way to write them, "90s", "64k"; for messages and tables. */
void quantity_write_duration(uint64_t us, char *text, size_t room);
void quantity_write_size(uint64_t bytes, char *text, size_t room);

#endif
