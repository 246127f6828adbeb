/* A list, a map and a ring on an instance's own memory (s4_alloc), for the states of S4_CUSTOM
 * classes. Each saves and loads itself, so that a class's save callback is a line per container.
 *
 *     struct visitor {
 *         S4_LIST(struct visit) visits;     self->visits.items[i], i < self->visits.n
 *         S4_MAP(struct page) pages;        self->pages.values[at], by s4_map_each
 *         S4_RING(uint64_t) latest;         *s4_ring_at(&self->latest, i), i < self->latest.n
 *     };
 *
 * Zeroed memory is an empty container, and the host frees what an instance holds: no create or
 * remove callback is needed. Items are copied as bytes and saved as bytes: no pointers in them. All
 * that one can see (order, saved bytes) depends on what was done and never on addresses. A call
 * that fails leaves the container as it was. Pointers to items and values are valid until the next
 * call that adds something.
 *
 * The bytes of s4_*_load are not trusted: S4_CORRUPT, or the loader's own error; what was loaded
 * until then is the instance's and goes with it. Names that end in _ are the macros' own.
 */
#ifndef S4_CONTAINERS_H
#define S4_CONTAINERS_H

#include <s4/list.h>
#include <s4/map.h>
#include <s4/ring.h>

#endif
