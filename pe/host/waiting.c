/* Instances that wait: their mailboxes, their turns, and the requests that they wait for.
 *
 * An instance that asked and waits takes no event, timer or query: they go into its mailbox,
 * copied, within its limits. The answer comes as a message to the partition's worker, between two
 * runs; then the mailbox is emptied, oldest first, at most `budget` items in a turn, and other keys
 * go on between the turns. While anything is in the mailbox the instance is QUEUED and new events
 * go behind, so that the order per sender and key holds.
 *
 * A request is known by the key of who asked and by which of the key's instances that was, not by
 * its entry: a partition may be saved and loaded while the request runs. If that instance has gone
 * meanwhile, the answer is dropped, and counted, though a new one may have its key.
 */
#include "pe/host/host.h"

#include "runtime/base/asan.h"
#include "runtime/base/hash.h"

struct request_job {
    struct job job;           /* the pool's part */
    struct message message;   /* the way back */
    s4_job pub;               /* what the function gets */
    struct request_job *next; /* in the asking call */
    struct host_app *app;
    uint16_t slot;
    uint32_t prototype;
    uint16_t request;
    bool answered;
    s4_status status;
    uint64_t life; /* of who asked */
    uint64_t hash;
    size_t key_len;
    char *key;              /* owned */
    struct buffer question; /* encoded (host_encode) */
    struct buffer answer;
};

/* One turn that is owed. */
struct turn {
    uint32_t prototype;
    uint32_t number;
};

/* ---- mailboxes ----------------------------------------------------------------------------- */

struct mailbox **host_mailbox(const struct host_prototype *prototype, struct instances *table,
                              struct instance *instance)
{
    if (prototype->extra_mailbox == INSTANCE_NONE)
        return NULL;
    return (struct mailbox **)(void *)((char *)instance_extra(table, instance) +
                                       prototype->extra_mailbox);
}

uint64_t *host_life(const struct host_prototype *prototype, struct instances *table,
                    struct instance *instance)
{
    return (uint64_t *)(void *)((char *)instance_extra(table, instance) + prototype->extra_life);
}

static struct mailbox *mailbox_of(struct host_ctx *ctx, const struct host_prototype *prototype,
                                  uint32_t number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct mailbox **at = host_mailbox(prototype, table, instances_at(table, number));
    CHECK(at);
    if (!*at)
        *at = mailbox_create();
    return *at;
}

static void drop_mail(struct host_ctx *ctx, const struct host_prototype *prototype,
                      struct mail *mail)
{
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    count_sub(&counters->mailbox, 1);
    if (mail->kind == MAIL_QUERY)
        host_query_drop((struct host_query *)(uintptr_t)mail->number, S4_NOT_FOUND);
    else
        count_add(&counters->mailbox_dropped, 1);
    if (mail->kind == MAIL_RECORD)
        host_dead_letter(ctx, (const struct record *)(const void *)mail->data, prototype, S4_FULL,
                         "dropped from its instance's mailbox");
    mem_free(mail);
}

void host_mailbox_clear(struct host_ctx *ctx, struct host_prototype *prototype,
                        struct instance *instance)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct mailbox **at = host_mailbox(prototype, table, instance);
    if (!at || !*at)
        return;
    for (struct mail *mail = mailbox_pop(*at); mail; mail = mailbox_pop(*at))
        drop_mail(ctx, prototype, mail);
    mailbox_destroy(*at);
    *at = NULL;
}

static void note_parked(struct host_ctx *ctx)
{
    count_add(&host_counters(ctx->worker, ctx->app)->mailbox, 1);
}

bool host_park(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
               uint32_t pair, uint32_t sub, const struct record *record)
{
    struct mailbox *mailbox = mailbox_of(ctx, prototype, number);
    s4_status status = S4_NO_MEMORY;
    while (mailbox) {
        status = mailbox_push(mailbox, &prototype->mailbox, MAIL_RECORD, (uint16_t)sub, pair,
                              record, record->len);
        if (status != S4_FULL || prototype->mailbox_full != S4__GRAPH__PROTOTYPE__FULL__DROP_OLDEST)
            break;
        drop_mail(ctx, prototype, mailbox_pop(mailbox));
    }
    if (status == S4_OK) {
        note_parked(ctx);
        return true;
    }
    if (status == S4_FULL && prototype->mailbox_full == S4__GRAPH__PROTOTYPE__FULL__BLOCK)
        return false;
    count_add(&host_counters(ctx->worker, ctx->app)->mailbox_dropped, 1);
    host_dead_letter(ctx, record, prototype, status, "its instance's mailbox is full");
    return true;
}

bool host_park_timer(struct host_ctx *ctx, struct host_prototype *prototype,
                     const struct timer *timer)
{
    struct mailbox *mailbox = mailbox_of(ctx, prototype, timer->instance);
    struct mailbox_limits none = { .items_max = UINT32_MAX, .bytes_max = UINT64_MAX };
    /* A timer is bounded by the timers' own limit, and must not be lost. */
    if (!mailbox || mailbox_push(mailbox, &none, MAIL_TIMER, 0, timer->id, NULL, 0) != S4_OK)
        return false;
    note_parked(ctx);
    return true;
}

void host_timer_call(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                     uint64_t id)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    ctx->prototype = prototype;
    ctx->table = table;
    ctx->number = number;
    ctx->kind = CALL_TIMER;
    emitter_begin(ctx->emitter);
    void *state = instance_state(table, instances_at(table, number));
    s4_status status = host_call_end(ctx, prototype->of->timer(&ctx->pub, state, id));
    if (status == S4_OK)
        instances_at(table, number)->flags |= prototype->dirty_flag;
    host_call_came_to(ctx, prototype, number, status);
}

/* ---- turns --------------------------------------------------------------------------------- */

static bool is_waiting(const struct instances *table, uint32_t number)
{
    return (instances_at(table, number)->flags & INSTANCE_WAITING) != 0;
}

static void take_mail(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                      const struct mail *mail)
{
    if (mail->kind == MAIL_TIMER) {
        host_timer_call(ctx, prototype, number, mail->number);
        return;
    }
    if (mail->kind == MAIL_QUERY) {
        host_query_run(ctx, (struct host_query *)(uintptr_t)mail->number, number);
        return;
    }
    const struct record *record = (const struct record *)(const void *)mail->data;
    struct host_pair *pair = &ctx->app->pairs[mail->number];
    const struct instances *table = &ctx->partition->tables[prototype->number];
    if (UNLIKELY(instances_at(table, number)->flags & INSTANCE_PARKED)) {
        host_dead_letter(ctx, record, prototype, S4_FAILED, "the key is parked");
        return;
    }
    ctx->record = record;
    ctx->emission.hop = (uint8_t)(record->hop + (record->hop < UINT8_MAX));
    const void *event = host_decode(ctx->worker, pair, record);
    if (event)
        host_deliver_now(ctx, prototype, pair->subs[mail->note].on_event, number, record, event);
    else
        host_dead_letter(ctx, record, prototype, S4_NO_MEMORY, "out of memory for the event");
    ctx->record = NULL;
}

/* One turn: up to `budget` items. True: the instance is owed another one. */
static bool take_turn(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    for (uint32_t n = 0; n < prototype->budget && !ctx->yield; n++) {
        if (!(instances_at(table, number)->flags & INSTANCE_LIVE) || is_waiting(table, number))
            return false;
        struct mailbox **at = host_mailbox(prototype, table, instances_at(table, number));
        struct mail *mail = *at ? mailbox_pop(*at) : NULL;
        if (!mail) {
            mailbox_destroy(*at);
            *at = NULL;
            instances_at(table, number)->flags &= (uint8_t)~INSTANCE_QUEUED;
            return false;
        }
        count_sub(&host_counters(ctx->worker, ctx->app)->mailbox, 1);
        take_mail(ctx, prototype, number, mail);
        mem_free(mail);
    }
    return true;
}

/* The instance's wait is over: its mail is owed turns. */
static void owe_turn(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct instance *instance = instances_at(table, number);
    struct mailbox **at = host_mailbox(prototype, table, instance);
    if (!*at)
        return;
    struct turn turn = { .prototype = prototype->number, .number = number };
    CHECK(buffer_append(&ctx->partition->turns, &turn, sizeof turn) == S4_OK);
    instance->flags |= INSTANCE_QUEUED;
}

bool host_turns(struct host_ctx *ctx)
{
    struct host_partition *p = ctx->partition;
    size_t n = p->turns.size / sizeof(struct turn);
    for (size_t i = 0; i < n; i++) {
        struct turn turn;
        memcpy(&turn, p->turns.data + i * sizeof turn, sizeof turn);
        if (take_turn(ctx, &ctx->app->prototypes[turn.prototype], turn.number))
            CHECK(buffer_append(&p->turns, &turn, sizeof turn) == S4_OK);
    }
    memmove(p->turns.data, p->turns.data + n * sizeof(struct turn),
            p->turns.size - n * sizeof(struct turn));
    p->turns.size -= n * sizeof(struct turn);
    if (p->turns.size > 0)
        host_turn_later(p);
    if (p->base.stalled && !atomic_load_explicit(&p->app->paused, memory_order_relaxed))
        partition_resume(ctx->worker->actor, &p->base);
    return n > 0;
}

/* ---- requests ------------------------------------------------------------------------------ */

static void job_free(struct request_job *job)
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
    void *question =
        memory ? host_decode_row(request->question, &job->question, memory, &arena) : NULL;
    s4_status status = S4_NO_MEMORY;
    if (question) {
        host_running_app = job->app;
        status = ((request_fn *)request->request->run)(&job->pub, question);
        host_running_app = NULL;
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
    struct host_partition *p = job->app->partitions[job->slot];
    worker_post(p->worker->actor, &job->message);
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
    s4_status status = host_encode(request->answer, message, &job->answer, &value);
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
        answer =
            host_decode_row(request->answer, &job->answer, ctx->worker->event, &ctx->worker->arena);
        if (!answer)
            job->status = S4_NO_MEMORY;
    }
    ctx->prototype = prototype;
    ctx->table = table;
    ctx->number = number;
    ctx->kind = CALL_ANSWER;
    emitter_begin(ctx->emitter);
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

/* The partition's worker, between two runs: the answer arrived. */
static void answer_arrived(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct request_job *job = CONTAINER_OF(message, struct request_job, message);
    struct host_app *app = job->app;
    struct host_partition *p = app->partitions[job->slot];
    struct host_prototype *prototype = &app->prototypes[job->prototype];
    struct instances *table = &p->tables[prototype->number];
    host_enter(worker, p, worker_now_us(worker->actor));
    struct host_ctx *ctx = &worker->ctx;
    count_add(&host_counters(worker, app)->answers, 1);
    uint32_t number = find_asker(job, table);
    if (number == INSTANCE_NONE) {
        count_add(&host_counters(worker, app)->answers_dropped, 1);
    } else {
        call_answer(ctx, job, number);
        if (instances_at(table, number)->flags & INSTANCE_LIVE && !is_waiting(table, number))
            owe_turn(ctx, prototype, number);
    }
    if (p->base.stalled && !atomic_load_explicit(&app->paused, memory_order_relaxed))
        partition_resume(worker->actor, &p->base);
    host_run_end(ctx);
    host_leave(worker);
    job_free(job);
    atomic_fetch_sub(&app->outstanding, 1); /* after its effects: drain reads it */
}

static s4_status job_make(struct host_ctx *ctx, const s4_request *request, const void *question,
                          struct request_job **made)
{
    struct instance *instance = instances_at(ctx->table, ctx->number);
    struct request_job *job = mem_zalloc(sizeof *job);
    if (!job)
        return S4_NO_MEMORY;
    job->app = ctx->app;
    job->request = *request->number;
    job->pub.host = &host_services;
    job->message.run = answer_arrived;
    job->slot = ctx->partition->base.slot;
    job->prototype = ctx->prototype->number;
    job->life = *host_life(ctx->prototype, ctx->table, instance);
    job->key_len = instance->key_len;
    job->key = mem_zalloc(job->key_len + 17);
    job->job = (struct job){ .run = job_run, .done = job_done };
    s4_status status = S4_NO_MEMORY;
    struct value value;
    if (job->key)
        status = host_encode(ctx->app->requests[job->request].question, question, &job->question,
                             &value);
    if (status != S4_OK) {
        job_free(job);
        return status;
    }
    memcpy(job->key, instance_key(instance), job->key_len);
    job->hash = hash_bytes(job->key, job->key_len);
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
    ctx->touched = 1;
    return S4_OK;
}

void host_jobs_submit(struct host_ctx *ctx)
{
    struct request_job *oldest = NULL;
    while (ctx->jobs) {
        struct request_job *job = ctx->jobs;
        ctx->jobs = job->next;
        job->next = oldest;
        oldest = job;
    }
    while (oldest) {
        struct request_job *next = oldest->next;
        count_add(&host_counters(ctx->worker, ctx->app)->requests, 1);
        s4_status status = pool_submit(ctx->app->engine->requests, &oldest->job);
        if (status != S4_OK)
            job_done(&oldest->job, status); /* the answer says why there is none */
        oldest = next;
    }
}

void host_jobs_drop(struct host_ctx *ctx)
{
    while (ctx->jobs) {
        struct request_job *job = ctx->jobs;
        ctx->jobs = job->next;
        atomic_fetch_sub(&job->app->outstanding, 1);
        job_free(job);
    }
}

/* ---- queries ------------------------------------------------------------------------------- */

void host_query_drop(struct host_query *query, s4_status status)
{
    query->done(query->user, status, NULL, NULL);
    mem_free(query->key);
    mem_free(query);
}

void host_query_run(struct host_ctx *ctx, struct host_query *query, uint32_t number)
{
    struct host_prototype *prototype = query->prototype;
    struct instances *table = &ctx->partition->tables[prototype->number];
    ctx->prototype = prototype;
    ctx->table = table;
    ctx->number = number;
    ctx->kind = CALL_QUERY;
    ctx->replied = false;
    emitter_begin(ctx->emitter);
    const void *state = instance_state(table, instances_at(table, number));
    ctx->pub.host = &host_services_quiet;
    s4_status status = prototype->of->query(&ctx->pub, state);
    ctx->pub.host = &host_services;
    status = ctx->failed != S4_OK ? ctx->failed : status;
    if (status == S4_OK && !ctx->replied)
        status = S4_FAILED;
    query->done(query->user, status, status == S4_OK ? &ctx->reply : NULL, ctx->cause);
    ctx->failed = S4_OK;
    ctx->touched = 0;
    ctx->cause[0] = '\0';
    mem_free(query->key);
    mem_free(query);
}

static void query_arrived(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct host_query *query = CONTAINER_OF(message, struct host_query, message);
    struct host_partition *p = query->app->partitions[query->slot];
    if (!p) {
        host_query_drop(query, S4_UNAVAILABLE);
        return;
    }
    struct instances *table = &p->tables[query->prototype->number];
    uint32_t number = instances_find(table, query->hash, query->key, query->key_len);
    if (number == INSTANCE_NONE) {
        host_query_drop(query, S4_NOT_FOUND);
        return;
    }
    host_enter(worker, p, worker_now_us(worker->actor));
    if (instances_at(table, number)->flags & (INSTANCE_WAITING | INSTANCE_QUEUED))
        host_park_query(&worker->ctx, query, number);
    else
        host_query_run(&worker->ctx, query, number);
    host_leave(worker);
}

void host_park_query(struct host_ctx *ctx, struct host_query *query, uint32_t number)
{
    struct mailbox *mailbox = mailbox_of(ctx, query->prototype, number);
    s4_status status = S4_NO_MEMORY;
    if (mailbox)
        status = mailbox_push(mailbox, &query->prototype->mailbox, MAIL_QUERY, 0,
                              (uint64_t)(uintptr_t)query, NULL, 0);
    if (status == S4_OK)
        note_parked(ctx);
    else
        host_query_drop(query, status);
}

void host_query_post(struct host_query *query)
{
    query->message.run = query_arrived;
    struct host_partition *p = query->app->partitions[query->slot];
    worker_post(p->worker->actor, &query->message);
}
