/* A newer map, while the engine stands still: every block that its workers had open has been closed
 * and went by the map before. Slot by slot where the epoch changed, and all under the new version:
 *
 *   1. what frames to the owner before still hold of the slot is picked out, behind what was kept
 *      apart; a repeat that comes of it falls by its number
 *   2. the slot's records are routed to the new owner
 *   3. it comes or goes here
 *   4. what was kept apart and picked out goes to the new owner, before anything newer
 *
 * Members that have gone are let go of last, when what was held for them is picked out.
 */
#include "pe/host/planted.h"
#include "pe/node/node_inside.h"

/* ---- 1: picking out -------------------------------------------------------------------------- */

struct picking {
    struct node *node;
    uint32_t slot;
};

static void pick_frame(void *user, const struct ferry_frame *frame)
{
    struct picking *p = user;
    if (frame->lane != NODE_MOVE_LANE)
        node_keep_apart(p->node, frame, p->slot);
}

static void pick_out(struct node *node, uint32_t slot)
{
    uint32_t owner = node->map->slots[slot].owner;
    struct picking picking = { node, slot };
    if (owner != MAP_NOBODY && owner != node->self && !PLANTED(PLANTED_NO_PICK_OUT))
        node->ferry->ops->walk(node->ferry, owner, pick_frame, &picking);
}

/* ---- 3: coming and going --------------------------------------------------------------------- */

static void leave(struct node *node, uint32_t slot)
{
    if (!engine_slot_is_held(node->engine, slot))
        engine_slot_hold(node->engine, slot);
    engine_slot_close(node->engine, slot);
}

static void begin_empty(struct node *node, uint32_t slot, uint32_t worker)
{
    struct diag diag = { 0 };
    s4_status status = engine_slot_open(node->engine, slot, worker, SLOT_FRESH, &diag);
    if (status != S4_OK)
        node_fail(node, status, "slot %u cannot begin here: %s", slot, diag.text);
    node->counters.fresh++;
}

static void run(struct node *node, uint32_t slot, uint64_t epoch)
{
    s4_status status = engine_slot_go(node->engine, slot, epoch);
    if (status != S4_OK)
        node_fail(node, status, "slot %u cannot run here: %s", slot, s4_status_text(status));
}

/* The slot is this node's from now on, or still is. */
static void be_owner(struct node *node, uint32_t slot, const struct map_slot *before,
                     const struct map_slot *now)
{
    struct engine *engine = node->engine;
    bool anew = now->generation != before->generation;
    bool arrived =
        node->in.phase == IN_LOADED && node->in.slot == slot && node->in.move == before->move;
    bool stays = before->owner == node->self;
    if (engine_slot_is_here(engine, slot) && (anew || !(arrived || stays)))
        leave(node, slot);
    if (!engine_slot_is_here(engine, slot))
        begin_empty(node, slot, now->worker);
    else if (!engine_slot_is_held(engine, slot))
        engine_slot_hold(engine, slot);
}

static void change_slot(struct node *node, uint32_t slot, const struct map_slot *before,
                        const struct map_slot *now)
{
    struct engine *engine = node->engine;
    if (now->generation != before->generation &&
        engine_source_forget(engine, (uint16_t)slot, now->genesis) != S4_OK)
        node_fail(node, S4_NO_MEMORY, "out of memory for slot %u's new generation", slot);
    engine_slot_route(engine, slot,
                      now->owner == MAP_NOBODY ? engine_nowhere(engine) : node_worker(now));
    if (now->owner == node->self)
        be_owner(node, slot, before, now);
    else if (engine_slot_is_here(engine, slot))
        leave(node, slot);
}

/* ---- 4: sending again ------------------------------------------------------------------------ */

/* Of sources that have begun anew, or are others' now, nothing goes any further from here. */
static void purge(struct node *node)
{
    node->counters.homeless = 0;
    for (uint32_t slot = 0; slot < node->map->n_slots; slot++) {
        struct parcels *list = &node->homeless[slot];
        if (list->first && parcels_purge(list, node->engine, node->map, node->self) != S4_OK)
            node_fail(node, S4_NO_MEMORY, "records for slot %u could not be kept", slot);
        node->counters.homeless += list->count;
    }
}

static void send_homeless(struct node *node, uint32_t slot)
{
    struct parcels list = node->homeless[slot];
    parcels_init(&node->homeless[slot]);
    if (list.first == NULL)
        return;
    node->counters.homeless -= list.count;
    struct parcel *parcel;
    if (PLANTED(PLANTED_NEWER_FIRST) && list.first->next) {
        parcel = parcels_take(&list);
        node_send_again(node, slot, parcels_take(&list));
        node_send_again(node, slot, parcel);
    }
    while ((parcel = parcels_take(&list)))
        node_send_again(node, slot, parcel);
}

/* ---- members --------------------------------------------------------------------------------- */

static bool is_other(const struct map *a, const struct map *b, uint32_t index)
{
    bool there[2] = { map_member_exists(a, index), map_member_exists(b, index) };
    return there[0] != there[1] ||
           (there[0] && a->members[index].incarnation != b->members[index].incarnation);
}

static void change_member(struct node *node, uint32_t index, const struct map *before,
                          const struct map *now)
{
    uint32_t slots = now->n_slots;
    if (map_member_exists(before, index)) {
        node->ferry->ops->end(node->ferry, index);
        node_late_drop(node, index);
    }
    if (!map_member_exists(now, index))
        return;
    for (uint32_t i = 0; i < 2; i++)
        if (engine_source_forget(node->engine, link_intake(slots, 2 * index + i),
                                 now->members[index].since) != S4_OK)
            node_fail(node, S4_NO_MEMORY, "out of memory for a new member");
    node->ferry->ops->open(node->ferry, index, &now->members[index]);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool has_changed(const struct map *before, const struct map *now, uint32_t slot)
{
    return before->slots[slot].epoch != now->slots[slot].epoch;
}

void node_app_loaded(struct node *node)
{
    for (uint32_t i = 0; i < node->map->n_apps; i++)
        if (node->map->apps[i].phase == MAP_RUN)
            engine_open(node->engine, node->map->apps[i].name);
}

void node_change(struct node *node)
{
    struct map *before = node->map;
    struct map *now = node->next;
    uint32_t slots = now->n_slots;
    bool sources_change = false;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (!has_changed(before, now, slot))
            continue;
        sources_change = true;
        pick_out(node, slot);
    }
    node->next = NULL;
    node->map = now; /* what is sent from here on is of the new version */
    if (sources_change)
        purge(node);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (i != node->self && is_other(before, now, i))
            change_member(node, i, before, now);
    node_moves_before(node);
    for (uint32_t slot = 0; slot < slots; slot++)
        if (has_changed(before, now, slot))
            change_slot(node, slot, &before->slots[slot], &now->slots[slot]);
    node_moves_after(node);
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (!has_changed(before, now, slot))
            continue;
        send_homeless(node, slot);
        if (now->slots[slot].owner == node->self)
            run(node, slot, now->slots[slot].epoch);
    }
    map_destroy(before);
    node_app_loaded(node);
}
