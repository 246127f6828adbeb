/* How a table lies in memory: for the table's own files and nobody else.
 *
 *   slot:  [ prev, next ]           only if the oldest row is dropped when it is full; owner's
 * alone [ sizes u32 ]            dead 1 | row words 18 | key length 13 [ key ] [ 0 to 7 ] [ row,
 * 8-aligned, its references counting from OUTPUT_ROW_BASE before ]
 *
 * A dead row is one that the running call removed: in the index and in memory until it commits.
 */
#ifndef PE_OUTPUT_TABLE_INSIDE_H
#define PE_OUTPUT_TABLE_INSIDE_H

#include "pe/output/pins.h"
#include "pe/output/rowindex.h"
#include "pe/output/slab.h"
#include "pe/output/table.h"
#include "runtime/base/hash.h"

#define ROW_DEAD     0x80000000u
#define ROW_KEY_BITS 13
#define ROW_KEY_MASK ((1u << ROW_KEY_BITS) - 1)
_Static_assert(RECORD_KEY_MAX <= ROW_KEY_MASK, "a key's length fits");
_Static_assert(RECORD_MAX / 8 < 1u << (31 - ROW_KEY_BITS), "a row's words fit");

struct links {
    uint32_t prev; /* published before this one; 0: none */
    uint32_t next;
};

enum undo_kind { UNDO_INSERT, UNDO_OVERWRITE, UNDO_MOVE, UNDO_DROP, UNDO_UNPUBLISH };

/* One change of the running call. */
struct undo {
    uint32_t ref;
    uint32_t old;  /* MOVE: the slot that it left; OVERWRITE: the sizes before */
    uint32_t prev; /* all but INSERT: its place in the order before */
    uint32_t kind;
    size_t saved; /* OVERWRITE: where its row lies in saved */
};

struct table {
    struct rowindex index;
    struct slab slab;
    const struct type *type; /* borrowed */
    uint32_t head;           /* bytes of links in a slot: 8 or 0 */
    uint32_t oldest;         /* the ends of the order, where there is one */
    uint32_t newest;
    uint32_t n_undo;
    uint32_t frees; /* of the undo: those that free a slot when they are committed */
    uint64_t rows_max;
    uint64_t bytes_max;
    struct output_counters counters;
    struct undo *undo; /* owned */
    size_t undo_capacity;
    struct buffer saved;
    struct pins pins;
};

static inline struct links *row_links(char *slot)
{
    return (struct links *)(void *)slot;
}

static inline uint32_t *row_sizes(const struct table *table, char *slot)
{
    return (uint32_t *)(void *)(slot + table->head);
}

static inline uint32_t sizes_of(size_t key_len, size_t row_size)
{
    return (uint32_t)(row_size / 8) << ROW_KEY_BITS | (uint32_t)key_len;
}

static inline uint32_t sizes_key(uint32_t sizes)
{
    return sizes & ROW_KEY_MASK;
}

static inline uint32_t sizes_row(uint32_t sizes)
{
    return (sizes & ~ROW_DEAD) >> ROW_KEY_BITS << 3;
}

static inline size_t row_offset(uint32_t head, size_t key_len)
{
    return align_up(head + sizeof(uint32_t) + key_len, 8);
}

/* What a slot holds, for readers on any thread. */
static inline struct table_row row_of_slot(const struct type *type, uint32_t head, const char *slot)
{
    uint32_t sizes = *(const uint32_t *)(const void *)(slot + head);
    const char *at = slot + row_offset(head, sizes_key(sizes));
    return (struct table_row){
        .key = slot + head + sizeof(uint32_t),
        .key_len = sizes_key(sizes),
        .value = { .type = type,
                   .record = at - OUTPUT_ROW_BASE,
                   .at = at,
                   .size = sizes_row(sizes) },
    };
}

static inline uint64_t sizes_bytes(uint32_t sizes)
{
    return table_row_bytes(sizes_key(sizes), sizes_row(sizes));
}

static inline uint32_t row_tag(const struct table *table, char *slot)
{
    struct table_row row = row_of_slot(table->type, table->head, slot);
    return rowindex_tag(hash_bytes(row.key, row.key_len));
}

static inline struct links *links_at(const struct table *table, uint32_t ref)
{
    return row_links(slab_at(&table->slab, ref));
}

/* Puts a row into the order behind `prev` (0: as the oldest), or takes it out and answers what was
 * before it. */
void table_link(struct table *table, uint32_t ref, uint32_t prev);
uint32_t table_unlink(struct table *table, uint32_t ref);

s4_status table_undo_grow(struct table *table) MUST_USE;
/* Room for one more, so that the change can be made before it is noted. */
static inline s4_status undo_reserve(struct table *table)
{
    return LIKELY(table->n_undo < table->undo_capacity) ? S4_OK : table_undo_grow(table);
}
static inline struct undo *undo_push(struct table *table, enum undo_kind kind, uint32_t ref)
{
    struct undo *undo = &table->undo[table->n_undo++];
    table->frees += kind >= UNDO_MOVE;
    *undo = (struct undo){ .ref = ref, .kind = kind };
    return undo;
}

/* Takes back the changes after the first `mark`. */
void table_rollback_to(struct table *table, uint32_t mark);

/* The living row of a key, or 0. */
uint32_t table_lookup(const struct table *table, uint32_t tag, const void *key, size_t key_len);

/* When the last hold is gone. */
void table_free(struct table *table);

#endif
