/* Which instance was unused longest, without an order that every event would have to keep.
 *
 * An event only writes last_ms. A scan collects the oldest sixteenth into `candidates`, as words of
 * last_ms and number, oldest last. Times never go back, so what was not collected, is used, or is
 * made after the scan is never older than a candidate; a candidate whose entry still says the same
 * last_ms is therefore the oldest once those behind it are gone. Instances that wait are collected
 * too and stepped over, because they may stop waiting without being used. When nothing is left, the
 * next scan pays for as many answers as it collects.
 *
 * Invariant: candidates are strictly descending.
 */
#include "pe/host/instances.h"

#include "runtime/base/mem.h"

#define CANDIDATES_MIN   64u /* smaller tables are collected whole */
#define CANDIDATES_SHARE 16u

#define HELD (INSTANCE_WAITING | INSTANCE_QUEUED)

static uint64_t word_of(const struct instances *table, uint32_t number)
{
    return (uint64_t)instances_at(table, number)->last_ms << 32 | number;
}

void instances_rebase(struct instances *table, uint64_t now_ms)
{
    uint64_t base_ms = now_ms > INSTANCES_TTL_MAX_MS ? now_ms - INSTANCES_TTL_MAX_MS : 0;
    if (base_ms <= table->base_ms)
        return;
    uint64_t by = base_ms - table->base_ms;
    for (uint32_t at = instances_next(table, 0); at != INSTANCE_NONE;
         at = instances_next(table, at + 1)) {
        struct instance *instance = instances_at(table, at);
        instance->last_ms = instance->last_ms > by ? instance->last_ms - (uint32_t)by : 0;
    }
    table->base_ms = base_ms;
    table->n_candidates = 0;
}

/* ---- collecting: a heap with the youngest on top keeps the k oldest ---- */

static void sift_down(uint64_t *heap, uint32_t n, uint32_t at)
{
    uint64_t word = heap[at];
    for (;;) {
        uint64_t child = (uint64_t)at * 2 + 1;
        if (child >= n)
            break;
        if (child + 1 < n && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= word)
            break;
        heap[at] = heap[child];
        at = (uint32_t)child;
    }
    heap[at] = word;
}

static void sort_descending(uint64_t *heap, uint32_t n)
{
    for (uint32_t left = n; left > 1; left--) {
        uint64_t top = heap[0];
        heap[0] = heap[left - 1];
        heap[left - 1] = top;
        sift_down(heap, left - 1, 0);
    }
    for (uint32_t i = 0; i < n / 2; i++) {
        uint64_t word = heap[i];
        heap[i] = heap[n - 1 - i];
        heap[n - 1 - i] = word;
    }
}

static uint32_t collect_into(const struct instances *table, uint64_t *heap, uint32_t k)
{
    uint32_t n = 0;
    uint32_t at = instances_next(table, 0);
    for (; at != INSTANCE_NONE && n < k; at = instances_next(table, at + 1))
        heap[n++] = word_of(table, at);
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(heap, n, i);
    for (; at != INSTANCE_NONE; at = instances_next(table, at + 1)) {
        uint64_t word = word_of(table, at);
        if (word < heap[0]) {
            heap[0] = word;
            sift_down(heap, n, 0);
        }
    }
    sort_descending(heap, n);
    return n;
}

/* Those that wait stay at the end of what was collected before: room for as many others. Without
 * memory there are no candidates, and each answer is a scan. */
static void collect(struct instances *table)
{
    uint32_t k = (uint32_t)size_max(CANDIDATES_MIN, table->count / CANDIDATES_SHARE);
    k = (uint32_t)size_min(table->count, k + (size_t)table->n_candidates * 2);
    table->n_candidates = 0;
    void *candidates = table->candidates;
    if (!mem_grow(&candidates, &table->candidates_capacity, k, sizeof(uint64_t)))
        return;
    table->candidates = candidates;
    table->n_candidates = collect_into(table, table->candidates, k);
}

/* ---- answers ---- */

static bool is_stale(const struct instances *table, uint64_t word)
{
    const struct instance *instance = instances_at(table, (uint32_t)word);
    return !(instance->flags & INSTANCE_LIVE) || instance->last_ms != (uint32_t)(word >> 32);
}

static bool is_held(const struct instances *table, uint64_t word)
{
    return instances_at(table, (uint32_t)word)->flags & HELD;
}

/* The oldest candidate that is one and does not wait. Drops the stale ones that it passes. */
static uint32_t oldest_candidate(struct instances *table)
{
    uint64_t *words = table->candidates;
    uint32_t n = table->n_candidates;
    uint32_t kept = n; /* those from here on wait */
    uint32_t found = INSTANCE_NONE;
    for (; n > 0; n--) {
        uint64_t word = words[n - 1];
        if (is_stale(table, word))
            continue;
        if (!is_held(table, word)) {
            found = (uint32_t)word;
            break;
        }
        words[--kept] = word;
    }
    if (kept > n && kept < table->n_candidates)
        memmove(words + n, words + kept, (table->n_candidates - kept) * sizeof *words);
    table->n_candidates = n + (table->n_candidates - kept);
    return found;
}

static uint32_t oldest_by_scan(const struct instances *table)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t at = instances_next(table, 0); at != INSTANCE_NONE;
         at = instances_next(table, at + 1)) {
        uint64_t word = word_of(table, at);
        if (word < oldest && !is_held(table, word))
            oldest = word;
    }
    return (uint32_t)oldest; /* of UINT64_MAX: INSTANCE_NONE */
}

uint32_t instances_oldest(struct instances *table)
{
    uint32_t number = oldest_candidate(table);
    if (number != INSTANCE_NONE)
        return number;
    collect(table);
    number = oldest_candidate(table);
    return number != INSTANCE_NONE || table->n_candidates == table->count ? number
                                                                          : oldest_by_scan(table);
}

static uint64_t due_ms(const struct instances *table, uint32_t last_ms, uint64_t ttl_ms)
{
    uint64_t last = table->base_ms + last_ms;
    return last > UINT64_MAX - ttl_ms ? UINT64_MAX : last + ttl_ms;
}

uint64_t instances_next_due_ms(struct instances *table, uint64_t ttl_ms)
{
    for (uint32_t n = table->n_candidates; n > 0; n--) {
        uint64_t word = table->candidates[n - 1];
        if (is_stale(table, word) || !is_held(table, word))
            return due_ms(table, (uint32_t)(word >> 32), ttl_ms);
    }
    uint32_t number = instances_oldest(table);
    return number == INSTANCE_NONE ? UINT64_MAX
                                   : due_ms(table, instances_at(table, number)->last_ms, ttl_ms);
}

uint32_t instances_expired(struct instances *table, uint64_t now_ms, uint64_t ttl_ms)
{
    if (instances_next_due_ms(table, ttl_ms) > now_ms)
        return INSTANCE_NONE;
    uint32_t number = instances_oldest(table);
    if (number == INSTANCE_NONE ||
        due_ms(table, instances_at(table, number)->last_ms, ttl_ms) > now_ms)
        return INSTANCE_NONE;
    return number;
}
