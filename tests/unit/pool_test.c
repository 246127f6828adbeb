/* The pool of requests, with threads and simulated: each job ends once, limits, cancelling. */
#include "tests/support/suite.h"

#include <pthread.h>
#include <semaphore.h>

#include "runtime/actor/pool.h"
#include "runtime/actor/pool_sim.h"
#include "runtime/base/mem.h"

#define JOBS_MAX 4000u

/* What a test's jobs tell it. */
struct watch {
    struct pool *pool;
    _Atomic uint32_t run; /* counters: nothing is read through them */
    _Atomic uint32_t ended;
    _Atomic uint32_t cancelled;
    sem_t started; /* posted by each job that begins */
    sem_t gate;    /* taken by each job that waits */
    sem_t over;    /* posted by each `done` */
};

struct errand {
    struct job job;
    struct watch *watch;
    uint32_t number;
    uint32_t again; /* times that its `done` submits it once more */
    uint32_t runs;
    uint32_t dones;
    bool waits; /* at the gate */
    pthread_t runner;
    uint32_t *order; /* where its number is written when it runs, or NULL */
};

static void run(struct job *job)
{
    struct errand *errand = CONTAINER_OF(job, struct errand, job);
    errand->runs++;
    errand->runner = pthread_self();
    sem_post(&errand->watch->started);
    if (errand->waits)
        sem_wait(&errand->watch->gate);
    uint32_t nth = errand->watch->run++;
    if (errand->order)
        errand->order[nth] = errand->number;
}

static void done(struct job *job, s4_status status)
{
    struct errand *errand = CONTAINER_OF(job, struct errand, job);
    struct watch *watch = errand->watch;
    CHECK(status == S4_OK || status == S4_CANCELLED);
    if (status == S4_OK)
        CHECK(pthread_equal(errand->runner, pthread_self()));
    errand->dones++;
    watch->ended++;
    watch->cancelled += status == S4_CANCELLED;
    if (status == S4_OK && errand->again > 0) {
        errand->again--;
        CHECK(pool_submit(watch->pool, job) == S4_OK);
    }
    sem_post(&watch->over);
}

static void watch_init(struct watch *watch)
{
    *watch = (struct watch){ 0 };
    sem_init(&watch->started, 0, 0);
    sem_init(&watch->gate, 0, 0);
    sem_init(&watch->over, 0, 0);
}

static void watch_fini(struct watch *watch)
{
    sem_destroy(&watch->started);
    sem_destroy(&watch->gate);
    sem_destroy(&watch->over);
}

static void errand_init(struct errand *errand, struct watch *watch, uint32_t number)
{
    *errand =
        (struct errand){ .job = { .run = run, .done = done }, .watch = watch, .number = number };
}

static void wait_for(sem_t *sem, uint32_t times)
{
    while (times-- > 0)
        ck_assert_int_eq(sem_wait(sem), 0);
}

/* ---- threads ---- */

struct submitter {
    struct watch *watch;
    struct errand *errands;
    uint32_t n;
};

static void *submit_all(void *arg)
{
    struct submitter *submitter = arg;
    for (uint32_t i = 0; i < submitter->n; i++)
        CHECK(pool_submit(submitter->watch->pool, &submitter->errands[i].job) == S4_OK);
    return NULL;
}

/* Several threads submit, and every third job comes back twice from its own `done`. */
START_TEST(each_job_ends_once)
{
    enum { SUBMITTERS = 3, EACH = 1000 };
    static struct errand errands[SUBMITTERS * EACH];
    struct watch watch;
    watch_init(&watch);
    ck_assert_int_eq(pool_create(4, JOBS_MAX, &watch.pool), S4_OK);
    struct submitter submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    uint32_t total = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(errands); i++) {
        errand_init(&errands[i], &watch, i);
        errands[i].again = i % 3 == 0 ? 2 : 0;
        total += 1 + errands[i].again;
    }
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (struct submitter){ &watch, errands + (size_t)i * EACH, EACH };
        ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_all, &submitters[i]), 0);
    }
    for (uint32_t i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    wait_for(&watch.over, total);
    pool_destroy(watch.pool);
    ck_assert_uint_eq(watch.ended, total);
    ck_assert_uint_eq(watch.cancelled, 0);
    for (uint32_t i = 0; i < ARRAY_LEN(errands); i++) {
        ck_assert_uint_eq(errands[i].runs, i % 3 == 0 ? 3 : 1);
        ck_assert_uint_eq(errands[i].dones, errands[i].runs);
    }
    watch_fini(&watch);
}
END_TEST

/* Both threads are kept busy: as many wait as may, one more does not. */
START_TEST(is_full_at_its_maximum)
{
    enum { THREADS = 2, WAITING = 5 };
    struct errand errands[THREADS + WAITING + 1];
    struct watch watch;
    watch_init(&watch);
    ck_assert_int_eq(pool_create(THREADS, WAITING, &watch.pool), S4_OK);
    for (uint32_t i = 0; i < ARRAY_LEN(errands); i++) {
        errand_init(&errands[i], &watch, i);
        errands[i].waits = true;
    }
    for (uint32_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pool_submit(watch.pool, &errands[i].job), S4_OK);
    wait_for(&watch.started, THREADS);
    for (uint32_t i = 0; i < WAITING; i++)
        ck_assert_int_eq(pool_submit(watch.pool, &errands[THREADS + i].job), S4_OK);
    ck_assert_int_eq(pool_submit(watch.pool, &errands[THREADS + WAITING].job), S4_FULL);
    ck_assert_uint_eq(watch.run, 0);
    sem_post(&watch.gate);
    wait_for(&watch.started, 1); /* one ended, so one that waited began */
    ck_assert_int_eq(pool_submit(watch.pool, &errands[THREADS + WAITING].job), S4_OK);
    for (uint32_t i = 1; i < ARRAY_LEN(errands); i++)
        sem_post(&watch.gate);
    wait_for(&watch.over, ARRAY_LEN(errands));
    pool_destroy(watch.pool);
    watch_fini(&watch);
}
END_TEST

static void *open_gate(void *arg)
{
    struct watch *watch = arg;
    for (uint32_t i = 0; i < 10; i++)
        sem_post(&watch->gate);
    return NULL;
}

/* Whether a job that waits is still begun depends on who is first; that it ends does not. */
START_TEST(destroy_ends_all)
{
    for (uint32_t round = 0; round < 200; round++) {
        struct errand errands[10];
        struct watch watch;
        watch_init(&watch);
        ck_assert_int_eq(pool_create(1 + round % 3, 10, &watch.pool), S4_OK);
        for (uint32_t i = 0; i < ARRAY_LEN(errands); i++) {
            errand_init(&errands[i], &watch, i);
            errands[i].waits = true;
            ck_assert_int_eq(pool_submit(watch.pool, &errands[i].job), S4_OK);
        }
        wait_for(&watch.started, 1);
        pthread_t opener;
        ck_assert_int_eq(pthread_create(&opener, NULL, open_gate, &watch), 0);
        pool_destroy(watch.pool);
        pthread_join(opener, NULL);
        ck_assert_uint_eq(watch.ended, ARRAY_LEN(errands));
        ck_assert_uint_eq(watch.run + watch.cancelled, ARRAY_LEN(errands));
        ck_assert_uint_gt(watch.run, 0);
        for (uint32_t i = 0; i < ARRAY_LEN(errands); i++)
            ck_assert_uint_eq(errands[i].dones, 1);
        watch_fini(&watch);
    }
}
END_TEST

START_TEST(odd_sizes_and_lack_of_memory)
{
    struct pool *pool = NULL;
    ck_assert_int_eq(pool_create(0, 1, &pool), S4_RANGE);
    ck_assert_int_eq(pool_create(65, 1, &pool), S4_RANGE);
    ck_assert_int_eq(pool_create(1, 0, &pool), S4_RANGE);
    ck_assert_int_eq(pool_sim_create(0, 1, &pool), S4_RANGE);
    mem_fail_after(0);
    ck_assert_int_eq(pool_create(1, 1, &pool), S4_NO_MEMORY);
    ck_assert_int_eq(pool_sim_create(1, 1, &pool), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_ptr_null(pool);
    pool_destroy(NULL);
    ck_assert_int_eq(pool_create(64, 1, &pool), S4_OK);
    pool_destroy(pool); /* no job, no thread */
}
END_TEST

/* ---- simulated ---- */

static void simulate(uint64_t seed, uint32_t *order, uint32_t n)
{
    struct errand errands[64] = { 0 };
    struct watch watch;
    watch_init(&watch);
    ck_assert_int_eq(pool_sim_create(n, seed, &watch.pool), S4_OK);
    for (uint32_t i = 0; i < n; i++) {
        errand_init(&errands[i], &watch, i);
        errands[i].order = order;
        ck_assert_int_eq(pool_submit(watch.pool, &errands[i].job), S4_OK);
    }
    ck_assert_uint_eq(pool_sim_waiting(watch.pool), n);
    struct errand more;
    errand_init(&more, &watch, n);
    ck_assert_int_eq(pool_submit(watch.pool, &more.job), S4_FULL);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_uint_eq(watch.run, i); /* nothing runs by itself */
        ck_assert(pool_sim_step(watch.pool));
        ck_assert_uint_eq(watch.ended, i + 1);
    }
    ck_assert(!pool_sim_step(watch.pool));
    for (uint32_t i = 0; i < n; i++)
        ck_assert(errands[i].runs == 1 && errands[i].dones == 1);
    pool_destroy(watch.pool);
    watch_fini(&watch);
}

START_TEST(simulated_order_is_drawn_and_repeats)
{
    enum { N = 64 };
    uint64_t seed = suite_seed();
    uint32_t first[N], again[N], other[N];
    simulate(seed, first, N);
    simulate(seed, again, N);
    simulate(seed + 1, other, N);
    ck_assert_mem_eq(first, again, sizeof first);
    ck_assert_int_ne(memcmp(first, other, sizeof first), 0);
}
END_TEST

START_TEST(simulated_destroy_cancels)
{
    struct errand errands[6];
    struct watch watch;
    watch_init(&watch);
    ck_assert_int_eq(pool_sim_create(6, 1, &watch.pool), S4_OK);
    for (uint32_t i = 0; i < 6; i++) {
        errand_init(&errands[i], &watch, i);
        errands[i].again = i == 0 ? 3 : 0;
        ck_assert_int_eq(pool_submit(watch.pool, &errands[i].job), S4_OK);
    }
    for (uint32_t i = 0; i < 4; i++)
        ck_assert(pool_sim_step(watch.pool));
    uint32_t waiting = pool_sim_waiting(watch.pool);
    pool_destroy(watch.pool);
    ck_assert_uint_eq(watch.cancelled, waiting);
    ck_assert_uint_eq(watch.run, 4);
    ck_assert_uint_eq(watch.ended, 4 + waiting);
    watch_fini(&watch);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("pool");
    suite_add(suite, "each_job_ends_once", each_job_ends_once, 30);
    suite_add(suite, "is_full_at_its_maximum", is_full_at_its_maximum, 10);
    suite_add(suite, "destroy_ends_all", destroy_ends_all, 30);
    suite_add(suite, "odd_sizes_and_lack_of_memory", odd_sizes_and_lack_of_memory, 10);
    suite_add(suite, "simulated_order_is_drawn_and_repeats", simulated_order_is_drawn_and_repeats,
              10);
    suite_add(suite, "simulated_destroy_cancels", simulated_destroy_cancels, 10);
    return suite;
}
