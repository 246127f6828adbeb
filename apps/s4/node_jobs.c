/* The job threads: what takes long, one after the other, so that the control thread stays free. One
 * opens, checks and deploys bundles and undeploys apps; the other reads, so that a bundle whose
 * check takes its time keeps nobody from looking. */
#include <sys/eventfd.h>

#include "apps/s4/node.h"
#include "apps/s4/node_cluster.h"
#include "apps/s4/say.h"
#include "runtime/base/mem.h"

void node_done(struct request *request)
{
    struct node *node = request->node;
    request->done_next = NULL;
    pthread_mutex_lock(&node->lock);
    if (node->done)
        node->done_last->done_next = request;
    else
        node->done = request;
    node->done_last = request;
    pthread_mutex_unlock(&node->lock);
    eventfd_write(node->wake, 1);
}

void node_jobs_push(struct node_jobs *jobs, struct request *request)
{
    request->job_next = NULL;
    pthread_mutex_lock(&jobs->lock);
    if (jobs->first)
        jobs->last->job_next = request;
    else
        jobs->first = request;
    jobs->last = request;
    pthread_cond_signal(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
}

/* All problems of a bundle, one line each, as far as a diag holds them. */
static void tell_problems(struct request *request, const struct problems *problems)
{
    char *text = request->diag.text;
    size_t at = 0;
    request->status = problems->first != S4_OK ? problems->first : S4_INVALID;
    for (size_t i = 0; i < problems->count && at < DIAG_TEXT_MAX - 1; i++)
        at += (size_t)snprintf(text + at, DIAG_TEXT_MAX - at, "%s%s", i ? "\n" : "",
                               problems->list[i].text);
    request->diag.code = request->status;
}

static void load(struct request *request)
{
    const ProtobufCBinaryData *bytes = &request->message->deploy->bundle;
    struct problems problems;
    problems_init(&problems);
    request->status = bundle_open_bytes(bytes->data, bytes->len, &request->bundle, &problems);
    if (request->status == S4_OK)
        request->status = plugin_load(request->bundle, NULL, &request->plugin, &problems);
    if (request->status != S4_OK)
        tell_problems(request, &problems);
    problems_fini(&problems);
}

static void deploy(struct request *request)
{
    load(request);
    if (request->status == S4_OK && !request->node->member)
        request->status =
            engine_deploy(request->node->engine, request->bundle, request->plugin, &request->diag);
}

/* Whoever hears the app may have been deployed since the request came. */
static void undeploy(struct request *request)
{
    const S4__Control__Undeploy *undeploy = request->message->undeploy;
    struct engine *engine = request->node->engine;
    s4_status heard = engine_hearers(engine, undeploy->app, &request->detached, &request->diag);
    request->status = undeploy->force ? S4_OK : heard;
    if (request->status == S4_OK)
        request->status =
            engine_undeploy(engine, undeploy->app, &request->got.count, &request->diag);
}

static void run_job(struct request *request)
{
    switch (request->message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_DEPLOY:
        deploy(request);
        break;
    case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
        undeploy(request);
        break;
    case S4__CONTROL__REQUEST__WHAT_GET_STATUS:
        node_status_pack(request);
        break;
    case S4__CONTROL__REQUEST__WHAT_FETCH:
        cluster_node_fetch(request);
        break;
    case S4__CONTROL__REQUEST__WHAT_TAIL_NEXT:
        node_tail_pack(request);
        break;
    default:
        node_rows_pack(request);
    }
}

static struct request *take_job(struct node_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->first && !jobs->end)
        pthread_cond_wait(&jobs->wake, &jobs->lock);
    struct request *request = jobs->end ? NULL : jobs->first;
    if (request)
        jobs->first = request->job_next;
    pthread_mutex_unlock(&jobs->lock);
    return request;
}

static void *run_jobs(void *arg)
{
    struct node_jobs *jobs = arg;
    for (struct request *request; (request = take_job(jobs));) {
        run_job(request);
        node_done(request);
    }
    return NULL;
}

static void start(struct node_jobs *jobs)
{
    CHECK(pthread_mutex_init(&jobs->lock, NULL) == 0);
    CHECK(pthread_cond_init(&jobs->wake, NULL) == 0);
    CHECK(pthread_create(&jobs->thread, NULL, run_jobs, jobs) == 0);
}

static void stop(struct node_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->end = true;
    pthread_cond_signal(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
    pthread_join(jobs->thread, NULL);
    pthread_cond_destroy(&jobs->wake);
    pthread_mutex_destroy(&jobs->lock);
}

void node_jobs_start(struct node *node)
{
    CHECK(pthread_mutex_init(&node->lock, NULL) == 0);
    start(&node->changes);
    start(&node->reads);
}

void node_jobs_stop(struct node *node)
{
    stop(&node->changes);
    stop(&node->reads);
}
