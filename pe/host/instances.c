/* The instance table: where a partition's records find their instance. See the header for the
 * layout.
 *
 * Memory is the product here: an instance costs its entry and 8 bytes of index at 7/16 to 7/8 load,
 * and nothing else. Entries lie in one array, so that a number finds one by a multiplication. A
 * small array lies on the heap; a large one is a mapping whose virtual size doubles (moved by the
 * kernel, not copied) and whose pages become resident only as numbers are used, so that doubling
 * costs no memory. Numbers that were freed form a chain through last_ms.
 *
 * Invariants: numbers below `high` are living or in the chain; `count` are living; the index holds
 * exactly the living ones; behind every key in an entry 16 bytes can be read (KEY_SLACK at the end
 * of the array).
 */
#include "pe/host/instances.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define HEAP_BYTES     (64 * KIB) /* entries above it are mapped */
#define CAPACITY_MIN   4u
#define KEY_SLACK      16u
#define ENTRY_SIZE_MAX (1u << 30)

s4_status instances_init(struct instances *table, const struct instances_options *options)
{
    if (options->key_room < 8 || options->key_room % 8 != 0 || options->extra_size % 8 != 0)
        return S4_INVALID;
    uint64_t extra_offset = sizeof(struct instance) + (uint64_t)options->key_room;
    uint64_t state_offset = extra_offset + options->extra_size;
    uint64_t size = align_up(state_offset + options->state_size, 8);
    if (size > ENTRY_SIZE_MAX)
        return S4_INVALID;
    *table = (struct instances){
        .entry_size = (uint32_t)size,
        .key_room = options->key_room,
        .extra_offset = (uint32_t)extra_offset,
        .state_offset = (uint32_t)state_offset,
        .free_head = INSTANCE_NONE,
        .max = options->max < INSTANCES_MAX ? options->max : INSTANCES_MAX,
    };
    tagindex_init(&table->index);
    return S4_OK;
}

static char *long_key(const struct instance *instance)
{
    char *key = NULL;
    memcpy(&key, instance + 1, sizeof key);
    return key;
}

void instances_fini(struct instances *table)
{
    for (uint32_t number = 0; table->key_bytes > 0 && number < table->high; number++) {
        const struct instance *instance = instances_at(table, number);
        if (instance->flags & INSTANCE_LONG_KEY)
            mem_free(long_key(instance));
    }
    if (table->mapped)
        mem_unmap(table->entries, table->mapped);
    else
        mem_free(table->entries);
    tagindex_fini(&table->index);
    mem_free(table->candidates);
    *table = (struct instances){ 0 };
}

uint32_t instances_find_old(const struct instances *table, uint64_t hash, const char *key,
                            size_t len)
{
    struct tagindex_step step = { .old = true };
    for (;;) {
        uint32_t number = tagindex_next_old(&table->index, instances_tag(hash), &step);
        if (number == TAGINDEX_NONE || instances_is(table, number, key, len))
            return number;
    }
}

/* Entries for `capacity` numbers; what the pages of a mapping can hold beyond, too. */
static bool entries_resize(struct instances *table, uint64_t capacity)
{
    size_t size = capacity * table->entry_size + KEY_SLACK;
    if (size <= HEAP_BYTES) {
        char *entries = mem_realloc(table->entries, size);
        if (!entries)
            return false;
        table->entries = entries;
        table->capacity = (uint32_t)capacity;
        return true;
    }
    size = align_up(size, MEM_PAGE);
    char *entries =
        table->mapped ? mem_map_grow(table->entries, table->mapped, size) : mem_map(size);
    if (!entries)
        return false;
    if (!table->mapped && table->entries) {
        memcpy(entries, table->entries, (size_t)table->high * table->entry_size);
        mem_free(table->entries);
    }
    table->entries = entries;
    table->mapped = size;
    uint64_t fits = (size - KEY_SLACK) / table->entry_size;
    table->capacity = (uint32_t)(fits < INSTANCES_MAX ? fits : INSTANCES_MAX);
    return true;
}

/* Memory for `want` entries. */
static s4_status entries_reserve(struct instances *table, uint64_t want)
{
    if (LIKELY(want <= table->capacity))
        return S4_OK;
    if (want > INSTANCES_MAX)
        return S4_FULL;
    uint64_t doubled = size_max(CAPACITY_MIN, (size_t)table->capacity * 2);
    return entries_resize(table, size_max(want, size_min(doubled, table->max))) ? S4_OK
                                                                                : S4_NO_MEMORY;
}

/* Writes the entry and its word; there is memory for both. `copy` is a long key's. */
static void place(struct instances *table, uint32_t number, uint64_t hash, const char *key,
                  size_t len, char *copy)
{
    struct instance *instance = instances_at(table, number);
    memset(instance, 0, table->entry_size);
    instance->key_len = (uint16_t)len;
    instance->flags = INSTANCE_LIVE;
    if (copy) {
        instance->flags |= INSTANCE_LONG_KEY;
        memcpy(instance + 1, &copy, sizeof copy);
        memcpy(copy, key, len);
        table->key_bytes += len;
    } else if (len > 0) {
        memcpy(instance + 1, key, len);
    }
    tagindex_put(&table->index, instances_tag(hash), number);
    table->count++;
}

/* Makes the entry: all or nothing. */
static s4_status make(struct instances *table, uint32_t number, uint64_t hash, const char *key,
                      size_t len)
{
    CHECK(len <= UINT16_MAX);
    TRY(entries_reserve(table, (uint64_t)number + 1));
    TRY(tagindex_reserve(&table->index));
    char *copy = NULL;
    if (UNLIKELY(len > table->key_room)) {
        copy = mem_zalloc(len + KEY_SLACK);
        if (!copy)
            return S4_NO_MEMORY;
    }
    place(table, number, hash, key, len, copy);
    return S4_OK;
}

s4_status instances_create(struct instances *table, uint64_t hash, const char *key, size_t len,
                           uint64_t now_ms, uint32_t *number)
{
    if (table->count >= table->max)
        return S4_FULL;
    uint32_t at = table->free_head;
    if (at == INSTANCE_NONE) {
        TRY(make(table, table->high, hash, key, len));
        at = table->high++;
    } else {
        uint32_t next = instances_at(table, at)->last_ms;
        TRY(make(table, at, hash, key, len));
        table->free_head = next;
    }
    instances_at(table, at)->last_ms = instances_now(table, now_ms);
    *number = at;
    return S4_OK;
}

s4_status instances_raise(struct instances *table, uint32_t high)
{
    TRY(entries_reserve(table, high));
    for (; table->high < high; table->high++)
        *instances_at(table, table->high) = (struct instance){ 0 };
    return S4_OK;
}

s4_status instances_create_at(struct instances *table, uint64_t hash, const char *key, size_t len,
                              uint32_t number)
{
    CHECK(number >= table->high);
    TRY(instances_raise(table, number));
    TRY(make(table, number, hash, key, len));
    table->high = number + 1;
    return S4_OK;
}

void instances_remove(struct instances *table, uint32_t number)
{
    CHECK(number < table->high);
    struct instance *instance = instances_at(table, number);
    CHECK(instance->flags & INSTANCE_LIVE);
    uint64_t hash = hash_bytes(instance_key(instance), instance->key_len);
    tagindex_take(&table->index, instances_tag(hash), number);
    if (instance->flags & INSTANCE_LONG_KEY) {
        mem_free(long_key(instance));
        table->key_bytes -= instance->key_len;
    }
    *instance = (struct instance){ .last_ms = table->free_head };
    table->free_head = number;
    table->count--;
}

size_t instances_bytes(const struct instances *table)
{
    return (size_t)table->high * table->entry_size + tagindex_bytes(&table->index) +
           table->key_bytes + table->candidates_capacity * sizeof(uint64_t);
}

static void validate_chain(const struct instances *table)
{
    uint32_t freed = 0;
    for (uint32_t at = table->free_head; at != INSTANCE_NONE;
         at = instances_at(table, at)->last_ms) {
        CHECK(at < table->high && freed < table->high);
        CHECK(!(instances_at(table, at)->flags & INSTANCE_LIVE));
        freed++;
    }
    CHECK(freed + table->count == table->high);
}

void instances_validate(const struct instances *table)
{
    uint32_t living = 0;
    uint64_t key_bytes = 0;
    CHECK(table->high <= table->capacity && table->count <= table->max);
    CHECK(table->index.count == table->count);
    tagindex_validate(&table->index);
    for (uint32_t at = instances_next(table, 0); at != INSTANCE_NONE;
         at = instances_next(table, at + 1)) {
        const struct instance *instance = instances_at(table, at);
        const char *key = instance_key(instance);
        bool is_long = instance->key_len > table->key_room;
        CHECK(is_long == !!(instance->flags & INSTANCE_LONG_KEY));
        CHECK(instances_find(table, hash_bytes(key, instance->key_len), key, instance->key_len) ==
              at);
        key_bytes += is_long ? instance->key_len : 0;
        living++;
    }
    CHECK(living == table->count && key_bytes == table->key_bytes);
    validate_chain(table);
    for (uint32_t i = 1; i < table->n_candidates; i++)
        CHECK(table->candidates[i - 1] > table->candidates[i]);
}
