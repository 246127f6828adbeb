/* Outputs that somebody follows (output/tail.h): control adds a tail to an output in every
 * partition; what a call publishes is offered as it comes, and committed or taken back with the
 * call (README.md, rule 5).
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "pe/output/deadletter.h"

/* ---- in a run ------------------------------------------------------------------------------ */

void host_tails_append(struct host_partition *p, struct host_output_state *state,
                       const struct value *row)
{
    tails_offer(state->tails, TAIL_ROW, p->now_us, NULL, 0, row);
}

void host_tails_removed(struct host_partition *p, struct host_output_state *state, uint32_t change)
{
    struct table_row row;
    for (uint32_t n = table_changes(state->table); change < n; change++)
        if (table_removed(state->table, change, &row))
            tails_offer(state->tails, TAIL_REMOVED, p->now_us, row.key, row.key_len, &row.value);
}

s4_status host_tails_publish(struct host_partition *p, struct host_output_state *state,
                             const struct key_at *key, const char *bytes, const struct value *row)
{
    uint32_t changes = table_changes(state->table);
    TRY(table_publish(state->table, key->hash, bytes, key->len, row));
    tails_offer(state->tails, TAIL_ROW, p->now_us, bytes, key->len, row);
    host_tails_removed(p, state, changes); /* those that it made room from come after it */
    return S4_OK;
}

void host_tails_call_end(struct tails *tails, bool commit)
{
    if (commit)
        tails_commit(tails);
    else
        tails_rollback(tails);
}

void host_tails_dead(struct host_partition *p, const struct value *row)
{
    tails_offer(p->dead_tails, TAIL_ROW, p->now_us, NULL, 0, row);
    tails_commit(p->dead_tails);
}

void host_tails_sweep(struct host_partition *p)
{
    for (uint32_t i = 0; i < p->app->n_outputs; i++)
        tails_sweep(&p->outputs[i].tails);
    tails_sweep(&p->dead_tails);
}

void host_tails_end(struct host_partition *p)
{
    for (uint32_t i = 0; p->outputs && i < p->app->n_outputs; i++)
        tails_end(&p->outputs[i].tails);
    tails_end(&p->dead_tails);
}

/* ---- adding -------------------------------------------------------------------------------- */

struct tail_op {
    struct host_app *app;
    uint32_t output; /* HOST_OUTPUTS_MAX: the dead letters */
    bool kept;
    struct tail *tail;
    _Atomic int status;
    tail_done *done;
    void *user;
};

static s4_status pin_kept(const struct host_partition *p, struct table *table, struct rowlog *log,
                          struct query_pin *pin)
{
    *pin = (struct query_pin){ .partition = p->base.slot, .time_us = p->now_us };
    return table ? table_pin(table, &pin->table) : rowlog_pin(log, &pin->log);
}

static s4_status add_to(const struct tail_op *op, struct host_partition *p)
{
    bool dead = op->output == HOST_OUTPUTS_MAX;
    struct host_output_state *state = dead ? NULL : &p->outputs[op->output];
    struct tails **tails = dead ? &p->dead_tails : &state->tails;
    struct table *table = dead ? NULL : state->table;
    struct rowlog *log = dead ? p->dead : state->log;
    struct query_pin pin = { 0 };
    if (op->kept)
        TRY(pin_kept(p, table, log, &pin));
    s4_status status = tails_add(tails, op->tail, p->base.slot, p->worker->index,
                                 table ? 1 : rowlog_next_seq(log), op->kept ? &pin : NULL);
    if (status != S4_OK) {
        table_unpin(pin.table);
        rowlog_unpin(pin.log);
    }
    return status;
}

static void add_on_worker(struct host_worker *worker, struct host_app *app, void *user)
{
    struct tail_op *op = user;
    for (uint32_t slot = 0; slot < app->engine->map.slots; slot++) {
        struct host_partition *p = host_partition_at(app, slot);
        if (!p || p->worker != worker)
            continue;
        s4_status status = add_to(op, p);
        if (status != S4_OK)
            atomic_store(&op->status, status);
    }
}

static void added(void *user)
{
    struct tail_op *op = user;
    s4_status status = (s4_status)atomic_load(&op->status);
    if (status != S4_OK) {
        tail_close(op->tail);
        op->tail = NULL;
    }
    op->done(op->user, status, op->tail);
    mem_free(op);
}

/* ---- the type of its rows ------------------------------------------------------------------ */

/* The app's own goes with the app; the tail's lies in the bundle, or is made for it. */
struct tail_type {
    struct bundle *bundle;
    struct schema *dead;
    struct codec *dead_codec;
};

static void type_release(void *owned)
{
    struct tail_type *type = owned;
    codec_destroy(type->dead_codec);
    schema_destroy(type->dead);
    bundle_release(type->bundle);
    mem_free(type);
}

static s4_status find_type(struct tail_type *owned, const struct host_app *app,
                           const struct host_output *output, const struct type **type)
{
    owned->bundle = bundle_hold(app->bundle);
    if (output) {
        *type = schema_find(app->bundle->schema, output->type->name);
        return *type ? S4_OK : S4_TYPE;
    }
    TRY(deadletter_type(&owned->dead, &owned->dead_codec));
    *type = codec_type(owned->dead_codec);
    return S4_OK;
}

static s4_status make_tail(const struct host_app *app, const struct host_output *output,
                           const struct engine_tail_options *options, const char *name,
                           struct tail **tail, struct diag *diag)
{
    struct tail_type *owned = mem_zalloc(sizeof *owned);
    const struct type *type;
    if (!owned)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    s4_status status = find_type(owned, app, output, &type);
    if (status != S4_OK)
        diag_set(diag, status, "output \"%s\": %s", name, s4_status_text(status));
    struct tail_options made = { .output = name,
                                 .type = type,
                                 .key_text = output ? output->key_text : NULL,
                                 .key = options->key,
                                 .prefix = options->prefix,
                                 .kept = options->kept,
                                 .slots = app->engine->map.slots,
                                 .workers = app->engine->n_workers,
                                 .bytes_max = options->bytes_max,
                                 .wake = options->wake,
                                 .user = options->user,
                                 .release = type_release,
                                 .owned = owned };
    if (status == S4_OK)
        status = tail_create(&made, tail, diag);
    if (status != S4_OK)
        type_release(owned);
    return status;
}

s4_status engine_tail(struct engine *engine, const char *app_name, const char *name,
                      const struct engine_tail_options *options, tail_done *done, void *user,
                      struct diag *diag)
{
    struct host_app *app = host_app_find(engine, app_name);
    if (!app)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", app_name);
    uint32_t number = HOST_OUTPUTS_MAX;
    const struct host_output *output = host_output_find(app, name, &number);
    if (!output && strcmp(name, HOST_DEAD_LETTERS) != 0)
        return host_no_output(app, name, diag);
    struct tail_op *op = mem_zalloc(sizeof *op);
    if (!op)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    *op = (struct tail_op){
        .app = app, .output = number, .kept = options->kept, .done = done, .user = user
    };
    s4_status status = make_tail(app, output, options, name, &op->tail, diag);
    if (status == S4_OK && host_ask_workers(app, add_on_worker, added, op) != S4_OK)
        status = diag_set(diag, S4_NO_MEMORY, "out of memory");
    if (status != S4_OK) {
        tail_close(op->tail);
        mem_free(op);
    }
    return status;
}
