/* A node's life and its step; see the header and README.md. What workers hand over goes through one
 * stack, which is taken whole and turned round, so that what one worker pushed comes in its order.
 */
#include "pe/host/planted.h"
#include "pe/node/node_inside.h"

#include <stdarg.h>

#include "runtime/base/mem.h"

void node_fail(struct node *node, s4_status code, const char *format, ...)
{
    struct diag diag = { 0 };
    va_list args;
    va_start(args, format);
    diag_write_at_args(&diag, code, "this node", 0, 0, format, args);
    va_end(args);
    if (!node->failed)
        node->options.upcalls->failed(node->options.upcalls->user, &diag);
    node->failed = true;
}

/* ---- from the workers ------------------------------------------------------------------------ */

void node_push(struct node *node, struct item *item)
{
    struct item *head = atomic_load_explicit(&node->items, memory_order_relaxed);
    do
        item->next = head;
    while (!atomic_compare_exchange_weak_explicit(&node->items, &head, item, memory_order_release,
                                                  memory_order_relaxed));
    if (!head && node->ferry)
        node->ferry->ops->wake(node->ferry);
}

/* A block that cannot be handed on would be lost, and with it what comes behind it on its links. */
struct item *node_item(struct node *node, enum item_kind kind)
{
    struct item *item = mem_zalloc(sizeof *item);
    CHECK(item);
    item->kind = kind;
    return item;
}

void node_item_free(struct item *item)
{
    if (item->block)
        block_release(item->block);
    buffer_fini(&item->bytes);
    slot_copy_destroy(item->copy);
    mem_free(item);
}

static void send_block(void *user, const char *app, uint64_t schema, struct block *block)
{
    struct node *node = user;
    struct item *item = node_item(node, ITEM_BLOCK);
    atomic_fetch_add(&node->handed, 1);
    item->block = block;
    item->schema = schema;
    snprintf(item->app, sizeof item->app, "%s", app);
    node_push(node, item);
}

static uint32_t count_waiting(const struct node *node)
{
    return atomic_load(&node->handed) + atomic_load(&node->unsent);
}

/* A source that has to wait says so, and looks once more: either it sees that less waits now, or
 * the stepping thread, which looks for `full` after every change, wakes it. */
static uint32_t waiting(void *user)
{
    struct node *node = user;
    uint32_t n = count_waiting(node);
    if (n < ENGINE_REMOTE_WAITING)
        return n;
    atomic_store(&node->full, true);
    return count_waiting(node);
}

static void flight(void *user, const char *app, uint64_t *begun, uint64_t *ended)
{
    const struct node_upcalls *upcalls = ((struct node *)user)->options.upcalls;
    upcalls->flight(upcalls->user, app, begun, ended);
}

/* ---- the stepping thread --------------------------------------------------------------------- */

static void step_item(struct node *node, struct item *item)
{
    switch (item->kind) {
    case ITEM_BLOCK:
        atomic_fetch_sub(&node->handed, 1);
        node_send(node, item->app, item->schema, item->block);
        break;
    case ITEM_TAKEN:
        node->ferry->ops->credit(node->ferry, item->token);
        if (PLANTED(PLANTED_APPLIED_TOO_EARLY))
            node->ferry->ops->applied(node->ferry, item->token);
        break;
    case ITEM_NOT_MINE:
        node->counters.not_mine_said++;
        node->ferry->ops->not_mine(node->ferry, item->token, item->slot);
        break;
    case ITEM_APPLIED:
        if (!PLANTED(PLANTED_APPLIED_TOO_EARLY))
            node->ferry->ops->applied(node->ferry, item->token);
        break;
    case ITEM_COPIED:
        node_move_copied(node, item);
        break;
    case ITEM_SAVED:
        node_move_saved(node, item);
        break;
    case ITEM_LOADED:
        node_move_loaded(node, item);
        break;
    }
    item->block = NULL; /* it was taken */
    node_item_free(item);
}

static bool step_items(struct node *node)
{
    struct item *stack = atomic_exchange_explicit(&node->items, NULL, memory_order_acquire);
    struct item *oldest = NULL;
    while (stack) {
        struct item *next = stack->next;
        stack->next = oldest;
        oldest = stack;
        stack = next;
    }
    bool any = oldest != NULL;
    while (oldest) {
        struct item *next = oldest->next;
        step_item(node, oldest);
        oldest = next;
    }
    return any;
}

/* Map and move change only while the engine stands still; what its workers had closed by then went
 * the way of the map before. */
static bool step_change(struct node *node)
{
    if (!node->next && node->out.phase != OUT_COPIED && !node->fresh)
        return false;
    if (!node->still) {
        node->still = engine_still_begin(node->engine) == S4_OK;
        if (!node->still)
            return false;
    }
    if (!engine_is_still(node->engine))
        return false;
    step_items(node);
    if (node->failed)
        return true;
    if (node->fresh)
        node_moves_after(node);
    else if (node->next)
        node_change(node);
    else
        node_freeze(node);
    node->fresh = false;
    engine_still_end(node->engine);
    node->still = false;
    return true;
}

/* A node that has failed holds nobody up. */
static void end_still(struct node *node)
{
    if (node->still)
        engine_still_end(node->engine);
    node->still = false;
}

/* Tells sources what waits, and wakes them when it has become little. */
static void mind_sources(struct node *node)
{
    atomic_store(&node->unsent, node->ferry->ops->unsent(node->ferry));
    if (!atomic_load(&node->full) || count_waiting(node) > ENGINE_REMOTE_WAITING / 2)
        return;
    atomic_store(&node->full, false);
    engine_credit(node->engine);
}

bool node_step(struct node *node)
{
    bool any = !node->failed && step_items(node);
    if (!node->failed)
        any |= step_change(node);
    if (!node->failed)
        any |= node_late_step(node);
    if (!node->failed)
        any |= node_move_step(node);
    if (node->failed)
        end_still(node);
    else
        mind_sources(node);
    return any && !node->failed;
}

uint64_t node_due_us(const struct node *node)
{
    return node->failed ? UINT64_MAX : node_move_due_us(node);
}

bool node_is_settled(const struct node *node)
{
    bool late = false;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        late |= node->late[i].first != NULL;
    return !late && !node->next && node->out.phase == OUT_NONE && node->in.phase == IN_NONE &&
           node->counters.homeless == 0 && !atomic_load(&node->items);
}

struct node_counters node_counters(const struct node *node)
{
    return node->counters;
}

uint64_t node_version(const struct node *node)
{
    return node->map->version;
}

/* ---- life ------------------------------------------------------------------------------------ */

s4_status node_create(const struct node_options *options, struct node **node)
{
    struct node *made = mem_zalloc(sizeof *made);
    if (!made)
        return S4_NO_MEMORY;
    made->options = *options;
    if (!made->options.clock)
        made->options.clock = &clock_real;
    if (!made->options.move_bytes_max)
        made->options.move_bytes_max = NODE_MOVE_BYTES_MAX;
    if (!made->options.copy_step)
        made->options.copy_step = NODE_COPY_STEP_DEFAULT;
    if (!made->options.copy_rate)
        made->options.copy_rate = NODE_COPY_RATE_DEFAULT;
    made->remote = (struct engine_remote){ .send = send_block,
                                           .flight = options->upcalls->flight ? flight : NULL,
                                           .waiting = waiting,
                                           .user = made };
    parcels_init(&made->out.held);
    parcels_init(&made->in.held);
    buffer_init(&made->in.state);
    buffer_init(&made->out.state);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        made->late[i].end = &made->late[i].first;
    *node = made;
    return S4_OK;
}

const struct engine_remote *node_remote(struct node *node)
{
    return &node->remote;
}

void node_first_map(const struct map *map, uint16_t *workers, uint64_t *genesis)
{
    memset(genesis, 0, links_count(map->n_slots) * sizeof *genesis);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        for (uint32_t intake = 2 * i; intake < 2 * i + 2; intake++)
            genesis[link_intake(map->n_slots, intake)] = map->members[i].since;
    for (uint32_t slot = 0; slot < map->n_slots; slot++) {
        const struct map_slot *s = &map->slots[slot];
        genesis[slot] = s->genesis;
        workers[slot] = s->owner == MAP_NOBODY ? (uint16_t)(MAP_MEMBERS_MAX * ENGINE_WORKERS_MAX)
                                               : node_worker(s);
    }
}

s4_status node_join(struct node *node, struct engine *engine, struct ferry *ferry,
                    const struct map *map, uint32_t self)
{
    node->map = map_dup(map);
    node->homeless = mem_calloc(map->n_slots, sizeof *node->homeless);
    if (!node->map || !node->homeless)
        return S4_NO_MEMORY;
    for (uint32_t slot = 0; slot < map->n_slots; slot++)
        parcels_init(&node->homeless[slot]);
    node->engine = engine;
    node->ferry = ferry;
    node->self = self;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (i != self && map_member_exists(map, i))
            ferry->ops->open(ferry, i, &map->members[i]);
    node->fresh = true;
    return S4_OK;
}

s4_status node_map(struct node *node, const struct map *map)
{
    const struct map *newest = node->next ? node->next : node->map;
    if (map->version <= newest->version)
        return S4_OK;
    CHECK(map->n_slots == node->map->n_slots);
    struct map *copy = map_dup(map);
    if (!copy)
        return S4_NO_MEMORY;
    map_destroy(node->next);
    node->next = copy;
    return S4_OK;
}

static void drop_items(struct node *node)
{
    for (struct item *item = atomic_exchange(&node->items, NULL); item;) {
        struct item *next = item->next;
        node_item_free(item);
        item = next;
    }
}

void node_stop(struct node *node)
{
    end_still(node);
    drop_items(node);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        node_late_drop(node, i);
    for (uint32_t slot = 0; node->homeless && slot < node->map->n_slots; slot++)
        parcels_fini(&node->homeless[slot]);
    parcels_fini(&node->out.held);
    slot_copy_destroy(node->out.copy);
    buffer_fini(&node->out.state);
    node->out.copy = NULL;
    parcels_fini(&node->in.held);
    pieces_drop(&node->in.pieces);
    buffer_fini(&node->in.state);
    node->ferry = NULL; /* nobody is to be woken */
    node->failed = true;
}

void node_destroy(struct node *node)
{
    if (!node)
        return;
    drop_items(node);
    mem_free(node->homeless);
    map_destroy(node->map);
    map_destroy(node->next);
    mem_free(node);
}
