/* An open-addressing index from a tag (32 bits of a hash) to numbers, 8 bytes a word:
 *
 *   word:  [ tag 32 | number + 1 ]      0: empty; power of two, linear probing
 *
 * The place of a word is the low bits of its tag, so neither growth nor removal reads what the
 * numbers stand for. Several numbers may have one tag; the caller compares. It grows a little per
 * put, so that no put pays for all: meanwhile words that were not moved yet are found in the old
 * words. One owner thread.
 */
#ifndef RUNTIME_BASE_TAGINDEX_H
#define RUNTIME_BASE_TAGINDEX_H

#include "runtime/base/base.h"

#define TAGINDEX_NONE UINT32_MAX
#define TAGINDEX_MAX  (1u << 30) /* numbers in it */

struct tagindex {
    uint64_t *words;
    uint32_t mask;
    uint32_t count;
    uint64_t
        *old_words; /* while it grows, else NULL: those at and after old_at are not moved yet */
    uint32_t old_mask;
    uint32_t old_at;
};

/* Takes no memory before the first put. Zeroed memory may be finished, but not used. */
void tagindex_init(struct tagindex *index);
void tagindex_fini(struct tagindex *index);

/* Memory for one more put. S4_FULL: TAGINDEX_MAX are in it. */
s4_status tagindex_reserve(struct tagindex *index) MUST_USE;
/* After a reserve. */
void tagindex_put(struct tagindex *index, uint32_t tag, uint32_t number);
/* It is there: CHECKed. */
void tagindex_take(struct tagindex *index, uint32_t tag, uint32_t number);
/* Another number in the place of `number`, which is there. */
void tagindex_replace(struct tagindex *index, uint32_t tag, uint32_t number, uint32_t by);

static inline uint64_t tagindex_word(uint32_t tag, uint32_t number)
{
    return (uint64_t)tag << 32 | (number + 1);
}

/* The numbers with a tag, one after the other: start with a zeroed step, until TAGINDEX_NONE. */
struct tagindex_step {
    uint32_t probed;
    bool old;
};
uint32_t tagindex_next_old(const struct tagindex *index, uint32_t tag, struct tagindex_step *step);

static inline uint32_t tagindex_next(const struct tagindex *index, uint32_t tag,
                                     struct tagindex_step *step)
{
    while (!step->old) {
        uint64_t word = index->words[(tag + step->probed++) & index->mask];
        if (word == 0)
            *step = (struct tagindex_step){ .old = true };
        else if ((uint32_t)(word >> 32) == tag)
            return (uint32_t)word - 1;
    }
    return LIKELY(index->old_words == NULL) ? TAGINDEX_NONE : tagindex_next_old(index, tag, step);
}

size_t tagindex_bytes(const struct tagindex *index);

/* Tests: aborts if an invariant is broken. */
void tagindex_validate(const struct tagindex *index);

#endif
