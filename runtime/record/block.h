/* A block: up to 64 KiB of records of one app for one destination worker.
 *
 * It is at once the ingest buffer, the message between threads, the ZeroMQ frame and, later, the
 * unit of retention. The writer owns it until it is sent; then it is immutable and counted. The
 * last `block_release`, on any thread, gives it back to its pool. BLOCK_SLACK bytes behind
 * `capacity` may be overwritten by 16-byte moves and are never read as content.
 */
#ifndef RUNTIME_RECORD_BLOCK_H
#define RUNTIME_RECORD_BLOCK_H

#include <stdatomic.h>

#include "runtime/base/base.h"
#include "runtime/record/record.h"

#define BLOCK_SIZE_DEFAULT (64 * KIB)
#define BLOCK_SIZE_MIN     (1 * KIB)
#define BLOCK_SIZE_MAX     (256 * KIB)
#define BLOCK_SLACK        64

struct block_pool;

/* Where a record lies in its block, where it goes, and the lower half of its key's hash: noted as
 * it is written, so that whoever sorts the records, and looks for what they are for, needs neither
 * to walk through them nor to touch them. */
struct block_place {
    uint16_t at; /* in units of BLOCK_UNIT bytes */
    uint16_t dst;
    uint32_t tag;
};
#define BLOCK_UNIT   8u
#define BLOCK_AT_MAX (UINT16_MAX * BLOCK_UNIT) /* bytes: no record begins behind */

struct block {
    struct block *next;      /* owner: whichever queue holds it */
    struct block_pool *pool; /* borrowed */
    _Atomic uint32_t holds;  /* release in block_release pairs with acquire there */
    uint32_t capacity;       /* bytes for records */
    uint32_t used;           /* bytes of records */
    uint32_t count;          /* records */
    uint16_t app;            /* the app's number in this node */
    uint16_t worker;         /* destination, a global worker number */
    uint8_t hops;            /* the most of any record in it */
    bool far : 1;            /* was written on another thread: its lines are in another cache */
    bool alone : 1;          /* allocated on its own, not a piece of an arena */
    bool copied : 1;         /* holds a run that must wait, copied out of another block */
    bool placed : 1;         /* the places of all its records are noted */
    uint64_t opened_us;      /* when the first record came; for the flush bound */
    void *user;              /* the holder's own: the worker's runs */
    char *data;              /* 64-aligned, capacity + BLOCK_SLACK bytes */
};

/* One pool per node. Any thread; a thread's own cache keeps most calls off the lock. `block_size`
 * is the capacity of ordinary blocks. */
s4_status block_pool_create(size_t block_size, struct block_pool **pool) MUST_USE;
void block_pool_destroy(
    struct block_pool *pool); /* every block is back, or it aborts; NULL is fine */
size_t block_pool_block_size(const struct block_pool *pool);
/* Bytes of all blocks that are held now: what the memory marks look at. Any thread. */
size_t block_pool_bytes(const struct block_pool *pool);

/* A block with one hold and nothing in it; `capacity_min` above the pool's size gives a block of
 * its own (up to RECORD_MAX). NULL: out of memory. */
struct block *block_take(struct block_pool *pool, size_t capacity_min);
/* One of just this capacity (to the next 64), allocated and freed on its own, however small: for
 * what may wait long. Counted in the pool's bytes as all are. */
struct block *block_take_alone(struct block_pool *pool, size_t capacity);
/* What it counts in the pool's bytes. */
size_t block_bytes(const struct block *block);
void block_hold(struct block *block);
void block_release(struct block *block);

static inline struct record *block_first(const struct block *block)
{
    return (struct record *)(void *)block->data;
}

/* Behind the slack: room for as many as records fit, for one in a block for one large record. */
static inline struct block_place *block_places(const struct block *block)
{
    return (struct block_place *)(void *)(block->data + block->capacity + BLOCK_SLACK);
}

static inline struct block_place block_place_of(const struct block *block,
                                                const struct record *record)
{
    size_t at = (size_t)((const char *)record - block->data) / BLOCK_UNIT;
    return (struct block_place){ (uint16_t)at, record->dst, (uint32_t)record->key_hash };
}

static inline const struct record *block_record(const char *data, const struct block_place *place)
{
    return (const struct record *)(const void *)(data + (size_t)place->at * BLOCK_UNIT);
}

static inline const struct record *block_end(const struct block *block)
{
    return (const struct record *)(const void *)(block->data + block->used);
}

/* One to eight zeros behind the key: the upper bytes of the last word of its room. */
static inline bool record_key_ends(const struct record *record, size_t key_len)
{
    size_t end = sizeof *record + record_key_room(key_len);
    size_t behind = end - sizeof *record - sizeof(uint16_t) - key_len;
    return load_u64((const char *)record + end - sizeof(uint64_t)) >> (64 - 8 * behind) == 0;
}

/* Whether block_check has nothing against a record of which `left` bytes are there, without saying
 * what. */
static inline bool record_is_whole(const struct record *record, size_t left)
{
    if (left < sizeof *record + record_key_room(0) || record->len > left ||
        record->len > RECORD_MAX || record->len % 8 != 0)
        return false;
    size_t key_len = record_key_len(record);
    return key_len <= RECORD_KEY_MAX && sizeof *record + record_key_room(key_len) <= record->len &&
           record_key_ends(record, key_len);
}

/* Copies the records that `wants` picks, in their order, into a block of just their size, for the
 * same worker; NULL: there is none. */
typedef bool block_wants(void *user, const struct record *record);
s4_status block_pick(const struct block *from, struct block_pool *pool, block_wants *wants,
                     void *user, struct block **picked) MUST_USE;

/* Checks the frame of every record of a block that came from another process: lengths, alignment,
 * key bounds, destination below `slots`, count. What lies in the attributes is checked per type by
 * codec_check. Answers S4_CORRUPT and where. */
struct diag;
s4_status block_check(const struct block *block, uint32_t slots, struct diag *diag) MUST_USE;

#endif
