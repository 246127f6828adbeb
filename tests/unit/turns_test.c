/* What one instance takes in a turn: its budget, whether it comes in a run or lies in its mailbox.
 * The rest waits, others go on, and nothing is lost or overtakes. */
#include "tests/support/suite.h"

#include <s4/s4.h>

#include "pe/graph/limits.h"
#include "runtime/base/mem.h"
#include "tests/support/protos/model.pb-c.h"
#include "tests/support/rig.h"

/* ---- an app that shows the order ----------------------------------------------------------- */

static char order[8192]; /* of instances, by the first letter of their keys */
static size_t n_order;
static int64_t last[128]; /* of each */

S4_STREAM(ticks, Model__Tick, model__tick);
S4_STREAM(smalls, Model__Answer, model__answer);
S4_STREAM(all, Model__Tick, model__tick);

struct taker {
    int64_t n;
};

static void took(char who)
{
    ck_assert_uint_lt(n_order + 1, sizeof order);
    order[n_order++] = who;
}

static s4_status on_tick(s4_ctx *ctx, struct taker *self, const Model__Tick *tick)
{
    took(tick->user[0]);
    SUITE_SAME(tick->n, ++last[(unsigned char)tick->user[0]]);
    self->n++;
    return S4_OK;
}

static s4_status on_all(s4_ctx *ctx, struct taker *self, const Model__Tick *tick)
{
    took((char)(s4_key(ctx, 0, NULL)[0] - 'a' + 'A'));
    return S4_OK;
}

static s4_status taker_query(s4_ctx *ctx, const struct taker *self)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
    row.has_n = 1;
    row.n = self->n;
    return s4_reply(ctx, &row);
}

S4_CLASS(taker, struct taker, S4_FLAT, .query = taker_query, .reply = &model__row__descriptor);
S4_PROTOTYPE(takers, taker, S4_ON(taker, on_tick, ticks, "user"),
             S4_ON_BROADCAST(taker, on_all, all));

static s4_status on_small(s4_ctx *ctx, struct taker *self, const Model__Answer *small)
{
    took((char)('a' + small->n));
    return S4_OK;
}
S4_CLASS(small, struct taker, S4_FLAT);
S4_PROTOTYPE(small_ones, small, S4_ON(small, on_small, smalls, "n"));

S4_APP(turns, S4_STREAMS(&ticks.base, &smalls.base, &all.base),
       S4_PROTOTYPES(&takers, &small_ones));

/* ---- the frame ----------------------------------------------------------------------------- */

static struct rig rig;
static int64_t given[128];

static void start(uint32_t budget, const char *mailbox, uint32_t slots, size_t block_size)
{
    static char manifest[256];
    snprintf(
        manifest, sizeof manifest,
        "app: turns\nversion: 1.0.0\nprototypes:\n  takers:\n    budget: %u\n    mailbox: %s\n",
        budget, mailbox);
    struct rig_options options = {
        .app = &s4_plugin, .manifest = manifest, .slots = slots, .block_size = block_size
    };
    rig_start(&rig, &options);
    memset(order, 0, sizeof order);
    n_order = 0;
    memset(last, 0, sizeof last);
    memset(given, 0, sizeof given);
}

static void add_ticks(struct buffer *lines, char user, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        ck_assert_int_eq(buffer_printf(lines, "{\"user\":\"%c\",\"n\":%lld}\n", user,
                                       (long long)++given[(unsigned char)user]),
                         S4_OK);
}

/* "a10b1": ten of a, then one of b. */
static void feed(const char *what)
{
    struct buffer lines;
    buffer_init(&lines);
    while (*what) {
        char *end;
        char user = *what;
        add_ticks(&lines, user, (uint32_t)strtoul(what + 1, &end, 10));
        what = end;
    }
    rig_feed(&rig, "ticks", buffer_text(&lines));
    buffer_fini(&lines);
    for (int user = 0; user < 128; user++)
        ck_assert_int_eq(last[user], given[user]);
}

/* ---- budgets ------------------------------------------------------------------------------- */

START_TEST(beyond_its_budget_an_instance_lets_others_go_first)
{
    start(10, "{max: 100}", 1, 0);
    feed("a10b1");
    ck_assert_str_eq(order, "aaaaaaaaaab");
    rig_stop(&rig);
    start(10, "{max: 100}", 1, 0);
    feed("a11b1");
    ck_assert_str_eq(order, "aaaaaaaaaaba");
    rig_stop(&rig);
    /* And turn by turn: while a has mail, nothing of it overtakes. */
    start(2, "{max: 100}", 1, 0);
    feed("a5b3a1c1");
    ck_assert_uint_eq(n_order, 10);
    ck_assert_int_eq(strncmp(order, "aabbc", 5), 0);
    ck_assert_uint_eq(rig_counters(&rig).mailbox, 0);
    ck_assert_uint_eq(rig_counters(&rig).applied, 10);
    rig_stop(&rig);
}
END_TEST

/* The default: no counting, as a run never has more. */
START_TEST(no_run_has_more_than_the_default)
{
    struct buffer lines;
    buffer_init(&lines);
    for (uint32_t i = 0; i <= BUDGET_DEFAULT; i++)
        ck_assert_int_eq(buffer_printf(&lines, "{\"n\":0}\n"), S4_OK);
    /* Slots of 0 and 1 differ; whatever is behind in the block runs when a has had its turn. */
    ck_assert_int_eq(buffer_printf(&lines, "{\"n\":1}\n{\"n\":0}\n"), S4_OK);
    start(BUDGET_DEFAULT, "{max: 2}", 64, 256 * KIB);
    rig_feed(&rig, "smalls", buffer_text(&lines));
    ck_assert_uint_eq(n_order, BUDGET_DEFAULT + 3);
    ck_assert_ptr_eq(strchr(order, 'b'), order + BUDGET_DEFAULT);
    ck_assert_uint_eq(rig_counters(&rig).mailbox_dropped, 0);
    rig_stop(&rig);
    buffer_fini(&lines);
}
END_TEST

START_TEST(a_full_mailbox_stalls_and_loses_nothing)
{
    start(1, "{max: 2, full: block}", 1, 0);
    feed("a20b1a1b5");
    ck_assert_uint_eq(rig_counters(&rig).mailbox_dropped, 0);
    ck_assert_uint_eq(rig_counters(&rig).applied, 27);
    rig_stop(&rig);
}
END_TEST

START_TEST(broadcasts_count_and_queries_wait_behind)
{
    s4_status status;
    start(2, "{max: 100}", 1, 0);
    feed("a1b1");
    memset(order, 0, sizeof order);
    n_order = 0;
    rig_feed(&rig, "all", "{\"user\":\"x\"}\n{\"user\":\"x\"}\n{\"user\":\"x\"}\n");
    ck_assert_str_eq(order, "ABABAB");
    feed("a4");
    char *reply = rig_ask(&rig, "takers", "a", &status);
    ck_assert_str_eq(reply, "{\"key\":\"a\",\"n\":5}");
    mem_free(reply);
    rig_stop(&rig);
}
END_TEST

/* Saved and loaded between all steps, it goes on as if nothing had been. */
START_TEST(turns_are_saved_and_loaded)
{
    char expected[64];
    for (int reloads = 0; reloads < 2; reloads++) {
        start(2, "{max: 100}", 1, 0);
        struct buffer lines;
        buffer_init(&lines);
        add_ticks(&lines, 'a', 7);
        add_ticks(&lines, 'b', 5);
        ck_assert_ptr_nonnull(buffer_text(&lines));
        ck_assert_int_eq(rig_inject(&rig, "ticks", 1, 1, lines.data, INJECTION_TAKEN), S4_OK);
        while (engine_step(rig.engine)) {
            if (reloads)
                rig_reload(&rig, 0);
        }
        ck_assert_uint_eq(n_order, 12);
        if (reloads)
            ck_assert_str_eq(order, expected);
        memcpy(expected, order, n_order + 1);
        buffer_fini(&lines);
        rig_stop(&rig);
    }
}
END_TEST

/* Turns that are owed are messages to the worker: none may come after the app is gone. */
START_TEST(an_app_goes_with_turns_owed)
{
    struct diag diag = { 0 };
    struct buffer lines;
    buffer_init(&lines);
    start(1, "{max: 100}", 1, 0);
    add_ticks(&lines, 'a', 50);
    ck_assert_ptr_nonnull(buffer_text(&lines));
    ck_assert_int_eq(rig_inject(&rig, "ticks", 1, 1, lines.data, INJECTION_TAKEN), S4_OK);
    while (n_order < 5)
        engine_step(rig.engine);
    uint64_t dropped;
    ck_assert_uint_gt(rig_counters(&rig).mailbox, 10);
    ck_assert_int_eq(engine_undeploy(rig.engine, "turns", &dropped, &diag), S4_OK);
    rig_settle(&rig);
    ck_assert_uint_lt(n_order, 20);
    buffer_fini(&lines);
    rig_stop(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("turns");
    suite_add(suite, "budget", beyond_its_budget_an_instance_lets_others_go_first, 20);
    suite_add(suite, "default", no_run_has_more_than_the_default, 20);
    suite_add(suite, "full", a_full_mailbox_stalls_and_loses_nothing, 20);
    suite_add(suite, "broadcast", broadcasts_count_and_queries_wait_behind, 20);
    suite_add(suite, "saved", turns_are_saved_and_loaded, 20);
    suite_add(suite, "undeploy", an_app_goes_with_turns_owed, 20);
    return suite;
}
