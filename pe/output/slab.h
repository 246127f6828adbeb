/* Room for rows of any size, found again by a 32-bit ref, with versions for pins.
 *
 *   ref:    [ chunk number 23 | where in the chunk, in words of 8 bytes: 9 ]    0 is no ref
 *   pages:  top -> pages of 64 chunk numbers: [ chunk ] ...  [ struct place ] ...
 *   chunk:  [ struct chunk: epoch, older version, live slots ][ slot ][ slot ] ...
 *
 * A chunk holds slots of one size class, up to 4 KiB of them (fewer while the class is small); a
 * slot above SLAB_SMALL is a chunk of its own. A slot's address may change when its chunk is made
 * writable: keep refs. All functions are the owner's, except those of a view.
 *
 * Versions: a chunk that a living pin sees is never changed in what the pin reads (which slots are
 * live, and live slots from `head` bytes on); slab_writable puts a copy in its place, which leads
 * to the older one. The first `head` bytes of a slot are the owner's alone and may be written any
 * time.
 */
#ifndef PE_OUTPUT_SLAB_H
#define PE_OUTPUT_SLAB_H

#include <stdatomic.h>

#include "pe/output/pins.h"
#include "runtime/base/base.h"

#define SLAB_REF_BITS 9
#define SLAB_REF_MASK ((1u << SLAB_REF_BITS) - 1)
#define SLAB_SLOTS    128u  /* in a chunk */
#define SLAB_CHUNK    4096u /* bytes of a full-grown chunk */
#define SLAB_SMALL    512u  /* the largest slot that shares a chunk */
#define SLAB_BINS     32
#define SLAB_PAGE     64u /* places in a page */
#define SLAB_CHUNKS   (1u << (32 - SLAB_REF_BITS))

/* One version of a chunk; the slots follow. Immutable for pins from its publication in a place. */
struct chunk {
    struct retired retired; /* owner, once it was replaced */
    uint64_t epoch;         /* when it was made: pins before it read `older` */
    struct chunk *older;
    uint64_t live[SLAB_SLOTS / 64];
    uint32_t slot_size;
    uint32_t n_slots;
};

/* What the owner knows of a chunk. */
struct place {
    uint64_t epoch; /* the chunk's */
    uint32_t slot_size;
    uint32_t prev; /* chunks of the bin with free slots, or numbers in a chain */
    uint32_t next;
    uint8_t bin;
};

struct slab_page {
    /* release in slab.c when a version is put here pairs with acquire in slab_view_next; the owner
     * itself reads it relaxed. */
    struct chunk *_Atomic chunks[SLAB_PAGE];
    struct place places[SLAB_PAGE];
};

/* The way to the pages; replaced by a larger one when it is full. */
struct slab_top {
    struct retired retired;
    size_t n_pages; /* room for so many */
    struct slab_page *pages[];
};

struct slab_bin {
    uint32_t partial; /* chunks with a live and a free slot, newest first; 0: none */
    uint32_t spare;   /* one chunk without a live slot; 0: none */
    uint32_t chunks;
};

struct slab {
    struct pins *pins;    /* borrowed */
    struct slab_top *top; /* owned */
    uint32_t n_places;    /* numbers below were given; the first is 1 */
    uint32_t free_number; /* numbers without a chunk, through next; 0: none */
    uint32_t emptied; /* numbers of chunks that only pins may still read, through next; 0: none */
    struct slab_bin bins[SLAB_BINS];
    size_t bytes; /* of all but what is retired */
};

s4_status slab_init(struct slab *slab, struct pins *pins) MUST_USE;
/* Nobody reads any more. */
void slab_fini(struct slab *slab);

static inline struct slab_page *slab_page(const struct slab *slab, uint32_t number)
{
    return slab->top->pages[number / SLAB_PAGE];
}

static inline struct place *slab_place(const struct slab *slab, uint32_t number)
{
    return &slab_page(slab, number)->places[number % SLAB_PAGE];
}

static inline struct chunk *slab_chunk(const struct slab *slab, uint32_t number)
{
    return atomic_load_explicit(&slab_page(slab, number)->chunks[number % SLAB_PAGE],
                                memory_order_relaxed);
}

static inline char *slab_at(const struct slab *slab, uint32_t ref)
{
    return (char *)slab_chunk(slab, ref >> SLAB_REF_BITS) + (size_t)(ref & SLAB_REF_MASK) * 8;
}

/* The slot that `size` bytes get, and the one that a ref has. */
uint32_t slab_slot_size(size_t size);
static inline uint32_t slab_size(const struct slab *slab, uint32_t ref)
{
    return slab_place(slab, ref >> SLAB_REF_BITS)->slot_size;
}

s4_status slab_copy(struct slab *slab, uint32_t number) MUST_USE;
/* From now on, until the next pin, the slot may be changed and given back. */
static inline s4_status slab_writable(struct slab *slab, uint32_t ref)
{
    if (LIKELY(slab->pins->newest == 0))
        return S4_OK;
    uint32_t number = ref >> SLAB_REF_BITS;
    return pins_see(slab->pins, slab_place(slab, number)->epoch) ? slab_copy(slab, number) : S4_OK;
}

/* A slot for `size` bytes, live and writable, its content undefined. S4_NO_MEMORY, S4_FULL. */
s4_status slab_take(struct slab *slab, size_t size, uint32_t *ref) MUST_USE;
/* The slot is writable. */
void slab_give(struct slab *slab, uint32_t ref);
/* After pins_sweep: frees what waited for pins. */
void slab_trim(struct slab *slab);

void slab_validate(const struct slab *slab);

/* ---- what a pin reads, on any thread --------------------------------------------------------- */

struct slab_view {
    const struct slab_top *top;
    uint32_t n_places;
    uint64_t epoch;
};

static inline struct slab_view slab_view(const struct slab *slab, uint64_t epoch)
{
    return (struct slab_view){ slab->top, slab->n_places, epoch };
}

/* The next live slot at or after (*number, *slot), which move behind it; NULL: the end. */
const char *slab_view_next(const struct slab_view *view, uint32_t *number, uint32_t *slot);

#endif
