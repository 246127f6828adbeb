/* A tail's life, and its reader; see the header, and tail_inside.h for the queues.
 *
 * The reader takes kept rows from the pins, partition by partition, then goes round the queues. A
 * number above the expected one means that changes before it were left out. A queue that has been
 * read to its end may have left out changes that nothing follows: `next` of each of its partitions,
 * looked at before the queue's head, says so.
 */
#include "pe/output/tail_inside.h"

#include "runtime/base/mem.h"

/* ---- making ---------------------------------------------------------------------------------- */

static s4_status compile(struct tail *tail, const struct tail_options *options, struct diag *diag)
{
    if (options->key_text)
        TRY(key_spec_compile(tail->type, options->key_text, &tail->spec, diag));
    if (!options->key_text && (options->key || options->prefix))
        return diag_set(diag, S4_TYPE, "output \"%s\": it is a log, and its rows have no key",
                        options->output);
    if (options->key) {
        TRY(key_parse(&tail->spec, options->key, &tail->key, diag));
        tail->by_key = true;
    }
    if (!options->prefix)
        return S4_OK;
    if (tail->spec.parts[0].number)
        return diag_set(diag, S4_TYPE,
                        "output \"%s\": its key starts with a number; a prefix is of text",
                        options->output);
    tail->prefix_len = strlen(options->prefix);
    tail->prefix = mem_strdup(options->prefix);
    return tail->prefix ? S4_OK : diag_set(diag, S4_NO_MEMORY, "out of memory");
}

static bool allocate(struct tail *tail, size_t bytes_max)
{
    tail->queues = mem_calloc(tail->workers, sizeof *tail->queues);
    tail->places = mem_calloc(tail->slots, sizeof *tail->places);
    for (uint32_t i = 0; tail->queues && i < tail->workers; i++) {
        tail->queues[i].capacity = bytes_max;
        tail->queues[i].ring = mem_alloc(bytes_max);
        if (!tail->queues[i].ring)
            return false;
    }
    return tail->queues && tail->places;
}

static void unpin(struct tail_place *place)
{
    table_unpin(place->pin.table);
    rowlog_unpin(place->pin.log);
    place->pin.table = NULL;
    place->pin.log = NULL;
}

static void destroy(struct tail *tail)
{
    for (uint32_t i = 0; tail->places && i < tail->slots; i++)
        unpin(&tail->places[i]);
    for (uint32_t i = 0; tail->queues && i < tail->workers; i++)
        mem_free(tail->queues[i].ring);
    mem_free(tail->queues);
    mem_free(tail->places);
    buffer_fini(&tail->key);
    buffer_fini(&tail->row);
    mem_free(tail->prefix);
    mem_free(tail);
}

s4_status tail_create(const struct tail_options *options, struct tail **tail, struct diag *diag)
{
    size_t bytes_max = options->bytes_max ? options->bytes_max : TAIL_BYTES_DEFAULT;
    CHECK(bytes_max % 8 == 0 && bytes_max <= TAIL_BYTES_MAX);
    struct tail *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    fresh->type = options->type;
    fresh->slots = options->slots;
    fresh->workers = options->workers;
    fresh->kept = options->kept;
    fresh->wake = options->wake;
    fresh->user = options->user;
    fresh->holds = 1;
    s4_status status = compile(fresh, options, diag);
    if (status == S4_OK && !allocate(fresh, bytes_max))
        status = diag_set(diag, S4_NO_MEMORY, "out of memory");
    if (status != S4_OK) {
        destroy(fresh);
        return status;
    }
    fresh->release = options->release;
    fresh->owned = options->owned;
    *tail = fresh;
    return S4_OK;
}

void tail_release(struct tail *tail)
{
    if (atomic_fetch_sub_explicit(&tail->holds, 1, memory_order_acq_rel) != 1)
        return;
    void (*release)(void *) = tail->release;
    void *owned = tail->owned;
    destroy(tail);
    if (release)
        release(owned);
}

void tail_close(struct tail *tail)
{
    if (!tail)
        return;
    for (uint32_t i = 0; i < tail->slots; i++)
        unpin(&tail->places[i]);
    atomic_store_explicit(&tail->closed, true, memory_order_relaxed);
    atomic_store(&tail->sleeping, false);
    tail_release(tail);
}

bool tail_matches(const struct tail *tail, const char *key, size_t key_len)
{
    if (tail->by_key)
        return key_len == tail->key.size &&
               (key_len == 0 || memcmp(key, tail->key.data, key_len) == 0);
    const char *text;
    size_t len;
    return !tail->prefix ||
           (key_text(&tail->spec, key, key_len, 0, &text, &len) && len >= tail->prefix_len &&
            memcmp(text, tail->prefix, tail->prefix_len) == 0);
}

/* ---- sleeping -------------------------------------------------------------------------------- */

void tail_wake(struct tail *tail)
{
    atomic_thread_fence(memory_order_seq_cst); /* pairs with tail_sleep's: one sees the other */
    if (atomic_load_explicit(&tail->sleeping, memory_order_relaxed) &&
        atomic_exchange(&tail->sleeping, false) && tail->wake)
        tail->wake(tail->user);
}

static bool has_something(const struct tail *tail)
{
    if (tail->kept || atomic_load_explicit(&tail->offering, memory_order_acquire) == 0)
        return true;
    for (uint32_t i = 0; i < tail->workers; i++) {
        const struct tail_queue *queue = &tail->queues[i];
        if (atomic_load_explicit(&queue->head, memory_order_acquire) !=
                atomic_load_explicit(&queue->read, memory_order_relaxed) ||
            atomic_load_explicit(&queue->missed, memory_order_acquire) != queue->told)
            return true;
    }
    return false;
}

bool tail_sleep(struct tail *tail)
{
    atomic_store_explicit(&tail->sleeping, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    /* Who is woken though it saw something finds out at its next look. */
    return !has_something(tail) || !atomic_exchange(&tail->sleeping, false);
}

/* ---- rows that were there -------------------------------------------------------------------- */

static bool next_of_pin(struct tail *tail, struct tail_place *place, struct tail_item *item)
{
    struct table_row row;
    struct rowlog_row entry;
    *item = (struct tail_item){ .kind = TAIL_KEPT,
                                .partition = tail->at_pin,
                                .time_us = place->pin.time_us };
    while (place->pin.table && table_next(&tail->table, &row)) {
        item->value = row.value;
        if (tail_matches(tail, row.key, row.key_len))
            return true;
    }
    if (!place->pin.log || !rowlog_next(&tail->log, &entry))
        return false;
    item->number = entry.seq;
    item->time_us = entry.time_us;
    item->value = entry.value;
    return true;
}

/* False: all have come. */
static bool next_kept(struct tail *tail, struct tail_item *item)
{
    for (; tail->at_pin < tail->slots; tail->at_pin++) {
        struct tail_place *place = &tail->places[tail->at_pin];
        if (!tail->reading && place->pin.table)
            tail->table = table_scan(place->pin.table);
        if (!tail->reading && place->pin.log)
            tail->log = rowlog_scan(place->pin.log);
        tail->reading = true;
        if (next_of_pin(tail, place, item)) {
            item->value.type = tail->type; /* the table's own may go with its app */
            return true;
        }
        unpin(place);
        tail->reading = false;
    }
    return false;
}

/* ---- changes --------------------------------------------------------------------------------- */

static void copy_out(const struct tail_queue *queue, uint64_t from, void *to, size_t size)
{
    size_t at = from % queue->capacity;
    size_t first = size_min(size, queue->capacity - at);
    memcpy(to, queue->ring + at, first);
    if (first < size)
        memcpy((char *)to + first, queue->ring, size - first);
}

static bool tell_missed(struct tail_queue *queue, struct tail_place *place, uint32_t slot,
                        uint64_t until, struct tail_item *item)
{
    if (until == place->expected)
        return false;
    *item = (struct tail_item){ .kind = TAIL_MISSED,
                                .partition = slot,
                                .number = until - 1,
                                .missed = until - place->expected };
    queue->told += item->missed;
    place->expected = until;
    return true;
}

static s4_status take(struct tail *tail, struct tail_queue *queue, struct tail_item *item)
{
    struct item_head head;
    uint64_t from = atomic_load_explicit(&queue->read, memory_order_relaxed);
    copy_out(queue, from, &head, sizeof head);
    struct tail_place *place = &tail->places[head.slot];
    if (tell_missed(queue, place, head.slot, head.number, item))
        return S4_OK;
    buffer_clear(&tail->row);
    char *room = buffer_room(&tail->row, OUTPUT_ROW_BASE + head.size);
    if (!room)
        return S4_NO_MEMORY;
    copy_out(queue, from + sizeof head, room + OUTPUT_ROW_BASE, head.size);
    atomic_store_explicit(&queue->read, from + sizeof head + head.size, memory_order_release);
    place->expected = head.number + 1;
    *item = (struct tail_item){
        .kind = (enum tail_kind)head.kind,
        .partition = head.slot,
        .number = head.number,
        .time_us = head.time_us,
        .value = { .type = tail->type,
                   .record = room,
                   .at = room + OUTPUT_ROW_BASE,
                   .size = head.size },
    };
    return S4_OK;
}

static bool is_read(const struct tail_queue *queue)
{
    return atomic_load_explicit(&queue->head, memory_order_acquire) ==
           atomic_load_explicit(&queue->read, memory_order_relaxed);
}

/* Of a queue that was read to its end: changes that were left out, and that nothing follows. */
static bool find_missed(struct tail *tail, uint32_t worker, struct tail_item *item)
{
    struct tail_queue *queue = &tail->queues[worker];
    if (atomic_load_explicit(&queue->missed, memory_order_acquire) == queue->told)
        return false;
    for (uint32_t slot = 0; slot < tail->slots; slot++) {
        struct tail_place *place = &tail->places[slot];
        if (!place->used || place->worker != worker)
            continue;
        uint64_t next = atomic_load_explicit(&place->next, memory_order_acquire);
        if (!is_read(queue))
            return false; /* those first: they may be below it */
        if (tell_missed(queue, place, slot, next, item))
            return true;
    }
    return false;
}

static s4_status next_change(struct tail *tail, struct tail_item *item)
{
    for (uint32_t i = 0; i < tail->workers; i++) {
        uint32_t at = (tail->at_queue + i) % tail->workers;
        struct tail_queue *queue = &tail->queues[at];
        if (is_read(queue) && find_missed(tail, at, item))
            return S4_OK;
        if (is_read(queue))
            continue;
        tail->at_queue = at + 1;
        return take(tail, queue, item);
    }
    return S4_AGAIN;
}

s4_status tail_next(struct tail *tail, struct tail_item *item)
{
    if (tail->kept) {
        if (next_kept(tail, item))
            return S4_OK;
        tail->kept = false;
        *item = (struct tail_item){ .kind = TAIL_CAUGHT_UP };
        return S4_OK;
    }
    bool last = atomic_load_explicit(&tail->offering, memory_order_acquire) == 0;
    s4_status status = next_change(tail, item);
    if (status != S4_AGAIN || !last)
        return status;
    *item = (struct tail_item){ .kind = TAIL_ENDED };
    return S4_OK;
}
