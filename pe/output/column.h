/* One column of a row: an attribute, "a" or "a.b" through single messages, as something that has an
 * order. Immutable; any thread; the type outlives it. */
#ifndef PE_OUTPUT_COLUMN_H
#define PE_OUTPUT_COLUMN_H

#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

#define COLUMN_DEPTH_MAX 8

struct column {
    const struct field *path[COLUMN_DEPTH_MAX]; /* messages, then the attribute */
    uint32_t depth;
};

/* S4_NOT_FOUND, with what it may have been meant to be; S4_TYPE: it is repeated or a message. */
s4_status column_compile(const struct type *type, const char *name, struct column *column,
                         struct diag *diag) MUST_USE;

enum cell_kind { CELL_ABSENT, CELL_INTEGER, CELL_UNSIGNED, CELL_REAL, CELL_TEXT };

struct cell {
    enum cell_kind kind;
    uint32_t len;
    union {
        int64_t integer; /* bools and enums too */
        uint64_t whole;
        double real;
        const char *text; /* or bytes; borrowed from the row, or the type for a required default */
    };
};

struct cell cell_of(const struct value *row, const struct column *column);
/* Below, at or above 0, a total order of present cells of one column: NaN is above all numbers. */
int cell_compare(const struct cell *a, const struct cell *b);

#endif
