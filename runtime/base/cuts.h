/* Where bytes that are being written may be cut, so that what is the same as another time can be
 * told part by part. Whoever writes marks the ends of its entries; the offsets rise. One thread.
 */
#ifndef RUNTIME_BASE_CUTS_H
#define RUNTIME_BASE_CUTS_H

#include "runtime/base/mem.h"

struct cuts {
    size_t *at;
    size_t n;
    size_t capacity;
};

/* NULL: nobody wants to know. */
static inline s4_status MUST_USE cuts_mark(struct cuts *cuts, size_t at)
{
    if (!cuts)
        return S4_OK;
    void *array = cuts->at;
    bool grown = mem_grow(&array, &cuts->capacity, cuts->n + 1, sizeof *cuts->at);
    cuts->at = array;
    if (!grown)
        return S4_NO_MEMORY;
    cuts->at[cuts->n++] = at;
    return S4_OK;
}

static inline void cuts_fini(struct cuts *cuts)
{
    mem_free(cuts->at);
    *cuts = (struct cuts){ 0 };
}

#endif
