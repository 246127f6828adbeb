/* The engine under the programming model: what each kind of key, callback and failure does. By
 * hand, under a simulated clock and pool. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/text/json.h"
#include "tests/support/model_app.h"
#include "tests/support/rig.h"

#define RECORD_KEY_MAX_TEXT 4097 /* one more than a key may have */

static struct rig rig;

static void start(const char *manifest)
{
    struct rig_options options = { .app = &s4_plugin, .manifest = manifest };
    rig_start(&rig, &options);
}

#define HAS(output, text)    ck_assert(rig_has(&rig, output, text))
#define HAS_NO(output, text) ck_assert(!rig_has(&rig, output, text))

START_TEST(keyed_events_meet_their_instance)
{
    start(NULL);
    rig_feed(&rig, "ticks",
             "{\"user\":\"a\"}\n{\"user\":\"b\",\"n\":5}\n{\"user\":\"a\"}\n"
             "{\"user\":\"\",\"n\":3}\n");
    HAS("totals", "{\"key\":\"a\",\"n\":2}");
    HAS("totals", "{\"key\":\"b\",\"n\":5}");
    HAS("totals", "{\"key\":\"\",\"n\":3}"); /* an empty text is a key like any other */
    HAS("journal", "{\"key\":\"a\",\"n\":1,\"note\":\"plain\"}");
    rig_stop(&rig);
}
END_TEST

START_TEST(parameters_come_from_the_manifest)
{
    start("app: model\nversion: 1.0.0\nprototypes:\n  counters:\n    parameters: {step: 7, label: "
          "odd}\n");
    rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n{\"user\":\"a\"}\n");
    HAS("totals", "{\"key\":\"a\",\"n\":14}");
    HAS("journal", "\"note\":\"odd\"");
    rig_stop(&rig);
}
END_TEST

START_TEST(composite_and_repeated_keys)
{
    start(NULL);
    rig_feed(&rig, "ticks",
             "{\"user\":\"a\",\"at\":1,\"tags\":[\"x\",\"y\",\"x\"]}\n"
             "{\"user\":\"a\",\"at\":-2,\"tags\":[\"y\"]}\n{\"user\":\"a\",\"at\":1}\n");
    HAS("totals", "{\"key\":\"a+1\",\"n\":2}");
    HAS("totals", "{\"key\":\"a+-2\",\"n\":1}");
    HAS("totals", "{\"key\":\"#x\",\"n\":1}"); /* one record per distinct element */
    HAS("totals", "{\"key\":\"#y\",\"n\":2}");
    rig_stop(&rig);
}
END_TEST

START_TEST(an_absent_key_gives_no_record_and_is_counted)
{
    start(NULL);
    /* By `tags` and by `user,at`: each subscription that has no key counts by itself. */
    ck_assert_uint_eq(rig_counters(&rig).absent_keys, 0);
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"at\":1,\"tags\":[\"t\"]}\n");
    ck_assert_uint_eq(rig_counters(&rig).absent_keys, 0);
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"at\":1}\n");
    ck_assert_uint_eq(rig_counters(&rig).absent_keys, 1);
    rig_feed(&rig, "ticks", "{\"user\":\"\"}\n"); /* an empty text is a key */
    ck_assert_uint_eq(rig_counters(&rig).absent_keys, 3);
    HAS("totals", "{\"key\":\"\",\"n\":");
    rig_feed(&rig, "everyone", "{\"user\":\"a\"}\n");
    rig_feed(&rig, "unheard", "{\"user\":\"a\"}\n");
    ck_assert_uint_eq(rig_counters(&rig).unheard, 1);
    rig_feed(&rig, "ticks", "{\"user\":\"u\",\"kind\":10}\n");
    ck_assert_uint_eq(rig_counters(&rig).unheard, 2);
    rig_stop(&rig);
}
END_TEST

START_TEST(keyless_broadcast_and_singleton)
{
    start(NULL);
    rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n{\"user\":\"b\"}\n");
    rig_feed(&rig, "everyone", "{\"user\":\"z\"}\n{\"user\":\"z\"}\n");
    HAS("journal", "{\"key\":\"a\",\"n\":2,\"note\":\"broadcast\"}");
    HAS("journal", "{\"key\":\"b\",\"n\":2,\"note\":\"broadcast\"}");
    HAS("totals", "{\"key\":\"one\",\"n\":2}");
    int64_t any = 0;
    for (int slot = 0; slot < 64; slot++) {
        char key[8];
        s4_status status;
        snprintf(key, sizeof key, "%d", slot);
        char *reply = rig_ask(&rig, "anys", key, &status);
        if (reply)
            any += strtol(strstr(reply, "\"n\":") + 4, NULL, 10);
        mem_free(reply);
    }
    ck_assert_int_eq(any, 2);
    rig_stop(&rig);
}
END_TEST

START_TEST(a_failing_call_is_taken_back)
{
    start("app: model\nversion: 1.0.0\nparked_after: 3\n");
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":4}\n{\"user\":\"a\",\"n\":9,\"kind\":1}\n");
    HAS("totals", "{\"key\":\"a\",\"n\":4}");
    HAS_NO("journal", "second");
    HAS("dead_letters", "told to fail");
    HAS("dead_letters", "\"key\":\"a\"");
    HAS("dead_letters", "\"prototype\":\"counters\"");
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 1);
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"kind\":4}\n");
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 2);
    /* One more in a row parks the key; a good event before that would have cleared the count. */
    ck_assert_uint_eq(rig_counters(&rig).parked, 0);
    rig_feed(&rig, "ticks",
             "{\"user\":\"a\",\"kind\":1}\n{\"user\":\"a\",\"n\":1}\n"
             "{\"user\":\"b\",\"n\":1}\n");
    ck_assert_uint_eq(rig_counters(&rig).parked, 1);
    ck_assert_ptr_nonnull(strstr(rig.alarm, "parked"));
    HAS("dead_letters", "the key is parked");
    HAS("totals", "{\"key\":\"a\",\"n\":4}");
    HAS("totals", "{\"key\":\"b\",\"n\":1}");
    rig_stop(&rig);
}
END_TEST

START_TEST(removal_and_query)
{
    start(NULL);
    s4_status status;
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":4}\n");
    char *reply = rig_ask(&rig, "counters", "a", &status);
    ck_assert_str_eq(reply, "{\"key\":\"a\",\"n\":4}");
    mem_free(reply);
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"kind\":2}\n");
    ck_assert_ptr_null(rig_ask(&rig, "counters", "a", &status));
    ck_assert_int_eq(status, S4_NOT_FOUND); /* and asking makes none */
    ck_assert_ptr_null(rig_ask(&rig, "counters", "a", &status));
    HAS("journal", "{\"key\":\"a\",\"n\":4,\"note\":\"remove\"}");
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":1}\n{\"user\":\"a\",\"kind\":9}\n");
    HAS_NO("totals", "\"key\":\"a\"");
    rig_stop(&rig);
}
END_TEST

START_TEST(triggers_by_count_and_gap)
{
    start("app: model\nversion: 1.0.0\nprototypes:\n  counters:\n    trigger: {events: 3, gap: "
          "1s}\n");
    rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n{\"user\":\"a\"}\n");
    HAS_NO("journal", "trigger");
    rig_feed(&rig, "ticks", "{\"user\":\"b\"}\n{\"user\":\"a\"}\n");
    HAS("journal", "{\"key\":\"a\",\"n\":3,\"note\":\"trigger\"}"); /* per instance */
    rig_advance(&rig, 1000000);
    rig_feed(&rig, "ticks", "{\"user\":\"b\"}\n"); /* exactly the gap: not longer than it */
    HAS_NO("journal", "{\"key\":\"b\",\"n\":2,\"note\":\"trigger\"}");
    rig_advance(&rig, 1000001);
    rig_feed(&rig, "ticks", "{\"user\":\"b\"}\n");
    HAS("journal", "{\"key\":\"b\",\"n\":3,\"note\":\"trigger\"}");
    rig_stop(&rig);
}
END_TEST

START_TEST(outputs_by_events_time_and_end)
{
    start("app: model\nversion: 1.0.0\nprototypes:\n  counters:\n    output: {events: 2, every: "
          "10s}\n");
    rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n{\"user\":\"a\"}\n{\"user\":\"b\"}\n");
    HAS("journal", "{\"key\":\"a\",\"n\":2,\"note\":\"output\"}");
    HAS_NO("journal", "{\"key\":\"b\",\"n\":1,\"note\":\"output\"}");
    rig_advance(&rig, 9999999);
    HAS_NO("journal", "{\"key\":\"b\",\"n\":1,\"note\":\"output\"}");
    rig_advance(&rig, 1);
    rig_advance(&rig, 1000);
    HAS("journal", "{\"key\":\"b\",\"n\":1,\"note\":\"output\"}");
    rig_feed(&rig, "ticks", "{\"user\":\"c\"}\n");
    struct engine_drained drained;
    ck_assert_int_eq(rig_drain(&rig, true, &drained), S4_OK);
    HAS("journal", "{\"key\":\"c\",\"n\":1,\"note\":\"output\"}");
    size_t rows = rig_count(&rig, "journal");
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK); /* nothing changed since: nothing more */
    ck_assert_uint_eq(rig_count(&rig, "journal"), rows);
    rig_stop(&rig);
}
END_TEST

START_TEST(ttl_removes_the_unused)
{
    start("app: model\nversion: 1.0.0\nprototypes:\n  counters:\n    ttl: 10s\n");
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":3}\n{\"user\":\"b\",\"n\":3}\n");
    rig_advance(&rig, 6000000);
    rig_feed(&rig, "ticks", "{\"user\":\"b\",\"n\":1}\n");
    rig_advance(&rig, 4000000);
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":1}\n"); /* too late: a new instance */
    HAS("journal", "{\"key\":\"a\",\"n\":3,\"note\":\"remove\"}");
    HAS("totals", "{\"key\":\"a\",\"n\":1}");
    HAS("totals", "{\"key\":\"b\",\"n\":4}");
    rig_advance(&rig, 30000000); /* without any event the rest goes too */
    rig_advance(&rig, 1000);
    HAS("journal", "{\"key\":\"b\",\"n\":4,\"note\":\"remove\"}");
    s4_status status;
    ck_assert_ptr_null(rig_ask(&rig, "counters", "a", &status));
    rig_stop(&rig);
}
END_TEST

START_TEST(bound_on_instances)
{
    struct rig_options options = {
        .app = &s4_plugin,
        .slots = 1,
        .manifest =
            "app: model\nversion: 1.0.0\nprototypes:\n  counters:\n    instances: {max: 2}\n",
    };
    rig_start(&rig, &options);
    rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n");
    rig_advance(&rig, 10000);
    rig_feed(&rig, "ticks", "{\"user\":\"b\"}\n");
    rig_advance(&rig, 10000);
    rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n");
    rig_advance(&rig, 10000);
    rig_feed(&rig, "ticks", "{\"user\":\"c\"}\n"); /* b was unused longest */
    HAS("journal", "{\"key\":\"b\",\"n\":1,\"note\":\"remove\"}");
    HAS_NO("journal", "{\"key\":\"a\",\"n\":2,\"note\":\"remove\"}");
    rig_stop(&rig);
    options.manifest = "app: model\nversion: 1.0.0\nprototypes:\n  counters:\n    instances: {max: "
                       "2, full: refuse}\n";
    rig_start(&rig, &options);
    rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n{\"user\":\"b\"}\n{\"user\":\"c\"}\n");
    HAS("dead_letters", "the bound on instances of prototype counters is reached");
    HAS_NO("totals", "\"key\":\"c\"");
    rig_stop(&rig);
}
END_TEST

START_TEST(timers_fire_move_and_cancel)
{
    start(NULL);
    char line[256];
    snprintf(line, sizeof line,
             "{\"user\":\"a\",\"kind\":5,\"n\":%llu}\n"
             "{\"user\":\"b\",\"kind\":5,\"n\":%llu}\n",
             RIG_START_US + 5000000, RIG_START_US + 5000000);
    rig_feed(&rig, "ticks", line);
    rig_feed(&rig, "ticks", "{\"user\":\"b\",\"kind\":6}\n");
    rig_advance(&rig, 4999000);
    HAS_NO("journal", "timer");
    struct engine_drained drained;
    ck_assert_int_eq(rig_drain(&rig, true, &drained), S4_OK);
    ck_assert_uint_eq(drained.waiting_timers, 1); /* processing timers are reported, not fired */
    rig_advance(&rig, 1000);
    rig_advance(&rig, 1000);
    HAS("journal", "{\"key\":\"a\",\"n\":7,\"note\":\"timer\"}");
    HAS_NO("journal", "{\"key\":\"b\",\"n\":7,\"note\":\"timer\"}");
    rig_stop(&rig);
}
END_TEST

START_TEST(event_time_moves_with_events)
{
    start("app: model\nversion: 1.0.0\nclock: {event: at, unit: us}\n");
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"kind\":5,\"n\":100,\"at\":50}\n");
    rig_advance(&rig, 10000000);
    HAS_NO("journal", "timer");
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK); /* the end of time: due timers fire */
    HAS("journal", "{\"key\":\"a\",\"n\":7,\"note\":\"timer\"}");
    rig_stop(&rig);
}
END_TEST

START_TEST(waiting_instances_keep_their_order)
{
    start(NULL);
    rig_feed(&rig, "ticks",
             "{\"user\":\"a\",\"n\":4,\"kind\":7}\n{\"user\":\"a\",\"n\":1}\n"
             "{\"user\":\"a\",\"n\":-1,\"kind\":7}\n{\"user\":\"b\",\"n\":2}\n"
             "{\"user\":\"a\",\"n\":5}\n");
    HAS("journal", "{\"key\":\"a\",\"n\":40,\"note\":\"answer\"}");
    HAS("journal", "{\"key\":\"a\",\"n\":-1,\"note\":\"NOT_FOUND\"}");
    HAS("totals", "{\"key\":\"a\",\"n\":6}");
    HAS("totals", "{\"key\":\"b\",\"n\":2}");
    ck_assert_uint_eq(rig_counters(&rig).waiting, 0);
    ck_assert_uint_eq(rig_counters(&rig).mailbox, 0);
    ck_assert_uint_eq(rig_counters(&rig).requests, 2);
    rig_stop(&rig);
}
END_TEST

START_TEST(emits_max_bounds_a_call)
{
    start("app: model\nversion: 1.0.0\nemits_max: 100\n");
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":100,\"kind\":8}\n");
    HAS("journal", "{\"key\":\"a\",\"n\":100,\"note\":\"second\"}");
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 0);
    rig_feed(&rig, "ticks", "{\"user\":\"b\",\"n\":101,\"kind\":8}\n");
    HAS("dead_letters", "emits more than emits_max = 100");
    HAS_NO("journal", "{\"key\":\"b\",\"n\":1,\"note\":\"second\"}");
    rig_stop(&rig);
}
END_TEST

START_TEST(batches_are_taken_applied_and_never_twice)
{
    start(NULL);
    const char *lines = "{\"user\":\"a\",\"n\":1}\n{\"user\":\"b\",\"n\":2}\n";
    ck_assert_int_eq(rig_inject(&rig, "ticks", 77, 1, lines, INJECTION_APPLIED), S4_OK);
    HAS("totals", "{\"key\":\"a\",\"n\":1}");
    HAS("totals", "{\"key\":\"b\",\"n\":2}");
    ck_assert_int_eq(rig_inject(&rig, "ticks", 77, 1, lines, INJECTION_APPLIED), S4_DUPLICATE);
    ck_assert_int_eq(rig_inject(&rig, "ticks", 77, 2, lines, INJECTION_TAKEN), S4_OK);
    ck_assert_int_eq(rig_inject(&rig, "ticks", 78, 1, lines, INJECTION_APPLIED), S4_OK);
    rig_settle(&rig);
    HAS("totals", "{\"key\":\"a\",\"n\":3}");
    ck_assert_uint_eq(rig_counters(&rig).duplicates, 2);
    ck_assert_int_eq(rig_inject(&rig, "second", 1, 1, lines, INJECTION_TAKEN), S4_PERMISSION);
    rig_stop(&rig);
}
END_TEST

/* In a cluster, until its frames are understood. */
START_TEST(an_app_may_have_to_wait_until_it_is_opened)
{
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin, .apps_wait = true });
    const char *line = "{\"user\":\"a\",\"n\":1}\n";
    engine_open(rig.engine, "another");
    ck_assert_int_eq(rig_inject(&rig, "ticks", 77, 1, line, INJECTION_APPLIED), S4_AGAIN);
    engine_open(rig.engine, rig.name);
    ck_assert_int_eq(rig_inject(&rig, "ticks", 77, 1, line, INJECTION_APPLIED), S4_OK);
    rig_feed(&rig, "ticks", line);
    HAS("totals", "{\"key\":\"a\",\"n\":2}");
    rig_stop(&rig);
}
END_TEST

/* A batch's events that fail at the door write dead letters, which once shared a scratch with the
 * counters that the batch's probes are found by. */
START_TEST(a_batch_with_a_key_that_is_too_long)
{
    start(NULL);
    struct buffer lines;
    buffer_init(&lines);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(buffer_printf(&lines, "{\"user\":\"%0*d\",\"n\":1}\n{\"user\":\"k%d\"}\n",
                                       RECORD_KEY_MAX_TEXT, 7, i),
                         S4_OK);
    }
    ck_assert_ptr_nonnull(buffer_text(&lines));
    ck_assert_int_eq(rig_inject(&rig, "ticks", 5, 1, lines.data, INJECTION_APPLIED), S4_OK);
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 3);
    HAS("totals", "{\"key\":\"k2\",\"n\":1}");
    buffer_fini(&lines);
    rig_stop(&rig);
}
END_TEST

START_TEST(apps_come_and_go)
{
    start(NULL);
    struct diag diag = { 0 };
    ck_assert_int_eq(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag), S4_EXISTS);
    for (int i = 0; i < 100; i++) {
        uint64_t dropped = 1;
        rig_feed(&rig, "ticks", "{\"user\":\"a\"}\n{\"user\":\"b\"}\n");
        ck_assert_int_eq(engine_undeploy(rig.engine, "model", &dropped, &diag), S4_OK);
        ck_assert_uint_eq(dropped, 0);
        ck_assert_int_eq(engine_undeploy(rig.engine, "model", &dropped, &diag), S4_NOT_FOUND);
        ck_assert_msg(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag) == S4_OK, "%s",
                      diag.text);
    }
    rig_stop(&rig);
}
END_TEST

struct slow_feed {
    struct feed feed;
    struct value event;
    bool given, over, closed;
};

/* One event, and then for long nothing that would end or fill a block. */
static s4_status slow_step(struct feed *feed, struct feeder *feeder, uint32_t budget)
{
    struct slow_feed *slow = CONTAINER_OF(feed, struct slow_feed, feed);
    bool give = !slow->given;
    slow->given = true;
    return give ? feeder_give(feeder, &slow->event) : slow->over ? S4_END : S4_OK;
}

static void slow_closed(struct feed *feed, s4_status status)
{
    CONTAINER_OF(feed, struct slow_feed, feed)->closed = true;
}

START_TEST(a_slow_feeds_event_waits_no_longer_than_the_bound)
{
    struct diag diag = { 0 };
    struct writer writer;
    struct slow_feed slow = { .feed = { .step = slow_step, .closed = slow_closed } };
    static const char json[] = "{\"user\":\"a\"}";
    start(NULL);
    writer_init(&writer);
    const struct type *type = schema_find(rig.bundle->schema, "model.Tick");
    ck_assert_int_eq(json_read(&writer, type, json, strlen(json), &slow.event, &diag), S4_OK);
    ck_assert_int_eq(engine_feed(rig.engine, "model", "ticks", &slow.feed, &diag), S4_OK);
    for (int us = 0; us < ENGINE_FLUSH_US_DEFAULT - 1; us++) {
        engine_step(rig.engine);
        ck_assert_uint_eq(rig_counters(&rig).applied, 0);
        clock_sim_advance(&rig.clock, 1);
    }
    ck_assert(slow.given);
    for (int us = 0; us < ENGINE_FLUSH_US_DEFAULT / 2; us++) {
        clock_sim_advance(&rig.clock, 1);
        engine_step(rig.engine);
    }
    ck_assert_uint_ge(rig_counters(&rig).applied, 1); /* by user, and whoever else takes it */
    slow.over = true;
    rig_settle(&rig);
    ck_assert(slow.closed);
    writer_fini(&writer);
    rig_stop(&rig);
}
END_TEST

START_TEST(threads_give_the_same_rows)
{
    static const uint32_t workers[] = { 1, 2, 4 };
    for (size_t w = 0; w < ARRAY_LEN(workers); w++) {
        struct rig_options options = { .app = &s4_plugin, .threads = true, .workers = workers[w] };
        rig_start(&rig, &options);
        for (int i = 0; i < 20; i++)
            rig_feed(&rig, "ticks",
                     "{\"user\":\"a\",\"n\":1}\n{\"user\":\"b\",\"n\":2,\"kind\":3}\n"
                     "{\"user\":\"c\",\"n\":3}\n{\"user\":\"d\",\"kind\":7,\"n\":1}\n");
        ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
        ck_assert_uint_eq(rig_counters(&rig).injected, 80);
        ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 0);
        HAS("totals", "{\"key\":\"a\",\"n\":20}");
        HAS("totals", "{\"key\":\"c\",\"n\":60}");
        HAS("journal", "{\"key\":\"b\",\"n\":40,\"note\":\"second\"}");
        ck_assert_uint_eq(rig_counters(&rig).waiting, 0);
        rig_stop(&rig);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("engine");
    suite_add(suite, "keyed", keyed_events_meet_their_instance, 20);
    suite_add(suite, "parameters", parameters_come_from_the_manifest, 20);
    suite_add(suite, "keys", composite_and_repeated_keys, 20);
    suite_add(suite, "absent", an_absent_key_gives_no_record_and_is_counted, 20);
    suite_add(suite, "routes", keyless_broadcast_and_singleton, 20);
    suite_add(suite, "failing", a_failing_call_is_taken_back, 20);
    suite_add(suite, "removal", removal_and_query, 20);
    suite_add(suite, "trigger", triggers_by_count_and_gap, 20);
    suite_add(suite, "output", outputs_by_events_time_and_end, 20);
    suite_add(suite, "ttl", ttl_removes_the_unused, 20);
    suite_add(suite, "bound", bound_on_instances, 20);
    suite_add(suite, "timers", timers_fire_move_and_cancel, 20);
    suite_add(suite, "event_time", event_time_moves_with_events, 20);
    suite_add(suite, "waiting", waiting_instances_keep_their_order, 20);
    suite_add(suite, "emits_max", emits_max_bounds_a_call, 20);
    suite_add(suite, "inject", batches_are_taken_applied_and_never_twice, 20);
    suite_add(suite, "apps_wait", an_app_may_have_to_wait_until_it_is_opened, 20);
    suite_add(suite, "long_key", a_batch_with_a_key_that_is_too_long, 20);
    suite_add(suite, "apps", apps_come_and_go, 60);
    suite_add(suite, "slow_feed", a_slow_feeds_event_waits_no_longer_than_the_bound, 20);
    suite_add(suite, "threads", threads_give_the_same_rows, 60);
    return suite;
}
