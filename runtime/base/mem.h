/* Heap memory of the engine: the only callers of malloc.
 *
 * Failure is an ordinary result (NULL), and tests can make the n-th allocation fail. Memory that a
 * plugin gets is accounted by the host on top of this. Any thread.
 */
#ifndef RUNTIME_BASE_MEM_H
#define RUNTIME_BASE_MEM_H

#include "runtime/base/base.h"

void *mem_alloc(size_t size) __attribute__((malloc));
void *mem_zalloc(size_t size) __attribute__((malloc));           /* zeroed */
void *mem_calloc(size_t n, size_t size) __attribute__((malloc)); /* zeroed, overflow checked */
void *mem_realloc(void *p, size_t size);
void *mem_aligned(size_t align, size_t size) __attribute__((malloc)); /* align: power of two */
char *mem_strdup(const char *s) __attribute__((malloc));
char *mem_strndup(const char *s, size_t n) __attribute__((malloc));
void *mem_dup(const void *p, size_t size) __attribute__((malloc));
void mem_free(void *p); /* accepts NULL */

/* Grows an array to hold at least `want` elements (doubling); *capacity is updated.
 * Returns false, with everything untouched, when memory is out or the size overflows. */
bool mem_grow(void **array, size_t *capacity, size_t want, size_t element) MUST_USE;

/* Zeroed pages of their own, resident only once they are touched: for arrays of many pages, which
 * grow without being copied. Sizes are rounded up to pages by the caller (MEM_PAGE). Failure, and
 * the counting of calls, as above. */
#define MEM_PAGE ((size_t)4096)
void *mem_map(size_t size);
void *mem_map_grow(void *p, size_t size,
                   size_t grown); /* NULL: untouched; else it may have moved */
void mem_unmap(void *p, size_t size);

/* Tests only: the calls after the next `n` fail, until mem_fail_after(-1). Counted per thread. */
void mem_fail_after(int64_t n);
/* Calls to allocate so far on this thread; the steady state must not move it. */
uint64_t mem_calls(void);

#endif
