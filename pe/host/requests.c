/* Requests: functions of the bundle that run on the pool for an instance, and their answers.
 *
 *   handler --s4_ask--> host_ask ... the call ends well --> host_jobs_submit --> the pool
 *                                                                                  | job_run
 *   answer handler <-- answer_arrived, between two runs of the partition <-- job_done
 *
 * What a failing call asked is dropped with it. A request is known by the key of who asked and by
 * which of the key's instances that was, not by its entry. If that instance has gone meanwhile, the
 * answer is dropped, and counted, though a new one may have its key (README.md, rule 11).
 *
 * What a partition has asked, and has no answer to, is part of its state (jobs_save.c): where it is
 * loaded, the request runs again, and an answer to the partition that was there before is nobody's.
 * While a partition is held, its answers wait.
 */
#include "pe/host/request.h"
#include "pe/output/row.h"

#include "runtime/base/asan.h"
#include "runtime/base/hash.h"

void host_job_free(struct request_job *job)
{
    buffer_fini(&job->question);
    buffer_fini(&job->answer);
    mem_free(job->key);
    mem_free(job);
}

const struct host_app *host_job_app(const s4_job *pub)
{
    return CONTAINER_OF((s4_job *)(uintptr_t)pub, struct request_job, pub)->app;
}

/* Pool thread. */
static void job_run(struct job *base)
{
    struct request_job *job = CONTAINER_OF(base, struct request_job, job);
    const struct host_request *request = &job->app->requests[job->request];
    struct arena arena;
    arena_init(&arena);
    void *memory = mem_alloc(codec_struct_size(request->question));
    void *question = memory ? row_decode(request->question, &job->question, memory, &arena) : NULL;
    s4_status status = S4_NO_MEMORY;
    if (question) {
        host_running_request = job;
        status = ((request_fn *)request->request->run)(&job->pub, question);
        host_running_request = NULL;
    }
    job->status = status != S4_OK ? status : job->answered ? S4_OK : S4_FAILED;
    mem_free(memory);
    arena_fini(&arena);
}

/* Pool thread, after run; or anywhere, cancelled. */
static void job_done(struct job *base, s4_status status)
{
    struct request_job *job = CONTAINER_OF(base, struct request_job, job);
    if (status != S4_OK)
        job->status = status;
    worker_post(job->worker->actor, &job->message);
}

s4_status host_job_answer(s4_job *pub, const ProtobufCMessage *message)
{
    struct request_job *job = CONTAINER_OF(pub, struct request_job, pub);
    const struct host_request *request = &job->app->requests[job->request];
    if (job->answered)
        return S4_STATE;
    if (message->descriptor != codec_type(request->answer)->descriptor)
        return S4_TYPE;
    struct value value;
    s4_status status = row_encode(request->answer, message, &job->answer, &value);
    job->answered = status == S4_OK;
    return status;
}

static void call_answer(struct host_ctx *ctx, struct request_job *job, uint32_t number)
{
    struct host_prototype *prototype = &ctx->app->prototypes[job->prototype];
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct instance *instance = instances_at(table, number);
    if (instance->flags & INSTANCE_WAITING) {
        instance->flags &= (uint8_t)~INSTANCE_WAITING;
        count_sub(&host_counters(ctx->worker, ctx->app)->waiting, 1);
    }
    const struct host_request *request = &ctx->app->requests[job->request];
    const void *answer = NULL;
    if (job->status == S4_OK) {
        arena_reset(&ctx->worker->arena);
        asan_unpoison(ctx->worker->event, HOST_EVENT_SIZE);
        answer = row_decode(request->answer, &job->answer, ctx->worker->event, &ctx->worker->arena);
        if (!answer)
            job->status = S4_NO_MEMORY;
    }
    ctx->prototype = prototype;
    ctx->table = table;
    ctx->number = number;
    ctx->kind = CALL_ANSWER;
    answer_fn *fn = prototype->answers[job->request];
    s4_status status =
        host_call_end(ctx, fn(&ctx->pub, instance_state(table, instance), job->status, answer));
    if (status == S4_OK)
        instance->flags |= prototype->dirty_flag;
    host_call_came_to(ctx, prototype, number, status);
}

/* Who asked, if it still lives. */
static uint32_t find_asker(const struct request_job *job, struct instances *table)
{
    const struct host_prototype *prototype = &job->app->prototypes[job->prototype];
    uint32_t number = instances_find(table, job->hash, job->key, job->key_len);
    if (number == INSTANCE_NONE ||
        *host_life(prototype, table, instances_at(table, number)) != job->life)
        return INSTANCE_NONE;
    return number;
}

/* In a run of the partition, or what stands for one. */
static void take_answer(struct host_ctx *ctx, struct request_job *job)
{
    struct host_partition *p = ctx->partition;
    struct host_counters *counters = host_counters(ctx->worker, job->app);
    struct host_prototype *prototype = &job->app->prototypes[job->prototype];
    struct instances *table = &p->tables[prototype->number];
    count_add(&counters->answers, 1);
    uint32_t number = find_asker(job, table);
    if (number == INSTANCE_NONE) {
        count_add(&counters->answers_dropped, 1);
    } else {
        call_answer(ctx, job, number);
        if (instances_at(table, number)->flags & INSTANCE_LIVE &&
            !(instances_at(table, number)->flags & INSTANCE_WAITING))
            host_owe_turn(ctx, prototype, number);
    }
    if (p->base.stalled && !atomic_load_explicit(&job->app->paused, memory_order_relaxed))
        partition_resume(ctx->worker->actor, &p->base);
}

static void unlink_job(struct request_job *job)
{
    struct host_partition *p = job->partition;
    if (!p)
        return;
    *(job->before ? &job->before->after : &p->jobs) = job->after;
    if (job->after)
        job->after->before = job->before;
    job->partition = NULL;
}

static void link_job(struct host_partition *p, struct request_job *job)
{
    job->partition = p;
    job->before = NULL;
    job->after = p->jobs;
    if (p->jobs)
        p->jobs->before = job;
    p->jobs = job;
}

static void job_over(struct request_job *job)
{
    struct host_app *app = job->app;
    unlink_job(job);
    host_job_free(job);
    atomic_fetch_sub(&app->outstanding, 1); /* after its effects: drain reads it */
}

static void answer_now(struct host_worker *worker, struct request_job *job)
{
    host_enter(worker, job->partition, worker_now_us(worker->actor));
    take_answer(&worker->ctx, job);
    host_run_end(&worker->ctx);
    host_leave(worker);
    job_over(job);
}

/* The worker of who asked, between two runs: the answer arrived. A held partition of an app that is
 * being undeployed will take none any more, and undeploy waits for it. Nor does an engine that
 * stops run anything: who is asked next may be gone. */
static void answer_arrived(void *owner, struct message *message)
{
    struct request_job *job = CONTAINER_OF(message, struct request_job, message);
    bool held = job->partition && job->partition->base.stalled == PARTITION_HELD;
    if (!job->partition || (held && atomic_load(&job->app->closing)) ||
        atomic_load(&job->app->engine->stopping))
        job_over(job);
    else if (held)
        job->held = true;
    else
        answer_now(owner, job);
}

void host_jobs_go(struct host_worker *worker, struct host_partition *p)
{
    for (struct request_job *job = p->jobs; job;) {
        if (!job->held) {
            job = job->after;
            continue;
        }
        answer_now(worker, job);
        job = p->jobs; /* the answer's handler may have asked again */
    }
}

void host_jobs_forget(struct host_partition *p)
{
    while (p->loaded_jobs) {
        struct request_job *job = p->loaded_jobs;
        p->loaded_jobs = job->next;
        job_over(job);
    }
    while (p->jobs) {
        struct request_job *job = p->jobs;
        unlink_job(job);
        if (job->held)
            job_over(job);
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct request_job *host_job_new(struct host_partition *p, uint32_t prototype, uint16_t request,
                                 const char *key, size_t key_len)
{
    struct request_job *job = mem_zalloc(sizeof *job);
    if (!job)
        return NULL;
    job->app = p->app;
    job->slot = p->base.slot;
    job->worker = p->worker;
    job->prototype = prototype;
    job->request = request;
    job->pub.host = &host_services;
    job->message.run = answer_arrived;
    job->job = (struct job){ .run = job_run, .done = job_done };
    job->key_len = key_len;
    job->key = mem_zalloc(key_len + 17);
    if (!job->key) {
        host_job_free(job);
        return NULL;
    }
    memcpy(job->key, key, key_len);
    job->hash = hash_bytes(job->key, key_len);
    return job;
}

static s4_status job_make(struct host_ctx *ctx, const s4_request *request, const void *question,
                          struct request_job **made)
{
    struct instance *instance = instances_at(ctx->table, ctx->number);
    struct request_job *job = host_job_new(ctx->partition, ctx->prototype->number, *request->number,
                                           instance_key(instance), instance->key_len);
    if (!job)
        return S4_NO_MEMORY;
    job->life = *host_life(ctx->prototype, ctx->table, instance);
    struct value value;
    s4_status status =
        row_encode(ctx->app->requests[job->request].question, question, &job->question, &value);
    if (status != S4_OK) {
        host_job_free(job);
        return status;
    }
    job->question_size = value.size;
    *made = job;
    return S4_OK;
}

s4_status host_ask(struct host_ctx *ctx, const s4_request *request,
                   const ProtobufCMessage *question)
{
    const struct host_request *known = &ctx->app->requests[*request->number];
    if (question->descriptor != codec_type(known->question)->descriptor)
        return S4_TYPE;
    if (!ctx->prototype->answers[*request->number])
        return S4_STATE;
    if (atomic_load_explicit(&ctx->app->outstanding, memory_order_relaxed) >= ENGINE_REQUESTS_MAX)
        return S4_FULL;
    struct request_job *job;
    TRY(job_make(ctx, request, question, &job));
    atomic_fetch_add(&ctx->app->outstanding, 1);
    job->next = ctx->jobs;
    ctx->jobs = job;
    ctx->asked = true;
    ctx->touched |= HOST_TOUCHED;
    return S4_OK;
}

/* All of a list, the newest first; the oldest goes first. */
static void submit_all(struct host_partition *p, struct request_job *newest)
{
    struct request_job *oldest = NULL;
    while (newest) {
        struct request_job *job = newest;
        newest = job->next;
        job->next = oldest;
        oldest = job;
    }
    while (oldest) {
        struct request_job *next = oldest->next;
        link_job(p, oldest);
        count_add(&host_counters(p->worker, p->app)->requests, 1);
        s4_status status = pool_submit(p->app->engine->requests, &oldest->job);
        if (status != S4_OK)
            job_done(&oldest->job, status); /* the answer says why there is none */
        oldest = next;
    }
}

void host_jobs_submit(struct host_ctx *ctx)
{
    struct request_job *newest = ctx->jobs;
    ctx->jobs = NULL;
    submit_all(ctx->partition, newest);
}

void host_jobs_again(struct host_partition *p)
{
    struct request_job *newest = p->loaded_jobs;
    p->loaded_jobs = NULL;
    submit_all(p, newest);
}

void host_jobs_drop(struct host_ctx *ctx)
{
    while (ctx->jobs) {
        struct request_job *job = ctx->jobs;
        ctx->jobs = job->next;
        atomic_fetch_sub(&job->app->outstanding, 1);
        host_job_free(job);
    }
}
