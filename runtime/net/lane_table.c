/* Lanes by number; see the header. */
#include "runtime/net/lane_table.h"

#include "runtime/base/mem.h"

void lane_table_fini(struct lane_table *table)
{
    mem_free(table->entries);
    *table = (struct lane_table){ 0 };
}

/* The first entry whose number is not below. */
static size_t place_of(const struct lane_table *table, uint32_t number)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *lane_table_find(const struct lane_table *table, uint32_t number)
{
    size_t at = place_of(table, number);
    bool found = at < table->count && table->entries[at].number == number;
    return found ? table->entries[at].lane : NULL;
}

s4_status lane_table_add(struct lane_table *table, uint32_t number, void *lane)
{
    void *entries = table->entries;
    if (!mem_grow(&entries, &table->capacity, table->count + 1, sizeof *table->entries))
        return S4_NO_MEMORY;
    table->entries = entries;
    size_t at = place_of(table, number);
    CHECK(at == table->count || table->entries[at].number != number);
    memmove(&table->entries[at + 1], &table->entries[at],
            (table->count - at) * sizeof *table->entries);
    table->entries[at] = (struct lane_entry){ .number = number, .lane = lane };
    table->count++;
    return S4_OK;
}
