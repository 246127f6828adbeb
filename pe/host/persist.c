/* Partitions to and from the store of the engine: one snapshot each, under the name of app and
 * slot.
 *
 * The place of a partition among its worker's stays the same; only what it holds is dropped and
 * comes back. What the worker counts as living now goes and comes with it.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"
#include "pe/host/snapshot.h"

#define NAME_ROOM (GRAPH_NAME_MAX + 16)

_Static_assert(NAME_ROOM <= SNAPSHOT_NAME_MAX, "an app's name and a slot fit");

static s4_status find(struct engine *engine, const char *app_name, uint32_t slot,
                      struct host_partition **partition, char name[NAME_ROOM], struct diag *diag)
{
    struct host_app *app = host_app_find(engine, app_name);
    if (!engine->options.store)
        return diag_set(diag, S4_STATE, "the engine has no store");
    if (!app)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", app_name);
    *partition = slot < engine->map.slots ? app->partitions[slot] : NULL;
    if (!*partition)
        return diag_set(diag, S4_NOT_FOUND, "partition %u is not on this node", slot);
    snprintf(name, NAME_ROOM, "%s.%u.snapshot", app_name, slot);
    return S4_OK;
}

/* ---- saving -------------------------------------------------------------------------------- */

s4_status engine_save(struct engine *engine, const char *app_name, uint32_t slot, struct diag *diag)
{
    struct host_partition *p;
    char name[NAME_ROOM];
    struct buffer saved;
    TRY(find(engine, app_name, slot, &p, name, diag));
    buffer_init(&saved);
    s4_status status = host_partition_save(p, &saved);
    if (status == S4_OK)
        status = snapshot_write(engine->options.store, name, saved.data, saved.size, diag);
    else
        diag_set(diag, status, "app %s, partition %u cannot be saved: %s", app_name, slot,
                 s4_status_text(status));
    buffer_fini(&saved);
    return status;
}

/* ---- loading ------------------------------------------------------------------------------- */

/* A partition's part of what is counted as being there now. */
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
static s4_status replace(struct host_partition *p, const struct buffer *saved, struct diag *diag)
{
    counter *bytes = &host_counters(p->worker, p->app)->state_bytes;
    uint64_t bytes_before = count_get(bytes);
    struct gauges before = gauge(p);
    s4_status status = host_partition_reload(p, saved->data, saved->size, diag);
    struct gauges after = gauge(p);
    move(bytes, count_get(bytes), bytes_before);
    recount(p, &before, &after);
    return status;
}

s4_status engine_load(struct engine *engine, const char *app_name, uint32_t slot, struct diag *diag)
{
    struct host_partition *p;
    char name[NAME_ROOM];
    struct buffer saved;
    TRY(find(engine, app_name, slot, &p, name, diag));
    buffer_init(&saved);
    s4_status status = snapshot_read(engine->options.store, name, &saved, diag);
    if (status == S4_OK)
        status = replace(p, &saved, diag);
    buffer_fini(&saved);
    return status;
}
