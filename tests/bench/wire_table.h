/* R2b's receiver: what a record is there, and the table of counters that it meets. */
#ifndef TESTS_BENCH_WIRE_TABLE_H
#define TESTS_BENCH_WIRE_TABLE_H

#include "tests/bench/wire.h"

/* As the runtime's: a header with length and hash, the key as bytes, the attributes. */
struct wire_record {
    uint32_t len;
    uint32_t stream;
    uint64_t hash;
    uint64_t time;
    uint64_t link;
    uint16_t key_len;
    char key[14];
    uint64_t key_value, value;
};
_Static_assert(sizeof(struct wire_record) == WIRE_RECORD, "R2b's record is as large as it says");

struct wire_table;
struct wire_table *wire_table_create(void);
void wire_table_destroy(struct wire_table *table);
/* Takes a frame's records; answers their number. */
uint64_t wire_table_count(struct wire_table *table, const char *data, size_t size);
uint64_t wire_table_keys(const struct wire_table *table);
uint64_t wire_table_sum(const struct wire_table *table); /* of all that was counted */

#endif
