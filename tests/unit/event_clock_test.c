/* Apps with an event clock, by timelines made by hand: what is due when an event moves the time
 * comes before that event, in the order of the due times, and each sees its own. */
#include "tests/support/suite.h"

#include <s4/s4.h>

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/protos/model.pb-c.h"
#include "tests/support/rig.h"

#define CATCH_UP 4096 /* HOST_CATCH_UP_MAX */

/* ---- an app that notes what it sees when --------------------------------------------------- */

S4_STREAM(ticks, Model__Tick, model__tick);
S4_STREAM(echoes, Model__Tick, model__tick, .internal = true);
S4_LOG(journal, Model__Row, model__row);
S4_TABLE(counts, Model__Row, model__row, "key");

enum kind {
    KIND_NOTE = 0,
    KIND_TIMER = 1, /* sets the timer of the number n at n */
    KIND_EVERY = 2, /* sets timer 0 to come every n */
    KIND_ECHO = 3,  /* sets timer 1 at n, which emits */
    KIND_WAIT = 4,  /* asks and waits */
};

struct clerk {
    int64_t every;
    int64_t n;
    bool echo;
};

static s4_status note(s4_ctx *ctx, const char *what)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
    row.has_n = 1;
    row.n = (int64_t)s4_time(ctx);
    row.note = (char *)(uintptr_t)what;
    return s4_publish(ctx, &journal, &row);
}

static s4_status look_up(s4_job *job, const Model__Question *question)
{
    Model__Answer answer = MODEL__ANSWER__INIT;
    return s4_answer(job, &answer);
}
S4_REQUEST(lookup, Model__Question, model__question, Model__Answer, model__answer, look_up);

static s4_status on_tick(s4_ctx *ctx, struct clerk *self, const Model__Tick *tick)
{
    s4_status status = note(ctx, "event");
    self->n++;
    switch (tick->kind) {
    case KIND_TIMER:
        return s4_timer_set(ctx, (uint64_t)tick->n, (uint64_t)tick->n);
    case KIND_EVERY:
        self->every = tick->n;
        return s4_timer_set(ctx, 0, s4_time(ctx) + (uint64_t)tick->n);
    case KIND_ECHO:
        self->echo = true;
        return s4_timer_set(ctx, 1, (uint64_t)tick->n);
    case KIND_WAIT: {
        Model__Question question = MODEL__QUESTION__INIT;
        question.key = tick->user;
        status = s4_ask(ctx, &lookup, &question);
        return status == S4_OK ? s4_wait(ctx) : status;
    }
    default:
        return status;
    }
}

static s4_status on_answer(s4_ctx *ctx, struct clerk *self, s4_status result,
                           const Model__Answer *answer)
{
    return note(ctx, "answer");
}
static const s4_answer_handler clerk_answers[] = { S4_ANSWER(struct clerk, on_answer, lookup) };

static s4_status clerk_timer(s4_ctx *ctx, struct clerk *self, uint64_t id)
{
    if (id == 0) {
        self->n++;
        Model__Row row = MODEL__ROW__INIT;
        row.key = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
        row.has_n = 1;
        row.n = self->n;
        s4_status status = s4_publish(ctx, &counts, &row);
        return status != S4_OK ? status
                               : s4_timer_set(ctx, 0, s4_time(ctx) + (uint64_t)self->every);
    }
    if (self->echo) {
        Model__Tick echo = MODEL__TICK__INIT;
        echo.user = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
        return s4_emit(ctx, &echoes, &echo);
    }
    return note(ctx, "timer");
}

static s4_status clerk_output(s4_ctx *ctx, struct clerk *self)
{
    return note(ctx, "output");
}

static s4_status clerk_trigger(s4_ctx *ctx, struct clerk *self)
{
    return note(ctx, "gap");
}

static s4_status clerk_remove(s4_ctx *ctx, struct clerk *self)
{
    return note(ctx, "removed");
}

S4_CLASS(clerk, struct clerk, S4_FLAT, S4_ANSWERS(clerk_answers), .timer = clerk_timer,
         .output = clerk_output, .trigger = clerk_trigger, .remove = clerk_remove);
S4_PROTOTYPE(clerks, clerk, S4_ON(clerk, on_tick, ticks, "user"));

static s4_status on_echo(s4_ctx *ctx, struct clerk *self, const Model__Tick *tick)
{
    return note(ctx, "echo");
}
S4_CLASS(listener, struct clerk, S4_FLAT);
S4_PROTOTYPE(listeners, listener, S4_ON(listener, on_echo, echoes, "user"));

S4_APP(clocked, S4_STREAMS(&ticks.base, &echoes.base), S4_PROTOTYPES(&clerks, &listeners),
       S4_OUTPUTS(&journal.base, &counts.base), S4_REQUESTS(&lookup.base));

/* ---- timelines ----------------------------------------------------------------------------- */

static struct rig rig;

#define MANIFEST "app: clocked\nversion: 1.0.0\nclock: {event: at, unit: us}\n"

static void start(const char *manifest)
{
    struct rig_options options = { .app = &s4_plugin, .manifest = manifest, .slots = 1 };
    rig_start(&rig, &options);
}

/* All notes so far, in the order in which they were made: "a event 100". */
static void check_journal(const char *expected)
{
    struct buffer told;
    buffer_init(&told);
    char *rows = rig_rows(&rig, "journal");
    for (const char *at = rows; *at;) {
        char key[16];
        char what[16];
        long long n;
        int len = 0;
        ck_assert_int_eq(sscanf(at, "{\"key\":\"%15[^\"]\",\"n\":%lld,\"note\":\"%15[^\"]\"}\n%n",
                                key, &n, what, &len),
                         3);
        ck_assert_int_eq(buffer_printf(&told, "%s %s %lld\n", key, what, n), S4_OK);
        at += len;
    }
    ck_assert_str_eq(buffer_text(&told), expected);
    mem_free(rows);
    buffer_fini(&told);
}

#define EVENT(user, at) "{\"user\":\"" user "\",\"at\":" #at "}\n"
#define EVENT_OF(user, at, k, n_) \
    "{\"user\":\"" user "\",\"at\":" #at ",\"kind\":" #k ",\"n\":" #n_ "}\n"

/* All in one run. */
START_TEST(timers_come_before_the_event_that_passes_them)
{
    start(MANIFEST);
    rig_feed(&rig, "ticks",
             EVENT_OF("a", 100, 1, 150) EVENT_OF("b", 110, 1, 130) EVENT_OF("a", 120, 1, 300)
                 EVENT("c", 129) EVENT("c", 130) EVENT("b", 125) EVENT("c", 200)
                     EVENT_OF("c", 200, 1, 170) EVENT("b", 400));
    check_journal("a event 100\nb event 110\na event 120\nc event 129\n"
                  "b timer 130\nc event 130\nb event 130\n" /* the time does not go back */
                  "a timer 150\nc event 200\nc event 200\n"
                  "c timer 200\n" /* set for a time that was over */
                  "a timer 300\nb event 400\n");
    rig_stop(&rig);
}
END_TEST

/* What is left at the end of the input sees the end of time (UINT64_MAX - 1). */
START_TEST(the_end_of_input_fires_what_is_left)
{
    start(MANIFEST);
    rig_feed(&rig, "ticks", EVENT_OF("a", 100, 1, 150) EVENT_OF("b", 100, 2, 10));
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK); /* also of a timer that comes for ever */
    check_journal("a event 100\nb event 100\na timer -2\na output 100\nb output 100\n");
    ck_assert(rig_has(&rig, "counts", "{\"key\":\"b\",\"n\":2}"));
    rig_stop(&rig);
}
END_TEST

START_TEST(outputs_gaps_and_ttl_by_the_events_times)
{
    start(MANIFEST "prototypes:\n  clerks:\n    output: {every: 1ms, aligned: true}\n"
                   "    trigger: {gap: 1500us}\n    ttl: 5ms\n");
    rig_feed(&rig, "ticks",
             EVENT("a", 1100) EVENT("b", 2700) EVENT("a", 2800) EVENT("b", 2900)
                 EVENT_OF("c", 3500, 1, 3800) EVENT("c", 8500));
    check_journal("a event 1100\n"
                  "a output 2000\nb event 2700\n"
                  "a event 2800\na gap 2800\nb event 2900\n"
                  "a output 3000\nb output 3000\nc event 3500\n"
                  "c timer 3800\n"
                  "c output 4000\n"
                  "a removed 7000\nb removed 7000\n" /* by whole milliseconds */
                  "c removed 8000\nc event 8500\n");
    rig_stop(&rig);
}
END_TEST

/* What a timer emits has its time. */
START_TEST(what_a_timer_emits_has_its_time)
{
    start(MANIFEST);
    rig_feed(&rig, "ticks", EVENT_OF("a", 100, 3, 150) EVENT("b", 120));
    rig_feed(&rig, "ticks", EVENT("b", 150));
    check_journal("a event 100\nb event 120\nb event 150\na echo 150\n");
    rig_stop(&rig);
}
END_TEST

/* A timer of an instance that waits comes after what it waits for, and sees the time then. */
START_TEST(timers_of_who_waits_come_later)
{
    start(MANIFEST);
    rig.step = NULL;
    rig_feed(&rig, "ticks",
             EVENT_OF("a", 100, 1, 150) EVENT_OF("a", 110, 4, 0) EVENT("b", 160) EVENT("a", 170));
    check_journal("a event 100\na event 110\nb event 160\n"
                  "a answer 170\na timer 170\na event 170\n");
    rig_stop(&rig);
}
END_TEST

/* A timer that is set again and again is caught up with, but not for ever. */
START_TEST(a_leap_is_caught_up_with_to_a_limit)
{
    static const struct {
        unsigned long long leap;
        unsigned long long fired;
    } leaps[] = { { CATCH_UP, CATCH_UP },
                  { CATCH_UP + 1, CATCH_UP + 1 },
                  { CATCH_UP + 2, CATCH_UP + 2 },
                  { CATCH_UP + 3, CATCH_UP + 2 },
                  { 1ull << 50, CATCH_UP + 2 } };
    for (size_t i = 0; i < ARRAY_LEN(leaps); i++) {
        char line[96];
        char row[64];
        start(MANIFEST);
        rig_feed(&rig, "ticks", EVENT_OF("a", 1000, 2, 1));
        snprintf(line, sizeof line, "{\"user\":\"b\",\"at\":%llu}\n", 1000 + leaps[i].leap);
        rig_feed(&rig, "ticks", line);
        snprintf(row, sizeof row, "{\"key\":\"a\",\"n\":%llu}", 1 + leaps[i].fired);
        ck_assert(rig_has(&rig, "counts", row));
        rig_stop(&rig);
    }
}
END_TEST

/* ---- arrangements -------------------------------------------------------------------------- */

#define USERS  40u
#define EVENTS 4000u

/* Events in the order of their times, the last one far behind all timers. */
static void make_events(struct buffer *lines)
{
    struct rng rng;
    uint64_t at = 1000;
    rng_init(&rng, 20101128);
    for (uint32_t i = 0; i < EVENTS; i++) {
        unsigned user = (unsigned)rng_below(&rng, USERS);
        at += rng_below(&rng, 20);
        unsigned long long due = at + rng_below(&rng, 300);
        ck_assert_int_eq(buffer_printf(lines,
                                       "{\"user\":\"u%u\",\"at\":%llu,\"kind\":1,\"n\":%llu}\n",
                                       user, (unsigned long long)at, due),
                         S4_OK);
    }
    for (uint32_t user = 0; user < 50 * USERS; user++) /* every partition hears of the end */
        ck_assert_int_eq(buffer_printf(lines, "{\"user\":\"end%u\",\"at\":%llu}\n", user,
                                       (unsigned long long)at + 1000),
                         S4_OK);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The timers' notes, sorted: when a partition's time passes them depends on its other keys, what
 * they see does not. */
static char *timers_of(const struct rig_options *options, const char *lines)
{
    static char *all[EVENTS + 1];
    struct buffer sorted;
    size_t n = 0;
    rig_start(&rig, options);
    rig_feed(&rig, "ticks", lines);
    ck_assert_int_eq(rig_drain(&rig, false, NULL), S4_OK);
    char *rows = rig_rows(&rig, "journal");
    for (char *save, *line = strtok_r(rows, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (strstr(line, "timer"))
            all[n++] = line;
    ck_assert_uint_gt(n, EVENTS / 2);
    qsort(all, n, sizeof all[0], compare_lines);
    buffer_init(&sorted);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(buffer_printf(&sorted, "%s\n", all[i]), S4_OK);
    mem_free(rows);
    rig_stop(&rig);
    return buffer_text(&sorted) ? sorted.data : NULL;
}

START_TEST(timers_see_the_same_times_in_every_arrangement)
{
    struct rig_options options = { .app = &s4_plugin, .manifest = MANIFEST, .slots = 1 };
    struct buffer lines;
    buffer_init(&lines);
    make_events(&lines);
    ck_assert_ptr_nonnull(buffer_text(&lines));
    char *expected = timers_of(&options, lines.data);
    static const size_t blocks[] = { 1 * KIB, 4 * KIB, 64 * KIB };
    for (uint32_t workers = 1; workers <= 4; workers *= 2) {
        for (size_t b = 0; b < ARRAY_LEN(blocks); b++) {
            options.workers = workers;
            options.block_size = blocks[b];
            options.slots = 16;
            char *got = timers_of(&options, lines.data);
            ck_assert_str_eq(got, expected);
            mem_free(got);
        }
    }
    mem_free(expected);
    buffer_fini(&lines);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("event_clock");
    suite_add(suite, "timers", timers_come_before_the_event_that_passes_them, 20);
    suite_add(suite, "end", the_end_of_input_fires_what_is_left, 20);
    suite_add(suite, "periods", outputs_gaps_and_ttl_by_the_events_times, 20);
    suite_add(suite, "emits", what_a_timer_emits_has_its_time, 20);
    suite_add(suite, "waits", timers_of_who_waits_come_later, 20);
    suite_add(suite, "leap", a_leap_is_caught_up_with_to_a_limit, 60);
    suite_add(suite, "arrangements", timers_see_the_same_times_in_every_arrangement, 60);
    return suite;
}
