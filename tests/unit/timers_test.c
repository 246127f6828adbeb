/* Timers against a naive list over a million random steps, the end of time, their limit, and what
 * they do without memory and with saved bytes that are not to be trusted. */
#include "tests/support/suite.h"

#include "runtime/actor/timers.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

#define OWNERS  40u
#define IDS     10u
#define STEPS   1000000u
#define BATCH   20000u
#define HOUR_US 3600000000ull

static struct timers *timers_of(uint32_t max)
{
    struct timers *timers = NULL;
    ck_assert_int_eq(timers_create(max, &timers), S4_OK);
    return timers;
}

static void set_ok(struct timers *timers, uint32_t owner, uint64_t id, uint64_t due_us)
{
    struct timer timer = { .prototype = owner % 3, .instance = owner, .id = id, .due_us = due_us };
    SUITE_SAME(timers_set(timers, &timer) == S4_OK, true);
}

static void validate(const struct timers *timers)
{
    ck_assert_int_eq(timers_validate(timers), S4_OK);
}

static void save_ok(const struct timers *timers, struct buffer *out)
{
    buffer_init(out);
    ck_assert_int_eq(timers_save(timers, out), S4_OK);
}

/* ---- the oracle ---- */

struct naive {
    bool set;
    uint64_t due_us;
    uint64_t order;
};

/* Two sets of timers do the same: one goes on, the other is saved and loaded after each batch. */
struct world {
    struct rng rng;
    struct naive naive[OWNERS][IDS];
    uint32_t count;
    uint64_t orders;
    uint64_t now_us;
    struct timers *timers[2];
};

static uint64_t random_due(struct world *world)
{
    uint64_t far = UINT64_MAX - rng_below(&world->rng, 3);
    switch (rng_below(&world->rng, 8)) {
    case 0:
        return far;
    case 1: /* any distance, past ones too */
        return rng_next(&world->rng) >> rng_below(&world->rng, 64);
    case 2:
        return world->now_us > 5000 ? world->now_us - rng_below(&world->rng, 5000) : 0;
    case 3: /* many in one tick, and in one microsecond */
        return world->now_us / 1000 * 1000 + 3000 + rng_below(&world->rng, 3);
    case 4:
        far = world->now_us + rng_below(&world->rng, 100 * HOUR_US);
        return far < world->now_us ? UINT64_MAX : far;
    default:
        far = world->now_us + rng_below(&world->rng, 200000);
        return far < world->now_us ? UINT64_MAX : far;
    }
}

static void set(struct world *world, uint32_t owner, uint64_t id)
{
    struct naive *naive = &world->naive[owner][id];
    uint64_t due_us = random_due(world);
    for (int t = 0; t < 2; t++)
        set_ok(world->timers[t], owner, id, due_us);
    world->count += !naive->set;
    *naive = (struct naive){ true, due_us, world->orders++ };
}

static void cancel(struct world *world, uint32_t owner, uint64_t id)
{
    struct naive *naive = &world->naive[owner][id];
    for (int t = 0; t < 2; t++)
        SUITE_SAME(timers_cancel(world->timers[t], owner % 3, owner, id) == S4_OK, naive->set);
    world->count -= naive->set;
    naive->set = false;
}

static void cancel_owner(struct world *world, uint32_t owner)
{
    for (int t = 0; t < 2; t++)
        timers_cancel_all(world->timers[t], owner % 3, owner);
    for (uint32_t id = 0; id < IDS; id++) {
        world->count -= world->naive[owner][id].set;
        world->naive[owner][id].set = false;
    }
}

static struct naive *first(struct world *world, uint32_t *owner, uint64_t *id)
{
    struct naive *best = NULL;
    for (uint32_t i = 0; i < OWNERS * IDS; i++) {
        struct naive *naive = &world->naive[i / IDS][i % IDS];
        if (!naive->set ||
            (best && (naive->due_us > best->due_us ||
                      (naive->due_us == best->due_us && naive->order > best->order))))
            continue;
        best = naive;
        *owner = i / IDS;
        *id = i % IDS;
    }
    return best;
}

/* Fires at most `limit` of those that are due. */
static void fire(struct world *world, uint32_t limit)
{
    for (uint32_t n = 0; n < limit; n++) {
        uint32_t owner = 0;
        uint64_t id = 0;
        struct naive *naive = first(world, &owner, &id);
        bool due = naive && naive->due_us <= world->now_us;
        for (int t = 0; t < 2; t++) {
            struct timer timer = { 0 };
            SUITE_SAME(timers_due_us(world->timers[t]), naive ? naive->due_us : TIMERS_NEVER);
            bool fired = timers_next(world->timers[t], world->now_us, &timer);
            SUITE_SAME(fired, due);
            if (!due)
                continue;
            SUITE_SAME(timer.instance, owner);
            SUITE_SAME(timer.prototype, owner % 3);
            SUITE_SAME(timer.id, id);
            SUITE_SAME(timer.due_us, naive->due_us);
        }
        if (!due)
            break;
        naive->set = false;
        world->count--;
    }
}

static void advance(struct world *world)
{
    uint64_t by = rng_below(&world->rng, 50) ? rng_below(&world->rng, 20000)
                                             : rng_below(&world->rng, 10 * HOUR_US);
    world->now_us = world->now_us + by < by ? UINT64_MAX : world->now_us + by;
}

static void check_batch(struct world *world)
{
    struct buffer saved[2];
    for (int t = 0; t < 2; t++) {
        validate(world->timers[t]);
        ck_assert_uint_eq(timers_count(world->timers[t]), world->count);
        save_ok(world->timers[t], &saved[t]);
    }
    ck_assert_uint_eq(saved[0].size, saved[1].size);
    ck_assert_mem_eq(saved[0].data, saved[1].data, saved[0].size);
    timers_destroy(world->timers[1]);
    world->timers[1] = timers_of(0);
    const char *at = saved[0].data, *end = saved[0].data + saved[0].size;
    ck_assert_int_eq(timers_load(world->timers[1], &at, end), S4_OK);
    ck_assert_ptr_eq(at, end);
    validate(world->timers[1]);
    buffer_fini(&saved[0]);
    buffer_fini(&saved[1]);
}

static void step(struct world *world, uint32_t batch)
{
    uint32_t owner = (uint32_t)rng_below(&world->rng, OWNERS);
    uint64_t id = rng_below(&world->rng, IDS);
    uint64_t dice = rng_below(&world->rng, 100);
    if (dice < 40 + (batch % 3) * 10)
        set(world, owner, id);
    else if (dice < 75)
        cancel(world, owner, id);
    else if (dice < 77)
        cancel_owner(world, owner);
    else if (dice < 90)
        advance(world);
    else
        fire(world, 1 + (uint32_t)rng_below(&world->rng, 8));
}

START_TEST(agrees_with_a_naive_list)
{
    struct world *world = mem_zalloc(sizeof *world);
    ck_assert_ptr_nonnull(world);
    rng_init(&world->rng, suite_seed());
    world->timers[0] = timers_of(0);
    world->timers[1] = timers_of(0);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(world, i / BATCH);
        if (i % BATCH != BATCH - 1)
            continue;
        check_batch(world);
        if (i / BATCH % 5 == 4) { /* the end of time, and a fresh start */
            world->now_us = UINT64_MAX - 1;
            fire(world, UINT32_MAX);
            world->now_us = UINT64_MAX;
            fire(world, UINT32_MAX);
            ck_assert_uint_eq(world->count, 0);
            world->now_us = rng_next(&world->rng) >> 10;
        }
    }
    timers_destroy(world->timers[0]);
    timers_destroy(world->timers[1]);
    mem_free(world);
}
END_TEST

/* One timer on every level and slot of the wheel: the end of time comes at once. */
START_TEST(fires_all_at_the_end_of_time)
{
    struct timers *timers = timers_of(0);
    uint32_t n = 0;
    for (uint32_t bit = 0; bit < 64; bit++)
        for (uint64_t i = 1; i < 64; i++)
            if ((i << bit) >> bit == i)
                set_ok(timers, n, n, i << bit), n++;
    set_ok(timers, n, n, UINT64_MAX), n++;
    validate(timers);
    struct timer timer;
    uint64_t last_us = 0;
    for (uint32_t fired = 0; fired < n - 1; fired++) {
        ck_assert(timers_next(timers, UINT64_MAX - 1, &timer));
        ck_assert_uint_ge(timer.due_us, last_us);
        last_us = timer.due_us;
    }
    ck_assert(!timers_next(timers, UINT64_MAX - 1, &timer));
    ck_assert_uint_eq(timers_count(timers), 1);
    ck_assert(timers_next(timers, UINT64_MAX, &timer));
    ck_assert(!timers_next(timers, UINT64_MAX, &timer));
    ck_assert_uint_eq(timers_due_us(timers), TIMERS_NEVER);
    timers_destroy(timers);
}
END_TEST

/* Where the wheel went ahead, what is set before it still comes first. */
START_TEST(an_earlier_timer_overtakes)
{
    struct timers *timers = timers_of(0);
    struct timer timer;
    set_ok(timers, 1, 1, HOUR_US);
    ck_assert(!timers_next(timers, 0, &timer));
    set_ok(timers, 1, 2, 1500);
    set_ok(timers, 1, 3, 1499);
    set_ok(timers, 1, 4, 1499);
    ck_assert_uint_eq(timers_due_us(timers), 1499);
    static const uint64_t order[] = { 3, 4, 2, 1 };
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        ck_assert(timers_next(timers, HOUR_US, &timer));
        ck_assert_uint_eq(timer.id, order[i]);
    }
    timers_destroy(timers);
}
END_TEST

START_TEST(is_full_at_its_maximum)
{
    struct timers *timers = timers_of(100);
    for (uint32_t i = 0; i < 100; i++)
        set_ok(timers, i / 10, i, i);
    struct timer timer = { .prototype = 7, .instance = 7, .id = 1000, .due_us = 1 };
    ck_assert_int_eq(timers_set(timers, &timer), S4_FULL);
    set_ok(timers, 5, 50, 77777); /* moving one is not one more */
    ck_assert_int_eq(timers_cancel(timers, 5 % 3, 5, 50), S4_OK);
    ck_assert_int_eq(timers_set(timers, &timer), S4_OK);
    ck_assert_uint_eq(timers_count(timers), 100);
    validate(timers);
    timers_destroy(timers);
    timers_destroy(NULL);
}
END_TEST

/* An owner's many timers cost nobody else's, and go together. */
START_TEST(an_owner_goes_with_its_timers)
{
    struct timers *timers = timers_of(0);
    for (uint32_t i = 0; i < 50000; i++)
        set_ok(timers, i % 5, i, (uint64_t)i * 777);
    timers_cancel_all(timers, 3 % 3, 3);
    timers_cancel_all(timers, 1, 99);
    ck_assert_uint_eq(timers_count(timers), 40000);
    validate(timers);
    struct timer timer;
    for (uint32_t i = 0; i < 50000; i++) {
        if (i % 5 == 3)
            continue;
        ck_assert(timers_next(timers, UINT64_MAX, &timer));
        ck_assert_uint_eq(timer.id, i);
    }
    timers_destroy(timers);
}
END_TEST

START_TEST(memory_may_fail_anywhere)
{
    struct timers *timers = NULL;
    mem_fail_after(0);
    ck_assert_int_eq(timers_create(0, &timers), S4_NO_MEMORY);
    mem_fail_after(-1);
    timers = timers_of(0);
    uint32_t failures = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        struct timer timer = { .instance = i / 2, .id = i, .due_us = i * 1000000ull };
        s4_status status = S4_NO_MEMORY;
        for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
            ck_assert_uint_eq(timers_count(timers), i);
            mem_fail_after(n);
            status = timers_set(timers, &timer);
            mem_fail_after(-1);
            failures += status != S4_OK;
        }
        ck_assert_int_eq(status, S4_OK);
    }
    ck_assert_uint_gt(failures, 20);
    validate(timers);
    struct buffer out;
    buffer_init(&out);
    for (int64_t n = 0; n < 2; n++) {
        mem_fail_after(n);
        ck_assert_int_eq(timers_save(timers, &out), S4_NO_MEMORY);
        mem_fail_after(-1);
        ck_assert_uint_eq(out.size, 0);
    }
    timers_destroy(timers);
}
END_TEST

START_TEST(steady_state_allocates_nothing)
{
    struct timers *timers = timers_of(0);
    struct rng rng;
    rng_init(&rng, suite_seed());
    uint64_t calls = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        if (i == 100000)
            calls = mem_calls();
        struct timer timer;
        while (timers_count(timers) >= 1000 || timers_due_us(timers) <= i)
            timers_next(timers, UINT64_MAX, &timer);
        set_ok(timers, (uint32_t)rng_below(&rng, 300), rng_below(&rng, 10),
               i + rng_below(&rng, 1000000));
    }
    ck_assert_uint_eq(mem_calls(), calls);
    timers_destroy(timers);
}
END_TEST

START_TEST(odd_bytes_are_refused)
{
    struct timers *timers = timers_of(0);
    for (uint32_t i = 0; i < 5; i++)
        set_ok(timers, i, i, 100 + i);
    struct buffer saved;
    save_ok(timers, &saved);
    timers_destroy(timers);
    for (size_t size = 0; size < saved.size; size++) {
        char *cut = mem_dup(saved.data, size); /* ASan sees reads beyond */
        const char *at = cut;
        timers = timers_of(0);
        ck_assert_int_eq(timers_load(timers, &at, cut + size), S4_CORRUPT);
        timers_destroy(timers);
        mem_free(cut);
    }
    for (size_t bit = 0; bit < saved.size * 8; bit++) {
        saved.data[bit / 8] ^= (char)(1 << bit % 8);
        const char *at = saved.data;
        timers = timers_of(0);
        if (timers_load(timers, &at, saved.data + saved.size) == S4_OK)
            validate(timers);
        timers_destroy(timers);
        saved.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    timers = timers_of(4); /* more than may be set */
    const char *at = saved.data;
    ck_assert_int_eq(timers_load(timers, &at, saved.data + saved.size), S4_CORRUPT);
    timers_destroy(timers);
    buffer_fini(&saved);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("timers");
    suite_add(suite, "agrees_with_a_naive_list", agrees_with_a_naive_list, 100);
    suite_add(suite, "fires_all_at_the_end_of_time", fires_all_at_the_end_of_time, 10);
    suite_add(suite, "an_earlier_timer_overtakes", an_earlier_timer_overtakes, 10);
    suite_add(suite, "is_full_at_its_maximum", is_full_at_its_maximum, 10);
    suite_add(suite, "an_owner_goes_with_its_timers", an_owner_goes_with_its_timers, 20);
    suite_add(suite, "memory_may_fail_anywhere", memory_may_fail_anywhere, 20);
    suite_add(suite, "steady_state_allocates_nothing", steady_state_allocates_nothing, 20);
    suite_add(suite, "odd_bytes_are_refused", odd_bytes_are_refused, 20);
    return suite;
}
