/* The rig; see the header. */
#include "tests/support/rig.h"

#include <check.h>
#include <stdatomic.h>
#include <unistd.h>

#include "runtime/actor/pool_sim.h"
#include "runtime/base/mem.h"
#include "runtime/store/store_sim.h"
#include "runtime/text/json.h"

#define SETTLE_MAX 10000000

static void note_alarm(void *user, const char *app, const char *text)
{
    struct rig *rig = user;
    rig->alarms++;
    snprintf(rig->alarm, sizeof rig->alarm, "%s", text);
}

static void note_fault(void *user, const char *text)
{
    struct rig *rig = user;
    snprintf(rig->fault, sizeof rig->fault, "%s", text);
}

static void make_plugin(const s4_app *app, const char *manifest, struct bundle **bundle,
                        struct plugin **plugin)
{
    struct problems problems;
    problems_init(&problems);
    s4_status status = bundle_from_app(app, "app.yaml", manifest, manifest ? strlen(manifest) : 0,
                                       NULL, 0, bundle, &problems);
    ck_assert_msg(status == S4_OK, "%s", problems.count ? problems.list[0].text : "no bundle");
    problems_fini(&problems);
    ck_assert_int_eq(plugin_from_app(app, *bundle, plugin), S4_OK);
}

void rig_start(struct rig *rig, const struct rig_options *o)
{
    struct diag diag = { 0 };
    *rig = (struct rig){ .name = o->app->name, .threads = o->threads };
    clock_sim_init(&rig->clock, RIG_START_US);
    if (!o->threads)
        ck_assert_int_eq(pool_sim_create(100000, o->seed ? o->seed : 1, &rig->pool), S4_OK);
    struct store_sim_options store = { .seed = o->seed };
    if (!o->without_store && !o->stores[o->node])
        ck_assert_int_eq(store_sim_create(&store, &rig->store), S4_OK);
    struct engine_options options = {
        .workers = o->workers,
        .slots = o->slots,
        .block_size = o->block_size,
        .memory_soft = o->memory_soft,
        .memory_hard = o->memory_hard,
        .threads = o->threads,
        .seed = o->seed ? o->seed : 1,
        .clock = o->clock     ? o->clock
                 : o->threads ? NULL
                              : &rig->clock.clock,
        .requests = rig->pool,
        .store = o->without_store ? NULL
                 : rig->store     ? rig->store
                                  : o->stores[o->node],
        .alarm = note_alarm,
        .fault = note_fault,
        .user = rig,
        .remote = o->remote,
        .nodes = o->nodes,
        .node = o->node,
        .map = o->map,
        .genesis = o->genesis,
        .apps_wait = o->apps_wait,
    };
    ck_assert_msg(engine_create(&options, &rig->engine, &diag) == S4_OK, "%s", diag.text);
    make_plugin(o->app, o->manifest, &rig->bundle, &rig->plugin);
    ck_assert_msg(engine_start(rig->engine, &diag) == S4_OK, "%s", diag.text);
    ck_assert_msg(engine_deploy(rig->engine, rig->bundle, rig->plugin, &diag) == S4_OK, "%s",
                  diag.text);
}

void rig_stop(struct rig *rig)
{
    engine_destroy(rig->engine);
    pool_destroy(rig->pool);
    store_destroy(rig->store);
    plugin_release(rig->plugin);
    bundle_release(rig->bundle);
    ck_assert_msg(rig->fault[0] == '\0', "fault: %s", rig->fault);
}

s4_status rig_try_other(struct rig *rig, const s4_app *app, const char *name, const char *manifest,
                        struct rig_other *other, struct diag *diag)
{
    other->app = *app;
    other->app.name = name;
    make_plugin(&other->app, manifest, &other->bundle, &other->plugin);
    return engine_deploy(rig->engine, other->bundle, other->plugin, diag);
}

void rig_deploy_other(struct rig *rig, const s4_app *app, const char *name, struct rig_other *other)
{
    struct diag diag = { 0 };
    ck_assert_msg(rig_try_other(rig, app, name, NULL, other, &diag) == S4_OK, "%s", diag.text);
}

void rig_other_fini(struct rig_other *other)
{
    plugin_release(other->plugin);
    bundle_release(other->bundle);
}

static bool step(struct rig *rig)
{
    if (rig->step)
        return rig->step(rig->step_user);
    bool any = engine_step(rig->engine);
    any |= rig->pool && pool_sim_step(rig->pool);
    return any;
}

void rig_settle(struct rig *rig)
{
    for (uint32_t n = 0; n < SETTLE_MAX; n++)
        if (!step(rig))
            return;
    ck_abort_msg("the engine does not settle");
}

void rig_advance(struct rig *rig, uint64_t by_us)
{
    clock_sim_advance(&rig->clock, by_us);
    rig_settle(rig);
}

/* Until *done; by hand or by waiting for the threads. */
static void wait_for(struct rig *rig, _Atomic bool *done)
{
    for (uint32_t n = 0; !atomic_load(done) && n < SETTLE_MAX; n++) {
        if (rig->threads) {
            usleep(200);
            continue;
        }
        if (!step(rig))
            clock_sim_advance(&rig->clock, 100); /* what the engine does once a millisecond */
    }
    ck_assert_msg(atomic_load(done), "no answer");
}

/* ---- events in ----------------------------------------------------------------------------- */

struct lines_feed {
    struct feed feed;
    struct writer writer;
    const struct type *type;
    const char *at;
    s4_status status;
    _Atomic bool closed;
};

/* One line; false: none is left. */
static bool next_line(const char **at, const char **line, size_t *len)
{
    while (**at == '\n')
        ++*at;
    if (!**at)
        return false;
    *line = *at;
    const char *end = strchr(*at, '\n');
    *len = end ? (size_t)(end - *at) : strlen(*at);
    *at += *len;
    return true;
}

static void read_event(struct writer *writer, const struct type *type, const char *line, size_t len,
                       struct value *value)
{
    struct diag diag = { 0 };
    ck_assert_msg(json_read(writer, type, line, len, value, &diag) == S4_OK, "%.*s: %s", (int)len,
                  line, diag.text);
}

static s4_status lines_step(struct feed *feed, struct feeder *feeder, uint32_t budget)
{
    struct lines_feed *f = CONTAINER_OF(feed, struct lines_feed, feed);
    const char *line;
    size_t len;
    while (budget-- > 0) {
        if (!next_line(&f->at, &line, &len))
            return S4_END;
        struct value value;
        read_event(&f->writer, f->type, line, len, &value);
        s4_status status = feeder_give(feeder, &value);
        if (status != S4_OK)
            return status;
    }
    return S4_OK;
}

static void lines_closed(struct feed *feed, s4_status status)
{
    struct lines_feed *f = CONTAINER_OF(feed, struct lines_feed, feed);
    f->status = status;
    atomic_store(&f->closed, true);
}

static const struct type *stream_type(const struct rig *rig, const char *stream)
{
    const S4__Graph__Graph *graph = rig->bundle->graph;
    for (size_t i = 0; i < graph->n_streams; i++)
        if (strcmp(graph->streams[i]->name, stream) == 0)
            return schema_find(rig->bundle->schema, graph->streams[i]->type);
    ck_abort_msg("no stream %s", stream);
    return NULL;
}

void rig_feed(struct rig *rig, const char *stream, const char *lines)
{
    struct diag diag = { 0 };
    struct lines_feed f = { .feed = { .step = lines_step, .closed = lines_closed },
                            .at = lines,
                            .type = stream_type(rig, stream) };
    writer_init(&f.writer);
    ck_assert_msg(engine_feed(rig->engine, rig->name, stream, &f.feed, &diag) == S4_OK, "%s",
                  diag.text);
    wait_for(rig, &f.closed);
    ck_assert_int_eq(f.status, S4_END);
    writer_fini(&f.writer);
    if (!rig->threads)
        rig_settle(rig);
}

struct answer {
    _Atomic bool done;
    s4_status status;
    struct query_pins *pins;
    struct engine_drained drained;
    struct buffer text;
};

static void injected(void *user, s4_status status)
{
    struct answer *answer = user;
    answer->status = status;
    atomic_store(&answer->done, true);
}

s4_status rig_inject(struct rig *rig, const char *stream, uint64_t producer, uint64_t number,
                     const char *lines, enum injection_ack ack)
{
    struct diag diag = { 0 };
    struct injection *injection;
    struct writer writer;
    const char *line;
    size_t len;
    s4_status status =
        engine_inject_begin(rig->engine, rig->name, stream, producer, number, &injection, &diag);
    if (status != S4_OK)
        return status;
    writer_init(&writer);
    while (next_line(&lines, &line, &len)) {
        struct value value;
        read_event(&writer, injection_type(injection), line, len, &value);
        ck_assert_msg(injection_add(injection, &value, &diag) == S4_OK, "%s", diag.text);
    }
    writer_fini(&writer);
    struct answer answer = { 0 };
    status = engine_inject(rig->engine, &injection, ack, injected, &answer);
    if (status != S4_OK) {
        injection_destroy(injection);
        return status;
    }
    wait_for(rig, &answer.done);
    return answer.status;
}

void rig_reload(struct rig *rig, uint32_t slot)
{
    struct diag diag = { 0 };
    ck_assert_msg(engine_save(rig->engine, rig->name, slot, &diag) == S4_OK, "%s", diag.text);
    ck_assert_msg(engine_load(rig->engine, rig->name, slot, &diag) == S4_OK, "%s", diag.text);
}

static void drained(void *user, s4_status status, const struct engine_drained *what)
{
    struct answer *answer = user;
    answer->status = status;
    answer->drained = *what;
    atomic_store(&answer->done, true);
}

s4_status rig_drain(struct rig *rig, bool finish, struct engine_drained *what)
{
    struct diag diag = { 0 };
    struct answer answer = { 0 };
    ck_assert_msg(engine_drain(rig->engine, rig->name, finish, drained, &answer, &diag) == S4_OK,
                  "%s", diag.text);
    wait_for(rig, &answer.done);
    if (what)
        *what = answer.drained;
    return answer.status;
}

/* ---- answers out --------------------------------------------------------------------------- */

static void pinned(void *user, s4_status status, struct query_pins *pins)
{
    struct answer *answer = user;
    answer->status = status;
    answer->pins = pins;
    atomic_store(&answer->done, true);
}

static void run_query(struct rig *rig, const char *output, struct buffer *text, size_t *rows)
{
    struct diag diag = { 0 };
    struct answer answer = { 0 };
    ck_assert_msg(engine_pin(rig->engine, rig->name, output, NULL, pinned, &answer, &diag) == S4_OK,
                  "%s", diag.text);
    wait_for(rig, &answer.done);
    ck_assert_int_eq(answer.status, S4_OK);
    struct query_request request = { .output = output };
    struct query *query;
    struct query_result result;
    ck_assert_msg(query_compile(&request, answer.pins->type, answer.pins->key, &query, &diag) ==
                      S4_OK,
                  "%s", diag.text);
    ck_assert_int_eq(query_run(query, answer.pins, &result), S4_OK);
    ck_assert_int_eq(query_write_json(&result, text), S4_OK);
    *rows = result.n_rows;
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(answer.pins);
}

char *rig_rows(struct rig *rig, const char *output)
{
    struct buffer text;
    size_t rows;
    buffer_init(&text);
    run_query(rig, output, &text, &rows);
    ck_assert_ptr_nonnull(buffer_text(&text));
    return text.data;
}

size_t rig_count(struct rig *rig, const char *output)
{
    struct buffer text;
    size_t rows;
    buffer_init(&text);
    run_query(rig, output, &text, &rows);
    buffer_fini(&text);
    return rows;
}

bool rig_has(struct rig *rig, const char *output, const char *text)
{
    char *rows = rig_rows(rig, output);
    bool has = strstr(rows, text) != NULL;
    if (!has)
        fprintf(stderr, "%s: wanted %s in:\n%s", output, text, rows);
    mem_free(rows);
    return has;
}

static void replied(void *user, s4_status status, const struct value *reply, const char *cause)
{
    struct answer *answer = user;
    answer->status = status;
    if (status == S4_OK)
        ck_assert_int_eq(json_write(reply, &answer->text), S4_OK);
    atomic_store(&answer->done, true);
}

char *rig_ask(struct rig *rig, const char *prototype, const char *key, s4_status *status)
{
    struct diag diag = { 0 };
    struct answer answer = { 0 };
    buffer_init(&answer.text);
    *status = engine_ask(rig->engine, rig->name, prototype, key, replied, &answer, &diag);
    if (*status != S4_OK)
        return NULL;
    wait_for(rig, &answer.done);
    *status = answer.status;
    if (answer.status != S4_OK)
        return NULL;
    ck_assert_ptr_nonnull(buffer_text(&answer.text));
    return answer.text.data;
}

struct engine_counters rig_counters(struct rig *rig)
{
    struct engine_status status;
    ck_assert_int_eq(engine_status(rig->engine, &status), S4_OK);
    struct engine_counters counters = status.apps[0].counters;
    mem_free(status.apps);
    return counters;
}
