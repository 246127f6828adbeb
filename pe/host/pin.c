/* Pins of outputs: the whole of one, in every partition, or the row of one key.
 *
 * A row lies in the partition of the instance that published it. That is mostly the slot of the
 * row's own key, as equal keys meet; then a query by key is one message to one worker. But a PE may
 * publish rows under any key. A partition notes when it has (publish.c), and from then on all are
 * asked for the row of that key, which each finds by its index; none is scanned.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

struct pin_op {
    struct message message; /* to the one worker */
    struct host_app *app;
    uint32_t output; /* HOST_OUTPUTS_MAX: the dead letters */
    bool by_key;
    struct buffer key; /* canonical */
    uint64_t hash;
    uint16_t slot; /* of the key */
    bool nowhere;  /* nothing on this node can have the row */
    struct query_pins *pins;
    _Atomic int status;
    pins_done *done;
    void *user;
};

static void op_free(struct pin_op *op)
{
    buffer_fini(&op->key);
    mem_free(op);
}

/* ---- on the workers ------------------------------------------------------------------------ */

static s4_status pin_output(const struct pin_op *op, struct host_partition *p,
                            struct query_pin *pin)
{
    if (op->output == HOST_OUTPUTS_MAX)
        return rowlog_pin(p->dead, &pin->log);
    struct host_output_state *state = &p->outputs[op->output];
    if (op->by_key)
        return table_pin_key(state->table, op->hash, op->key.data, op->key.size, &pin->table);
    return state->table ? table_pin(state->table, &pin->table) : rowlog_pin(state->log, &pin->log);
}

static void pin_partition(struct pin_op *op, struct host_partition *p, struct query_pin *pin)
{
    pin->partition = p->base.slot;
    pin->time_us = p->now_us;
    s4_status status = pin_output(op, p, pin);
    if (status != S4_OK)
        atomic_store(&op->status, status);
}

static void pin_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    struct pin_op *op = user;
    for (uint32_t slot = 0; !op->nowhere && slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (p && p->worker == worker && host_home(app->engine, slot) == worker)
            pin_partition(op, p, &op->pins->pins[slot]);
    }
}

/* Of as many places as there are slots those stay that got a pin. */
static void close_ranks(struct query_pins *pins)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pins->n; i++)
        if (pins->pins[i].table || pins->pins[i].log)
            pins->pins[n++] = pins->pins[i];
    pins->n = n;
}

static void pins_taken(void *user)
{
    struct pin_op *op = user;
    s4_status status = (s4_status)atomic_load(&op->status);
    if (status != S4_OK) {
        query_pins_destroy(op->pins);
        op->pins = NULL;
    } else {
        close_ranks(op->pins);
    }
    op->done(op->user, status, op->pins);
    op_free(op);
}

static void pin_arrived(void *owner, struct message *message)
{
    struct pin_op *op = CONTAINER_OF(message, struct pin_op, message);
    struct host_partition *p = host_partition_at(op->app, op->slot);
    if (p && p->worker == owner)
        pin_partition(op, p, &op->pins->pins[0]);
    else
        atomic_store(&op->status, S4_UNAVAILABLE); /* it has moved meanwhile */
    pins_taken(op);
}

/* ---- asking -------------------------------------------------------------------------------- */

s4_status host_no_output(const struct host_app *app, const char *name, struct diag *diag)
{
    const char *names[HOST_OUTPUTS_MAX + 1];
    size_t n = 0;
    for (uint32_t i = 0; i < app->n_outputs; i++)
        names[n++] = app->outputs[i].name;
    names[n++] = HOST_DEAD_LETTERS;
    const char *near = query_suggest(name, names, n);
    return diag_set(diag, S4_NOT_FOUND, "app \"%s\" has no output \"%s\"%s%s%s", app->graph->app,
                    name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static s4_status ask_all(struct pin_op *op)
{
    return host_ask_workers(op->app, pin_on_worker, pins_taken, op);
}

static s4_status ask_one(struct pin_op *op, struct host_worker *home)
{
    op->message.run = pin_arrived;
    worker_post(home->actor, &op->message);
    return S4_OK;
}

static s4_status find_key(struct pin_op *op, const struct host_output *output, const char *name,
                          const char *key, struct diag *diag)
{
    if (!output || !output->table)
        return diag_set(diag, S4_TYPE, "output \"%s\": it is a log, and its rows have no key",
                        name);
    TRY(key_parse(&output->key, key, &op->key, diag));
    if (!buffer_text(&op->key)) /* also of an empty one */
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    op->by_key = true;
    op->hash = hash_bytes(op->key.data, op->key.size);
    op->slot = slot_of_hash(op->hash, op->app->engine->map.slots);
    return S4_OK;
}

static s4_status pin(struct pin_op *op, const struct host_output *output, const char *name,
                     const char *key, struct diag *diag)
{
    struct host_app *app = op->app;
    if (key)
        TRY(find_key(op, output, name, key, diag));
    bool one = key && !atomic_load_explicit(&output->astray, memory_order_relaxed);
    struct host_worker *home = one ? host_home(app->engine, op->slot) : NULL;
    op->nowhere = one && !home;
    s4_status status = query_pins_create(output ? output->type : codec_type(app->dead_codec),
                                         output ? output->key_text : NULL,
                                         one ? home != NULL : app->engine->map.slots, &op->pins);
    if (status == S4_OK && key)
        op->pins->home = op->slot;
    if (status == S4_OK)
        status = home ? ask_one(op, home) : ask_all(op);
    return status == S4_OK
               ? S4_OK
               : diag_set(diag, status, "output \"%s\": %s", name, s4_status_text(status));
}

s4_status engine_pin(struct engine *engine, const char *app_name, const char *name, const char *key,
                     pins_done *done, void *user, struct diag *diag)
{
    struct host_app *app = host_app_find(engine, app_name);
    if (!app)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", app_name);
    uint32_t number = HOST_OUTPUTS_MAX;
    const struct host_output *output = host_output_find(app, name, &number);
    if (!output && strcmp(name, HOST_DEAD_LETTERS) != 0)
        return host_no_output(app, name, diag);
    struct pin_op *op = mem_zalloc(sizeof *op);
    if (!op)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    *op = (struct pin_op){ .app = app, .output = number, .done = done, .user = user };
    s4_status status = pin(op, output, name, key, diag);
    if (status != S4_OK) {
        query_pins_destroy(op->pins);
        op_free(op);
    }
    return status;
}
