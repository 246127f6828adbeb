/* The way to and from other nodes: blocks go out through a seam that the program gives, and come in
 * through engine_arrived. What a frame is, who numbers and acknowledges it, is runtime/net's.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "pe/host/planted.h"
#include "runtime/base/hash.h"

/* Hangs on a block that came from another node, and on what is copied out of it, until all its
 * records are applied. */
struct arrival {
    void (*not_mine)(void *user, const uint64_t token[2], uint16_t slot);
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
    atomic_fetch_add(&app->went, 1);
    engine->options.remote->send(engine->options.remote->user, app->graph->app,
                                 app->bundle->graph_hash, block);
}

/* Everything about a record from outside that the hot path will trust (README.md, rule 18). */
static s4_status check_record(const struct host_app *app, const struct record *r, bool moved,
                              struct diag *diag)
{
    if (r->key_hash != hash_bytes(record_key(r), record_key_len(r)))
        return diag_set(diag, S4_CORRUPT, "a key's hash is not that of its bytes");
    if (r->stream >= RECORD_STREAM_RESERVED)
        TRY(host_engine_record_check(app, r, moved, diag));
    if (r->src >= links_count(app->engine->map.slots) && r->src != HOST_CONTROL)
        return diag_set(diag, S4_CORRUPT, "source %u is neither a slot nor an intake", r->src);
    if (r->stream >= RECORD_STREAM_RESERVED)
        return S4_OK;
    if (r->stream >= app->n_pairs || r->src == HOST_CONTROL)
        return diag_set(diag, S4_CORRUPT, "stream number %u, the app has %u", r->stream,
                        app->n_pairs);
    return codec_check(app->streams[app->pairs[r->stream].stream].type, r, diag);
}

s4_status host_moved_check(const struct host_partition *p, const struct block *block,
                           struct diag *diag)
{
    TRY(block_check(block, p->app->engine->map.slots, diag));
    const struct record *end = block_end(block);
    for (const struct record *r = block_first(block); r < end; r = record_next(r)) {
        if (r->dst != p->base.slot)
            return diag_set(diag, S4_CORRUPT, "a record for partition %u came with partition %u",
                            r->dst, p->base.slot);
        TRY(check_record(p->app, r, true, diag));
    }
    return S4_OK;
}

static s4_status check_records(const struct host_app *app, const struct block *block,
                               struct diag *diag)
{
    TRY(block_check(block, app->engine->map.slots, diag));
    const struct record *end = block_end(block);
    for (const struct record *r = block_first(block); r < end; r = record_next(r))
        TRY(check_record(app, r, false, diag));
    return S4_OK;
}

/* ---- records that are not for this node ------------------------------------------------------ */

enum verdict { RECORD_MINE, RECORD_NOT_MINE, RECORD_OBSOLETE };

/* By what the sender knew when it closed the block: where the slot is, and, only where it is, which
 * generation the source is of: else the slot's owner would miss what was dropped here. */
static enum verdict judge(const struct engine *engine, const struct record *r, uint32_t worker,
                          uint64_t version)
{
    const struct host_slot *slot = &engine->slots[r->dst];
    bool before = version < slot->epoch && !PLANTED(PLANTED_NO_EPOCH_CHECK);
    if (UNLIKELY(slot->state != SLOT_RUNS || slot->worker != worker || before))
        return RECORD_NOT_MINE;
    bool over = version < engine->genesis[r->src] && !PLANTED(PLANTED_OLD_GENERATION);
    return UNLIKELY(over) ? RECORD_OBSOLETE : RECORD_MINE;
}

static bool all_mine(const struct engine *engine, const struct block *block, uint32_t worker,
                     uint64_t version)
{
    const struct record *end = block_end(block);
    for (const struct record *r = block_first(block); r < end; r = record_next(r))
        if (UNLIKELY(judge(engine, r, worker, version) != RECORD_MINE))
            return false;
    return true;
}

/* What a frame nearly always is: whole records of the app's own streams, all for partitions that
 * run here. One pass, since walking through the records is what costs; it notes where they lie,
 * which the worker would have to walk for. False: something is not so, and the slower checks say
 * what. */
static bool is_plain(const struct engine *engine, const struct host_app *app, struct block *block,
                     uint32_t worker, uint64_t version)
{
    uint32_t slots = engine->map.slots;
    uint32_t links = links_count(slots);
    struct block_place *places = block_places(block);
    const struct type *type = NULL;
    uint32_t stream = UINT32_MAX;
    uint32_t count = 0;
    if (block->used > block->capacity || block->alone)
        return false;
    for (size_t at = 0; at < block->used; count++) {
        const struct record *r = (const struct record *)(const void *)(block->data + at);
        if (at > BLOCK_AT_MAX || !record_is_whole(r, block->used - at) || r->dst >= slots ||
            r->src >= links || r->stream >= app->n_pairs ||
            r->key_hash != hash_bytes(record_key(r), record_key_len(r)) ||
            judge(engine, r, worker, version) != RECORD_MINE)
            return false;
        if (r->stream != stream) {
            stream = r->stream;
            type = app->streams[app->pairs[stream].stream].type;
        }
        if (codec_check(type, r, NULL) != S4_OK)
            return false;
        places[count] = block_place_of(block, r);
        at += r->len;
    }
    block->placed = count == block->count;
    return block->placed;
}

/* Leaves the records out that are not for this node, in a copy of the block, since the sender may
 * still have this one; and says of which slots they are, each once. */
static s4_status sort_out(struct engine *engine, struct block **block, uint32_t worker,
                          const struct engine_arrival *arrival, struct diag *diag)
{
    const struct block *from = *block;
    uint64_t told[ENGINE_SLOTS_MAX / 64] = { 0 };
    if (!arrival->not_mine)
        return diag_set(diag, S4_CORRUPT, "a record for a partition that worker %u has not",
                        from->worker);
    struct block *copy = block_take(engine->pool, from->used);
    if (!copy)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    copy->worker = from->worker;
    copy->hops = from->hops;
    const struct record *end = block_end(from);
    for (const struct record *r = block_first(from); r < end; r = record_next(r)) {
        enum verdict verdict = judge(engine, r, worker, arrival->version);
        if (verdict == RECORD_MINE) {
            memcpy(copy->data + copy->used, r, r->len);
            copy->used += r->len;
            copy->count++;
        } else if (verdict == RECORD_OBSOLETE) {
            atomic_fetch_add_explicit(&engine->obsolete, 1, memory_order_relaxed);
        } else if (!(told[r->dst / 64] >> r->dst % 64 & 1)) {
            told[r->dst / 64] |= UINT64_C(1) << r->dst % 64;
            arrival->not_mine(arrival->user, arrival->token, r->dst);
        }
    }
    block_release(*block);
    *block = copy;
    return S4_OK;
}

/* ---- from the thread that steps the net: under apps_lock ------------------------------------- */

static s4_status find_app(struct engine *engine, const char *name, uint64_t schema,
                          struct host_app **app, struct diag *diag)
{
    *app = host_app_find(engine, name);
    if (!*app)
        return diag_set(diag, S4_NOT_FOUND, "a block for app \"%s\", which is not deployed here",
                        name);
    if ((*app)->bundle->graph_hash != schema)
        return diag_set(diag, S4_VERSION, "a block of app \"%s\" with another graph", name);
    return S4_OK;
}

static s4_status check_moved_out(struct engine *engine, const char *app_name, uint64_t schema,
                                 const struct block *block, uint32_t source, struct diag *diag)
{
    struct host_app *app;
    TRY(find_app(engine, app_name, schema, &app, diag));
    TRY(check_records(app, block, diag));
    const struct record *end = block_end(block);
    for (const struct record *r = block_first(block); r < end; r = record_next(r))
        if (r->src != source)
            return diag_set(diag, S4_CORRUPT, "a record from %u among those of slot %u", r->src,
                            source);
    return S4_OK;
}

s4_status engine_block_check(struct engine *engine, const char *app_name, uint64_t schema,
                             const struct block *block, uint32_t source, struct diag *diag)
{
    pthread_mutex_lock(&engine->apps_lock);
    s4_status status = check_moved_out(engine, app_name, schema, block, source, diag);
    pthread_mutex_unlock(&engine->apps_lock);
    return status;
}

static s4_status arrive(struct engine *engine, const char *app_name, uint64_t schema,
                        struct block **block, const struct engine_arrival *arrival,
                        struct diag *diag)
{
    struct host_app *app;
    TRY(find_app(engine, app_name, schema, &app, diag));
    uint32_t worker = (uint32_t)(*block)->worker - engine->first_worker;
    if (worker >= engine->n_workers)
        return diag_set(diag, S4_CORRUPT, "a block for worker %u, which is not of this node",
                        (*block)->worker);
    if (UNLIKELY(!is_plain(engine, app, *block, worker, arrival->version))) {
        TRY(check_records(app, *block, diag));
        if (!all_mine(engine, *block, worker, arrival->version))
            TRY(sort_out(engine, block, worker, arrival, diag));
    }
    struct arrival *kept = mem_alloc(sizeof *kept);
    if (!kept)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    *kept = (struct arrival){ .not_mine = arrival->not_mine,
                              .taken = arrival->taken,
                              .applied = arrival->applied,
                              .user = arrival->user,
                              .token = { arrival->token[0], arrival->token[1] },
                              .left = 1 };
    (*block)->app = app->number;
    (*block)->user = kept;
    atomic_fetch_add(&app->came, 1);
    atomic_fetch_add_explicit(&app->queued, (*block)->capacity, memory_order_relaxed);
    worker_send(engine->workers[worker].actor, *block);
    *block = NULL;
    return S4_OK;
}

s4_status engine_arrived(struct engine *engine, const char *app_name, uint64_t schema,
                         struct block **block, const struct engine_arrival *arrival,
                         struct diag *diag)
{
    pthread_mutex_lock(&engine->apps_lock);
    s4_status status = arrive(engine, app_name, schema, block, arrival, diag);
    pthread_mutex_unlock(&engine->apps_lock);
    return status;
}

void engine_begun(struct engine *engine, const char *app_name, uint64_t blocks)
{
    pthread_mutex_lock(&engine->apps_lock);
    struct host_app *app = host_app_find(engine, app_name);
    if (app)
        atomic_fetch_add(&app->begun_again, blocks);
    pthread_mutex_unlock(&engine->apps_lock);
}

bool engine_hand(struct engine *engine, const char *app_name, struct block *block)
{
    CHECK(engine->still.reached);
    uint32_t worker = (uint32_t)block->worker - engine->first_worker;
    CHECK(worker < engine->n_workers);
    pthread_mutex_lock(&engine->apps_lock);
    struct host_app *app = host_app_find(engine, app_name);
    if (app) {
        block->app = app->number;
        atomic_fetch_add(&app->came, 1);
        atomic_fetch_add_explicit(&app->queued, block->capacity, memory_order_relaxed);
        worker_send(engine->workers[worker].actor, block);
    } else {
        block_release(block);
    }
    pthread_mutex_unlock(&engine->apps_lock);
    if (app) /* what the worker makes for itself from now on is newer, and would go first */
        worker_take_in(engine->workers[worker].actor);
    return app != NULL;
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

void host_block_not_mine(const struct block *block, uint16_t slot)
{
    const struct arrival *arrival = block->user;
    if (arrival && arrival->not_mine)
        arrival->not_mine(arrival->user, arrival->token, slot);
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
