/* What a partition has asked and has no answer to, as a part of its state: who asked what. Loaded,
 * they are asked again (requests.c).
 */
#include "pe/host/host_control.h"
#include "pe/host/planted.h"
#include "pe/host/request.h"
#include "pe/output/row.h"

struct saved_job {
    uint64_t life;
    uint32_t prototype;
    uint32_t question; /* bytes of its value */
    uint16_t request;
    uint16_t key; /* bytes */
    uint32_t reserved;
};

s4_status host_jobs_save(const struct host_partition *p, struct buffer *out)
{
    uint64_t n = 0;
    const struct request_job *last = NULL;
    for (const struct request_job *job = p->jobs; job; job = job->after, n++)
        last = job;
    if (PLANTED(PLANTED_NOT_ASKED_AGAIN)) {
        last = NULL;
        n = 0;
    }
    TRY(buffer_append(out, &n, sizeof n));
    for (const struct request_job *job = last; job; job = job->before) { /* the oldest first */
        struct saved_job saved = { .life = job->life,
                                   .prototype = job->prototype,
                                   .question = job->question_size,
                                   .request = job->request,
                                   .key = (uint16_t)job->key_len };
        TRY(buffer_append(out, &saved, sizeof saved));
        TRY(buffer_append(out, job->key, job->key_len));
        TRY(buffer_append(out, job->question.data + OUTPUT_ROW_BASE, saved.question));
    }
    return S4_OK;
}

static bool can_be(const struct host_app *app, const struct saved_job *saved, size_t left)
{
    return saved->prototype < app->n_prototypes && saved->request < app->n_requests &&
           app->prototypes[saved->prototype].answers &&
           app->prototypes[saved->prototype].answers[saved->request] &&
           saved->key <= RECORD_KEY_MAX && saved->question <= RECORD_MAX &&
           saved->question % 8 == 0 && saved->key + (size_t)saved->question <= left;
}

/* The question as a row, which is checked as what it is: bytes that nobody vouches for. */
static s4_status take_question(const struct type *type, const char *at, uint32_t size,
                               struct buffer *row, struct diag *diag)
{
    char *room = buffer_room(row, OUTPUT_ROW_BASE + size);
    if (!room)
        return S4_NO_MEMORY;
    memset(room, 0, OUTPUT_ROW_BASE);
    ((struct record *)(void *)room)->len = OUTPUT_ROW_BASE + size;
    memcpy(room + OUTPUT_ROW_BASE, at, size);
    return codec_check(type, (const struct record *)(const void *)room, diag);
}

static s4_status load_job(struct host_partition *p, const char **at, const char *end,
                          struct diag *diag)
{
    struct saved_job saved;
    if ((size_t)(end - *at) < sizeof saved)
        return S4_CORRUPT;
    memcpy(&saved, *at, sizeof saved);
    *at += sizeof saved;
    if (!can_be(p->app, &saved, (size_t)(end - *at)))
        return S4_CORRUPT;
    if (atomic_load_explicit(&p->app->outstanding, memory_order_relaxed) >= ENGINE_REQUESTS_MAX)
        return diag_set(diag, S4_FULL, "%d requests are outstanding here, which is the most",
                        ENGINE_REQUESTS_MAX);
    struct request_job *job = host_job_new(p, saved.prototype, saved.request, *at, saved.key);
    if (!job)
        return S4_NO_MEMORY;
    job->life = saved.life;
    job->question_size = saved.question;
    s4_status status = take_question(codec_type(p->app->requests[saved.request].question),
                                     *at + saved.key, saved.question, &job->question, diag);
    if (status != S4_OK) {
        host_job_free(job);
        return status;
    }
    *at += saved.key + (size_t)saved.question;
    job->next = p->loaded_jobs;
    p->loaded_jobs = job;
    atomic_fetch_add(&p->app->outstanding, 1);
    return S4_OK;
}

s4_status host_jobs_load(struct host_partition *p, const char **at, const char *end,
                         struct diag *diag)
{
    uint64_t n;
    if ((size_t)(end - *at) < sizeof n)
        return S4_CORRUPT;
    memcpy(&n, *at, sizeof n);
    *at += sizeof n;
    for (uint64_t i = 0; i < n; i++)
        TRY(load_job(p, at, end, diag));
    return S4_OK;
}
