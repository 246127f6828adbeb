/* A slot that leaves: copied while it runs, bit by bit and not faster than the options say, and
 * again what has changed, until that is little or it has been looked at often enough; then frozen,
 * and the rest sent: its state, which refers to what was copied, and what it had sent. All in small
 * steps, so that other frames, and the net's own, go in between.
 *
 *   WANTED -> COPYING -> COPIED -> SAVING -> SENDING -> SENT -> (the map ends it) NONE
 *               | ^ a step on the slot's worker       ^ in the same step of the node as it is
 * frozen
 */
#include "pe/host/planted.h"
#include "pe/node/node_inside.h"

#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

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

/* From *at on, at most `max` bytes. */
static s4_status send_bytes(struct node *node, enum chunk_kind kind, const struct buffer *bytes,
                            size_t *at, size_t max)
{
    size_t end = size_min(bytes->size, *at + max);
    while (*at < end) {
        struct move_chunk chunk = { .kind = kind, .size = size_min(end - *at, CHUNK_BYTES) };
        TRY(send_chunk(node, &chunk, bytes->data + *at));
        *at += chunk.size;
    }
    return S4_OK;
}

/* The slot stays here, or will: the leader sees to it, as to one that the other node cannot load.
 */
static void give_up(struct node *node, enum out_phase phase, s4_status status)
{
    node->out.phase = phase;
    node->options.upcalls->moved(node->options.upcalls->user, node->out.slot, node->out.move, false,
                                 s4_status_text(status));
}

/* ---- copying --------------------------------------------------------------------------------- */

static void copied(void *user, s4_status status, struct buffer *pieces, bool over)
{
    struct item *item = user;
    item->status = status;
    item->bytes = *pieces;
    item->over = over;
    node_push(item->owner, item);
}

/* The copy goes along with the item, and comes back with it. */
static void copy_on(struct node *node)
{
    struct move_out *out = &node->out;
    struct item *item = node_item(node, ITEM_COPIED);
    item->owner = node;
    item->move = out->move;
    item->copy = out->copy;
    out->copy = NULL;
    engine_slot_copy(node->engine, out->slot, item->copy, node->options.copy_step, copied, item);
}

static void copy_begin(struct node *node)
{
    struct move_out *out = &node->out;
    s4_status status = slot_copy_create(rng_seed_real(), &out->copy);
    if (status != S4_OK) {
        give_up(node, OUT_FAILED, status);
        return;
    }
    out->phase = OUT_COPYING;
}

/* Looking costs, too, where nothing has changed. */
static uint64_t copy_pause_us(const struct node *node, size_t bytes)
{
    return size_max(bytes, node->options.copy_step / 4) * UINT64_C(1000000) /
           node->options.copy_rate;
}

void node_move_copied(struct node *node, struct item *item)
{
    struct move_out *out = &node->out;
    size_t at = 0;
    if (out->phase != OUT_COPYING || item->move != out->move)
        return; /* it is over */
    out->copy = item->copy;
    item->copy = NULL;
    s4_status status = item->status;
    if (status == S4_OK)
        status = send_bytes(node, CHUNK_PIECES, &item->bytes, &at, SIZE_MAX);
    out->pass_bytes += at;
    node->counters.copied += at;
    out->next_us = node_now_us(node) + copy_pause_us(node, at);
    if (status != S4_OK) { /* what is wrong is told by the whole, if it is still wrong then */
        out->phase = OUT_COPIED;
    } else if (item->over) {
        if (++out->passes == NODE_COPY_PASSES ||
            out->pass_bytes <= NODE_COPY_LITTLE * node->options.copy_step)
            out->phase = OUT_COPIED;
        out->pass_bytes = 0;
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

static s4_status send_parcel(struct node *node, const struct parcel *p)
{
    struct move_chunk chunk = { .kind = CHUNK_PARCEL,
                                .schema = p->schema,
                                .size = p->block->used,
                                .count = p->block->count,
                                .hops = p->block->hops };
    snprintf(chunk.app, sizeof chunk.app, "%s", p->app);
    return send_chunk(node, &chunk, p->block->data);
}

/* The next bytes of the state, then the next of what it had sent, then the end. */
static s4_status send_on(struct node *node)
{
    struct move_out *out = &node->out;
    const size_t max = NODE_COPY_LITTLE * node->options.copy_step;
    size_t before = out->sent;
    TRY(send_bytes(node, CHUNK_STATE, &out->state, &out->sent, max));
    for (size_t sent = out->sent - before; out->sent == out->state.size && sent < max;) {
        if (!out->next_held) {
            struct move_chunk end = { .kind = CHUNK_END, .size = out->state.size };
            TRY(send_chunk(node, &end, NULL));
            out->phase = OUT_SENT;
            buffer_fini(&out->state);
            return S4_OK;
        }
        TRY(send_parcel(node, out->next_held));
        sent += out->next_held->block->used;
        out->next_held = out->next_held->next;
    }
    return S4_OK;
}

void node_move_saved(struct node *node, struct item *item)
{
    struct move_out *out = &node->out;
    if (out->phase != OUT_SAVING || item->move != out->move)
        return; /* it was taken back meanwhile */
    if (item->status != S4_OK) {
        give_up(node, OUT_SENT, item->status); /* the other one waits in vain */
        return;
    }
    out->phase = OUT_SENDING;
    out->state = item->bytes;
    out->sent = 0;
    out->next_held = PLANTED(PLANTED_SENT_LEFT) ? NULL : out->held.first;
    node->counters.copied_frozen += out->state.size;
    buffer_init(&item->bytes);
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
    item->copy = out->copy;
    out->copy = NULL;
    out->phase = OUT_SAVING;
    out->frozen_us = node_now_us(node);
    s4_status status = engine_slot_save(node->engine, out->slot, item->copy, saved, item);
    if (status != S4_OK) {
        node_item_free(item);
        node_fail(node, status, "slot %u cannot be saved: %s", out->slot, s4_status_text(status));
    }
}

/* ---- all along ------------------------------------------------------------------------------- */

/* How long it has stood still. */
static void watch(struct node *node)
{
    struct move_out *out = &node->out;
    if (out->phase < OUT_SAVING)
        return;
    uint64_t us = node_now_us(node) - out->frozen_us;
    node->counters.frozen_us = us;
    if (us > node->counters.frozen_max_us)
        node->counters.frozen_max_us = us;
    if (node->options.frozen_max_us == 0 || us <= node->options.frozen_max_us || out->alarmed)
        return;
    out->alarmed = true;
    node->counters.frozen_alarms++;
    log_write(node->options.log, LOG_WARN, "slot %u stands still for %llu ms on its way to node %s",
              out->slot, (unsigned long long)(us / 1000), node->map->members[out->target].name);
}

/* Else what is sent would pile up, where the other node or the network is slower. */
static bool has_room(const struct node *node)
{
    return node->ferry->ops->unsent(node->ferry) < NODE_MOVE_UNSENT;
}

bool node_move_step(struct node *node)
{
    struct move_out *out = &node->out;
    watch(node);
    if (out->phase == OUT_WANTED) {
        copy_begin(node);
        return true;
    }
    bool copies = out->phase == OUT_COPYING && out->copy && node_now_us(node) >= out->next_us;
    if ((!copies && out->phase != OUT_SENDING) || !has_room(node))
        return false;
    if (copies) {
        copy_on(node);
        return true;
    }
    s4_status status = send_on(node);
    if (status != S4_OK)
        give_up(node, OUT_SENT, status);
    return true;
}

uint64_t node_move_due_us(const struct node *node)
{
    const struct move_out *out = &node->out;
    uint64_t watched = out->phase >= OUT_SAVING && node->options.frozen_max_us && !out->alarmed
                           ? out->frozen_us + node->options.frozen_max_us + 1
                           : UINT64_MAX;
    if (out->phase == OUT_COPYING && out->copy)
        return out->next_us;
    return out->phase == OUT_WANTED || out->phase == OUT_COPIED || out->phase == OUT_SENDING
               ? 0
               : watched;
}

void node_move_drop_out(struct node *node)
{
    watch(node); /* how long it was in the end */
    node_drop(node, &node->out.held);
    slot_copy_destroy(node->out.copy);
    buffer_fini(&node->out.state);
    node->out.copy = NULL;
    node->out.phase = OUT_NONE;
}
