/* Slots that come and go; see the header. Here is where a slot is and is not; what travels is in
 * slots_save.c.
 *
 * Everything that changes the places of partitions happens while the workers stand still, so that
 * a worker reads them without a lock. What takes longer than a glance (making singletons, freeing a
 * large table) is a message to the partition's worker.
 */
#include "pe/host/slots.h"

#include "pe/host/host_control.h"
#include "pe/host/host_run.h"
#include "pe/host/planted.h"
#include "runtime/base/hash.h"

static bool is_standing(const struct engine *engine)
{
    return engine->still.reached;
}

static struct host_worker *worker_at(const struct engine *engine, uint32_t slot)
{
    return &engine->workers[engine->slots[slot].worker];
}

bool engine_slot_is_here(const struct engine *engine, uint32_t slot)
{
    return engine->slots[slot].state != SLOT_ELSEWHERE;
}

bool engine_slot_is_held(const struct engine *engine, uint32_t slot)
{
    return engine->slots[slot].state == SLOT_HELD;
}

struct host_coming host_coming_of(struct engine *engine, uint32_t slot)
{
    return (struct host_coming){ engine, slot, engine->slots[slot].opened };
}

bool host_coming_is_over(const struct host_coming *coming)
{
    const struct host_slot *slot = &coming->engine->slots[coming->slot];
    return slot->state == SLOT_ELSEWHERE || slot->opened != coming->opened;
}

void engine_slot_route(struct engine *engine, uint32_t slot, uint16_t worker)
{
    CHECK(is_standing(engine) && (worker <= engine->all_workers));
    atomic_store_explicit(&engine->map.worker[slot], worker, memory_order_relaxed);
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (!app)
            continue;
        for (uint32_t w = 0; w < engine->n_workers; w++)
            emitter_reroute(&engine->workers[w].emitters[i], slot, worker);
        emitter_reroute(&app->feed_emitter, slot, worker);
        emitter_reroute(&app->inject_emitter, slot, worker);
    }
}

/* ---- coming --------------------------------------------------------------------------------- */

/* Whoever emits to it begins with what comes first (router/link, rule 7). Each generation draws its
 * own numbers, so that no answer to a probe of one before is taken for one to its own. */
static void begin_afresh(struct host_partition *p)
{
    const struct engine *engine = p->app->engine;
    size_t n = links_count(engine->map.slots);
    rng_init(&p->rng, hash_mix(rng_next(&p->rng), engine->genesis[p->base.slot]));
    p->last_probe = rng_next(&p->rng) >> 1;
    for (size_t i = 0; i < n; i++)
        p->links_in.last[i] = PLANTED(PLANTED_NOT_FRESH) ? 0 : LINK_FRESH;
}

static void take_away(struct host_app *app, uint32_t slot)
{
    app->bases[slot] = NULL;
    atomic_store_explicit(&app->partitions[slot], NULL, memory_order_release);
}

static void open_failed(struct engine *engine, uint32_t slot)
{
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        struct host_partition *p = app ? host_partition_at(app, slot) : NULL;
        if (!p)
            continue;
        take_away(app, slot);
        host_partition_destroy(p);
    }
}

s4_status engine_slot_open(struct engine *engine, uint32_t slot, uint32_t worker,
                           enum slot_start start, struct diag *diag)
{
    CHECK(is_standing(engine) && engine->slots[slot].state == SLOT_ELSEWHERE);
    if (worker >= engine->n_workers)
        return diag_set(diag, S4_RANGE, "slot %u for worker %u, this node has %u", slot, worker,
                        engine->n_workers);
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (!app)
            continue;
        s4_status status = host_partition_place(app, &engine->workers[worker], slot);
        if (status != S4_OK) {
            open_failed(engine, slot);
            return diag_set(diag, status, "app %s, partition %u: %s", app->graph->app, slot,
                            s4_status_text(status));
        }
        struct host_partition *p = host_partition_at(app, slot);
        if (start == SLOT_FRESH)
            begin_afresh(p);
        partition_hold(p->worker->actor, &p->base);
    }
    engine->slots[slot] = (struct host_slot){ .state = SLOT_HELD,
                                              .worker = (uint16_t)worker,
                                              .opened = ++engine->slots_opened };
    return S4_OK;
}

struct going {
    struct message message;
    struct engine *engine;
    uint32_t slot;
};

/* Its worker. By now the slot may be held again, or gone, or have come back to another worker. */
static void go(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct going *going = CONTAINER_OF(message, struct going, message);
    bool runs = going->engine->slots[going->slot].state == SLOT_RUNS;
    for (uint32_t i = 0; runs && i < host_places(going->engine); i++) {
        struct host_app *app = host_app_at(going->engine, i);
        struct host_partition *p = app ? host_partition_at(app, going->slot) : NULL;
        if (!p || p->worker != worker || p->base.stalled != PARTITION_HELD)
            continue;
        host_partition_start(worker, p);
        host_partition_due(p);
        if (p->turns.size > 0)
            host_turn_later(p);
        partition_go(worker->actor, &p->base);
        host_jobs_go(worker, p);
    }
    mem_free(going);
}

s4_status engine_slot_go(struct engine *engine, uint32_t slot, uint64_t version)
{
    CHECK(is_standing(engine) && engine->slots[slot].state == SLOT_HELD);
    struct going *going = mem_zalloc(sizeof *going);
    if (!going)
        return S4_NO_MEMORY;
    going->message.run = go;
    going->engine = engine;
    going->slot = slot;
    host_followers_arrive(engine, slot, version);
    engine->slots[slot].state = SLOT_RUNS;
    engine->slots[slot].epoch = version;
    worker_post(worker_at(engine, slot)->actor, &going->message);
    return S4_OK;
}

/* ---- going ---------------------------------------------------------------------------------- */

void engine_slot_hold(struct engine *engine, uint32_t slot)
{
    CHECK(is_standing(engine) && engine->slots[slot].state == SLOT_RUNS);
    struct host_worker *worker = worker_at(engine, slot);
    worker_take_in(worker->actor);
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        struct host_partition *p = app ? host_partition_at(app, slot) : NULL;
        if (p)
            partition_hold(worker->actor, &p->base);
    }
    engine->slots[slot].state = SLOT_HELD;
}

/* Its worker: nobody finds the partition any more. */
static void leave(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct host_partition *p = CONTAINER_OF(message, struct host_partition, leave_message);
    for (const struct run *run = p->base.oldest; run; run = run->next)
        host_block_not_mine(run->block, p->base.slot); /* they went along, but were not applied */
    host_partition_clear(worker, p);
    host_partition_uncount(p);
    host_partition_destroy(p);
}

void engine_slot_close(struct engine *engine, uint32_t slot)
{
    CHECK(is_standing(engine) && engine->slots[slot].state == SLOT_HELD);
    struct host_worker *worker = worker_at(engine, slot);
    worker_take_in(worker->actor);
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        struct host_partition *p = app ? host_partition_at(app, slot) : NULL;
        if (!p)
            continue;
        take_away(app, slot);
        p->leave_message.run = leave;
        worker_post(worker->actor, &p->leave_message);
    }
    engine->slots[slot].state = SLOT_ELSEWHERE;
}

/* ---- sources -------------------------------------------------------------------------------- */

static s4_status send_forget(struct engine *engine, struct host_app *app, struct host_partition *p,
                             uint16_t source)
{
    struct block *block =
        host_control_block(app, p->base.slot, CONTROL_FORGET, source, engine->genesis[source]);
    if (!block)
        return S4_NO_MEMORY;
    count_add(&host_counters(p->worker, app)->blocks_copied, 1); /* it has begun */
    atomic_fetch_add_explicit(&app->queued, block->capacity, memory_order_relaxed);
    worker_send(p->worker->actor, block);
    return S4_OK;
}

uint16_t engine_nowhere(const struct engine *engine)
{
    return (uint16_t)engine->all_workers;
}

s4_status engine_source_forget(struct engine *engine, uint16_t source, uint64_t version)
{
    CHECK(is_standing(engine) && source < links_count(engine->map.slots));
    if (engine->genesis[source] >= version || PLANTED(PLANTED_NO_FORGET))
        return S4_OK;
    engine->genesis[source] = version;
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        for (uint32_t slot = 0; app && slot < engine->map.slots; slot++) {
            struct host_partition *p = host_partition_at(app, slot);
            if (p)
                TRY(send_forget(engine, app, p, source));
        }
    }
    return S4_OK;
}
