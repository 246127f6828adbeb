/* A slot on its way from one node to another, and what a new map means for it.
 *
 *   here (node_move_out.c)                there (node_move_in.c)
 *   the map orders the move               the map orders the move: partitions that take nothing
 *   copy while it runs, and again
 *   what has changed  ----------------->  keep
 *   freeze: nothing of it runs; the
 *   rest, and what it had sent  ------->  load; report
 *   the map says that it is there         the map says that it is here: what it had sent goes out
 *   gone                                  again, then it runs
 *
 * What came for it here before the freeze travels with its state; what comes later is kept apart by
 * who sent it. The one that froze it takes it back only if the map says so, under a new epoch: else
 * two could run it.
 */
#include "pe/node/node_inside.h"

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
        node_move_report(node, false, diag.text);
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
