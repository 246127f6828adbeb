/* Streams between apps, where events pass: what an app emits on a stream that others hear.
 *
 *   run of (A, slot)   the events of its calls are collected, a copy each; what a call that failed
 *                      emitted is taken back with the rest
 *   its end            one record IMPORT per hearing stream, or a few, for the partition (B, slot),
 *                      which is the same worker's: it is on no link, its place is behind what waits
 *   run of (B, slot)   hands the events on to B's keys, as it does those of a client's batch
 *   feed, source       goes straight to the keys' partitions of A, and so it does to those of B: on
 *                      the intake's thread, by B's own emitter
 *
 * Both partitions are of one slot, and slots move whole: IMPORT never leaves the worker but with
 * its slot. The hops go on, so that apps that hear each other are as one with a cycle. Who hears
 * whom is control's (imports.c); a stream that nobody hears pays nothing.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

#define EVENT_BASE  40u  /* where an event's references count from: a record without key */
#define EVENT_ROOM  256u /* for an event, at first */
#define EVENT_MAX   (RECORD_MAX - 8 * KIB) /* bytes of an event that another app can hear */
#define EVENT_SLACK 64u                    /* that a codec may write behind its end */
#define BATCH_BYTES (32 * KIB)             /* of one record: several share a block */

/* Before each event, among those collected and in a record. */
struct event_head {
    uint32_t size;
    uint32_t stream; /* A's; in a record: 0 */
};

struct import {
    uint32_t stream; /* B's */
    uint32_t count;
};

static struct value value_at(const struct type *type, const char *at, uint32_t size)
{
    return (struct value){ .type = type, .record = at - EVENT_BASE, .at = at, .size = size };
}

/* ---- collecting ------------------------------------------------------------------------------ */

/* What nobody will hear, and should. */
static void count_lost(struct host_worker *worker, const struct host_stream *stream)
{
    const struct host_hearers *hearers = host_hearers(stream);
    for (uint32_t i = 0; hearers && i < hearers->n; i++)
        count_add(&host_counters(worker, hearers->list[i].app)->imports_lost, 1);
}

/* Lays the event out behind those that are there; false: it is too large, or out of memory. */
static bool append_message(struct buffer *events, const struct codec *codec, uint32_t stream,
                           const ProtobufCMessage *event)
{
    size_t before = events->size;
    for (size_t room = EVENT_ROOM; room <= 4 * EVENT_MAX; room *= 4) {
        size_t most = size_min(room, EVENT_MAX);
        char *head = buffer_room(events, sizeof(struct event_head) + most + EVENT_SLACK);
        if (!head)
            return false;
        char *at = head + sizeof(struct event_head);
        int64_t took =
            codec_put(codec)(codec, event, at - EVENT_BASE, at, at + most, &codec_no_alias);
        events->size = before;
        if (took >= 0) {
            const struct event_head made = { .size = (uint32_t)took, .stream = stream };
            memcpy(head, &made, sizeof made);
            events->size = before + sizeof made + (size_t)took;
            return true;
        }
        if (took != CODEC_FULL)
            return false;
    }
    return false;
}

s4_status host_export(struct host_ctx *ctx, const struct host_stream *stream,
                      const ProtobufCMessage *event)
{
    struct host_exports *exports = &ctx->worker->exports;
    uint32_t number = (uint32_t)(stream - ctx->app->streams);
    size_t before = exports->events.size;
    ctx->touched |= HOST_TOUCHED;
    if (exports->n == ctx->app->emits_max) /* the stream may have no hearers in the app itself */
        return S4_FULL;
    if (!append_message(&exports->events, stream->codec, number, event)) {
        count_lost(ctx->worker, stream);
        return S4_OK;
    }
    if (ctx->kind != CALL_SOURCE) {
        exports->n++;
        exports->hop = ctx->emission.hop > exports->hop ? ctx->emission.hop : exports->hop;
        return S4_OK;
    }
    const char *at = exports->events.data + before + sizeof(struct event_head);
    struct value value = value_at(
        stream->type, at, (uint32_t)(exports->events.size - before - sizeof(struct event_head)));
    struct emission emission = ctx->emission;
    emission.time = ctx->run_us;
    host_export_feed(ctx->app, number, &value, &emission);
    buffer_clear(&exports->events);
    return S4_OK;
}

void host_export_value(struct host_ctx *ctx, const struct host_stream *stream,
                       const struct value *event)
{
    struct host_exports *exports = &ctx->worker->exports;
    const struct event_head head = { .size = (uint32_t)value_size_whole(event),
                                     .stream = (uint32_t)(stream - ctx->app->streams) };
    char *room =
        head.size <= EVENT_MAX ? buffer_room(&exports->events, sizeof head + head.size) : NULL;
    if (!room) {
        count_lost(ctx->worker, stream);
        return;
    }
    char *at = room + sizeof head;
    memcpy(room, &head, sizeof head);
    value_copy_whole(event, at - EVENT_BASE, at);
    if (ctx->emission.hop > exports->hop)
        exports->hop = ctx->emission.hop;
    exports->kept = exports->events.size;
}

void host_exports_call_end(struct host_worker *worker, bool commit)
{
    struct host_exports *exports = &worker->exports;
    exports->n = 0;
    if (commit)
        exports->kept = exports->events.size;
    else
        exports->events.size = exports->kept;
}

/* ---- the end of a run ------------------------------------------------------------------------ */

static void send_batch(struct host_worker *worker, const struct host_hearer *hearer)
{
    const struct host_ctx *ctx = &worker->ctx;
    struct host_exports *exports = &worker->exports;
    struct emitter *emitter = &worker->emitters[hearer->app->number % ENGINE_APPS_MAX];
    struct emission emission = { .time = ctx->partition->now_us, .hop = exports->hop };
    struct import head;
    memcpy(&head, exports->batch.data, sizeof head);
    emitter_source(emitter, HOST_CONTROL, exports->links);
    emitter->now_us = ctx->emitter->now_us;
    if (emitter_emit_raw(emitter, STREAM_IMPORT, ctx->partition->base.slot, &emission, "", 0,
                         exports->batch.data, exports->batch.size) == S4_OK) {
        emitter_commit(emitter);
    } else {
        emitter_rollback(emitter);
        count_add(&host_counters(worker, hearer->app)->imports_lost, head.count);
    }
    buffer_clear(&exports->batch);
}

/* Puts an event into the batch; false: out of memory. */
static bool pack(struct host_exports *exports, const struct host_hearer *hearer,
                 const struct event_head *head, const char *at)
{
    if (exports->batch.size == 0) {
        const struct import begin = { .stream = hearer->stream };
        if (buffer_append(&exports->batch, &begin, sizeof begin) != S4_OK)
            return false;
    }
    const struct event_head kept = { .size = head->size };
    char *room = buffer_room(&exports->batch, sizeof kept + head->size);
    if (!room)
        return false;
    memcpy(room, &kept, sizeof kept);
    memcpy(room + sizeof kept, at, head->size);
    ((struct import *)(void *)exports->batch.data)->count++;
    return true;
}

/* All events of one stream to one who hears it. How many there were. */
static uint64_t send_stream(struct host_worker *worker, uint32_t stream,
                            const struct host_hearer *hearer)
{
    struct host_exports *exports = &worker->exports;
    const char *end = exports->events.data + exports->kept;
    uint64_t n = 0;
    for (const char *at = exports->events.data; at < end;) {
        struct event_head head;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        if (head.stream == stream) {
            if (exports->batch.size > 0 && exports->batch.size + head.size > BATCH_BYTES)
                send_batch(worker, hearer);
            if (!pack(exports, hearer, &head, at))
                count_add(&host_counters(worker, hearer->app)->imports_lost, 1);
            n++;
        }
        at += head.size;
    }
    if (exports->batch.size > 0)
        send_batch(worker, hearer);
    return n;
}

void host_exports_send(struct host_worker *worker)
{
    struct host_exports *exports = &worker->exports;
    struct host_app *app = worker->ctx.app;
    uint32_t touched = worker->ctx.touched;
    for (uint32_t i = 0; i < app->n_streams; i++) {
        const struct host_hearers *hearers = host_hearers(&app->streams[i]);
        uint64_t n = 0;
        for (uint32_t h = 0; hearers && h < hearers->n; h++)
            n = send_stream(worker, i, &hearers->list[h]);
        count_add(&host_counters(worker, app)->streams[i].exported, n);
    }
    worker->ctx.touched = touched; /* it was others' emitters that wrote */
    exports->kept = 0;
    exports->hop = 0;
    buffer_clear(&exports->events);
}

/* ---- hearing --------------------------------------------------------------------------------- */

void host_import_came(struct host_ctx *ctx, const struct record *record)
{
    struct import import;
    const char *at = record_attributes(record);
    memcpy(&import, at, sizeof import);
    at += sizeof import;
    const struct host_stream *stream = &ctx->app->streams[import.stream];
    const struct emission emission = { .time = ctx->partition->now_us,
                                       .keyless = ctx->partition->base.slot,
                                       .hop = ctx->emission.hop };
    for (uint32_t i = 0; i < import.count; i++) {
        struct event_head head;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        struct value event = value_at(stream->type, at, head.size);
        host_event_came(ctx, stream, &event, &emission, "heard");
        at += head.size;
    }
    count_add(&host_counters(ctx->worker, ctx->app)->streams[import.stream].imported, import.count);
}

uint32_t host_import_count(const struct record *record)
{
    struct import import;
    memcpy(&import, record_attributes(record), sizeof import);
    return import.count;
}

/* An event as a record of its own, of which every reference is looked at. */
static s4_status check_event(const struct type *type, const char *at, uint32_t size,
                             struct buffer *scratch, struct diag *diag)
{
    buffer_clear(scratch);
    struct record *record = (struct record *)(void *)buffer_room(scratch, EVENT_BASE + size);
    if (!record)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    memset(record, 0, EVENT_BASE);
    record->len = EVENT_BASE + size;
    memcpy((char *)record + EVENT_BASE, at, size);
    return codec_check(type, record, diag);
}

static s4_status check_events(const struct type *type, uint32_t count, const char *at,
                              const char *end, struct diag *diag)
{
    struct buffer scratch;
    struct event_head head;
    uint32_t n = 0;
    s4_status status = S4_OK;
    buffer_init(&scratch);
    for (; n < count && status == S4_OK && (size_t)(end - at) >= sizeof head; n++) {
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        if (head.size > (size_t)(end - at) || head.size % 8 != 0)
            status = diag_set(diag, S4_CORRUPT, "an event of %u bytes from another app", head.size);
        else
            status = check_event(type, at, head.size, &scratch, diag);
        at += status == S4_OK ? head.size : 0;
    }
    buffer_fini(&scratch);
    if (status == S4_OK && (n != count || at != end))
        status = diag_set(diag, S4_CORRUPT, "%u events from another app are not as many", count);
    return status;
}

s4_status host_import_check(const struct host_app *app, const struct record *record,
                            struct diag *diag)
{
    struct import import;
    const char *at = record_attributes(record);
    const char *end = (const char *)record_next(record);
    if ((size_t)(end - at) < sizeof import)
        return diag_set(diag, S4_CORRUPT, "events from another app are cut short");
    memcpy(&import, at, sizeof import);
    if (import.stream >= app->n_streams)
        return diag_set(diag, S4_CORRUPT, "events for stream %u, the app has %u", import.stream,
                        app->n_streams);
    return check_events(app->streams[import.stream].type, import.count, at + sizeof import, end,
                        diag);
}

/* ---- feeds and sources; the intake's thread ---------------------------------------------------
 */

/* To one who hears: as if it were a feed of that app. */
static void feed_one(const struct host_hearer *hearer, const struct value *event,
                     const struct emission *emission)
{
    struct host_app *app = hearer->app;
    const struct host_stream *stream = &app->streams[hearer->stream];
    struct value same = *event;
    same.type = stream->type;
    app->feed_emitter.now_us = emission->time;
    if (intake_emit(&app->feed_emitter, &stream->intake, &same, emission) != S4_OK) {
        count_add(&app->feed_counters.imports_lost, 1);
        return;
    }
    count_add(&app->feed_counters.streams[hearer->stream].imported, 1);
    if (stream->n_routes == 0)
        count_add(&app->feed_counters.unheard, 1);
    host_export_feed(app, hearer->stream, &same, emission); /* it may be heard further on */
}

void host_export_feed(struct host_app *app, uint32_t stream, const struct value *event,
                      const struct emission *emission)
{
    const struct host_hearers *hearers = host_hearers(&app->streams[stream]);
    for (uint32_t i = 0; hearers && i < hearers->n; i++)
        feed_one(&hearers->list[i], event, emission);
    if (hearers)
        count_add(&app->feed_counters.streams[stream].exported, 1);
}
