/* What of a slot travels: for each app its partition's state, and the records that wait for it.
 *
 *   part, one per app:  struct part | name | state | records, each aligned to 8
 *
 * Waiting records were not judged by their links yet: where they are loaded they go before what
 * came there, and are judged then. In the place of a client's batch goes a record that does
 * nothing, so that the numbers go on: when the slot has left, the client hears that the batch was
 * not taken (records.c), and repeats it.
 *
 * Loaded bytes come from another node and are not trusted.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"
#include "pe/host/pieces.h"
#include "pe/host/planted.h"
#include "pe/host/slots.h"

#define PART_MAGIC 0x5034534c4f545331ull

struct part {
    uint64_t magic;
    uint64_t schema; /* the hash of the app's graph and types */
    uint64_t state;  /* bytes */
    uint64_t waiting;
    uint32_t name;
    uint32_t reserved;
};

/* ---- saving --------------------------------------------------------------------------------- */

struct saving {
    struct message message;
    struct host_coming of;
    const struct slot_copy *copy; /* borrowed; NULL: nothing was sent ahead */
    slot_saved *done;
    void *user;
};

static s4_status pad(struct buffer *out)
{
    static const char zeros[8];
    return buffer_append(out, zeros, align_up(out->size, 8) - out->size);
}

static s4_status save_waiting(const struct host_partition *p, struct buffer *out)
{
    for (const struct run *run = p->base.oldest; run; run = run->next) {
        for (uint32_t i = run->done; i < run->count; i++) {
            const struct record *record = run_record(run, i);
            size_t at = out->size;
            TRY(buffer_append(out, record, record->len));
            if (record->stream == STREAM_INJECT)
                ((struct record *)(void *)(out->data + at))->stream = STREAM_NOTHING;
        }
    }
    return S4_OK;
}

static s4_status save_part(struct host_partition *p, struct buffer *out, struct cuts *cuts)
{
    const struct host_app *app = p->app;
    const char *name = app->graph->app;
    struct part part = { .magic = PART_MAGIC,
                         .schema = app->bundle->graph_hash,
                         .name = (uint32_t)strlen(name) };
    size_t head = out->size;
    TRY(buffer_append(out, &part, sizeof part));
    TRY(buffer_append(out, name, part.name));
    TRY(pad(out));
    size_t before = out->size;
    TRY(host_partition_save(p, out, cuts));
    part.state = out->size - before;
    TRY(pad(out));
    before = out->size;
    if (p->base.stalled == PARTITION_HELD && !PLANTED(PLANTED_WAITING_LEFT))
        TRY(save_waiting(p, out));
    part.waiting = out->size - before;
    memcpy(out->data + head, &part, sizeof part);
    return S4_OK;
}

/* In the place of the state comes one that refers to what was sent ahead. */
static s4_status refer(const struct slot_copy *copy, const struct cuts *cuts, struct buffer *out)
{
    struct buffer whole;
    buffer_init(&whole);
    s4_status status = pieces_write(host_copy_pieces(copy), out->data, out->size, cuts, &whole);
    buffer_fini(out);
    *out = whole;
    return status;
}

static void save(void *owner, struct message *message)
{
    struct saving *saving = CONTAINER_OF(message, struct saving, message);
    struct buffer out;
    struct cuts cuts = { 0 };
    buffer_init(&out);
    const struct engine *engine = saving->of.engine;
    s4_status status = host_coming_is_over(&saving->of) ? S4_UNAVAILABLE : S4_OK;
    if (saving->copy && buffer_room(&out, host_copy_size(saving->copy) + 64 * KIB))
        buffer_clear(&out); /* there is room now */
    for (uint32_t i = 0; i < host_places(engine) && status == S4_OK; i++) {
        struct host_app *app = host_app_at(engine, i);
        struct host_partition *p = app ? host_partition_at(app, saving->of.slot) : NULL;
        if (p)
            status = save_part(p, &out, saving->copy ? &cuts : NULL);
    }
    if (status == S4_OK && saving->copy)
        status = refer(saving->copy, &cuts, &out);
    cuts_fini(&cuts);
    saving->done(saving->user, status, &out);
    mem_free(saving);
}

s4_status engine_slot_save(struct engine *engine, uint32_t slot, const struct slot_copy *copy,
                           slot_saved *done, void *user)
{
    CHECK(engine->slots[slot].state != SLOT_ELSEWHERE);
    struct saving *saving = mem_zalloc(sizeof *saving);
    if (!saving)
        return S4_NO_MEMORY;
    saving->message.run = save;
    saving->of = host_coming_of(engine, slot);
    saving->copy = copy;
    saving->done = done;
    saving->user = user;
    worker_post(engine->workers[engine->slots[slot].worker].actor, &saving->message);
    return S4_OK;
}

/* ---- loading -------------------------------------------------------------------------------- */

struct loading {
    struct message message;
    struct host_coming of;
    struct buffer bytes;
    slot_loaded *done;
    void *user;
};

static s4_status take(const char **at, const char *end, uint64_t size, const char **piece)
{
    if (size > (uint64_t)(end - *at))
        return S4_CORRUPT;
    *piece = *at;
    *at += size_min(align_up(size, 8), (size_t)(end - *at));
    return S4_OK;
}

/* How long the record at `at` is; 0: it cannot be. The one behind it must be aligned, too. */
static uint32_t record_len(const char *at, const char *end)
{
    const struct record *record = (const struct record *)(const void *)at;
    if ((size_t)(end - at) < sizeof *record || record->len < sizeof *record ||
        record->len > (size_t)(end - at) || record->len > RECORD_MAX || record->len % 8 != 0)
        return 0;
    return record->len;
}

/* As many of the records as an ordinary block holds, in one; NULL: out of memory. Moves *at. */
static struct block *fill_block(const struct host_partition *p, const char **at, const char *end)
{
    struct block_pool *pool = p->app->engine->pool;
    size_t first = record_len(*at, end);
    struct block *block = block_take(pool, size_max(block_pool_block_size(pool), first));
    if (!block)
        return NULL;
    block->app = p->app->number;
    block->worker = slot_worker(&p->app->engine->map, p->base.slot);
    for (uint32_t len; *at < end && (len = record_len(*at, end)) > 0;) {
        const struct record *record = (const struct record *)(const void *)*at;
        if (len > block->capacity - block->used)
            break;
        memcpy(block->data + block->used, record, record->len);
        block->used += record->len;
        block->count++;
        if (record->hop > block->hops)
            block->hops = record->hop;
        *at += record->len;
    }
    return block;
}

/* Splits the waiting records into blocks, the last one first. */
static s4_status fill_blocks(const struct host_partition *p, const char *at, const char *end,
                             struct block **blocks, struct diag *diag)
{
    *blocks = NULL;
    while (at < end) {
        if (record_len(at, end) == 0)
            return diag_set(diag, S4_CORRUPT, "a record that waited has an impossible length");
        struct block *block = fill_block(p, &at, end);
        if (!block)
            return diag_set(diag, S4_NO_MEMORY, "out of memory for records that waited");
        block->next = *blocks;
        *blocks = block;
        TRY(host_moved_check(p, block, diag));
    }
    return S4_OK;
}

static void drop_blocks(struct block *blocks)
{
    while (blocks) {
        struct block *next = blocks->next;
        block_release(blocks);
        blocks = next;
    }
}

static void put_blocks(struct host_worker *worker, struct host_partition *p, struct block *blocks)
{
    while (blocks) {
        struct block *next = blocks->next;
        count_add(&host_counters(worker, p->app)->blocks_copied, 1); /* it has begun */
        atomic_fetch_add_explicit(&p->app->queued, blocks->capacity, memory_order_relaxed);
        partition_put_first(worker->actor, &p->base, blocks);
        blocks = next;
    }
}

/* Sources that began anew since the state was saved are forgotten behind what waited then. */
static s4_status put_forgets(struct host_worker *worker, struct host_partition *p)
{
    const struct engine *engine = p->app->engine;
    struct block *blocks = NULL;
    for (size_t source = 0; source < links_count(engine->map.slots); source++) {
        if (engine->genesis[source] <= p->links_in.genesis[source])
            continue;
        struct block *block = host_control_block(p->app, p->base.slot, CONTROL_FORGET,
                                                 (uint32_t)source, engine->genesis[source]);
        if (!block) {
            drop_blocks(blocks);
            return S4_NO_MEMORY;
        }
        block->next = blocks;
        blocks = block;
    }
    put_blocks(worker, p, blocks);
    return S4_OK;
}

static s4_status load_part(struct host_worker *worker, struct loading *l, const char **at,
                           const char *end, struct diag *diag)
{
    struct part part;
    const char *piece, *name, *state, *waiting;
    TRY(take(at, end, sizeof part, &piece));
    memcpy(&part, piece, sizeof part);
    if (part.magic != PART_MAGIC || part.name > GRAPH_NAME_MAX)
        return S4_CORRUPT;
    TRY(take(at, end, part.name, &name));
    TRY(take(at, end, part.state, &state));
    TRY(take(at, end, part.waiting, &waiting));
    char text[GRAPH_NAME_MAX + 1] = { 0 };
    memcpy(text, name, part.name);
    struct host_app *app = host_app_find(l->of.engine, text);
    struct host_partition *p = app ? host_partition_at(app, l->of.slot) : NULL;
    if (!p)
        return diag_set(diag, S4_NOT_FOUND, "app \"%s\" is not deployed here", text);
    if (app->bundle->graph_hash != part.schema)
        return diag_set(diag, S4_VERSION, "app \"%s\" has another graph there", text);
    if (p->base.stalled != PARTITION_HELD)
        return diag_set(diag, S4_STATE, "app \"%s\": the partition runs", text);
    struct block *blocks;
    s4_status status = fill_blocks(p, waiting, waiting + part.waiting, &blocks, diag);
    if (status == S4_OK)
        status = host_partition_replace(p, state, part.state, diag);
    if (status == S4_OK)
        status = put_forgets(worker, p);
    if (status == S4_OK)
        put_blocks(worker, p, blocks);
    else
        drop_blocks(blocks);
    if (status == S4_OK && PLANTED(PLANTED_RUNS_AT_ONCE))
        partition_go(worker->actor, &p->base);
    return status;
}

static void load(void *owner, struct message *message)
{
    struct host_worker *worker = owner;
    struct loading *l = CONTAINER_OF(message, struct loading, message);
    struct diag diag = { 0 };
    const char *at = l->bytes.data ? l->bytes.data : ""; /* where no app runs nothing comes */
    const char *end = at + l->bytes.size;
    s4_status status = S4_OK;
    if (host_coming_is_over(&l->of))
        status = diag_set(&diag, S4_UNAVAILABLE, "slot %u has left meanwhile", l->of.slot);
    while (status == S4_OK && at < end)
        status = load_part(worker, l, &at, end, &diag);
    if (status != S4_OK && !diag.text[0])
        diag_set(&diag, status, "slot %u as it came: %s", l->of.slot, s4_status_text(status));
    buffer_fini(&l->bytes);
    l->done(l->user, status, &diag);
    mem_free(l);
}

s4_status engine_slot_load(struct engine *engine, uint32_t slot, struct buffer *bytes,
                           slot_loaded *done, void *user)
{
    CHECK(engine->slots[slot].state == SLOT_HELD);
    struct loading *l = mem_zalloc(sizeof *l);
    if (!l)
        return S4_NO_MEMORY;
    l->message.run = load;
    l->of = host_coming_of(engine, slot);
    l->bytes = *bytes;
    l->done = done;
    l->user = user;
    buffer_init(bytes);
    worker_post(engine->workers[engine->slots[slot].worker].actor, &l->message);
    return S4_OK;
}
