/* Timers as bytes: u32 count, then the timers in the order in which they fire. That order is all
 * that anybody can see of them, so equal sets of timers have equal bytes, whatever their history.
 */
#include "runtime/actor/timers_internal.h"

#include "runtime/base/mem.h"
#include "runtime/base/pack.h"

static int compare_firing(const void *a, const void *b, void *timers)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x == y ? 0 : timers_before(timers, x, y) ? -1 : 1;
}

/* The numbers of those that are set are in the slots and in the heap. */
static void list_set(const struct timers *timers, uint32_t *numbers)
{
    uint32_t n = timers->n_ready;
    if (n > 0)
        memcpy(numbers, timers->heap, n * sizeof *numbers);
    for (uint32_t level = 0; level < TIMERS_LEVELS; level++)
        for (uint32_t slot = 0; slot < TIMERS_SLOTS; slot++)
            for (uint32_t at = timers->slots[level][slot]; at != TIMERS_NONE;
                 at = timers->nodes[at].next)
                numbers[n++] = at;
    CHECK(n == timers->count);
}

static s4_status save_all(const struct timers *timers, const uint32_t *numbers, struct buffer *out)
{
    TRY(pack_u32(out, timers->count));
    for (uint32_t i = 0; i < timers->count; i++)
        TRY(buffer_append(out, &timers->nodes[numbers[i]].timer, sizeof(struct timer)));
    return S4_OK;
}

s4_status timers_save(const struct timers *timers, struct buffer *out)
{
    size_t before_size = out->size;
    uint32_t *numbers = mem_calloc(timers->count, sizeof *numbers);
    if (!numbers)
        return S4_NO_MEMORY;
    list_set(timers, numbers);
    union {
        const struct timers *in;
        void *out;
    } user = { .in = timers };
    qsort_r(numbers, timers->count, sizeof *numbers, compare_firing, user.out);
    s4_status status = save_all(timers, numbers, out);
    if (status != S4_OK)
        out->size = before_size;
    mem_free(numbers);
    return status;
}

s4_status timers_load(struct timers *timers, const char **at, const char *end)
{
    CHECK(timers->count == 0);
    uint32_t count = 0;
    uint64_t last_us = 0;
    if (!unpack_u32(at, end, &count) || count > timers->max)
        return S4_CORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        struct timer timer;
        const char *bytes = unpack_bytes(at, end, sizeof timer);
        if (!bytes)
            return S4_CORRUPT;
        memcpy(&timer, bytes, sizeof timer);
        if (timer.due_us < last_us ||
            timers_find(timers, timer.prototype, timer.instance, timer.id) != TAGINDEX_NONE)
            return S4_CORRUPT;
        last_us = timer.due_us;
        TRY(timers_set(timers, &timer));
    }
    return S4_OK;
}

static void validate_node(const struct timers *timers, uint32_t number)
{
    const struct timers_node *node = &timers->nodes[number];
    const struct timer *timer = &node->timer;
    uint64_t tick = timer->due_us / TIMERS_TICK_US;
    CHECK(timers_find(timers, timer->prototype, timer->instance, timer->id) == number);
    CHECK(timers->nodes[node->ring_next].ring_prev == number);
    CHECK(timers->nodes[node->ring_next].timer.prototype == timer->prototype);
    CHECK(timers->nodes[node->ring_next].timer.instance == timer->instance);
    CHECK(node->first == (timers_find_owner(timers, timer->prototype, timer->instance) == number));
    CHECK(node->ready == (tick <= timers->tick));
    if (node->ready) {
        CHECK(timers->heap[node->place] == number);
        CHECK(node->place == 0 ||
              timers_before(timers, timers->heap[(node->place - 1) / 2], number));
        return;
    }
    uint32_t level = timers_level(timers, tick);
    CHECK(node->place >> TIMERS_GROUP_BITS == level);
}

s4_status timers_validate(const struct timers *timers)
{
    uint32_t *numbers = mem_calloc(timers->count, sizeof *numbers);
    if (!numbers)
        return S4_NO_MEMORY;
    list_set(timers, numbers);
    for (uint32_t i = 0; i < timers->count; i++)
        validate_node(timers, numbers[i]);
    CHECK(timers->count == 0 || timers->n_ready > 0);
    CHECK(timers->ids.count == timers->count);
    tagindex_validate(&timers->ids);
    tagindex_validate(&timers->owners);
    mem_free(numbers);
    return S4_OK;
}
