/* A partition: (app, slot), the deterministic state machine. Made when its app is deployed or when
 * its state is loaded, owned by one worker. What of it is state: partition_save.c.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

static bool create_tables(struct host_partition *p)
{
    struct host_app *app = p->app;
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        p->output_due_us[i] = HOST_NEVER;
        p->ttl_due_us[i] = HOST_NEVER;
        if (instances_init(&p->tables[i], &app->prototypes[i].table) != S4_OK)
            return false;
    }
    for (uint32_t i = 0; i < app->n_outputs; i++) {
        const struct host_output *o = &app->outputs[i];
        s4_status status = o->table ? table_create(o->type, &o->limits, &p->outputs[i].table)
                                    : rowlog_create(o->type, &o->limits, &p->outputs[i].log);
        if (status != S4_OK)
            return false;
    }
    return rowlog_create(codec_type(app->dead_codec), &app->dead_limits, &p->dead) == S4_OK &&
           timers_create(0, &p->timers) == S4_OK;
}

static bool create_parts(struct host_partition *p)
{
    struct host_app *app = p->app;
    uint32_t slots = app->engine->map.slots;
    p->tables = mem_calloc(app->n_prototypes, sizeof *p->tables);
    p->heap_bytes = mem_calloc(app->n_prototypes, sizeof *p->heap_bytes);
    p->output_due_us = mem_calloc(app->n_prototypes, sizeof *p->output_due_us);
    p->ttl_due_us = mem_calloc(app->n_prototypes, sizeof *p->ttl_due_us);
    p->outputs = mem_calloc(app->n_outputs, sizeof *p->outputs);
    p->links_in.last = mem_calloc(links_count(slots), sizeof *p->links_in.last);
    p->links_in.genesis = mem_calloc(links_count(slots), sizeof *p->links_in.genesis);
    p->links_out = mem_calloc(slots, sizeof *p->links_out);
    return p->tables && p->heap_bytes && p->output_due_us && p->ttl_due_us && p->outputs &&
           p->links_in.last && p->links_in.genesis && p->links_out && create_tables(p);
}

static void turns_come(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct host_partition *p = CONTAINER_OF(message, struct host_partition, turn_message);
    p->turn_posted = false;
    if (p->base.stalled == PARTITION_HELD) /* partition_go's caller posts it again */
        return;
    host_enter(worker, p, worker_now_us(worker->actor));
    host_run_end(&worker->ctx);
    host_leave(worker);
}

void host_turn_later(struct host_partition *p)
{
    if (p->turn_posted)
        return;
    p->turn_posted = true;
    worker_post(p->worker->actor, &p->turn_message);
}

s4_status host_partition_create(struct host_app *app, struct host_worker *worker, uint16_t slot,
                                uint64_t seed, struct host_partition **partition)
{
    struct host_partition *p = mem_zalloc(sizeof *p);
    if (!p)
        return S4_NO_MEMORY;
    p->app = app;
    p->worker = worker;
    p->base.home = worker->actor;
    p->base.app = app->number;
    p->base.slot = slot;
    p->due_us = HOST_NEVER;
    p->turn_message.run = turns_come;
    rng_init(&p->rng, seed ^ ((uint64_t)slot << 32));
    if (!create_parts(p)) {
        host_partition_destroy(p);
        return S4_NO_MEMORY;
    }
    memcpy(p->links_in.genesis, app->engine->genesis,
           links_count(app->engine->map.slots) * sizeof *p->links_in.genesis);
    *partition = p;
    return S4_OK;
}

s4_status host_partition_place(struct host_app *app, struct host_worker *worker, uint32_t slot)
{
    const char *name = app->graph->app;
    uint64_t seed = hash_mix(app->engine->options.seed, hash_bytes(name, strlen(name)));
    struct host_partition *p;
    TRY(host_partition_create(app, worker, (uint16_t)slot, seed, &p));
    app->bases[slot] = &p->base;
    atomic_store_explicit(&app->partitions[slot], p, memory_order_release);
    return S4_OK;
}

void host_owned_clear(struct host_prototype *prototype, struct instances *table,
                      struct instance *instance)
{
    struct mailbox **at = host_mailbox(prototype, table, instance);
    struct mail *mail;
    while (at && *at && (mail = mailbox_pop(*at))) {
        if (mail->kind == MAIL_QUERY)
            host_query_drop((struct host_query *)(uintptr_t)mail->number, S4_UNAVAILABLE);
        mem_free(mail);
    }
    if (at)
        mailbox_destroy(*at);
    host_heap_clear(prototype, table, instance);
}

static void destroy_instances(struct host_partition *p, uint32_t i)
{
    struct instances *table = &p->tables[i];
    for (uint32_t n = instances_next(table, 0); n != INSTANCE_NONE;
         n = instances_next(table, n + 1))
        host_owned_clear(&p->app->prototypes[i], table, instances_at(table, n));
    instances_fini(table);
}

static void destroy_parts(struct host_partition *p)
{
    for (uint32_t i = 0; p->tables && i < p->app->n_prototypes; i++)
        if (p->tables[i].entry_size)
            destroy_instances(p, i);
    host_tails_end(p);
    for (uint32_t i = 0; p->outputs && i < p->app->n_outputs; i++) {
        table_destroy(p->outputs[i].table);
        rowlog_destroy(p->outputs[i].log);
    }
    rowlog_destroy(p->dead);
    timers_destroy(p->timers);
    buffer_fini(&p->turns);
    buffer_fini(&p->producers);
    host_probes_drop(p);
    host_jobs_forget(p);
    mem_free(p->tables);
    mem_free(p->heap_bytes);
    mem_free(p->output_due_us);
    mem_free(p->ttl_due_us);
    mem_free(p->outputs);
    mem_free(p->links_in.last);
    mem_free(p->links_in.genesis);
    mem_free(p->links_out);
}

void host_partition_destroy(struct host_partition *p)
{
    if (!p)
        return;
    destroy_parts(p);
    mem_free(p);
}

/* ---- dropping and loading ------------------------------------------------------------------ */

/* Runs, messages and the batches that wait for their probes belong to the place, not to the state.
 * `from` has none of them afterwards. */
static void keep_place(struct host_partition *p, struct host_partition *from)
{
    p->base = from->base;
    p->app = from->app;
    p->worker = from->worker;
    p->turn_message = from->turn_message;
    p->turn_posted = from->turn_posted;
    p->last_probe = from->last_probe;
    p->probes = from->probes;
    buffer_init(&from->probes);
}

/* What was asked before is nobody's, and what was asked when the state was saved is asked again. */
static void ask_again(struct host_partition *p, struct host_partition *from)
{
    struct request_job *loaded = p->loaded_jobs;
    p->jobs = from->jobs;
    p->loaded_jobs = from->loaded_jobs;
    from->jobs = from->loaded_jobs = NULL;
    host_jobs_forget(p);
    p->loaded_jobs = loaded;
    host_jobs_again(p);
}

s4_status host_partition_reload(struct host_partition *p, const char *saved, size_t size,
                                struct diag *diag)
{
    struct host_partition old = *p;
    *p = (struct host_partition){ .due_us = HOST_NEVER };
    keep_place(p, &old);
    s4_status status = create_parts(p) ? host_partition_load(p, &saved, saved + size, diag)
                                       : diag_set(diag, S4_NO_MEMORY, "out of memory");
    if (status == S4_OK) {
        ask_again(p, &old);
        destroy_parts(&old);
        return S4_OK;
    }
    struct host_partition failed = *p;
    *p = old;
    keep_place(p, &failed);
    destroy_parts(&failed);
    host_partition_due(p);
    return status;
}
