/* The way to and from other nodes: blocks go out through a seam that the program gives, and come in
 * through engine_arrived. What a frame is, who numbers and acknowledges it, is runtime/net's.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

/* Hangs on a block that came from another node, and on what is copied out of it, until all its
 * records are applied. */
struct arrival {
    engine_block_fn *taken;
    engine_block_fn *applied;
    void *user;
    uint64_t token[2];
    uint32_t left; /* blocks that it hangs on */
};

void host_send_remote(struct engine *engine, struct host_app *app, struct block *block)
{
    if (!app || !engine->options.remote) {
        engine_fault(engine, "a block for worker %u, which no node here has", block->worker);
        block_release(block);
        return;
    }
    atomic_fetch_sub_explicit(&app->queued, block->capacity, memory_order_relaxed);
    engine->options.remote->send(engine->options.remote->user, app->graph->app,
                                 app->bundle->graph_hash, block);
}

/* The records of a block from outside: everything that the hot path will trust (README.md, rule
 * 18). */
static s4_status check_records(const struct host_app *app, const struct block *block,
                               struct diag *diag)
{
    TRY(block_check(block, app->engine->map.slots, diag));
    const struct record *end = block_end(block);
    for (const struct record *r = block_first(block); r < end; r = record_next(r)) {
        if (!app->partitions[r->dst])
            return diag_set(diag, S4_CORRUPT, "a record for partition %u, which is not here",
                            r->dst);
        if (app->engine->map.worker[r->dst] != block->worker)
            return diag_set(diag, S4_CORRUPT, "a record for partition %u, which worker %u has not",
                            r->dst, block->worker);
        if (r->key_hash != hash_bytes(record_key(r), record_key_len(r)))
            return diag_set(diag, S4_CORRUPT, "a key's hash is not that of its bytes");
        if (r->src >= links_count(app->engine->map.slots))
            return diag_set(diag, S4_CORRUPT, "source %u is neither a slot nor an intake", r->src);
        if (r->stream >= RECORD_STREAM_RESERVED)
            continue;
        if (r->stream >= app->n_pairs)
            return diag_set(diag, S4_CORRUPT, "stream number %u, the app has %u", r->stream,
                            app->n_pairs);
        TRY(codec_check(app->streams[app->pairs[r->stream].stream].type, r, diag));
    }
    return S4_OK;
}

s4_status engine_arrived(struct engine *engine, const char *app_name, uint64_t schema,
                         struct block **block, const struct engine_arrival *arrival,
                         struct diag *diag)
{
    struct host_app *app = host_app_find(engine, app_name);
    if (!app)
        return diag_set(diag, S4_NOT_FOUND, "a block for app \"%s\", which is not deployed here",
                        app_name);
    if (app->bundle->graph_hash != schema)
        return diag_set(diag, S4_VERSION, "a block of app \"%s\" with another graph", app_name);
    uint32_t worker = (uint32_t)(*block)->worker - engine->first_worker;
    if (worker >= engine->n_workers)
        return diag_set(diag, S4_CORRUPT, "a block for worker %u, which is not of this node",
                        (*block)->worker);
    TRY(check_records(app, *block, diag));
    struct arrival *kept = mem_alloc(sizeof *kept);
    if (!kept)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    *kept = (struct arrival){ .taken = arrival->taken,
                              .applied = arrival->applied,
                              .user = arrival->user,
                              .token = { arrival->token[0], arrival->token[1] },
                              .left = 1 };
    (*block)->app = app->number;
    (*block)->user = kept;
    atomic_fetch_add_explicit(&app->queued, (*block)->capacity, memory_order_relaxed);
    worker_send(engine->workers[worker].actor, *block);
    *block = NULL;
    return S4_OK;
}

void host_block_taken(void *user, struct block *block)
{
    struct arrival *arrival = block->user;
    if (UNLIKELY(arrival != NULL))
        arrival->taken(arrival->user, arrival->token);
}

/* The copy is a block that has begun, before the other one ends: a drain waits for it. */
void host_block_copied(void *user, const struct block *block, struct block *copy)
{
    struct host_worker *worker = user;
    struct arrival *arrival = block->user;
    copy->user = arrival;
    if (arrival)
        arrival->left++;
    struct host_app *app = host_app_of(worker->engine, block->app);
    if (!app)
        return;
    count_add(&host_counters(worker, app)->blocks_copied, 1);
    atomic_fetch_add_explicit(&app->copied, block_bytes(copy), memory_order_relaxed);
}

void host_block_applied(struct block *block)
{
    struct arrival *arrival = block->user;
    if (LIKELY(arrival == NULL))
        return;
    block->user = NULL;
    if (--arrival->left > 0)
        return;
    arrival->applied(arrival->user, arrival->token);
    mem_free(arrival);
}
