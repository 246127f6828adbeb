/* The instance table against a naive one over a million random steps, its limits, and what it does
 * without memory and with saved bytes that are not to be trusted. */
#include "tests/support/suite.h"

#include "pe/host/instances.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/pack.h"
#include "runtime/base/rng.h"

#define KEYS     3000u
#define KEY_ROOM 16u
#define KEY_MAX  4096u
#define MAX      2000u
#define STEPS    1000000u
#define BATCH    20000u
#define TTL_MS   5000u
#define DAY_MS   86400000ull

static const struct instances_options usual = {
    .key_room = KEY_ROOM, .extra_size = 8, .state_size = 16, .max = MAX
};

static void begin(struct instances *table, const struct instances_options *options)
{
    ck_assert_int_eq(instances_init(table, options), S4_OK);
}

/* ---- a key and what it does with tables ---- */

struct key {
    char *text; /* with 16 bytes behind */
    size_t len;
    uint64_t hash;
};

static void key_init(struct key *key, size_t len, uint64_t unique)
{
    key->text = mem_zalloc(len + 16);
    ck_assert_ptr_nonnull(key->text);
    memset(key->text, 'k', len);
    memcpy(key->text, &unique, size_min(len, sizeof unique));
    key->len = len;
    key->hash = hash_bytes(key->text, len);
}

static uint32_t key_find(const struct instances *table, const struct key *key)
{
    return instances_find(table, key->hash, key->text, key->len);
}

static s4_status key_create(struct instances *table, const struct key *key, uint64_t now_ms,
                            uint32_t *number)
{
    return instances_create(table, key->hash, key->text, key->len, now_ms, number);
}

static uint32_t create_ok(struct instances *table, const struct key *key, uint64_t now_ms)
{
    uint32_t number = INSTANCE_NONE;
    ck_assert_int_eq(key_create(table, key, now_ms, &number), S4_OK);
    return number;
}

static uint64_t *state_of(const struct instances *table, uint32_t number)
{
    return instance_state(table, instances_at(table, number));
}

/* ---- saving ---- */

static s4_status save_state(void *user, uint32_t number, struct buffer *out)
{
    return buffer_append(out, state_of(user, number), 16);
}

static s4_status load_state(void *user, uint32_t number, const char **at, const char *end)
{
    const char *bytes = unpack_bytes(at, end, 16);
    if (!bytes)
        return S4_CORRUPT;
    memcpy(state_of(user, number), bytes, 16);
    return S4_OK;
}

static void save_ok(struct instances *table, struct buffer *out)
{
    buffer_init(out);
    ck_assert_int_eq(instances_save(table, out, save_state, table), S4_OK);
}

static s4_status load_from(struct instances *table, const struct instances_options *options,
                           const char *bytes, size_t size)
{
    begin(table, options);
    const char *at = bytes;
    s4_status status = instances_load(table, &at, bytes + size, load_state, table);
    ck_assert(at <= bytes + size);
    return status;
}

/* ---- the oracle ---- */

struct naive {
    struct key key;
    bool living;
    uint32_t number;
    uint8_t held; /* WAITING, QUEUED */
    uint64_t last_ms;
    uint64_t value;
};

/* Two tables do the same: one goes on, the other one is saved, dropped and loaded after each batch.
 */
struct world {
    struct rng rng;
    struct naive keys[KEYS];
    uint32_t living;
    uint64_t now_ms;
    struct instances tables[2];
};

static size_t random_len(struct rng *rng)
{
    static const size_t special[] = { KEY_ROOM - 1, KEY_ROOM, KEY_ROOM + 1, 200, KEY_MAX };
    return rng_below(rng, 10) == 0 ? special[rng_below(rng, ARRAY_LEN(special))]
                                   : 4 + rng_below(rng, 12);
}

static struct world *world_create(uint64_t seed)
{
    struct world *world = mem_zalloc(sizeof *world);
    ck_assert_ptr_nonnull(world);
    rng_init(&world->rng, seed);
    world->now_ms = 1700000000000u;
    key_init(&world->keys[0].key, 0, 0);
    key_init(&world->keys[1].key, 1, 7);
    for (uint32_t i = 2; i < KEYS; i++)
        key_init(&world->keys[i].key, random_len(&world->rng), (uint64_t)i * 0x01000193u);
    begin(&world->tables[0], &usual);
    begin(&world->tables[1], &usual);
    return world;
}

static void world_destroy(struct world *world)
{
    for (uint32_t i = 0; i < KEYS; i++)
        mem_free(world->keys[i].key.text);
    instances_fini(&world->tables[0]);
    instances_fini(&world->tables[1]);
    mem_free(world);
}

static void touch(struct world *world, struct naive *naive)
{
    naive->value = rng_next(&world->rng);
    naive->last_ms = world->now_ms;
    for (int t = 0; t < 2; t++) {
        struct instances *table = &world->tables[t];
        instances_at(table, naive->number)->last_ms = instances_now(table, world->now_ms);
        *state_of(table, naive->number) = naive->value;
    }
}

static void create(struct world *world, struct naive *naive)
{
    uint32_t numbers[2] = { 0 };
    for (int t = 0; t < 2; t++) {
        s4_status status = key_create(&world->tables[t], &naive->key, world->now_ms, &numbers[t]);
        SUITE_SAME(status == S4_OK, world->living < MAX);
        if (status == S4_OK)
            for (int word = 0; word < 2; word++)
                SUITE_SAME(state_of(&world->tables[t], numbers[t])[word], 0);
    }
    if (world->living == MAX)
        return;
    SUITE_SAME(numbers[0], numbers[1]);
    naive->living = true;
    naive->held = 0;
    naive->number = numbers[0];
    world->living++;
    touch(world, naive);
}

static void remove_it(struct world *world, struct naive *naive)
{
    for (int t = 0; t < 2; t++)
        instances_remove(&world->tables[t], naive->number);
    naive->living = false;
    world->living--;
}

static void hold(struct world *world, struct naive *naive)
{
    naive->held = (uint8_t)(rng_below(&world->rng, 3) ? 0 : INSTANCE_WAITING | INSTANCE_QUEUED);
    if (rng_below(&world->rng, 2))
        naive->held &= INSTANCE_WAITING;
    for (int t = 0; t < 2; t++) {
        uint8_t *flags = &instances_at(&world->tables[t], naive->number)->flags;
        *flags = (uint8_t)((*flags & ~(INSTANCE_WAITING | INSTANCE_QUEUED)) | naive->held);
    }
}

static void find(struct world *world, const struct naive *naive)
{
    for (int t = 0; t < 2; t++) {
        uint32_t number = key_find(&world->tables[t], &naive->key);
        SUITE_SAME(number, naive->living ? naive->number : INSTANCE_NONE);
        if (naive->living)
            SUITE_SAME(*state_of(&world->tables[t], number), naive->value);
    }
}

static uint64_t age_start(const struct world *world, const struct naive *naive)
{
    uint64_t base = world->tables[0].base_ms; /* older ones saturate */
    return naive->last_ms > base ? naive->last_ms : base;
}

static struct naive *by_number(struct world *world, uint32_t number)
{
    const struct instance *instance = instances_at(&world->tables[0], number);
    for (uint32_t i = 0; i < KEYS; i++)
        if (world->keys[i].living && world->keys[i].number == number) {
            SUITE_SAME(instance->key_len, world->keys[i].key.len);
            return &world->keys[i];
        }
    ck_abort_msg("nobody has number %u", number);
}

static uint64_t oldest_ms(const struct world *world)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < KEYS; i++) {
        const struct naive *naive = &world->keys[i];
        if (naive->living && !naive->held && age_start(world, naive) < oldest)
            oldest = age_start(world, naive);
    }
    return oldest;
}

static void evict(struct world *world)
{
    uint32_t number = instances_oldest(&world->tables[0]);
    SUITE_SAME(number, instances_oldest(&world->tables[1]));
    uint64_t oldest = oldest_ms(world);
    SUITE_SAME(number == INSTANCE_NONE, oldest == UINT64_MAX);
    if (number == INSTANCE_NONE)
        return;
    struct naive *naive = by_number(world, number);
    ck_assert(naive->living && !naive->held);
    SUITE_SAME(age_start(world, naive), oldest);
    remove_it(world, naive);
}

static void expire(struct world *world)
{
    for (;;) {
        uint64_t oldest = oldest_ms(world);
        uint64_t due_ms = instances_next_due_ms(&world->tables[0], TTL_MS);
        if (oldest != UINT64_MAX && due_ms > oldest + TTL_MS)
            ck_assert_uint_le(due_ms, oldest + TTL_MS);
        uint32_t number = instances_expired(&world->tables[0], world->now_ms, TTL_MS);
        SUITE_SAME(number, instances_expired(&world->tables[1], world->now_ms, TTL_MS));
        bool due = oldest != UINT64_MAX && oldest + TTL_MS <= world->now_ms;
        SUITE_SAME(number != INSTANCE_NONE, due);
        if (!due)
            break;
        struct naive *naive = by_number(world, number);
        SUITE_SAME(age_start(world, naive), oldest);
        remove_it(world, naive);
    }
    ck_assert_uint_gt(instances_next_due_ms(&world->tables[0], TTL_MS), world->now_ms);
}

static void check_batch(struct world *world)
{
    struct buffer saved[2];
    for (int t = 0; t < 2; t++) {
        instances_validate(&world->tables[t]);
        ck_assert_uint_eq(world->tables[t].count, world->living);
        save_ok(&world->tables[t], &saved[t]);
    }
    ck_assert_uint_eq(saved[0].size, saved[1].size);
    ck_assert_mem_eq(saved[0].data, saved[1].data, saved[0].size);
    instances_fini(&world->tables[1]);
    ck_assert_int_eq(load_from(&world->tables[1], &usual, saved[0].data, saved[0].size), S4_OK);
    instances_validate(&world->tables[1]);
    buffer_fini(&saved[0]);
    buffer_fini(&saved[1]);
}

/* Batches differ: many creations, many removals, much churn, long pauses. */
static void step(struct world *world, uint32_t batch)
{
    struct naive *naive = &world->keys[rng_below(&world->rng, KEYS)];
    uint64_t dice = rng_below(&world->rng, 1000);
    world->now_ms += rng_below(&world->rng, 3) == 0;
    if (dice == 0)
        expire(world);
    else if (dice < 10 + (batch % 3) * 10)
        evict(world);
    else if (dice < 150 + (batch % 5) * 50 && naive->living)
        remove_it(world, naive);
    else if (dice < 500 && !naive->living)
        create(world, naive);
    else if (dice < 550 && naive->living)
        hold(world, naive);
    else if (dice < 800 && naive->living)
        touch(world, naive);
    else
        find(world, naive);
}

START_TEST(agrees_with_a_naive_table)
{
    struct world *world = world_create(suite_seed());
    for (uint32_t i = 0; i < STEPS; i++) {
        step(world, i / BATCH);
        if (i % BATCH == BATCH - 1) {
            check_batch(world);
            if (i / BATCH % 4 == 3) /* beyond 32 bits of milliseconds after a few */
                world->now_ms += rng_below(&world->rng, 20) * DAY_MS;
        }
    }
    world_destroy(world);
}
END_TEST

/* Many instances: every stage of growth is looked at, with removals meanwhile. */
START_TEST(grows_without_losing_any)
{
    static const struct instances_options options = { .key_room = 8,
                                                      .state_size = 16,
                                                      .max = 1000000 };
    enum { N = 100000 };
    struct instances table;
    struct rng rng;
    begin(&table, &options);
    rng_init(&rng, suite_seed());
    for (uint64_t i = 0; i < N; i++) {
        char key[24] = { 0 };
        memcpy(key, &i, sizeof i);
        uint32_t number = 0;
        SUITE_SAME(instances_create(&table, hash_bytes(key, 8), key, 8, 0, &number) == S4_OK, true);
        *state_of(&table, number) = i;
        uint64_t other = rng_below(&rng, i + 1);
        memcpy(key, &other, sizeof other);
        number = instances_find(&table, hash_bytes(key, 8), key, 8);
        if (number != INSTANCE_NONE)
            SUITE_SAME(*state_of(&table, number), other);
        if (number != INSTANCE_NONE && i % 8 == 0)
            instances_remove(&table, number);
        if (i % 10007 == 0)
            instances_validate(&table);
    }
    instances_validate(&table);
    instances_fini(&table);
}
END_TEST

/* S4_SEED=13557074907447595889 came to an expiry at which all that lived were waiting while those
 * collected before had gone: what is due at the earliest is a bound, and rises when it is asked. */
START_TEST(what_is_gone_still_bounds_what_is_due)
{
    struct instances table;
    struct key keys[3];
    begin(&table, &usual);
    for (uint64_t i = 0; i < ARRAY_LEN(keys); i++) {
        key_init(&keys[i], 8, i);
        create_ok(&table, &keys[i], 100 + i);
        mem_free(keys[i].text);
    }
    uint64_t base = 100;
    ck_assert_uint_eq(instances_next_due_ms(&table, TTL_MS), base + TTL_MS);
    instances_remove(&table, 0);
    instances_remove(&table, 1);
    instances_at(&table, 2)->flags |= INSTANCE_WAITING;
    ck_assert_uint_eq(instances_next_due_ms(&table, TTL_MS), base + TTL_MS);
    ck_assert_uint_eq(instances_expired(&table, base + TTL_MS, TTL_MS), INSTANCE_NONE);
    ck_assert_uint_eq(instances_next_due_ms(&table, TTL_MS), UINT64_MAX);
    instances_at(&table, 2)->flags &= (uint8_t)~INSTANCE_WAITING;
    ck_assert_uint_eq(instances_next_due_ms(&table, TTL_MS), base + 2 + TTL_MS);
    ck_assert_uint_eq(instances_expired(&table, base + 1 + TTL_MS, TTL_MS), INSTANCE_NONE);
    ck_assert_uint_eq(instances_expired(&table, base + 2 + TTL_MS, TTL_MS), 2);
    instances_fini(&table);
}
END_TEST

/* ---- limits ---- */

START_TEST(is_full_at_its_maximum)
{
    struct instances_options options = usual;
    for (options.max = 0; options.max < 20; options.max++) {
        struct instances table;
        begin(&table, &options);
        struct key key;
        for (uint64_t i = 0; i < options.max; i++) {
            key_init(&key, 8, i);
            create_ok(&table, &key, 1);
            mem_free(key.text);
        }
        key_init(&key, 8, 1000);
        uint32_t number = 77;
        ck_assert_int_eq(key_create(&table, &key, 1, &number), S4_FULL);
        ck_assert_uint_eq(number, 77);
        if (options.max > 0) {
            instances_remove(&table, 0);
            ck_assert_uint_eq(create_ok(&table, &key, 1), 0);
            ck_assert_int_eq(key_create(&table, &key, 1, &number), S4_FULL);
        }
        instances_validate(&table);
        instances_fini(&table);
        mem_free(key.text);
    }
}
END_TEST

START_TEST(keys_of_every_length)
{
    static const size_t lens[] = { 0, 1, 7, 8, 15, 16, 17, 24, 25, KEY_MAX, UINT16_MAX };
    struct instances_options options = { .max = 100 }; /* an entry of its head and key alone, too */
    for (options.key_room = 8; options.key_room <= 24; options.key_room += 8) {
        struct instances table;
        begin(&table, &options);
        struct key keys[ARRAY_LEN(lens)];
        for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
            key_init(&keys[i], lens[i], i * 0x0101);
            ck_assert_uint_eq(key_find(&table, &keys[i]), INSTANCE_NONE);
            create_ok(&table, &keys[i], 1);
            instances_validate(&table);
        }
        for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
            uint32_t number = key_find(&table, &keys[i]);
            const struct instance *instance = instances_at(&table, number);
            ck_assert_uint_eq(number, i);
            ck_assert_int_eq(!!(instance->flags & INSTANCE_LONG_KEY), lens[i] > options.key_room);
            ck_assert_mem_eq(instance_key(instance), keys[i].text, lens[i]);
            mem_free(keys[i].text);
        }
        ck_assert_uint_gt(instances_bytes(&table), KEY_MAX + UINT16_MAX);
        instances_fini(&table);
    }
}
END_TEST

START_TEST(odd_options_are_refused)
{
    struct instances table;
    struct instances_options options = usual;
    options.key_room = 0;
    ck_assert_int_eq(instances_init(&table, &options), S4_INVALID);
    options.key_room = 12;
    ck_assert_int_eq(instances_init(&table, &options), S4_INVALID);
    options = usual;
    options.extra_size = 4;
    ck_assert_int_eq(instances_init(&table, &options), S4_INVALID);
    options = usual;
    options.state_size = UINT32_MAX;
    ck_assert_int_eq(instances_init(&table, &options), S4_INVALID);
    memset(&table, 0, sizeof table);
    instances_fini(&table);
}
END_TEST

/* What an instance costs, as the figure counts it: one of 64 tables of ten million together. */
START_TEST(an_instance_is_small)
{
    static const struct instances_options options = { .key_room = 16,
                                                      .state_size = 16,
                                                      .max = UINT64_MAX };
    enum { N = 10000000 / 64 };
    struct instances table;
    begin(&table, &options);
    for (uint64_t i = 0; i < N; i++) {
        char key[32] = { 0 };
        memcpy(key, &i, sizeof i);
        uint32_t number = 0;
        SUITE_SAME(instances_create(&table, hash_bytes(key, 16), key, 16, 0, &number) == S4_OK,
                   true);
    }
    ck_assert_uint_le(instances_bytes(&table), 54 * (uint64_t)N);
    instances_fini(&table);
}
END_TEST

/* ---- memory ---- */

static bool try_create(struct instances *table, const struct key *key, int64_t allowed)
{
    struct buffer before, after;
    save_ok(table, &before);
    uint32_t number = 77;
    mem_fail_after(allowed);
    s4_status status = key_create(table, key, 5, &number);
    mem_fail_after(-1);
    instances_validate(table);
    if (status != S4_OK) {
        ck_assert_int_eq(status, S4_NO_MEMORY);
        ck_assert_uint_eq(number, 77);
        save_ok(table, &after);
        ck_assert_uint_eq(before.size, after.size);
        ck_assert_mem_eq(before.data, after.data, after.size);
        buffer_fini(&after);
    }
    buffer_fini(&before);
    return status == S4_OK;
}

/* Growth of the heap's entries and of the mapping, of the index, and long keys: each fails once. */
START_TEST(memory_may_fail_anywhere)
{
    struct instances table;
    struct instances_options options = usual;
    options.state_size = 256;
    begin(&table, &options);
    uint32_t failures = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        struct key key;
        key_init(&key, i % 7 == 0 ? KEY_ROOM + 1 + i % 100 : 8, i);
        int64_t allowed = 0;
        while (!try_create(&table, &key, allowed)) {
            failures++;
            allowed++;
        }
        ck_assert_uint_eq(key_find(&table, &key), i);
        mem_free(key.text);
    }
    ck_assert_uint_gt(table.mapped, 0);
    ck_assert_uint_gt(failures, 1000 / 7 + 10);
    mem_fail_after(0); /* without candidates, but not without an answer */
    ck_assert_uint_eq(instances_oldest(&table), 0);
    mem_fail_after(-1);
    instances_fini(&table);
}
END_TEST

START_TEST(steady_state_allocates_nothing)
{
    struct instances table;
    begin(&table, &usual);
    struct key keys[200];
    for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
        key_init(&keys[i], 12, i);
    uint64_t calls = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        if (i == 1000)
            calls = mem_calls();
        const struct key *key = &keys[i % ARRAY_LEN(keys)];
        if (table.count == 150)
            instances_remove(&table, instances_oldest(&table));
        create_ok(&table, key, i);
    }
    ck_assert_uint_eq(mem_calls(), calls);
    for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
        mem_free(keys[i].text);
    instances_fini(&table);
}
END_TEST

/* ---- bytes that are not to be trusted ---- */

static void make_saved(struct buffer *saved)
{
    struct instances table;
    begin(&table, &usual);
    for (uint64_t i = 0; i < 9; i++) {
        struct key key;
        key_init(&key, i == 3 ? 40 : 4 + i, i + 1);
        uint32_t number = create_ok(&table, &key, 1000 + i);
        *state_of(&table, number) = i;
        mem_free(key.text);
    }
    instances_remove(&table, 4);
    instances_remove(&table, 2);
    ck_assert_uint_eq(instances_oldest(&table), 0);
    save_ok(&table, saved);
    instances_fini(&table);
}

START_TEST(every_truncation_is_refused)
{
    struct buffer saved;
    make_saved(&saved);
    for (size_t size = 0; size < saved.size; size++) {
        struct instances table;
        char *cut = mem_dup(saved.data, size); /* ASan sees reads beyond */
        ck_assert_int_eq(load_from(&table, &usual, cut, size), S4_CORRUPT);
        instances_fini(&table);
        mem_free(cut);
    }
    buffer_fini(&saved);
}
END_TEST

START_TEST(every_flipped_bit_is_survived)
{
    struct buffer saved;
    make_saved(&saved);
    uint32_t refused = 0;
    for (size_t bit = 0; bit < saved.size * 8; bit++) {
        struct instances table;
        saved.data[bit / 8] ^= (char)(1 << bit % 8);
        if (load_from(&table, &usual, saved.data, saved.size) == S4_OK) {
            instances_validate(&table);
            instances_oldest(&table);
            instances_expired(&table, UINT64_MAX, 1);
        } else {
            refused++;
        }
        instances_fini(&table);
        saved.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    ck_assert_uint_gt(refused, 9 * 8);
    buffer_fini(&saved);
}
END_TEST

START_TEST(changed_options_and_lack_of_memory_fail_a_load)
{
    struct buffer saved;
    make_saved(&saved);
    struct instances table;
    struct instances_options options = usual;
    options.key_room = 24;
    ck_assert_int_eq(load_from(&table, &options, saved.data, saved.size), S4_CORRUPT);
    instances_fini(&table);
    options = usual;
    options.max = 6;
    ck_assert_int_eq(load_from(&table, &options, saved.data, saved.size), S4_CORRUPT);
    instances_fini(&table);
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        begin(&table, &usual);
        const char *at = saved.data;
        mem_fail_after(n);
        status = instances_load(&table, &at, saved.data + saved.size, load_state, &table);
        mem_fail_after(-1);
        instances_fini(&table);
        ck_assert_int_lt(n, 100);
    }
    ck_assert_int_eq(status, S4_OK);
    buffer_fini(&saved);
}
END_TEST

/* The second state is not there: the table has the first instance, whose state was loaded. */
START_TEST(a_failed_load_keeps_what_has_its_state)
{
    struct buffer saved;
    make_saved(&saved);
    struct instances table;
    ck_assert_int_eq(load_from(&table, &usual, saved.data, saved.size - 1), S4_CORRUPT);
    ck_assert_uint_eq(table.count, 6);
    ck_assert_uint_eq(instances_next(&table, 0), 0);
    ck_assert_uint_eq(instances_next(&table, 1), 1);
    ck_assert_uint_eq(instances_next(&table, 2), 3);
    ck_assert_uint_eq(instances_next(&table, 8), INSTANCE_NONE);
    instances_fini(&table);
    mem_fail_after(0);
    struct buffer out;
    buffer_init(&out);
    begin(&table, &usual);
    ck_assert_int_eq(instances_save(&table, &out, save_state, &table), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_uint_eq(out.size, 0);
    instances_fini(&table);
    buffer_fini(&saved);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("instances");
    suite_add(suite, "agrees_with_a_naive_table", agrees_with_a_naive_table, 100);
    suite_add(suite, "what_is_gone_still_bounds_what_is_due", what_is_gone_still_bounds_what_is_due,
              10);
    suite_add(suite, "grows_without_losing_any", grows_without_losing_any, 60);
    suite_add(suite, "is_full_at_its_maximum", is_full_at_its_maximum, 10);
    suite_add(suite, "keys_of_every_length", keys_of_every_length, 10);
    suite_add(suite, "odd_options_are_refused", odd_options_are_refused, 10);
    suite_add(suite, "an_instance_is_small", an_instance_is_small, 20);
    suite_add(suite, "memory_may_fail_anywhere", memory_may_fail_anywhere, 20);
    suite_add(suite, "steady_state_allocates_nothing", steady_state_allocates_nothing, 20);
    suite_add(suite, "every_truncation_is_refused", every_truncation_is_refused, 20);
    suite_add(suite, "every_flipped_bit_is_survived", every_flipped_bit_is_survived, 20);
    suite_add(suite, "changed_options_and_lack_of_memory_fail_a_load",
              changed_options_and_lack_of_memory_fail_a_load, 20);
    suite_add(suite, "a_failed_load_keeps_what_has_its_state",
              a_failed_load_keeps_what_has_its_state, 10);
    return suite;
}
