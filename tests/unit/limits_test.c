/* The engine's own limits, each at N and N+1: workers, slots, apps, outstanding requests, producers
 * whose numbers a partition remembers. */
#include "tests/support/suite.h"

#include "pe/host/engine.h"
#include "tests/support/gates_app.h"
#include "tests/support/rig.h"

static struct rig rig;

static void watch_step(uint32_t gate, uint32_t number, uint32_t steps)
{
}
static void watch_answer(uint32_t gate, uint32_t left)
{
}

static s4_status create(uint32_t workers, uint32_t slots, struct diag *diag)
{
    struct engine_options options = { .workers = workers, .slots = slots };
    struct engine *engine = NULL;
    s4_status status = engine_create(&options, &engine, diag);
    engine_destroy(engine);
    return status;
}

START_TEST(workers_and_slots)
{
    struct diag diag = { 0 };
    ck_assert_msg(create(1, ENGINE_SLOTS_MAX, &diag) == S4_OK, "%s", diag.text);
    ck_assert_int_eq(create(1, ENGINE_SLOTS_MAX + 1, &diag), S4_RANGE);
    ck_assert_str_eq(diag.text, "4097 slots, at most 4096 are allowed");
    ck_assert_msg(create(ENGINE_WORKERS_MAX, 64, &diag) == S4_OK, "%s", diag.text);
    ck_assert_int_eq(create(ENGINE_WORKERS_MAX + 1, 64, &diag), S4_RANGE);
    ck_assert_str_eq(diag.text, "65 workers, at most 64 are allowed");
}
END_TEST

/* Behind the last node's workers is nobody. */
START_TEST(workers_of_slots)
{
    uint16_t map[] = { 0, 2 * ENGINE_WORKERS_MAX };
    struct engine_options options = { .slots = 2, .nodes = 2, .map = map };
    struct engine *engine = NULL;
    struct diag diag = { 0 };
    ck_assert_msg(engine_create(&options, &engine, &diag) == S4_OK, "%s", diag.text);
    engine_destroy(engine);
    map[1]++;
    ck_assert_int_eq(engine_create(&options, &engine, &diag), S4_RANGE);
    ck_assert_str_eq(diag.text, "slot 1: worker 129, there are 128");
}
END_TEST

static void start(void)
{
    struct rig_options options = { .app = &s4_plugin, .slots = 1 };
    gate_watch = (struct gate_watch){ watch_step, watch_answer };
    rig_start(&rig, &options);
}

START_TEST(apps)
{
    static struct rig_other others[ENGINE_APPS_MAX];
    static char names[ENGINE_APPS_MAX][16];
    struct diag diag = { 0 };
    start();
    for (int i = 0; i < ENGINE_APPS_MAX - 1; i++) {
        snprintf(names[i], sizeof names[i], "other%d", i);
        rig_deploy_other(&rig, &s4_plugin, names[i], &others[i]);
    }
    ck_assert_int_eq(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag), S4_EXISTS);
    uint64_t waited;
    ck_assert_int_eq(engine_undeploy(rig.engine, "gates", &waited, &diag), S4_OK);
    rig_deploy_other(&rig, &s4_plugin, "last", &others[ENGINE_APPS_MAX - 1]);
    ck_assert_int_eq(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag), S4_FULL);
    ck_assert_str_eq(diag.text, "64 apps are deployed, which is the most");
    ck_assert_int_eq(engine_undeploy(rig.engine, "other7", &waited, &diag), S4_OK);
    ck_assert_int_eq(engine_deploy(rig.engine, rig.bundle, rig.plugin, &diag), S4_OK);
    rig_stop(&rig);
    for (int i = 0; i < ENGINE_APPS_MAX; i++)
        rig_other_fini(&others[i]);
}
END_TEST

static bool step_engine(void *engine)
{
    return engine_step(engine);
}

/* Gates `first` to `last` ask, and nobody answers yet. */
static void ask(uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last; i++) {
        char line[64];
        snprintf(line, sizeof line, "{\"gate\":%u,\"number\":1,\"act\":%d}\n", i, GATE_ASK);
        rig_feed(&rig, "steps", line);
    }
}

START_TEST(outstanding_requests)
{
    start();
    rig.step = step_engine;
    rig.step_user = rig.engine;
    ask(1, ENGINE_REQUESTS_MAX);
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 0);
    ask(ENGINE_REQUESTS_MAX + 1, ENGINE_REQUESTS_MAX + 1);
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 1);
    ck_assert(rig_has(&rig, "dead_letters", "\"status\":\"FULL\""));
    rig.step = NULL;
    rig_settle(&rig);
    ask(ENGINE_REQUESTS_MAX + 2, ENGINE_REQUESTS_MAX + 2); /* there is room again */
    ck_assert_uint_eq(rig_count(&rig, "dead_letters"), 1);
    rig_stop(&rig);
}
END_TEST

static s4_status inject(uint64_t producer)
{
    return rig_inject(&rig, "steps", producer, 1, "{\"gate\":1,\"number\":1}\n", INJECTION_APPLIED);
}

/* A partition that is full of producers forgets the one whose last batch is the oldest. */
START_TEST(producers)
{
    start();
    for (uint64_t producer = 1; producer <= ENGINE_PRODUCERS_MAX; producer++)
        ck_assert_int_eq(inject(producer), S4_OK);
    ck_assert_uint_eq(rig_counters(&rig).injected, ENGINE_PRODUCERS_MAX);
    ck_assert_int_eq(inject(1), S4_DUPLICATE); /* all are remembered */
    ck_assert_int_eq(inject(ENGINE_PRODUCERS_MAX + 1), S4_OK);
    ck_assert_int_eq(inject(2), S4_DUPLICATE);
    ck_assert_int_eq(inject(1), S4_OK);
    ck_assert_uint_eq(rig_counters(&rig).injected, ENGINE_PRODUCERS_MAX + 2);
    rig_stop(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("limits");
    suite_add(suite, "engine", workers_and_slots, 60);
    suite_add(suite, "slots_workers", workers_of_slots, 20);
    suite_add(suite, "apps", apps, 60);
    suite_add(suite, "requests", outstanding_requests, 60);
    suite_add(suite, "producers", producers, 120);
    return suite;
}
