/* A slot on its way from one node to another.
 *
 *   here                                  there
 *   the map orders the move               the map orders the move: partitions that take nothing
 *   freeze: nothing of it runs; save
 *   state, and what it had sent  ------>  load; report
 *   the map says that it is there         the map says that it is here: what it had sent goes out
 *   gone                                  again, then it runs
 *
 * What came for it here before the freeze travels with its state; what comes later is kept apart by
 * who sent it. The one that froze it takes it back only if the map says so, under a new epoch: else
 * two could run it.
 */
#include "pe/host/planted.h"
#include "pe/node/node_inside.h"

#include "runtime/base/mem.h"

/* ---- going ----------------------------------------------------------------------------------- */

static s4_status send_chunk(struct node *node, struct move_chunk *chunk, const void *bytes)
{
    size_t size = chunk->kind == CHUNK_END ? 0 : chunk->size;
    struct block *block = block_take(engine_pool(node->engine), sizeof *chunk + align_up(size, 8));
    if (!block)
        return S4_NO_MEMORY;
    chunk->magic = CHUNK_MAGIC;
    chunk->move = node->out.move;
    chunk->slot = node->out.slot;
    memcpy(block->data, chunk, sizeof *chunk);
    block->used = (uint32_t)(sizeof *chunk + align_up(size, 8));
    block->count = 1;
    if (size) {
        memset(block->data + block->used - 8, 0, 8);
        memcpy(block->data + sizeof *chunk, bytes, size);
    }
    struct ferry_frame frame = {
        .app = "s4", .version = node->map->version, .lane = NODE_MOVE_LANE, .block = block
    };
    s4_status status = node->ferry->ops->send(node->ferry, node->out.target, &frame);
    if (status != S4_OK)
        block_release(block);
    return status;
}

static s4_status send_state(struct node *node, const struct buffer *bytes)
{
    for (size_t at = 0; at < bytes->size;) {
        struct move_chunk chunk = { .kind = CHUNK_STATE,
                                    .size = size_min(bytes->size - at, CHUNK_BYTES) };
        TRY(send_chunk(node, &chunk, bytes->data + at));
        at += chunk.size;
    }
    return S4_OK;
}

static s4_status send_held(struct node *node)
{
    const struct parcel *first = PLANTED(PLANTED_SENT_LEFT) ? NULL : node->out.held.first;
    for (const struct parcel *p = first; p; p = p->next) {
        struct move_chunk chunk = { .kind = CHUNK_PARCEL,
                                    .schema = p->schema,
                                    .size = p->block->used,
                                    .count = p->block->count,
                                    .hops = p->block->hops };
        snprintf(chunk.app, sizeof chunk.app, "%s", p->app);
        TRY(send_chunk(node, &chunk, p->block->data));
    }
    return S4_OK;
}

void node_move_saved(struct node *node, struct item *item)
{
    if (node->out.phase != OUT_SAVING || item->move != node->out.move)
        return; /* it was taken back meanwhile */
    s4_status status = item->status;
    if (status == S4_OK)
        status = send_state(node, &item->bytes);
    if (status == S4_OK)
        status = send_held(node);
    struct move_chunk end = { .kind = CHUNK_END, .size = item->bytes.size };
    if (status == S4_OK)
        status = send_chunk(node, &end, NULL);
    node->out.phase = OUT_SENT;
    if (status != S4_OK) /* the other one waits in vain, and the leader sees to it */
        node->options.upcalls->moved(node->options.upcalls->user, node->out.slot, node->out.move,
                                     false, s4_status_text(status));
}

static void saved(void *user, s4_status status, struct buffer *bytes)
{
    struct item *out = user;
    struct node *node = out->owner;
    out->status = status;
    out->bytes = *bytes;
    node_push(node, out);
}

static void pick_sent(void *user, const struct ferry_frame *frame)
{
    struct node *node = user;
    if (frame->lane == NODE_MOVE_LANE)
        return;
    struct ferry_frame any = *frame;
    any.number = PARCEL_LAST; /* of many lanes: as they come */
    struct pick pick = { .self = node->self,
                         .by_map = node->map,
                         .now = node->map,
                         .by = PICK_BY_SOURCE,
                         .slot = node->out.slot };
    s4_status status = parcels_pick(&node->out.held, node->engine, &pick, &any);
    if (status != S4_OK)
        node_fail(node, status, "what slot %u has sent could not be kept: %s", node->out.slot,
                  s4_status_text(status));
}

/* From among what is kept apart for other slots: it is older than what frames still hold. */
static void pick_kept(struct node *node)
{
    for (uint32_t slot = 0; slot < node->map->n_slots; slot++)
        for (const struct parcel *p = node->homeless[slot].first; p; p = p->next) {
            struct ferry_frame frame = {
                .app = p->app, .schema = p->schema, .version = node->map->version, .block = p->block
            };
            pick_sent(node, &frame);
        }
}

void node_freeze(struct node *node)
{
    struct move_out *out = &node->out;
    engine_slot_hold(node->engine, out->slot);
    engine_slot_route(node->engine, out->slot, engine_nowhere(node->engine));
    pick_kept(node);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (i != node->self && map_member_exists(node->map, i))
            node->ferry->ops->walk(node->ferry, i, pick_sent, node);
    struct item *item = node_item(node, ITEM_SAVED);
    item->owner = node;
    item->move = out->move;
    out->phase = OUT_SAVING;
    out->frozen_us = node_now_us(node);
    s4_status status = engine_slot_save(node->engine, out->slot, saved, item);
    if (status != S4_OK) {
        mem_free(item);
        node_fail(node, status, "slot %u cannot be saved: %s", out->slot, s4_status_text(status));
    }
}

void node_move_watch(struct node *node)
{
    struct move_out *out = &node->out;
    if (out->phase < OUT_SAVING)
        return;
    uint64_t us = node_now_us(node) - out->frozen_us;
    if (us > node->counters.frozen_max_us)
        node->counters.frozen_max_us = us;
    if (node->options.frozen_max_us == 0 || us <= node->options.frozen_max_us || out->alarmed)
        return;
    out->alarmed = true;
    node->counters.frozen_alarms++;
    log_write(node->options.log, LOG_WARN, "slot %u stands still for %llu ms on its way to node %s",
              out->slot, (unsigned long long)(us / 1000), node->map->members[out->target].name);
}

void node_move_drop_out(struct node *node)
{
    node_move_watch(node); /* how long it was in the end */
    node_drop(node, &node->out.held);
    node->out.phase = OUT_NONE;
}

/* ---- coming ---------------------------------------------------------------------------------- */

/* Why not: what another node sent may be in it. */
static void report(struct node *node, bool done, const char *why)
{
    char clean[MAP_WHY_MAX + 1];
    map_text_clean(why, MAP_WHY_MAX, clean);
    node->in.phase = done ? IN_LOADED : IN_FAILED;
    node->options.upcalls->moved(node->options.upcalls->user, node->in.slot, node->in.move, done,
                                 clean);
}

static void loaded(void *user, s4_status status, const struct diag *diag)
{
    struct item *item = user;
    item->status = status;
    snprintf(item->why, sizeof item->why, "%.*s", MAP_WHY_MAX, diag->text);
    node_push(item->owner, item);
}

void node_move_loaded(struct node *node, struct item *item)
{
    if (node->in.phase == IN_LOADING && item->move == node->in.move)
        report(node, item->status == S4_OK, item->why);
}

static void load(struct node *node)
{
    struct item *item = node_item(node, ITEM_LOADED);
    item->owner = node;
    item->move = node->in.move;
    node->in.phase = IN_LOADING;
    s4_status status = engine_slot_load(node->engine, node->in.slot, &node->in.state, loaded, item);
    if (status == S4_OK)
        return;
    mem_free(item);
    report(node, false, s4_status_text(status));
}

/* A block of records as the other node's engine closed it: checked as any that comes. */
static s4_status take_parcel(struct node *node, const struct move_chunk *chunk, const char *bytes,
                             struct diag *diag)
{
    struct block *block = block_take(engine_pool(node->engine), chunk->size);
    if (!block)
        return S4_NO_MEMORY;
    memcpy(block->data, bytes, chunk->size);
    block->used = (uint32_t)chunk->size;
    block->count = chunk->count;
    block->hops = (uint8_t)chunk->hops;
    struct ferry_frame frame = {
        .app = chunk->app, .schema = chunk->schema, .number = PARCEL_LAST, .block = block
    };
    s4_status status =
        engine_block_check(node->engine, chunk->app, chunk->schema, block, chunk->slot, diag);
    if (status == S4_OK)
        status = parcels_add(&node->in.held, &frame);
    if (status != S4_OK)
        block_release(block);
    return status;
}

static s4_status take_chunk(struct node *node, const struct move_chunk *chunk, const char *bytes,
                            struct diag *diag)
{
    uint64_t max = node->options.move_bytes_max;
    if (chunk->kind != CHUNK_END && chunk->size > max - node->in.bytes)
        return diag_set(diag, S4_TOO_LARGE, "it is over %llu bytes", (unsigned long long)max);
    node->in.bytes += chunk->kind != CHUNK_END ? chunk->size : 0;
    switch (chunk->kind) {
    case CHUNK_STATE:
        return buffer_append(&node->in.state, bytes, chunk->size);
    case CHUNK_PARCEL:
        return take_parcel(node, chunk, bytes, diag);
    case CHUNK_END:
        if (node->in.state.size != chunk->size)
            return diag_set(diag, S4_CORRUPT, "%zu bytes came of %llu", node->in.state.size,
                            (unsigned long long)chunk->size);
        load(node);
        return S4_OK;
    default:
        return diag_set(diag, S4_CORRUPT, "a piece of the unknown kind %u", chunk->kind);
    }
}

/* Is it a piece, and what follows it there? */
static bool read_chunk(const struct block *block, struct move_chunk *chunk)
{
    if (block->used < sizeof *chunk)
        return false;
    memcpy(chunk, block->data, sizeof *chunk);
    size_t rest = block->used - sizeof *chunk;
    return chunk->magic == CHUNK_MAGIC && chunk->app[GRAPH_NAME_MAX] == 0 &&
           chunk->hops <= UINT8_MAX && (chunk->kind == CHUNK_END || chunk->size <= rest);
}

void node_move_arrived(struct node *node, uint32_t from, struct block *block)
{
    struct move_in *in = &node->in;
    struct move_chunk chunk;
    struct diag diag = { 0 };
    if (!read_chunk(block, &chunk)) {
        diag_set(&diag, S4_CORRUPT, "a piece of a slot's state that is none");
        node->ferry->ops->refuse(node->ferry, from, &diag);
    } else if (in->phase == IN_OPEN && in->from == from && in->slot == chunk.slot &&
               in->move == chunk.move) {
        s4_status status = take_chunk(node, &chunk, block->data + sizeof chunk, &diag);
        if (status != S4_OK)
            report(node, false, diag.text[0] ? diag.text : s4_status_text(status));
    } /* else of a move that is over */
    block_release(block);
}

void node_move_drop_in(struct node *node)
{
    buffer_fini(&node->in.state);
    parcels_fini(&node->in.held);
    node->in.phase = IN_NONE;
}

/* ---- what a new map means for them ------------------------------------------------------------
 */

static bool is_ordered(const struct map *map, uint32_t slot, uint64_t move)
{
    return map->slots[slot].target != MAP_NOBODY && map->slots[slot].move == move;
}

/* Moves that the map has ended: one way or the other, by the slot's new epoch. */
void node_moves_before(struct node *node)
{
    struct move_out *out = &node->out;
    if (out->phase != OUT_NONE && !is_ordered(node->map, out->slot, out->move)) {
        bool back = node->map->slots[out->slot].owner == node->self;
        if (out->phase >= OUT_SAVING && back)
            node->counters.taken_back++;
        node->counters.moved_out += !back;
        node_move_drop_out(node);
    }
}

static void open_in(struct node *node, uint32_t slot, const struct map_slot *s)
{
    struct diag diag = { 0 };
    node->in.slot = slot;
    node->in.from = s->owner;
    node->in.move = s->move;
    node->in.generation = s->generation;
    node->in.bytes = 0;
    s4_status status = engine_slot_open(node->engine, slot, s->target_worker, SLOT_ARRIVING, &diag);
    if (status == S4_OK)
        node->in.phase = IN_OPEN;
    else
        report(node, false, diag.text);
}

/* The slot that came is this node's: what it had sent goes first. Or it is not. */
static void end_in(struct node *node)
{
    struct move_in *in = &node->in;
    const struct map_slot *s = &node->map->slots[in->slot];
    if (in->phase == IN_LOADED && s->owner == node->self && s->generation == in->generation) {
        struct parcels held = in->held;
        parcels_init(&in->held);
        struct parcel *parcel;
        while ((parcel = parcels_take(&held)))
            node_send_apart(node, parcel);
        node->counters.moved_in++;
    } else if (s->owner != node->self && engine_slot_is_here(node->engine, in->slot)) {
        engine_slot_close(node->engine, in->slot);
    }
    node_move_drop_in(node);
}

void node_moves_after(struct node *node)
{
    if (node->in.phase != IN_NONE && !is_ordered(node->map, node->in.slot, node->in.move))
        end_in(node);
    for (uint32_t slot = 0; slot < node->map->n_slots; slot++) {
        const struct map_slot *s = &node->map->slots[slot];
        if (s->target == MAP_NOBODY)
            continue;
        if (s->target == node->self && node->in.phase == IN_NONE)
            open_in(node, slot, s);
        if (s->owner == node->self && node->out.phase == OUT_NONE) {
            node->out = (struct move_out){
                .phase = OUT_WANTED, .slot = slot, .target = s->target, .move = s->move
            };
            parcels_init(&node->out.held);
        }
    }
}
