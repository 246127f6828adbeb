/* A slot that comes: its pieces and its state are put together and loaded, what it had sent is kept
 * until it runs here. Nothing of it is trusted.
 */
#include "pe/node/node_inside.h"

#include "runtime/base/mem.h"

/* Why not: what another node sent may be in it. */
void node_move_report(struct node *node, bool done, const char *why)
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
        node_move_report(node, item->status == S4_OK, item->why);
}

static void load(struct node *node, struct buffer *bytes)
{
    struct item *item = node_item(node, ITEM_LOADED);
    item->owner = node;
    item->move = node->in.move;
    node->in.phase = IN_LOADING;
    s4_status status = engine_slot_load(node->engine, node->in.slot, bytes, loaded, item);
    if (status == S4_OK)
        return;
    buffer_fini(bytes);
    node_item_free(item);
    node_move_report(node, false, s4_status_text(status));
}

static s4_status put_together(struct node *node, struct diag *diag)
{
    struct move_in *in = &node->in;
    struct buffer whole;
    buffer_init(&whole);
    s4_status status =
        pieces_read(&in->pieces, &in->state, node->options.move_bytes_max, &whole, diag);
    pieces_drop(&in->pieces);
    buffer_fini(&in->state);
    if (status == S4_OK)
        load(node, &whole);
    else
        buffer_fini(&whole);
    return status;
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
    case CHUNK_PIECES:
        return pieces_take(&node->in.pieces, bytes, chunk->size);
    case CHUNK_STATE:
        return buffer_append(&node->in.state, bytes, chunk->size);
    case CHUNK_PARCEL:
        return take_parcel(node, chunk, bytes, diag);
    case CHUNK_END:
        if (node->in.state.size != chunk->size)
            return diag_set(diag, S4_CORRUPT, "%zu bytes came of %llu", node->in.state.size,
                            (unsigned long long)chunk->size);
        return put_together(node, diag);
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
            node_move_report(node, false, diag.text[0] ? diag.text : s4_status_text(status));
    } /* else of a move that is over */
    block_release(block);
}

void node_move_drop_in(struct node *node)
{
    pieces_drop(&node->in.pieces);
    buffer_fini(&node->in.state);
    parcels_fini(&node->in.held);
    node->in.phase = IN_NONE;
}
