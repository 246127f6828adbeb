/* A heap of items; see the header. Equal due times are told apart by a running number, so that
 * items of one connection, whose due times never go back, come out in the order in which they went
 * in. */
#include "runtime/net/sim_inbox.h"

#include "runtime/base/mem.h"

struct sim_item *sim_item_create(enum item_kind kind, struct sim_conn *conn, int side, size_t size)
{
    struct sim_item *item = mem_zalloc(sizeof *item + size);
    if (item) {
        item->kind = kind;
        item->conn = conn;
        item->side = side;
        item->size = size;
    }
    return item;
}

void sim_item_destroy(struct sim_item *item)
{
    if (item && item->block)
        block_release(item->block);
    mem_free(item);
}

void sim_item_flip(struct sim_item *item, struct block *block)
{
    if (item->flip == 0)
        return;
    size_t byte = (item->flip - 1) / 8;
    CHECK(byte < item->size || block);
    char *at = byte < item->size ? item->envelope + byte : block->data + (byte - item->size);
    *at = (char)(*at ^ (1 << (item->flip - 1) % 8));
}

void sim_inbox_fini(struct sim_inbox *inbox)
{
    CHECK(inbox->count == 0);
    mem_free(inbox->heap);
    *inbox = (struct sim_inbox){ 0 };
}

static bool goes_before(const struct sim_item *a, const struct sim_item *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

void sim_inbox_push(struct sim_inbox *inbox, struct sim_item *item)
{
    struct sim_item **heap = inbox->heap;
    size_t at = inbox->count++;
    while (at > 0 && goes_before(item, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = item;
}

struct sim_item *sim_inbox_pop(struct sim_inbox *inbox)
{
    struct sim_item **heap = inbox->heap;
    if (inbox->count == 0)
        return NULL;
    struct sim_item *first = heap[0];
    struct sim_item *last = heap[--inbox->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < inbox->count; at = child) {
        if (child + 1 < inbox->count && goes_before(heap[child + 1], heap[child]))
            child++;
        if (!goes_before(heap[child], last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

bool sim_inbox_room(struct sim_inbox *inbox, size_t more)
{
    void *heap = inbox->heap;
    bool ok = mem_grow(&heap, &inbox->capacity, inbox->count + more, sizeof(void *));
    inbox->heap = heap;
    return ok;
}

uint64_t sim_inbox_due_us(const struct sim_inbox *inbox)
{
    return inbox->count > 0 ? inbox->heap[0]->due_us : UINT64_MAX;
}
