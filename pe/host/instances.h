/* The instances of one prototype in one partition: a dense array of entries and an open-addressing
 * index of 8 bytes each. One owner thread; nothing in it is shared.
 *
 *   index:  [ tag 32 | number + 1 ]        power of two, linear probing, grown a little per insert, so
 *                                          that no event pays for all
 *   entry:  [ struct instance, 8 ][ key room ][ extra ][ state ]
 *
 * An entry's number stays the same while it lives; its address may move when an instance is made
 * (never during a call into a plugin). Keys longer than the room lie on the heap. The hash is not
 * kept: it is computed again from the key when the index grows. A number that was freed is used again,
 * the last freed first; save keeps numbers and that order, so that a loaded table goes on exactly as
 * the saved one would have.
 */
#ifndef PE_HOST_INSTANCES_H
#define PE_HOST_INSTANCES_H

#include <emmintrin.h>

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"

#define INSTANCE_NONE UINT32_MAX

enum instance_flags {
    INSTANCE_LIVE = 1,     /* the entry is in use */
    INSTANCE_LONG_KEY = 2, /* the key room holds a pointer to the key */
    INSTANCE_DIRTY = 4,    /* had an event since its last output */
    INSTANCE_WAITING = 8,  /* waits for an answer: events go to its mailbox; never expires, never evicted */
    INSTANCE_QUEUED = 16,  /* has records in its mailbox that wait for their turn; the same */
    INSTANCE_PARKED = 32,  /* failed too often in a row: its events go to the dead letters */
};

struct instance {
    uint32_t last_ms; /* time of the last run that it had an event in, since the table's base */
    uint16_t key_len;
    uint8_t flags;
    uint8_t failures; /* in a row */
};

struct instances_options {
    uint32_t key_room;   /* bytes of key kept in the entry, at least 8, multiple of 8 */
    uint32_t extra_size; /* the host's own, multiple of 8; zeroed at creation */
    uint32_t state_size; /* zeroed at creation */
    uint64_t max;        /* living instances; instances_create refuses beyond */
};

struct instances {
    char *entries;
    uint64_t *index;
    uint32_t mask;        /* of index */
    uint32_t entry_size;
    uint32_t key_room;
    uint32_t extra_offset;
    uint32_t state_offset;
    uint32_t count;       /* living */
    uint32_t high;        /* entries ever used: numbers are below */
    uint64_t base_ms;     /* what last_ms counts from */
    uint64_t *old_index;  /* while the index grows: entries not moved yet; else NULL */
    uint32_t old_mask;
    uint32_t old_at;      /* moved up to here */
    uint32_t free_head;   /* chain of freed numbers through last_ms */
    uint32_t capacity;    /* entries that fit in the mapping */
    size_t mapped;        /* bytes of the mapping, 0: from the heap */
    uint64_t max;
    uint64_t key_bytes;   /* of long keys */
    uint32_t *candidates; /* the oldest at the last scan, oldest last; see instances_oldest */
    uint32_t *candidate_ms;
    uint32_t n_candidates;
};

s4_status instances_init(struct instances *table, const struct instances_options *options) MUST_USE;
void instances_fini(struct instances *table); /* zeroed memory is fine; does not call anybody */

static inline struct instance *instances_at(const struct instances *table, uint32_t number)
{
    return (struct instance *)(void *)(table->entries + (size_t)number * table->entry_size);
}

static inline void *instance_extra(const struct instances *table, struct instance *instance)
{
    return (char *)instance + table->extra_offset;
}

static inline void *instance_state(const struct instances *table, struct instance *instance)
{
    return (char *)instance + table->state_offset;
}

static inline const char *instance_key(const struct instance *instance)
{
    const char *room = (const char *)(instance + 1);
    return LIKELY(!(instance->flags & INSTANCE_LONG_KEY)) ? room
                                                          : *(const char *const *)(const void *)room;
}

/* Bits of the hash: the slot comes from the top, the place in the index from the bottom, the tag from
 * between. */
static inline uint32_t instances_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 24);
}

/* Equality of keys of the same length. Both may be read 16 bytes beyond their end: the entry's bytes
 * and the record's bytes go on. */
static inline bool instances_key_equal(const char *a, const char *b, size_t len)
{
#if !defined(__SANITIZE_ADDRESS__)
    if (LIKELY(len <= 16)) {
        __m128i x = _mm_loadu_si128((const void *)a);
        __m128i y = _mm_loadu_si128((const void *)b);
        uint32_t same = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
        return (~same & ((1u << len) - 1u)) == 0;
    }
#endif
    return memcmp(a, b, len) == 0;
}

uint32_t instances_find_old(const struct instances *table, uint64_t hash, const char *key,
                            size_t len);

/* The number of the instance with this key, or INSTANCE_NONE. `key` is followed by at least 16 bytes
 * that may be read. */
static inline uint32_t instances_find(const struct instances *table, uint64_t hash,
                                      const char *key, size_t len)
{
    uint32_t tag = instances_tag(hash);
    for (uint32_t i = (uint32_t)hash & table->mask;; i = (i + 1) & table->mask) {
        uint64_t word = table->index[i];
        if (UNLIKELY(word == 0))
            break;
        if ((uint32_t)(word >> 32) != tag)
            continue;
        uint32_t number = (uint32_t)word - 1;
        const struct instance *instance = instances_at(table, number);
        if (LIKELY(instance->key_len == len &&
                   instances_key_equal(instance_key(instance), key, len)))
            return number;
    }
    return UNLIKELY(table->old_index != NULL) ? instances_find_old(table, hash, key, len)
                                              : INSTANCE_NONE;
}

/* Two steps of prefetch for a group of records: first the index, then the entry. */
static inline void instances_prefetch_index(const struct instances *table, uint64_t hash)
{
    __builtin_prefetch(&table->index[(uint32_t)hash & table->mask]);
}

static inline void instances_prefetch_entry(const struct instances *table, uint64_t hash)
{
    uint64_t word = table->index[(uint32_t)hash & table->mask];
    if (LIKELY(word != 0))
        __builtin_prefetch(instances_at(table, (uint32_t)word - 1), 1);
}

/* Makes an instance; its key is not there yet. State and extra are zeroed, flags are LIVE (and
 * LONG_KEY). S4_FULL: `max` are living; S4_NO_MEMORY. May move all entries. */
s4_status instances_create(struct instances *table, uint64_t hash, const char *key, size_t len,
                           uint64_t now_ms, uint32_t *number) MUST_USE;

/* Frees the entry; the caller has freed what its state owns. */
void instances_remove(struct instances *table, uint32_t number);

/* Notes an event at `now_ms` (never before the base; a time before last_ms is taken as it is). Moves
 * the base when the difference outgrows 32 bits: then ages saturate. */
static inline uint32_t instances_relative_ms(const struct instances *table, uint64_t now_ms)
{
    uint64_t since = now_ms > table->base_ms ? now_ms - table->base_ms : 0;
    return since < UINT32_MAX ? (uint32_t)since : UINT32_MAX;
}
void instances_rebase(struct instances *table, uint64_t now_ms); /* call when relative is near max */

/* The instance unused longest (smallest last_ms) that neither waits nor is queued; ties in the order of
 * a scan. INSTANCE_NONE: there is none. Amortised: a scan collects the oldest sixteenth, which are
 * handed out as long as they were not used since. Part of the saved state. */
uint32_t instances_oldest(struct instances *table);

/* The next number at or after `from` of an instance that is due: LIVE, neither waiting nor queued, and
 * last_ms + ttl_ms <= now_ms. INSTANCE_NONE: none. */
uint32_t instances_next_expired(const struct instances *table, uint32_t from, uint64_t now_ms,
                                uint64_t ttl_ms);
/* When the next one can be due at the earliest (absolute ms): a lower bound; UINT64_MAX: table empty. */
uint64_t instances_next_due_ms(const struct instances *table, uint64_t ttl_ms);

/* The next living number at or after `from`, or INSTANCE_NONE. */
static inline uint32_t instances_next(const struct instances *table, uint32_t from)
{
    for (uint32_t number = from; number < table->high; number++)
        if (instances_at(table, number)->flags & INSTANCE_LIVE)
            return number;
    return INSTANCE_NONE;
}

/* Bytes of entries and index that are in use, and of long keys. */
size_t instances_bytes(const struct instances *table);

/* The whole table except states, which the host writes through its own upcall in order of number.
 * `state` gets each living instance; on load the entry (key, flags, extra) is there already. */
typedef s4_status instances_state(void *user, uint32_t number, struct buffer *out);
typedef s4_status instances_load_state(void *user, uint32_t number, const char **at, const char *end);
s4_status instances_save(const struct instances *table, struct buffer *out, instances_state *state,
                         void *user) MUST_USE;
/* Into a table fresh from instances_init with the same options. S4_CORRUPT: untrusted bytes. */
s4_status instances_load(struct instances *table, const char **at, const char *end,
                         instances_load_state *state, void *user) MUST_USE;

/* Tests: aborts if an invariant is broken. */
void instances_validate(const struct instances *table);

#endif
