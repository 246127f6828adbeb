/* Answers a query over the pins of one output in many partitions, on any thread that is no worker.
 *
 *     query_compile   checks what the user asked against the output's type and key
 *     query_run       scans the pins, filters, orders, cuts
 *     query_write_*   renders the rows: JSON lines, a table for terminals, protobuf bytes
 *
 * Rows come in one order, whatever the number of partitions: a table's by key (part by part:
 * numbers by value, text by bytes), then partition; a log's by partition and number; with
 * `by_time`, a log's by time first; with `by`, by that column first, absent values last. There is
 * no common cut across partitions: each pin says when it was taken.
 */
#ifndef PE_OUTPUT_QUERY_H
#define PE_OUTPUT_QUERY_H

#include "pe/output/rowlog.h"
#include "pe/output/table.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"

#define QUERY_ROWS_DEFAULT 100000u /* rows returned, unless the limit says other */

/* One partition's pin of one output: a table's or a log's. */
struct query_pin {
    uint32_t partition;
    uint64_t time_us; /* the partition's time when it was taken: how fresh it is */
    struct table_pin *table;
    struct rowlog_pin *log;
};

/* The pins of one output; the one who holds it owns them. The type outlives it. */
struct query_pins {
    const struct type *type;
    char *key;     /* a table's key attributes "a,b.c", owned; NULL for a log */
    uint32_t home; /* of one row: the partition of its key's slot, where it mostly is */
    uint32_t n;
    struct query_pin pins[];
};

/* Room for `n` pins, all of them empty, which the caller fills. `key` is copied. */
s4_status query_pins_create(const struct type *type, const char *key, uint32_t n,
                            struct query_pins **pins) MUST_USE;
void query_pins_destroy(struct query_pins *pins); /* unpins; NULL is fine */

/* What a user asked; zero is all rows. */
struct query_request {
    const char *output; /* its name, for messages */
    const char *key;    /* parts as a person writes them, "alice,7" (router/key); NULL */
    const char *prefix; /* of the first key part, which is text; NULL */
    const char *by;     /* the column to order by, "a" or "a.b"; NULL */
    bool ascending;     /* with `by` or `by_time`: the smallest (oldest) first */
    bool by_time;       /* logs: by time, then partition and number */
    bool count;         /* only how many */
    uint64_t top;       /* with `by`: the first so many; 0: no bound of its own */
    uint64_t limit;     /* 0: QUERY_ROWS_DEFAULT; the rows that are left out are counted */
};

struct query;

/* S4_NOT_FOUND: no such column; S4_TYPE: a column that has no order, a key for a log, a prefix of
 * what is no text; S4_MALFORMED, S4_RANGE: the key does not read. The diag says what there is
 * instead. */
s4_status query_compile(const struct query_request *request, const struct type *type,
                        const char *key, struct query **query, struct diag *diag) MUST_USE;
void query_destroy(struct query *query); /* NULL is fine */

struct query_row {
    const char *key; /* of a table's row, canonical; NULL for a log's */
    uint32_t key_len;
    uint32_t partition;
    uint64_t seq;     /* of a log's row */
    uint64_t time_us; /* of a log's row */
    struct value value;
};

/* Borrowed from the pins, which outlive it. */
struct query_result {
    const struct type *type;
    uint64_t matched; /* rows that matched; more than n_rows when it was cut */
    size_t n_rows;
    struct query_row *rows; /* owned */
};

s4_status query_run(const struct query *query, const struct query_pins *pins,
                    struct query_result *result) MUST_USE;
/* Rows that other nodes answered the same query with, and this one's own, which matched `matched`
 * times together: in order, and cut. They are borrowed, and outlive the result. */
s4_status query_merge(const struct query *query, const struct query_row *rows, size_t n,
                      uint64_t matched, struct query_result *result) MUST_USE;
void query_result_fini(struct query_result *result);

/* One JSON object per line. */
s4_status query_write_json(const struct query_result *result, struct buffer *out) MUST_USE;
/* Aligned columns under their names, numbers to the right; control characters are shown, not sent.
 */
s4_status query_write_text(const struct query_result *result, struct buffer *out) MUST_USE;
/* Each message after its length as a varint. */
s4_status query_write_pb(const struct query_result *result, struct buffer *out) MUST_USE;

/* The name among `n` that `name` was likely meant to be; NULL if none is near. */
const char *query_suggest(const char *name, const char *const *names, size_t n);

#endif
