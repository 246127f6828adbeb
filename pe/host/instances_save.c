/* A table as bytes, and back. Part of a partition's saved state, so what was saved by one node is
 * read by another: nothing in it is trusted.
 *
 *   u32 version, u32 key_room, u32 extra size, u32 count, u32 high, u32 candidates, u64 base_ms
 *   per freed number, last freed first:  u32
 *   per candidate, oldest last:          u64
 *   per living instance, by number:      u32 number, u32 last_ms, u16 key_len, u8 flags, u8
 * failures, key, extra, and what the host's upcall writes
 *
 * Numbers are kept, and candidates, because which instance goes first is a consequence of them.
 */
#include "pe/host/instances.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/pack.h"

#define VERSION 1u
#define FLAGS_ALL                                                                              \
    (INSTANCE_LIVE | INSTANCE_LONG_KEY | INSTANCE_DIRTY | INSTANCE_WAITING | INSTANCE_QUEUED | \
     INSTANCE_PARKED)
#define ENTRY_HEAD (sizeof(uint32_t) + sizeof(struct instance)) /* what every living one takes */

struct header {
    uint32_t version;
    uint32_t key_room;
    uint32_t extra_size;
    uint32_t count;
    uint32_t high;
    uint32_t n_candidates;
    uint64_t base_ms;
};

static uint32_t extra_size(const struct instances *table)
{
    return table->state_offset - table->extra_offset;
}

s4_status instances_save_one(const struct instances *table, uint32_t number, struct buffer *out,
                             instances_state *state, void *user)
{
    struct instance *instance = instances_at(table, number);
    TRY(pack_u32(out, number));
    TRY(buffer_append(out, instance, sizeof *instance));
    TRY(buffer_append(out, instance_key(instance), instance->key_len));
    TRY(buffer_append(out, instance_extra(table, instance), extra_size(table)));
    return state(user, number, out);
}

static s4_status save_all(const struct instances *table, struct buffer *out, instances_state *state,
                          void *user)
{
    struct header header = { VERSION,     table->key_room,     extra_size(table), table->count,
                             table->high, table->n_candidates, table->base_ms };
    TRY(buffer_append(out, &header, sizeof header));
    for (uint32_t at = table->free_head; at != INSTANCE_NONE; at = instances_at(table, at)->last_ms)
        TRY(pack_u32(out, at));
    TRY(buffer_append(out, table->candidates, table->n_candidates * sizeof(uint64_t)));
    for (uint32_t at = instances_next(table, 0); at != INSTANCE_NONE;
         at = instances_next(table, at + 1))
        TRY(instances_save_one(table, at, out, state, user));
    return S4_OK;
}

s4_status instances_save(const struct instances *table, struct buffer *out, instances_state *state,
                         void *user)
{
    size_t before = out->size;
    s4_status status = save_all(table, out, state, user);
    if (status != S4_OK)
        out->size = before;
    return status;
}

/* ---- loading ---- */

/* What the numbers of the header promise is there, so that memory is taken only for bytes that are.
 */
static s4_status load_header(const struct instances *table, const char **at, const char *end,
                             struct header *header)
{
    const char *bytes = unpack_bytes(at, end, sizeof *header);
    if (!bytes)
        return S4_CORRUPT;
    memcpy(header, bytes, sizeof *header);
    if (header->version != VERSION || header->key_room != table->key_room ||
        header->extra_size != extra_size(table))
        return S4_CORRUPT;
    if (header->count > table->max || header->count > header->high ||
        header->high > INSTANCES_MAX || header->n_candidates > header->high)
        return S4_CORRUPT;
    uint64_t least = (header->high - header->count) * (uint64_t)sizeof(uint32_t) +
                     header->n_candidates * (uint64_t)sizeof(uint64_t) +
                     header->count * (uint64_t)(ENTRY_HEAD + header->extra_size);
    return least <= (uint64_t)(end - *at) ? S4_OK : S4_CORRUPT;
}

static s4_status load_candidates(struct instances *table, const char *bytes, uint32_t n,
                                 uint32_t high)
{
    if (n == 0)
        return S4_OK;
    void *candidates = NULL;
    size_t capacity = 0;
    if (!mem_grow(&candidates, &capacity, n, sizeof(uint64_t)))
        return S4_NO_MEMORY;
    table->candidates = candidates;
    table->candidates_capacity = capacity;
    memcpy(candidates, bytes, n * sizeof(uint64_t));
    for (uint32_t i = 0; i < n; i++)
        if ((uint32_t)table->candidates[i] >= high ||
            (i > 0 && table->candidates[i - 1] <= table->candidates[i]))
            return S4_CORRUPT;
    table->n_candidates = n;
    return S4_OK;
}

static s4_status load_key(struct instances *table, const struct instance *saved, const char *key,
                          uint32_t number)
{
    size_t len = saved->key_len;
    uint64_t hash = hash_bytes(key, len);
    char room[32] = { 0 }; /* short keys are read 16 bytes wide, which the saved bytes may not be */
    if (len <= 16)
        memcpy(room, key, len);
    if (instances_find(table, hash, len <= 16 ? room : key, len) != INSTANCE_NONE)
        return S4_CORRUPT;
    TRY(instances_create_at(table, hash, key, len, number));
    struct instance *instance = instances_at(table, number);
    uint8_t flags = instance->flags;
    if ((saved->flags & ~FLAGS_ALL) != 0 ||
        (saved->flags & (INSTANCE_LIVE | INSTANCE_LONG_KEY)) != flags) {
        instances_remove(table, number);
        return S4_CORRUPT;
    }
    *instance = *saved;
    return S4_OK;
}

static s4_status load_one(struct instances *table, const char **at, const char *end, uint32_t high,
                          instances_load_state *state, void *user)
{
    uint32_t number = 0;
    if (!unpack_u32(at, end, &number) || number < table->high || number >= high)
        return S4_CORRUPT;
    struct instance saved;
    const char *head = unpack_bytes(at, end, sizeof saved);
    if (!head)
        return S4_CORRUPT;
    memcpy(&saved, head, sizeof saved);
    const char *key = unpack_bytes(at, end, saved.key_len);
    const char *extra = key ? unpack_bytes(at, end, extra_size(table)) : NULL;
    if (!extra)
        return S4_CORRUPT;
    TRY(load_key(table, &saved, key, number));
    memcpy(instance_extra(table, instances_at(table, number)), extra, extra_size(table));
    s4_status status = state(user, number, at, end);
    if (status != S4_OK)
        instances_remove(table, number);
    return status;
}

/* The chain goes through numbers that are not living, each once: a number that is in it already
 * points to another one or to itself, so it is marked by key_len until all are in. */
static s4_status load_chain(struct instances *table, const char *bytes, uint32_t n)
{
    uint32_t next = INSTANCE_NONE;
    for (uint32_t i = n; i-- > 0;) {
        uint32_t number = 0;
        memcpy(&number, bytes + i * sizeof number, sizeof number);
        if (number >= table->high)
            return S4_CORRUPT;
        struct instance *instance = instances_at(table, number);
        if ((instance->flags & INSTANCE_LIVE) || instance->key_len != 0)
            return S4_CORRUPT;
        *instance = (struct instance){ .last_ms = next, .key_len = 1 };
        next = number;
    }
    for (uint32_t number = next; number != INSTANCE_NONE;) {
        struct instance *instance = instances_at(table, number);
        instance->key_len = 0;
        number = instance->last_ms;
    }
    table->free_head = next;
    return S4_OK;
}

s4_status instances_load(struct instances *table, const char **at, const char *end,
                         instances_load_state *state, void *user)
{
    CHECK(table->high == 0);
    struct header header;
    TRY(load_header(table, at, end, &header));
    uint32_t n_free = header.high - header.count;
    const char *chain = unpack_bytes(at, end, n_free * sizeof(uint32_t));
    const char *candidates = unpack_bytes(at, end, header.n_candidates * sizeof(uint64_t));
    CHECK(chain && candidates);
    table->base_ms = header.base_ms;
    for (uint32_t i = 0; i < header.count; i++)
        TRY(load_one(table, at, end, header.high, state, user));
    TRY(instances_raise(table, header.high));
    TRY(load_chain(table, chain, n_free));
    return load_candidates(table, candidates, header.n_candidates, header.high);
}
