/* A table: the last row per key that one partition's PEs published to one output.
 *
 * One owner thread changes it: the partition's worker. A call into a plugin publishes and
 * unpublishes at once, seeing its own changes in the bounds; then the host either commits, or rolls
 * back, which restores rows, order and counters exactly. Neither can fail.
 *
 *     s4_publish   -> table_publish    S4_FULL, S4_TOO_LARGE, S4_NO_MEMORY: nothing changed
 *     call ok      -> table_commit
 *     call failed  -> table_rollback
 *
 * A pin is the table at one moment (between two calls), read by any thread while the owner goes on.
 * It costs the owner one small allocation, and then one copy of each 4 KiB chunk that it changes
 * for the first time while the pin lives. Without pins nothing is copied, and nothing is paid for
 * them.
 */
#ifndef PE_OUTPUT_TABLE_H
#define PE_OUTPUT_TABLE_H

#include "pe/output/limits.h"
#include "runtime/base/buffer.h"
#include "runtime/base/cuts.h"
#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

struct table;
struct table_pin;

/* ---- owner thread ---------------------------------------------------------------------------- */

/* `type` outlives the table and its pins. */
s4_status table_create(const struct type *type, const struct output_limits *limits,
                       struct table **table) MUST_USE;
/* Living pins keep what they read. NULL is fine. */
void table_destroy(struct table *table);

/* The row of this key from now on. `key` is the canonical encoding of the row's key attributes,
 * `hash` its hash_bytes; the row is copied and lies whole in its own bytes (value_copy). S4_FULL:
 * the bounds, with the policy to refuse, or OUTPUT_CALL_MAX; S4_TOO_LARGE: the row alone is beyond
 * bytes_max, RECORD_MAX or RECORD_KEY_MAX. */
s4_status table_publish(struct table *table, uint64_t hash, const void *key, size_t key_len,
                        const struct value *row) MUST_USE;
/* S4_OK also if there is no such row; S4_NO_MEMORY; S4_FULL: OUTPUT_CALL_MAX. */
s4_status table_unpublish(struct table *table, uint64_t hash, const void *key,
                          size_t key_len) MUST_USE;

/* For callers that know a group of keys ahead: brings what a publish of this hash will look at into
 * the cache, in two steps with the rest of the group between them. Never wrong, at worst useless.
 */
void table_prefetch_index(const struct table *table, uint64_t hash);
void table_prefetch_row(const struct table *table, uint64_t hash);

/* Ends a call: its changes stay, or are taken back. Nothing changed: nothing happens. */
void table_commit(struct table *table);
void table_rollback(struct table *table);

/* Changes of the running call, so far; and whether the one with this number removed a row, dropped
 * or unpublished, which is borrowed until the next change. */
uint32_t table_changes(const struct table *table);
struct table_row;
bool table_removed(const struct table *table, uint32_t change, struct table_row *row);

/* The row of a key, borrowed until the next change; false if there is none. */
bool table_find(const struct table *table, uint64_t hash, const void *key, size_t key_len,
                struct value *row);
const struct output_counters *table_counters(const struct table *table);
/* What one row counts against bytes_max. */
uint64_t table_row_bytes(size_t key_len, size_t row_size);
/* Bytes of memory that it holds now, versions kept for pins included. */
size_t table_memory(const struct table *table);

/* The table as it is now; not within a call. S4_FULL: OUTPUT_PINS_MAX; S4_NO_MEMORY. Hand the pin
 * to its reader by something that synchronises (a queue, a thread's start). */
s4_status table_pin(struct table *table, struct table_pin **pin) MUST_USE;
/* A pin of the one row of this key (or of none), for which no chunk is ever copied. */
s4_status table_pin_key(struct table *table, uint64_t hash, const void *key, size_t key_len,
                        struct table_pin **pin) MUST_USE;
/* Frees what ended pins kept. Happens by itself at the first change that would copy; call it where
 * changes may stay away. Cheap when there is nothing to do. */
void table_sweep(struct table *table);

/* Appends the whole table, equal for equal histories of rows and counters; not within a call. Cuts
 * between rows (NULL: none). */
s4_status table_save_cut(const struct table *table, struct buffer *out, struct cuts *cuts) MUST_USE;
static inline s4_status MUST_USE table_save(const struct table *table, struct buffer *out)
{
    return table_save_cut(table, out, NULL);
}
/* Appends rows as they would be in the whole now, some `bytes` of them, going on at *at, which is 0
 * in the beginning: a look ahead at a table that changes, which need not be complete. Of a table
 * that drops the oldest there are none. */
s4_status table_save_some(const struct table *table, size_t *at, size_t bytes, struct buffer *out,
                          struct cuts *cuts, bool *over) MUST_USE;
/* Into a table fresh from table_create with the same type and limits; untrusted bytes, *at moves
 * behind them. S4_CORRUPT, S4_TYPE and the like leave it empty. Afterwards it goes on exactly as
 * the saved one would have. */
s4_status table_load(struct table *table, const char **at, const char *end,
                     struct diag *diag) MUST_USE;

/* Tests: aborts if an invariant is broken. */
void table_validate(const struct table *table);

/* ---- any thread ------------------------------------------------------------------------------ */

/* Ends a pin, which is gone afterwards, from whatever thread; NULL is fine. */
void table_unpin(struct table_pin *pin);

struct table_row {
    const char *key; /* canonical; borrowed from the pin, as the value */
    uint32_t key_len;
    struct value value;
};

/* One reader of a pin; several may read one pin, on several threads. No order. */
struct table_cursor {
    const struct table_pin *pin;
    uint32_t chunk;
    uint32_t row;
};
static inline struct table_cursor table_scan(const struct table_pin *pin)
{
    return (struct table_cursor){ .pin = pin };
}
bool table_next(struct table_cursor *cursor, struct table_row *row);
uint64_t table_pin_rows(const struct table_pin *pin);

#endif
