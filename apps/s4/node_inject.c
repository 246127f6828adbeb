/* Batches of clients: decoded into an injection, handed to the engine, answered when it says so.
 *
 * Above the soft memory mark the engine answers AGAIN: the batch is held back, its client is told
 * that it waits, and its window holds back the rest. Batches of one producer keep their order: none
 * overtakes one that is held back, or its number would be taken for a repeat.
 */
#include "apps/s4/node.h"
#include "apps/s4/node_cluster.h"
#include "apps/s4/node_relay.h"
#include "router/map/slots.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

static bool add_reject(struct request *request, uint64_t line, const char *message)
{
    request->rejected++;
    if (request->n_rejects == CONTROL_REJECTS_MAX)
        return true;
    void *array = request->rejects;
    bool grown = mem_grow(&array, &request->rejects_capacity, request->n_rejects + 1,
                          sizeof *request->rejects);
    request->rejects = array;
    char *text = grown ? mem_strdup(message) : NULL;
    if (!text)
        return false;
    S4__Control__Reject *reject = &request->rejects[request->n_rejects++];
    s4__control__reject__init(reject);
    reject->line = line;
    reject->message = text;
    return true;
}

/* Reads one slice into the injection, or rejects it. */
static s4_status add_slice(struct request *request, struct decoder *decoder, struct slice slice,
                           uint64_t line)
{
    struct value event;
    struct diag diag = { 0 };
    s4_status status = decoder_read(decoder, slice, &event, &diag);
    if (status == S4_END)
        return S4_OK;
    if (status == S4_OK)
        status = injection_check_keys(request->injection, &event, &diag);
    if (status == S4_OK)
        status = injection_add(request->injection, &event, &diag);
    if (status == S4_OK) {
        request->accepted++;
        return S4_OK;
    }
    if (status == S4_NO_MEMORY || (status == S4_FULL && request->accepted))
        return status;
    if (!diag.text[0])
        diag_set(&diag, status, "%s", s4_status_text(status));
    return add_reject(request, line, diag.text) ? S4_OK : S4_NO_MEMORY;
}

static s4_status decode(struct request *request, struct decoder *decoder)
{
    const ProtobufCBinaryData *events = &request->message->inject->events;
    const char *at = events->len ? (const char *)events->data : ""; /* no bytes come as NULL */
    const char *end = at + events->len;
    for (uint64_t line = 1; at < end; line++) {
        struct slice slice;
        struct diag diag = { 0 };
        s4_status status = slice_next(decoder->format, &at, end, true, &slice, &diag);
        if (status == S4_OK) {
            TRY(add_slice(request, decoder, slice, line));
            continue;
        }
        if (!add_reject(request, line, diag.text))
            return S4_NO_MEMORY;
        const char *newline = status == S4_TOO_LARGE ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (!newline)
            break;
        at = newline + 1;
    }
    return S4_OK;
}

static void reply_injected(struct request *request, bool duplicate)
{
    S4__Control__Injected injected = S4__CONTROL__INJECTED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    request->reject_list = mem_calloc(request->n_rejects + 1, sizeof *request->reject_list);
    for (size_t i = 0; request->reject_list && i < request->n_rejects; i++)
        request->reject_list[i] = &request->rejects[i];
    injected.accepted = request->accepted;
    injected.rejected = request->rejected;
    injected.rejects = request->reject_list;
    injected.n_rejects = request->reject_list ? request->n_rejects : 0;
    injected.has_duplicate = true;
    injected.duplicate = duplicate;
    reply.what_case = S4__CONTROL__REPLY__WHAT_INJECTED;
    reply.injected = &injected;
    request_reply(request, &reply);
}

/* An upcall of the engine. */
static void injected(void *user, s4_status status)
{
    struct request *request = user;
    request->status = status;
    node_done(request);
}

static void hold_back(struct node *node, struct request *request)
{
    if (node->waiting_bytes + request->bytes > NODE_WAITING_BYTES) {
        request_fail(request, S4_FULL,
                     "%zu bytes of batches wait for memory already; inject more slowly",
                     node->waiting_bytes);
        return;
    }
    request->held_back = true;
    node->n_held_back++;
    node->waiting_bytes += request->bytes;
}

/* One of the same producer that came before it still waits. */
static bool overtakes(const struct request *request)
{
    uint64_t producer = request->message->inject->producer;
    for (const struct request *other = request->prev; other && producer; other = other->prev)
        if ((other->held_back || other->n_calls) &&
            other->message->what_case == S4__CONTROL__REQUEST__WHAT_INJECT &&
            other->message->inject->producer == producer)
            return true;
    return false;
}

static bool read_batch(struct node *node, struct request *request);

/* The batch is a run of the partition in the slot of its producer: who owns that takes it. False:
 * this node. */
static bool relayed(struct node *node, struct request *request)
{
    uint64_t producer = request->message->inject->producer;
    if (!cluster_node_asks(node, request))
        return false;
    uint32_t owner = cluster_node_owner(
        node, slot_of_hash(hash_bytes(&producer, sizeof producer), node->map->n_slots));
    if (owner == node->self)
        return false;
    if (owner == MAP_NOBODY)
        hold_back(node, request);
    else
        relay_send(node, request, owner, request->message);
    return true;
}

/* Its slot is elsewhere by now, or on its way: it is tried again until it is somewhere. */
static bool is_passing(const struct node *node, const struct request *request, s4_status status)
{
    const struct map_app *app = map_find_app(node->map, request->message->inject->app);
    return status == S4_UNAVAILABLE || (status == S4_NOT_FOUND && app && app->phase == MAP_RUN);
}

/* The slot left while the batch waited there: nothing of it was taken. */
static void begin_again(struct node *node, struct request *request)
{
    for (size_t i = 0; i < request->n_rejects; i++)
        mem_free(request->rejects[i].message);
    request->n_rejects = 0;
    request->accepted = request->rejected = 0;
    request->status = S4_OK;
    hold_back(node, request);
}

void node_inject_finish(struct node *node, struct request *request)
{
    if (cluster_node_asks(node, request) && is_passing(node, request, request->status))
        begin_again(node, request);
    else if (request->status == S4_OK || request->status == S4_DUPLICATE)
        reply_injected(request, request->status == S4_DUPLICATE);
    else
        request_fail(request, request->status, "%s.%s: %s", request->message->inject->app,
                     request->message->inject->stream, s4_status_text(request->status));
}

void node_inject_relayed(struct node *node, struct request *request,
                         const S4__Control__Reply *reply, bool sent)
{
    s4_status status = reply ? (s4_status)reply->status : S4_UNAVAILABLE;
    if (!reply && sent) {
        request_fail(request, S4_IN_DOUBT,
                     "the node that had the batch is gone; its events were applied, in part or "
                     "all, or not");
        return;
    }
    if (is_passing(node, request, status)) {
        request->retry_us = clock_real.mono_us(&clock_real) + NODE_RETRY_MS * 1000;
        hold_back(node, request);
        return;
    }
    if (!reply->injected) {
        request_fail(request, status, "%s",
                     reply->message ? reply->message : s4_status_text(status));
        return;
    }
    S4__Control__Reply answer = *reply;
    request_reply(request, &answer);
}

static void hand_over(struct node *node, struct request *request)
{
    if (relayed(node, request))
        return;
    if (!request->injection) {
        if (!read_batch(node, request))
            return;
        if (!request->accepted) {
            reply_injected(request, false);
            return;
        }
    }
    enum injection_ack ack = request->message->inject->ack == S4__CONTROL__INJECT__ACK__APPLIED
                                 ? INJECTION_APPLIED
                                 : INJECTION_TAKEN;
    s4_status status = engine_inject(node->engine, &request->injection, ack, injected, request);
    if (status == S4_OK)
        return; /* the request may be done already */
    if (status == S4_AGAIN ||
        (cluster_node_asks(node, request) && is_passing(node, request, status))) {
        hold_back(node, request);
    } else {
        request->status = status;
        node_inject_finish(node, request);
    }
}

void node_inject_again(struct node *node, struct request *request)
{
    if (overtakes(request))
        return;
    request->held_back = false;
    node->n_held_back--;
    node->waiting_bytes -= request->bytes;
    hand_over(node, request);
}

/* Decodes the batch. false: the request was answered. */
static bool read_batch(struct node *node, struct request *request)
{
    const S4__Control__Inject *inject = request->message->inject;
    struct diag diag = { 0 };
    s4_status status =
        engine_inject_begin(node->engine, inject->app, inject->stream, inject->producer,
                            inject->number, &request->injection, &diag);
    if (status != S4_OK) {
        request_fail(request, status, "%s", diag.text);
        return false;
    }
    struct decoder decoder;
    status = decoder_init(&decoder, (enum input_format)inject->format,
                          injection_type(request->injection), &diag);
    if (status != S4_OK) {
        request_fail(request, status, "%s", diag.text);
        return false;
    }
    status = decode(request, &decoder);
    decoder_fini(&decoder);
    if (status == S4_FULL)
        request_fail(request, S4_TOO_LARGE,
                     "the batch's events take more room than one batch may; inject fewer at once");
    else if (status != S4_OK)
        request_fail(request, status, "the batch cannot be read: %s", s4_status_text(status));
    return status == S4_OK;
}

void node_inject(struct node *node, struct request *request)
{
    const S4__Control__Inject *inject = request->message->inject;
    request->bytes = inject->events.len;
    if (node->stop != NODE_RUNS) {
        request_fail(request, S4_STATE, "the node is stopping");
        return;
    }
    if (inject->format < S4__CONTROL__FORMAT__JSON || inject->format > S4__CONTROL__FORMAT__PB) {
        request_fail(request, S4_INVALID, "unknown format");
        return;
    }
    if (overtakes(request))
        hold_back(node, request);
    else
        hand_over(node, request);
}
