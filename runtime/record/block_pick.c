/* Some records of a block, copied into a block of their own: for what has to go another way than
 * the block did.
 */
#include "runtime/record/block.h"

s4_status block_pick(const struct block *from, struct block_pool *pool, block_wants *wants,
                     void *user, struct block **picked)
{
    const struct record *end = block_end(from);
    size_t bytes = 0;
    for (const struct record *r = block_first(from); r < end; r = record_next(r))
        bytes += wants(user, r) ? r->len : 0;
    *picked = NULL;
    if (bytes == 0)
        return S4_OK;
    struct block *block = block_take_alone(pool, bytes);
    if (!block)
        return S4_NO_MEMORY;
    for (const struct record *r = block_first(from); r < end; r = record_next(r)) {
        if (!wants(user, r))
            continue;
        memcpy(block->data + block->used, r, r->len);
        block->used += r->len;
        block->count++;
        if (r->hop > block->hops)
            block->hops = r->hop;
    }
    block->worker = from->worker;
    block->opened_us = from->opened_us;
    *picked = block;
    return S4_OK;
}
