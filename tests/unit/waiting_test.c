/* Instances that wait, against a naive queue per key: a million events, each of which may have its
 * instance ask, wait (several times over), fail or be removed; answers come in drawn order. Where
 * mail is dropped, the model knows exactly which. */
#include "tests/support/suite.h"

#include <stdatomic.h>

#include "runtime/actor/mailbox.h"
#include "runtime/actor/pool_sim.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/text/json.h"
#include "tests/support/gates_app.h"
#include "tests/support/rig.h"

#define GATES     300u
#define EVENTS    180000u /* per arrangement; there are six */
#define BATCH_MAX 1500u
#define MAIL_MAX  8u
#define PENDING   200u /* answers that stay out after a round, at most */

enum policy { BLOCK, DEAD_LETTER, DROP_OLDEST };
static const char *const policy_names[] = { "block", "dead_letter", "drop_oldest" };

struct step {
    uint32_t number;
    uint32_t act;
};

/* What a gate was seen to take, in the engine or in the model. */
struct history {
    uint64_t sum; /* of the order */
    uint32_t steps;
    uint32_t last;
};

struct model_gate {
    struct history history;
    struct step mail[MAIL_MAX];
    uint32_t n_mail;
    uint32_t living; /* steps since it was made */
    bool waits;
};

static struct arrangement {
    enum policy policy;
    uint32_t mail_max;
    uint32_t budget;
} now;
static struct model_gate model[GATES];
static struct history seen[GATES];
static uint32_t given[GATES];
static uint64_t dropped;
static uint64_t dead;
static _Atomic uint64_t answers;
static uint64_t most_mail;
static uint32_t parked_after = 255;
static char order[64]; /* of gates, in limits' tests */
static bool is_exact;  /* the model follows every event */
static struct rig rig;
static struct rng rng;

static void history_add(struct history *history, uint32_t number)
{
    history->sum = history->sum * 31 + number;
    history->steps++;
    history->last = number;
}

/* ---- the model ----------------------------------------------------------------------------- */

static void model_take(struct model_gate *gate, struct step step)
{
    history_add(&gate->history, step.number);
    gate->living++;
    gate->waits = (step.act >= GATE_WAIT && step.act <= GATE_WAIT_MAX) || step.act == GATE_REFUSED;
    dead += step.act == GATE_FAIL;
    if (step.act != GATE_REMOVE)
        return;
    dropped += gate->n_mail; /* what waited for it goes to the dead letters */
    dead += gate->n_mail;
    gate->n_mail = 0;
    gate->living = 0;
}

static struct step model_pop(struct model_gate *gate)
{
    struct step oldest = gate->mail[0];
    memmove(gate->mail, gate->mail + 1, --gate->n_mail * sizeof *gate->mail);
    return oldest;
}

static void model_step(struct model_gate *gate, struct step step)
{
    if (!gate->waits) {
        model_take(gate, step);
        return;
    }
    if (gate->n_mail == now.mail_max) {
        dropped++;
        dead++;
        if (now.policy == DEAD_LETTER)
            return;
        model_pop(gate);
    }
    gate->mail[gate->n_mail++] = step;
}

static void model_answer(struct model_gate *gate, uint32_t left)
{
    gate->waits = left > 0;
    while (!gate->waits && gate->n_mail > 0)
        model_take(gate, model_pop(gate));
}

/* ---- what the handlers tell ---------------------------------------------------------------- */

static void saw_step(uint32_t gate, uint32_t number, uint32_t steps)
{
    if (now.policy == BLOCK)
        SUITE_SAME(number, seen[gate].last + 1); /* nothing is lost, nothing overtakes */
    else if (number <= seen[gate].last)
        ck_assert_uint_gt(number, seen[gate].last);
    if (!is_exact)
        SUITE_SAME(steps, seen[gate].steps);
    history_add(&seen[gate], number);
    if (gate < 2 && strlen(order) + 1 < sizeof order && !rig.threads)
        order[strlen(order)] = (char)('a' + gate);
}

static void saw_answer(uint32_t gate, uint32_t left)
{
    atomic_fetch_add(&answers, 1);
    if (is_exact)
        model_answer(&model[gate], left);
}

/* ---- events in ----------------------------------------------------------------------------- */

struct scripted {
    uint32_t gate;
    uint32_t act;
};

struct steps_feed {
    struct feed feed;
    struct writer writer;
    const struct scripted *script; /* NULL: drawn */
    uint32_t left;
    bool closed;
};

static uint32_t draw_act(void)
{
    uint32_t act = (uint32_t)rng_below(&rng, 40);
    if (act >= GATE_ACTS || (act == GATE_REMOVE && !is_exact))
        return GATE_PASS;
    return act;
}

/* A few gates get most. */
static struct scripted draw_step(void)
{
    uint32_t gate = (uint32_t)rng_below(&rng, 1 + rng_below(&rng, GATES));
    return (struct scripted){ .gate = gate, .act = draw_act() };
}

static int write_step(char *line, size_t size, struct scripted drawn, uint32_t number)
{
    return snprintf(line, size, "{\"gate\":%u,\"number\":%u,\"act\":%u}", drawn.gate, number,
                    drawn.act);
}

static s4_status give_step(struct steps_feed *f, struct feeder *feeder)
{
    char line[96];
    struct diag diag = { 0 };
    struct value value;
    struct scripted drawn = f->script ? *f->script++ : draw_step();
    struct step step = { .number = ++given[drawn.gate], .act = drawn.act };
    int len = write_step(line, sizeof line, drawn, step.number);
    s4_status status = json_read(&f->writer, schema_find(rig.bundle->schema, "gates.Step"), line,
                                 (size_t)len, &value, &diag);
    if (status != S4_OK)
        ck_abort_msg("%s", diag.text);
    if (is_exact)
        model_step(&model[drawn.gate], step);
    return feeder_give(feeder, &value);
}

static s4_status steps_step(struct feed *feed, struct feeder *feeder, uint32_t budget)
{
    struct steps_feed *f = CONTAINER_OF(feed, struct steps_feed, feed);
    for (; budget > 0 && f->left > 0; budget--, f->left--)
        TRY(give_step(f, feeder));
    return f->left > 0 ? S4_OK : S4_END;
}

static void steps_closed(struct feed *feed, s4_status status)
{
    struct steps_feed *f = CONTAINER_OF(feed, struct steps_feed, feed);
    ck_assert_int_eq(status, S4_END);
    f->closed = true;
}

/* Runs the engine until it has nothing to do; no answer comes meanwhile. */
static void run_engine(void)
{
    while (engine_step(rig.engine)) {
    }
}

static void feed_steps(const struct scripted *script, uint32_t n)
{
    struct diag diag = { 0 };
    struct steps_feed f = { .feed = { .step = steps_step, .closed = steps_closed },
                            .script = script,
                            .left = n };
    writer_init(&f.writer);
    if (engine_feed(rig.engine, rig.name, "steps", &f.feed, &diag) != S4_OK)
        ck_abort_msg("%s", diag.text);
    run_engine();
    ck_assert(f.closed);
    writer_fini(&f.writer);
}

/* One answer at a time, so that the model knows what came before what. */
static void answer_until(uint32_t pending)
{
    while (pool_sim_waiting(rig.pool) > pending) {
        pool_sim_step(rig.pool);
        run_engine();
    }
}

/* ---- comparing ----------------------------------------------------------------------------- */

static void check_exact(const struct engine_counters *counters)
{
    uint64_t waiting = 0;
    uint64_t mail = 0;
    for (uint32_t i = 0; i < GATES; i++) {
        SUITE_SAME(seen[i].steps, model[i].history.steps);
        SUITE_SAME(seen[i].sum, model[i].history.sum);
        waiting += model[i].waits;
        mail += model[i].n_mail;
    }
    SUITE_SAME(counters->waiting, waiting);
    SUITE_SAME(counters->mailbox, mail);
    SUITE_SAME(counters->mailbox_dropped, dropped);
    SUITE_SAME(counters->dead_letters, dead);
}

static void check_round(void)
{
    struct engine_counters counters = rig_counters(&rig);
    most_mail = size_max(most_mail, counters.mailbox);
    if (is_exact)
        check_exact(&counters);
    else if (counters.mailbox > counters.instances * now.mail_max)
        ck_assert_uint_le(counters.mailbox, counters.instances * now.mail_max);
}

/* The instance itself has counted what was seen. */
static void check_states(void)
{
    for (uint32_t i = 0; i < GATES; i++) {
        char key[16];
        char report[64];
        s4_status status;
        uint32_t steps = is_exact ? model[i].living : given[i];
        snprintf(key, sizeof key, "%u", i);
        snprintf(report, sizeof report, "{\"gate\":%u,\"steps\":%u}", i, steps);
        char *reply = rig_ask(&rig, "all", key, &status);
        if (steps == 0)
            ck_assert_int_eq(status, S4_NOT_FOUND);
        else
            ck_assert_str_eq(reply, report);
        mem_free(reply);
    }
}

static void start(const struct arrangement *arrangement, uint32_t slots, bool threads)
{
    static char manifest[256];
    now = *arrangement;
    is_exact = now.policy != BLOCK && !threads;
    memset(model, 0, sizeof model);
    memset(seen, 0, sizeof seen);
    memset(given, 0, sizeof given);
    dropped = 0;
    dead = 0;
    answers = 0;
    most_mail = 0;
    gate_watch.step = saw_step;
    gate_watch.answer = saw_answer;
    snprintf(manifest, sizeof manifest,
             "app: gates\nversion: 1.0.0\nparked_after: %u\nprototypes:\n  all:\n"
             "    budget: %u\n    mailbox: {max: %u, full: %s}\n",
             parked_after, now.budget, now.mail_max, policy_names[now.policy]);
    struct rig_options options = { .app = &s4_plugin,
                                   .manifest = manifest,
                                   .slots = slots,
                                   .block_size = 4096,
                                   .threads = threads,
                                   .workers = threads ? 2 : 1 };
    rig_start(&rig, &options);
}

static void run_oracle(const struct arrangement *arrangement)
{
    start(arrangement, 16, false);
    uint32_t n = 0;
    while (n < EVENTS) {
        uint32_t batch = 1 + (uint32_t)rng_below(&rng, BATCH_MAX);
        feed_steps(NULL, batch);
        check_round();
        answer_until((uint32_t)rng_below(&rng, PENDING));
        check_round();
        n += batch;
    }
    answer_until(0);
    check_round();
    check_states();
    struct engine_counters counters = rig_counters(&rig);
    ck_assert_uint_eq(counters.waiting + counters.mailbox, 0);
    ck_assert_uint_ge(counters.requests, answers); /* who was removed hears none */
    if (now.policy == BLOCK)
        ck_assert_uint_eq(counters.requests, answers);
    ck_assert_uint_ge(counters.injected, EVENTS);
    ck_assert_uint_eq(counters.injected, counters.applied);
    ck_assert_uint_gt(most_mail, 20); /* they did wait */
    for (uint32_t i = 0; now.policy == BLOCK && i < GATES; i++)
        ck_assert_uint_eq(seen[i].steps, given[i]);
    rig_stop(&rig);
}

START_TEST(a_million_events_against_a_queue_per_key)
{
    /* Where the model must know what is dropped, no run has more than the budget. */
    static const struct arrangement all[] = {
        { BLOCK, 5, 1 },          { BLOCK, 8, 4096 },     { DEAD_LETTER, 3, 64 },
        { DEAD_LETTER, 8, 4096 }, { DROP_OLDEST, 3, 64 }, { DROP_OLDEST, 8, 4096 },
    };
    rng_init(&rng, suite_seed());
    run_oracle(&all[_i]);
}
END_TEST

/* ---- limits, turn by turn ------------------------------------------------------------------ */

#define FEED(...)                                                 \
    do {                                                          \
        static const struct scripted script_[] = { __VA_ARGS__ }; \
        feed_steps(script_, ARRAY_LEN(script_));                  \
    } while (0)

START_TEST(a_full_mailbox_stalls_its_partition_and_loses_nothing)
{
    start(&(struct arrangement){ BLOCK, 2, 4096 }, 1, false);
    FEED({ 0, GATE_WAIT }, { 0, 0 }, { 0, 0 }, { 1, 0 });
    ck_assert_uint_eq(seen[0].steps, 1);
    ck_assert_uint_eq(seen[1].steps, 1); /* at the limit other keys go on */
    FEED({ 0, 0 }, { 1, 0 }, { 2, GATE_WAIT }, { 0, 0 });
    ck_assert_uint_eq(seen[1].steps, 1); /* one more: the partition takes nothing */
    ck_assert_uint_eq(rig_counters(&rig).mailbox, 2);
    answer_until(0);
    ck_assert_uint_eq(seen[0].steps, 5);
    ck_assert_uint_eq(seen[1].steps, 2);
    ck_assert_uint_eq(seen[2].steps, 1);
    ck_assert_uint_eq(rig_counters(&rig).mailbox_dropped, 0);
    rig_stop(&rig);
}
END_TEST

START_TEST(a_full_mailbox_drops_as_its_policy_says)
{
    start(&(struct arrangement){ DEAD_LETTER, 2, 4096 }, 1, false);
    FEED({ 0, GATE_WAIT }, { 0, 0 }, { 0, 0 });
    ck_assert_uint_eq(rig_counters(&rig).dead_letters, 0);
    FEED({ 0, 0 });
    ck_assert(rig_has(&rig, "dead_letters", "its instance's mailbox is full"));
    ck_assert(rig_has(&rig, "dead_letters", "\\\"number\\\":4") ||
              rig_has(&rig, "dead_letters", "\"number\":4"));
    rig_settle(&rig);
    ck_assert_uint_eq(seen[0].last, 3);
    rig_stop(&rig);
    start(&(struct arrangement){ DROP_OLDEST, 2, 4096 }, 1, false);
    FEED({ 0, GATE_WAIT }, { 0, 0 }, { 0, 0 });
    ck_assert_uint_eq(rig_counters(&rig).dead_letters, 0);
    FEED({ 0, 0 });
    ck_assert(rig_has(&rig, "dead_letters", "dropped from its instance's mailbox"));
    rig_settle(&rig);
    ck_assert_uint_eq(seen[0].last, 4);
    ck_assert_uint_eq(seen[0].steps, 3);
    rig_stop(&rig);
}
END_TEST

/* Two gates with three events each are answered at once: who gets how many in a row? */
static void two_backlogs(uint32_t budget)
{
    start(&(struct arrangement){ BLOCK, 8, budget }, 1, false);
    FEED({ 0, GATE_WAIT }, { 1, GATE_WAIT }, { 0, 0 }, { 0, 0 }, { 0, 0 }, { 1, 0 }, { 1, 0 },
         { 1, 0 });
    memset(order, 0, sizeof order);
    ck_assert(pool_sim_step(rig.pool));
    ck_assert(pool_sim_step(rig.pool));
    run_engine();
    ck_assert_uint_eq(strlen(order), 6);
    rig_stop(&rig);
}

START_TEST(a_budget_lets_others_in_between)
{
    two_backlogs(1);
    ck_assert_ptr_null(strstr(order, "aaa"));
    ck_assert_ptr_null(strstr(order, "bbb"));
    two_backlogs(4096);
    ck_assert_ptr_nonnull(strstr(order, "aaa"));
    ck_assert_ptr_nonnull(strstr(order, "bbb"));
}
END_TEST

START_TEST(queries_wait_behind_events)
{
    s4_status status;
    start(&(struct arrangement){ BLOCK, 2, 4096 }, 1, false);
    FEED({ 0, GATE_WAIT }, { 0, GATE_WAIT_MAX });
    char *reply = rig_ask(&rig, "all", "0", &status);
    ck_assert_str_eq(reply, "{\"gate\":0,\"steps\":2}");
    mem_free(reply);
    FEED({ 0, GATE_WAIT }, { 0, 0 }, { 0, 0 }); /* full */
    ck_assert_ptr_null(rig_ask(&rig, "all", "0", &status));
    ck_assert_int_eq(status, S4_FULL);
    rig_settle(&rig);
    rig_stop(&rig);
}
END_TEST

static char heard[64]; /* of gate 0's answers, in their order: what each had left */

static void note_answer(uint32_t gate, uint32_t left)
{
    heard[strlen(heard)] = (char)('0' + left);
}

/* A gate asks and is removed; a new one of its key asks something else and waits. What a partition
 * had asked is asked again where it is loaded, and the answers to the one before are nobody's. */
START_TEST(an_answer_is_for_who_asked)
{
    for (int draw = 0; draw < 8; draw++) { /* of answers: drawn by the pool */
        start(&(struct arrangement){ BLOCK, 8, 4096 }, 1, false);
        gate_watch.answer = note_answer;
        memset(heard, 0, sizeof heard);
        for (int i = 0; i < draw; i++)
            FEED({ 1, GATE_ASK });
        answer_until(0);
        memset(heard, 0, sizeof heard);
        FEED({ 0, GATE_ASK }, { 0, GATE_REMOVE });
        if (draw % 2)
            rig_reload(&rig, 0);
        seen[0] = (struct history){ .last = 2 };
        FEED({ 0, GATE_WAIT_MAX }, { 0, 0 });
        if (draw % 4 > 1)
            rig_reload(&rig, 0);
        size_t again = draw % 2 + (draw % 4 > 1 ? 2 : 0);
        ck_assert_uint_eq(pool_sim_waiting(rig.pool), 2 + again);
        answer_until(0);
        ck_assert_str_eq(heard, "210");
        struct engine_counters counters = rig_counters(&rig);
        ck_assert_uint_eq(counters.answers_dropped, 1);
        ck_assert_uint_eq(counters.waiting + counters.mailbox, 0);
        ck_assert_uint_eq(seen[0].steps, 2);
        rig_stop(&rig);
    }
}
END_TEST

START_TEST(an_answer_for_nobody_is_dropped)
{
    start(&(struct arrangement){ BLOCK, 8, 4096 }, 1, false);
    gate_watch.answer = note_answer;
    FEED({ 0, GATE_ASK }, { 0, GATE_REMOVE });
    answer_until(0);
    ck_assert_str_eq(heard, "");
    ck_assert_uint_eq(rig_counters(&rig).answers_dropped, 1);
    ck_assert_uint_eq(rig_counters(&rig).instances, 0);
    rig_stop(&rig);
}
END_TEST

/* What a parked key's mailbox holds goes where its new events go. */
START_TEST(a_parked_key_takes_no_mail)
{
    parked_after = 2;
    start(&(struct arrangement){ BLOCK, 8, 4096 }, 1, false);
    FEED({ 0, GATE_WAIT }, { 0, GATE_FAIL }, { 0, GATE_FAIL }, { 0, 0 }, { 0, 0 });
    rig_settle(&rig);
    ck_assert_uint_eq(seen[0].steps, 3);
    ck_assert_uint_eq(rig_counters(&rig).parked, 1);
    ck_assert_uint_eq(rig_counters(&rig).dead_letters, 4);
    ck_assert(rig_has(&rig, "dead_letters", "the key is parked"));
    rig_stop(&rig);
}
END_TEST

/* With threads, each key's order still holds; what the test notes of a gate, its worker's thread
 * notes. */
START_TEST(threads_keep_each_keys_order)
{
    rng_init(&rng, suite_seed());
    start(&(struct arrangement){ BLOCK, 64, 16 }, 16, true);
    struct buffer lines;
    buffer_init(&lines);
    for (int round = 0; round < 10; round++) {
        buffer_clear(&lines);
        for (int i = 0; i < 3000; i++) {
            char line[96];
            struct scripted drawn = draw_step();
            int len = write_step(line, sizeof line, drawn, ++given[drawn.gate]);
            line[len] = '\n';
            ck_assert_int_eq(buffer_append(&lines, line, (size_t)len + 1), S4_OK);
        }
        rig_feed(&rig, "steps", buffer_text(&lines));
    }
    ck_assert_int_eq(rig_drain(&rig, false, NULL), S4_OK);
    for (uint32_t i = 0; i < GATES; i++)
        SUITE_SAME(seen[i].steps, given[i]);
    ck_assert_uint_eq(rig_counters(&rig).waiting, 0);
    ck_assert_uint_eq(rig_counters(&rig).mailbox, 0);
    buffer_fini(&lines);
    rig_stop(&rig);
}
END_TEST

/* ---- the mailbox itself -------------------------------------------------------------------- */

START_TEST(a_mailbox_has_limits)
{
    struct mailbox_limits limits = { .items_max = 2, .bytes_max = 30 };
    struct mailbox *box = mailbox_create();
    ck_assert_ptr_null(mailbox_pop(box));
    /* An empty one takes any single item. */
    ck_assert_int_eq(
        mailbox_push(box, &limits, 1, 2, 3, "0123456789012345678901234567890123456789", 40), S4_OK);
    ck_assert_int_eq(mailbox_push(box, &limits, 1, 2, 3, "", 0), S4_FULL);
    mem_free(mailbox_pop(box));
    ck_assert_int_eq(mailbox_push(box, &limits, 1, 2, 3, "0123456789", 10), S4_OK);
    ck_assert_int_eq(mailbox_push(box, &limits, 1, 2, 3, "012345678901234567890", 21), S4_FULL);
    mem_fail_after(0);
    ck_assert_int_eq(mailbox_push(box, &limits, 1, 2, 3, "01234567890123456789", 20), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_int_eq(mailbox_push(box, &limits, 4, 5, 6, "01234567890123456789", 20), S4_OK);
    ck_assert_int_eq(mailbox_push(box, &limits, 1, 2, 3, "", 0), S4_FULL); /* two items */
    mem_free(mailbox_pop(box));
    struct mail *mail = mailbox_pop(box);
    ck_assert_uint_eq(mail->kind, 4);
    ck_assert_uint_eq(mail->note, 5);
    ck_assert_uint_eq(mail->number, 6);
    ck_assert_uint_eq(mail->size, 20);
    ck_assert_mem_eq(mail->data, "01234567890123456789\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 36);
    mem_free(mail);
    ck_assert_int_eq(mailbox_push(box, &limits, 1, 2, 3, "x", 1), S4_OK);
    mailbox_destroy(box);
    mailbox_destroy(NULL);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("waiting");
    TCase *oracle = tcase_create("oracle");
    tcase_set_timeout(oracle, 60);
    tcase_add_loop_test(oracle, a_million_events_against_a_queue_per_key, 0, 6);
    suite_add_tcase(suite, oracle);
    suite_add(suite, "stall", a_full_mailbox_stalls_its_partition_and_loses_nothing, 20);
    suite_add(suite, "drop", a_full_mailbox_drops_as_its_policy_says, 20);
    suite_add(suite, "budget", a_budget_lets_others_in_between, 20);
    suite_add(suite, "queries", queries_wait_behind_events, 20);
    suite_add(suite, "asker", an_answer_is_for_who_asked, 20);
    suite_add(suite, "nobody", an_answer_for_nobody_is_dropped, 20);
    suite_add(suite, "parked", a_parked_key_takes_no_mail, 20);
    suite_add(suite, "threads", threads_keep_each_keys_order, 60);
    suite_add(suite, "mailbox", a_mailbox_has_limits, 20);
    return suite;
}
