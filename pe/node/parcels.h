/* Blocks that wait for somewhere to go, with what they are sent with, in the order in which they
 * go. One thread. */
#ifndef PE_NODE_PARCELS_H
#define PE_NODE_PARCELS_H

#include "pe/graph/limits.h"
#include "pe/host/engine.h"
#include "pe/node/ferry.h"
#include "runtime/record/block.h"

#define PARCEL_FIRST 0          /* before any frame */
#define PARCEL_LAST  UINT64_MAX /* after any */

struct parcel {
    struct parcel *next;
    struct block *block; /* owned */
    uint64_t number;     /* of the frame that its records were in: the list rises by it */
    uint64_t version;    /* the same frame's */
    uint64_t schema;
    char app[GRAPH_NAME_MAX + 1];
};

struct parcels {
    struct parcel *first;
    struct parcel **end;
    struct parcel *last;
    size_t count;
};

void parcels_init(struct parcels *list);
void parcels_fini(struct parcels *list); /* drops them */
/* Takes the frame's block on success: it lies behind those of its number and below, or is dropped,
 * since that frame's are there already. */
s4_status parcels_add(struct parcels *list, const struct ferry_frame *frame) MUST_USE;
/* The oldest; the caller's (parcel_free). NULL: none. */
struct parcel *parcels_take(struct parcels *list);
void parcel_free(struct parcel *parcel); /* with its block, if it has it still */

/* Which slots the block has records for: a bit of each. */
#define PARCEL_SLOT_WORDS (MAP_SLOTS_MAX / 64)
void parcels_slots(const struct block *block, uint64_t there[PARCEL_SLOT_WORDS]);

/* What to copy out of blocks. */
enum pick_by { PICK_BY_DESTINATION, PICK_BY_SOURCE };
struct pick {
    uint32_t self;            /* the node's index */
    const struct map *by_map; /* by which the frames were sent */
    const struct map *now;
    enum pick_by by;
    uint32_t slot;
};

/* Adds copies of the frame's records that are for the slot, or from it, in a block of their own,
 * which counts as begun. Not those that are older than their destination's epoch in `by_map`: they
 * were picked when that began, and lie in a later frame. Nor those of a slot that has begun anew
 * since, or is another node's now, which has what it had sent and nobody had applied. */
s4_status parcels_pick(struct parcels *list, struct engine *engine, const struct pick *pick,
                       const struct ferry_frame *frame) MUST_USE;
/* Drops the records that would not be picked any more for their source's sake. */
s4_status parcels_purge(struct parcels *list, struct engine *engine, const struct map *now,
                        uint32_t self) MUST_USE;

#endif
