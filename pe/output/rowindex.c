/* The index of a table; see the header for its shape.
 *
 * Entries of a segment lie by linear probing; removing one moves those behind it back, so there are
 * no tombstones and a table that lives long does not slow down. The place in a segment comes from a
 * multiplication of the tag, since the tag's top bits are the same throughout it.
 *
 * Keys that were made to have equal tags cannot be split apart: the directory is doubled only while
 * it is small against the number of rows, and beyond that the segment grows instead.
 */
#include "pe/output/rowindex.h"

#include "runtime/base/mem.h"

/* Entries of a segment, so that with its head it fills an allocator's size. */
static const uint16_t steps[] = { 6, 14, 30, 62, 126, 254, 318, 382, 446, 510 };

#define DIRECTORY_ROWS 64 /* a directory may not have more than an entry per so many rows */
#define DEPTH_MAX      24

static uint32_t most(uint32_t capacity)
{
    return capacity - capacity / 5 - 1;
}

static size_t segment_size(uint32_t capacity)
{
    return sizeof(struct segment) + (size_t)capacity * sizeof(uint64_t);
}

/* The smallest capacity for so many entries and one more. */
static uint32_t capacity_for(uint32_t used)
{
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (used < most(steps[i]))
            return steps[i];
    uint32_t capacity = 1022;
    while (used >= most(capacity))
        capacity = capacity * 2 + 2;
    return capacity;
}

static struct segment *segment_create(struct rowindex *index, uint32_t used, uint32_t depth)
{
    uint32_t capacity = capacity_for(used);
    struct segment *segment = mem_zalloc(segment_size(capacity));
    if (segment) {
        segment->capacity = capacity;
        segment->depth = depth;
        index->bytes += segment_size(capacity);
    }
    return segment;
}

static void segment_destroy(struct rowindex *index, struct segment *segment)
{
    if (segment)
        index->bytes -= segment_size(segment->capacity);
    mem_free(segment);
}

static void segment_put(struct segment *segment, uint64_t entry)
{
    uint32_t at = rowindex_home(segment->capacity, (uint32_t)(entry >> 32));
    while (segment->entries[at] != 0)
        at = at + 1 == segment->capacity ? 0 : at + 1;
    segment->entries[at] = entry;
    segment->used++;
}

static struct segment *segment_of(const struct rowindex *index, uint32_t tag)
{
    return rowindex_direction(index, tag)->segment;
}

s4_status rowindex_init(struct rowindex *index)
{
    struct rowindex fresh = { .bytes = sizeof(struct direction) };
    fresh.directory = mem_alloc(sizeof(struct direction));
    struct segment *segment = fresh.directory ? segment_create(&fresh, 0, 0) : NULL;
    if (!segment) {
        mem_free(fresh.directory);
        return S4_NO_MEMORY;
    }
    fresh.directory[0] = (struct direction){ segment, segment->capacity };
    *index = fresh;
    return S4_OK;
}

const struct segment *rowindex_walk(const struct rowindex *index, size_t *at)
{
    if (!index->directory || *at >= (size_t)1 << index->depth)
        return NULL;
    const struct segment *segment = index->directory[*at].segment;
    *at += (size_t)1 << (index->depth - segment->depth);
    return segment;
}

void rowindex_fini(struct rowindex *index)
{
    for (size_t at = 0; index->directory && at < (size_t)1 << index->depth;) {
        struct segment *segment = index->directory[at].segment;
        at += (size_t)1 << (index->depth - segment->depth);
        mem_free(segment);
    }
    mem_free(index->directory);
    *index = (struct rowindex){ 0 };
}

/* All directory entries that lead to the segment of this tag and depth lead to `by` from now on. */
static void direct(struct rowindex *index, uint32_t tag, uint32_t depth, struct segment *by)
{
    uint32_t spread = index->depth - depth;
    size_t first = (size_t)((uint64_t)tag >> (32 - depth)) << spread;
    for (size_t i = 0; i < (size_t)1 << spread; i++)
        index->directory[first + i] = (struct direction){ by, by->capacity };
}

static s4_status grow(struct rowindex *index, uint32_t tag, struct segment *segment)
{
    struct segment *larger = segment_create(index, segment->used, segment->depth);
    if (!larger)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < segment->capacity; i++)
        if (segment->entries[i] != 0)
            segment_put(larger, segment->entries[i]);
    direct(index, tag, segment->depth, larger);
    segment_destroy(index, segment);
    return S4_OK;
}

static s4_status deepen(struct rowindex *index)
{
    size_t n = (size_t)1 << index->depth;
    struct direction *directory = mem_alloc(2 * n * sizeof *directory);
    if (!directory)
        return S4_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        directory[2 * i] = directory[2 * i + 1] = index->directory[i];
    mem_free(index->directory);
    index->directory = directory;
    index->depth++;
    index->bytes += n * sizeof *directory;
    return S4_OK;
}

static bool upper_half(uint64_t entry, uint32_t depth)
{
    return (entry >> (63 - depth)) & 1;
}

static s4_status split(struct rowindex *index, uint32_t tag, struct segment *segment)
{
    uint32_t depth = segment->depth;
    uint32_t above = 0;
    if (depth == index->depth)
        TRY(deepen(index));
    for (uint32_t i = 0; i < segment->capacity; i++)
        above += segment->entries[i] != 0 && upper_half(segment->entries[i], depth);
    struct segment *low = segment_create(index, segment->used - above, depth + 1);
    struct segment *high = low ? segment_create(index, above, depth + 1) : NULL;
    if (!high) {
        segment_destroy(index, low);
        return S4_NO_MEMORY;
    }
    for (uint32_t i = 0; i < segment->capacity; i++)
        if (segment->entries[i] != 0)
            segment_put(upper_half(segment->entries[i], depth) ? high : low, segment->entries[i]);
    uint32_t bit = 1u << (31 - depth);
    direct(index, tag & ~bit, depth + 1, low);
    direct(index, tag | bit, depth + 1, high);
    segment_destroy(index, segment);
    return S4_OK;
}

s4_status rowindex_reserve(struct rowindex *index, uint32_t tag)
{
    for (;;) {
        struct segment *segment = segment_of(index, tag);
        if (LIKELY(segment->used < most(segment->capacity)))
            return S4_OK;
        bool splits = segment->capacity >= steps[ARRAY_LEN(steps) - 1] &&
                      segment->depth < DEPTH_MAX &&
                      (segment->depth < index->depth ||
                       ((size_t)2 << index->depth) * DIRECTORY_ROWS <= index->count);
        TRY(splits ? split(index, tag, segment) : grow(index, tag, segment));
    }
}

void rowindex_put(struct rowindex *index, uint32_t tag, uint32_t ref)
{
    struct segment *segment = segment_of(index, tag);
    CHECK(ref != 0 && segment->used + 1 < segment->capacity);
    segment_put(segment, (uint64_t)tag << 32 | ref);
    index->count++;
}

static uint32_t place_of(const struct segment *segment, uint32_t tag, uint32_t ref)
{
    uint64_t entry = (uint64_t)tag << 32 | ref;
    uint32_t at = rowindex_home(segment->capacity, tag);
    while (segment->entries[at] != entry) {
        CHECK(segment->entries[at] != 0);
        at = at + 1 == segment->capacity ? 0 : at + 1;
    }
    return at;
}

void rowindex_replace(struct rowindex *index, uint32_t tag, uint32_t ref, uint32_t by)
{
    struct segment *segment = segment_of(index, tag);
    segment->entries[place_of(segment, tag, ref)] = (uint64_t)tag << 32 | by;
}

/* How far `at` lies behind `from`, around the end. */
static uint32_t behind(const struct segment *segment, uint32_t at, uint32_t from)
{
    return at >= from ? at - from : at + segment->capacity - from;
}

void rowindex_remove(struct rowindex *index, uint32_t tag, uint32_t ref)
{
    struct segment *segment = segment_of(index, tag);
    uint32_t hole = place_of(segment, tag, ref);
    for (uint32_t at = hole;;) {
        at = at + 1 == segment->capacity ? 0 : at + 1;
        uint64_t entry = segment->entries[at];
        if (entry == 0)
            break;
        uint32_t home = rowindex_home(segment->capacity, (uint32_t)(entry >> 32));
        if (behind(segment, at, home) >= behind(segment, at, hole)) {
            segment->entries[hole] = entry;
            hole = at;
        }
    }
    segment->entries[hole] = 0;
    segment->used--;
    index->count--;
}

static void segment_validate(const struct rowindex *index, const struct segment *segment,
                             size_t first)
{
    uint32_t used = 0;
    CHECK(segment->depth <= index->depth);
    for (uint32_t i = 0; i < segment->capacity; i++) {
        uint64_t entry = segment->entries[i];
        if (entry == 0)
            continue;
        uint32_t tag = (uint32_t)(entry >> 32);
        uint32_t at = place_of(segment, tag, (uint32_t)entry);
        CHECK(at == i && segment_of(index, tag) == segment);
        used++;
    }
    CHECK(used == segment->used && used < segment->capacity);
    for (size_t i = 0; i < (size_t)1 << (index->depth - segment->depth); i++)
        CHECK(index->directory[first + i].segment == segment &&
              index->directory[first + i].capacity == segment->capacity);
}

void rowindex_validate(const struct rowindex *index)
{
    size_t count = 0;
    size_t bytes = ((size_t)1 << index->depth) * sizeof *index->directory;
    size_t at = 0;
    size_t first = 0;
    for (const struct segment *s; (s = rowindex_walk(index, &at)) != NULL; first = at) {
        segment_validate(index, s, first);
        count += s->used;
        bytes += segment_size(s->capacity);
    }
    CHECK(count == index->count && bytes == index->bytes);
}
