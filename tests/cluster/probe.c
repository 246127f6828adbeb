/* The bundle that the tests of whole processes deploy. Items are counted and summed per key; lines
 * are items without a number. The keys `poison` and `crash` do what they say, `stuck` keeps its
 * worker, `loud` logs a line; a drop on `flood` makes two more, without end. */
#include <time.h>

#include <s4/s4.h>

#include "probe.pb-c.h"

S4_STREAM(lines, Probe__Line, probe__line);
S4_STREAM(items, Probe__Item, probe__item);
S4_STREAM(inner, Probe__Item, probe__item, .internal = true);
S4_STREAM(flood, Probe__Drop, probe__drop);
S4_TABLE(totals, Probe__Total, probe__total, "key");
S4_LOG(seen, Probe__Line, probe__line);

struct splitter {
    uint64_t lines;
};

static s4_status on_line(s4_ctx *ctx, struct splitter *self, const Probe__Line *line)
{
    self->lines++;
    Probe__Item item = PROBE__ITEM__INIT;
    item.key = line->text;
    s4_status status = s4_emit(ctx, &inner, &item);
    return status == S4_OK ? s4_publish(ctx, &seen, line) : status;
}

S4_CLASS(splitter, struct splitter, S4_FLAT);
S4_PROTOTYPE(splitters, splitter, S4_ON_ANY(splitter, on_line, lines));

struct counter {
    uint64_t n;
    int64_t sum;
};

static void stay(void)
{
    for (struct timespec second = { .tv_sec = 1 };;)
        nanosleep(&second, NULL);
}

static s4_status on_item(s4_ctx *ctx, struct counter *self, const Probe__Item *item)
{
    if (strcmp(item->key, "poison") == 0)
        return s4_fail(ctx, S4_FAILED, "it is poisoned");
    if (strcmp(item->key, "crash") == 0)
        *(volatile int *)8 = 1;
    if (strcmp(item->key, "loud") == 0)
        s4_log(ctx, S4_LOG_WARN, "here I am");
    if (strcmp(item->key, "stuck") == 0)
        stay();
    self->n++;
    self->sum += item->small;
    Probe__Total row = PROBE__TOTAL__INIT;
    row.key = item->key;
    row.n = self->n;
    row.sum = self->sum;
    return s4_publish(ctx, &totals, &row);
}

static s4_status on_query(s4_ctx *ctx, const struct counter *self)
{
    Probe__Total reply = PROBE__TOTAL__INIT;
    reply.key = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
    reply.n = self->n;
    reply.sum = self->sum;
    return s4_reply(ctx, &reply);
}

S4_CLASS(counter, struct counter, S4_FLAT, .query = on_query, .reply = &probe__total__descriptor);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_item, items, "key"),
             S4_ON(counter, on_item, inner, "key"));

struct owner {
    uint64_t n;
};

static s4_status on_owned(s4_ctx *ctx, struct owner *self, const Probe__Item *item)
{
    (void)ctx;
    (void)item;
    self->n++;
    return S4_OK;
}

S4_CLASS(owner, struct owner, S4_FLAT);
S4_PROTOTYPE(owners, owner, S4_ON(owner, on_owned, items, "owner"));

struct pool {
    uint64_t n;
};

static s4_status on_drop(s4_ctx *ctx, struct pool *self, const Probe__Drop *drop)
{
    self->n++;
    Probe__Drop next = PROBE__DROP__INIT;
    for (uint64_t i = 0; i < 2; i++) {
        next.key = drop->key * 2 + i;
        s4_status status = s4_emit(ctx, &flood, &next);
        if (status != S4_OK)
            return status;
    }
    return S4_OK;
}

S4_CLASS(pool, struct pool, S4_FLAT);
S4_PROTOTYPE(pools, pool, S4_ON_ANY(pool, on_drop, flood));

S4_APP(probe, S4_STREAMS(&lines.base, &items.base, &inner.base, &flood.base),
       S4_PROTOTYPES(&splitters, &counters, &owners, &pools), S4_OUTPUTS(&totals.base, &seen.base));
