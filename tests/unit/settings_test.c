/* Settings of app.yaml that only a running app shows: bounds of outputs and of dead letters at N
 * and N+1, outputs on the clock's multiples, streams closed to the outside. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "tests/support/model_app.h"
#include "tests/support/rig.h"

#define APP    "app: model\nversion: 1.0.0\n"
#define SECOND UINT64_C(1000000)

static struct rig rig;

static void start(const char *manifest)
{
    struct rig_options options = { .app = &s4_plugin, .manifest = manifest, .slots = 1 };
    rig_start(&rig, &options);
}

static void tick(const char *user)
{
    char line[64];
    snprintf(line, sizeof line, "{\"user\":\"%s\"}\n", user);
    rig_feed(&rig, "ticks", line);
}

START_TEST(a_full_table_refuses)
{
    start(APP "outputs: {totals: {rows_max: 3}}\n");
    tick("a");
    tick("b");
    size_t rows = rig_count(&rig, "totals");
    ck_assert_uint_eq(rows, 2);
    tick("c");
    ck_assert_uint_eq(rig_count(&rig, "totals"), 3);
    ck_assert_uint_eq(rig_counters(&rig).rows_refused, 0);
    tick("d");
    tick("a"); /* a row that is there is replaced */
    ck_assert_uint_eq(rig_count(&rig, "totals"), 3);
    ck_assert(rig_has(&rig, "totals", "{\"key\":\"a\",\"n\":2}"));
    ck_assert_uint_eq(rig_counters(&rig).rows_refused, 1);
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 1);
    ck_assert(rig_has(&rig, "dead_letters", "\"status\":\"FULL\""));
    rig_stop(&rig);
}
END_TEST

START_TEST(a_full_table_drops_the_oldest)
{
    start(APP "outputs: {totals: {rows_max: 3, full: drop_oldest}}\n");
    tick("a");
    tick("b");
    tick("c");
    ck_assert_uint_eq(rig_counters(&rig).rows_dropped, 0);
    tick("d");
    ck_assert_uint_eq(rig_count(&rig, "totals"), 3);
    ck_assert(!rig_has(&rig, "totals", "\"key\":\"a\""));
    ck_assert(rig_has(&rig, "totals", "\"key\":\"d\""));
    ck_assert_uint_eq(rig_counters(&rig).rows_dropped, 1);
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 0);
    rig_stop(&rig);
}
END_TEST

START_TEST(dead_letters_are_bounded)
{
    start(APP "dead_letters: {rows_max: 2}\nparked_after: 255\n");
    for (int i = 0; i < 2; i++) {
        char line[64];
        snprintf(line, sizeof line, "{\"user\":\"a\",\"n\":%d,\"kind\":1}\n", i);
        rig_feed(&rig, "ticks", line);
    }
    ck_assert(rig_has(&rig, "dead_letters", "\\\"n\\\":0,"));
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":2,\"kind\":1}\n");
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 2);
    ck_assert(!rig_has(&rig, "dead_letters", "\\\"n\\\":0,"));
    ck_assert(rig_has(&rig, "dead_letters", "\\\"n\\\":2,"));
    ck_assert_uint_eq(rig_counters(&rig).dead_letters, 3);
    rig_stop(&rig);
}
END_TEST

static bool told(void)
{
    return rig_has(&rig, "journal", "\"note\":\"output\"");
}

START_TEST(an_aligned_output_comes_at_the_clocks_multiples)
{
    start(APP "prototypes: {counters: {output: {every: 10s, aligned: true}}}\n");
    rig_advance(&rig, 3 * SECOND);
    tick("a");
    rig_advance(&rig, 7 * SECOND - 2000);
    ck_assert(!told());
    rig_advance(&rig, 4000);
    ck_assert(told());
    rig_stop(&rig);
}
END_TEST

START_TEST(another_output_comes_so_long_after_the_first_event)
{
    start(APP "prototypes: {counters: {output: {every: 10s}}}\n");
    rig_advance(&rig, 3 * SECOND);
    tick("a");
    rig_advance(&rig, 10 * SECOND - 2000);
    ck_assert(!told());
    rig_advance(&rig, 4000);
    ck_assert(told());
    rig_stop(&rig);
}
END_TEST

START_TEST(a_stream_may_be_closed_to_the_outside)
{
    struct injection *injection = NULL;
    struct diag diag = { 0 };
    start(APP "streams: {ticks: {internal: true}}\n");
    ck_assert_int_eq(engine_inject_begin(rig.engine, "model", "ticks", 1, 1, &injection, &diag),
                     S4_PERMISSION);
    ck_assert_ptr_nonnull(strstr(diag.text, "is internal: it takes nothing from outside"));
    ck_assert_ptr_null(injection);
    rig_stop(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("settings");
    suite_add(suite, "refuse", a_full_table_refuses, 20);
    suite_add(suite, "drop", a_full_table_drops_the_oldest, 20);
    suite_add(suite, "dead", dead_letters_are_bounded, 20);
    suite_add(suite, "aligned", an_aligned_output_comes_at_the_clocks_multiples, 20);
    suite_add(suite, "every", another_output_comes_so_long_after_the_first_event, 20);
    suite_add(suite, "internal", a_stream_may_be_closed_to_the_outside, 20);
    return suite;
}
