/* Calls with one answer: applications, queries. Each packs a request, waits, and turns the
 * reply into what the header promises. */
#include "router/client/client_internal.h"

#include "runtime/base/mem.h"

struct s4_rows {
    S4__Control__Reply *reply; /* owned; holds all texts */
    bool answer;               /* one row: an instance's answer */
};

/* protobuf-c's structs have no const; packing only reads. */
static char *text(const char *given)
{
    union {
        const char *given;
        char *wanted;
    } both = { given };
    return both.wanted;
}

s4_status s4_client_deploy(s4_client *client, const void *bundle, size_t size,
                           s4_deployed *deployed)
{
    if (size > S4_CLIENT_BUNDLE_MAX)
        return diag_set(&client->diag, S4_TOO_LARGE,
                        "the bundle has %zu bytes; at most %zu can be deployed", size,
                        S4_CLIENT_BUNDLE_MAX);
    union {
        const void *given;
        uint8_t *wanted;
    } bytes = { bundle };
    S4__Control__Deploy deploy = S4__CONTROL__DEPLOY__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    deploy.bundle.data = bytes.wanted;
    deploy.bundle.len = size;
    request.what_case = S4__CONTROL__REQUEST__WHAT_DEPLOY;
    request.deploy = &deploy;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT_DEPLOYED, &reply));
    control_reply_destroy(client->kept);
    client->kept = reply;
    if (deployed)
        *deployed = (s4_deployed){ .app = reply->deployed->app,
                                   .version = reply->deployed->version,
                                   .build_id = reply->deployed->build_id };
    return S4_OK;
}

static s4_status undeploy_app(s4_client *client, const char *app, bool force, uint64_t *dropped,
                              uint32_t *detached)
{
    TRY(client_check_text(client, "application", app));
    S4__Control__Undeploy undeploy = S4__CONTROL__UNDEPLOY__INIT;
    undeploy.has_force = undeploy.force = force;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    undeploy.app = text(app);
    request.what_case = S4__CONTROL__REQUEST__WHAT_UNDEPLOY;
    request.undeploy = &undeploy;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT_UNDEPLOYED, &reply));
    if (dropped)
        *dropped = reply->undeployed->dropped;
    if (detached)
        *detached = reply->undeployed->detached;
    control_reply_destroy(reply);
    return S4_OK;
}

s4_status s4_client_undeploy(s4_client *client, const char *app, uint64_t *dropped)
{
    return undeploy_app(client, app, false, dropped, NULL);
}

s4_status s4_client_undeploy_forced(s4_client *client, const char *app, uint64_t *dropped,
                                    uint32_t *detached)
{
    return undeploy_app(client, app, true, dropped, detached);
}

s4_status s4_client_drain(s4_client *client, const char *app, bool finish, s4_drained *drained)
{
    if (app)
        TRY(client_check_text(client, "application", app));
    S4__Control__Drain drain = S4__CONTROL__DRAIN__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    drain.app = text(app);
    drain.has_finish = true;
    drain.finish = finish;
    request.what_case = S4__CONTROL__REQUEST__WHAT_DRAIN;
    request.drain = &drain;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT_DRAINED, &reply));
    if (drained)
        *drained = (s4_drained){ .waiting_timers = reply->drained->waiting_timers,
                                 .waiting_answers = reply->drained->waiting_answers };
    control_reply_destroy(reply);
    return S4_OK;
}

s4_status s4_client_drain_node(s4_client *client, const char *node)
{
    TRY(client_check_text(client, "node", node));
    S4__Control__DrainNode drain = S4__CONTROL__DRAIN_NODE__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    drain.node = text(node);
    request.what_case = S4__CONTROL__REQUEST__WHAT_DRAIN_NODE;
    request.drain_node = &drain;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT__NOT_SET, &reply));
    control_reply_destroy(reply);
    return S4_OK;
}

s4_status s4_client_stop(s4_client *client, bool now)
{
    S4__Control__Stop stop = S4__CONTROL__STOP__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    stop.has_now = true;
    stop.now = now;
    request.what_case = S4__CONTROL__REQUEST__WHAT_STOP;
    request.stop = &stop;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT__NOT_SET, &reply));
    control_reply_destroy(reply);
    return S4_OK;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* Calls, and keeps the reply in *rows. */
static s4_status call_rows(s4_client *client, S4__Control__Request *request,
                           S4__Control__Reply__WhatCase wanted, s4_rows **rows)
{
    s4_rows *made = mem_zalloc(sizeof *made);
    if (!made)
        return diag_set(&client->diag, S4_NO_MEMORY, "out of memory");
    s4_status status = client_call(client, request, wanted, &made->reply);
    if (status != S4_OK) {
        mem_free(made);
        return status;
    }
    made->answer = wanted == S4__CONTROL__REPLY__WHAT_ANSWER;
    *rows = made;
    return S4_OK;
}

s4_status s4_client_query(s4_client *client, const s4_query *query, s4_rows **rows)
{
    TRY(client_check_text(client, "application", query->app));
    TRY(client_check_text(client, "output", query->output));
    if (query->key)
        TRY(client_check_text(client, "key", query->key));
    if (query->prefix)
        TRY(client_check_text(client, "prefix", query->prefix));
    if (query->by)
        TRY(client_check_text(client, "column", query->by));
    S4__Control__Query message = S4__CONTROL__QUERY__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    message.app = text(query->app);
    message.output = text(query->output);
    message.key = text(query->key);
    message.prefix = text(query->prefix);
    message.by = text(query->by);
    message.has_top = query->top != 0;
    message.top = query->top;
    message.has_limit = query->limit != 0;
    message.limit = query->limit;
    message.has_text = true;
    message.text = query->text;
    message.has_stale = true;
    message.stale = query->stale;
    request.what_case = S4__CONTROL__REQUEST__WHAT_QUERY;
    request.query = &message;
    return call_rows(client, &request, S4__CONTROL__REPLY__WHAT_ROWS, rows);
}

static s4_status ask_instance(s4_client *client, const char *app, const char *prototype,
                              const char *key, bool table, bool stale, s4_rows **rows)
{
    TRY(client_check_text(client, "application", app));
    TRY(client_check_text(client, "prototype", prototype));
    TRY(client_check_text(client, "key", key));
    S4__Control__Ask ask = S4__CONTROL__ASK__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    ask.app = text(app);
    ask.prototype = text(prototype);
    ask.key = text(key);
    ask.has_text = true;
    ask.text = table;
    ask.has_stale = true;
    ask.stale = stale;
    request.what_case = S4__CONTROL__REQUEST__WHAT_ASK;
    request.ask = &ask;
    return call_rows(client, &request, S4__CONTROL__REPLY__WHAT_ANSWER, rows);
}

s4_status s4_client_ask(s4_client *client, const char *app, const char *prototype, const char *key,
                        bool table, s4_rows **rows)
{
    return ask_instance(client, app, prototype, key, table, false, rows);
}

s4_status s4_client_ask_stale(s4_client *client, const char *app, const char *prototype,
                              const char *key, bool table, s4_rows **rows)
{
    return ask_instance(client, app, prototype, key, table, true, rows);
}

s4_status s4_client_count(s4_client *client, const char *app, const char *prototype,
                          uint64_t *count)
{
    TRY(client_check_text(client, "application", app));
    TRY(client_check_text(client, "prototype", prototype));
    S4__Control__Count message = S4__CONTROL__COUNT__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    message.app = text(app);
    message.prototype = text(prototype);
    request.what_case = S4__CONTROL__REQUEST__WHAT_COUNT;
    request.count = &message;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT_COUNTED, &reply));
    *count = reply->counted->instances;
    control_reply_destroy(reply);
    return S4_OK;
}

void s4_rows_destroy(s4_rows *rows)
{
    if (!rows)
        return;
    control_reply_destroy(rows->reply);
    mem_free(rows);
}

size_t s4_rows_count(const s4_rows *rows)
{
    return rows->answer ? 1 : rows->reply->rows->n_rows;
}

bool s4_rows_more(const s4_rows *rows)
{
    return !rows->answer && rows->reply->rows->more;
}

size_t s4_rows_columns(const s4_rows *rows)
{
    return rows->answer ? rows->reply->answer->n_columns : rows->reply->rows->n_columns;
}

const char *s4_rows_column(const s4_rows *rows, size_t index)
{
    CHECK(index < s4_rows_columns(rows));
    return rows->answer ? rows->reply->answer->columns[index] : rows->reply->rows->columns[index];
}

static const S4__Control__Row *row_at(const s4_rows *rows, size_t index)
{
    CHECK(index < s4_rows_count(rows));
    return rows->answer ? rows->reply->answer->row : rows->reply->rows->rows[index];
}

const char *s4_rows_json(const s4_rows *rows, size_t index)
{
    return row_at(rows, index)->json;
}

const void *s4_rows_pb(const s4_rows *rows, size_t index, size_t *size)
{
    const S4__Control__Row *row = row_at(rows, index);
    *size = row->pb.len;
    return row->pb.data;
}

const char *s4_rows_text(const s4_rows *rows)
{
    const char *table = rows->answer ? rows->reply->answer->text : rows->reply->rows->text;
    return table ? table : "";
}

size_t s4_rows_partitions(const s4_rows *rows)
{
    return rows->answer ? 0 : rows->reply->rows->n_fresh_us;
}

uint32_t s4_rows_partition(const s4_rows *rows, size_t index)
{
    CHECK(index < s4_rows_partitions(rows));
    const S4__Control__Rows *got = rows->reply->rows;
    return index < got->n_partitions ? got->partitions[index] : (uint32_t)index;
}

uint64_t s4_rows_fresh(const s4_rows *rows, size_t index)
{
    CHECK(index < s4_rows_partitions(rows));
    return rows->reply->rows->fresh_us[index];
}
