/* A table read by other threads: pins, and what the owner frees after them.
 *
 * A pin holds the way to the chunks as it was, and an epoch; slab.c sees to it that nothing which
 * the epoch could see is changed or freed. Whoever ends the last hold of a table that its owner has
 * destroyed frees the rest of it, on whatever thread that is.
 *
 * A pin of one key is a copy of that row and has nothing to do with epochs.
 */
#include "pe/output/table_inside.h"

#include "runtime/base/mem.h"

struct table_pin {
    struct pin pin; /* first: the sweep frees it; pins NULL: of one key */
    struct slab_view view;
    struct table *table; /* for the last hold only */
    const struct type *type;
    uint64_t rows;
    uint32_t head;
    uint32_t unused;
    char slot[]; /* of one key */
};

s4_status table_pin(struct table *table, struct table_pin **pin)
{
    CHECK(table->n_undo == 0);
    table_sweep(table);
    if (table->pins.n == OUTPUT_PINS_MAX)
        return S4_FULL;
    struct table_pin *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    pins_add(&table->pins, &fresh->pin);
    fresh->view = slab_view(&table->slab, fresh->pin.epoch);
    fresh->table = table;
    fresh->type = table->type;
    fresh->rows = table->counters.rows;
    fresh->head = table->head;
    *pin = fresh;
    return S4_OK;
}

s4_status table_pin_key(struct table *table, uint64_t hash, const void *key, size_t key_len,
                        struct table_pin **pin)
{
    CHECK(table->n_undo == 0);
    uint32_t ref =
        key_len <= RECORD_KEY_MAX ? table_lookup(table, rowindex_tag(hash), key, key_len) : 0;
    size_t size = ref ? slab_size(&table->slab, ref) : 0;
    struct table_pin *fresh = mem_zalloc(sizeof *fresh + size);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->type = table->type;
    fresh->rows = ref != 0;
    fresh->head = table->head;
    if (ref)
        memcpy(fresh->slot, slab_at(&table->slab, ref), size);
    *pin = fresh;
    return S4_OK;
}

void table_unpin(struct table_pin *pin)
{
    if (!pin)
        return;
    if (!pin->pin.pins) {
        mem_free(pin);
        return;
    }
    struct table *table = pin->table;
    if (pins_end(&pin->pin))
        table_free(table);
}

void table_sweep(struct table *table)
{
    pins_sweep(&table->pins);
    slab_trim(&table->slab);
}

static const char *next_slot(struct table_cursor *cursor)
{
    const struct table_pin *pin = cursor->pin;
    if (pin->pin.pins)
        return slab_view_next(&pin->view, &cursor->chunk, &cursor->row);
    return cursor->row++ < pin->rows ? pin->slot : NULL;
}

bool table_next(struct table_cursor *cursor, struct table_row *row)
{
    const char *slot = next_slot(cursor);
    if (slot)
        *row = row_of_slot(cursor->pin->type, cursor->pin->head, slot);
    return slot != NULL;
}

uint64_t table_pin_rows(const struct table_pin *pin)
{
    return pin->rows;
}

size_t table_memory(const struct table *table)
{
    return sizeof *table + table->index.bytes + table->slab.bytes + table->pins.retired_bytes +
           table->undo_capacity * sizeof *table->undo + table->saved.capacity;
}
