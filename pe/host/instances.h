/* The instances of one prototype in one partition: a dense array of entries and an open-addressing
 * index of 8 bytes each (runtime/base/tagindex.h). One owner thread; nothing in it is shared.
 *
 *   index:  [ tag 32 | number + 1 ]        grown a little per insert, so that no event pays for all
 *   entry:  [ struct instance, 8 ][ key room ][ extra ][ state ]
 *
 * An entry's number stays the same while it lives; its address may move when an instance is made
 * (never during a call into a plugin). Keys longer than the room lie on the heap. A key's hash is
 * hash_bytes of it; it is not kept, the tag is enough to grow and to remove. A number that was
 * freed is used again, the last freed first; save keeps numbers and that order, so that a loaded
 * table goes on exactly as the saved one would have.
 *
 * The times that a table sees never go back.
 */
#ifndef PE_HOST_INSTANCES_H
#define PE_HOST_INSTANCES_H

#include <emmintrin.h>

#include "runtime/base/asan.h"
#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/tagindex.h"

#define INSTANCE_NONE        UINT32_MAX
#define INSTANCES_MAX        TAGINDEX_MAX /* in one table, whatever its options say */
#define INSTANCES_TTL_MAX_MS (3ull << 30) /* 37 days: ages are exact up to here */

enum instance_flags {
    INSTANCE_LIVE = 1,     /* the entry is in use */
    INSTANCE_LONG_KEY = 2, /* the key room holds a pointer to the key */
    INSTANCE_DIRTY = 4,    /* had an event since its last output */
    INSTANCE_WAITING =
        8, /* waits for an answer: events go to its mailbox; never expires, never evicted */
    INSTANCE_QUEUED = 16, /* has records in its mailbox that wait for their turn; the same */
    INSTANCE_PARKED = 32, /* failed too often in a row: its events go to the dead letters */
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
    struct tagindex index;
    uint32_t entry_size;
    uint32_t key_room;
    uint32_t extra_offset;
    uint32_t state_offset;
    uint32_t count;     /* living */
    uint32_t high;      /* entries ever used: numbers are below */
    uint64_t base_ms;   /* what last_ms counts from */
    uint32_t free_head; /* chain of freed numbers through last_ms */
    uint32_t capacity;  /* entries that there is memory for */
    size_t mapped;      /* bytes of the mapping, 0: from the heap */
    uint64_t max;
    uint64_t key_bytes;   /* of long keys */
    uint64_t *candidates; /* last_ms and number of the oldest at the last scan, oldest last */
    size_t candidates_capacity;
    uint32_t n_candidates;
};

/* Takes no memory before the first instance. S4_INVALID: an entry would not be one. */
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
    return LIKELY(!(instance->flags & INSTANCE_LONG_KEY))
               ? room
               : *(const char *const *)(const void *)room;
}

/* Bits of the hash: the slot comes from the top, tag and place in the index from the bottom. */
static inline uint32_t instances_tag(uint64_t hash)
{
    return (uint32_t)hash;
}

/* Equality of keys of the same length. Both may be read 16 bytes beyond their end: the entry's
 * bytes and the record's bytes go on. */
static inline bool instances_short_equal(const char *a, const char *b, size_t len) /* up to 16 */
{
#if !ASAN
    __m128i x = _mm_loadu_si128((const void *)a);
    __m128i y = _mm_loadu_si128((const void *)b);
    uint32_t same = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
    return (same | ~0u << len) == ~0u;
#else
    return memcmp(a, b, len) == 0;
#endif
}

static inline bool instances_key_equal(const char *a, const char *b, size_t len)
{
    return LIKELY(len <= 16) ? instances_short_equal(a, b, len) : memcmp(a, b, len) == 0;
}

uint32_t instances_find_old(const struct instances *table, uint64_t hash, const char *key,
                            size_t len);

static inline bool instances_is(const struct instances *table, uint32_t number, const char *key,
                                size_t len)
{
    const struct instance *instance = instances_at(table, number);
    return LIKELY(instance->key_len == len &&
                  instances_key_equal(instance_key(instance), key, len));
}

/* The number of the instance with this key, or INSTANCE_NONE. `key` is followed by at least 16
 * bytes that may be read. */
static inline uint32_t instances_find(const struct instances *table, uint64_t hash, const char *key,
                                      size_t len)
{
    uint32_t tag = instances_tag(hash);
    for (uint32_t i = tag & table->index.mask;; i = (i + 1) & table->index.mask) {
        uint64_t word = table->index.words[i];
        if (UNLIKELY(word == 0))
            break;
        if ((uint32_t)(word >> 32) != tag)
            continue;
        uint32_t number = (uint32_t)word - 1;
        if (instances_is(table, number, key, len))
            return number;
    }
    return UNLIKELY(table->index.old_words != NULL) ? instances_find_old(table, hash, key, len)
                                                    : INSTANCE_NONE;
}

/* Two steps of prefetch for a group of records: first the index, then the entry. */
static inline void instances_prefetch_index(const struct instances *table, uint64_t hash)
{
    PREFETCH(&table->index.words[instances_tag(hash) & table->index.mask]);
}

/* The entry is that of the first word with the tag, not of the first word: a third of them were
 * moved on by others. Its state often lies on the next line. Both together make a find among
 * millions a third faster. */
static inline void instances_prefetch_entry(const struct instances *table, uint64_t hash)
{
    uint32_t tag = instances_tag(hash);
    for (uint32_t i = tag & table->index.mask;; i = (i + 1) & table->index.mask) {
        uint64_t word = table->index.words[i];
        if (word == 0)
            return;
        if ((uint32_t)(word >> 32) != tag)
            continue;
        const char *entry = (const char *)instances_at(table, (uint32_t)word - 1);
        __builtin_prefetch(entry, 1);
        __builtin_prefetch(entry + table->state_offset, 1);
        return;
    }
}

/* Makes an instance; its key is not there yet. State and extra are zeroed, flags are LIVE (and
 * LONG_KEY). S4_FULL: `max` are living; S4_NO_MEMORY. May move all entries. */
s4_status instances_create(struct instances *table, uint64_t hash, const char *key, size_t len,
                           uint64_t now_ms, uint32_t *number) MUST_USE;

/* Frees the entry; the caller has freed what its state owns. */
void instances_remove(struct instances *table, uint32_t number);

/* ---- ages (instances_age.c) ---- */

/* What last_ms is for an event at `now_ms`, saturated. */
static inline uint32_t instances_relative_ms(const struct instances *table, uint64_t now_ms)
{
    uint64_t since = now_ms > table->base_ms ? now_ms - table->base_ms : 0;
    return since < UINT32_MAX ? (uint32_t)since : UINT32_MAX;
}

/* Moves the base, so that ages up to INSTANCES_TTL_MAX_MS stay exact and older ones saturate. */
void instances_rebase(struct instances *table, uint64_t now_ms);

/* The same after moving the base where the difference outgrew 32 bits: call it once per run, then
 * write the result to last_ms of every instance with an event. */
static inline uint32_t instances_now(struct instances *table, uint64_t now_ms)
{
    uint32_t now = instances_relative_ms(table, now_ms);
    if (LIKELY(now < UINT32_MAX))
        return now;
    instances_rebase(table, now_ms);
    return instances_relative_ms(table, now_ms);
}

/* The instance unused longest (smallest last_ms) that neither waits nor is queued; ties in the
 * order of a scan. INSTANCE_NONE: there is none. Amortised: a scan collects the oldest sixteenth,
 * which are handed out as long as they were not used since. Part of the saved state. */
uint32_t instances_oldest(struct instances *table);

/* The oldest if it is due: last_ms + ttl_ms <= now_ms. INSTANCE_NONE: none is. The caller removes
 * it before it asks for the next. O(1) while none is due. */
uint32_t instances_expired(struct instances *table, uint64_t now_ms, uint64_t ttl_ms);
/* When the next one can be due at the earliest (absolute ms): a lower bound, by what was collected
 * and may be used or gone since, which rises above now_ms when instances_expired has answered that
 * none is due then. UINT64_MAX: there is none; it may be less though there is none. */
uint64_t instances_next_due_ms(struct instances *table, uint64_t ttl_ms);

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

/* ---- saving (instances_save.c) ---- */

/* The whole table except states, which the host writes through its own upcall in order of number.
 * `state` gets each living instance; on load the entry (key, flags, extra) is there already. */
typedef s4_status instances_state(void *user, uint32_t number, struct buffer *out);
typedef s4_status instances_load_state(void *user, uint32_t number, const char **at,
                                       const char *end);
s4_status instances_save(const struct instances *table, struct buffer *out, instances_state *state,
                         void *user) MUST_USE;
/* A living one, as it is saved in the whole. */
s4_status instances_save_one(const struct instances *table, uint32_t number, struct buffer *out,
                             instances_state *state, void *user) MUST_USE;
/* Into a table fresh from instances_init with the same options. S4_CORRUPT: untrusted bytes. On
 * failure the living ones are those whose state was loaded: the caller frees what they own, then
 * calls instances_fini. */
s4_status instances_load(struct instances *table, const char **at, const char *end,
                         instances_load_state *state, void *user) MUST_USE;

/* For load: the entry `number`, at or after table->high, which rises. Gaps are in no chain yet. */
s4_status instances_create_at(struct instances *table, uint64_t hash, const char *key, size_t len,
                              uint32_t number) MUST_USE;
/* For load: numbers below `high` have entries. */
s4_status instances_raise(struct instances *table, uint32_t high) MUST_USE;

/* Tests: aborts if an invariant is broken. */
void instances_validate(const struct instances *table);

#endif
