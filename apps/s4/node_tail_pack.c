/* What a tail has to say as an answer: rows as JSON and as the message's bytes. On the job thread.
 */
#include "apps/s4/node_tail.h"

#include "runtime/base/mem.h"
#include "runtime/text/json.h"
#include "runtime/text/pb.h"

struct batch {
    S4__Control__TailItem *items;
    S4__Control__TailItem **list;
    S4__Control__Row *rows;
    size_t n, bytes;
    bool ended;
    char why[96];
};

static void batch_fini(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        mem_free(batch->rows[i].json);
        mem_free(batch->rows[i].pb.data);
    }
    mem_free(batch->items);
    mem_free(batch->list);
    mem_free(batch->rows);
}

static s4_status render(struct batch *batch, S4__Control__Row *row, const struct value *value)
{
    struct buffer json, pb;
    buffer_init(&json);
    buffer_init(&pb);
    s4_status status = json_write(value, &json);
    if (status == S4_OK)
        status = pb_write(value, &pb);
    if (status == S4_OK && !buffer_text(&json))
        status = S4_NO_MEMORY;
    if (status != S4_OK) {
        buffer_fini(&json);
        buffer_fini(&pb);
        return status;
    }
    row->json = json.data; /* the row's from here on */
    row->pb.data = (uint8_t *)pb.data;
    row->pb.len = pb.size;
    batch->bytes += json.size + pb.size;
    return S4_OK;
}

static s4_status add_item(struct batch *batch, const struct tail_item *from)
{
    S4__Control__TailItem *item = &batch->items[batch->n];
    S4__Control__Row *row = &batch->rows[batch->n];
    s4__control__tail_item__init(item);
    s4__control__row__init(row);
    row->json = NULL;
    batch->list[batch->n] = item;
    item->kind = (S4__Control__TailItem__Kind)from->kind; /* the same numbers */
    item->has_partition = item->has_number = item->has_time_us = true;
    item->partition = from->partition;
    item->number = from->number;
    item->time_us = from->time_us;
    item->has_missed = from->kind == TAIL_MISSED;
    item->missed = from->missed;
    if (from->kind <= TAIL_REMOVED) {
        TRY(render(batch, row, &from->value));
        item->row = row;
    }
    batch->n++;
    return S4_OK;
}
_Static_assert((int)TAIL_CAUGHT_UP == (int)S4__CONTROL__TAIL_ITEM__KIND__CAUGHT_UP, "of the wire");

/* False: the batch is full. */
static bool is_room(const struct batch *batch)
{
    return batch->n < TAIL_BATCH_ITEMS && batch->bytes < TAIL_BATCH_BYTES;
}

/* As far as there is something, and room. Where a tail is put together of several, it is not told
 * for each that what was there has come. */
static s4_status fill_from(struct batch *batch, struct node_tail *tail, struct tail_part *part)
{
    struct tail_item item;
    while (is_room(batch)) {
        s4_status status = tail_next(part->tail, &item);
        if (status != S4_OK)
            return status == S4_AGAIN ? S4_OK : status;
        if (item.kind == TAIL_ENDED) {
            part->ended = true;
            return S4_OK;
        }
        if (item.kind == TAIL_CAUGHT_UP)
            tail->kept = false;
        if (item.kind != TAIL_CAUGHT_UP || !tail->far)
            TRY(add_item(batch, &item));
    }
    return S4_OK;
}

static s4_status fill(struct batch *batch, struct node_tail *tail)
{
    batch->items = mem_calloc(TAIL_BATCH_ITEMS, sizeof *batch->items);
    batch->list = mem_calloc(TAIL_BATCH_ITEMS, sizeof(S4__Control__TailItem *));
    batch->rows = mem_calloc(TAIL_BATCH_ITEMS, sizeof *batch->rows);
    if (!batch->items || !batch->list || !batch->rows)
        return S4_NO_MEMORY;
    for (struct tail_part *part = tail->parts; part && is_room(batch); part = part->next)
        if (!part->ended)
            TRY(fill_from(batch, tail, part));
    batch->ended = !tail->node->member && tail->parts && tail->parts->ended;
    if (batch->ended)
        snprintf(batch->why, sizeof batch->why, "the app is undeployed");
    return S4_OK;
}

static s4_status pack(struct request *request, struct batch *batch)
{
    S4__Control__Tailed tailed = S4__CONTROL__TAILED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    tailed.items = batch->list;
    tailed.n_items = batch->n;
    tailed.has_ended = true;
    tailed.ended = batch->ended;
    tailed.why = batch->ended ? batch->why : NULL;
    reply.what_case = S4__CONTROL__REPLY__WHAT_TAILED;
    reply.tailed = &tailed;
    reply.id = request->message->id;
    return control_pack(&reply.base, &request->packed, &request->packed_size);
}

/* A row that was taken and cannot be told would be lost in silence: the tail ends. */
void node_tail_pack(struct request *request)
{
    struct batch batch = { 0 };
    struct node_tail *tail = request->tail;
    s4_status status = fill(&batch, tail);
    if (status == S4_OK && (batch.n > 0 || batch.ended))
        status = pack(request, &batch);
    tail->over = batch.ended || status != S4_OK;
    batch_fini(&batch);
    request->status = status;
}

static uint64_t count_rest(struct node_tail *tail)
{
    struct tail_item item;
    uint64_t left = 0;
    for (struct tail_part *part = tail->parts; part; part = part->next)
        while (!part->ended && tail_next(part->tail, &item) == S4_OK && item.kind != TAIL_ENDED)
            left += item.kind == TAIL_MISSED ? item.missed : item.kind != TAIL_CAUGHT_UP;
    return left;
}

void tail_tell_rest(struct node_tail *tail, struct request *asked)
{
    struct batch batch = { 0 };
    s4_status status = fill(&batch, tail);
    uint64_t left = status == S4_OK ? count_rest(tail) : 0;
    batch.ended = true;
    snprintf(batch.why, sizeof batch.why, "the node has stopped");
    if (left)
        snprintf(batch.why, sizeof batch.why, "the node has stopped; %llu changes were missed",
                 (unsigned long long)left);
    if (status != S4_OK || pack(asked, &batch) != S4_OK)
        diag_set(&asked->diag, S4_CANCELLED, "the node has stopped");
    asked->status = asked->packed ? S4_OK : S4_CANCELLED;
    batch_fini(&batch);
}
