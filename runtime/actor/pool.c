/* Threads that take jobs from one queue under one lock: a request takes microseconds to seconds, so
 * the lock is not what it waits for. Threads are started with the first job. */
#include "runtime/actor/pool.h"

#include <pthread.h>

#include "runtime/base/mem.h"

#define POOL_THREADS_MAX 64u

struct pool_threads {
    struct pool pool;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job *oldest;
    struct job *newest;
    uint32_t waiting;
    uint32_t waiting_max;
    uint32_t n_threads; /* wanted */
    uint32_t n_started;
    bool stopping;
    pthread_t threads[];
};

static struct job *take(struct pool_threads *p)
{
    struct job *job = p->oldest;
    if (!job)
        return NULL;
    p->oldest = job->next;
    if (!p->oldest)
        p->newest = NULL;
    p->waiting--;
    return job;
}

static void *work(void *arg)
{
    struct pool_threads *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->oldest && !p->stopping)
            pthread_cond_wait(&p->work, &p->lock);
        if (p->stopping)
            break;
        struct job *job = take(p);
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        job->done(job, S4_OK);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static s4_status start_threads(struct pool_threads *p)
{
    while (p->n_started < p->n_threads) {
        if (pthread_create(&p->threads[p->n_started], NULL, work, p) != 0)
            return p->n_started > 0 ? S4_OK : S4_UNAVAILABLE;
        pthread_setname_np(p->threads[p->n_started], "request");
        p->n_started++;
    }
    return S4_OK;
}

static s4_status submit(struct pool *pool, struct job *job)
{
    struct pool_threads *p = CONTAINER_OF(pool, struct pool_threads, pool);
    pthread_mutex_lock(&p->lock);
    s4_status status = p->waiting < p->waiting_max ? start_threads(p) : S4_FULL;
    if (status == S4_OK) {
        job->next = NULL;
        if (p->newest)
            p->newest->next = job;
        else
            p->oldest = job;
        p->newest = job;
        p->waiting++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return status;
}

static void destroy(struct pool *pool)
{
    struct pool_threads *p = CONTAINER_OF(pool, struct pool_threads, pool);
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++)
        pthread_join(p->threads[i], NULL);
    struct job *job;
    while ((job = take(p)))
        job->done(job, S4_CANCELLED);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    mem_free(p);
}

s4_status pool_create(uint32_t threads, uint32_t waiting_max, struct pool **pool)
{
    if (threads == 0 || threads > POOL_THREADS_MAX || waiting_max == 0)
        return S4_RANGE;
    struct pool_threads *p = mem_zalloc(sizeof *p + threads * sizeof p->threads[0]);
    if (!p)
        return S4_NO_MEMORY;
    p->pool = (struct pool){ .submit = submit, .destroy = destroy };
    p->n_threads = threads;
    p->waiting_max = waiting_max;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    *pool = &p->pool;
    return S4_OK;
}
