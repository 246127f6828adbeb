/* Batches of clients: put together by anybody, handed over as one record, emitted by the partition
 * that keeps their producer's numbers.
 *
 *   client's thread: injection -> one raw record INJECT -> slot hash(producer)
 *   that partition:  a number it has seen is a repeat; else emits the events one by one  -> TAKEN
 *                    and, when asked, a PROBE behind them on every link that got one
 *   their partitions: the PROBE comes after the events; answers PROBED
 *   that partition:  when all have answered                                              -> APPLIED
 *
 * The engine's own records go the way of all records, so that they keep the links' order
 * (router/link/README.md, rule 6).
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

#define VALUE_BASE 40 /* where an event's references count from, in the batch */
#define BATCH_MAX  (RECORD_MAX - 4 * KIB)

struct injection {
    struct host_app *app; /* held: it may be undeployed meanwhile */
    struct host_stream *stream;
    struct buffer bytes; /* struct batch, then events: struct batch_event, bytes */
};

struct batch {
    uint64_t producer;
    uint64_t number;
    uint32_t stream;
    uint32_t count;
    uint32_t ack;
    uint32_t reserved;
    uint64_t done; /* of this process: a struct batch_done */
};

struct batch_event {
    uint32_t size;
    uint32_t base; /* at - record of the value that was added */
};

struct batch_done {
    injection_done *done;
    void *user;
};

struct probe {
    uint64_t id;
    uint32_t left;
    uint32_t reserved;
    struct batch_done *done;
};

struct probe_body {
    uint64_t id;
    uint32_t origin; /* slot that waits for the answer */
    uint32_t reserved;
};

/* ---- putting a batch together; the client's thread ----------------------------------------- */

s4_status engine_inject_begin(struct engine *engine, const char *app_name, const char *stream_name,
                              uint64_t producer, uint64_t number, struct injection **injection,
                              struct diag *diag)
{
    struct host_app *app;
    struct host_stream *stream;
    pthread_mutex_lock(&engine->apps_lock);
    s4_status status =
        host_stream_for_injection(engine, app_name, stream_name, &app, &stream, diag);
    if (status == S4_OK)
        host_app_hold(app);
    pthread_mutex_unlock(&engine->apps_lock);
    TRY(status);
    struct injection *made = mem_zalloc(sizeof *made);
    struct batch batch = { .producer = producer,
                           .number = number,
                           .stream = (uint32_t)(stream - app->streams) };
    if (!made || buffer_append(&made->bytes, &batch, sizeof batch) != S4_OK) {
        mem_free(made);
        host_app_release(app);
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    }
    made->app = app;
    made->stream = stream;
    *injection = made;
    return S4_OK;
}

const struct type *injection_type(const struct injection *injection)
{
    return injection->stream->type;
}

s4_status injection_check_keys(const struct injection *injection, const struct value *event,
                               struct diag *diag)
{
    const struct intake_stream *intake = &injection->stream->intake;
    struct keys keys;
    s4_status status = S4_OK;
    if (value_size_whole(event) <= RECORD_KEY_MAX / 2) /* a key is little more than its parts */
        return S4_OK;
    keys_init(&keys);
    for (uint32_t i = 0; i < intake->n_routes && status == S4_OK; i++)
        if (intake->routes[i]->kind == ROUTE_KEYED)
            status = keys_of_value(&keys, &intake->routes[i]->spec, event);
    keys_fini(&keys);
    if (status == S4_TOO_LARGE)
        return diag_set(diag, status, "its key is over 4 KiB, or it has more than %d keys",
                        KEYS_MAX);
    return status == S4_OK ? S4_OK : diag_set(diag, status, "%s", s4_status_text(status));
}

s4_status injection_add(struct injection *injection, const struct value *event, struct diag *diag)
{
    size_t size = value_size_whole(event);
    size_t before = injection->bytes.size;
    if (size + RECORD_KEY_MAX + sizeof(struct record) > RECORD_MAX)
        return diag_set(diag, S4_TOO_LARGE, "the event takes %zu bytes, a record at most %zu", size,
                        (size_t)RECORD_MAX);
    if (before + sizeof(struct batch_event) + size > BATCH_MAX)
        return diag_set(diag, S4_FULL, "the batch is full: at most %zu bytes", (size_t)BATCH_MAX);
    /* The event is laid out as if its record began VALUE_BASE bytes before it. */
    char *room = buffer_room(&injection->bytes, sizeof(struct batch_event) + size);
    if (!room)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    char *at = room + sizeof(struct batch_event);
    struct batch_event head = { .size = (uint32_t)size, .base = VALUE_BASE };
    memcpy(room, &head, sizeof head);
    value_copy_whole(event, at - VALUE_BASE, at);
    ((struct batch *)(void *)injection->bytes.data)->count++;
    return S4_OK;
}

void injection_destroy(struct injection *injection)
{
    if (!injection)
        return;
    buffer_fini(&injection->bytes);
    host_app_release(injection->app);
    mem_free(injection);
}

/* Under inject_lock: the inject emitter has one user at a time, the app is not undeployed before it
 * is let go of, and slots stay where they are. A batch is for a partition that runs here: it names
 * who waits for its answer, which no other node could. */
static s4_status hand_over(struct engine *engine, struct injection *injection)
{
    struct host_app *app = injection->app;
    const struct batch *batch = (const struct batch *)(const void *)injection->bytes.data;
    struct emitter *emitter = &app->inject_emitter;
    uint64_t now_us = engine->options.clock->wall_us(engine->options.clock);
    uint16_t slot =
        slot_of_hash(hash_bytes(&batch->producer, sizeof batch->producer), engine->map.slots);
    struct emission emission = { .time = now_us };
    if (atomic_load(&app->closing) || engine->slots[slot].state != SLOT_RUNS)
        return S4_UNAVAILABLE;
    emitter->now_us = now_us;
    s4_status status = emitter_emit_raw(emitter, STREAM_INJECT, slot, &emission, "", 0,
                                        injection->bytes.data, injection->bytes.size);
    if (status != S4_OK) {
        emitter_rollback(emitter);
        return status;
    }
    emitter_commit(emitter);
    emitter_flush(emitter);
    return S4_OK;
}

s4_status engine_inject(struct engine *engine, struct injection **injection, enum injection_ack ack,
                        injection_done *done, void *user)
{
    struct host_app *app = (*injection)->app;
    if (!atomic_load_explicit(&app->open, memory_order_relaxed))
        return S4_AGAIN;
    if (atomic_load_explicit(&app->paused, memory_order_relaxed))
        return S4_PAUSED;
    if (!host_has_credit(app)) {
        if (!(*injection)->stream->shed)
            return S4_AGAIN;
        const struct batch *batch = (const struct batch *)(const void *)(*injection)->bytes.data;
        pthread_mutex_lock(&engine->inject_lock);
        count_add(&app->inject_shed, batch->count);
        pthread_mutex_unlock(&engine->inject_lock);
        injection_destroy(*injection);
        *injection = NULL;
        return S4_SHED;
    }
    struct batch_done *kept = mem_alloc(sizeof *kept);
    if (!kept)
        return S4_NO_MEMORY;
    *kept = (struct batch_done){ .done = done, .user = user };
    struct batch *batch = (struct batch *)(void *)(*injection)->bytes.data;
    batch->ack = ack;
    batch->done = (uint64_t)(uintptr_t)kept;
    pthread_mutex_lock(&engine->inject_lock);
    s4_status status = hand_over(engine, *injection);
    pthread_mutex_unlock(&engine->inject_lock);
    if (status != S4_OK) {
        mem_free(kept);
        return status;
    }
    injection_destroy(*injection);
    *injection = NULL;
    return S4_OK;
}

/* ---- on the producer's partition ----------------------------------------------------------- */

static void answer(struct batch_done *kept, s4_status status)
{
    if (!kept)
        return;
    kept->done(kept->user, status);
    mem_free(kept);
}

/* False: a number that was taken before. Producer 0 has no numbers. */
static bool note_number(struct host_partition *p, const struct batch *batch)
{
    if (batch->producer == 0)
        return true;
    struct host_producer *list = (struct host_producer *)(void *)p->producers.data;
    size_t n = p->producers.size / sizeof *list;
    for (size_t i = n; i-- > 0;) { /* the youngest first: it is most often this one */
        if (list[i].id != batch->producer)
            continue;
        if (batch->number <= list[i].last)
            return false;
        struct host_producer moved = { .id = batch->producer, .last = batch->number };
        memmove(&list[i], &list[i + 1], (n - i - 1) * sizeof *list); /* the youngest is last */
        list[n - 1] = moved;
        return true;
    }
    if (n == ENGINE_PRODUCERS_MAX) {
        memmove(list, list + 1, (n - 1) * sizeof *list);
        p->producers.size -= sizeof *list;
    }
    struct host_producer made = { .id = batch->producer, .last = batch->number };
    CHECK(buffer_append(&p->producers, &made, sizeof made) == S4_OK);
    return true;
}

void host_event_came(struct host_ctx *ctx, const struct host_stream *stream,
                     const struct value *event, const struct emission *emission, const char *how)
{
    s4_status status = intake_emit(ctx->emitter, &stream->intake, event, emission);
    if (status != S4_OK) {
        char cause[HOST_CAUSE_MAX];
        snprintf(cause, sizeof cause, "%s on stream %s: %s", how, stream->name,
                 status == S4_TOO_LARGE ? "its record is over 1 MiB, its key over 4 KiB, or it has "
                                          "more keys than an event may have"
                                        : s4_status_text(status));
        host_dead_letter(ctx, NULL, NULL, status, cause);
    } else if (host_hearers(stream)) {
        host_export_value(ctx, stream, event);
    } else if (stream->n_routes == 0) {
        count_add(&host_counters(ctx->worker, ctx->app)->unheard, 1);
    }
}

static void emit_events(struct host_ctx *ctx, const struct batch *batch)
{
    const struct host_stream *stream = &ctx->app->streams[batch->stream];
    const struct emission emission = {
        .time = ctx->partition->now_us,
        .keyless = intake_keyless_slot(batch->producer, batch->number, ctx->app->engine->map.slots),
        .flags = RECORD_INJECTED,
    };
    const char *at = (const char *)(batch + 1);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_event head;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        struct value event = {
            .type = stream->type, .record = at - head.base, .at = at, .size = head.size
        };
        host_event_came(ctx, stream, &event, &emission, "injected");
        at += head.size;
    }
    count_add(&host_counters(ctx->worker, ctx->app)->injected, batch->count);
}

/* Behind the batch's events, on every link that got one, goes a probe. */
static void send_probes(struct host_ctx *ctx, const uint32_t *links_before, struct batch_done *kept)
{
    struct host_partition *p = ctx->partition;
    uint32_t slots = ctx->app->engine->map.slots;
    struct probe probe = { .id = ++p->last_probe, .done = kept };
    struct probe_body body = { .id = probe.id, .origin = p->base.slot };
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (p->links_out[slot] == links_before[slot])
            continue;
        struct emission emission = { .time = p->now_us, .hop = 1 };
        if (emitter_emit_raw(ctx->emitter, STREAM_PROBE, (uint16_t)slot, &emission, "", 0, &body,
                             sizeof body) != S4_OK) {
            emitter_rollback(ctx->emitter);
            continue;
        }
        emitter_commit(ctx->emitter);
        probe.left++;
    }
    if (probe.left == 0)
        answer(kept, S4_OK);
    else
        CHECK(buffer_append(&p->probes, &probe, sizeof probe) == S4_OK);
}

void host_batch_came(struct host_ctx *ctx, const struct record *record)
{
    const struct batch *batch = (const struct batch *)(const void *)record_attributes(record);
    struct batch_done *kept = (struct batch_done *)(uintptr_t)batch->done;
    struct host_partition *p = ctx->partition;
    if (!note_number(p, batch)) {
        count_add(&host_counters(ctx->worker, ctx->app)->duplicates, batch->count);
        answer(kept, S4_DUPLICATE);
        return;
    }
    size_t size = ctx->app->engine->map.slots * sizeof(uint32_t);
    buffer_clear(&ctx->worker->links);
    char *before = buffer_room(&ctx->worker->links, size);
    CHECK(before);
    memcpy(before, p->links_out, size);
    emit_events(ctx, batch);
    if (batch->ack == INJECTION_APPLIED)
        send_probes(ctx, (const uint32_t *)(const void *)before, kept);
    else
        answer(kept, S4_OK);
}

void host_probe_came(struct host_ctx *ctx, const struct record *record)
{
    struct probe_body body;
    memcpy(&body, record_attributes(record), sizeof body);
    struct emission emission = { .time = ctx->partition->now_us, .hop = 2 };
    s4_status status = emitter_emit_raw(ctx->emitter, STREAM_PROBED, (uint16_t)body.origin,
                                        &emission, "", 0, &body, sizeof body);
    CHECK(status == S4_OK);
    emitter_commit(ctx->emitter);
}

void host_probe_answered(struct host_ctx *ctx, const struct record *record)
{
    struct probe_body body;
    memcpy(&body, record_attributes(record), sizeof body);
    struct buffer *probes = &ctx->partition->probes;
    struct probe *list = (struct probe *)(void *)probes->data;
    size_t n = probes->size / sizeof *list;
    for (size_t i = 0; i < n; i++) {
        if (list[i].id != body.id)
            continue;
        if (--list[i].left > 0)
            return;
        struct batch_done *kept = list[i].done;
        list[i] = list[n - 1];
        probes->size -= sizeof *list;
        answer(kept, S4_OK);
        return;
    }
}

s4_status host_probe_check(const struct host_app *app, const struct record *record,
                           struct diag *diag)
{
    struct probe_body body;
    const char *at = record_attributes(record);
    if ((size_t)((const char *)record_next(record) - at) < sizeof body)
        return diag_set(diag, S4_CORRUPT, "a probe is cut short");
    memcpy(&body, at, sizeof body);
    if (body.origin >= app->engine->map.slots)
        return diag_set(diag, S4_CORRUPT, "a probe from slot %u, there are %u", body.origin,
                        app->engine->map.slots);
    return S4_OK;
}

void host_batch_drop(const struct record *record)
{
    const struct batch *batch = (const struct batch *)(const void *)record_attributes(record);
    answer((struct batch_done *)(uintptr_t)batch->done, S4_UNAVAILABLE);
}

void host_probes_drop(struct host_partition *p)
{
    struct probe *list = (struct probe *)(void *)p->probes.data;
    for (size_t i = 0; i < p->probes.size / sizeof *list; i++)
        answer(list[i].done, S4_UNAVAILABLE);
    buffer_fini(&p->probes);
}
