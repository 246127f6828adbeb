/* What a worker counts as being there now goes and comes with the partitions that it is in: their
 * parts of the gauges are found by looking, when they come, go or are replaced.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

struct gauges {
    uint64_t waiting, parked, mailbox, instances, state_bytes;
    uint64_t prototypes[GRAPH_PROTOTYPES_MAX]; /* instances of each */
};

static void gauge_instances(struct gauges *g, struct host_partition *p, uint32_t number)
{
    struct host_prototype *prototype = &p->app->prototypes[number];
    struct instances *table = &p->tables[number];
    for (uint32_t n = instances_next(table, 0); n != INSTANCE_NONE;
         n = instances_next(table, n + 1)) {
        struct instance *instance = instances_at(table, n);
        struct mailbox **box = host_mailbox(prototype, table, instance);
        g->waiting += (instance->flags & INSTANCE_WAITING) != 0;
        g->parked += (instance->flags & INSTANCE_PARKED) != 0;
        g->mailbox += box && *box ? (*box)->count : 0;
        g->prototypes[number]++;
    }
    g->instances += g->prototypes[number];
    g->state_bytes += g->prototypes[number] * table->entry_size + p->heap_bytes[number];
}

static struct gauges gauge(struct host_partition *p)
{
    struct gauges g = { 0 };
    for (uint32_t i = 0; i < p->app->n_prototypes; i++)
        gauge_instances(&g, p, i);
    return g;
}

static void move(counter *c, uint64_t from, uint64_t to)
{
    count_add(c, to - from);
}

static void recount(struct host_partition *p, const struct gauges *from, const struct gauges *to)
{
    struct host_counters *c = host_counters(p->worker, p->app);
    move(&c->waiting, from->waiting, to->waiting);
    move(&c->parked, from->parked, to->parked);
    move(&c->mailbox, from->mailbox, to->mailbox);
    move(&c->instances, from->instances, to->instances);
    move(&c->state_bytes, from->state_bytes, to->state_bytes);
    for (uint32_t i = 0; i < p->app->n_prototypes; i++)
        move(&c->prototypes[i].instances, from->prototypes[i], to->prototypes[i]);
}

/* Loading calls s4_alloc, which counts by itself: its counting is made void. */
s4_status host_partition_replace(struct host_partition *p, const char *saved, size_t size,
                                 struct diag *diag)
{
    counter *bytes = &host_counters(p->worker, p->app)->state_bytes;
    uint64_t bytes_before = count_get(bytes);
    struct gauges before = gauge(p);
    s4_status status = host_partition_reload(p, saved, size, diag);
    struct gauges after = gauge(p);
    move(bytes, count_get(bytes), bytes_before);
    recount(p, &before, &after);
    return status;
}

void host_partition_uncount(struct host_partition *p)
{
    const struct gauges none = { 0 };
    struct gauges g = gauge(p);
    recount(p, &g, &none);
}
