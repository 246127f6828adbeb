/* Streams between apps: what one app emits, another hears; deployed in either order, refused when
 * their types differ, taken back with what failed, detached by force.
 */
#include "tests/support/suite.h"

#include <pthread.h>
#include <sched.h>

#include "pe/host/host.h"
#include "pe/host/slots.h"
#include "runtime/base/mem.h"
#include "tests/support/protos/model.pb-c.h"
#include "tests/support/rig.h"
#include "tests/support/streams_app.h"

#define FROM(name, from) "app: " name "\nversion: 1.0.0\nstreams:\n  heard: {from: " from "}\n"

/* ---- the frame --------------------------------------------------------------------------------
 */

static struct rig rig;
static struct rig_other other;

static void start(uint32_t workers)
{
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin, .workers = workers });
}

static void deploy_hearer(void)
{
    struct diag diag = { 0 };
    ck_assert_msg(rig_try_other(&rig, streams_app_hears(), "hears", FROM("hears", "speaks.said"),
                                &other, &diag) == S4_OK,
                  "%s", diag.text);
}

static void stop(void)
{
    rig_stop(&rig);
    rig_other_fini(&other);
}

static bool hears_row(const char *text)
{
    struct rig it = rig;
    it.name = "hears";
    return rig_has(&it, "sums", text);
}

static size_t rows_heard(void)
{
    struct rig it = rig;
    it.name = "hears";
    return rig_count(&it, "sums");
}

static struct engine_counters counters_of(const char *name)
{
    struct engine_status status;
    struct engine_counters found = { 0 };
    ck_assert_int_eq(engine_status(rig.engine, &status), S4_OK);
    for (uint32_t i = 0; i < status.n_apps; i++)
        if (strcmp(status.apps[i].name, name) == 0)
            found = status.apps[i].counters;
    mem_free(status.apps);
    return found;
}

#define CONTAINS(text, part) \
    ck_assert_msg(strstr(text, part) != NULL, "wanted \"%s\" in \"%s\"", part, text)

/* ---- hearing ----------------------------------------------------------------------------------
 */

START_TEST(what_one_app_emits_another_hears)
{
    start(1);
    rig_feed(&rig, "told", "{\"user\":\"early\"}\n"); /* nobody hears it yet */
    deploy_hearer();
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n{\"user\":\"b\"}\n{\"user\":\"a\"}\n");
    ck_assert(hears_row("{\"key\":\"a\",\"n\":3,\"note\":\"2 events\"}"));
    ck_assert(hears_row("{\"key\":\"b\",\"n\":1,\"note\":\"1 events\"}"));
    ck_assert_uint_eq(rows_heard(), 2);
    ck_assert_uint_eq(counters_of("speaks").exported, 3);
    ck_assert_uint_eq(counters_of("hears").imported, 3);
    ck_assert_uint_eq(counters_of("hears").injected, 0);
    ck_assert_uint_eq(counters_of("speaks").unheard, 1); /* the early one */
    ck_assert_uint_eq(counters_of("hears").imports_lost, 0);
    stop();
}
END_TEST

START_TEST(timers_and_many_events_of_a_run_are_heard)
{
    char line[96];
    start(2);
    deploy_hearer();
    rig_feed(&rig, "told", "{\"user\":\"m\",\"kind\":2,\"n\":20000}\n"); /* several records */
    ck_assert(hears_row("{\"key\":\"m\",\"n\":199990000,\"note\":\"20000 events\"}"));
    snprintf(line, sizeof line, "{\"user\":\"t\",\"kind\":4,\"n\":%llu}\n",
             (unsigned long long)RIG_START_US + 1000000);
    rig_feed(&rig, "told", line);
    rig_advance(&rig, 2000000);
    ck_assert(hears_row("{\"key\":\"timer\",\"n\":1"));
    stop();
}
END_TEST

START_TEST(what_a_failing_call_emitted_is_not_heard)
{
    start(1);
    deploy_hearer();
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n{\"user\":\"a\",\"kind\":1}\n{\"user\":\"a\"}\n");
    ck_assert_uint_eq(rows_heard(), 1);
    ck_assert(hears_row("{\"key\":\"a\",\"n\":3,\"note\":\"2 events\"}"));
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 1);
    ck_assert_uint_eq(counters_of("speaks").exported, 2);
    stop();
}
END_TEST

/* emits_max holds for what others hear, too: no stream of the app's own has a subscriber there. */
START_TEST(a_call_may_export_so_much)
{
    rig_start(&rig,
              &(struct rig_options){ .app = &s4_plugin,
                                     .manifest = "app: speaks\nversion: 1.0.0\nemits_max: 5\n" });
    deploy_hearer();
    rig_feed(&rig, "told",
             "{\"user\":\"ok\",\"kind\":2,\"n\":5}\n"
             "{\"user\":\"no\",\"kind\":2,\"n\":6}\n");
    ck_assert_uint_eq(rows_heard(), 1);
    ck_assert(hears_row("{\"key\":\"ok\",\"n\":10,\"note\":\"5 events\"}"));
    ck_assert(rig_has(&rig, "dead_letters", "emits more than emits_max = 5 records in one call"));
    stop();
}
END_TEST

/* A key of more than 4 KiB: the event is heard, and its mistake told where it is made. */
START_TEST(an_event_without_a_place_is_a_dead_letter_there)
{
    start(1);
    deploy_hearer();
    rig_feed(&rig, "told", "{\"user\":\"b\",\"kind\":3}\n{\"user\":\"a\"}\n");
    ck_assert_uint_eq(rows_heard(), 1);
    ck_assert_uint_eq(counters_of("speaks").dead_letters, 0);
    ck_assert_uint_eq(counters_of("hears").imports_lost + counters_of("hears").dead_letters, 1);
    stop();
}
END_TEST

/* Injected batches, and feeds: a stream's events are heard wherever they come from. */
START_TEST(what_comes_in_is_heard_too)
{
    struct diag diag = { 0 };
    struct rig_other further;
    start(2);
    ck_assert_int_eq(rig_try_other(&rig, streams_app_hears(), "hears", FROM("hears", "speaks.told"),
                                   &other, &diag),
                     S4_OK);
    /* It hears what `hears` hears. */
    ck_assert_int_eq(rig_try_other(&rig, streams_app_hears(), "further",
                                   FROM("further", "hears.heard"), &further, &diag),
                     S4_OK);
    rig_feed(&rig, "told", "{\"user\":\"a\",\"n\":1}\n{\"user\":\"b\",\"n\":2}\n");
    ck_assert_int_eq(
        rig_inject(&rig, "told", 7, 1, "{\"user\":\"a\",\"n\":10}\n", INJECTION_APPLIED), S4_OK);
    rig_settle(&rig);
    for (int i = 0; i < 2; i++) {
        struct rig it = rig;
        it.name = i ? "further" : "hears";
        ck_assert(rig_has(&it, "sums", "{\"key\":\"a\",\"n\":11,\"note\":\"2 events\"}"));
        ck_assert(rig_has(&it, "sums", "{\"key\":\"b\",\"n\":2,\"note\":\"1 events\"}"));
        ck_assert_uint_eq(counters_of(it.name).imported, 3);
    }
    ck_assert_uint_eq(counters_of("speaks").exported, 3);
    ck_assert_uint_eq(counters_of("hears").exported, 3);
    stop();
    rig_other_fini(&further);
}
END_TEST

/* ---- the same rows for any number of workers ---------------------------------------------------
 */

static char *rows_with(uint32_t workers, bool threads)
{
    struct buffer lines;
    buffer_init(&lines);
    rig_start(&rig,
              &(struct rig_options){
                  .app = &s4_plugin, .workers = workers, .block_size = 2048, .threads = threads });
    deploy_hearer();
    for (int i = 0; i < 3000; i++)
        ck_assert_int_eq(buffer_printf(&lines, "{\"user\":\"u%d\",\"kind\":%d,\"n\":%d}\n",
                                       i * i % 97, i % 7 == 0 ? TOLD_MANY : TOLD_PLAIN, i % 5),
                         S4_OK);
    rig_feed(&rig, "told", buffer_text(&lines));
    struct rig it = rig;
    it.name = NULL; /* all apps at once */
    ck_assert_int_eq(rig_drain(&it, true, NULL), S4_OK);
    it.name = "hears";
    char *rows = rig_rows(&it, "sums");
    ck_assert_uint_eq(counters_of("hears").imported, counters_of("speaks").exported);
    buffer_fini(&lines);
    stop();
    return rows;
}

START_TEST(rows_do_not_depend_on_workers)
{
    char *one = rows_with(1, false);
    ck_assert_uint_gt(strlen(one), 1000);
    for (int i = 0; i < 4; i++) {
        char *many = rows_with(i % 2 ? 4 : 2, i / 2);
        ck_assert_str_eq(one, many);
        mem_free(many);
    }
    mem_free(one);
}
END_TEST

/* ---- deployment --------------------------------------------------------------------------------
 */

START_TEST(either_is_deployed_first)
{
    struct diag diag = { 0 };
    struct rig_other again;
    uint64_t dropped;
    uint32_t n;
    start(2);
    deploy_hearer();
    ck_assert_int_eq(engine_hearers(rig.engine, "hears", &n, &diag), S4_OK);
    ck_assert_int_eq(engine_hearers(rig.engine, "speaks", &n, &diag), S4_STATE);
    ck_assert_uint_eq(n, 1);
    CONTAINS(diag.text, "\"hears\"");
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n");
    ck_assert_int_eq(engine_undeploy(rig.engine, "speaks", &dropped, &diag), S4_OK);
    ck_assert(hears_row("{\"key\":\"a\",\"n\":1"));
    /* It comes again, and is heard from its first event on. */
    ck_assert_int_eq(rig_try_other(&rig, &s4_plugin, "speaks", NULL, &again, &diag), S4_OK);
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n{\"user\":\"c\"}\n");
    ck_assert(hears_row("{\"key\":\"a\",\"n\":2,\"note\":\"2 events\"}"));
    ck_assert(hears_row("{\"key\":\"c\",\"n\":1"));
    /* Who hears goes: nobody is in the way, and nothing is kept for it. */
    ck_assert_int_eq(engine_undeploy(rig.engine, "hears", &dropped, &diag), S4_OK);
    ck_assert_uint_eq(dropped, 0);
    ck_assert_int_eq(engine_hearers(rig.engine, "speaks", &n, &diag), S4_OK);
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n");
    ck_assert_uint_eq(counters_of("speaks").exported, 2);
    stop();
    rig_other_fini(&again);
}
END_TEST

struct speaking {
    pthread_t thread;
    _Atomic bool done;
};

static void *keep_speaking(void *user)
{
    struct speaking *speaking = user;
    for (uint64_t n = 1; !atomic_load(&speaking->done); n++)
        ck_assert_int_eq(rig_inject(&rig, "told", n % 5, n,
                                    "{\"user\":\"a\"}\n{\"user\":\"b\",\"kind\":2,\"n\":50}\n",
                                    INJECTION_APPLIED),
                         S4_OK);
    return NULL;
}

/* Lists of hearers are replaced while runs read them. */
START_TEST(hearers_come_and_go_while_it_speaks)
{
    struct speaking speaking = { 0 };
    struct diag diag = { 0 };
    uint64_t dropped;
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin, .workers = 2, .threads = true });
    ck_assert_int_eq(pthread_create(&speaking.thread, NULL, keep_speaking, &speaking), 0);
    for (int i = 0; i < 30; i++) {
        deploy_hearer();
        while (counters_of("hears").imported == 0)
            sched_yield();
        ck_assert_int_eq(engine_undeploy(rig.engine, "hears", &dropped, &diag), S4_OK);
        if (i < 29)
            rig_other_fini(&other);
    }
    atomic_store(&speaking.done, true);
    pthread_join(speaking.thread, NULL);
    ck_assert_uint_gt(counters_of("speaks").exported, 29);
    stop();
}
END_TEST

/* What is on its way to an app that goes is counted. */
START_TEST(what_waits_for_who_goes_is_counted)
{
    struct diag diag = { 0 };
    uint64_t dropped;
    start(1);
    deploy_hearer();
    for (uint32_t i = 0; i < 64; i++) { /* nothing of it runs */
        struct host_app *app = atomic_load(&rig.engine->apps[1]);
        struct host_partition *p = atomic_load(&app->partitions[i]);
        ck_assert_str_eq(app->graph->app, "hears");
        partition_hold(p->worker->actor, &p->base);
    }
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n{\"user\":\"b\"}\n{\"user\":\"a\"}\n");
    ck_assert_uint_eq(counters_of("speaks").exported, 3);
    ck_assert_uint_eq(counters_of("hears").imported, 0);
    ck_assert_int_eq(engine_undeploy(rig.engine, "hears", &dropped, &diag), S4_OK);
    ck_assert_uint_eq(dropped, 3);
    stop();
}
END_TEST

static void refused(const char *name, const char *from, s4_status status, const char *why)
{
    char manifest[200];
    struct diag diag = { 0 };
    static struct rig_other kept[8]; /* what is deployed stays until the engine goes */
    static size_t n;
    struct rig_other *it = &kept[n++];
    snprintf(manifest, sizeof manifest, "app: %s\nversion: 1.0.0\nstreams:\n  heard: {from: %s}\n",
             name, from);
    ck_assert_int_eq(rig_try_other(&rig, streams_app_hears(), name, manifest, it, &diag), status);
    CONTAINS(diag.text, why);
    rig_other_fini(it);
}

START_TEST(what_does_not_go_together_is_refused)
{
    struct diag diag = { 0 };
    uint64_t dropped;
    start(1);
    refused("x", "speaks.numbers", S4_TYPE,
            "stream \"heard\" of app \"x\" is of type model.Tick, and speaks.numbers, which it is "
            "from, of model.Answer");
    refused("x", "speaks.sait", S4_INVALID,
            "app \"speaks\" has no stream \"sait\"; did you mean \"said\"?");
    /* The other way round: who is heard comes second. */
    ck_assert_int_eq(engine_undeploy(rig.engine, "speaks", &dropped, &diag), S4_OK);
    ck_assert_int_eq(rig_try_other(&rig, streams_app_hears(), "hears",
                                   FROM("hears", "speaks.numbers"), &other, &diag),
                     S4_OK);
    ck_assert_int_eq(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag), S4_TYPE);
    CONTAINS(diag.text, "is of type model.Tick, and speaks.numbers, which it is from, of "
                        "model.Answer");
    /* Streams that hear each other. */
    refused("back", "back2.heard", S4_OK, "");
    refused("back2", "back.heard", S4_INVALID, "each event would go round for ever");
    refused("back2", "hears.heard", S4_OK, "");
    stop();
}
END_TEST

/* The same name, other attributes: one of a copy of the type has another name. */
START_TEST(types_are_compared_by_their_attributes)
{
    static ProtobufCMessageDescriptor type;
    static ProtobufCFieldDescriptor fields[16];
    static s4_stream odd;
    struct diag diag = { 0 };
    type = model__tick__descriptor;
    ck_assert_uint_le(type.n_fields, ARRAY_LEN(fields));
    memcpy(fields, type.fields, type.n_fields * sizeof fields[0]);
    fields[0].name = "usfr"; /* of a name that stands in the same place */
    type.fields = fields;
    odd = *streams_app_hears()->streams[0];
    odd.name = "odd";
    odd.type = &type;
    /* One app has one type of a name, so the stream that is heard has the other one. */
    static const s4_stream *const only[] = { &odd };
    s4_app speaks = s4_plugin;
    speaks.streams = only;
    speaks.n_streams = 1;
    speaks.n_prototypes = 0;
    rig_start(&rig, &(struct rig_options){ .app = &speaks });
    ck_assert_int_eq(rig_try_other(&rig, streams_app_hears(), "hears", FROM("hears", "speaks.odd"),
                                   &other, &diag),
                     S4_TYPE);
    CONTAINS(diag.text, "of type model.Tick, and speaks.odd, which it is from, of model.Tick, with "
                        "other attributes");
    stop();
}
END_TEST

/* ---- a slot that moves -------------------------------------------------------------------------
 */

struct moved {
    bool done;
    s4_status status;
    struct buffer bytes;
};

static void saved(void *user, s4_status status, struct buffer *bytes)
{
    struct moved *moved = user;
    *moved = (struct moved){ .done = true, .status = status, .bytes = *bytes };
}

static void loaded(void *user, s4_status status, const struct diag *diag)
{
    struct moved *moved = user;
    moved->done = true;
    moved->status = status;
}

static void stand_still(void)
{
    ck_assert_int_eq(engine_still_begin(rig.engine), S4_OK);
    ck_assert(engine_is_still(rig.engine));
}

static s4_status load(uint32_t slot, const char *bytes, size_t size)
{
    struct moved moved = { 0 };
    struct buffer copy;
    buffer_init(&copy);
    ck_assert_int_eq(buffer_append(&copy, bytes, size), S4_OK);
    ck_assert_int_eq(engine_slot_load(rig.engine, slot, &copy, loaded, &moved), S4_OK);
    rig_settle(&rig);
    ck_assert(moved.done);
    return moved.status;
}

/* The slot as it leaves, with 3 events that wait for the hearer's partition; it comes back empty.
 */
static void leave_with_events(struct moved *moved)
{
    static uint16_t map[1];
    struct diag diag = { 0 };
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin, .slots = 1, .nodes = 2, .map = map });
    deploy_hearer();
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n");
    struct host_partition *p = host_partition_at(host_app_at(rig.engine, 1), 0);
    partition_hold(p->worker->actor, &p->base);
    rig_feed(&rig, "told", "{\"user\":\"a\"}\n{\"user\":\"b\"}\n{\"user\":\"a\"}\n");
    ck_assert_uint_eq(counters_of("hears").imported, 1);
    stand_still();
    engine_slot_hold(rig.engine, 0);
    engine_still_end(rig.engine);
    ck_assert_int_eq(engine_slot_save(rig.engine, 0, NULL, saved, moved), S4_OK);
    rig_settle(&rig);
    ck_assert(moved->done && moved->status == S4_OK);
    stand_still();
    engine_slot_close(rig.engine, 0);
    ck_assert_int_eq(engine_slot_open(rig.engine, 0, 0, SLOT_ARRIVING, &diag), S4_OK);
    engine_still_end(rig.engine);
    rig_settle(&rig);
}

START_TEST(waiting_events_move_with_their_slot)
{
    struct moved moved;
    leave_with_events(&moved);
    ck_assert_int_eq(load(0, moved.bytes.data, moved.bytes.size), S4_OK);
    stand_still();
    ck_assert_int_eq(engine_slot_go(rig.engine, 0, 2), S4_OK);
    engine_still_end(rig.engine);
    rig_settle(&rig);
    ck_assert(hears_row("{\"key\":\"a\",\"n\":6,\"note\":\"3 events\"}"));
    ck_assert(hears_row("{\"key\":\"b\",\"n\":1,\"note\":\"1 events\"}"));
    ck_assert_uint_eq(counters_of("hears").imported, 4);
    buffer_fini(&moved.bytes);
    stop();
}
END_TEST

/* Bytes of another node: whatever one is changed to, they are refused, or safe to run. */
START_TEST(damaged_events_are_refused)
{
    struct moved moved;
    uint32_t refusals = 0;
    leave_with_events(&moved);
    struct record *last = NULL;
    for (size_t len = sizeof *last; !last; len += 8) {
        last = (struct record *)(void *)(moved.bytes.data + moved.bytes.size - len);
        last = last->len == len ? last : NULL;
    }
    ck_assert_uint_eq(last->stream, RECORD_STREAM_RESERVED + 5);
    char *body = (char *)(uintptr_t)record_attributes(last);
    for (char *at = body; at < moved.bytes.data + moved.bytes.size; at++) {
        for (int bit = 0; bit < 8; bit += 3) {
            *at ^= (char)(1 << bit);
            refusals += load(0, moved.bytes.data, moved.bytes.size) != S4_OK;
            *at ^= (char)(1 << bit);
        }
    }
    ck_assert_uint_gt(refusals, 50);
    uint32_t none[2] = { 0, 0 }; /* the count says less than there is */
    memcpy(body, none, sizeof none);
    ck_assert_int_eq(load(0, moved.bytes.data, moved.bytes.size), S4_CORRUPT);
    last->src = 0; /* from a slot, by a link */
    ck_assert_int_eq(load(0, moved.bytes.data, moved.bytes.size), S4_CORRUPT);
    stand_still();
    ck_assert_int_eq(engine_slot_go(rig.engine, 0, 2), S4_OK);
    engine_still_end(rig.engine);
    rig_settle(&rig);
    buffer_fini(&moved.bytes);
    stop();
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("streams");
    suite_add(suite, "hear", what_one_app_emits_another_hears, 10);
    suite_add(suite, "many", timers_and_many_events_of_a_run_are_heard, 20);
    suite_add(suite, "failing", what_a_failing_call_emitted_is_not_heard, 10);
    suite_add(suite, "emits_max", a_call_may_export_so_much, 10);
    suite_add(suite, "placeless", an_event_without_a_place_is_a_dead_letter_there, 20);
    suite_add(suite, "incoming", what_comes_in_is_heard_too, 10);
    suite_add(suite, "workers", rows_do_not_depend_on_workers, 60);
    suite_add(suite, "order", either_is_deployed_first, 20);
    suite_add(suite, "threads", hearers_come_and_go_while_it_speaks, 60);
    suite_add(suite, "waiting", what_waits_for_who_goes_is_counted, 10);
    suite_add(suite, "refused", what_does_not_go_together_is_refused, 20);
    suite_add(suite, "types", types_are_compared_by_their_attributes, 10);
    suite_add(suite, "moves", waiting_events_move_with_their_slot, 10);
    suite_add(suite, "damaged", damaged_events_are_refused, 60);
    return suite;
}
