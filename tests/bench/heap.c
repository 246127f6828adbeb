/* malloc and its kin, defined in the program: a program's symbols come before those of all shared
 * objects, so that libc, every library and a plugin call these, too. They hand on to jemalloc's own
 * interface. */
#include "tests/bench/heap.h"

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define SEEN __attribute__((visibility("default")))

static _Atomic uint64_t calls; /* relaxed: a sum that is read when all is quiet */

uint64_t heap_calls(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

static void count(void)
{
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

static void *take(size_t size, int flags)
{
    count();
    void *p = mallocx(size ? size : 1, flags);
    if (!p)
        errno = ENOMEM;
    return p;
}

/* libc's and jemalloc's headers do not agree on the parameters' names.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
SEEN void *malloc(size_t size)
{
    return take(size, 0);
}

SEEN void *calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return take(bytes, MALLOCX_ZERO);
}

SEEN void free(void *p)
{
    if (!p)
        return;
    count();
    dallocx(p, 0);
}

SEEN void *realloc(void *p, size_t size)
{
    if (!p)
        return malloc(size);
    count();
    void *moved = rallocx(p, size ? size : 1, 0);
    if (!moved)
        errno = ENOMEM;
    return moved;
}

SEEN void *aligned_alloc(size_t align, size_t size)
{
    return take(size, MALLOCX_ALIGN(align));
}

SEEN void *memalign(size_t align, size_t size)
{
    return aligned_alloc(align, size);
}

SEEN int posix_memalign(void **at, size_t align, size_t size)
{
    void *p = aligned_alloc(align, size);
    if (!p)
        return ENOMEM;
    *at = p;
    return 0;
}

SEEN size_t malloc_usable_size(void *p)
{
    return p ? sallocx(p, 0) : 0;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
