/* What a callback may call, and when: ids and random numbers, the causes of failures, what belongs
 * in one callback and once only. */
#include "tests/support/suite.h"

#include <s4/s4.h>

#include "runtime/base/mem.h"
#include "tests/support/protos/model.pb-c.h"
#include "tests/support/rig.h"

#define SLOTS 4u

/* ---- an app that does as its events say ----------------------------------------------------- */

enum kind { ID, RANDOM, PLACE, CAUSE, ALLOC, ASK_TWICE };

static uint64_t got[8192]; /* by the handlers, in order */
static uint32_t from[8192];
static size_t n_got;
static bool start_emits;
static s4_status at_stop;
static s4_status twice; /* what the second s4_answer said */

S4_STREAM(ticks, Model__Tick, model__tick);
S4_LOG(journal, Model__Row, model__row);

static s4_status look_up(s4_job *job, const Model__Question *question)
{
    Model__Answer answer = MODEL__ANSWER__INIT;
    answer.n = *(int *)s4_job_app_data(job);
    s4_status status = s4_answer(job, &answer);
    answer.n = -1;
    twice = s4_answer(job, &answer);
    return status;
}
S4_REQUEST(lookup, Model__Question, model__question, Model__Answer, model__answer, look_up);

struct caller {
    int64_t n;
};

static void note(s4_ctx *ctx, uint64_t n)
{
    ck_assert_uint_lt(n_got, ARRAY_LEN(got));
    from[n_got] = s4_partition(ctx);
    got[n_got++] = n;
}

static s4_status on_tick(s4_ctx *ctx, struct caller *self, const Model__Tick *tick)
{
    static char cause[1024];
    Model__Question question = MODEL__QUESTION__INIT;
    switch (tick->kind) {
    case ID:
        note(ctx, s4_id(ctx));
        return S4_OK;
    case RANDOM:
        note(ctx, s4_random(ctx));
        return S4_OK;
    case PLACE:
        note(ctx, s4_partitions(ctx));
        return S4_OK;
    case CAUSE:
        memset(cause, 'c', (size_t)tick->n);
        snprintf(cause + tick->n, 3, "%s", strcmp(tick->user, "u") == 0 ? "\u00fc" : "");
        return s4_fail(ctx, S4_RANGE, cause);
    case ALLOC:
        note(ctx, s4_alloc(ctx, 8) == NULL);
        return S4_OK;
    default:
        question.key = tick->user;
        return s4_ask(ctx, &lookup, &question);
    }
}

static s4_status on_answer(s4_ctx *ctx, struct caller *self, s4_status result,
                           const Model__Answer *answer)
{
    note(ctx, answer ? (uint64_t)answer->n : UINT64_MAX);
    return S4_OK;
}
static const s4_answer_handler caller_answers[] = { S4_ANSWER(struct caller, on_answer, lookup) };

/* Key `twice`: replies twice; `emit` and `publish`: do what a query may not. */
static s4_status caller_query(s4_ctx *ctx, const struct caller *self)
{
    const char *key = s4_key(ctx, 0, NULL);
    Model__Tick tick = MODEL__TICK__INIT;
    Model__Row row = MODEL__ROW__INIT;
    tick.user = row.key = (char *)(uintptr_t)key;
    if (strcmp(key, "emit") == 0)
        return s4_emit(ctx, &ticks, &tick);
    if (strcmp(key, "publish") == 0)
        return s4_publish(ctx, &journal, &row);
    s4_status status = s4_reply(ctx, &row);
    return status == S4_OK && strcmp(key, "twice") == 0 ? s4_reply(ctx, &row) : status;
}

S4_CLASS(caller, struct caller, S4_FLAT, S4_ANSWERS(caller_answers), .query = caller_query,
         .reply = &model__row__descriptor);
S4_PROTOTYPE(callers, caller, S4_ON(caller, on_tick, ticks, "user"));

static s4_status app_start(s4_ctx *ctx)
{
    static int data = 42;
    Model__Tick tick = MODEL__TICK__INIT;
    tick.user = (char[]){ "start" };
    s4_set_app_data(ctx, &data);
    return start_emits ? s4_emit(ctx, &ticks, &tick) : S4_OK;
}

static s4_status app_stop(s4_ctx *ctx)
{
    Model__Tick tick = MODEL__TICK__INIT;
    tick.user = (char[]){ "stop" };
    at_stop = s4_emit(ctx, &ticks, &tick);
    return S4_OK;
}

S4_APP(calls, S4_STREAMS(&ticks.base), S4_PROTOTYPES(&callers), S4_OUTPUTS(&journal.base),
       S4_REQUESTS(&lookup.base), .start = app_start, .stop = app_stop);

/* ---- the frame ----------------------------------------------------------------------------- */

static struct rig rig;

static void start(uint64_t seed)
{
    struct rig_options options = { .app = &s4_plugin, .slots = SLOTS, .seed = seed };
    n_got = 0;
    rig_start(&rig, &options);
}

static void tick(const char *user, enum kind kind, int64_t n)
{
    char line[96];
    snprintf(line, sizeof line, "{\"user\":\"%s\",\"kind\":%d,\"n\":%lld}\n", user, (int)kind,
             (long long)n);
    rig_feed(&rig, "ticks", line);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void expect_all_different(void)
{
    static uint64_t sorted[ARRAY_LEN(got)];
    memcpy(sorted, got, n_got * sizeof *got);
    qsort(sorted, n_got, sizeof *sorted, by_size);
    for (size_t i = 1; i < n_got; i++)
        ck_assert_uint_ne(sorted[i - 1], sorted[i]);
}

/* More in a millisecond than it has numbers for, from several partitions. */
static void take_ids(void)
{
    static const char *const users[] = { "a", "b", "c", "d", "e", "f" };
    for (int i = 0; i < 3000; i++)
        tick(users[i % 6], ID, 0);
    rig_advance(&rig, 10 * 1000 * 1000);
    tick("a", ID, 0);
}

START_TEST(ids_are_unique_roughly_by_time_and_the_same_on_replay)
{
    static uint64_t first[ARRAY_LEN(got)];
    start(1);
    take_ids();
    ck_assert_uint_eq(n_got, 3001);
    expect_all_different();
    bool several = false;
    for (size_t i = 0; i < n_got; i++) {
        ck_assert_uint_eq(got[i] >> 10 & 4095, from[i]); /* milliseconds, slot, number */
        several |= from[i] != from[0];
    }
    ck_assert(several);
    ck_assert_uint_eq(got[0] >> 22, RIG_START_US / 1000 & ((UINT64_C(1) << 42) - 1));
    for (size_t i = 0; i + 1 < n_got; i++)
        ck_assert_uint_gt(got[n_got - 1], got[i]);
    memcpy(first, got, sizeof got);
    rig_stop(&rig);
    start(1);
    take_ids();
    ck_assert_mem_eq(first, got, 3001 * sizeof *got);
    rig_stop(&rig);
}
END_TEST

static void take_randoms(uint64_t seed)
{
    start(seed);
    for (int i = 0; i < 500; i++)
        tick(i % 2 ? "a" : "b", RANDOM, 0);
    rig_stop(&rig);
    ck_assert_uint_eq(n_got, 500);
    expect_all_different();
}

START_TEST(random_numbers_are_the_seeds)
{
    static uint64_t first[500];
    take_randoms(7);
    memcpy(first, got, sizeof first);
    take_randoms(7);
    ck_assert_mem_eq(first, got, sizeof first);
    take_randoms(8);
    ck_assert_mem_ne(first, got, sizeof first);
}
END_TEST

START_TEST(a_partition_knows_its_place)
{
    start(1);
    tick("a", PLACE, 0);
    ck_assert_uint_eq(got[0], SLOTS);
    ck_assert_uint_lt(from[0], SLOTS);
    rig_stop(&rig);
}
END_TEST

START_TEST(a_cause_is_cut)
{
    static char causes[S4_CAUSE_MAX + 1], text[S4_CAUSE_MAX + 32];
    memset(causes, 'c', S4_CAUSE_MAX);
    snprintf(text, sizeof text, "\"cause\":\"%s\"", causes);
    start(1);
    tick("a", CAUSE, S4_CAUSE_MAX - 1);
    ck_assert(!rig_has(&rig, "dead_letters", text));
    tick("b", CAUSE, S4_CAUSE_MAX);
    ck_assert(rig_has(&rig, "dead_letters", text));
    tick("b", CAUSE, S4_CAUSE_MAX + 1);
    tick("u", CAUSE, S4_CAUSE_MAX - 1); /* and a character of two bytes */
    char *rows = rig_rows(&rig, "dead_letters");
    size_t longest = 0;
    for (const char *at = rows; (at = strstr(at, "\"cause\":\"")); at++)
        longest = size_max(longest, strspn(at + 9, "c"));
    ck_assert_uint_eq(longest, S4_CAUSE_MAX);
    ck_assert_ptr_null(strstr(rows, "\xc3")); /* it is not cut in two */
    mem_free(rows);
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 4);
    rig_stop(&rig);
}
END_TEST

START_TEST(a_flat_instance_has_no_memory)
{
    start(1);
    tick("a", ALLOC, 0);
    ck_assert_uint_eq(got[0], 1);
    rig_stop(&rig);
}
END_TEST

START_TEST(an_answer_is_given_once)
{
    start(1);
    tick("a", ASK_TWICE, 0);
    ck_assert_uint_eq(n_got, 1);
    ck_assert_uint_eq(got[0], 42);
    ck_assert_int_eq(twice, S4_STATE);
    rig_stop(&rig);
}
END_TEST

static s4_status query(const char *key)
{
    s4_status status = S4_OK;
    tick(key, PLACE, 0);
    mem_free(rig_ask(&rig, "callers", key, &status));
    return status;
}

START_TEST(a_query_replies_once_and_does_nothing_else)
{
    start(1);
    ck_assert_int_eq(query("once"), S4_OK);
    ck_assert_int_eq(query("twice"), S4_STATE);
    ck_assert_int_eq(query("emit"), S4_STATE);
    ck_assert_int_eq(query("publish"), S4_STATE);
    ck_assert_uint_eq(rig_count(&rig, "journal"), 0);
    ck_assert_uint_eq(n_got, 4);
    rig_stop(&rig);
}
END_TEST

START_TEST(start_and_stop_cannot_emit)
{
    struct diag diag = { 0 };
    uint64_t dropped;
    at_stop = S4_OK;
    start(1);
    ck_assert_int_eq(engine_undeploy(rig.engine, "calls", &dropped, &diag), S4_OK);
    ck_assert_int_eq(at_stop, S4_STATE);
    start_emits = true;
    ck_assert_int_ne(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag), S4_OK);
    ck_assert_str_eq(diag.text,
                     "app \"calls\": its start callback failed: s4_emit is not allowed in this "
                     "callback");
    start_emits = false;
    ck_assert_int_eq(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag), S4_OK);
    rig_stop(&rig);
    ck_assert_uint_eq(n_got, 0);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("calls");
    suite_add(suite, "ids", ids_are_unique_roughly_by_time_and_the_same_on_replay, 60);
    suite_add(suite, "random", random_numbers_are_the_seeds, 20);
    suite_add(suite, "place", a_partition_knows_its_place, 10);
    suite_add(suite, "cause", a_cause_is_cut, 10);
    suite_add(suite, "alloc", a_flat_instance_has_no_memory, 10);
    suite_add(suite, "answer", an_answer_is_given_once, 10);
    suite_add(suite, "query", a_query_replies_once_and_does_nothing_else, 10);
    suite_add(suite, "start", start_and_stop_cannot_emit, 10);
    return suite;
}
