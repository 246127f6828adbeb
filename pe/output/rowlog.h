/* A log: the rows that one partition's PEs appended to one output, numbered from 0.
 *
 * One owner thread changes it: the partition's worker. A call appends at once; then the host
 * commits, or rolls back, which restores rows, numbers and counters exactly. Neither can fail. The
 * app's dead letters are such a log (deadletter.h). Rows that were dropped keep their numbers.
 *
 * A pin is the log at one moment (between two calls), read by any thread while the owner goes on.
 * Rows never change, so nothing is copied; chunks that were dropped wait for the pins that see
 * them.
 */
#ifndef PE_OUTPUT_ROWLOG_H
#define PE_OUTPUT_ROWLOG_H

#include "pe/output/limits.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

struct rowlog;
struct rowlog_pin;

/* ---- owner thread ---------------------------------------------------------------------------- */

/* `type` outlives the log and its pins. */
s4_status rowlog_create(const struct type *type, const struct output_limits *limits,
                        struct rowlog **log) MUST_USE;
/* Living pins keep what they read. NULL is fine. */
void rowlog_destroy(struct rowlog *log);

/* Appends a copy of the row, which lies whole in its own bytes (value_copy). `time_us` is the
 * run's. S4_FULL: the bounds, with the policy to refuse, or OUTPUT_CALL_MAX; S4_TOO_LARGE: the row
 * alone is beyond bytes_max or RECORD_MAX; S4_NO_MEMORY. */
s4_status rowlog_append(struct rowlog *log, uint64_t time_us, const struct value *row) MUST_USE;

/* Ends a call: its rows stay, or are taken back. Nothing appended: nothing happens. */
void rowlog_commit(struct rowlog *log);
void rowlog_rollback(struct rowlog *log);

const struct output_counters *rowlog_counters(const struct rowlog *log);
/* What one row counts against bytes_max. */
uint64_t rowlog_row_bytes(size_t row_size);
/* The number that the next row will get. */
uint64_t rowlog_next_seq(const struct rowlog *log);
size_t rowlog_memory(const struct rowlog *log);

/* The log as it is now; not within a call. S4_FULL: OUTPUT_PINS_MAX; S4_NO_MEMORY. */
s4_status rowlog_pin(struct rowlog *log, struct rowlog_pin **pin) MUST_USE;
/* Frees what ended pins kept. Cheap when there is nothing to do. */
void rowlog_sweep(struct rowlog *log);

/* As table_save and table_load. */
s4_status rowlog_save(const struct rowlog *log, struct buffer *out) MUST_USE;
s4_status rowlog_load(struct rowlog *log, const char **at, const char *end,
                      struct diag *diag) MUST_USE;

/* Tests: aborts if an invariant is broken. */
void rowlog_validate(const struct rowlog *log);

/* ---- any thread ------------------------------------------------------------------------------ */

/* Ends a pin, which is gone afterwards, from whatever thread; NULL is fine. */
void rowlog_unpin(struct rowlog_pin *pin);

struct rowlog_row {
    uint64_t seq;
    uint64_t time_us;
    struct value value; /* borrowed from the pin */
};

/* One reader of a pin, in order of number. */
struct rowlog_cursor {
    const struct rowlog_pin *pin;
    const void *chunk;
    const char *at;
    uint64_t seq;
};
struct rowlog_cursor rowlog_scan(const struct rowlog_pin *pin);
bool rowlog_next(struct rowlog_cursor *cursor, struct rowlog_row *row);
uint64_t rowlog_pin_rows(const struct rowlog_pin *pin);

#endif
