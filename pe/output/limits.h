/* What a table and a log have in common: their bounds, what happens when they are full, and what
 * they count. */
#ifndef PE_OUTPUT_LIMITS_H
#define PE_OUTPUT_LIMITS_H

#include "runtime/base/base.h"

#define OUTPUT_ROWS_DEFAULT  1000000u    /* per partition */
#define OUTPUT_BYTES_DEFAULT (256 * MIB) /* per partition, accounted */
#define OUTPUT_ROWS_MAX      (1u << 28)  /* the most that a manifest may ask for */
#define OUTPUT_BYTES_MAX     (4 * 1024 * MIB)
#define OUTPUT_CALL_MAX      65536u /* changes of one output by one call */
#define OUTPUT_PINS_MAX      64u    /* living pins of one output in one partition */

/* As in proto/graph.proto. */
enum output_full { OUTPUT_REFUSE = 1, OUTPUT_DROP_OLDEST = 2 };

struct output_limits {
    uint64_t rows_max;  /* 0: default */
    uint64_t bytes_max; /* 0: default */
    enum output_full full;
};

/* All but the first two only rise. What a call that is rolled back published, unpublished and
 * dropped is taken back here too; what it was refused stays. */
struct output_counters {
    uint64_t rows; /* now */
    uint64_t
        bytes; /* now, accounted: a function of the rows alone, not of how they lie in memory */
    uint64_t published;
    uint64_t unpublished; /* rows that were there */
    uint64_t refused;
    uint64_t dropped;
};

/* Where references of a stored row count from: as in a record with an empty key. A row that comes
 * with the same base is copied as bytes. */
#define OUTPUT_ROW_BASE 40

#endif
