/* State that travels in two parts: pieces that are sent ahead, while it still changes, and in the
 * end the whole of it, with references to the pieces that are in it as they were.
 *
 * What is the same is found by comparing, not by noting what changes: so nothing that changes state
 * has to know. Two pieces are the same if 128 bits of hash are, under a seed that nobody else
 * knows.
 *
 *   pieces:  per piece, numbered from 0:  u32 size, u32 0, bytes, aligned to 8
 *   whole:   per stretch:  u32 kind, u32 0, u64 size of bytes that follow, aligned to 8, or
 *                          u32 kind, u32 count, u64 number of the first of so many pieces
 */
#ifndef PE_HOST_PIECES_H
#define PE_HOST_PIECES_H

#include "runtime/base/buffer.h"
#include "runtime/base/cuts.h"
#include "runtime/base/diag.h"
#include "runtime/base/tagindex.h"

#define PIECES_MAX TAGINDEX_MAX /* sent ahead for one slot; what is beyond is sent in the end */

/* What was sent ahead. One thread at a time. */
struct pieces;
s4_status pieces_create(uint64_t seed, struct pieces **pieces) MUST_USE;
void pieces_destroy(struct pieces *pieces); /* NULL is fine */
/* Appends the piece to `out` unless it was before. */
s4_status pieces_offer(struct pieces *pieces, const char *bytes, size_t size,
                       struct buffer *out) MUST_USE;
/* Appends the whole: what lies between two cuts is a piece, if it was offered. */
s4_status pieces_write(const struct pieces *pieces, const char *bytes, size_t size,
                       const struct cuts *cuts, struct buffer *out) MUST_USE;

/* The pieces at the other end. Zeroed in the beginning. */
struct pieces_here {
    struct buffer bytes; /* as they came */
    size_t *starts;      /* owned: of each piece in them, by number */
    size_t n, capacity;
    size_t known; /* bytes of whole pieces */
};
/* The next bytes of them, cut anywhere; untrusted: S4_CORRUPT. */
s4_status pieces_take(struct pieces_here *here, const char *bytes, size_t size) MUST_USE;
void pieces_drop(struct pieces_here *here);
/* Appends to `out` what was the whole, of at most max bytes; untrusted: S4_CORRUPT, S4_TOO_LARGE.
 */
s4_status pieces_read(const struct pieces_here *here, const struct buffer *whole, uint64_t max,
                      struct buffer *out, struct diag *diag) MUST_USE;

#endif
