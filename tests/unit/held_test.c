/* Held slots of an app that asks: what its requests and their answers come to. */
#include "tests/support/suite.h"

#include "pe/host/host.h"
#include "pe/host/slots.h"
#include "runtime/actor/pool_sim.h"
#include "tests/support/gates_app.h"
#include "tests/support/rig.h"

#define SLOTS 4

static struct rig rig;
static uint32_t slot; /* of the gate that asks */

static void saw_step(uint32_t gate, uint32_t number, uint32_t steps)
{
}

static void saw_answer(uint32_t gate, uint32_t left)
{
}

/* The pool stands still, so that requests stay out. */
static bool step_engine(void *user)
{
    return engine_step(rig.engine);
}

static void start(void)
{
    static uint16_t map[SLOTS];
    gate_watch = (struct gate_watch){ saw_step, saw_answer };
    rig_start(&rig,
              &(struct rig_options){ .app = &s4_plugin, .slots = SLOTS, .nodes = 2, .map = map });
    rig.step = step_engine;
}

static struct host_app *app(void)
{
    return host_app_at(rig.engine, 0);
}

/* So many requests of one gate; its slot is found by who has them. */
static void ask(uint32_t times)
{
    struct buffer lines;
    buffer_init(&lines);
    for (uint32_t i = 0; i < times; i++)
        ck_assert_int_eq(
            buffer_printf(&lines, "{\"gate\":7,\"number\":%u,\"act\":%d}\n", i + 1, GATE_ASK),
            S4_OK);
    rig_feed(&rig, "steps", buffer_text(&lines));
    buffer_fini(&lines);
    for (slot = 0; slot < SLOTS && !host_partition_at(app(), slot)->jobs;)
        slot++;
    ck_assert_uint_lt(slot, SLOTS);
    ck_assert_uint_eq(atomic_load(&app()->outstanding), times);
}

static void stand_still(void)
{
    ck_assert_int_eq(engine_still_begin(rig.engine), S4_OK);
    ck_assert(engine_is_still(rig.engine));
}

static void hold(void)
{
    stand_still();
    engine_slot_hold(rig.engine, slot);
    engine_still_end(rig.engine);
}

static void let_pool_go(void)
{
    while (pool_sim_step(rig.pool)) {
    }
    rig_settle(&rig);
}

/* ---- undeploy -------------------------------------------------------------------------------- */

static void undeploy(void)
{
    struct diag diag = { 0 };
    uint64_t dropped;
    ck_assert_int_eq(engine_undeploy(rig.engine, "gates", &dropped, &diag), S4_OK);
    rig_stop(&rig);
}

/* Answers that wait for a held partition are not waited for. */
START_TEST(an_app_goes_though_answers_are_held)
{
    start();
    ask(3);
    hold();
    let_pool_go();
    ck_assert_uint_eq(atomic_load(&app()->outstanding), 3);
    undeploy();
}
END_TEST

/* Nor are those that come while undeploy waits. */
START_TEST(an_app_goes_though_an_answer_comes_late)
{
    start();
    ask(1);
    hold();
    atomic_store(&app()->closing, true); /* as undeploy does first */
    let_pool_go();
    ck_assert_uint_eq(atomic_load(&app()->outstanding), 0);
    undeploy();
}
END_TEST

/* ---- limits ---------------------------------------------------------------------------------- */

struct moved {
    bool done;
    s4_status status;
    struct buffer bytes;
    char why[DIAG_TEXT_MAX];
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
    snprintf(moved->why, sizeof moved->why, "%s", diag->text);
}

static struct moved load(const struct buffer *bytes)
{
    struct moved moved = { 0 };
    struct buffer copy;
    buffer_init(&copy);
    ck_assert_int_eq(buffer_append(&copy, bytes->data, bytes->size), S4_OK);
    ck_assert_int_eq(engine_slot_load(rig.engine, slot, &copy, loaded, &moved), S4_OK);
    rig_settle(&rig);
    ck_assert(moved.done);
    return moved;
}

/* A slot comes with as many requests as may be outstanding, and not with one more. */
START_TEST(requests_that_come_have_a_limit)
{
    struct moved state = { 0 };
    struct diag diag = { 0 };
    start();
    ask(ENGINE_REQUESTS_MAX);
    hold();
    ck_assert_int_eq(engine_slot_save(rig.engine, slot, NULL, saved, &state), S4_OK);
    rig_settle(&rig);
    ck_assert(state.done && state.status == S4_OK);
    stand_still();
    engine_slot_close(rig.engine, slot);
    ck_assert_int_eq(engine_slot_open(rig.engine, slot, 0, SLOT_ARRIVING, &diag), S4_OK);
    engine_still_end(rig.engine);
    for (uint32_t i = 1; i < ENGINE_REQUESTS_MAX; i++)
        ck_assert(pool_sim_step(rig.pool));
    rig_settle(&rig);
    ck_assert_uint_eq(atomic_load(&app()->outstanding), 1);
    struct moved refused = load(&state.bytes);
    ck_assert_int_eq(refused.status, S4_FULL);
    ck_assert_ptr_nonnull(strstr(refused.why, "saved state: 4096 requests are outstanding here"));
    let_pool_go();
    ck_assert_uint_eq(atomic_load(&app()->outstanding), 0);
    ck_assert_int_eq(load(&state.bytes).status, S4_OK);
    ck_assert_uint_eq(atomic_load(&app()->outstanding), ENGINE_REQUESTS_MAX);
    let_pool_go();
    buffer_fini(&state.bytes);
    rig_stop(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("held");
    suite_add(suite, "answers", an_app_goes_though_answers_are_held, 20);
    suite_add(suite, "late", an_app_goes_though_an_answer_comes_late, 20);
    suite_add(suite, "requests", requests_that_come_have_a_limit, 20);
    return suite;
}
