/* The services that a plugin reaches through its context: the host's side of context.h.
 *
 * Each one checks that the call may use it, does its part, and remembers the first failure in the
 * context, so that an error that a handler ignores still fails the call.
 */
#include "pe/host/host_run.h"

/* Which calls may use a service: one bit per call_kind. */
#define BIT(kind) (1u << (kind))
#define IN_EVENTS                                                                                  \
    (BIT(CALL_CREATE) | BIT(CALL_EVENT) | BIT(CALL_TRIGGER) | BIT(CALL_TIMER) | BIT(CALL_OUTPUT) | \
     BIT(CALL_REMOVE) | BIT(CALL_ANSWER))

static inline struct host_ctx *host_of(s4_ctx *ctx)
{
    return (struct host_ctx *)(void *)ctx;
}

static inline const struct host_ctx *host_of_const(const s4_ctx *ctx)
{
    return (const struct host_ctx *)(const void *)ctx;
}

static s4_status fail(struct host_ctx *ctx, s4_status status, const char *cause)
{
    ctx->touched = 1;
    if (ctx->failed == S4_OK) {
        ctx->failed = status;
        snprintf(ctx->cause, sizeof ctx->cause, "%s", cause);
    }
    return status;
}

static inline bool allowed(const struct host_ctx *ctx, uint32_t kinds)
{
    return (BIT(ctx->kind) & kinds) != 0;
}

static struct instance *instance_of(const struct host_ctx *ctx)
{
    return instances_at(ctx->table, ctx->number);
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
    return fail(ctx, status, cause);
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

/* Several routes, keys, an event clock, or a mistake: the general way. */
__attribute__((noinline)) static s4_status
emit_all(struct host_ctx *ctx, const struct host_stream *stream, const ProtobufCMessage *event)
{
    if (event->descriptor != stream->type->descriptor)
        return emit_failed(ctx, stream, S4_TYPE);
    if (stream->clock.field)
        stamp(ctx, stream, event);
    for (uint32_t i = 0; i < stream->n_routes; i++)
        TRY(emitter_emit(ctx->emitter, stream->routes[i], &ctx->emission, event));
    if (stream->n_routes == 0)
        count_unheard(ctx);
    return S4_OK;
}

HOT static s4_status emit(s4_ctx *pub, const s4_stream *handle, const ProtobufCMessage *event)
{
    struct host_ctx *ctx = host_of(pub);
    const struct host_stream *stream = &ctx->app->streams[*handle->number];
    const struct route *route = stream->simple;
    if (UNLIKELY(!route || event->descriptor != stream->descriptor))
        return emit_all(ctx, stream, event);
    return route->emit(ctx->emitter, route, &ctx->emission, event); /* the end of the call looks */
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
    const struct host_stream *stream = &ctx->app->streams[*handle->number];
    const struct route *route = stream->simple;
    if (UNLIKELY(!route || route->kind != ROUTE_KEYED || event->descriptor != stream->descriptor))
        return emit_source_all(ctx, stream, event);
    return route->emit(ctx->emitter, route, &ctx->emission, event);
}

static s4_status emit_refused(s4_ctx *pub, const s4_stream *handle, const ProtobufCMessage *event)
{
    return fail(host_of(pub), S4_STATE, "s4_emit is not allowed in this callback");
}

/* ---- outputs ------------------------------------------------------------------------------- */

static s4_status output_failed(struct host_ctx *ctx, const struct host_output *output,
                               s4_status status, const char *what)
{
    char cause[HOST_CAUSE_MAX];
    if (status == S4_FULL)
        snprintf(cause, sizeof cause,
                 "output %s is full in partition %u (rows_max %llu, bytes_max %llu)", output->name,
                 ctx->partition->base.slot, (unsigned long long)output->limits.rows_max,
                 (unsigned long long)output->limits.bytes_max);
    else
        snprintf(cause, sizeof cause, "%s output %s: %s", what, output->name,
                 s4_status_text(status));
    return fail(ctx, status, cause);
}

s4_status host_encode(const struct codec *codec, const ProtobufCMessage *message,
                      struct buffer *out, struct value *value)
{
    size_t have = out->capacity > BLOCK_SLACK ? out->capacity - BLOCK_SLACK : 0;
    for (size_t want = size_max(have & ~(size_t)7, 1 * KIB);; want *= 2) {
        buffer_clear(out);
        char *record = buffer_room(out, want + BLOCK_SLACK);
        if (!record)
            return S4_NO_MEMORY;
        char *at = record + OUTPUT_ROW_BASE;
        int64_t n = codec_put(codec)(codec, message, record, at, record + want, &codec_no_alias);
        if (n >= 0) {
            *value = (struct value){
                .type = codec_type(codec), .record = record, .at = at, .size = (uint32_t)n
            };
            return S4_OK;
        }
        if (n != CODEC_FULL || want >= 2 * RECORD_MAX)
            return S4_TOO_LARGE;
    }
}

void *host_decode_row(const struct codec *codec, const struct buffer *row, void *message,
                      struct arena *arena)
{
    return codec_get(codec)(codec, row->data, row->data + OUTPUT_ROW_BASE, message, arena);
}

static s4_status row_key(struct host_ctx *ctx, const struct host_output *output,
                         const ProtobufCMessage *row, const struct key_at **key)
{
    struct keys *keys = &ctx->worker->keys;
    TRY(keys_of_message(keys, &output->key, row));
    if (keys_count(keys) != 1)
        return S4_INVALID;
    *key = keys_at(keys, 0);
    return S4_OK;
}

static s4_status publish_row(struct host_ctx *ctx, const struct host_output *output,
                             struct host_output_state *state, const ProtobufCMessage *row)
{
    struct value value;
    TRY(host_encode(output->codec, row, &ctx->worker->row, &value));
    if (!output->table)
        return rowlog_append(state->log, ctx->partition->now_us, &value);
    const struct key_at *key;
    TRY(row_key(ctx, output, row, &key));
    return table_publish(state->table, key->hash, keys_bytes(&ctx->worker->keys, key), key->len,
                         &value);
}

static s4_status publish(s4_ctx *pub, const s4_output *handle, const ProtobufCMessage *row)
{
    struct host_ctx *ctx = host_of(pub);
    uint16_t number = *handle->number;
    const struct host_output *output = &ctx->app->outputs[number];
    if (!allowed(ctx, IN_EVENTS))
        return fail(ctx, S4_STATE, "s4_publish is not allowed in this callback");
    if (row->descriptor != output->type->descriptor)
        return output_failed(ctx, output, S4_TYPE, "publish to");
    ctx->outputs |= UINT64_C(1) << number;
    ctx->touched = 1;
    s4_status status = publish_row(ctx, output, &ctx->partition->outputs[number], row);
    if (UNLIKELY(status != S4_OK))
        return output_failed(ctx, output, status, "publish to");
    ctx->published++;
    return S4_OK;
}

static s4_status unpublish(s4_ctx *pub, const s4_output *handle, const ProtobufCMessage *row)
{
    struct host_ctx *ctx = host_of(pub);
    uint16_t number = *handle->number;
    const struct host_output *output = &ctx->app->outputs[number];
    if (!allowed(ctx, IN_EVENTS))
        return fail(ctx, S4_STATE, "s4_unpublish is not allowed in this callback");
    if (!output->table)
        return output_failed(ctx, output, S4_TYPE, "unpublish from a log,");
    ctx->outputs |= UINT64_C(1) << number;
    ctx->touched = 1;
    const struct key_at *key;
    s4_status status = row_key(ctx, output, row, &key);
    if (status == S4_OK)
        status = table_unpublish(ctx->partition->outputs[number].table, key->hash,
                                 keys_bytes(&ctx->worker->keys, key), key->len);
    return status == S4_OK ? S4_OK : output_failed(ctx, output, status, "unpublish from");
}

/* ---- requests, timers, replies ------------------------------------------------------------- */

static s4_status ask(s4_ctx *pub, const s4_request *request, const ProtobufCMessage *question)
{
    struct host_ctx *ctx = host_of(pub);
    if (!allowed(ctx, IN_EVENTS & ~BIT(CALL_REMOVE)))
        return fail(ctx, S4_STATE, "s4_ask is not allowed in this callback");
    s4_status status = host_ask(ctx, request, question);
    if (status == S4_OK)
        return S4_OK;
    return fail(ctx, status,
                status == S4_FULL ? "too many requests are outstanding" : "s4_ask failed");
}

static s4_status wait_answer(s4_ctx *pub)
{
    struct host_ctx *ctx = host_of(pub);
    if (!ctx->asked)
        return fail(ctx, S4_STATE, "s4_wait without s4_ask in the same call");
    ctx->wait = true;
    return S4_OK;
}

static s4_status timer_set(s4_ctx *pub, uint64_t id, uint64_t at_us)
{
    struct host_ctx *ctx = host_of(pub);
    if (!allowed(ctx, IN_EVENTS & ~BIT(CALL_REMOVE)))
        return fail(ctx, S4_STATE, "s4_timer_set is not allowed in this callback");
    if (!ctx->prototype->of->timer)
        return fail(ctx, S4_STATE, "s4_timer_set: the class has no timer callback");
    struct host_partition *p = ctx->partition;
    if (p->now_us == HOST_END_OF_TIME)
        return S4_OK; /* nothing comes after it */
    struct timer timer = { .prototype = ctx->prototype->number,
                           .instance = ctx->number,
                           .id = id,
                           .due_us = at_us < HOST_END_OF_TIME ? at_us : HOST_END_OF_TIME - 1 };
    s4_status status = timers_set(p->timers, &timer);
    if (status != S4_OK)
        return fail(ctx, status, "s4_timer_set: too many timers, or no memory");
    if (timer.due_us < p->due_us)
        p->due_us = timer.due_us; /* an event of the same run may pass it */
    return S4_OK;
}

static s4_status timer_cancel(s4_ctx *pub, uint64_t id)
{
    struct host_ctx *ctx = host_of(pub);
    if (!allowed(ctx, IN_EVENTS & ~BIT(CALL_REMOVE)))
        return fail(ctx, S4_STATE, "s4_timer_cancel is not allowed in this callback");
    return timers_cancel(ctx->partition->timers, ctx->prototype->number, ctx->number, id);
}

static s4_status reply(s4_ctx *pub, const ProtobufCMessage *message)
{
    struct host_ctx *ctx = host_of(pub);
    if (!allowed(ctx, BIT(CALL_QUERY)) || ctx->replied)
        return fail(ctx, S4_STATE, "s4_reply belongs in a query callback, once");
    if (message->descriptor != ctx->prototype->reply->descriptor)
        return fail(ctx, S4_TYPE, "s4_reply: not the class's reply type");
    s4_status status =
        host_encode(ctx->prototype->reply_codec, message, &ctx->worker->row, &ctx->reply);
    ctx->replied = status == S4_OK;
    return status == S4_OK ? S4_OK : fail(ctx, status, "s4_reply: the reply is too large");
}

static s4_status fail_call(s4_ctx *pub, s4_status status, const char *cause)
{
    struct host_ctx *ctx = host_of(pub);
    return fail(ctx, status == S4_OK ? S4_FAILED : status, cause ? cause : "");
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

static const char *key_part_text(const s4_ctx *pub, uint32_t part, size_t *len)
{
    const struct host_ctx *ctx = host_of_const(pub);
    const char *text = NULL;
    size_t size = 0;
    if (ctx->prototype && ctx->prototype->key) {
        const struct instance *instance = instance_of(ctx);
        if (!key_text(ctx->prototype->key, instance_key(instance), instance->key_len, part, &text,
                      &size))
            text = NULL;
    }
    if (text && text[size] != '\0')
        text = host_key_terminated((struct host_ctx *)(uintptr_t)ctx, part, text, size);
    if (len)
        *len = text ? size : 0;
    return text;
}

static int64_t key_part_integer(const s4_ctx *pub, uint32_t part)
{
    const struct host_ctx *ctx = host_of_const(pub);
    int64_t number = 0;
    if (ctx->prototype && ctx->prototype->key) {
        const struct instance *instance = instance_of(ctx);
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

/* ---- memory of an instance ----------------------------------------------------------------- */

struct heap_block {
    struct heap_block *next;
    struct heap_block *before;
    size_t size;
    char data[] __attribute__((aligned(16)));
};

static struct heap_block **heap_head(const struct host_prototype *prototype,
                                     struct instances *table, struct instance *instance)
{
    return (struct heap_block **)(void *)((char *)instance_extra(table, instance) +
                                          prototype->extra_heap);
}

static void heap_link(struct heap_block **head, struct heap_block *block)
{
    block->before = NULL;
    block->next = *head;
    if (*head)
        (*head)->before = block;
    *head = block;
}

static void heap_unlink(struct heap_block **head, struct heap_block *block)
{
    if (block->before)
        block->before->next = block->next;
    else
        *head = block->next;
    if (block->next)
        block->next->before = block->before;
}

static bool heap_allowed(struct host_ctx *ctx, size_t more)
{
    if (!ctx->partition || !ctx->prototype || ctx->prototype->extra_heap == INSTANCE_NONE) {
        fail(ctx, S4_STATE, "s4_alloc: flat state has no memory of its own");
        return false;
    }
    uint64_t used =
        ctx->partition->heap_bytes[ctx->prototype->number] + instances_bytes(ctx->table);
    if (more > ctx->prototype->bytes_max || used > ctx->prototype->bytes_max - more) {
        fail(ctx, S4_FULL, "s4_alloc: the prototype's bound on bytes is reached");
        return false;
    }
    return true;
}

static void heap_count(struct host_ctx *ctx, size_t plus, size_t minus)
{
    ctx->partition->heap_bytes[ctx->prototype->number] += plus - minus;
    counter *bytes = &host_counters(ctx->worker, ctx->app)->state_bytes;
    count_add(bytes, plus - minus);
}

static void *heap_alloc(s4_ctx *pub, size_t size)
{
    struct host_ctx *ctx = host_of(pub);
    if (!heap_allowed(ctx, size))
        return NULL;
    struct heap_block *block = mem_zalloc(sizeof *block + size);
    if (!block) {
        fail(ctx, S4_NO_MEMORY, "s4_alloc: out of memory");
        return NULL;
    }
    block->size = size;
    heap_link(heap_head(ctx->prototype, ctx->table, instance_of(ctx)), block);
    heap_count(ctx, size, 0);
    return block->data;
}

static void *heap_realloc(s4_ctx *pub, void *memory, size_t size)
{
    if (!memory)
        return heap_alloc(pub, size);
    struct host_ctx *ctx = host_of(pub);
    struct heap_block *block = CONTAINER_OF(memory, struct heap_block, data);
    size_t old = block->size;
    if (size > old && !heap_allowed(ctx, size - old))
        return NULL;
    struct heap_block **head = heap_head(ctx->prototype, ctx->table, instance_of(ctx));
    heap_unlink(head, block);
    struct heap_block *grown = mem_realloc(block, sizeof *block + size);
    heap_link(head, grown ? grown : block);
    if (!grown) {
        fail(ctx, S4_NO_MEMORY, "s4_realloc: out of memory");
        return NULL;
    }
    if (size > old)
        memset(grown->data + old, 0, size - old);
    grown->size = size;
    heap_count(ctx, size, old);
    return grown->data;
}

static void heap_free(s4_ctx *pub, void *memory)
{
    if (!memory)
        return;
    struct host_ctx *ctx = host_of(pub);
    struct heap_block *block = CONTAINER_OF(memory, struct heap_block, data);
    heap_unlink(heap_head(ctx->prototype, ctx->table, instance_of(ctx)), block);
    heap_count(ctx, 0, block->size);
    mem_free(block);
}

uint64_t host_heap_clear(const struct host_prototype *prototype, struct instances *table,
                         struct instance *instance)
{
    if (prototype->extra_heap == INSTANCE_NONE)
        return 0;
    struct heap_block **head = heap_head(prototype, table, instance);
    uint64_t bytes = 0;
    for (struct heap_block *block = *head; block;) {
        struct heap_block *next = block->next;
        bytes += block->size;
        mem_free(block);
        block = next;
    }
    *head = NULL;
    return bytes;
}

/* ---- the node ------------------------------------------------------------------------------ */

static void set_app_data(s4_ctx *pub, void *data)
{
    struct host_ctx *ctx = host_of(pub);
    if (allowed(ctx, BIT(CALL_START) | BIT(CALL_STOP)))
        ctx->app->data = data;
    else
        fail(ctx, S4_STATE, "s4_set_app_data belongs in start");
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
#define SERVICES                                                                               \
    .size = sizeof(struct s4_host), .publish = publish, .unpublish = unpublish, .ask = ask,    \
    .wait = wait_answer, .timer_set = timer_set, .timer_cancel = timer_cancel, .reply = reply, \
    .answer = host_job_answer, .fail = fail_call, .time_us = time_us, .id = next_id,           \
    .random = random_bits, .key_text = key_part_text, .key_integer = key_part_integer,         \
    .params = params, .app_params = app_params, .alloc = heap_alloc, .realloc = heap_realloc,  \
    .free = heap_free, .set_app_data = set_app_data, .app_data = app_data,                     \
    .partition = partition_number, .partitions = partition_count, .log = log_line,             \
    .save = save_bytes, .load = load_bytes, .job_params = job_params,                          \
    .job_app_data = job_app_data, .file = file_of_bundle,

const struct s4_host host_services = { SERVICES.emit = emit };
const struct s4_host host_services_source = { SERVICES.emit = emit_source };
const struct s4_host host_services_quiet = { SERVICES.emit = emit_refused };

/* Text parts in the middle of a composite key have no NUL behind: hand out a copy. */
const char *host_key_terminated(struct host_ctx *ctx, uint32_t part, const char *text, size_t size)
{
    struct buffer *copy = &ctx->worker->key_parts[part % KEY_PARTS_MAX];
    buffer_clear(copy);
    if (buffer_append(copy, text, size) != S4_OK)
        return NULL;
    return buffer_text(copy);
}
