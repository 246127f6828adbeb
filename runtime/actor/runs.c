/* A run copied out of its block, because its partition takes nothing now.
 *
 *     data | records, one behind the other | struct copied: block_runs, run | order |
 *
 * One allocation holds all of it, so that it is counted whole where blocks are counted (the memory
 * marks) and given back whole when its one run is done. The worker executes it as any other.
 */
#include "runtime/actor/runs.h"

struct copied {
    struct block_runs runs;
    struct run run;
    struct block_place order[];
};

static size_t bytes_left(const struct run *run)
{
    size_t bytes = 0;
    for (uint32_t i = run->done; i < run->count; i++)
        bytes += run_record(run, i)->len;
    return bytes;
}

static void copy_records(struct block *block, const struct run *run, struct block_place *order)
{
    for (uint32_t i = run->done; i < run->count; i++) {
        const struct record *record = run_record(run, i);
        char *at = block->data + block->used;
        memcpy(at, record, record->len);
        *order++ = block_place_of(block, (const struct record *)(const void *)at);
        block->used += record->len;
        block->count++;
        if (record->hop > block->hops)
            block->hops = record->hop;
    }
}

struct run *run_copy(const struct run *run)
{
    const struct block *from = run->runs->block;
    uint32_t n = run->count - run->done;
    size_t tail = align_up(bytes_left(run), _Alignof(struct copied));
    struct block *block =
        block_take_alone(from->pool, tail + sizeof(struct copied) + n * sizeof(struct block_place));
    if (!block)
        return NULL;
    block->app = from->app;
    block->worker = from->worker;
    block->opened_us = from->opened_us;
    block->copied = true;
    struct copied *copied = (struct copied *)(void *)(block->data + tail);
    *copied = (struct copied){
        .runs = { .block = block, .n_runs = 1, .runs_left = 1, .order = copied->order },
        .run = { .partition = run->partition,
                 .runs = &copied->runs,
                 .block = block,
                 .order = copied->order,
                 .count = n },
    };
    copied->runs.runs = &copied->run;
    copy_records(block, run, copied->order);
    return &copied->run;
}
