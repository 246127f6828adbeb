/* One call into a plugin, whole or taken back.
 *
 * A call begins with call_begin and ends with host_call_end (or, when it did nothing but emit and
 * answered S4_OK, with a commit inline). On success what it emitted leaves, what it published
 * stays, what it asked is submitted; on failure all three are taken back, the state stays as it is,
 * and the event goes to the dead letters. S4_REMOVE is success, and the instance goes.
 */
#include "pe/host/host_run.h"

#include <stdarg.h>

#include "pe/output/deadletter.h"

static inline void call_begin(struct host_ctx *ctx, struct host_prototype *prototype,
                              uint32_t number, enum call_kind kind)
{
    ctx->prototype = prototype;
    ctx->table = &ctx->partition->tables[prototype->number];
    ctx->number = number;
    ctx->kind = (uint8_t)kind;
}

/* ---- the end of a call --------------------------------------------------------------------- */

static void outputs_end(struct host_ctx *ctx, bool commit)
{
    while (ctx->outputs) {
        uint32_t i = (uint32_t)__builtin_ctzll(ctx->outputs);
        ctx->outputs &= ctx->outputs - 1;
        struct host_output_state *state = &ctx->partition->outputs[i];
        if (UNLIKELY(state->tails != NULL))
            host_tails_call_end(state->tails, commit);
        if (state->table && commit)
            table_commit(state->table);
        else if (state->table)
            table_rollback(state->table);
        else if (commit)
            rowlog_commit(state->log);
        else
            rowlog_rollback(state->log);
    }
}

static void start_waiting(struct host_ctx *ctx)
{
    struct instance *instance = instances_at(ctx->table, ctx->number);
    if (!(instance->flags & INSTANCE_WAITING)) {
        instance->flags |= INSTANCE_WAITING;
        count_add(&host_counters(ctx->worker, ctx->app)->waiting, 1);
    }
}

s4_status host_call_end(struct host_ctx *ctx, s4_status returned)
{
    if (ctx->emitter->failed != S4_OK)
        host_emit_failed(ctx);
    bool ok = ctx->failed == S4_OK && (returned == S4_OK || returned == S4_REMOVE);
    if (UNLIKELY(ctx->worker->exports.events.size > ctx->worker->exports.kept))
        host_exports_call_end(ctx->worker, ok);
    s4_status status = ctx->failed != S4_OK ? ctx->failed : returned;
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    if (ok) {
        count_add(&counters->emitted, emitter_emitted(ctx->emitter));
        emitter_commit(ctx->emitter);
        count_add(&counters->published, ctx->published);
        outputs_end(ctx, true);
        if (ctx->jobs)
            host_jobs_submit(ctx);
        if (ctx->wait)
            start_waiting(ctx);
    } else {
        emitter_rollback(ctx->emitter);
        outputs_end(ctx, false);
        host_jobs_drop(ctx);
    }
    ctx->failed = S4_OK;
    ctx->touched = 0;
    ctx->published = 0;
    ctx->asked = false;
    ctx->wait = false;
    return status;
}

static inline s4_status call_finish(struct host_ctx *ctx, s4_status returned)
{
    if (LIKELY(host_call_is_plain(ctx, returned))) {
        host_call_commit(ctx);
        return S4_OK;
    }
    return host_call_end(ctx, returned);
}

s4_status host_call(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                    enum call_kind kind, s4_status (*fn)(s4_ctx *, void *))
{
    call_begin(ctx, prototype, number, kind);
    struct instance *instance = instances_at(ctx->table, number);
    return call_finish(ctx, fn(&ctx->pub, instance_state(ctx->table, instance)));
}

/* ---- failures ------------------------------------------------------------------------------ */

void host_alarm(struct host_app *app, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct engine_options *options = &app->engine->options;
    if (options->alarm)
        options->alarm(options->user, app->graph->app, text);
    else
        log_write(options->log, LOG_WARN, "%s: %s", app->graph->app, text);
}

void host_dead_letter(struct host_ctx *ctx, const struct record *record,
                      const struct host_prototype *prototype, s4_status status, const char *cause)
{
    struct host_app *app = ctx->app;
    struct host_counters *counters = host_counters(ctx->worker, app);
    count_add(&counters->dead_letters, 1);
    const struct host_pair *pair =
        record && record->stream < app->n_pairs ? &app->pairs[record->stream] : NULL;
    struct deadletter letter = {
        .version = app->graph->version,
        .stream = pair ? app->streams[pair->stream].name : "",
        .prototype = prototype ? prototype->name : "",
        .status = status,
        .cause = cause && *cause ? cause : s4_status_text(status),
    };
    struct buffer key;
    buffer_init(&key);
    if (record && pair && pair->route.kind == ROUTE_KEYED &&
        key_format(&pair->route.spec, record_key(record), record_key_len(record), &key) == S4_OK)
        letter.key = buffer_text(&key);
    struct value event;
    if (pair) {
        event = value_of_record(app->streams[pair->stream].type, record);
        letter.event = &event;
    }
    struct value row;
    if (deadletter_row(app->dead_codec, &letter, &ctx->worker->row, &row) != S4_OK ||
        rowlog_append(ctx->partition->dead, ctx->partition->now_us, &row) != S4_OK)
        count_add(&counters->dropped, 1);
    else if (UNLIKELY(ctx->partition->dead_tails != NULL))
        host_tails_dead(ctx->partition, &row);
    rowlog_commit(ctx->partition->dead);
    buffer_fini(&key);
}

/* The instance stays; too many failures in a row park its key. */
static void note_failure(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number)
{
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    count_add(&counters->prototypes[prototype->number].failures, 1);
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct instance *instance = instances_at(table, number);
    if (instance->failures < UINT8_MAX)
        instance->failures++;
    if (instance->failures < ctx->app->parked_after || (instance->flags & INSTANCE_PARKED))
        return;
    instance->flags |= INSTANCE_PARKED;
    count_add(&counters->parked, 1);
    struct buffer key;
    buffer_init(&key);
    if (prototype->key)
        (void)!key_format(prototype->key, instance_key(instance), instance->key_len, &key);
    host_alarm(ctx->app,
               "prototype %s, key \"%s\": parked after %u failures in a row, the last: %s",
               prototype->name, key.size ? buffer_text(&key) : "", instance->failures, ctx->cause);
    buffer_fini(&key);
}

static void call_failed(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                        s4_status status, const struct record *record)
{
    if (ctx->cause[0] == '\0')
        snprintf(ctx->cause, sizeof ctx->cause, "the handler answered: %s", s4_status_text(status));
    host_dead_letter(ctx, record, prototype, status, ctx->cause);
    note_failure(ctx, prototype, number);
    ctx->cause[0] = '\0';
}

/* What a call other than an event's came to. */
void host_call_came_to(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                       s4_status status)
{
    if (LIKELY(status == S4_OK))
        return;
    if (status == S4_REMOVE)
        host_instance_remove(ctx, prototype, number, true);
    else
        call_failed(ctx, prototype, number, status, NULL);
}

/* ---- instances ----------------------------------------------------------------------------- */

void host_instance_remove(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                          bool callback)
{
    struct host_partition *p = ctx->partition;
    struct instances *table = &p->tables[prototype->number];
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    if (callback && prototype->of->remove) {
        s4_status status = host_call(ctx, prototype, number, CALL_REMOVE, prototype->of->remove);
        if (status != S4_OK && status != S4_REMOVE)
            call_failed(ctx, prototype, number, status, NULL);
    }
    struct instance *instance = instances_at(table, number);
    host_mailbox_clear(ctx, prototype, instance);
    if (instance->flags & INSTANCE_WAITING)
        count_sub(&counters->waiting, 1);
    if (instance->flags & INSTANCE_PARKED)
        count_sub(&counters->parked, 1);
    uint64_t freed = host_heap_clear(prototype, table, instance);
    p->heap_bytes[prototype->number] -= freed;
    count_sub(&counters->state_bytes, freed + table->entry_size);
    if (prototype->of->timer)
        timers_cancel_all(p->timers, prototype->number, number);
    instances_remove(table, number);
    count_add(&counters->removed, 1);
    count_sub(&counters->instances, 1);
    count_add(&counters->prototypes[prototype->number].removed, 1);
    count_sub(&counters->prototypes[prototype->number].instances, 1);
}

/* Makes room for one more: the one unused longest goes. */
static s4_status make_room(struct host_ctx *ctx, struct host_prototype *prototype)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    for (;;) {
        uint64_t bytes = instances_bytes(table) + ctx->partition->heap_bytes[prototype->number];
        if (table->count < table->max && bytes + table->entry_size <= prototype->bytes_max)
            return S4_OK;
        uint32_t oldest = prototype->refuse ? INSTANCE_NONE : instances_oldest(table);
        if (oldest == INSTANCE_NONE)
            return S4_FULL;
        host_instance_remove(ctx, prototype, oldest, true);
    }
}

static void arm_ttl(struct host_ctx *ctx, const struct host_prototype *prototype)
{
    struct host_partition *p = ctx->partition;
    if (prototype->ttl_ms == 0 || p->ttl_due_us[prototype->number] != HOST_NEVER)
        return;
    uint64_t due = p->now_us + prototype->ttl_ms * 1000;
    p->ttl_due_us[prototype->number] = due;
    if (due < p->due_us)
        p->due_us = due;
}

s4_status host_instance_make(struct host_ctx *ctx, struct host_prototype *prototype, uint64_t hash,
                             const char *key, size_t len, uint32_t *number)
{
    struct host_partition *p = ctx->partition;
    struct instances *table = &p->tables[prototype->number];
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    if (UNLIKELY(table->count >= table->max ||
                 ((table->count & 63) == 0 || prototype->extra_heap != INSTANCE_NONE)))
        TRY(make_room(ctx, prototype));
    uint32_t made;
    TRY(instances_create(table, hash, key, len, p->now_us / 1000, &made));
    count_add(&counters->created, 1);
    count_add(&counters->instances, 1);
    count_add(&counters->state_bytes, table->entry_size);
    count_add(&counters->prototypes[prototype->number].created, 1);
    count_add(&counters->prototypes[prototype->number].instances, 1);
    arm_ttl(ctx, prototype);
    struct instance *instance = instances_at(table, made);
    if (prototype->extra_life != INSTANCE_NONE)
        *host_life(prototype, table, instance) = ++p->lives;
    if (prototype->of->state_kind == S4_MESSAGE)
        protobuf_c_message_init(prototype->of->state_type, instance_state(table, instance));
    if (prototype->of->create) {
        s4_status status = host_call(ctx, prototype, made, CALL_CREATE, prototype->of->create);
        if (status != S4_OK) {
            host_instance_remove(ctx, prototype, made, false);
            return status;
        }
    }
    *number = made;
    return S4_OK;
}

/* ---- events -------------------------------------------------------------------------------- */

static void fire_trigger(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number)
{
    s4_status status = host_call(ctx, prototype, number, CALL_TRIGGER, prototype->of->trigger);
    host_call_came_to(ctx, prototype, number, status);
}

static uint64_t *extra_at(const struct host_ctx *ctx, const struct host_prototype *prototype,
                          uint32_t number, uint32_t offset)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct instance *instance = instances_at(table, number);
    return (uint64_t *)(void *)((char *)instance_extra(table, instance) + offset);
}

static void arm_output(struct host_ctx *ctx, const struct host_prototype *prototype)
{
    struct host_partition *p = ctx->partition;
    uint64_t *due = &p->output_due_us[prototype->number];
    if (prototype->output_every_us == 0 || *due != HOST_NEVER)
        return;
    uint64_t every = prototype->output_every_us;
    *due = prototype->output_aligned ? (p->now_us / every + 1) * every : p->now_us + every;
    if (*due < p->due_us)
        p->due_us = *due;
}

static bool is_living(const struct host_ctx *ctx, const struct host_prototype *prototype,
                      uint32_t number)
{
    const struct instances *table = &ctx->partition->tables[prototype->number];
    return number < table->high && (instances_at(table, number)->flags & INSTANCE_LIVE);
}

/* Triggers and outputs that count events. */
static void after_event(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                        bool gap)
{
    if (prototype->extra_trigger != INSTANCE_NONE) {
        uint64_t *since = extra_at(ctx, prototype, number, prototype->extra_trigger);
        if (++*since >= prototype->trigger_events || gap) {
            *since = 0;
            fire_trigger(ctx, prototype, number);
        }
    } else if (gap) {
        fire_trigger(ctx, prototype, number);
    }
    arm_output(ctx, prototype);
    if (prototype->extra_output == INSTANCE_NONE || !is_living(ctx, prototype, number))
        return;
    uint64_t *since = extra_at(ctx, prototype, number, prototype->extra_output);
    if (++*since < prototype->output_events)
        return;
    *since = 0;
    host_output_call(ctx, prototype, number);
}

void host_output_call(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    instances_at(table, number)->flags &= (uint8_t)~INSTANCE_DIRTY;
    s4_status status = host_call(ctx, prototype, number, CALL_OUTPUT, prototype->of->output);
    host_call_came_to(ctx, prototype, number, status);
}

/* Was the event before this one longer ago than the trigger's gap? Notes this one's time. */
static bool gap_passed(struct host_ctx *ctx, const struct host_prototype *prototype,
                       uint32_t number)
{
    if (prototype->extra_gap == INSTANCE_NONE)
        return false;
    uint64_t *last = extra_at(ctx, prototype, number, prototype->extra_gap);
    uint64_t now = ctx->partition->now_us;
    bool passed = *last != 0 && now > *last && now - *last > prototype->trigger_gap_us;
    *last = now ? now : 1;
    return passed;
}

static void event_failed(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                         s4_status status, const struct record *record)
{
    if (status == S4_REMOVE)
        host_instance_remove(ctx, prototype, number, true);
    else
        call_failed(ctx, prototype, number, status, record);
}

/* The call itself; the instance lives and takes events. */
static inline void deliver_now(struct host_ctx *ctx, struct host_prototype *prototype,
                               event_fn *on_event, uint32_t number, const struct record *record,
                               const void *event)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct instance *instance = instances_at(table, number);
    instance->last_ms = host_now_ms(ctx->partition, prototype);
    bool gap = UNLIKELY(prototype->before) && gap_passed(ctx, prototype, number);
    call_begin(ctx, prototype, number, CALL_EVENT);
    s4_status status =
        call_finish(ctx, on_event(&ctx->pub, instance_state(table, instance), event));
    if (UNLIKELY(status != S4_OK)) {
        event_failed(ctx, prototype, number, status, record);
        return;
    }
    if (UNLIKELY(instance->failures))
        instance->failures = 0;
    /* Not only set: another version of the app may have saved one that had an output. */
    instance->flags = (uint8_t)((instance->flags & ~INSTANCE_DIRTY) | prototype->dirty_flag);
    if (UNLIKELY(prototype->after || gap))
        after_event(ctx, prototype, number, gap);
}

void host_event_end(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                    const struct record *record, s4_status returned)
{
    s4_status status = host_call_end(ctx, returned);
    if (status != S4_OK) {
        event_failed(ctx, prototype, number, status, record);
        return;
    }
    struct instances *table = &ctx->partition->tables[prototype->number];
    instances_at(table, number)->flags |= prototype->dirty_flag;
}

void host_deliver_now(struct host_ctx *ctx, struct host_prototype *prototype, event_fn *on_event,
                      uint32_t number, const struct record *record, const void *event)
{
    deliver_now(ctx, prototype, on_event, number, record, event);
}

static bool is_expired(const struct host_ctx *ctx, const struct host_prototype *prototype,
                       const struct instance *instance)
{
    uint32_t now = host_now_ms(ctx->partition, prototype);
    return now >= instance->last_ms && now - instance->last_ms >= prototype->ttl_ms;
}

/* An instance for the event's key: the one there is, unless its time is over, or a new one. */
static s4_status find_or_make(struct host_ctx *ctx, struct host_prototype *prototype,
                              const struct record *record, uint32_t *number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    const char *key = record_key(record);
    size_t len = record_key_len(record);
    uint32_t found = instances_find(table, record->key_hash, key, len);
    if (UNLIKELY(found != INSTANCE_NONE && prototype->ttl_ms)) {
        struct instance *instance = instances_at(table, found);
        if (!(instance->flags & (INSTANCE_WAITING | INSTANCE_QUEUED)) &&
            is_expired(ctx, prototype, instance)) {
            host_instance_remove(ctx, prototype, found, true);
            found = INSTANCE_NONE;
        }
    }
    if (UNLIKELY(found == INSTANCE_NONE)) {
        return host_instance_make(ctx, prototype, record->key_hash, key, len, number);
    }
    *number = found;
    return S4_OK;
}

static void make_failed(struct host_ctx *ctx, struct host_prototype *prototype, s4_status status,
                        const struct record *record)
{
    if (ctx->cause[0] == '\0')
        snprintf(ctx->cause, sizeof ctx->cause,
                 status == S4_FULL ? "the bound on instances of prototype %s is reached"
                                   : "prototype %s: no instance could be made",
                 prototype->name);
    host_dead_letter(ctx, record, prototype, status, ctx->cause);
    count_add(&host_counters(ctx->worker, ctx->app)->prototypes[prototype->number].failures, 1);
    ctx->cause[0] = '\0';
}

/* To one instance, whatever its state. False: stall. */
static bool deliver_to(struct host_ctx *ctx, struct host_pair *pair, uint32_t sub, uint32_t number,
                       const struct record *record, const void *event)
{
    const struct host_subscription *s = &pair->subs[sub];
    struct host_prototype *prototype = &ctx->app->prototypes[s->prototype];
    struct instances *table = &ctx->partition->tables[s->prototype];
    uint8_t flags = instances_at(table, number)->flags;
    if (UNLIKELY(flags & (INSTANCE_WAITING | INSTANCE_QUEUED)))
        return host_park(ctx, prototype, number, record->stream, sub, record);
    if (UNLIKELY(flags & INSTANCE_PARKED)) {
        host_dead_letter(ctx, record, prototype, S4_FAILED, "the key is parked");
        return true;
    }
    if (UNLIKELY(!host_turn_has_room(ctx, prototype, number))) {
        if (!host_park(ctx, prototype, number, record->stream, sub, record))
            return false;
        host_owe_turn(ctx, prototype, number);
        return true;
    }
    deliver_now(ctx, prototype, s->on_event, number, record, event);
    return true;
}

static bool deliver_broadcast(struct host_ctx *ctx, struct host_pair *pair, uint32_t sub,
                              const struct record *record, const void *event)
{
    struct instances *table = &ctx->partition->tables[pair->subs[sub].prototype];
    uint32_t number = ctx->partition->resuming ? ctx->partition->resume_number : 0;
    for (number = instances_next(table, number); number != INSTANCE_NONE;
         number = instances_next(table, number + 1)) {
        if (!deliver_to(ctx, pair, sub, number, record, event)) {
            ctx->partition->resume_number = number;
            return false;
        }
    }
    return true;
}

bool host_deliver(struct host_ctx *ctx, struct host_pair *pair, uint32_t sub,
                  const struct record *record, const void *event)
{
    if (UNLIKELY(pair->route.kind == ROUTE_BROADCAST))
        return deliver_broadcast(ctx, pair, sub, record, event);
    struct host_prototype *prototype = &ctx->app->prototypes[pair->subs[sub].prototype];
    uint32_t number;
    s4_status status = find_or_make(ctx, prototype, record, &number);
    if (UNLIKELY(status != S4_OK)) {
        make_failed(ctx, prototype, status, record);
        return true;
    }
    return deliver_to(ctx, pair, sub, number, record, event);
}
