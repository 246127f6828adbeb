/* Queries of living instances: sent to the worker that owns the key, run between two runs, parked
 * with an instance that waits (waiting.c; README.md, rule 9).
 */
#include "pe/host/host_run.h"

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
    struct host_partition *p = host_partition_at(query->app, query->slot);
    if (!p || p->worker != worker) { /* it has moved meanwhile */
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

void host_query_post(struct host_query *query)
{
    struct host_worker *home = host_home(query->app->engine, query->slot);
    query->message.run = query_arrived;
    if (home)
        worker_post(home->actor, &query->message);
    else
        host_query_drop(query, S4_UNAVAILABLE);
}
