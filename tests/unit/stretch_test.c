/* The hot loop against the general way: the same random events go through an app whose prototypes
 * are plain, and through the same app with a trigger that never comes, so that nothing is. Both
 * must make the same calls in the same order, and count the same. Besides, what each key gets is
 * numbered by whoever emits it: nothing is lost, doubled or overtakes. */
#include "tests/support/suite.h"

#include <s4/s4.h>
#include <stdlib.h>

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/protos/model.pb-c.h"
#include "tests/support/rig.h"

#define SPOUTS     8u
#define FRESH      4000u /* keys that come rarely: tables grow */
#define OFTEN      40u   /* keys that come often */
#define KEYS       (OFTEN + FRESH)
#define KEY_TEXT   48u
#define TWINS      200000u /* texts among which two have the same tag */
#define EMITS      64u
#define CALLS_KEPT (1u << 20)

/* ---- what happens -------------------------------------------------------------------------- */

static char keys[KEYS][KEY_TEXT];
static uint32_t given[SPOUTS][KEYS]; /* events so far, by whom and for whom */
static uint32_t taken[SPOUTS][KEYS];
static uint32_t passed[OFTEN][OFTEN]; /* what walkers emit to sinks */
static uint32_t arrived[OFTEN][OFTEN];
static uint64_t calls[2][CALLS_KEPT]; /* a digest of each call and all before it, by way */
static size_t n_calls[2];
static uint32_t way;
static _Atomic uint64_t n_taken;
static _Atomic uint64_t n_outputs;
static bool threads; /* real ones: calls have no order, but numbers do */

static void note(uint64_t what, uint64_t who, uint64_t value)
{
    if (threads)
        return;
    size_t n = n_calls[way];
    ck_assert_uint_lt(n, CALLS_KEPT);
    uint64_t digest = n ? calls[way][n - 1] : 0;
    digest = (digest ^ what) * 0x9e3779b97f4a7c15u;
    digest = ((digest >> 29) ^ digest ^ who) * 0xbf58476d1ce4e5b9u;
    calls[way][n] = ((digest >> 31) ^ digest ^ value) * 0x94d049bb133111ebu;
    n_calls[way]++;
}

/* An event's number: who, for whom, how many before it, and what it wants. */
static int64_t number_of(uint32_t from, uint32_t key, uint32_t seq, uint32_t act)
{
    return (int64_t)((uint64_t)from << 56 | (uint64_t)key << 40 | (uint64_t)seq << 8 | act);
}

static const char *note_of(uint64_t seq)
{
    static const char *const notes[] = { NULL,
                                         "",
                                         "short",
                                         "exactly 15 byte",
                                         "sixteen bytes it",
                                         "one that is longer than any register" };
    return notes[seq % 6];
}

/* There are gaps where an instance was removed together with its mail, or a key was parked. */
static void saw(uint32_t *last, uint32_t seq)
{
    SUITE_SAME(seq > *last, true);
    *last = seq;
    n_taken++;
}

/* ---- the app ------------------------------------------------------------------------------- */

S4_STREAM(starts, Model__Question, model__question);
S4_STREAM(rows, Model__Row, model__row, .internal = true);
S4_STREAM(quests, Model__Question, model__question, .internal = true);
S4_STREAM(ticks, Model__Tick, model__tick, .internal = true);
S4_STREAM(smalls, Model__Answer, model__answer, .internal = true);
S4_STREAM(relayed, Model__Row, model__row, .internal = true);
S4_TABLE(totals, Model__Row, model__row, "key");

enum act {
    ACT_COUNT,
    ACT_REMOVE,
    ACT_FAIL,
    ACT_EMIT_FAIL,
    ACT_EMIT,
    ACT_EMIT_REMOVE,
    ACT_EMIT_MAX,
    ACT_EMIT_MORE,
    ACT_WAIT,
    ACT_ASK,
    ACT_TIMER,
    ACT_CANCEL,
    ACT_PUBLISH,
    ACTS,
};

struct walker {
    uint64_t events;
    uint64_t digest;
};

static s4_status look_up(s4_job *job, const Model__Question *question)
{
    Model__Answer answer = MODEL__ANSWER__INIT;
    answer.n = question->n;
    return question->n % 5 ? s4_answer(job, &answer) : S4_NOT_FOUND;
}
S4_REQUEST(lookup, Model__Question, model__question, Model__Answer, model__answer, look_up);

static s4_status emit_event(s4_ctx *ctx, const s4_stream *stream, uint32_t key, int64_t n)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = keys[key];
    row.has_n = 1;
    row.n = n;
    row.note = (char *)(uintptr_t)note_of((uint64_t)n >> 8);
    return ctx->host->emit(ctx, stream, &row.base);
}

/* n events to sinks, of one key or of many. */
static s4_status relay(s4_ctx *ctx, uint32_t from, uint64_t n, bool many)
{
    from = from < OFTEN ? from : OFTEN;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t to = many ? (uint32_t)((from + i) % OFTEN) : from % OFTEN;
        uint32_t seq = from < OFTEN ? ++passed[from][to] : 0;
        s4_status status = emit_event(ctx, &relayed.base, to, number_of(from, to, seq, 0));
        if (status != S4_OK)
            return status;
    }
    return S4_OK;
}

/* The same in a call that is taken back. */
static void relay_in_vain(s4_ctx *ctx, uint32_t from, uint64_t n, bool many)
{
    uint32_t before[OFTEN];
    bool numbered = from < OFTEN;
    if (numbered)
        memcpy(before, passed[from], sizeof before);
    s4_status status = relay(ctx, from, n, many);
    SUITE_SAME(status, n > EMITS ? S4_FULL : S4_OK);
    if (numbered)
        memcpy(passed[from], before, sizeof before);
}

static s4_status ask(s4_ctx *ctx, uint64_t n, bool wait)
{
    Model__Question question = MODEL__QUESTION__INIT;
    question.key = keys[0];
    question.has_n = 1;
    question.n = (int64_t)n;
    s4_status status = s4_ask(ctx, &lookup, &question);
    return status == S4_OK && wait ? s4_wait(ctx) : status;
}

static s4_status publish(s4_ctx *ctx, uint32_t key, uint64_t n)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = keys[key];
    row.has_n = 1;
    row.n = (int64_t)n;
    return s4_publish(ctx, &totals, &row);
}

static s4_status act_on(s4_ctx *ctx, struct walker *self, uint32_t key, uint32_t seq, uint32_t act)
{
    switch (act) {
    case ACT_REMOVE:
        return S4_REMOVE;
    case ACT_FAIL:
        return s4_fail(ctx, S4_FAILED, "told to");
    case ACT_EMIT_FAIL:
        relay_in_vain(ctx, key, 1 + seq % 7, seq & 1);
        (void)!publish(ctx, key, UINT32_MAX);
        return S4_FAILED;
    case ACT_EMIT:
        return relay(ctx, key, 1 + seq % 3, seq & 1);
    case ACT_EMIT_REMOVE:
        return relay(ctx, key, 1 + seq % 3, true) == S4_OK ? S4_REMOVE : S4_FAILED;
    case ACT_EMIT_MAX:
        return relay(ctx, key, EMITS, seq & 1);
    case ACT_EMIT_MORE:
        relay_in_vain(ctx, key, EMITS + 1, seq & 1);
        return S4_OK; /* the failure is not overlooked */
    case ACT_WAIT:
    case ACT_ASK:
        return ask(ctx, seq, act == ACT_WAIT);
    case ACT_TIMER:
        return s4_timer_set(ctx, seq % 3, s4_time(ctx) + seq % 1000);
    case ACT_CANCEL:
        return (void)s4_timer_cancel(ctx, seq % 3), S4_OK;
    case ACT_PUBLISH:
        return publish(ctx, key, self->events);
    default:
        return S4_OK;
    }
}

static s4_status walk(s4_ctx *ctx, struct walker *self, const char *text, uint64_t n)
{
    uint32_t from = (uint32_t)(n >> 56);
    uint32_t key = (uint32_t)(n >> 40) & 0xffff;
    uint32_t seq = (uint32_t)(n >> 8);
    size_t len;
    const char *own = s4_key(ctx, 0, &len);
    SUITE_SAME(strcmp(text, keys[key]), 0);
    SUITE_SAME(len == strlen(text) && memcmp(own, text, len) == 0, true);
    saw(&taken[from][key], seq);
    self->events++;
    self->digest = (self->digest + n) * 31;
    note(1, n, self->digest);
    return act_on(ctx, self, key, seq, n & 0xff);
}

static s4_status on_row(s4_ctx *ctx, struct walker *self, const Model__Row *row)
{
    const char *expected = note_of((uint64_t)row->n >> 8);
    SUITE_SAME(!row->note, !expected);
    SUITE_SAME(expected ? strcmp(row->note, expected) : 0, 0);
    return walk(ctx, self, row->key, (uint64_t)row->n);
}

static s4_status on_quest(s4_ctx *ctx, struct walker *self, const Model__Question *quest)
{
    return walk(ctx, self, quest->key, (uint64_t)quest->n);
}

static s4_status on_tick(s4_ctx *ctx, struct walker *self, const Model__Tick *tick)
{
    SUITE_SAME(tick->n_tags, 1);
    SUITE_SAME(strcmp(tick->tags[0], tick->user), 0);
    return walk(ctx, self, tick->user, (uint64_t)tick->n);
}

static s4_status on_answer(s4_ctx *ctx, struct walker *self, s4_status result,
                           const Model__Answer *answer)
{
    note(2, (uint64_t)result, answer ? (uint64_t)answer->n : self->events);
    return S4_OK;
}
static const s4_answer_handler walker_answers[] = { S4_ANSWER(struct walker, on_answer, lookup) };

/* What it emits has no number. */
static s4_status walker_remove(s4_ctx *ctx, struct walker *self)
{
    note(3, self->events, self->digest);
    return relay(ctx, OFTEN, 1, false);
}

static s4_status walker_timer(s4_ctx *ctx, struct walker *self, uint64_t id)
{
    note(4, id, self->digest);
    return S4_OK;
}

static s4_status walker_output(s4_ctx *ctx, struct walker *self)
{
    n_outputs++;
    note(5, self->events, self->digest);
    return S4_OK;
}

static s4_status never(s4_ctx *ctx, void *self)
{
    ck_abort_msg("the trigger came");
    return S4_OK;
}

static s4_status walker_trigger(s4_ctx *ctx, struct walker *self)
{
    return never(ctx, self);
}

S4_CLASS(walker, struct walker, S4_FLAT, S4_ANSWERS(walker_answers), .remove = walker_remove,
         .timer = walker_timer, .output = walker_output, .trigger = walker_trigger);
S4_PROTOTYPE(walkers, walker, S4_ON(walker, on_row, rows, "key"),
             S4_ON(walker, on_quest, quests, "key"), S4_ON(walker, on_tick, ticks, "user"));

static s4_status on_relayed(s4_ctx *ctx, struct walker *self, const Model__Row *row)
{
    uint64_t n = (uint64_t)row->n;
    uint32_t from = (uint32_t)(n >> 56);
    uint32_t to = (uint32_t)(n >> 40) & 0xffff;
    if (from < OFTEN)
        SUITE_SAME((uint32_t)(n >> 8), ++arrived[from][to]);
    note(6, n, ++self->events);
    return S4_OK;
}
S4_CLASS(sink, struct walker, S4_FLAT, .trigger = walker_trigger);
S4_PROTOTYPE(sinks, sink, S4_ON(sink, on_relayed, relayed, "key"));

static s4_status on_small(s4_ctx *ctx, struct walker *self, const Model__Answer *small)
{
    SUITE_SAME(s4_key_integer(ctx, 0), small->n);
    note(7, (uint64_t)small->n, ++self->events);
    return S4_OK;
}
S4_CLASS(mite, struct walker, S4_FLAT, .trigger = walker_trigger);
S4_PROTOTYPE(mites, mite, S4_ON(mite, on_small, smalls, "n"));

/* ---- what makes the events ----------------------------------------------------------------- */

static uint32_t plain; /* of so many events one does more than count */

static uint32_t draw_act(struct rng *rng)
{
    if (rng_below(rng, plain))
        return ACT_COUNT;
    uint32_t act = (uint32_t)rng_below(rng, ACTS);
    if (threads && act == ACT_TIMER)
        return ACT_COUNT; /* one that comes while its instance waits is mail, too */
    bool large = act == ACT_EMIT_MAX || act == ACT_EMIT_MORE;
    return large && rng_below(rng, 16) ? ACT_EMIT : act;
}

static s4_status spout_one(s4_ctx *ctx, struct rng *rng, uint32_t from, uint32_t key)
{
    int64_t n = number_of(from, key, ++given[from][key], draw_act(rng));
    Model__Question quest = MODEL__QUESTION__INIT;
    Model__Tick tick = MODEL__TICK__INIT;
    Model__Answer small = MODEL__ANSWER__INIT;
    switch (rng_below(rng, 6)) {
    case 0:
        quest.key = keys[key];
        quest.has_n = 1;
        quest.n = n;
        return s4_emit(ctx, &quests, &quest);
    case 1:
        tick.user = keys[key];
        tick.has_n = 1;
        tick.n = n;
        tick.tags = &tick.user;
        tick.n_tags = 1;
        return s4_emit(ctx, &ticks, &tick);
    case 2:
        given[from][key]--;
        small.n = key;
        return s4_emit(ctx, &smalls, &small);
    default:
        return emit_event(ctx, &rows.base, key, n);
    }
}

/* What the next burst is, if it is not drawn. */
struct scripted {
    uint32_t key;
    enum act act;
};
static const struct scripted *script;
static size_t n_script;

static s4_status play(s4_ctx *ctx)
{
    for (size_t i = 0; i < n_script; i++) {
        uint32_t key = script[i].key;
        int64_t n = number_of(0, key, ++given[0][key], script[i].act);
        s4_status status = emit_event(ctx, &rows.base, key, n);
        if (status != S4_OK)
            return status;
    }
    return S4_OK;
}

/* A burst: mostly of often used keys, now and then one key many times in a row. */
static s4_status on_start(s4_ctx *ctx, struct walker *self, const Model__Question *start)
{
    static _Thread_local uint32_t before[KEYS];
    struct rng rng;
    if (script)
        return play(ctx);
    rng_init(&rng, (uint64_t)start->n);
    uint32_t from = (uint32_t)start->key[0] - 'a';
    bool fails = rng_below(&rng, 10) == 0;
    uint64_t n = rng_below(&rng, 4) ? rng_below(&rng, EMITS) : EMITS;
    uint32_t key = 0;
    uint64_t run = 0;
    memcpy(before, given[from], sizeof before);
    for (uint64_t i = 0; i < n; i++) {
        if (run == 0) {
            key = (uint32_t)(rng_below(&rng, 3) ? rng_below(&rng, OFTEN) : rng_below(&rng, KEYS));
            run = rng_below(&rng, 20) ? 1 : 1 + rng_below(&rng, 40);
        }
        run--;
        SUITE_SAME(spout_one(ctx, &rng, from, key), S4_OK);
    }
    if (fails)
        memcpy(given[from], before, sizeof before);
    return fails ? s4_fail(ctx, S4_FAILED, "in vain") : S4_OK;
}
S4_CLASS(spout, struct walker, S4_FLAT, .trigger = walker_trigger);
S4_PROTOTYPE(spouts, spout, S4_ON(spout, on_start, starts, "key"));

S4_APP(stretches,
       S4_STREAMS(&starts.base, &rows.base, &quests.base, &ticks.base, &smalls.base, &relayed.base),
       S4_PROTOTYPES(&spouts, &walkers, &sinks, &mites), S4_OUTPUTS(&totals.base),
       S4_REQUESTS(&lookup.base));

/* ---- keys ---------------------------------------------------------------------------------- */

struct twin {
    uint32_t tag;
    uint32_t number;
};

static int by_tag(const void *a, const void *b)
{
    uint32_t x = ((const struct twin *)a)->tag;
    uint32_t y = ((const struct twin *)b)->tag;
    return x < y ? -1 : x > y;
}

static __attribute__((noinline)) uint32_t tag_of(const char *text)
{
    return (uint32_t)hash_bytes(text, strlen(text));
}

/* Pairs of keys with the same tag, from `at` on; answers behind them. */
static uint32_t make_twins(uint32_t at, uint32_t end)
{
    struct twin *twins = mem_calloc(TWINS, sizeof *twins);
    ck_assert_ptr_nonnull(twins);
    for (uint32_t i = 0; i < TWINS; i++) {
        char text[KEY_TEXT];
        snprintf(text, sizeof text, "t%u", i);
        twins[i] = (struct twin){ tag_of(text), i };
    }
    qsort(twins, TWINS, sizeof *twins, by_tag);
    for (uint32_t i = 1; i < TWINS && at + 1 < end; i++) {
        if (twins[i].tag != twins[i - 1].tag)
            continue;
        snprintf(keys[at++], KEY_TEXT, "t%u", twins[i - 1].number);
        snprintf(keys[at++], KEY_TEXT, "t%u", twins[i].number);
    }
    mem_free(twins);
    return at;
}

static void make_keys(void)
{
    static const uint32_t lengths[] = { 0, 1, 2, 7, 8, 9, 14, 15, 16, 17, 23, 24, 40 };
    uint32_t n = 0;
    for (; n < ARRAY_LEN(lengths); n++)
        memset(keys[n], 'a' + (int)n, lengths[n]);
    uint32_t twins = make_twins(n, OFTEN);
    ck_assert_uint_gt(twins, n);
    for (n = twins; n < KEYS; n++)
        snprintf(keys[n], KEY_TEXT, n % 9 ? "k%u" : "a key that is no short one %u", n);
}

/* ---- both ways ----------------------------------------------------------------------------- */

struct setting {
    uint32_t workers, slots, parked_after;
    size_t block_size, memory_soft, memory_hard;
    const char *mailbox;
    uint32_t plain;
};

struct result {
    struct engine_counters counters;
    struct engine_prototype_status prototypes[4];
    char *rows;
    char *letters;
};

static void start(struct rig *rig, const struct setting *setting, uint64_t seed, uint32_t budget)
{
    static char manifest[1024];
    char policy[128];
    snprintf(policy, sizeof policy, way ? "    trigger: {events: 1000000000}\n" : "");
    if (budget)
        snprintf(policy, sizeof policy, "    budget: %u\n", budget);
    snprintf(manifest, sizeof manifest,
             "app: stretches\nversion: 1.0.0\nemits_max: %u\nparked_after: %u\nprototypes:\n"
             "  walkers:\n    mailbox: %s\n%s%s%s%s%s",
             EMITS, setting->parked_after, setting->mailbox, policy, *policy ? "  sinks:\n" : "",
             policy, *policy ? "  mites:\n" : "", policy);
    struct rig_options options = {
        .app = &s4_plugin,
        .manifest = manifest,
        .workers = setting->workers,
        .slots = setting->slots,
        .block_size = setting->block_size,
        .memory_soft = setting->memory_soft,
        .memory_hard = setting->memory_hard,
        .seed = seed,
        .threads = threads,
    };
    rig_start(rig, &options);
    memset(given, 0, sizeof given);
    memset(taken, 0, sizeof taken);
    memset(passed, 0, sizeof passed);
    memset(arrived, 0, sizeof arrived);
    n_calls[way] = 0;
    n_taken = 0;
    plain = setting->plain;
}

static void feed(struct rig *rig, struct rng *rng, uint32_t n)
{
    struct buffer lines;
    buffer_init(&lines);
    for (uint32_t i = 0; i < n; i++)
        ck_assert_int_eq(buffer_printf(&lines, "{\"key\":\"%c\",\"n\":%u}\n",
                                       'a' + (int)rng_below(rng, SPOUTS),
                                       (uint32_t)rng_next(rng) | 1),
                         S4_OK);
    rig_feed(rig, "starts", buffer_text(&lines));
    buffer_fini(&lines);
}

static void check_numbers(uint64_t lost, bool parks)
{
    uint64_t n_given = 0;
    for (uint32_t from = 0; from < SPOUTS; from++)
        for (uint32_t key = 0; key < KEYS; key++)
            n_given += given[from][key];
    bool fits = parks ? n_given >= n_taken + lost : n_given == n_taken + lost;
    ck_assert_msg(fits, "given %llu, taken %llu, lost %llu", (unsigned long long)n_given,
                  (unsigned long long)n_taken, (unsigned long long)lost);
    for (uint32_t from = 0; from < OFTEN; from++)
        for (uint32_t key = 0; key < OFTEN; key++)
            SUITE_SAME(arrived[from][key], passed[from][key]);
}

static void run(const struct setting *setting, uint64_t seed, uint32_t budget, uint32_t n,
                struct result *result)
{
    static struct rig rig;
    struct rng rng;
    struct engine_status status;
    rng_init(&rng, seed);
    start(&rig, setting, seed, budget);
    for (uint32_t pass = 0; pass < 3; pass++) {
        feed(&rig, &rng, n);
        if (!threads)
            rig_advance(&rig, 500);
        if (pass == 1)
            ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
    }
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
    check_numbers(rig_counters(&rig).mailbox_dropped, setting->parked_after < 100);
    *result = (struct result){ .counters = rig_counters(&rig),
                               .rows = rig_rows(&rig, "totals"),
                               .letters = rig_rows(&rig, "dead_letters") };
    ck_assert_int_eq(engine_status(rig.engine, &status), S4_OK);
    memcpy(result->prototypes, status.apps[0].prototypes, sizeof result->prototypes);
    mem_free(status.apps);
    rig_stop(&rig);
}

static void result_fini(struct result *result)
{
    mem_free(result->rows);
    mem_free(result->letters);
}

#define SAME_COUNT(field) ck_assert_uint_eq(a->counters.field, b->counters.field)
#define SAME_SHARE(field) ck_assert_uint_eq(a->prototypes[i].field, b->prototypes[i].field)

static void same_counts(const struct result *a, const struct result *b)
{
    SAME_COUNT(applied);
    SAME_COUNT(emitted);
    SAME_COUNT(published);
    SAME_COUNT(dead_letters);
    SAME_COUNT(instances);
    SAME_COUNT(created);
    SAME_COUNT(removed);
    SAME_COUNT(parked);
    SAME_COUNT(mailbox_dropped);
    SAME_COUNT(requests);
    SAME_COUNT(answers_dropped);
    ck_assert_uint_eq(b->counters.mailbox + b->counters.waiting, 0);
    for (uint32_t i = 0; i < ARRAY_LEN(a->prototypes); i++) {
        SAME_SHARE(events);
        SAME_SHARE(failures);
        SAME_SHARE(instances);
        SAME_SHARE(created);
        SAME_SHARE(removed);
    }
    ck_assert_uint_eq(a->counters.applied, a->counters.emitted + a->counters.injected);
    uint64_t events = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(a->prototypes); i++)
        events += a->prototypes[i].events;
    ck_assert_uint_eq(events, a->counters.applied);
}

static void same_calls(void)
{
    for (size_t i = 0; i < n_calls[0] && i < n_calls[1]; i++)
        if (calls[0][i] != calls[1][i])
            ck_abort_msg("call %zu is another one", i);
    ck_assert_uint_eq(n_calls[0], n_calls[1]);
}

static uint64_t run_both(const struct setting *setting, uint64_t seed, uint32_t n)
{
    struct result results[2];
    for (way = 0; way < 2; way++)
        run(setting, seed, 0, n, &results[way]);
    same_calls();
    same_counts(&results[0], &results[1]);
    ck_assert_str_eq(results[0].rows, results[1].rows);
    ck_assert_str_eq(results[0].letters, results[1].letters);
    uint64_t applied = results[0].counters.applied + results[1].counters.applied;
    result_fini(&results[0]);
    result_fini(&results[1]);
    return applied;
}

static const struct setting settings[] = {
    { 1, 1, 255, 0, 0, 0, "{max: 100000}", 8 },
    { 1, 4, 255, 4096, 0, 0, "{max: 3, full: block}", 20 },
    { 2, 16, 255, 1024, 0, 0, "{max: 100000}", 100 },
    { 4, 64, 2, 8192, 0, 0, "{max: 100, full: block}", 5 },
    { 4, 8, 255, 1024, 64 * KIB, 128 * KIB, "{max: 2, full: block}", 30 },
    { 1, 2, 255, 0, 0, 0, "{max: 10}", 1000 },
};

START_TEST(both_ways_make_the_same_calls)
{
    uint64_t seed = suite_seed();
    uint64_t applied = 0;
    make_keys();
    for (uint32_t round = 0; round < 2; round++)
        for (size_t i = 0; i < ARRAY_LEN(settings); i++)
            applied += run_both(&settings[i], seed + round, 700);
    fprintf(stderr, "%llu records\n", (unsigned long long)applied);
}
END_TEST

/* A budget lets others go first, so that calls are in another order; but none is another one for
 * its instance, and what is not numbered here is counted. */
START_TEST(a_budget_loses_nothing)
{
    uint64_t seed = suite_seed();
    struct result result;
    make_keys();
    way = 0;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        run(&settings[i], seed, 2, 300, &result);
        result_fini(&result);
    }
}
END_TEST

START_TEST(threads_lose_nothing)
{
    uint64_t seed = suite_seed();
    struct result result;
    make_keys();
    threads = true;
    way = 0;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (settings[i].memory_hard || settings[i].parked_after < 100) /* alarms: one thread */
            continue;
        run(&settings[i], seed, 0, 500, &result);
        result_fini(&result);
    }
}
END_TEST

#define PLAY(rig, ...)                                           \
    do {                                                         \
        static const struct scripted steps_[] = { __VA_ARGS__ }; \
        script = steps_;                                         \
        n_script = ARRAY_LEN(steps_);                            \
        rig_feed(rig, "starts", "{\"key\":\"a\",\"n\":1}\n");    \
        script = NULL;                                           \
    } while (0)

/* The removal calls back, and is over before the next event of the run. */
START_TEST(after_a_removal_the_next_event_may_do_what_events_may)
{
    static struct rig rig;
    make_keys();
    way = 0;
    start(&rig, &settings[0], 1, 0);
    PLAY(&rig, { 1, ACT_COUNT }, { 2, ACT_COUNT }, { 3, ACT_COUNT });
    PLAY(&rig, { 1, ACT_REMOVE }, { 2, ACT_TIMER }, { 3, ACT_ASK });
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 0);
    ck_assert_uint_eq(rig_counters(&rig).requests, 1);
    rig_stop(&rig);
}
END_TEST

START_TEST(an_event_that_fails_is_no_change_to_put_out)
{
    static struct rig rig;
    make_keys();
    for (way = 0; way < 2; way++) {
        start(&rig, &settings[0], 1, 0);
        n_outputs = 0;
        PLAY(&rig, { 1, ACT_COUNT }, { 1, ACT_COUNT });
        ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
        ck_assert_uint_eq(n_outputs, 1);
        PLAY(&rig, { 1, ACT_FAIL });
        ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
        ck_assert_uint_eq(n_outputs, 1);
        PLAY(&rig, { 1, ACT_COUNT }, { 1, ACT_FAIL });
        ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
        ck_assert_uint_eq(n_outputs, 2);
        rig_stop(&rig);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("stretch");
    suite_add(suite, "ways", both_ways_make_the_same_calls, 100);
    suite_add(suite, "threads", threads_lose_nothing, 30);
    suite_add(suite, "removal", after_a_removal_the_next_event_may_do_what_events_may, 20);
    suite_add(suite, "failure", an_event_that_fails_is_no_change_to_put_out, 20);
    suite_add(suite, "budget", a_budget_loses_nothing, 100);
    return suite;
}
