/* Live subscriptions of clients to outputs (`s4 tail`).
 *
 *     Tail      -> the engine adds a tail; it gets a number
 *     TailNext  -> answered at once if there is something, else held until the engine wakes us; the
 *                  job thread that reads renders the rows
 *     TailEnd, an undeployed app, a peer that cannot be reached: the tail goes
 *
 * A client has one TailNext under way for each tail: that is its credit. Without one nothing is
 * sent, and changes wait in the tail's queues, which are bounded. A peer of which nothing is under
 * way is given a sign now and then, since only sending tells whether it is still there.
 */
#include <sys/eventfd.h>

#include "apps/s4/node.h"
#include "pe/output/tail.h"
#include "runtime/base/mem.h"
#include "runtime/text/json.h"
#include "runtime/text/pb.h"

#define TAIL_BATCH_BYTES (256 * KIB) /* of rendered rows in an answer, and at least one row */
#define TAIL_BATCH_ITEMS 1024u
#define TAIL_SIGN_US     1000000

struct node_tail {
    struct node *node;
    struct node_tail *next;
    struct tail *tail; /* owned; NULL while it is being added */
    uint64_t number;
    zmq_msg_t peer;
    struct node_sender sender;
    struct request *asked; /* its TailNext, if one is under way */
    bool reading;          /* the job thread has it */
    bool gone;             /* as soon as nobody reads */
    bool over;             /* the end was told */
    atomic_bool awake;     /* set by the upcall: look again */
    uint64_t signed_us;
    struct bundle *bundle;
};

/* ---- rendering; the job thread ------------------------------------------------------------- */

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

static s4_status fill(struct batch *batch, struct tail *tail)
{
    struct tail_item item;
    batch->items = mem_calloc(TAIL_BATCH_ITEMS, sizeof *batch->items);
    batch->list = mem_calloc(TAIL_BATCH_ITEMS, sizeof(S4__Control__TailItem *));
    batch->rows = mem_calloc(TAIL_BATCH_ITEMS, sizeof *batch->rows);
    if (!batch->items || !batch->list || !batch->rows)
        return S4_NO_MEMORY;
    while (batch->n < TAIL_BATCH_ITEMS && batch->bytes < TAIL_BATCH_BYTES) {
        s4_status status = tail_next(tail, &item);
        if (status != S4_OK)
            return status == S4_AGAIN ? S4_OK : status;
        if (item.kind == TAIL_ENDED) {
            batch->ended = true;
            snprintf(batch->why, sizeof batch->why, "the app is undeployed");
            return S4_OK;
        }
        TRY(add_item(batch, &item));
    }
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
    s4_status status = fill(&batch, tail->tail);
    if (status == S4_OK && (batch.n > 0 || batch.ended))
        status = pack(request, &batch);
    tail->over = batch.ended || status != S4_OK;
    batch_fini(&batch);
    request->status = status;
}

/* ---- the list of tails --------------------------------------------------------------------- */

static bool same_peer(zmq_msg_t *a, zmq_msg_t *b)
{
    return zmq_msg_size(a) == zmq_msg_size(b) &&
           memcmp(zmq_msg_data(a), zmq_msg_data(b), zmq_msg_size(a)) == 0;
}

static struct node_tail *find(struct node *node, struct request *request, uint64_t number)
{
    for (struct node_tail *tail = node->tails; tail; tail = tail->next)
        if (tail->number == number && same_peer(&tail->peer, &request->peer))
            return tail;
    return NULL;
}

static void destroy(struct node_tail *tail)
{
    struct node_tail **at = &tail->node->tails;
    while (*at != tail)
        at = &(*at)->next;
    *at = tail->next;
    tail->node->n_tails--;
    tail_close(tail->tail);
    bundle_release(tail->bundle);
    zmq_msg_close(&tail->peer);
    mem_free(tail);
}

/* An upcall, on an engine's thread. */
static void woken(void *user)
{
    struct node_tail *tail = user;
    struct node *node = tail->node;
    atomic_store(&tail->awake, true);
    eventfd_write(node->wake, 1);
}

static void added(void *user, s4_status status, struct tail *got)
{
    struct request *request = user;
    request->status = status;
    request->tail->tail = got;
    node_done(request);
}

static void serve_tail(struct node *node, struct request *request, const struct bundle *bundle)
{
    const S4__Control__Tail *asked = request->message->tail;
    struct diag diag = { 0 };
    struct node_tail *tail = node->n_tails < NODE_TAILS_MAX ? mem_zalloc(sizeof *tail) : NULL;
    if (!tail) {
        if (node->n_tails == NODE_TAILS_MAX)
            request_fail(request, S4_FULL, "%d subscriptions are there already", NODE_TAILS_MAX);
        else
            request_fail(request, S4_NO_MEMORY, "out of memory");
        return;
    }
    *tail = (struct node_tail){ .node = node,
                                .next = node->tails,
                                .number = ++node->last_tail,
                                .bundle = bundle_hold(bundle),
                                .signed_us = clock_real.mono_us(&clock_real) };
    zmq_msg_init(&tail->peer);
    zmq_msg_copy(&tail->peer, &request->peer);
    tail->sender = request->sender;
    node->tails = tail;
    node->n_tails++;
    request->tail = tail;
    struct engine_tail_options options = {
        .key = asked->key, .prefix = asked->prefix, .kept = asked->kept, .wake = woken, .user = tail
    };
    s4_status status =
        engine_tail(node->engine, asked->app, asked->output, &options, added, request, &diag);
    if (status == S4_OK)
        return;
    destroy(tail);
    request_fail(request, status, "%s", diag.text);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void read_or_wait(struct node_tail *tail)
{
    struct request *request = tail->asked;
    if (!request || tail->reading)
        return;
    if (tail_sleep(tail->tail))
        return; /* `woken` comes */
    tail->reading = true;
    node_jobs_push(&tail->node->reads, request);
}

static void serve_next(struct node *node, struct request *request)
{
    struct node_tail *tail = find(node, request, request->message->tail_next->tail);
    if (!tail || !tail->tail) {
        request_fail(request, S4_NOT_FOUND, "there is no such subscription (any more)");
    } else if (tail->asked) {
        request_fail(request, S4_STATE, "the subscription is asked already");
    } else {
        tail->asked = request;
        request->tail = tail;
        read_or_wait(tail);
    }
}

/* What was asked for is answered, and the tail goes: now, or when the job thread is done with it.
 */
static void leave(struct node_tail *tail, s4_status status, const char *why)
{
    struct request *asked = tail->asked;
    tail->gone = true;
    if (tail->reading || !tail->tail)
        return;
    tail->asked = NULL;
    destroy(tail);
    if (asked)
        request_fail(asked, status, "%s", why);
}

static void serve_end(struct node *node, struct request *request)
{
    struct node_tail *tail = find(node, request, request->message->tail_end->tail);
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    if (tail)
        leave(tail, S4_CANCELLED, "the subscription was ended");
    request_reply(request, &reply);
}

bool node_tail_serve(struct node *node, struct request *request)
{
    const S4__Control__Request *message = request->message;
    const struct node_app *app;
    switch (message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_TAIL:
        app = node_app_of(node, request, message->tail->app);
        if (app)
            serve_tail(node, request, app->bundle);
        return true;
    case S4__CONTROL__REQUEST__WHAT_TAIL_NEXT:
        serve_next(node, request);
        return true;
    case S4__CONTROL__REQUEST__WHAT_TAIL_END:
        serve_end(node, request);
        return true;
    default:
        return false;
    }
}

static void finish_adding(struct request *request)
{
    struct node_tail *tail = request->tail;
    S4__Control__Tailing tailing = S4__CONTROL__TAILING__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    if (!tail->tail || tail->gone) {
        s4_status status = tail->tail ? S4_CANCELLED : request->status;
        destroy(tail);
        request_fail(request, status, "the subscription cannot be made: %s",
                     s4_status_text(status));
        return;
    }
    tailing.tail = tail->number;
    reply.what_case = S4__CONTROL__REPLY__WHAT_TAILING;
    reply.tailing = &tailing;
    request_reply(request, &reply);
}

static void finish_reading(struct request *request)
{
    struct node_tail *tail = request->tail;
    tail->reading = false;
    if (!request->packed && request->status == S4_OK && !tail->gone) {
        read_or_wait(tail); /* there was nothing after all */
        return;
    }
    tail->asked = NULL;
    if (!request->packed && request->status == S4_OK)
        request->status = S4_CANCELLED; /* it was ended meanwhile */
    if (tail->over || tail->gone || request->gone)
        destroy(tail);
    request_send(request);
}

bool node_tail_finish(struct request *request)
{
    if (!request->tail)
        return false;
    if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_TAIL)
        finish_adding(request);
    else
        finish_reading(request);
    return true;
}

/* ---- at every turn of the control thread --------------------------------------------------- */

/* False: the peer is not there any more. */
static bool give_sign(struct node_tail *tail)
{
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    void *bytes;
    size_t size;
    zmq_msg_t to;
    reply.status = S4_AGAIN;
    if (control_pack(&reply.base, &bytes, &size) != S4_OK)
        return true;
    zmq_msg_init(&to);
    zmq_msg_copy(&to, &tail->peer);
    bool there = zmq_msg_send(&to, tail->node->socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0;
    if (there)
        there = control_send(tail->node->socket, &bytes, size, ZMQ_DONTWAIT) == S4_OK;
    else
        zmq_msg_close(&to);
    mem_free(bytes);
    return there;
}

void node_tails_step(struct node *node, uint64_t now_us)
{
    for (struct node_tail *tail = node->tails, *next; tail; tail = next) {
        next = tail->next;
        if (atomic_exchange(&tail->awake, false) && tail->tail)
            read_or_wait(tail);
        if (now_us - tail->signed_us < TAIL_SIGN_US)
            continue;
        tail->signed_us = now_us;
        if (tail->asked ? tail->asked->gone : !give_sign(tail))
            leave(tail, S4_UNAVAILABLE, "its client has gone");
        else if (!node_keys_admit(node, &tail->sender))
            leave(tail, S4_PERMISSION, "your key was removed from the node's");
    }
}

/* Nothing is offered any more: what is left, as far as one answer holds it. */
static void tell_rest(struct node_tail *tail, struct request *asked)
{
    struct batch batch = { 0 };
    struct tail_item item;
    uint64_t left = 0;
    s4_status status = fill(&batch, tail->tail);
    while (status == S4_OK && !batch.ended && tail_next(tail->tail, &item) == S4_OK &&
           item.kind != TAIL_ENDED)
        left += item.kind == TAIL_MISSED ? item.missed : item.kind != TAIL_CAUGHT_UP;
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

void node_tails_end(struct node *node)
{
    while (node->tails) {
        struct node_tail *tail = node->tails;
        struct request *asked = tail->asked;
        if (asked && !asked->packed)
            tell_rest(tail, asked);
        destroy(tail);
        if (asked)
            request_send(asked);
    }
}
