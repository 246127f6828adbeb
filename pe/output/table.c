/* The last row per key; see the header, and table_inside.h for how a row lies.
 *
 * A publish finds the row through the index and, in the usual case, overwrites it in its slot: one
 * search, one copy of the old bytes into the undo, one copy of the new ones. A row that no longer
 * fits its slot's size class moves to another slot. Each change leaves an entry in the undo, enough
 * to take it back without any memory: rolling back is done last change first, so that each finds
 * the table as it left it. What a rollback might need is not given away before the commit: rows
 * that were removed are marked dead and stay, with their entry in the index.
 *
 * Refused or out of memory in the middle (a publish may drop several rows), a publish takes back
 * its own changes in the same way.
 */
#include "pe/output/table_inside.h"

#include "runtime/base/mem.h"

s4_status table_create(const struct type *type, const struct output_limits *limits,
                       struct table **table)
{
    CHECK(limits->full == OUTPUT_REFUSE || limits->full == OUTPUT_DROP_OLDEST);
    struct table *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->type = type;
    fresh->head = limits->full == OUTPUT_DROP_OLDEST ? sizeof(struct links) : 0;
    fresh->rows_max = limits->rows_max ? limits->rows_max : OUTPUT_ROWS_DEFAULT;
    fresh->bytes_max = limits->bytes_max ? limits->bytes_max : OUTPUT_BYTES_DEFAULT;
    pins_init(&fresh->pins);
    if (slab_init(&fresh->slab, &fresh->pins) != S4_OK || rowindex_init(&fresh->index) != S4_OK) {
        slab_fini(&fresh->slab);
        mem_free(fresh);
        return S4_NO_MEMORY;
    }
    *table = fresh;
    return S4_OK;
}

void table_free(struct table *table)
{
    slab_fini(&table->slab);
    pins_fini(&table->pins);
    mem_free(table);
}

void table_destroy(struct table *table)
{
    if (!table)
        return;
    rowindex_fini(&table->index);
    buffer_fini(&table->saved);
    mem_free(table->undo);
    if (pins_release(&table->pins))
        table_free(table);
}

uint64_t table_row_bytes(size_t key_len, size_t row_size)
{
    return 24 + align_up(key_len, 8) + row_size;
}

/* ---- changes --------------------------------------------------------------------------------- */

uint32_t table_lookup(const struct table *table, uint32_t tag, const void *key, size_t key_len)
{
    struct rowindex_probe probe = rowindex_probe(&table->index, tag);
    for (uint32_t ref; (ref = rowindex_next(&probe)) != 0;) {
        const char *slot = slab_at(&table->slab, ref) + table->head;
        uint32_t sizes = *(const uint32_t *)(const void *)slot;
        if (LIKELY((sizes & (ROW_DEAD | ROW_KEY_MASK)) == key_len &&
                   memcmp(slot + sizeof sizes, key, key_len) == 0))
            return ref;
    }
    return 0;
}

/* Marks a row dead; it goes when the call commits. */
static s4_status remove_row(struct table *table, uint32_t ref, enum undo_kind kind)
{
    if (table->n_undo == OUTPUT_CALL_MAX)
        return S4_FULL;
    TRY(undo_reserve(table));
    TRY(slab_writable(&table->slab, ref));
    struct undo *undo = undo_push(table, kind, ref);
    uint32_t *sizes = row_sizes(table, slab_at(&table->slab, ref));
    undo->prev = table->head ? table_unlink(table, ref) : 0;
    table->counters.rows--;
    table->counters.bytes -= sizes_bytes(*sizes);
    *sizes |= ROW_DEAD;
    return S4_OK;
}

static void fill_slot(struct table *table, char *slot, const void *key, size_t key_len,
                      const struct value *row)
{
    char *at = slot + row_offset(table->head, key_len);
    *row_sizes(table, slot) = sizes_of(key_len, row->size);
    memcpy(slot + table->head + sizeof(uint32_t), key, key_len);
    value_copy(row, at - OUTPUT_ROW_BASE, at);
}

static s4_status insert(struct table *table, uint32_t tag, const void *key, size_t key_len,
                        const struct value *row)
{
    uint32_t ref;
    TRY(undo_reserve(table));
    TRY(rowindex_reserve(&table->index, tag));
    TRY(slab_take(&table->slab, row_offset(table->head, key_len) + row->size, &ref));
    fill_slot(table, slab_at(&table->slab, ref), key, key_len, row);
    rowindex_put(&table->index, tag, ref);
    if (table->head)
        table_link(table, ref, table->newest);
    undo_push(table, UNDO_INSERT, ref);
    table->counters.rows++;
    table->counters.bytes += table_row_bytes(key_len, row->size);
    return S4_OK;
}

static s4_status overwrite(struct table *table, uint32_t ref, const struct value *row)
{
    TRY(undo_reserve(table));
    TRY(slab_writable(&table->slab, ref));
    char *slot = slab_at(&table->slab, ref);
    uint32_t *sizes = row_sizes(table, slot);
    char *at = slot + row_offset(table->head, sizes_key(*sizes));
    size_t saved = table->saved.size;
    TRY(buffer_append(&table->saved, at, sizes_row(*sizes)));
    struct undo *undo = undo_push(table, UNDO_OVERWRITE, ref);
    undo->old = *sizes;
    undo->saved = saved;
    table->counters.bytes += row->size - (uint64_t)sizes_row(*sizes);
    *sizes = sizes_of(sizes_key(*sizes), row->size);
    value_copy(row, at - OUTPUT_ROW_BASE, at);
    if (table->head) {
        undo->prev = table_unlink(table, ref);
        table_link(table, ref, table->newest);
    }
    return S4_OK;
}

/* The row's new size is of another class: it gets another slot. */
static s4_status move(struct table *table, uint32_t tag, uint32_t old, size_t size,
                      const struct value *row)
{
    uint32_t ref;
    TRY(undo_reserve(table));
    TRY(slab_writable(&table->slab, old));
    TRY(slab_take(&table->slab, size, &ref));
    struct table_row before = row_of_slot(table->type, table->head, slab_at(&table->slab, old));
    fill_slot(table, slab_at(&table->slab, ref), before.key, before.key_len, row);
    rowindex_replace(&table->index, tag, old, ref);
    table->counters.bytes += row->size - (uint64_t)before.value.size;
    struct undo *undo = undo_push(table, UNDO_MOVE, ref);
    undo->old = old;
    if (table->head) {
        undo->prev = table_unlink(table, old);
        table_link(table, ref, table->newest);
    }
    return S4_OK;
}

/* Drops the oldest rows until the bounds hold. The row that makes it necessary is the newest. */
static s4_status drop_oldest(struct table *table)
{
    while (table->counters.rows > table->rows_max || table->counters.bytes > table->bytes_max) {
        TRY(remove_row(table, table->oldest, UNDO_DROP));
        table->counters.dropped++;
    }
    return S4_OK;
}

/* Whether a row may come (`old` 0) or change its size, by the policy to refuse. */
static bool fits(const struct table *table, uint32_t old, uint64_t bytes)
{
    if (old == 0)
        return table->counters.rows < table->rows_max &&
               table->counters.bytes + bytes <= table->bytes_max;
    uint64_t before = sizes_bytes(*row_sizes(table, slab_at(&table->slab, old)));
    return table->counters.bytes - before + bytes <= table->bytes_max;
}

/* Whether a row of this size gets the slot that it has. */
static bool stays(const struct table *table, uint32_t ref, size_t key_len, size_t size)
{
    uint32_t sizes = *row_sizes(table, slab_at(&table->slab, ref));
    return LIKELY(sizes_row(sizes) == size) ||
           slab_slot_size(row_offset(table->head, key_len) + size) == slab_size(&table->slab, ref);
}

static s4_status put(struct table *table, uint32_t tag, const void *key, size_t key_len,
                     const struct value *row)
{
    uint32_t ref = table_lookup(table, tag, key, key_len);
    if (!table->head && !fits(table, ref, table_row_bytes(key_len, row->size)))
        return S4_FULL;
    if (ref == 0)
        TRY(insert(table, tag, key, key_len, row));
    else if (LIKELY(stays(table, ref, key_len, row->size)))
        TRY(overwrite(table, ref, row));
    else
        TRY(move(table, tag, ref, row_offset(table->head, key_len) + row->size, row));
    table->counters.published++;
    return table->head ? drop_oldest(table) : S4_OK;
}

static s4_status refuse(struct table *table, s4_status status)
{
    table->counters.refused++;
    return status;
}

s4_status table_publish(struct table *table, uint64_t hash, const void *key, size_t key_len,
                        const struct value *row)
{
    if (UNLIKELY(key_len > RECORD_KEY_MAX || row->size > RECORD_MAX ||
                 table_row_bytes(key_len, row->size) > table->bytes_max))
        return refuse(table, S4_TOO_LARGE);
    if (UNLIKELY(table->n_undo == OUTPUT_CALL_MAX))
        return refuse(table, S4_FULL);
    uint32_t mark = table->n_undo;
    s4_status status = put(table, rowindex_tag(hash), key, key_len, row);
    if (LIKELY(status == S4_OK))
        return S4_OK;
    table_rollback_to(table, mark);
    return refuse(table, status);
}

s4_status table_unpublish(struct table *table, uint64_t hash, const void *key, size_t key_len)
{
    uint32_t ref =
        key_len <= RECORD_KEY_MAX ? table_lookup(table, rowindex_tag(hash), key, key_len) : 0;
    if (ref == 0)
        return S4_OK;
    TRY(remove_row(table, ref, UNDO_UNPUBLISH));
    table->counters.unpublished++;
    return S4_OK;
}

void table_prefetch_index(const struct table *table, uint64_t hash)
{
    struct rowindex_probe probe = rowindex_probe(&table->index, rowindex_tag(hash));
    __builtin_prefetch(&probe.entries[probe.at]);
}

void table_prefetch_row(const struct table *table, uint64_t hash)
{
    struct rowindex_probe probe = rowindex_probe(&table->index, rowindex_tag(hash));
    uint32_t ref = rowindex_next(&probe);
    if (ref == 0)
        return;
    const char *slot = slab_at(&table->slab, ref);
    __builtin_prefetch(slot, 1);
    __builtin_prefetch(slot + CACHE_LINE, 1);
}

bool table_find(const struct table *table, uint64_t hash, const void *key, size_t key_len,
                struct value *row)
{
    uint32_t ref =
        key_len <= RECORD_KEY_MAX ? table_lookup(table, rowindex_tag(hash), key, key_len) : 0;
    if (ref != 0)
        *row = row_of_slot(table->type, table->head, slab_at(&table->slab, ref)).value;
    return ref != 0;
}

const struct output_counters *table_counters(const struct table *table)
{
    return &table->counters;
}

/* ---- validation ------------------------------------------------------------------------------ */

static void validate_order(const struct table *table)
{
    uint64_t n = 0;
    uint32_t prev = 0;
    for (uint32_t ref = table->oldest; ref; ref = links_at(table, ref)->next) {
        CHECK(links_at(table, ref)->prev == prev);
        CHECK(!(*row_sizes(table, slab_at(&table->slab, ref)) & ROW_DEAD));
        prev = ref;
        n++;
    }
    CHECK(prev == table->newest && n == (table->head ? table->counters.rows : 0));
}

void table_validate(const struct table *table)
{
    uint64_t rows = 0;
    uint64_t bytes = 0;
    size_t at = 0;
    rowindex_validate(&table->index);
    slab_validate(&table->slab);
    validate_order(table);
    for (const struct segment *segment; (segment = rowindex_walk(&table->index, &at)) != NULL;) {
        for (uint32_t i = 0; i < segment->capacity; i++) {
            if (segment->entries[i] == 0)
                continue;
            char *slot = slab_at(&table->slab, (uint32_t)segment->entries[i]);
            uint32_t sizes = *row_sizes(table, slot);
            CHECK(row_tag(table, slot) == (uint32_t)(segment->entries[i] >> 32));
            rows += !(sizes & ROW_DEAD);
            bytes += sizes & ROW_DEAD ? 0 : sizes_bytes(sizes);
        }
    }
    CHECK(rows == table->counters.rows && bytes == table->counters.bytes);
    CHECK(table->counters.rows <= table->rows_max && table->counters.bytes <= table->bytes_max);
}
