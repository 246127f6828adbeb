/* Timers: a slab of nodes with two indexes, (owner, id) to its node, and owner to one node of a
 * ring of all of the owner's; where they wait is timers_wheel.c. In the steady state nothing is
 * allocated: a freed node is the next one used.
 */
#include "runtime/actor/timers_internal.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

s4_status timers_create(uint32_t max, struct timers **timers)
{
    struct timers *made = mem_zalloc(sizeof *made);
    if (!made)
        return S4_NO_MEMORY;
    made->max = max ? max : TIMERS_MAX_DEFAULT;
    made->free = TIMERS_NONE;
    memset(made->slots, 0xff, sizeof made->slots);
    tagindex_init(&made->ids);
    tagindex_init(&made->owners);
    *timers = made;
    return S4_OK;
}

void timers_destroy(struct timers *timers)
{
    if (!timers)
        return;
    tagindex_fini(&timers->ids);
    tagindex_fini(&timers->owners);
    mem_free(timers->nodes);
    mem_free(timers->heap);
    mem_free(timers);
}

/* ---- the indexes ---- */

static uint32_t tag_of_id(uint32_t prototype, uint32_t instance, uint64_t id)
{
    return (uint32_t)hash_mix((uint64_t)prototype << 32 | instance, id);
}

static uint32_t tag_of_owner(uint32_t prototype, uint32_t instance)
{
    uint64_t owner = (uint64_t)prototype << 32 | instance;
    return (uint32_t)hash_bytes(&owner, sizeof owner);
}

static bool owned_by(const struct timers_node *node, uint32_t prototype, uint32_t instance)
{
    return node->timer.prototype == prototype && node->timer.instance == instance;
}

uint32_t timers_find(const struct timers *timers, uint32_t prototype, uint32_t instance,
                     uint64_t id)
{
    struct tagindex_step step = { 0 };
    uint32_t tag = tag_of_id(prototype, instance, id);
    for (;;) {
        uint32_t number = tagindex_next(&timers->ids, tag, &step);
        if (number == TAGINDEX_NONE || (timers->nodes[number].timer.id == id &&
                                        owned_by(&timers->nodes[number], prototype, instance)))
            return number;
    }
}

uint32_t timers_find_owner(const struct timers *timers, uint32_t prototype, uint32_t instance)
{
    struct tagindex_step step = { 0 };
    uint32_t tag = tag_of_owner(prototype, instance);
    for (;;) {
        uint32_t number = tagindex_next(&timers->owners, tag, &step);
        if (number == TAGINDEX_NONE || owned_by(&timers->nodes[number], prototype, instance))
            return number;
    }
}

static void ring_push(struct timers *timers, uint32_t number)
{
    struct timers_node *node = &timers->nodes[number];
    uint32_t prototype = node->timer.prototype, instance = node->timer.instance;
    uint32_t first = timers_find_owner(timers, prototype, instance);
    node->first = first == TAGINDEX_NONE;
    if (node->first) {
        tagindex_put(&timers->owners, tag_of_owner(prototype, instance), number);
        node->ring_next = node->ring_prev = number;
        return;
    }
    uint32_t last = timers->nodes[first].ring_prev;
    node->ring_next = first;
    node->ring_prev = last;
    timers->nodes[last].ring_next = number;
    timers->nodes[first].ring_prev = number;
}

static void ring_take(struct timers *timers, uint32_t number)
{
    const struct timers_node *node = &timers->nodes[number];
    uint32_t next = node->ring_next;
    timers->nodes[node->ring_prev].ring_next = next;
    timers->nodes[next].ring_prev = node->ring_prev;
    if (!node->first)
        return;
    uint32_t tag = tag_of_owner(node->timer.prototype, node->timer.instance);
    if (next == number) {
        tagindex_take(&timers->owners, tag, number);
        return;
    }
    tagindex_replace(&timers->owners, tag, number, next);
    timers->nodes[next].first = true;
}

/* ---- nodes ---- */

static s4_status reserve(struct timers *timers)
{
    if (timers->count >= timers->max)
        return S4_FULL;
    if (timers->free == TIMERS_NONE) {
        void *nodes = timers->nodes, *heap = timers->heap;
        size_t want = (size_t)timers->n_nodes + 1;
        bool grown = mem_grow(&nodes, &timers->nodes_capacity, want, sizeof *timers->nodes);
        timers->nodes = nodes;
        if (!grown || !mem_grow(&heap, &timers->heap_capacity, want, sizeof *timers->heap))
            return S4_NO_MEMORY;
        timers->heap = heap;
    }
    TRY(tagindex_reserve(&timers->ids));
    return tagindex_reserve(&timers->owners);
}

static void add(struct timers *timers, const struct timer *timer)
{
    uint32_t number = timers->free;
    if (number != TIMERS_NONE)
        timers->free = timers->nodes[number].next;
    else
        number = timers->n_nodes++;
    timers->nodes[number] = (struct timers_node){ .timer = *timer, .order = timers->orders++ };
    tagindex_put(&timers->ids, tag_of_id(timer->prototype, timer->instance, timer->id), number);
    ring_push(timers, number);
    timers_place(timers, number);
    timers->count++;
}

/* The caller settles. */
static void drop(struct timers *timers, uint32_t number)
{
    struct timers_node *node = &timers->nodes[number];
    const struct timer *timer = &node->timer;
    timers_displace(timers, number);
    ring_take(timers, number);
    tagindex_take(&timers->ids, tag_of_id(timer->prototype, timer->instance, timer->id), number);
    node->next = timers->free;
    timers->free = number;
    timers->count--;
}

/* ---- for others ---- */

s4_status timers_set(struct timers *timers, const struct timer *timer)
{
    uint32_t number = timers_find(timers, timer->prototype, timer->instance, timer->id);
    if (number == TAGINDEX_NONE) {
        TRY(reserve(timers));
        add(timers, timer);
    } else {
        timers_displace(timers, number);
        timers->nodes[number].timer.due_us = timer->due_us;
        timers->nodes[number].order = timers->orders++;
        timers_place(timers, number);
    }
    timers_settle(timers);
    return S4_OK;
}

s4_status timers_cancel(struct timers *timers, uint32_t prototype, uint32_t instance, uint64_t id)
{
    uint32_t number = timers_find(timers, prototype, instance, id);
    if (number == TAGINDEX_NONE)
        return S4_NOT_FOUND;
    drop(timers, number);
    timers_settle(timers);
    return S4_OK;
}

void timers_cancel_all(struct timers *timers, uint32_t prototype, uint32_t instance)
{
    uint32_t number = timers_find_owner(timers, prototype, instance);
    while (number != TAGINDEX_NONE) {
        uint32_t next = timers->nodes[number].ring_next;
        drop(timers, number);
        number = next == number ? TAGINDEX_NONE : next;
    }
    timers_settle(timers);
}

bool timers_next(struct timers *timers, uint64_t now_us, struct timer *timer)
{
    if (timers_due_us(timers) > now_us || timers->count == 0)
        return false;
    uint32_t number = timers->heap[0];
    *timer = timers->nodes[number].timer;
    drop(timers, number);
    timers_settle(timers);
    return true;
}

uint64_t timers_due_us(const struct timers *timers)
{
    return timers->count ? timers->nodes[timers->heap[0]].timer.due_us : TIMERS_NEVER;
}

uint32_t timers_count(const struct timers *timers)
{
    return timers->count;
}
