/* The services that a plugin reaches through its context: the host's side of context.h.
 *
 * Each one checks that the call may use it, does its part, and remembers the first failure in the
 * context, so that an error that a handler ignores still fails the call.
 */
#include "pe/host/context.h"
#include "pe/output/row.h"
#include "runtime/base/utf8.h"

s4_status host_fail(struct host_ctx *ctx, s4_status status, const char *cause)
{
    ctx->touched |= HOST_TOUCHED;
    if (ctx->failed == S4_OK) {
        ctx->failed = status;
        snprintf(ctx->cause, sizeof ctx->cause, "%s", cause);
    }
    return status;
}

/* ---- emit ---------------------------------------------------------------------------------- */

__attribute__((noinline, cold)) static s4_status
emit_failed(struct host_ctx *ctx, const struct host_stream *stream, s4_status status)
{
    char cause[HOST_CAUSE_MAX];
    if (status == S4_FULL)
        snprintf(cause, sizeof cause, "emits more than emits_max = %u records in one call",
                 ctx->app->emits_max);
    else
        snprintf(cause, sizeof cause, "emit on stream %s: %s", stream->name,
                 s4_status_text(status));
    return host_fail(ctx, status, cause);
}

/* Events of an app with an event clock carry their own time, if they have one. */
static void stamp(struct host_ctx *ctx, const struct host_stream *stream,
                  const ProtobufCMessage *event)
{
    uint64_t time_us = ctx->run_us;
    (void)!time_of_message(&stream->clock, event, &time_us);
    ctx->emission.time = time_us;
}

static void count_unheard(struct host_ctx *ctx)
{
    struct host_counters *counters =
        ctx->kind == CALL_SOURCE ? &ctx->app->feed_counters : host_counters(ctx->worker, ctx->app);
    count_add(&counters->unheard, 1);
}

/* What the emitter could not do, told when the call ends. */
void host_emit_failed(struct host_ctx *ctx)
{
    struct emitter *emitter = ctx->emitter;
    const struct host_pair *pair = &ctx->app->pairs[emitter->failed_route->number];
    s4_status status = emitter->failed;
    emitter->failed = S4_OK;
    (void)!emit_failed(ctx, &ctx->app->streams[pair->stream], status);
}

/* Several routes, keys, an event clock, other apps that hear it, or a mistake: the general way. */
__attribute__((noinline)) static s4_status
emit_all(struct host_ctx *ctx, const struct host_stream *stream, const ProtobufCMessage *event)
{
    if (event->descriptor != stream->type->descriptor)
        return emit_failed(ctx, stream, S4_TYPE);
    if (stream->clock.field)
        stamp(ctx, stream, event);
    for (uint32_t i = 0; i < stream->n_routes; i++)
        TRY(emitter_emit(ctx->emitter, stream->routes[i], &ctx->emission, event));
    if (host_hearers(stream)) {
        s4_status status = host_export(ctx, stream, event);
        return status == S4_OK ? S4_OK : emit_failed(ctx, stream, status);
    }
    if (stream->n_routes == 0)
        count_unheard(ctx);
    return S4_OK;
}

/* What goes wrong here, the end of the call sees. */
HOT static s4_status emit(s4_ctx *pub, const s4_stream *handle, const ProtobufCMessage *event)
{
    struct host_ctx *ctx = host_of(pub);
    const struct host_simple *simple = &ctx->app->emits[*handle->number];
    if (UNLIKELY(event->descriptor != host_simple_descriptor(simple)))
        return emit_all(ctx, &ctx->app->streams[*handle->number], event);
    return emitter_emit(ctx->emitter, simple->route, &ctx->emission, event);
}

/* A source's event that may give several records is whole or not at all. */
__attribute__((noinline)) static s4_status emit_source_all(struct host_ctx *ctx,
                                                           const struct host_stream *stream,
                                                           const ProtobufCMessage *event)
{
    host_source_emits(ctx);
    s4_status status = emit_all(ctx, stream, event);
    host_source_emitted(ctx, status);
    return status;
}

/* From a source: most events give one record, which is written or not, so that there is nothing to
 * take back, and what fills up leaves when the source returns. */
HOT static s4_status emit_source(s4_ctx *pub, const s4_stream *handle,
                                 const ProtobufCMessage *event)
{
    struct host_ctx *ctx = host_of(pub);
    const struct host_simple *simple = &ctx->app->source_emits[*handle->number];
    if (UNLIKELY(event->descriptor != host_simple_descriptor(simple)))
        return emit_source_all(ctx, &ctx->app->streams[*handle->number], event);
    return emitter_emit(ctx->emitter, simple->route, &ctx->emission, event);
}

static s4_status emit_refused(s4_ctx *pub, const s4_stream *handle, const ProtobufCMessage *event)
{
    return host_fail(host_of(pub), S4_STATE, "s4_emit is not allowed in this callback");
}

/* ---- requests, timers, replies ------------------------------------------------------------- */

static s4_status ask(s4_ctx *pub, const s4_request *request, const ProtobufCMessage *question)
{
    struct host_ctx *ctx = host_of(pub);
    if (!host_allowed(ctx, HOST_IN_EVENTS & ~HOST_CALL(CALL_REMOVE)))
        return host_fail(ctx, S4_STATE, "s4_ask is not allowed in this callback");
    s4_status status = host_ask(ctx, request, question);
    if (status == S4_OK)
        return S4_OK;
    return host_fail(ctx, status,
                     status == S4_FULL ? "too many requests are outstanding" : "s4_ask failed");
}

static s4_status wait_answer(s4_ctx *pub)
{
    struct host_ctx *ctx = host_of(pub);
    if (!ctx->asked)
        return host_fail(ctx, S4_STATE, "s4_wait without s4_ask in the same call");
    ctx->wait = true;
    return S4_OK;
}

static s4_status timer_set(s4_ctx *pub, uint64_t id, uint64_t at_us)
{
    struct host_ctx *ctx = host_of(pub);
    if (!host_allowed(ctx, HOST_IN_EVENTS & ~HOST_CALL(CALL_REMOVE)))
        return host_fail(ctx, S4_STATE, "s4_timer_set is not allowed in this callback");
    if (!ctx->prototype->of->timer)
        return host_fail(ctx, S4_STATE, "s4_timer_set: the class has no timer callback");
    struct host_partition *p = ctx->partition;
    if (p->now_us == HOST_END_OF_TIME)
        return S4_OK; /* nothing comes after it */
    struct timer timer = { .prototype = ctx->prototype->number,
                           .instance = ctx->number,
                           .id = id,
                           .due_us = at_us < HOST_END_OF_TIME ? at_us : HOST_END_OF_TIME - 1 };
    s4_status status = timers_set(p->timers, &timer);
    if (status != S4_OK)
        return host_fail(ctx, status, "s4_timer_set: too many timers, or no memory");
    if (timer.due_us < p->due_us)
        p->due_us = timer.due_us; /* an event of the same run may pass it */
    return S4_OK;
}

static s4_status timer_cancel(s4_ctx *pub, uint64_t id)
{
    struct host_ctx *ctx = host_of(pub);
    if (!host_allowed(ctx, HOST_IN_EVENTS & ~HOST_CALL(CALL_REMOVE)))
        return host_fail(ctx, S4_STATE, "s4_timer_cancel is not allowed in this callback");
    return timers_cancel(ctx->partition->timers, ctx->prototype->number, ctx->number, id);
}

static s4_status reply(s4_ctx *pub, const ProtobufCMessage *message)
{
    struct host_ctx *ctx = host_of(pub);
    if (!host_allowed(ctx, HOST_CALL(CALL_QUERY)) || ctx->replied)
        return host_fail(ctx, S4_STATE, "s4_reply belongs in a query callback, once");
    if (message->descriptor != ctx->prototype->reply->descriptor)
        return host_fail(ctx, S4_TYPE, "s4_reply: not the class's reply type");
    s4_status status =
        row_encode(ctx->prototype->reply_codec, message, &ctx->worker->row, &ctx->reply);
    ctx->replied = status == S4_OK;
    return status == S4_OK ? S4_OK : host_fail(ctx, status, "s4_reply: the reply is too large");
}

static s4_status fail_call(s4_ctx *pub, s4_status status, const char *cause)
{
    struct host_ctx *ctx = host_of(pub);
    char cut[S4_CAUSE_MAX + 1];
    size_t len = cause ? utf8_valid(cause, strnlen(cause, S4_CAUSE_MAX)) : 0;
    if (len)
        memcpy(cut, cause, len);
    cut[len] = '\0';
    return host_fail(ctx, status == S4_OK ? S4_FAILED : status, cut);
}

/* ---- time, ids, keys, parameters ----------------------------------------------------------- */

static uint64_t time_us(const s4_ctx *pub)
{
    const struct host_ctx *ctx = host_of_const(pub);
    return ctx->partition ? ctx->partition->now_us : ctx->emission.time;
}

#define ID_SLOT_BITS   12
#define ID_NUMBER_BITS 10

/* 42 bits of milliseconds, 12 of slot, 10 of number; when a millisecond's numbers are used up, the
 * next millisecond is begun early, so that ids stay unique. */
static uint64_t next_id(s4_ctx *pub)
{
    struct host_ctx *ctx = host_of(pub);
    struct host_partition *p = ctx->partition;
    if (!p)
        return 0;
    uint64_t ms = p->now_us / 1000;
    if (ms > p->last_id_ms) {
        p->last_id_ms = ms;
        p->next_id = 0;
    } else if (p->next_id == 1u << ID_NUMBER_BITS) {
        p->last_id_ms++;
        p->next_id = 0;
    }
    return (p->last_id_ms << (ID_SLOT_BITS + ID_NUMBER_BITS)) |
           ((uint64_t)p->base.slot << ID_NUMBER_BITS) | p->next_id++;
}

static uint64_t random_bits(s4_ctx *pub)
{
    struct host_ctx *ctx = host_of(pub);
    return ctx->partition ? rng_next(&ctx->partition->rng) : 0;
}

/* Text parts in the middle of a composite key have no NUL behind: hand out a copy. */
static const char *key_terminated(struct host_ctx *ctx, uint32_t part, const char *text,
                                  size_t size)
{
    struct buffer *copy = &ctx->worker->key_parts[part % KEY_PARTS_MAX];
    buffer_clear(copy);
    if (buffer_append(copy, text, size) != S4_OK)
        return NULL;
    return buffer_text(copy);
}

static const char *key_part_text(const s4_ctx *pub, uint32_t part, size_t *len)
{
    const struct host_ctx *ctx = host_of_const(pub);
    const char *text = NULL;
    size_t size = 0;
    if (ctx->prototype && ctx->prototype->key) {
        const struct instance *instance = host_instance_of(ctx);
        if (!key_text(ctx->prototype->key, instance_key(instance), instance->key_len, part, &text,
                      &size))
            text = NULL;
    }
    if (text && text[size] != '\0')
        text = key_terminated((struct host_ctx *)(uintptr_t)ctx, part, text, size);
    if (len)
        *len = text ? size : 0;
    return text;
}

static int64_t key_part_integer(const s4_ctx *pub, uint32_t part)
{
    const struct host_ctx *ctx = host_of_const(pub);
    int64_t number = 0;
    if (ctx->prototype && ctx->prototype->key) {
        const struct instance *instance = host_instance_of(ctx);
        if (!key_number(ctx->prototype->key, instance_key(instance), instance->key_len, part,
                        &number))
            number = 0;
    }
    return number;
}

static const void *params(const s4_ctx *pub)
{
    const struct host_ctx *ctx = host_of_const(pub);
    return ctx->prototype ? ctx->prototype->params : NULL;
}

static const void *app_params(const s4_ctx *pub)
{
    return host_of_const(pub)->app->params;
}

static const void *file_of_bundle(const s4_ctx *pub, const char *path, size_t *size)
{
    size_t found = 0;
    const void *data = bundle_file(host_of_const(pub)->app->bundle, path, &found);
    if (size)
        *size = found;
    return data;
}

/* ---- the node ------------------------------------------------------------------------------ */

static void set_app_data(s4_ctx *pub, void *data)
{
    struct host_ctx *ctx = host_of(pub);
    if (host_allowed(ctx, HOST_CALL(CALL_START) | HOST_CALL(CALL_STOP)))
        ctx->app->data = data;
    else
        host_fail(ctx, S4_STATE, "s4_set_app_data belongs in start");
}

static void *app_data(const s4_ctx *pub)
{
    return host_of_const(pub)->app->data;
}

static uint32_t partition_number(const s4_ctx *pub)
{
    const struct host_ctx *ctx = host_of_const(pub);
    return ctx->partition ? ctx->partition->base.slot : 0;
}

static uint32_t partition_count(const s4_ctx *pub)
{
    return host_of_const(pub)->app->engine->map.slots;
}

static void log_line(s4_ctx *pub, int level, const char *text)
{
    struct host_ctx *ctx = host_of(pub);
    if (level < S4_LOG_ERROR || level > S4_LOG_DEBUG)
        level = S4_LOG_INFO;
    host_log(ctx, (enum log_level)level, text);
}

static s4_status save_bytes(s4_saver *saver, const void *data, size_t size)
{
    return buffer_append((struct buffer *)(void *)saver, data, size);
}

static s4_status load_bytes(s4_loader *loader, void *data, size_t size)
{
    struct host_loader *from = (struct host_loader *)(void *)loader;
    if (size > (size_t)(from->end - from->at))
        return S4_CORRUPT;
    if (size)
        memcpy(data, from->at, size);
    from->at += size;
    return S4_OK;
}

static const void *job_params(const s4_job *job)
{
    return host_job_app(job)->params;
}

static void *job_app_data(const s4_job *job)
{
    return host_job_app(job)->data;
}

/* All services but s4_emit, which differs by what is called. */
#define SERVICES                                                                            \
    .size = sizeof(struct s4_host), .publish = host_publish, .unpublish = host_unpublish,   \
    .ask = ask, .wait = wait_answer, .timer_set = timer_set, .timer_cancel = timer_cancel,  \
    .reply = reply, .answer = host_job_answer, .fail = fail_call, .time_us = time_us,       \
    .id = next_id, .random = random_bits, .key_text = key_part_text,                        \
    .key_integer = key_part_integer, .params = params, .app_params = app_params,            \
    .alloc = host_heap_alloc, .realloc = host_heap_realloc, .free = host_heap_free,         \
    .set_app_data = set_app_data, .app_data = app_data, .partition = partition_number,      \
    .partitions = partition_count, .log = log_line, .save = save_bytes, .load = load_bytes, \
    .job_params = job_params, .job_app_data = job_app_data, .file = file_of_bundle,

const struct s4_host host_services = { SERVICES.emit = emit };
const struct s4_host host_services_source = { SERVICES.emit = emit_source };
const struct s4_host host_services_quiet = { SERVICES.emit = emit_refused };
