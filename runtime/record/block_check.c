/* The frame of every record in a block that came from another process (README.md, rules 1 to 5):
 * after it, walking the block and reading headers and keys stays inside of it.
 */
#include "runtime/base/diag.h"
#include "runtime/record/block.h"

/* What is wrong with the record at `offset`, whose `left` bytes are there; NULL: nothing. */
static const char *record_fault(const struct record *record, size_t left, uint32_t slots)
{
    if (left < sizeof *record + record_key_room(0))
        return "is cut off";
    if (record->len < sizeof *record + record_key_room(0) || record->len > RECORD_MAX)
        return "has an impossible length";
    if (record->len % 8 != 0)
        return "has a length that is no multiple of 8";
    if (record->len > left)
        return "is longer than the rest of the block";
    size_t key_len = record_key_len(record);
    if (key_len > RECORD_KEY_MAX || sizeof *record + record_key_room(key_len) > record->len)
        return "has a key that does not fit";
    if (!record_key_ends(record, key_len))
        return "has a key that does not end in zeros";
    if (record->dst >= slots)
        return "is for a slot that does not exist";
    return NULL;
}

s4_status block_check(const struct block *block, uint32_t slots, struct diag *diag)
{
    uint32_t count = 0;
    if (block->used > block->capacity)
        return diag_set(diag, S4_CORRUPT, "block: %u bytes used of %u", block->used,
                        block->capacity);
    for (size_t at = 0; at < block->used; count++) {
        const struct record *record = (const struct record *)(const void *)(block->data + at);
        const char *fault = at > BLOCK_AT_MAX ? "begins too far behind"
                                              : record_fault(record, block->used - at, slots);
        if (fault)
            return diag_set(diag, S4_CORRUPT, "block: record %u at byte %zu %s", count, at, fault);
        at += record->len;
    }
    if (count != block->count)
        return diag_set(diag, S4_CORRUPT, "block: %u records, announced were %u", count,
                        block->count);
    return S4_OK;
}
