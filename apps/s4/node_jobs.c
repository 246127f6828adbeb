/* The job thread: what takes long and may wait, one after the other, so that the control thread
 * stays free: bundles are opened, checked and deployed, apps undeployed, rows rendered. */
#include <sys/eventfd.h>

#include "apps/s4/node.h"
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

void node_jobs_push(struct node *node, struct request *request)
{
    request->job_next = NULL;
    pthread_mutex_lock(&node->lock);
    if (node->jobs)
        node->jobs_last->job_next = request;
    else
        node->jobs = request;
    node->jobs_last = request;
    pthread_cond_signal(&node->jobs_wake);
    pthread_mutex_unlock(&node->lock);
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
    if (request->status == S4_OK)
        request->status =
            engine_deploy(request->node->engine, request->bundle, request->plugin, &request->diag);
}

static void run_job(struct request *request)
{
    switch (request->message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_DEPLOY:
        deploy(request);
        break;
    case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
        request->status = engine_undeploy(request->node->engine, request->message->undeploy->app,
                                          &request->got.count, &request->diag);
        break;
    default:
        node_rows_pack(request);
    }
}

static struct request *take_job(struct node *node)
{
    pthread_mutex_lock(&node->lock);
    while (!node->jobs && !node->jobs_end)
        pthread_cond_wait(&node->jobs_wake, &node->lock);
    struct request *request = node->jobs_end ? NULL : node->jobs;
    if (request)
        node->jobs = request->job_next;
    pthread_mutex_unlock(&node->lock);
    return request;
}

static void *run_jobs(void *arg)
{
    struct node *node = arg;
    for (struct request *request; (request = take_job(node));) {
        run_job(request);
        node_done(request);
    }
    return NULL;
}

void node_jobs_start(struct node *node)
{
    CHECK(pthread_mutex_init(&node->lock, NULL) == 0);
    CHECK(pthread_cond_init(&node->jobs_wake, NULL) == 0);
    CHECK(pthread_create(&node->job_thread, NULL, run_jobs, node) == 0);
}

void node_jobs_stop(struct node *node)
{
    pthread_mutex_lock(&node->lock);
    node->jobs_end = true;
    pthread_cond_signal(&node->jobs_wake);
    pthread_mutex_unlock(&node->lock);
    pthread_join(node->job_thread, NULL);
}
