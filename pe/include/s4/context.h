/* What a PE may do during a call. Thread: the one that called it; nothing here is kept afterwards.
 *
 * A failed call is remembered: even if the handler ignores it and returns S4_OK, its event goes to
 * the dead letters and what it emitted and published is taken back. So `return s4_emit(...)` and
 * `s4_emit(...); return S4_OK;` mean the same.
 */
#ifndef S4_CONTEXT_H
#define S4_CONTEXT_H

#include <s4/abi.h>

/* What is given has the type that the stream, output or request carries, or it does not compile. */
#define S4_CARRIES_(carried, given, what)                                                          \
    ((void)sizeof(struct {                                                                         \
        _Static_assert(__builtin_types_compatible_p(__typeof__(*(carried)), __typeof__(*(given))), \
                       what " carries messages of another type");                                  \
        char any;                                                                                  \
    }))

/* Emits an event on a stream: one record per distinct (key specification, key value). It is copied.
 * S4_FULL: more than emits_max records in one call; S4_TOO_LARGE: a record over 1 MiB or a key over
 * 4 KiB; S4_STATE: not in start, stop, query or remove at shutdown. */
#define s4_emit(ctx, stream, event)                          \
    (S4_CARRIES_((stream)->carries[0], event, "the stream"), \
     (ctx)->host->emit((ctx), &(stream)->base, &(event)->base))

/* Publishes a row: a table keeps the last row per key, a log appends. It is copied. S4_FULL: the
 * output is full and its policy is to refuse. */
#define s4_publish(ctx, output, row)                       \
    (S4_CARRIES_((output)->carries[0], row, "the output"), \
     (ctx)->host->publish((ctx), &(output)->base, &(row)->base))

/* Removes the table's row whose key attributes equal those of `row`. S4_OK also if there was none.
 */
#define s4_unpublish(ctx, output, row)                     \
    (S4_CARRIES_((output)->carries[0], row, "the output"), \
     (ctx)->host->unpublish((ctx), &(output)->base, &(row)->base))

/* Runs a request's function on the thread pool with a copy of the question; the answer comes as a
 * call of the class's answer handler, between two events. It may run more than once, when the
 * partition moves to another node meanwhile. S4_FULL: too many outstanding. */
#define s4_ask(ctx, request, question)                         \
    (S4_CARRIES_((request)->asks[0], question, "the request"), \
     (ctx)->host->ask((ctx), &(request)->base, &(question)->base))

/* After s4_ask: this instance takes no event, timer or query until an answer came; they wait in its
 * mailbox, other keys go on. S4_STATE: nothing was asked. */
static inline s4_status s4_wait(s4_ctx *ctx)
{
    return ctx->host->wait(ctx);
}

/* In a request's function, at most once: the answer, copied. */
#define s4_answer(job, message) ((job)->host->answer((job), &(message)->base))

/* In a query callback, at most once: the reply, of the class's reply type. */
#define s4_reply(ctx, message) ((ctx)->host->reply((ctx), &(message)->base))

/* Calls the class's timer callback with `id` at `at_us` of the app's clock or soon after (with an
 * event clock: before the event that passes it). One timer per instance and id: setting it again
 * moves it. */
static inline s4_status s4_timer_set(s4_ctx *ctx, uint64_t id, uint64_t at_us)
{
    return ctx->host->timer_set(ctx, id, at_us);
}

/* S4_NOT_FOUND if it was not set. */
static inline s4_status s4_timer_cancel(s4_ctx *ctx, uint64_t id)
{
    return ctx->host->timer_cancel(ctx, id);
}

/* Fails the call with a cause for the dead letter, of which the first 200 bytes are kept, as far as
 * they are UTF-8. Answers `status`. */
#define S4_CAUSE_MAX 200
static inline s4_status s4_fail(s4_ctx *ctx, s4_status status, const char *cause)
{
    return (ctx->host->fail)(ctx, status, cause); /* Check has a macro of that name */
}

/* The time of this run by the app's clock, microseconds since the epoch: the same on replay. */
static inline uint64_t s4_time(const s4_ctx *ctx)
{
    return ctx->host->time_us(ctx);
}

/* A number unique in the app, roughly ordered by time, the same on replay. */
static inline uint64_t s4_id(s4_ctx *ctx)
{
    return ctx->host->id(ctx);
}

/* 64 random bits, the same on replay. */
static inline uint64_t s4_random(s4_ctx *ctx)
{
    return ctx->host->random(ctx);
}

/* Part `part` of this instance's key as text or bytes (NUL-terminated, length in *len if not NULL),
 * or as an integer, bool or enum; NULL or 0 for a part of the other kind or a keyless instance. */
static inline const char *s4_key(const s4_ctx *ctx, uint32_t part, size_t *len)
{
    return ctx->host->key_text(ctx, part, len);
}

static inline int64_t s4_key_integer(const s4_ctx *ctx, uint32_t part)
{
    return ctx->host->key_integer(ctx, part);
}

/* The parameter struct of this prototype's class, of the app; NULL if there is none. */
static inline const void *s4_params(const s4_ctx *ctx)
{
    return ctx->host->params(ctx);
}

static inline const void *s4_app_params(const s4_ctx *ctx)
{
    return ctx->host->app_params(ctx);
}

/* Memory of this instance, zeroed, freed with it and counted against its prototype's bound. Not for
 * S4_FLAT classes (NULL). NULL also: the bound is reached or memory is out. */
static inline void *s4_alloc(s4_ctx *ctx, size_t size)
{
    return ctx->host->alloc(ctx, size);
}

static inline void *s4_realloc(s4_ctx *ctx, void *memory, size_t size)
{
    return ctx->host->realloc(ctx, memory, size);
}

static inline void s4_free(s4_ctx *ctx, void *memory)
{
    ctx->host->free(ctx, memory);
}

/* What `start` left for all callbacks of this node; read-only while events flow. */
static inline void s4_set_app_data(s4_ctx *ctx, void *data)
{
    ctx->host->set_app_data(ctx, data);
}

static inline void *s4_app_data(const s4_ctx *ctx)
{
    return ctx->host->app_data(ctx);
}

static inline void *s4_job_app_data(const s4_job *job)
{
    return job->host->job_app_data(job);
}

static inline const void *s4_job_app_params(const s4_job *job)
{
    return job->host->job_params(job);
}

/* A file that `s4 pack --files FOLDER` took into the bundle, by its path below FOLDER; a NUL behind
 * it is not counted in *size (which may be NULL). NULL: there is none. Valid until `stop` has
 * returned, so `start` may keep it in the app's data. */
static inline const void *s4_file(const s4_ctx *ctx, const char *path, size_t *size)
{
    return ctx->host->file(ctx, path, size);
}

/* This partition's number and how many there are. */
static inline uint32_t s4_partition(const s4_ctx *ctx)
{
    return ctx->host->partition(ctx);
}

static inline uint32_t s4_partitions(const s4_ctx *ctx)
{
    return ctx->host->partitions(ctx);
}

/* A line in the node's log: of an app at most 100 a second of each level, the rest is counted. */
static inline void s4_log(s4_ctx *ctx, enum s4_log_level level, const char *text)
{
    ctx->host->log(ctx, (int)level, text);
}

/* In save and load callbacks: bytes in the order in which they were saved. */
static inline s4_status s4_save(s4_ctx *ctx, s4_saver *saver, const void *data, size_t size)
{
    return ctx->host->save(saver, data, size);
}

static inline s4_status s4_load(s4_ctx *ctx, s4_loader *loader, void *data, size_t size)
{
    return ctx->host->load(loader, data, size);
}

#endif
