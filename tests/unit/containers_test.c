/* The containers of the public headers, on a host of the test's own: each against a plain array
 * that does the same, a million random steps; saved, loaded, cut short, damaged; memory that runs
 * out.
 *
 * The test's memory moves on every realloc and is filled with rubbish when it is freed, so that a
 * pointer kept too long shows. */
#include <s4/containers.h> /* first: Check has a macro `fail` */

#include "tests/support/suite.h"

#include <stdlib.h>

#include "runtime/base/rng.h"

/* Check's own assertions write to a file each time: too slow for a million steps. */
#define hold(condition)               \
    do {                              \
        if (!(condition))             \
            ck_abort_msg(#condition); \
    } while (0)

/* ---- a host: memory with a bound, save and load in one buffer ------------------------------- */

#define STORE_MAX 4000000

struct memory {
    size_t size;
    _Alignas(16) char bytes[];
};

struct s4_saver {
    size_t size;
    char bytes[STORE_MAX];
};

struct s4_loader {
    size_t at;
    size_t size;
    const char *bytes;
};

static size_t memory_used, memory_max = SIZE_MAX;
static long allocs_left = -1; /* < 0: as many as wanted */

static void *host_alloc(s4_ctx *ctx, size_t size)
{
    if (allocs_left == 0 || size > memory_max || memory_used > memory_max - size)
        return NULL;
    if (allocs_left > 0)
        allocs_left--;
    struct memory *memory = calloc(1, sizeof *memory + size);
    hold(memory != NULL);
    memory->size = size;
    memory_used += size;
    return memory->bytes;
}

static struct memory *memory_of(void *bytes)
{
    return (struct memory *)(void *)((char *)bytes - offsetof(struct memory, bytes));
}

static void host_free(s4_ctx *ctx, void *bytes)
{
    if (!bytes)
        return;
    struct memory *memory = memory_of(bytes);
    memory_used -= memory->size;
    memset(bytes, 0xdb, memory->size);
    free(memory);
}

static void *host_realloc(s4_ctx *ctx, void *bytes, size_t size)
{
    void *moved = host_alloc(ctx, size);
    if (!moved)
        return NULL;
    size_t held = memory_of(bytes)->size;
    memcpy(moved, bytes, held < size ? held : size);
    host_free(ctx, bytes);
    return moved;
}

static s4_status host_save(s4_saver *saver, const void *data, size_t size)
{
    if (size > STORE_MAX - saver->size)
        return S4_TOO_LARGE;
    memcpy(saver->bytes + saver->size, data, size);
    saver->size += size;
    return S4_OK;
}

static s4_status host_load(s4_loader *loader, void *data, size_t size)
{
    if (size > loader->size - loader->at)
        return S4_CORRUPT;
    memcpy(data, loader->bytes + loader->at, size);
    loader->at += size;
    return S4_OK;
}

static const struct s4_host host = { .size = sizeof host,
                                     .alloc = host_alloc,
                                     .realloc = host_realloc,
                                     .free = host_free,
                                     .save = host_save,
                                     .load = host_load };
static s4_ctx ctx_of_test = { .host = &host };
static s4_ctx *const ctx = &ctx_of_test;

static s4_saver store; /* too large for a stack */

static s4_loader loader_of(size_t size)
{
    return (s4_loader){ .size = size, .bytes = store.bytes };
}

/* ---- list ---------------------------------------------------------------------------------- */

struct item {
    uint64_t id;
    uint32_t more;
    uint32_t again;
};

typedef S4_LIST(struct item) item_list;

static void list_equals(const item_list *list, const struct item *naive, uint32_t n)
{
    ck_assert_uint_eq(list->n, n);
    if (n > 0)
        ck_assert_mem_eq(list->items, naive, n * sizeof *naive);
}

static void list_again(item_list *list)
{
    store.size = 0;
    ck_assert_int_eq(s4_list_save(ctx, &store, list), S4_OK);
    s4_list_fini(ctx, list);
    s4_loader loader = loader_of(store.size);
    ck_assert_int_eq(s4_list_load(ctx, &loader, list), S4_OK);
    ck_assert_uint_eq(loader.at, loader.size);
}

static void list_step(struct rng *rng, item_list *list, struct item *naive, uint32_t *n)
{
    struct item item = { .id = rng_next(rng), .more = 1, .again = 2 };
    uint32_t at = *n ? (uint32_t)rng_below(rng, *n) : 0;
    uint64_t what = rng_below(rng, 100);
    if (what < 52 && *n < 5000) {
        at = what < 40 ? *n : at;
        hold((what < 40 ? s4_list_push(ctx, list, &item) : s4_list_insert(ctx, list, at, &item)) ==
             S4_OK);
        memmove(naive + at + 1, naive + at, (*n - at) * sizeof *naive);
        naive[at] = item;
        *n += 1;
    } else if (what < 80) {
        const struct item *last = s4_list_pop(list);
        hold(*n ? last->id == naive[*n - 1].id : last == NULL);
        *n -= *n > 0;
    } else if (*n) {
        s4_list_remove(list, at);
        memmove(naive + at, naive + at + 1, (*n - at - 1) * sizeof *naive);
        *n -= 1;
    }
}

START_TEST(list_is_an_array)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    static struct item naive[5001];
    uint32_t n = 0;
    item_list list = { 0 };
    for (int step = 0; step < 1000000; step++) {
        list_step(&rng, &list, naive, &n);
        hold(list.n == n);
        if (step % 10007 == 0) {
            list_equals(&list, naive, n);
            list_again(&list);
            list_equals(&list, naive, n);
        }
    }
    struct item item = { 0 };
    ck_assert_int_eq(s4_list_insert(ctx, &list, list.n + 1, &item), S4_RANGE);
    s4_list_remove(&list, list.n);
    list_equals(&list, naive, n);
    s4_list_fini(ctx, &list);
    ck_assert_uint_eq(memory_used, 0);
}
END_TEST

START_TEST(list_refuses_foreign_bytes)
{
    item_list list = { 0 };
    for (uint64_t i = 0; i < 9000; i++)
        ck_assert_int_eq(s4_list_push(ctx, &list, &(struct item){ .id = i }), S4_OK);
    store.size = 0;
    ck_assert_int_eq(s4_list_save(ctx, &store, &list), S4_OK);
    for (size_t size = 0; size < store.size; size += 1 + size / 7) {
        item_list cut = { 0 };
        s4_loader loader = loader_of(size);
        ck_assert_int_eq(s4_list_load(ctx, &loader, &cut), S4_CORRUPT);
        s4_list_fini(ctx, &cut);
    }
    S4_LIST(uint64_t) other = { 0 };
    s4_loader loader = loader_of(store.size);
    ck_assert_int_eq(s4_list_load(ctx, &loader, &other), S4_CORRUPT);
    loader = loader_of(store.size);
    ck_assert_int_eq(s4_list_load(ctx, &loader, &list), S4_CORRUPT); /* not empty */
    uint32_t lie = S4_CONTAINER_MAX;
    memcpy(store.bytes + 4, &lie, sizeof lie); /* must not be believed before the items are there */
    item_list many = { 0 };
    loader = loader_of(store.size);
    memory_max = memory_used + 1000000;
    ck_assert_int_eq(s4_list_load(ctx, &loader, &many), S4_CORRUPT);
    memory_max = SIZE_MAX;
    s4_list_fini(ctx, &many);
    s4_list_fini(ctx, &list);
    ck_assert_uint_eq(memory_used, 0);
}
END_TEST

/* ---- ring ---------------------------------------------------------------------------------- */

#define RING_ROOM 37

typedef S4_RING(struct item) item_ring;

static void ring_equals(const item_ring *ring, const struct item *newest_last, uint32_t n)
{
    hold(ring->n == n);
    for (uint32_t i = 0; i < n; i++)
        hold(s4_ring_at(ring, i)->id == newest_last[i].id);
    hold(s4_ring_at(ring, n) == NULL);
}

static void ring_again(item_ring *ring)
{
    store.size = 0;
    ck_assert_int_eq(s4_ring_save(ctx, &store, ring), S4_OK);
    s4_ring_fini(ctx, ring);
    s4_loader loader = loader_of(store.size);
    ck_assert_int_eq(s4_ring_load(ctx, &loader, ring), S4_OK);
    ck_assert_uint_eq(loader.at, loader.size);
}

START_TEST(ring_keeps_the_latest)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    struct item naive[RING_ROOM + 1] = { 0 };
    uint32_t n = 0;
    item_ring ring = { 0 };
    ck_assert_int_eq(s4_ring_init(ctx, &ring, RING_ROOM), S4_OK);
    for (int step = 0; step < 200000; step++) {
        if (rng_below(&rng, 100) < 60) {
            naive[n] = (struct item){ .id = rng_next(&rng) };
            hold(s4_ring_push(&ring, &naive[n]) == S4_OK);
            if (++n > RING_ROOM)
                memmove(naive, naive + 1, --n * sizeof *naive);
        } else {
            const struct item *oldest = s4_ring_pop(&ring);
            hold(n ? oldest->id == naive[0].id : oldest == NULL);
            n -= n > 0;
            memmove(naive, naive + 1, n * sizeof *naive);
        }
        ring_equals(&ring, naive, n);
        if (step % 101 == 0)
            ring_again(&ring);
    }
    s4_ring_fini(ctx, &ring);
    ck_assert_uint_eq(memory_used, 0);
}
END_TEST

START_TEST(ring_says_what_it_cannot)
{
    item_ring ring = { 0 };
    struct item item = { 0 };
    ck_assert_int_eq(s4_ring_push(&ring, &item), S4_STATE);
    ck_assert_ptr_null(s4_ring_pop(&ring));
    ck_assert_int_eq(s4_ring_init(ctx, &ring, 0), S4_RANGE);
    ck_assert_int_eq(s4_ring_init(ctx, &ring, (uint64_t)S4_CONTAINER_MAX + 1), S4_RANGE);
    ring_again(&ring); /* without room is saved and loaded too */
    allocs_left = 0;
    ck_assert_int_eq(s4_ring_init(ctx, &ring, 3), S4_NO_MEMORY);
    allocs_left = -1;
    ck_assert_int_eq(s4_ring_init(ctx, &ring, 3), S4_OK);
    ck_assert_int_eq(s4_ring_init(ctx, &ring, 3), S4_STATE);
    for (uint64_t i = 0; i < 5; i++)
        ck_assert_int_eq(s4_ring_push(&ring, &(struct item){ .id = i }), S4_OK);
    store.size = 0;
    ck_assert_int_eq(s4_ring_save(ctx, &store, &ring), S4_OK);
    for (size_t size = 0; size < store.size; size++) {
        item_ring cut = { 0 };
        s4_loader loader = loader_of(size);
        ck_assert_int_eq(s4_ring_load(ctx, &loader, &cut), S4_CORRUPT);
        s4_ring_fini(ctx, &cut);
    }
    s4_loader loader = loader_of(store.size);
    ck_assert_int_eq(s4_ring_load(ctx, &loader, &ring), S4_CORRUPT); /* has room already */
    store.bytes[4] = 2;                                              /* less room than items */
    item_ring other = { 0 };
    loader = loader_of(store.size);
    ck_assert_int_eq(s4_ring_load(ctx, &loader, &other), S4_CORRUPT);
    s4_ring_fini(ctx, &ring);
}
END_TEST

/* ---- map ----------------------------------------------------------------------------------- */

#define KEYS 700

typedef S4_MAP(struct item) item_map;

/* The naive map: which of KEYS keys are there, in the order of their coming. */
struct naive {
    uint32_t n;
    uint32_t key[KEYS];
    uint64_t id[KEYS];
};

static uint32_t naive_find(const struct naive *naive, uint32_t key)
{
    uint32_t at = 0;
    while (at < naive->n && naive->key[at] != key)
        at++;
    return at;
}

/* Keys of 0 to 40 bytes that begin alike; key 0 is the empty one. */
static size_t key_text(uint32_t key, char text[64])
{
    return key == 0 ? 0
                    : (size_t)snprintf(text, 64, "%.*s%u", (int)(key % 37),
                                       "the very same letters and then a number", key);
}

static void map_equals(const item_map *map, const struct naive *naive)
{
    ck_assert_uint_eq(s4_map_count(map), naive->n);
    uint32_t i = 0;
    s4_map_each(map, at)
    {
        char text[64];
        size_t len, wanted = key_text(naive->key[i], text);
        const char *key = s4_map_key(map, at, &len);
        hold(len == wanted && memcmp(key, text, len) == 0);
        hold(map->values[at].id == naive->id[i++]);
    }
    ck_assert_uint_eq(i, naive->n);
}

static void map_again(item_map *map)
{
    store.size = 0;
    ck_assert_int_eq(s4_map_save(ctx, &store, map), S4_OK);
    s4_map_fini(ctx, map);
    s4_loader loader = loader_of(store.size);
    ck_assert_int_eq(s4_map_load(ctx, &loader, map), S4_OK);
    ck_assert_uint_eq(loader.at, loader.size);
}

static void map_step(struct rng *rng, item_map *map, struct naive *naive, bool growing)
{
    char text[64];
    uint32_t key = (uint32_t)rng_below(rng, KEYS);
    size_t len = key_text(key, text);
    uint32_t at = naive_find(naive, key);
    uint64_t what = rng_below(rng, 100);
    if (what < 20) {
        const struct item *found = s4_map_find(map, text, len);
        hold(at < naive->n ? found->id == naive->id[at] : found == NULL);
    } else if (what < (growing ? 70 : 50)) {
        struct item *value = s4_map_put(ctx, map, text, len);
        hold(value != NULL && value->id == (at < naive->n ? naive->id[at] : 0));
        value->id = rng_next(rng);
        naive->key[at] = key;
        naive->id[at] = value->id;
        naive->n += at == naive->n;
    } else {
        hold(s4_map_remove(map, text, len) == (at < naive->n));
        if (at == naive->n)
            return;
        naive->n--;
        memmove(&naive->key[at], &naive->key[at + 1], (naive->n - at) * sizeof naive->key[0]);
        memmove(&naive->id[at], &naive->id[at + 1], (naive->n - at) * sizeof naive->id[0]);
    }
}

START_TEST(map_is_a_row_of_keys)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    static struct naive naive;
    item_map map = { 0 };
    for (int step = 0; step < 1000000; step++) {
        map_step(&rng, &map, &naive, step % 40000 < 20000);
        if (step % 997 == 0)
            map_equals(&map, &naive);
        if (step % 9973 == 0) {
            map_again(&map);
            map_equals(&map, &naive);
        }
    }
    ck_assert_uint_lt(memory_used, 1000000); /* what was removed is used again */
    s4_map_fini(ctx, &map);
    ck_assert_uint_eq(memory_used, 0);
}
END_TEST

START_TEST(map_limits_its_keys)
{
    static char key[S4_MAP_KEY_MAX + 1];
    item_map map = { 0 };
    ck_assert_ptr_null(s4_map_put(ctx, &map, key, S4_MAP_KEY_MAX + 1));
    ck_assert_ptr_nonnull(s4_map_put(ctx, &map, key, S4_MAP_KEY_MAX));
    map_again(&map);
    ck_assert_ptr_nonnull(s4_map_find(&map, key, S4_MAP_KEY_MAX));
    ck_assert_ptr_null(s4_map_find(&map, key, S4_MAP_KEY_MAX + 1));
    uint32_t longer = S4_MAP_KEY_MAX + 1;
    memcpy(store.bytes + 8, &longer, sizeof longer);
    s4_loader loader = loader_of(store.size);
    item_map other = { 0 };
    ck_assert_int_eq(s4_map_load(ctx, &loader, &other), S4_CORRUPT);
    s4_map_fini(ctx, &other);
    s4_map_fini(ctx, &map);
}
END_TEST

START_TEST(map_refuses_foreign_bytes)
{
    item_map map = { 0 };
    for (uint32_t i = 0; i < 40; i++)
        s4_map_put(ctx, &map, &i, sizeof i)->id = i;
    store.size = 0;
    ck_assert_int_eq(s4_map_save(ctx, &store, &map), S4_OK);
    for (size_t size = 0; size < store.size; size++) {
        item_map cut = { 0 };
        s4_loader loader = loader_of(size);
        ck_assert_int_eq(s4_map_load(ctx, &loader, &cut), S4_CORRUPT);
        s4_map_fini(ctx, &cut);
    }
    s4_loader loader = loader_of(store.size);
    ck_assert_int_eq(s4_map_load(ctx, &loader, &map), S4_CORRUPT); /* not empty */
    memcpy(store.bytes + 12, "\1\0\0\0", 4);                       /* the second key, too */
    item_map twice = { 0 };
    loader = loader_of(store.size);
    ck_assert_int_eq(s4_map_load(ctx, &loader, &twice), S4_CORRUPT);
    s4_map_fini(ctx, &twice);
    s4_map_fini(ctx, &map);
    ck_assert_uint_eq(memory_used, 0);
}
END_TEST

/* Every allocation of a long row of steps fails once: nothing changes, and it works the next time.
 */
START_TEST(memory_runs_out_harmlessly)
{
    item_list list = { 0 };
    item_map map = { 0 };
    for (uint32_t i = 0; i < 2000; i++) {
        struct item item = { .id = i };
        uint64_t key = i * 7919u;
        allocs_left = i % 4;
        s4_status pushed = s4_list_push(ctx, &list, &item);
        struct item *value = s4_map_put(ctx, &map, &key, sizeof key);
        allocs_left = -1;
        ck_assert(pushed == S4_OK || pushed == S4_NO_MEMORY);
        ck_assert_uint_eq(list.n, pushed == S4_OK ? i + 1 : i);
        ck_assert_uint_eq(s4_map_count(&map), value ? i + 1 : i);
        if (pushed != S4_OK)
            ck_assert_int_eq(s4_list_push(ctx, &list, &item), S4_OK);
        value = s4_map_put(ctx, &map, &key, sizeof key);
        ck_assert_ptr_nonnull(value);
        value->id = i;
    }
    for (uint32_t i = 0; i < 2000; i++) {
        uint64_t key = i * 7919u;
        ck_assert_uint_eq(list.items[i].id, i);
        ck_assert_uint_eq(s4_map_find(&map, &key, sizeof key)->id, i);
    }
    s4_list_fini(ctx, &list);
    s4_map_fini(ctx, &map);
    ck_assert_uint_eq(memory_used, 0);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("containers");
    suite_add(suite, "list", list_is_an_array, 60);
    suite_add(suite, "list bytes", list_refuses_foreign_bytes, 10);
    suite_add(suite, "ring", ring_keeps_the_latest, 60);
    suite_add(suite, "ring limits", ring_says_what_it_cannot, 10);
    suite_add(suite, "map", map_is_a_row_of_keys, 60);
    suite_add(suite, "map keys", map_limits_its_keys, 10);
    suite_add(suite, "map bytes", map_refuses_foreign_bytes, 10);
    suite_add(suite, "memory", memory_runs_out_harmlessly, 10);
    return suite;
}
