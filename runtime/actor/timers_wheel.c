/* Where a timer waits: one of two places.
 *
 *   wheel   10 levels of 64 slots; a timer whose tick (due millisecond) differs from `tick` first
 * in the l-th group of six bits lies on level l, in the slot of that group. Setting and cancelling
 * are a few stores, whatever the distance. ready   what is due at `tick` or before it: a heap in
 * the order of firing
 *
 * Invariant, restored by timers_settle at the end of every call: while there is a timer, one is
 * ready. When the last ready one goes, `tick` jumps to the first slot that is in use and the slot's
 * timers come down a level or become ready; so no empty tick is ever visited, the end of time
 * included, and the earliest due time is at hand. A timer set before `tick` is simply ready: order
 * is the heap's, and the wheel only keeps later ones cheap.
 */
#include "runtime/actor/timers_internal.h"

/* ---- ready: a heap by due time, then by order of setting ---- */

bool timers_before(const struct timers *timers, uint32_t a, uint32_t b)
{
    const struct timers_node *x = &timers->nodes[a], *y = &timers->nodes[b];
    return x->timer.due_us != y->timer.due_us ? x->timer.due_us < y->timer.due_us
                                              : x->order < y->order;
}

static void heap_write(struct timers *timers, uint32_t at, uint32_t number)
{
    timers->heap[at] = number;
    timers->nodes[number].place = at;
}

static void heap_up(struct timers *timers, uint32_t at, uint32_t number)
{
    while (at > 0 && timers_before(timers, number, timers->heap[(at - 1) / 2])) {
        heap_write(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_write(timers, at, number);
}

static void heap_down(struct timers *timers, uint32_t at, uint32_t number)
{
    for (;;) {
        uint64_t child = (uint64_t)at * 2 + 1;
        if (child >= timers->n_ready)
            break;
        if (child + 1 < timers->n_ready &&
            timers_before(timers, timers->heap[child + 1], timers->heap[child]))
            child++;
        if (!timers_before(timers, timers->heap[child], number))
            break;
        heap_write(timers, at, timers->heap[child]);
        at = (uint32_t)child;
    }
    heap_write(timers, at, number);
}

static void heap_take(struct timers *timers, uint32_t at)
{
    uint32_t last = timers->heap[--timers->n_ready];
    if (at == timers->n_ready)
        return;
    if (at > 0 && timers_before(timers, last, timers->heap[(at - 1) / 2]))
        heap_up(timers, at, last);
    else
        heap_down(timers, at, last);
}

/* ---- the wheel ---- */

static void slot_push(struct timers *timers, uint32_t level, uint32_t slot, uint32_t number)
{
    struct timers_node *node = &timers->nodes[number];
    uint32_t *head = &timers->slots[level][slot];
    node->place = level << TIMERS_GROUP_BITS | slot;
    node->prev = TIMERS_NONE;
    node->next = *head;
    if (*head != TIMERS_NONE)
        timers->nodes[*head].prev = number;
    *head = number;
    timers->used[level] |= 1ull << slot;
}

static void slot_take(struct timers *timers, const struct timers_node *node)
{
    uint32_t level = node->place >> TIMERS_GROUP_BITS, slot = node->place & (TIMERS_SLOTS - 1);
    if (node->prev != TIMERS_NONE)
        timers->nodes[node->prev].next = node->next;
    else
        timers->slots[level][slot] = node->next;
    if (node->next != TIMERS_NONE)
        timers->nodes[node->next].prev = node->prev;
    if (timers->slots[level][slot] == TIMERS_NONE)
        timers->used[level] &= ~(1ull << slot);
}

void timers_place(struct timers *timers, uint32_t number)
{
    struct timers_node *node = &timers->nodes[number];
    uint64_t tick = node->timer.due_us / TIMERS_TICK_US;
    node->ready = tick <= timers->tick;
    if (node->ready) {
        heap_up(timers, timers->n_ready++, number);
        return;
    }
    uint32_t level = timers_level(timers, tick);
    slot_push(timers, level, (uint32_t)(tick >> (level * TIMERS_GROUP_BITS)) & (TIMERS_SLOTS - 1),
              number);
}

void timers_displace(struct timers *timers, uint32_t number)
{
    const struct timers_node *node = &timers->nodes[number];
    if (node->ready)
        heap_take(timers, node->place);
    else
        slot_take(timers, node);
}

/* Jumps to the first slot in use of the lowest level that has one: every other timer is later. */
static void descend(struct timers *timers, uint32_t level)
{
    uint32_t slot = (uint32_t)__builtin_ctzll(timers->used[level]);
    uint64_t below = (uint64_t)1 << (level * TIMERS_GROUP_BITS);
    timers->tick &= ~(below * TIMERS_SLOTS - 1);
    timers->tick |= slot * below;
    uint32_t number = timers->slots[level][slot];
    timers->slots[level][slot] = TIMERS_NONE;
    timers->used[level] &= ~(1ull << slot);
    while (number != TIMERS_NONE) {
        uint32_t next = timers->nodes[number].next;
        timers_place(timers, number);
        number = next;
    }
}

void timers_settle(struct timers *timers)
{
    for (uint32_t level = 0; timers->n_ready == 0 && level < TIMERS_LEVELS;) {
        if (timers->used[level] == 0) {
            level++;
            continue;
        }
        descend(timers, level);
        level = 0;
    }
}
