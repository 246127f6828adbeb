/* What may be asked of a running engine: living instances, counts, status; its outputs in pin.c.
 * Questions about partitions are messages to their workers, answered between two runs. */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

/* ---- instances ----------------------------------------------------------------------------- */

static s4_status find_prototype(struct engine *engine, const char *app_name, const char *name,
                                struct host_app **app, struct host_prototype **prototype,
                                struct diag *diag)
{
    *app = host_app_find(engine, app_name);
    if (!*app)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", app_name);
    *prototype = host_prototype_find(*app, name);
    if (*prototype)
        return S4_OK;
    const char *names[GRAPH_PROTOTYPES_MAX];
    for (uint32_t i = 0; i < (*app)->n_prototypes; i++)
        names[i] = (*app)->prototypes[i].name;
    const char *near = query_suggest(name, names, (*app)->n_prototypes);
    return diag_set(diag, S4_NOT_FOUND, "app \"%s\" has no prototype \"%s\"%s%s%s", app_name, name,
                    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* Where the instance of a key lives. Keyless instances live in every partition: their "key" is the
 * partition's number. */
static s4_status locate(struct host_query *query, const char *key, struct diag *diag)
{
    const struct host_prototype *prototype = query->prototype;
    uint32_t slots = query->app->engine->map.slots;
    struct buffer form;
    buffer_init(&form);
    s4_status status = S4_OK;
    query->slot = prototype->singleton_slot;
    if (prototype->key) {
        status = key_parse(prototype->key, key, &form, diag);
        query->slot = 0;
    } else if (!prototype->singleton) {
        char *end;
        unsigned long slot = strtoul(key, &end, 10);
        if (end == key || *end || slot >= slots)
            status = diag_set(diag, S4_RANGE,
                              "prototype \"%s\" is keyless, its key is a partition, 0 to %u: found "
                              "\"%s\"",
                              prototype->name, slots - 1, key);
        query->slot = (uint16_t)slot;
    }
    if (status == S4_OK)
        query->key = mem_zalloc(form.size + 17);
    if (status == S4_OK && query->key) {
        if (form.size)
            memcpy(query->key, form.data, form.size);
        query->key_len = form.size;
        query->hash = hash_bytes(query->key, form.size);
        if (prototype->key)
            query->slot = slot_of_hash(query->hash, slots);
    } else if (status == S4_OK) {
        status = S4_NO_MEMORY;
    }
    buffer_fini(&form);
    return status;
}

s4_status engine_ask(struct engine *engine, const char *app_name, const char *name, const char *key,
                     reply_done *done, void *user, struct diag *diag)
{
    struct host_app *app;
    struct host_prototype *prototype;
    TRY(find_prototype(engine, app_name, name, &app, &prototype, diag));
    if (!prototype->of->query)
        return diag_set(diag, S4_UNSUPPORTED,
                        "prototype \"%s\" of app \"%s\" has no query callback", name, app_name);
    struct host_query *query = mem_zalloc(sizeof *query);
    if (!query)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    query->app = app;
    query->prototype = prototype;
    query->done = done;
    query->user = user;
    s4_status status = locate(query, key, diag);
    if (status == S4_OK && !host_home(engine, query->slot))
        status = diag_set(diag, S4_UNAVAILABLE, "partition %u lives on another node", query->slot);
    if (status != S4_OK) {
        mem_free(query->key);
        mem_free(query);
        return status;
    }
    host_query_post(query);
    return S4_OK;
}

struct count_op {
    uint32_t prototype;
    _Atomic uint64_t count;
    count_done *done;
    void *user;
};

static void count_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    struct count_op *op = user;
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (p && p->worker == worker)
            atomic_fetch_add(&op->count, p->tables[op->prototype].count);
    }
}

static void counted(void *user)
{
    struct count_op *op = user;
    op->done(op->user, S4_OK, atomic_load(&op->count));
    mem_free(op);
}

s4_status engine_count(struct engine *engine, const char *app_name, const char *name,
                       count_done *done, void *user, struct diag *diag)
{
    struct host_app *app;
    struct host_prototype *prototype;
    TRY(find_prototype(engine, app_name, name, &app, &prototype, diag));
    struct count_op *op = mem_zalloc(sizeof *op);
    if (!op)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    op->prototype = prototype->number;
    op->done = done;
    op->user = user;
    s4_status status = host_ask_workers(app, count_on_worker, counted, op);
    if (status != S4_OK)
        mem_free(op);
    return status == S4_OK ? S4_OK : diag_set(diag, status, "out of memory");
}

/* ---- status -------------------------------------------------------------------------------- */

#define SUMS_PATIENCE 20 /* times a millisecond: a handler may never return */

static void sum_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    struct host_sums *sums = user;
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (!p || p->worker != worker)
            continue;
        atomic_fetch_add(&sums->timers, timers_count(p->timers));
        for (uint32_t i = 0; i < app->n_outputs; i++) {
            const struct output_counters *c = p->outputs[i].table
                                                  ? table_counters(p->outputs[i].table)
                                                  : rowlog_counters(p->outputs[i].log);
            atomic_fetch_add(&sums->dropped, c->dropped);
            atomic_fetch_add(&sums->refused, c->refused);
        }
    }
}

static void sums_done(void *user)
{
    struct host_sums *sums = user;
    atomic_store(&sums->asked, false);
}

/* Asks the workers, but does not wait for one that is busy with a long call: then what they said
 * last is as good as it gets. */
static void add_sums(struct host_app *app, struct engine_counters *c)
{
    struct engine *engine = app->engine;
    struct host_sums *sums = &app->sums;
    if (!atomic_load(&sums->asked)) {
        sums->dropped = sums->refused = sums->timers = 0;
        if (!engine->started || !engine->options.threads) {
            for (uint32_t i = 0; i < engine->n_workers; i++)
                sum_on_worker(&engine->workers[i], app, sums);
        } else {
            atomic_store(&sums->asked, true);
            if (host_ask_workers(app, sum_on_worker, sums_done, sums) != S4_OK)
                atomic_store(&sums->asked, false);
        }
    }
    for (int i = 0; i < SUMS_PATIENCE && atomic_load(&sums->asked); i++)
        host_control_wait(engine);
    if (!atomic_load(&sums->asked)) {
        sums->dropped_last = sums->dropped;
        sums->refused_last = sums->refused;
        sums->timers_last = sums->timers;
    }
    c->rows_dropped = sums->dropped_last;
    c->rows_refused = sums->refused_last;
    c->timers = sums->timers_last;
}

static void add_counters(const struct host_counters *from, const struct host_app *app,
                         struct engine_app_status *to)
{
    struct engine_counters *c = &to->counters;
    c->injected += count_get(&from->injected);
    c->applied += count_get(&from->applied);
    c->emitted += count_get(&from->emitted);
    c->published += count_get(&from->published);
    c->dead_letters += count_get(&from->dead_letters);
    c->unheard += count_get(&from->unheard);
    c->shed += count_get(&from->shed);
    c->duplicates += count_get(&from->duplicates) + count_get(&from->link_repeats);
    c->instances += count_get(&from->instances);
    c->created += count_get(&from->created);
    c->removed += count_get(&from->removed);
    c->waiting += count_get(&from->waiting);
    c->mailbox += count_get(&from->mailbox);
    c->mailbox_dropped += count_get(&from->mailbox_dropped);
    c->parked += count_get(&from->parked);
    c->requests += count_get(&from->requests);
    c->answers_dropped += count_get(&from->answers_dropped);
    c->state_bytes += count_get(&from->state_bytes);
    c->imports_lost += count_get(&from->imports_lost);
    for (uint32_t i = 0; i < app->n_streams; i++) {
        c->exported += count_get(&from->streams[i].exported);
        c->imported += count_get(&from->streams[i].imported);
    }
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        to->prototypes[i].events += count_get(&from->prototypes[i].events);
        to->prototypes[i].failures += count_get(&from->prototypes[i].failures);
        to->prototypes[i].created += count_get(&from->prototypes[i].created);
        to->prototypes[i].removed += count_get(&from->prototypes[i].removed);
        to->prototypes[i].instances += count_get(&from->prototypes[i].instances);
    }
}

static uint64_t absent_keys(const struct host_app *app)
{
    const struct engine *engine = app->engine;
    uint64_t n = atomic_load(&app->feed_emitter.absent) + atomic_load(&app->inject_emitter.absent);
    for (uint32_t i = 0; i < engine->n_workers; i++)
        n += atomic_load(&engine->workers[i].emitters[app->number % ENGINE_APPS_MAX].absent);
    return n;
}

static void app_status(struct host_app *app, struct engine_app_status *to)
{
    struct engine *engine = app->engine;
    snprintf(to->name, sizeof to->name, "%s", app->graph->app);
    snprintf(to->version, sizeof to->version, "%s", app->graph->version);
    snprintf(to->build_id, sizeof to->build_id, "%s", plugin_build_id(app->plugin));
    to->paused = atomic_load(&app->paused);
    to->queued_bytes = host_waiting_bytes(app);
    to->copied_bytes = atomic_load(&app->copied);
    to->n_prototypes = app->n_prototypes;
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        snprintf(to->prototypes[i].name, sizeof to->prototypes[i].name, "%s",
                 app->prototypes[i].name);
        to->prototypes[i].sampled_ns = atomic_load(&app->prototypes[i].sampled_ns);
    }
    for (uint32_t i = 0; i < engine->n_workers; i++)
        add_counters(host_counters(&engine->workers[i], app), app, to);
    add_counters(&app->feed_counters, app, to);
    to->counters.absent_keys = absent_keys(app);
    to->counters.shed += count_get(&app->inject_shed);
    add_sums(app, &to->counters);
}

s4_status engine_status(struct engine *engine, struct engine_status *status)
{
    pthread_mutex_lock(&engine->lock);
    struct engine_status made = {
        .uptime_us = engine->options.clock->mono_us(engine->options.clock) - engine->started_us,
        .workers = engine->n_workers,
        .slots = engine->map.slots,
        .memory = block_pool_bytes(engine->pool),
        .memory_soft = engine->options.memory_soft,
        .memory_hard = engine->options.memory_hard,
        .astray = atomic_load_explicit(&engine->astray, memory_order_relaxed),
        .obsolete = atomic_load_explicit(&engine->obsolete, memory_order_relaxed),
    };
    made.apps = mem_calloc(size_max(engine->n_apps, 1), sizeof *made.apps);
    for (uint32_t i = 0; made.apps && i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (app)
            app_status(app, &made.apps[made.n_apps++]);
    }
    pthread_mutex_unlock(&engine->lock);
    if (!made.apps)
        return S4_NO_MEMORY;
    *status = made;
    return S4_OK;
}

/* ---- the worker's idle time ---------------------------------------------------------------- */

bool host_idle(void *user)
{
    struct host_worker *worker = user;
    struct engine *engine = worker->engine;
    bool any = false;
    if (worker->index == 0) {
        any |= host_drains_step(engine);
        if (!engine->options.feed_thread)
            any |= host_feeds_step(engine);
    }
    return any;
}
