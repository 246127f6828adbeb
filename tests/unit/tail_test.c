/* Following outputs: a reader gets, per partition and in order, all changes or how many it missed;
 * nothing of a call that is taken back; and the end. */
#include "tests/support/suite.h"

#include <pthread.h>

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/text/json.h"
#include "tests/support/model_app.h"
#include "tests/support/rig.h"

#define SLOTS   16u
#define WORKERS 2u

static struct rig rig;

struct answer {
    bool done;
    s4_status status;
    struct tail *tail;
};

static void added(void *user, s4_status status, struct tail *tail)
{
    struct answer *answer = user;
    *answer = (struct answer){ .done = true, .status = status, .tail = tail };
}

static void start(void)
{
    struct rig_options options = { .app = &s4_plugin, .slots = SLOTS, .workers = WORKERS };
    rig_start(&rig, &options);
}

static struct tail *follow(const char *output, const struct engine_tail_options *options)
{
    struct answer answer = { 0 };
    struct diag diag = { 0 };
    ck_assert_msg(engine_tail(rig.engine, "model", output, options, added, &answer, &diag) == S4_OK,
                  "%s", diag.text);
    rig_settle(&rig);
    ck_assert(answer.done);
    ck_assert_int_eq(answer.status, S4_OK);
    return answer.tail;
}

static struct tail *follow_plainly(const char *output)
{
    const struct engine_tail_options options = { 0 };
    return follow(output, &options);
}

/* Everything that there is now, a line each: "+{row}", "={row}" for kept ones, "-{row}", "missed
 * n", "caught up", "ended". The caller frees it. */
static char *read_all(struct tail *tail)
{
    static const char marks[] = "?=+-";
    struct buffer out;
    struct tail_item item;
    buffer_init(&out);
    while (tail_next(tail, &item) == S4_OK && item.kind != TAIL_ENDED) {
        if (item.kind == TAIL_MISSED) {
            ck_assert_int_eq(buffer_printf(&out, "missed %d\n", (int)item.missed), S4_OK);
        } else if (item.kind == TAIL_CAUGHT_UP) {
            ck_assert_int_eq(buffer_append_text(&out, "caught up\n"), S4_OK);
        } else {
            ck_assert_int_eq(buffer_append(&out, &marks[item.kind], 1), S4_OK);
            ck_assert_int_eq(json_write(&item.value, &out), S4_OK);
            ck_assert_int_eq(buffer_append_text(&out, "\n"), S4_OK);
        }
    }
    ck_assert_ptr_nonnull(buffer_text(&out));
    return out.data;
}

static void check(struct tail *tail, const char *expected)
{
    char *got = read_all(tail);
    ck_assert_str_eq(got, expected);
    mem_free(got);
}

static void tick(const char *user, int n, int kind)
{
    char line[128];
    snprintf(line, sizeof line, "{\"user\":\"%s\",\"n\":%d,\"kind\":%d}\n", user, n, kind);
    rig_feed(&rig, "ticks", line);
}

START_TEST(changes_come_as_they_are_made)
{
    start();
    tick("a", 1, 0);
    struct tail *tail = follow_plainly("totals");
    check(tail, "");
    tick("a", 2, 0);
    tick("b", 5, 0);
    check(tail, "+{\"key\":\"a\",\"n\":3}\n+{\"key\":\"b\",\"n\":5}\n");
    tick("a", 0, 9); /* unpublishes */
    check(tail, "-{\"key\":\"a\",\"n\":3}\n");
    tail_close(tail);
    rig_stop(&rig);
}
END_TEST

START_TEST(what_is_taken_back_is_never_told)
{
    start();
    struct tail *tail = follow_plainly("totals");
    struct tail *dead = follow_plainly("dead_letters");
    tick("a", 1, 0);
    tick("a", 1, 1); /* publishes, then fails */
    tick("a", 1, 0);
    check(tail, "+{\"key\":\"a\",\"n\":1}\n+{\"key\":\"a\",\"n\":2}\n");
    char *letters = read_all(dead);
    ck_assert_ptr_nonnull(strstr(letters, "told to fail"));
    mem_free(letters);
    tail_close(tail);
    tail_close(dead);
    rig_stop(&rig);
}
END_TEST

START_TEST(what_is_there_comes_first)
{
    const struct engine_tail_options kept = { .kept = true };
    start();
    tick("a", 1, 0);
    struct tail *table = follow("totals", &kept);
    struct tail *log = follow("journal", &kept);
    tick("a", 1, 0);
    check(table, "={\"key\":\"a\",\"n\":1}\ncaught up\n+{\"key\":\"a\",\"n\":2}\n");
    char *journal = read_all(log);
    ck_assert_int_eq(journal[0], '=');
    ck_assert_ptr_nonnull(strstr(journal, "caught up\n"));
    mem_free(journal);
    tail_close(table);
    tail_close(log);
    rig_stop(&rig);
}
END_TEST

START_TEST(keys_and_prefixes_choose)
{
    const struct engine_tail_options key = { .key = "ab" };
    const struct engine_tail_options prefix = { .prefix = "a", .kept = true };
    struct answer answer = { 0 };
    struct diag diag = { 0 };
    start();
    tick("ac", 1, 0);
    tick("b", 1, 0);
    struct tail *one = follow("totals", &key);
    struct tail *some = follow("totals", &prefix);
    tick("ab", 1, 0);
    tick("b", 1, 0);
    tick("ab", 0, 9);
    check(one, "+{\"key\":\"ab\",\"n\":1}\n-{\"key\":\"ab\",\"n\":1}\n");
    check(some, "={\"key\":\"ac\",\"n\":1}\ncaught up\n+{\"key\":\"ab\",\"n\":1}\n"
                "-{\"key\":\"ab\",\"n\":1}\n");
    ck_assert_int_eq(engine_tail(rig.engine, "model", "journal", &key, added, &answer, &diag),
                     S4_TYPE);
    ck_assert_int_eq(engine_tail(rig.engine, "model", "total", &key, added, &answer, &diag),
                     S4_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(diag.text, "totals"));
    tail_close(one);
    tail_close(some);
    rig_stop(&rig);
}
END_TEST

/* A row of the totals under "a": how many bytes it takes in a queue. */
static size_t bytes_of_row(void)
{
    struct tail_item item;
    struct tail *tail = follow_plainly("totals");
    tick("a", 1, 0);
    ck_assert_int_eq(tail_next(tail, &item), S4_OK);
    size_t bytes = TAIL_ITEM_BYTES + item.value.size;
    tail_close(tail);
    return bytes;
}

START_TEST(what_does_not_fit_is_counted_at_its_place)
{
    start();
    size_t bytes = bytes_of_row();
    const struct engine_tail_options three = { .bytes_max = 3 * bytes };
    struct tail *full = follow("totals", &three);
    struct tail *all = follow_plainly("totals");
    for (int i = 0; i < 3; i++)
        tick("a", 1, 0);
    check(full, "+{\"key\":\"a\",\"n\":2}\n+{\"key\":\"a\",\"n\":3}\n+{\"key\":\"a\",\"n\":4}\n");
    for (int i = 0; i < 5; i++)
        tick("a", 1, 0);
    struct tail_item item;
    ck_assert_int_eq(tail_next(full, &item), S4_OK); /* one is read: there is room for one */
    ck_assert_int_eq(item.kind, TAIL_ROW);
    tick("a", 1, 0);
    check(full, "+{\"key\":\"a\",\"n\":6}\n+{\"key\":\"a\",\"n\":7}\nmissed 2\n"
                "+{\"key\":\"a\",\"n\":10}\n");
    for (int i = 0; i < 4; i++)
        tick("a", 1, 0);
    check(full, "+{\"key\":\"a\",\"n\":11}\n+{\"key\":\"a\",\"n\":12}\n+{\"key\":\"a\",\"n\":13}\n"
                "missed 1\n"); /* though nothing follows it */
    char *rows = read_all(all);
    size_t n = 0;
    for (const char *c = rows; *c; c++)
        n += *c == '\n';
    ck_assert_uint_eq(n, 13);
    mem_free(rows);
    tail_close(full);
    tail_close(all);
    rig_stop(&rig);
}
END_TEST

START_TEST(the_app_goes_and_the_rest_is_read)
{
    struct diag diag = { 0 };
    uint64_t dropped;
    struct tail_item item;
    const struct engine_tail_options kept = { .kept = true };
    start();
    tick("b", 7, 0);
    struct tail *tail = follow("totals", &kept);
    struct tail *dead = follow_plainly("dead_letters");
    tick("a", 1, 0);
    tick("a", 1, 1);
    ck_assert_int_eq(engine_undeploy(rig.engine, "model", &dropped, &diag), S4_OK);
    check(tail, "={\"key\":\"b\",\"n\":7}\ncaught up\n+{\"key\":\"a\",\"n\":1}\n");
    char *letters = read_all(dead);
    ck_assert_ptr_nonnull(strstr(letters, "told to fail"));
    mem_free(letters);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tail_next(tail, &item), S4_OK);
        ck_assert_int_eq(item.kind, TAIL_ENDED);
    }
    ck_assert(!tail_sleep(tail));
    tail_close(tail);
    rig_stop(&rig);
    tail_close(dead);
}
END_TEST

START_TEST(there_are_so_many_and_no_more)
{
    const struct engine_tail_options options = { .bytes_max = 1024 };
    struct tail *tails[OUTPUT_TAILS_MAX];
    struct answer answer = { 0 };
    struct diag diag = { 0 };
    start();
    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        tails[i] = follow("totals", &options);
    ck_assert_int_eq(engine_tail(rig.engine, "model", "totals", &options, added, &answer, &diag),
                     S4_OK);
    rig_settle(&rig);
    ck_assert(answer.done);
    ck_assert_int_eq(answer.status, S4_FULL);
    ck_assert_ptr_null(answer.tail);
    tail_close(tails[0]); /* its place is free, and others stay */
    tails[0] = follow("totals", &options);
    tick("a", 1, 0);
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        check(tails[i], "+{\"key\":\"a\",\"n\":1}\n");
        tail_close(tails[i]);
    }
    rig_stop(&rig);
}
END_TEST

/* ---- a reader on a thread of its own ------------------------------------------------------- */

#define CHANGES 20000u

struct reader {
    struct tail *tail;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken;
    uint64_t next[SLOTS]; /* number */
    uint64_t rows, missed;
};

static void wake(void *user)
{
    struct reader *reader = user;
    pthread_mutex_lock(&reader->lock);
    reader->woken = true;
    pthread_cond_signal(&reader->wake);
    pthread_mutex_unlock(&reader->lock);
}

static void take_item(struct reader *reader, const struct tail_item *item)
{
    uint64_t *next = &reader->next[item->partition];
    *next = *next ? *next : 1;
    if (item->kind == TAIL_MISSED) {
        *next += item->missed;
        reader->missed += item->missed;
        ck_assert_uint_eq(item->number + 1, *next);
    } else {
        ck_assert_uint_eq(item->number, *next);
        ++*next;
        reader->rows++;
    }
}

static void *read_until_the_end(void *arg)
{
    struct reader *reader = arg;
    struct tail_item item;
    for (;;) {
        s4_status status = tail_next(reader->tail, &item);
        if (status == S4_OK && item.kind == TAIL_ENDED)
            return NULL;
        if (status == S4_OK) {
            take_item(reader, &item);
        } else if (tail_sleep(reader->tail)) {
            pthread_mutex_lock(&reader->lock);
            while (!reader->woken)
                pthread_cond_wait(&reader->wake, &reader->lock);
            reader->woken = false;
            pthread_mutex_unlock(&reader->lock);
        }
    }
}

/* A partition's owner, on a thread of its own: calls of some changes, some of them taken back. */
struct owner {
    struct tails *tails[SLOTS];
    uint32_t worker;
    uint64_t seed;
    uint64_t committed;
};

static void *offer_changes(void *arg)
{
    struct owner *owner = arg;
    uint64_t room[16] = { 0 }; /* OUTPUT_ROW_BASE bytes and a row */
    struct value row = { .record = (const char *)room, .at = (const char *)room + OUTPUT_ROW_BASE };
    struct rng rng;
    rng_init(&rng, owner->seed);
    for (uint32_t done = 0; done < CHANGES;) {
        uint32_t slot = (uint32_t)(rng_next(&rng) % (SLOTS / WORKERS)) * WORKERS + owner->worker;
        uint32_t n = 1 + (uint32_t)(rng_next(&rng) % 4);
        for (uint32_t i = 0; i < n; i++) {
            row.size = (uint32_t)(rng_next(&rng) % 8) * 8;
            tails_offer(owner->tails[slot], TAIL_ROW, done, NULL, 0, &row);
        }
        if (rng_next(&rng) % 5 == 0) {
            tails_rollback(owner->tails[slot]);
        } else {
            tails_commit(owner->tails[slot]);
            owner->committed += n;
        }
        done += n;
    }
    for (uint32_t slot = owner->worker; slot < SLOTS; slot += WORKERS)
        tails_end(&owner->tails[slot]);
    return NULL;
}

START_TEST(threads_lose_nothing_uncounted)
{
    struct reader reader = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };
    struct owner owners[WORKERS] = { 0 };
    pthread_t threads[WORKERS];
    struct diag diag = { 0 };
    struct tail_options options = { .output = "log",
                                    .slots = SLOTS,
                                    .workers = WORKERS,
                                    .bytes_max = 4096,
                                    .wake = wake,
                                    .user = &reader };
    ck_assert_int_eq(tail_create(&options, &reader.tail, &diag), S4_OK);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        ck_assert_int_eq(tails_add(&owners[slot % WORKERS].tails[slot], reader.tail, slot,
                                   slot % WORKERS, 1, NULL),
                         S4_OK);
    for (uint32_t i = 0; i < WORKERS; i++) {
        owners[i].worker = i;
        owners[i].seed = rng_seed_real();
        printf("# owner %u: seed %llu\n", i, (unsigned long long)owners[i].seed);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, offer_changes, &owners[i]), 0);
    }
    read_until_the_end(&reader);
    uint64_t committed = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        committed += owners[i].committed;
    }
    printf("# %llu changes: %llu read, %llu missed\n", (unsigned long long)committed,
           (unsigned long long)reader.rows, (unsigned long long)reader.missed);
    ck_assert_uint_eq(reader.rows + reader.missed, committed);
    tail_close(reader.tail);
    pthread_mutex_destroy(&reader.lock);
    pthread_cond_destroy(&reader.wake);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("tail");
    suite_add(suite, "changes", changes_come_as_they_are_made, 20);
    suite_add(suite, "back", what_is_taken_back_is_never_told, 20);
    suite_add(suite, "kept", what_is_there_comes_first, 20);
    suite_add(suite, "choose", keys_and_prefixes_choose, 20);
    suite_add(suite, "missed", what_does_not_fit_is_counted_at_its_place, 20);
    suite_add(suite, "ended", the_app_goes_and_the_rest_is_read, 20);
    suite_add(suite, "full", there_are_so_many_and_no_more, 20);
    suite_add(suite, "threads", threads_lose_nothing_uncounted, 60);
    return suite;
}
