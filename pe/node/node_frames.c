/* Frames that go and come.
 *
 *   out   a block that a worker closed goes to the node of its worker. What is for a slot that has
 * no owner now, or that is frozen here, is kept apart, in order, until the slot has a new epoch.
 *   back  NOT_MINE: the other node has not taken a frame's records for a slot. They are kept apart
 *         the same way, unless the frame is older than the slot's epoch here: then they were taken
 *         out of the frames and sent again when that epoch began.
 *   in    a frame whose sender knew a newer map waits until that is here, and all that comes from
 *         that node waits behind it.
 */
#include "pe/host/planted.h"
#include "pe/node/node_inside.h"

#include "runtime/base/mem.h"
#include "runtime/net/net.h"

/* ---- out ------------------------------------------------------------------------------------- */

static void ship(struct node *node, const char *app, uint64_t schema, struct block *block)
{
    uint32_t to = block->worker / ENGINE_WORKERS_MAX;
    struct ferry_frame frame = {
        .app = app,
        .schema = schema,
        .version = node->map->version,
        .lane = net_lane((uint16_t)(node->self * ENGINE_WORKERS_MAX), block->worker),
        .block = block,
    };
    s4_status status = node->ferry->ops->send(node->ferry, to, &frame);
    if (status == S4_OK)
        return;
    block_release(block);
    node_fail(node, status, "a block for node %u could not be sent: %s", to,
              s4_status_text(status));
}

void node_keep_apart(struct node *node, const struct ferry_frame *frame, uint32_t slot)
{
    struct parcels *list = &node->homeless[slot];
    struct pick pick = { .self = node->self,
                         .by_map = node->map,
                         .now = node_newest(node),
                         .by = PICK_BY_DESTINATION,
                         .slot = slot };
    size_t before = list->count;
    s4_status status = parcels_pick(list, node->engine, &pick, frame);
    node->counters.homeless += list->count - before;
    if (status != S4_OK)
        node_fail(node, status, "records for slot %u could not be kept: %s", slot,
                  s4_status_text(status));
}

/* Into the lists of its slots. It will not end as itself. */
static void keep_all_apart(struct node *node, const char *app, uint64_t schema, struct block *block)
{
    struct ferry_frame frame = {
        .app = app,
        .schema = schema,
        .version = node->map->version,
        .number = PARCEL_LAST,
        .block = block,
    };
    uint64_t there[PARCEL_SLOT_WORDS];
    parcels_slots(block, there);
    for (uint32_t slot = 0; slot < node->map->n_slots; slot++)
        if (there[slot / 64] >> slot % 64 & 1)
            node_keep_apart(node, &frame, slot);
    engine_begun(node->engine, app, (uint64_t)-1);
    block_release(block);
}

void node_send(struct node *node, const char *app, uint64_t schema, struct block *block)
{
    if (block->worker == engine_nowhere(node->engine))
        keep_all_apart(node, app, schema, block);
    else
        ship(node, app, schema, block);
}

void node_send_again(struct node *node, uint32_t slot, struct parcel *parcel)
{
    const struct map_slot *s = &node->map->slots[slot];
    struct block *block = parcel->block;
    bool frozen = node->out.phase >= OUT_SAVING && node->out.slot == slot;
    parcel->block = NULL;
    node->counters.sent_again++;
    if (s->owner == MAP_NOBODY || frozen) {
        struct ferry_frame frame = { .app = parcel->app,
                                     .schema = parcel->schema,
                                     .version = node->map->version,
                                     .number = PARCEL_FIRST,
                                     .block = block };
        node->counters.homeless++;
        if (parcels_add(&node->homeless[slot], &frame) != S4_OK) {
            block_release(block);
            node_fail(node, S4_NO_MEMORY, "records for slot %u could not be kept", slot);
        }
    } else {
        block->worker = node_worker(s);
        if (s->owner == node->self)
            engine_hand(node->engine, parcel->app, block);
        else
            ship(node, parcel->app, parcel->schema, block);
    }
    parcel_free(parcel);
}

void node_send_apart(struct node *node, struct parcel *parcel)
{
    uint64_t there[PARCEL_SLOT_WORDS];
    parcels_slots(parcel->block, there);
    for (uint32_t slot = 0; slot < node->map->n_slots; slot++) {
        if (!(there[slot / 64] >> slot % 64 & 1))
            continue;
        struct parcels one;
        struct pick pick = { .self = node->self,
                             .by_map = node->map,
                             .now = node->map,
                             .by = PICK_BY_DESTINATION,
                             .slot = slot };
        parcels_init(&one);
        struct ferry_frame frame = { .app = parcel->app,
                                     .schema = parcel->schema,
                                     .version = node->map->version,
                                     .block = parcel->block };
        s4_status status = parcels_pick(&one, node->engine, &pick, &frame);
        struct parcel *picked = parcels_take(&one);
        if (picked)
            node_send_again(node, slot, picked);
        if (status != S4_OK)
            node_fail(node, status, "records of a slot that came could not be sent: %s",
                      s4_status_text(status));
    }
    parcel_free(parcel);
}

void node_drop(struct node *node, struct parcels *list)
{
    struct parcel *parcel;
    while ((parcel = parcels_take(list))) {
        engine_begun(node->engine, parcel->app, (uint64_t)-1);
        parcel_free(parcel);
    }
}

/* ---- back ------------------------------------------------------------------------------------ */

void node_not_mine(struct node *node, uint32_t from, const struct ferry_frame *frame, uint32_t slot)
{
    if (slot >= node->map->n_slots) {
        struct diag diag = { 0 };
        diag_set(&diag, S4_PROTOCOL, "slot %u is not its, it says, and there are %u", slot,
                 node->map->n_slots);
        node->ferry->ops->refuse(node->ferry, from, &diag);
        return;
    }
    node->counters.not_mine_heard++;
    if (PLANTED(PLANTED_NOT_MINE_UNHEARD))
        return;
    node_keep_apart(node, frame, slot);
}

/* ---- in -------------------------------------------------------------------------------------- */

static void taken(void *user, const uint64_t token[2])
{
    struct item *item = node_item(user, ITEM_TAKEN);
    memcpy(item->token, token, sizeof item->token);
    node_push(user, item);
}

static void applied(void *user, const uint64_t token[2])
{
    struct item *item = node_item(user, ITEM_APPLIED);
    memcpy(item->token, token, sizeof item->token);
    node_push(user, item);
}

static void not_mine(void *user, const uint64_t token[2], uint16_t slot)
{
    if (PLANTED(PLANTED_NOT_MINE_UNSAID))
        return;
    struct item *item = node_item(user, ITEM_NOT_MINE);
    memcpy(item->token, token, sizeof item->token);
    item->slot = slot;
    node_push(user, item);
}

/* Nothing comes of it, but the sender may forget it. */
static void pass_over(struct node *node, const uint64_t token[2], struct block *block)
{
    block_release(block);
    node->ferry->ops->credit(node->ferry, token);
    node->ferry->ops->applied(node->ferry, token);
}

static void take(struct node *node, uint32_t from, const struct ferry_frame *frame,
                 const uint64_t token[2])
{
    struct block *block = frame->block;
    struct diag diag = { 0 };
    if (frame->lane == NODE_MOVE_LANE) {
        node_move_arrived(node, from, block);
        node->ferry->ops->credit(node->ferry, token);
        node->ferry->ops->applied(node->ferry, token);
        return;
    }
    const struct map_app *app = map_find_app(node->map, frame->app);
    if (app && frame->version < app->since) { /* of an app that had the name before */
        pass_over(node, token, block);
        return;
    }
    struct engine_arrival how = {
        .not_mine = not_mine,
        .taken = taken,
        .applied = applied,
        .user = node,
        .token = { token[0], token[1] },
        .version = frame->version,
    };
    s4_status status = engine_arrived(node->engine, frame->app, frame->schema, &block, &how, &diag);
    if (status == S4_OK)
        return;
    if (status == S4_NOT_FOUND) { /* it was undeployed here, and will be there */
        pass_over(node, token, block);
        return;
    }
    block_release(block);
    node->ferry->ops->refuse(node->ferry, from, &diag);
}

static void put_off(struct node *node, uint32_t from, const struct ferry_frame *frame,
                    const uint64_t token[2])
{
    struct late_frame *late = mem_zalloc(sizeof *late);
    CHECK(late); /* else a frame would be lost that the sender must not send again */
    *late = (struct late_frame){ .block = frame->block,
                                 .schema = frame->schema,
                                 .version = frame->version,
                                 .number = frame->number,
                                 .token = { token[0], token[1] },
                                 .lane = frame->lane };
    snprintf(late->app, sizeof late->app, "%s", frame->app);
    *node->late[from].end = late;
    node->late[from].end = &late->next;
    node->counters.waited++;
}

void node_arrived(struct node *node, uint32_t from, const struct ferry_frame *frame,
                  const uint64_t token[2])
{
    CHECK(from < MAP_MEMBERS_MAX);
    bool newer = frame->version > node->map->version && !PLANTED(PLANTED_NO_WAITING);
    if (node->late[from].first || node->fresh || newer)
        put_off(node, from, frame, token);
    else
        take(node, from, frame, token);
}

static struct late_frame *late_take(struct late_frames *list)
{
    struct late_frame *late = list->first;
    list->first = late->next;
    if (!list->first)
        list->end = &list->first;
    return late;
}

bool node_late_step(struct node *node)
{
    bool any = false;
    for (uint32_t from = 0; from < MAP_MEMBERS_MAX && !node->fresh; from++) {
        struct late_frames *list = &node->late[from];
        while (list->first && list->first->version <= node->map->version) {
            struct late_frame *late = late_take(list);
            struct ferry_frame frame = { .app = late->app,
                                         .schema = late->schema,
                                         .version = late->version,
                                         .lane = late->lane,
                                         .number = late->number,
                                         .block = late->block };
            take(node, from, &frame, late->token);
            mem_free(late);
            any = true;
        }
    }
    return any;
}

void node_late_drop(struct node *node, uint32_t from)
{
    struct late_frames *list = &node->late[from];
    while (list->first) {
        struct late_frame *late = late_take(list);
        block_release(late->block);
        mem_free(late);
    }
}
