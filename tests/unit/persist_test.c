/* Partitions in a store: they come back in another engine, damage is refused with everything as it
 * was, and every mistake is told. */
#include "tests/support/suite.h"

#include "pe/host/snapshot.h"
#include "runtime/base/mem.h"
#include "runtime/store/store_sim.h"
#include "tests/support/model_app.h"
#include "tests/support/place.h"
#include "tests/support/rig.h"

#define SLOTS 4
#define PART  "model.0.snapshot" SNAPSHOT_PART

static const char *const outputs[] = { "totals", "journal" };

static const char first_events[] = "{\"user\":\"a\",\"n\":2}\n{\"user\":\"b\",\"n\":5}\n"
                                   "{\"user\":\"c\",\"tags\":[\"x\",\"y\"]}\n{\"user\":\"a\"}\n";
static const char more_events[] = "{\"user\":\"a\",\"n\":9}\n{\"user\":\"b\"}\n"
                                  "{\"user\":\"d\",\"tags\":[\"y\"]}\n";

static void start(struct rig *rig, struct store *store, uint32_t slots)
{
    struct rig_options options = { .app = &s4_plugin, .slots = slots, .stores = { store } };
    rig_start(rig, &options);
}

static s4_status save(struct rig *rig, const char *app, uint32_t slot)
{
    struct diag diag = { 0 };
    s4_status status = engine_save(rig->engine, app, slot, &diag);
    ck_assert_int_eq(diag.code, status);
    return status;
}

static s4_status load(struct rig *rig, const char *app, uint32_t slot)
{
    struct diag diag = { 0 };
    s4_status status = engine_load(rig->engine, app, slot, &diag);
    ck_assert_int_eq(diag.code, status);
    return status;
}

static void each(struct rig *rig, s4_status (*call)(struct rig *, const char *, uint32_t))
{
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        ck_assert_int_eq(call(rig, "model", slot), S4_OK);
}

static void check_same(struct rig *a, struct rig *b)
{
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        char *rows[2] = { rig_rows(a, outputs[i]), rig_rows(b, outputs[i]) };
        ck_assert_uint_gt(strlen(rows[0]), 0);
        ck_assert_str_eq(rows[0], rows[1]);
        mem_free(rows[0]);
        mem_free(rows[1]);
    }
    struct engine_counters counters[2] = { rig_counters(a), rig_counters(b) };
    ck_assert_uint_eq(counters[0].instances, counters[1].instances);
    ck_assert_uint_eq(counters[0].state_bytes, counters[1].state_bytes);
    ck_assert_uint_eq(counters[0].timers, counters[1].timers);
}

/* An engine that was never away, and one whose partitions go and come back while it runs, and then
 * come to another. (That one cannot take more events: the links of its feeds begin anew.) */
static void check_return(enum place_kind kind)
{
    struct place place;
    struct rig stays, goes;
    place_open(&place, kind, 1);
    start(&stays, NULL, SLOTS);
    start(&goes, place.store, SLOTS);
    rig_feed(&stays, "ticks", first_events);
    rig_feed(&goes, "ticks", first_events);
    each(&goes, save);
    each(&goes, load);
    check_same(&stays, &goes);
    rig_feed(&stays, "ticks", more_events);
    rig_feed(&goes, "ticks", more_events);
    check_same(&stays, &goes);
    each(&goes, save);
    rig_stop(&goes);
    if (kind == PLACE_SIM)
        store_sim_crash(place.store);
    place_put(&place, PART, "torn", 4);
    place_again(&place);

    start(&goes, place.store, SLOTS);
    ck_assert_int_eq(store_remove(place.store, PART, NULL), S4_NOT_FOUND); /* swept */
    each(&goes, load);
    check_same(&stays, &goes);
    rig_stop(&stays);
    rig_stop(&goes);
    place_close(&place);
}

START_TEST(partitions_come_back)
{
    check_return(PLACE_SIM);
    check_return(PLACE_POSIX);
}
END_TEST

/* Loading counted what s4_alloc gave once more, and instances not at all. */
START_TEST(counts_come_back)
{
    struct place place;
    struct rig rig;
    place_open(&place, PLACE_SIM, 1);
    start(&rig, place.store, SLOTS);
    rig_feed(&rig, "ticks", first_events);
    each(&rig, save);
    struct engine_counters before = rig_counters(&rig);
    each(&rig, load);
    struct engine_counters again = rig_counters(&rig);
    rig_feed(&rig, "ticks", more_events);
    struct engine_counters more = rig_counters(&rig);
    each(&rig, load);
    struct engine_counters after = rig_counters(&rig);
    ck_assert_uint_eq(again.instances, before.instances);
    ck_assert_uint_eq(again.state_bytes, before.state_bytes);
    ck_assert_uint_gt(more.instances, before.instances);
    ck_assert_uint_eq(after.instances, before.instances);
    ck_assert_uint_eq(after.state_bytes, before.state_bytes);
    rig_stop(&rig);
    place_close(&place);
}
END_TEST

START_TEST(mistakes_are_told)
{
    struct place place;
    struct rig rig;
    struct engine_options nothing = { 0 };
    struct rig none = { 0 };
    ck_assert_int_eq(engine_create(&nothing, &none.engine, NULL), S4_OK);
    ck_assert_int_eq(save(&none, "model", 0), S4_STATE);
    ck_assert_int_eq(load(&none, "model", 0), S4_STATE);
    engine_destroy(none.engine);
    place_open(&place, PLACE_SIM, 1);
    start(&rig, place.store, SLOTS);
    ck_assert_int_eq(save(&rig, "nobody", 0), S4_NOT_FOUND);
    ck_assert_int_eq(save(&rig, "model", SLOTS), S4_NOT_FOUND);
    ck_assert_int_eq(load(&rig, "model", SLOTS - 1), S4_NOT_FOUND);
    ck_assert_int_eq(save(&rig, "model", SLOTS - 1), S4_OK);
    ck_assert_int_eq(load(&rig, "model", SLOTS - 1), S4_OK);
    rig_stop(&rig);
    place_close(&place);
}
END_TEST

static void check_refused(struct rig *rig, s4_status wanted)
{
    char *before = rig_rows(rig, "totals");
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        ck_assert_int_eq(load(rig, "model", slot), wanted);
    char *after = rig_rows(rig, "totals");
    ck_assert_str_eq(before, after);
    mem_free(before);
    mem_free(after);
}

START_TEST(refused_state_leaves_the_partition)
{
    struct place place;
    struct rig rig;
    char name[64];
    place_open(&place, PLACE_SIM, 1);
    start(&rig, place.store, SLOTS);
    rig_feed(&rig, "ticks", first_events);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        snprintf(name, sizeof name, "model.%u.snapshot", slot);
        place_put(&place, name, "no snapshot, but as long as the head of one", 43);
    }
    check_refused(&rig, S4_CORRUPT);
    each(&rig, save); /* replaces what was there */
    each(&rig, load);
    rig_stop(&rig);

    start(&rig, place.store, 2 * SLOTS); /* another map */
    rig_feed(&rig, "ticks", first_events);
    check_refused(&rig, S4_VERSION);
    rig_feed(&rig, "ticks", more_events);
    rig_stop(&rig);
    place_close(&place);
}
END_TEST

START_TEST(load_without_memory_leaves_the_partition)
{
    struct place place;
    struct rig rig;
    place_open(&place, PLACE_SIM, 1);
    start(&rig, place.store, 1);
    rig_feed(&rig, "ticks", first_events);
    ck_assert_int_eq(save(&rig, "model", 0), S4_OK);
    rig_feed(&rig, "ticks", more_events);
    char *before = rig_rows(&rig, "totals");
    struct engine_counters counters = rig_counters(&rig);
    s4_status status = S4_NO_MEMORY;
    int64_t n = 0;
    for (; status != S4_OK; n++) {
        mem_fail_after(n);
        status = engine_load(rig.engine, "model", 0, NULL);
        mem_fail_after(-1);
        if (status == S4_OK)
            break;
        char *after = rig_rows(&rig, "totals");
        ck_assert_str_eq(before, after);
        ck_assert_uint_eq(rig_counters(&rig).state_bytes, counters.state_bytes);
        mem_free(after);
    }
    ck_assert_int_gt(n, 10);
    mem_free(before);
    rig_stop(&rig);
    place_close(&place);
}
END_TEST

START_TEST(failed_saves_leave_the_one_before)
{
    struct place place;
    struct rig rig;
    place_open(&place, PLACE_SIM, 1);
    start(&rig, place.store, 1);
    rig_feed(&rig, "ticks", first_events);
    ck_assert_int_eq(save(&rig, "model", 0), S4_OK);
    char *before = rig_rows(&rig, "totals");
    rig_feed(&rig, "ticks", more_events);
    store_sim_set_rate(place.store, STORE_NO_SPACE, 1);
    ck_assert_int_eq(save(&rig, "model", 0), S4_FULL);
    store_sim_set_rate(place.store, STORE_NO_SPACE, 0);
    store_sim_set_rate(place.store, STORE_IO_ERROR, 1);
    ck_assert_int_eq(save(&rig, "model", 0), S4_IO);
    ck_assert_int_eq(load(&rig, "model", 0), S4_IO);
    store_sim_set_rate(place.store, STORE_IO_ERROR, 0);
    ck_assert_int_eq(load(&rig, "model", 0), S4_OK);
    char *after = rig_rows(&rig, "totals");
    ck_assert_str_eq(before, after);
    mem_free(before);
    mem_free(after);
    rig_stop(&rig);
    place_close(&place);
}
END_TEST

START_TEST(engine_needs_its_store)
{
    struct place place;
    struct engine *engine;
    struct diag diag = { 0 };
    place_open(&place, PLACE_SIM, 1);
    store_sim_set_rate(place.store, STORE_IO_ERROR, 1);
    struct engine_options options = { .store = place.store };
    ck_assert_int_eq(engine_create(&options, &engine, &diag), S4_IO);
    ck_assert_uint_gt(strlen(diag.text), 0);
    place_close(&place);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("persist");
    suite_add(suite, "return", partitions_come_back, 30);
    suite_add(suite, "counts", counts_come_back, 10);
    suite_add(suite, "memory", load_without_memory_leaves_the_partition, 30);
    suite_add(suite, "mistakes", mistakes_are_told, 10);
    suite_add(suite, "refused", refused_state_leaves_the_partition, 10);
    suite_add(suite, "failed", failed_saves_leave_the_one_before, 10);
    suite_add(suite, "needs", engine_needs_its_store, 10);
    return suite;
}
