/* Taking back what a call did to a table, and giving away what it no longer needs.
 *
 * The last change goes first, so that each finds the table as it left it: a row goes back behind
 * the one that was before it in the order, old bytes into the slot that they came from, a ref into
 * the entry of the index that it had. Nothing of that needs memory.
 */
#include "pe/output/table_inside.h"
#include "runtime/base/mem.h"

#define UNDO_KEEP (64 * KIB) /* bytes of undo that a table keeps between calls */

void table_link(struct table *table, uint32_t ref, uint32_t prev)
{
    struct links *links = links_at(table, ref);
    links->prev = prev;
    links->next = prev ? links_at(table, prev)->next : table->oldest;
    *(prev ? &links_at(table, prev)->next : &table->oldest) = ref;
    *(links->next ? &links_at(table, links->next)->prev : &table->newest) = ref;
}

uint32_t table_unlink(struct table *table, uint32_t ref)
{
    const struct links *links = links_at(table, ref);
    *(links->prev ? &links_at(table, links->prev)->next : &table->oldest) = links->next;
    *(links->next ? &links_at(table, links->next)->prev : &table->newest) = links->prev;
    return links->prev;
}

s4_status table_undo_grow(struct table *table)
{
    void *array = table->undo;
    if (!mem_grow(&array, &table->undo_capacity, table->n_undo + 1, sizeof *table->undo))
        return S4_NO_MEMORY;
    table->undo = array;
    return S4_OK;
}

static void order_back(struct table *table, const struct undo *undo, uint32_t ref)
{
    if (table->head)
        table_link(table, ref, undo->prev);
}

static void undo_insert(struct table *table, const struct undo *undo)
{
    char *slot = slab_at(&table->slab, undo->ref);
    if (table->head)
        table_unlink(table, undo->ref);
    rowindex_remove(&table->index, row_tag(table, slot), undo->ref);
    table->counters.rows--;
    table->counters.bytes -= sizes_bytes(*row_sizes(table, slot));
    table->counters.published--;
    slab_give(&table->slab, undo->ref);
}

static void undo_overwrite(struct table *table, const struct undo *undo)
{
    char *slot = slab_at(&table->slab, undo->ref);
    uint32_t *sizes = row_sizes(table, slot);
    table->counters.bytes += sizes_bytes(undo->old) - sizes_bytes(*sizes);
    table->counters.published--;
    *sizes = undo->old;
    if (sizes_row(undo->old) > 0)
        memcpy(slot + row_offset(table->head, sizes_key(undo->old)),
               table->saved.data + undo->saved, sizes_row(undo->old));
    table->saved.size = undo->saved;
    if (table->head) {
        table_unlink(table, undo->ref);
        table_link(table, undo->ref, undo->prev);
    }
}

static void undo_move(struct table *table, const struct undo *undo)
{
    char *slot = slab_at(&table->slab, undo->ref);
    char *old = slab_at(&table->slab, undo->old);
    if (table->head)
        table_unlink(table, undo->ref);
    order_back(table, undo, undo->old);
    rowindex_replace(&table->index, row_tag(table, slot), undo->ref, undo->old);
    table->counters.bytes +=
        sizes_bytes(*row_sizes(table, old)) - sizes_bytes(*row_sizes(table, slot));
    table->counters.published--;
    slab_give(&table->slab, undo->ref);
}

static void undo_remove(struct table *table, const struct undo *undo)
{
    uint32_t *sizes = row_sizes(table, slab_at(&table->slab, undo->ref));
    *sizes &= ~ROW_DEAD;
    order_back(table, undo, undo->ref);
    table->counters.rows++;
    table->counters.bytes += sizes_bytes(*sizes);
    if (undo->kind == UNDO_DROP)
        table->counters.dropped--;
    else
        table->counters.unpublished--;
}

void table_rollback_to(struct table *table, uint32_t mark)
{
    while (table->n_undo > mark) {
        const struct undo *undo = &table->undo[--table->n_undo];
        table->frees -= undo->kind >= UNDO_MOVE;
        if (undo->kind == UNDO_INSERT)
            undo_insert(table, undo);
        else if (undo->kind == UNDO_OVERWRITE)
            undo_overwrite(table, undo);
        else if (undo->kind == UNDO_MOVE)
            undo_move(table, undo);
        else
            undo_remove(table, undo);
    }
}

uint32_t table_changes(const struct table *table)
{
    return table->n_undo;
}

bool table_removed(const struct table *table, uint32_t change, struct table_row *row)
{
    const struct undo *undo = &table->undo[change];
    if (undo->kind != UNDO_DROP && undo->kind != UNDO_UNPUBLISH)
        return false;
    *row = row_of_slot(table->type, table->head, slab_at(&table->slab, undo->ref));
    return true;
}

/* Gives back the slot that a committed change left. */
static void free_left(struct table *table, const struct undo *undo)
{
    if (undo->kind == UNDO_MOVE) {
        slab_give(&table->slab, undo->old);
    } else if (undo->kind >= UNDO_DROP) {
        uint32_t tag = row_tag(table, slab_at(&table->slab, undo->ref));
        rowindex_remove(&table->index, tag, undo->ref);
        slab_give(&table->slab, undo->ref);
    }
}

static void undo_clear(struct table *table)
{
    table->n_undo = 0;
    table->frees = 0;
    buffer_clear(&table->saved);
    if (UNLIKELY(table->saved.capacity > UNDO_KEEP))
        buffer_fini(&table->saved);
    if (UNLIKELY(table->undo_capacity * sizeof *table->undo > UNDO_KEEP)) {
        mem_free(table->undo);
        table->undo = NULL;
        table->undo_capacity = 0;
    }
}

void table_commit(struct table *table)
{
    for (uint32_t i = 0; table->frees > 0 && i < table->n_undo; i++)
        free_left(table, &table->undo[i]);
    if (table->n_undo > 0)
        undo_clear(table);
}

void table_rollback(struct table *table)
{
    table_rollback_to(table, 0);
    undo_clear(table);
}
