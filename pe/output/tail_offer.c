/* The side of a tail that offers: one partition's tails of one output, on the partition's worker;
 * see tail_inside.h for the queue. */
#include "pe/output/tail_inside.h"

#include "runtime/base/mem.h"

struct tails {
    uint32_t n;
    uint32_t slot;
    uint32_t worker;
    struct tail *list[OUTPUT_TAILS_MAX];
};

s4_status tails_add(struct tails **tails, struct tail *tail, uint32_t slot, uint32_t worker,
                    uint64_t next, const struct query_pin *pin)
{
    CHECK(slot < tail->slots && worker < tail->workers && !tail->places[slot].used);
    tails_sweep(tails);
    if (!*tails) {
        *tails = mem_zalloc(sizeof **tails);
        if (!*tails)
            return S4_NO_MEMORY;
        (*tails)->slot = slot;
        (*tails)->worker = worker;
    }
    if ((*tails)->n == OUTPUT_TAILS_MAX)
        return S4_FULL;
    struct tail_place *place = &tail->places[slot];
    *place = (struct tail_place){
        .number = next, .next = next, .expected = next, .worker = worker, .used = true
    };
    if (pin)
        place->pin = *pin;
    atomic_fetch_add(&tail->holds, 1);
    atomic_fetch_add(&tail->offering, 1);
    (*tails)->list[(*tails)->n++] = tail;
    return S4_OK;
}

bool tails_has(const struct tails *tails, const void *user)
{
    for (uint32_t i = 0; tails && i < tails->n; i++)
        if (tails->list[i]->user == user &&
            !atomic_load_explicit(&tails->list[i]->closed, memory_order_relaxed))
            return true;
    return false;
}

/* ---- changes --------------------------------------------------------------------------------- */

static void write_bytes(struct tail_queue *queue, const void *bytes, size_t size)
{
    size_t at = queue->write % queue->capacity;
    size_t first = size_min(size, queue->capacity - at);
    memcpy(queue->ring + at, bytes, first);
    if (first < size)
        memcpy(queue->ring, (const char *)bytes + first, size - first);
    queue->write += size;
}

static void offer(struct tail *tail, uint32_t slot, struct item_head *head, const char *row)
{
    struct tail_place *place = &tail->places[slot];
    struct tail_queue *queue = &tail->queues[place->worker];
    uint64_t read = atomic_load_explicit(&queue->read, memory_order_acquire);
    head->number = place->number++;
    if (queue->write - read + sizeof *head + head->size > queue->capacity) {
        queue->left_out++;
        return;
    }
    write_bytes(queue, head, sizeof *head);
    if (head->size)
        write_bytes(queue, row, head->size);
}

void tails_offer(struct tails *tails, enum tail_kind kind, uint64_t time_us, const char *key,
                 size_t key_len, const struct value *row)
{
    CHECK(row->at - row->record == OUTPUT_ROW_BASE && row->size % 8 == 0);
    struct item_head head = {
        .size = row->size, .slot = (uint16_t)tails->slot, .kind = (uint16_t)kind, .time_us = time_us
    };
    for (uint32_t i = 0; i < tails->n; i++) {
        struct tail *tail = tails->list[i];
        if (!atomic_load_explicit(&tail->closed, memory_order_relaxed) &&
            (!key || tail_matches(tail, key, key_len)))
            offer(tail, tails->slot, &head, row->at);
    }
}

/* ---- the end of a call ----------------------------------------------------------------------- */

void tails_commit(struct tails *tails)
{
    for (uint32_t i = 0; i < tails->n; i++) {
        struct tail *tail = tails->list[i];
        struct tail_place *place = &tail->places[tails->slot];
        struct tail_queue *queue = &tail->queues[place->worker];
        if (place->number == atomic_load_explicit(&place->next, memory_order_relaxed))
            continue;
        atomic_store_explicit(&queue->head, queue->write, memory_order_release);
        atomic_store_explicit(&place->next, place->number, memory_order_release);
        if (queue->left_out) {
            uint64_t missed = atomic_load_explicit(&queue->missed, memory_order_relaxed);
            atomic_store_explicit(&queue->missed, missed + queue->left_out, memory_order_release);
            queue->left_out = 0;
        }
        tail_wake(tail);
    }
}

void tails_rollback(struct tails *tails)
{
    for (uint32_t i = 0; i < tails->n; i++) {
        struct tail_place *place = &tails->list[i]->places[tails->slot];
        struct tail_queue *queue = &tails->list[i]->queues[place->worker];
        place->number = atomic_load_explicit(&place->next, memory_order_relaxed);
        queue->write = atomic_load_explicit(&queue->head, memory_order_relaxed);
        queue->left_out = 0;
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void leave(struct tail *tail)
{
    atomic_fetch_sub_explicit(&tail->offering, 1, memory_order_release);
    tail_wake(tail);
    tail_release(tail);
}

void tails_sweep(struct tails **tails)
{
    struct tails *all = *tails;
    uint32_t kept = 0;
    if (!all)
        return;
    for (uint32_t i = 0; i < all->n; i++) {
        if (atomic_load_explicit(&all->list[i]->closed, memory_order_relaxed))
            leave(all->list[i]);
        else
            all->list[kept++] = all->list[i];
    }
    all->n = kept;
    if (kept == 0) {
        mem_free(all);
        *tails = NULL;
    }
}

void tails_end(struct tails **tails)
{
    for (uint32_t i = 0; *tails && i < (*tails)->n; i++)
        leave((*tails)->list[i]);
    mem_free(*tails);
    *tails = NULL;
}
