/* A map from keys (any bytes) to values, in the order in which the keys came. What all containers
 * promise stands in containers.h.
 *
 * Entries and values stand in two rows in the order of their coming, the keys' bytes in a third;
 * the index is open addressing over twice as many places. Removing only marks: what it left is used
 * again when there is no room, so that nothing moves while one walks over the map. */
#ifndef S4_MAP_H
#define S4_MAP_H

#include <s4/list.h>

#define S4_MAP_KEY_MAX 65535u /* bytes of one key */

#define S4_MAP_REMOVED_ UINT32_MAX

struct s4_map_entry {
    uint32_t key_at; /* in keys; S4_MAP_REMOVED_: gone */
    uint32_t key_len;
    uint32_t hash;
};

struct s4_map {
    void *values;
    struct s4_map_entry *entries;
    char *keys;
    uint32_t *index; /* 0, or an entry's number + 1 */
    uint32_t n;      /* living entries */
    uint32_t used;   /* with removed ones */
    uint32_t room;   /* of entries and values; a power of two */
    uint32_t keys_used;
    uint32_t keys_removed;
    uint32_t keys_room;
};

#define S4_MAP(Value)      \
    union {                \
        Value *values;     \
        struct s4_map map; \
    }

/* Only places in the index depend on it, so it may change with the version. */
static inline uint32_t s4_map_hash_(const void *key, size_t len)
{
    const char *at = (const char *)key;
    uint64_t hash = len * 0x9e3779b97f4a7c15u;
    for (;;) {
        uint64_t word = 0;
        memcpy(&word, at, len < 8 ? len : 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
        if (len <= 8)
            return (uint32_t)(hash ^ (hash >> 16));
        at += 8;
        len -= 8;
    }
}

/* The number of the key's entry, or S4_MAP_REMOVED_. */
static inline uint32_t s4_map_at_(const struct s4_map *map, const void *key, size_t len)
{
    if (map->n == 0)
        return S4_MAP_REMOVED_;
    uint32_t mask = map->room * 2 - 1;
    uint32_t hash = s4_map_hash_(key, len);
    for (uint32_t i = hash & mask; map->index[i] != 0; i = (i + 1) & mask) {
        const struct s4_map_entry *entry = &map->entries[map->index[i] - 1];
        if (entry->hash == hash && entry->key_len == len && entry->key_at != S4_MAP_REMOVED_ &&
            memcmp(map->keys + entry->key_at, key, len) == 0)
            return map->index[i] - 1;
    }
    return S4_MAP_REMOVED_;
}

static inline void s4_map_point_(struct s4_map *map, uint32_t number)
{
    uint32_t mask = map->room * 2 - 1;
    uint32_t i = map->entries[number].hash & mask;
    while (map->index[i] != 0)
        i = (i + 1) & mask;
    map->index[i] = number + 1;
}

/* Moves living entries and their keys together, which needs no memory, and builds the index anew.
 */
static inline void s4_map_compact_(struct s4_map *map, size_t size)
{
    uint32_t kept = 0, keys = 0;
    for (uint32_t i = 0; i < map->used; i++) {
        struct s4_map_entry entry = map->entries[i];
        if (entry.key_at == S4_MAP_REMOVED_)
            continue;
        memmove(map->keys + keys, map->keys + entry.key_at, entry.key_len);
        entry.key_at = keys;
        keys += entry.key_len;
        memmove((char *)map->values + kept * size, (char *)map->values + i * size, size);
        map->entries[kept++] = entry;
    }
    map->used = kept;
    map->keys_used = keys;
    map->keys_removed = 0;
    memset(map->index, 0, sizeof *map->index * map->room * 2);
    for (uint32_t i = 0; i < kept; i++)
        s4_map_point_(map, i);
}

S4_MUST_USE_ static inline s4_status s4_map_grow_(s4_ctx *ctx, struct s4_map *map, size_t size)
{
    uint32_t room = map->room ? map->room * 2 : 8;
    if (room > S4_CONTAINER_MAX / 2)
        return S4_TOO_LARGE;
    uint32_t held =
        map->room; /* what grows before something fails is only larger than it need be */
    void *entries = map->entries;
    s4_status status = s4_grow_(ctx, &entries, &held, sizeof *map->entries, room);
    map->entries = (struct s4_map_entry *)entries;
    held = map->room;
    if (status == S4_OK)
        status = s4_grow_(ctx, &map->values, &held, size, room);
    uint32_t *index = status == S4_OK ? s4_alloc(ctx, sizeof *index * room * 2) : NULL;
    if (!index)
        return status == S4_OK ? S4_NO_MEMORY : status;
    s4_free(ctx, map->index);
    map->index = index;
    map->room = room;
    for (uint32_t i = 0; i < map->used; i++)
        s4_map_point_(map, i);
    return S4_OK;
}

/* Room for one more entry whose key has `len` bytes: first what was removed is used again, if it is
 * much. */
S4_MUST_USE_ static inline s4_status s4_map_reserve_(s4_ctx *ctx, struct s4_map *map, size_t size,
                                                     size_t len)
{
    bool entries_full = map->used == map->room;
    bool keys_full = len > map->keys_room - map->keys_used;
    if ((entries_full && map->room && map->used - map->n >= map->room / 4) ||
        (keys_full && map->keys_removed > map->keys_room / 2))
        s4_map_compact_(map, size);
    if (map->used == map->room) {
        s4_status status = s4_map_grow_(ctx, map, size);
        if (status != S4_OK)
            return status;
    }
    void *keys = map->keys;
    uint64_t wanted = (uint64_t)map->keys_used + len;
    s4_status status = s4_grow_(ctx, &keys, &map->keys_room, 1, wanted ? wanted : 1);
    map->keys = (char *)keys;
    return status;
}

/* The key's bytes lie at keys_used already. */
static inline void *s4_map_append_(struct s4_map *map, size_t size, size_t len)
{
    uint32_t number = map->used++;
    map->entries[number].key_at = map->keys_used;
    map->entries[number].key_len = (uint32_t)len;
    map->entries[number].hash = s4_map_hash_(map->keys + map->keys_used, len);
    map->keys_used += (uint32_t)len;
    map->n++;
    s4_map_point_(map, number);
    return memset((char *)map->values + number * size, 0, size);
}

S4_MUST_USE_ static inline void *s4_map_put_(s4_ctx *ctx, struct s4_map *map, size_t size,
                                             const void *key, size_t len)
{
    if (len > S4_MAP_KEY_MAX)
        return NULL;
    uint32_t at = s4_map_at_(map, key, len);
    if (at != S4_MAP_REMOVED_)
        return (char *)map->values + at * size;
    if (s4_map_reserve_(ctx, map, size, len) != S4_OK)
        return NULL;
    memcpy(map->keys + map->keys_used, key, len);
    return s4_map_append_(map, size, len);
}

static inline void *s4_map_find_(const struct s4_map *map, size_t size, const void *key, size_t len)
{
    uint32_t at = s4_map_at_(map, key, len);
    return at == S4_MAP_REMOVED_ ? NULL : (char *)map->values + at * size;
}

static inline bool s4_map_remove_(struct s4_map *map, const void *key, size_t len)
{
    uint32_t at = s4_map_at_(map, key, len);
    if (at == S4_MAP_REMOVED_)
        return false;
    map->entries[at].key_at = S4_MAP_REMOVED_;
    map->keys_removed += map->entries[at].key_len;
    map->n--;
    return true;
}

/* The first living entry at `at` or behind it; `used` if there is none. */
static inline uint32_t s4_map_next_(const struct s4_map *map, uint32_t at)
{
    while (at < map->used && map->entries[at].key_at == S4_MAP_REMOVED_)
        at++;
    return at;
}

S4_MUST_USE_ static inline s4_status s4_map_save_(s4_ctx *ctx, s4_saver *saver,
                                                  const struct s4_map *map, size_t size)
{
    uint32_t head[2] = { (uint32_t)size, map->n };
    s4_status status = s4_save(ctx, saver, head, sizeof head);
    for (uint32_t at = s4_map_next_(map, 0); status == S4_OK && at < map->used;
         at = s4_map_next_(map, at + 1)) {
        const struct s4_map_entry *entry = &map->entries[at];
        status = s4_save(ctx, saver, &entry->key_len, sizeof entry->key_len);
        if (status == S4_OK)
            status = s4_save(ctx, saver, map->keys + entry->key_at, entry->key_len);
        if (status == S4_OK)
            status = s4_save(ctx, saver, (char *)map->values + at * size, size);
    }
    return status;
}

S4_MUST_USE_ static inline s4_status s4_map_load_entry_(s4_ctx *ctx, s4_loader *loader,
                                                        struct s4_map *map, size_t size)
{
    uint32_t len;
    s4_status status = s4_load(ctx, loader, &len, sizeof len);
    if (status == S4_OK)
        status = len > S4_MAP_KEY_MAX ? S4_CORRUPT : s4_map_reserve_(ctx, map, size, len);
    if (status == S4_OK)
        status = s4_load(ctx, loader, map->keys + map->keys_used, len);
    if (status != S4_OK)
        return status;
    if (s4_map_at_(map, map->keys + map->keys_used, len) != S4_MAP_REMOVED_)
        return S4_CORRUPT; /* twice */
    return s4_load(ctx, loader, s4_map_append_(map, size, len), size);
}

S4_MUST_USE_ static inline s4_status s4_map_load_(s4_ctx *ctx, s4_loader *loader,
                                                  struct s4_map *map, size_t size)
{
    uint32_t head[2];
    s4_status status = s4_load(ctx, loader, head, sizeof head);
    if (status != S4_OK)
        return status;
    if (head[0] != size || map->n)
        return S4_CORRUPT;
    for (uint32_t i = 0; status == S4_OK && i < head[1]; i++)
        status = s4_map_load_entry_(ctx, loader, map, size);
    return status;
}

/* The key's value; a zeroed one is made where there is none. The key is copied. NULL: no memory, or
 * a key over S4_MAP_KEY_MAX. */
#define s4_map_put(ctx, m, key, len) \
    ((__typeof__((m)->values))(s4_map_put_((ctx), &(m)->map, sizeof *(m)->values, (key), (len))))

/* The key's value, or NULL. */
#define s4_map_find(m, key, len) \
    ((__typeof__((m)->values))(s4_map_find_(&(m)->map, sizeof *(m)->values, (key), (len))))

/* Whether the key was there. */
#define s4_map_remove(m, key, len) s4_map_remove_(&(m)->map, (key), (len))

/* How many keys there are. */
#define s4_map_count(m) ((m)->map.n)

/* for every key in the order of its coming: (m)->values[at], s4_map_key(m, at, &len). The body may
 * remove keys and may not put any. */
#define s4_map_each(m, at)                                             \
    for (uint32_t at = s4_map_next_(&(m)->map, 0); at < (m)->map.used; \
         at = s4_map_next_(&(m)->map, at + 1))

/* The bytes of key `at` (not NUL-terminated) and their number. */
static inline const void *s4_map_key_(const struct s4_map *map, uint32_t at, size_t *len)
{
    *len = map->entries[at].key_len;
    return map->keys + map->entries[at].key_at;
}
#define s4_map_key(m, at, len) s4_map_key_(&(m)->map, (at), (len))

/* Frees its memory; an empty map is left. */
static inline void s4_map_fini_(s4_ctx *ctx, struct s4_map *map)
{
    s4_free(ctx, map->values);
    s4_free(ctx, map->entries);
    s4_free(ctx, map->keys);
    s4_free(ctx, map->index);
    memset(map, 0, sizeof *map);
}
#define s4_map_fini(ctx, m) s4_map_fini_((ctx), &(m)->map)

/* In save and load callbacks; load takes an empty map. */
#define s4_map_save(ctx, saver, m)  s4_map_save_((ctx), (saver), &(m)->map, sizeof *(m)->values)
#define s4_map_load(ctx, loader, m) s4_map_load_((ctx), (loader), &(m)->map, sizeof *(m)->values)

#endif
