/* From a key's tag to its row: 8 bytes per entry, nothing moved but a few hundred of them at a
 * time.
 *
 *   tag 32 bits:  [ which segment: the top `depth` bits | ... ]
 *   directory  ->  segment: [ tag 32 | ref 32 ] ...   open addressing
 *
 * A segment that is full grows in steps up to 4 KiB, then is split in two (extendible hashing). The
 * directory has an entry for about 350 rows; doubling it is the only step that grows with the
 * table, 16 bytes of copying per 350 rows. It also says how large each segment is, so that a search
 * misses the cache once. A ref is never 0. One thread.
 */
#ifndef PE_OUTPUT_ROWINDEX_H
#define PE_OUTPUT_ROWINDEX_H

#include "runtime/base/base.h"

struct segment {
    uint32_t capacity;
    uint32_t used;
    uint32_t depth; /* the top bits that all tags of this segment share */
    uint32_t unused;
    uint64_t entries[]; /* 0: free */
};

struct direction {
    struct segment *segment; /* owned by all that lead to it */
    uint64_t capacity;       /* the segment's */
};

struct rowindex {
    struct direction *directory; /* owned; 1 << depth, neighbours may share a segment */
    uint32_t depth;
    size_t count;
    size_t bytes; /* of all its memory */
};

s4_status rowindex_init(struct rowindex *index) MUST_USE;
void rowindex_fini(struct rowindex *index); /* zeroed memory is fine */

/* The tag of a hash: all of its bits count, whichever of them chose the partition. */
static inline uint32_t rowindex_tag(uint64_t hash)
{
    return (uint32_t)((hash * 0x9e3779b97f4a7c15u) >> 32);
}

static inline const struct direction *rowindex_direction(const struct rowindex *index, uint32_t tag)
{
    return &index->directory[(uint64_t)tag >> (32 - index->depth)];
}

static inline uint32_t rowindex_home(uint64_t capacity, uint32_t tag)
{
    return (uint32_t)(((uint64_t)(tag * 0x9e3779b1u) * capacity) >> 32);
}

/* Walks the refs of a tag: rowindex_probe, then rowindex_next until it answers 0. */
struct rowindex_probe {
    const uint64_t *entries;
    uint32_t capacity;
    uint32_t tag;
    uint32_t at;
};

static inline struct rowindex_probe rowindex_probe(const struct rowindex *index, uint32_t tag)
{
    const struct direction *direction = rowindex_direction(index, tag);
    return (struct rowindex_probe){
        .entries = direction->segment->entries,
        .capacity = (uint32_t)direction->capacity,
        .tag = tag,
        .at = rowindex_home(direction->capacity, tag),
    };
}

static inline uint32_t rowindex_next(struct rowindex_probe *probe)
{
    for (;;) {
        uint64_t entry = probe->entries[probe->at];
        if (entry == 0)
            return 0;
        if (++probe->at == probe->capacity)
            probe->at = 0;
        if ((uint32_t)(entry >> 32) == probe->tag)
            return (uint32_t)entry;
    }
}

/* Room for one more entry of this tag: the next rowindex_put of it cannot fail. */
s4_status rowindex_reserve(struct rowindex *index, uint32_t tag) MUST_USE;
void rowindex_put(struct rowindex *index, uint32_t tag, uint32_t ref);
/* The entry is there. */
void rowindex_remove(struct rowindex *index, uint32_t tag, uint32_t ref);
void rowindex_replace(struct rowindex *index, uint32_t tag, uint32_t ref, uint32_t by);

/* The segments one after the other, by rising tags: start with 0; NULL: the end. */
const struct segment *rowindex_walk(const struct rowindex *index, size_t *at);

/* Tests: aborts if an invariant is broken. */
void rowindex_validate(const struct rowindex *index);

#endif
