/* Counts of search queries since the beginning: the QueryCounterPE of the S4 paper (Figures 3, 4).
 *
 *     queries -> counter, one per query -> counts (table), every 10 s (app.yaml)
 *
 * The paper's processEvent() is on_query here, its output() is counter_output and its persister is
 * the table; its configuration (stream, key, how often) is the prototype below and app.yaml.
 */
#include <s4/s4.h>

#include "queries.pb-c.h"

S4_STREAM(queries, Query, query);
S4_TABLE(counts, QueryCount, query_count, "query");

struct counter {
    uint64_t count;
};

static s4_status on_query(s4_ctx *ctx, struct counter *self, const Query *query)
{
    self->count++;
    return S4_OK;
}

/* The key part 0 is the query's text; generated structs have no const, and nothing writes to it. */
static QueryCount row_of(const s4_ctx *ctx, const struct counter *self)
{
    QueryCount row = QUERY_COUNT__INIT;
    row.query = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
    row.count = self->count;
    return row;
}

static s4_status counter_output(s4_ctx *ctx, struct counter *self)
{
    QueryCount row = row_of(ctx, self);
    return s4_publish(ctx, &counts, &row);
}

static s4_status counter_query(s4_ctx *ctx, const struct counter *self)
{
    QueryCount reply = row_of(ctx, self);
    return s4_reply(ctx, &reply);
}

S4_CLASS(counter, struct counter, S4_FLAT, .output = counter_output, .query = counter_query,
         .reply = &query_count__descriptor);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_query, queries, "text"));

S4_APP(querycount, S4_STREAMS(&queries.base), S4_PROTOTYPES(&counters), S4_OUTPUTS(&counts.base));
