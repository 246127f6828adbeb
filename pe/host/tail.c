/* Outputs that somebody follows (output/tail.h): control adds a tail to an output in every
 * partition; what a call publishes is offered as it comes, and committed or taken back with the
 * call (README.md, rule 5).
 *
 * Who wants to go on with slots that come later is a follower. When a slot is about to run, each
 * gets a tail of that slot: in its queue lies what comes after all that the slot's node before had
 * in its own. A worker has a bit in the follower from when it added the first tail to its
 * partitions: before that, it will add it to the new one too.
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

/* ---- followers ------------------------------------------------------------------------------ */

struct host_follower {
    struct host_follower *next;
    uint32_t output; /* HOST_OUTPUTS_MAX: the dead letters */
    char *name;      /* of the output; this and the texts of the options are owned */
    struct engine_tail_options options;
    _Atomic uint64_t added; /* workers; those who arrive stand still meanwhile */
};
_Static_assert(ENGINE_WORKERS_MAX <= 64, "a bit each");

static void follower_free(struct host_follower *follower)
{
    union {
        const char *given;
        char *owned; /* by the follower */
    } texts[] = { { follower->options.key }, { follower->options.prefix } };
    mem_free(follower->name);
    mem_free(texts[0].owned);
    mem_free(texts[1].owned);
    mem_free(follower);
}

/* NULL: no memory. */
static struct host_follower *follow(struct host_app *app, uint32_t output, const char *name,
                                    const struct engine_tail_options *options)
{
    struct host_follower *follower = mem_zalloc(sizeof *follower);
    if (!follower)
        return NULL;
    follower->output = output;
    follower->options = *options;
    follower->options.kept = false;
    follower->name = mem_strdup(name);
    follower->options.key = options->key ? mem_strdup(options->key) : NULL;
    follower->options.prefix = options->prefix ? mem_strdup(options->prefix) : NULL;
    if (!follower->name || !follower->options.key != !options->key ||
        !follower->options.prefix != !options->prefix) {
        follower_free(follower);
        return NULL;
    }
    pthread_mutex_lock(&app->followers_lock);
    follower->next = app->followers;
    app->followers = follower;
    pthread_mutex_unlock(&app->followers_lock);
    return follower;
}

static void unfollow(struct host_app *app, const void *user)
{
    pthread_mutex_lock(&app->followers_lock);
    struct host_follower **at = &app->followers;
    while (*at && (*at)->options.user != user)
        at = &(*at)->next;
    struct host_follower *found = *at;
    if (found)
        *at = found->next;
    pthread_mutex_unlock(&app->followers_lock);
    if (found)
        follower_free(found);
}

void host_followers_init(struct host_app *app)
{
    CHECK(pthread_mutex_init(&app->followers_lock, NULL) == 0);
}

void host_followers_fini(struct host_app *app)
{
    while (app->followers)
        unfollow(app, app->followers->options.user);
    pthread_mutex_destroy(&app->followers_lock);
}

void engine_tail_leave(struct engine *engine, const char *app_name, const void *user)
{
    pthread_mutex_lock(&engine->apps_lock);
    struct host_app *app = host_app_find(engine, app_name);
    if (app)
        unfollow(app, user);
    pthread_mutex_unlock(&engine->apps_lock);
}

/* ---- adding -------------------------------------------------------------------------------- */

struct tail_op {
    struct host_app *app;
    uint32_t output; /* HOST_OUTPUTS_MAX: the dead letters */
    bool kept;
    struct tail *tail;
    _Atomic int status;
    struct host_follower *follower; /* NULL: it does not follow; the app's */
    tail_done *done;
    void *user;
};

static s4_status pin_kept(const struct host_partition *p, struct table *table, struct rowlog *log,
                          struct query_pin *pin)
{
    *pin = (struct query_pin){ .partition = p->base.slot, .time_us = p->now_us };
    return table ? table_pin(table, &pin->table) : rowlog_pin(log, &pin->log);
}

static struct tails **tails_of(struct host_partition *p, uint32_t output)
{
    return output == HOST_OUTPUTS_MAX ? &p->dead_tails : &p->outputs[output].tails;
}

/* A log's rows have numbers of their own, which move with it. Changes of a table are counted from
 * `first` on. */
static s4_status add_to(struct host_partition *p, uint32_t output, struct tail *tail,
                        uint64_t first, bool kept)
{
    bool dead = output == HOST_OUTPUTS_MAX;
    struct table *table = dead ? NULL : p->outputs[output].table;
    struct rowlog *log = dead ? p->dead : p->outputs[output].log;
    struct query_pin pin = { 0 };
    if (kept)
        TRY(pin_kept(p, table, log, &pin));
    s4_status status = tails_add(tails_of(p, output), tail, p->base.slot, p->worker->index,
                                 table ? first : rowlog_next_seq(log), kept ? &pin : NULL);
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
        s4_status status = add_to(p, op->output, op->tail, 1, op->kept);
        if (status != S4_OK)
            atomic_store(&op->status, status);
    }
    if (op->follower)
        atomic_fetch_or(&op->follower->added, UINT64_C(1) << worker->index);
}

static void added(void *user)
{
    struct tail_op *op = user;
    s4_status status = (s4_status)atomic_load(&op->status);
    if (status != S4_OK) {
        tail_close(op->tail);
        op->tail = NULL;
        if (op->follower)
            unfollow(op->app, op->follower->options.user);
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
    if (status == S4_OK && options->arrived) {
        op->follower = follow(app, number, name, options);
        status = op->follower ? S4_OK : S4_NO_MEMORY;
    }
    if (status == S4_OK)
        status = host_ask_workers(app, add_on_worker, added, op);
    if (status != S4_OK) {
        if (!diag->text[0])
            diag_set(diag, status, "%s", s4_status_text(status));
        if (op->follower)
            unfollow(app, options->user);
        tail_close(op->tail);
        mem_free(op);
    }
    return status;
}

/* ---- slots that come ------------------------------------------------------------------------- */

/* The numbers of a table's changes rise also when its slot comes and goes. */
static void arrive(struct host_app *app, struct host_follower *follower, struct host_partition *p,
                   uint64_t version)
{
    const struct host_output *output =
        follower->output == HOST_OUTPUTS_MAX ? NULL : &app->outputs[follower->output];
    struct diag diag = { 0 };
    struct tail *tail = NULL;
    if (!(atomic_load(&follower->added) & UINT64_C(1) << p->worker->index) ||
        tails_has(*tails_of(p, follower->output), follower->options.user))
        return; /* the first tail will be, or is there: the slot did not leave after all */
    s4_status status = make_tail(app, output, &follower->options, follower->name, &tail, &diag);
    if (status == S4_OK)
        status = add_to(p, follower->output, tail, (version << 32) + 1, false);
    if (status != S4_OK) {
        tail_close(tail);
        tail = NULL;
    }
    follower->options.arrived(follower->options.user, tail);
}

void host_followers_arrive(struct engine *engine, uint32_t slot, uint64_t version)
{
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        struct host_partition *p = app ? host_partition_at(app, slot) : NULL;
        if (!p)
            continue;
        pthread_mutex_lock(&app->followers_lock);
        for (struct host_follower *follower = app->followers; follower; follower = follower->next)
            arrive(app, follower, p, version);
        pthread_mutex_unlock(&app->followers_lock);
    }
}
