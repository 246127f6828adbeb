/* Requests end here: a reply is packed and sent, and the request is gone. A peer that cannot be
 * reached any more gets nothing. */
#include <stdarg.h>

#include "apps/s4/node.h"
#include "apps/s4/node_fan.h"
#include "apps/s4/node_relay.h"
#include "runtime/base/mem.h"

static void send_bytes(struct request *request, void **bytes, size_t size)
{
    zmq_msg_t to;
    zmq_msg_init(&to);
    zmq_msg_copy(&to, &request->peer);
    if (zmq_msg_send(&to, request->node->socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&to);
        request->gone = true;
    } else if (control_send(request->node->socket, bytes, size, ZMQ_DONTWAIT) != S4_OK) {
        request->gone = true;
    }
    mem_free(*bytes);
    *bytes = NULL;
}

static s4_status send_reply(struct request *request, S4__Control__Reply *reply)
{
    void *bytes;
    size_t size;
    reply->id = request->message->id;
    TRY(control_pack(&reply->base, &bytes, &size));
    send_bytes(request, &bytes, size);
    return S4_OK;
}

static void free_rejects(struct request *request)
{
    for (size_t i = 0; i < request->n_rejects; i++)
        mem_free(request->rejects[i].message);
    mem_free(request->rejects);
    mem_free(request->reject_list);
}

void request_destroy(struct request *request)
{
    struct node *node = request->node;
    if (request->prev)
        request->prev->next = request->next;
    else
        node->requests = request->next;
    if (request->next)
        request->next->prev = request->prev;
    else
        node->requests_last = request->prev;
    node->n_requests--;
    node->n_held_back -= request->held_back;
    node->waiting_bytes -= request->held_back ? request->bytes : 0;
    if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_QUERY)
        query_pins_destroy(request->got.pins);
    if (request->n_calls)
        relay_forget(request);
    fan_destroy(request);
    injection_destroy(request->injection);
    free_rejects(request);
    plugin_release(request->plugin);
    bundle_release(request->bundle);
    mem_free(request->packed);
    control_request_destroy(request->message);
    zmq_msg_close(&request->peer);
    mem_free(request);
}

/* A failure that is told as well as memory allows. */
static void tell_failure(struct request *request, s4_status status, char *message)
{
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    reply.status = status;
    reply.message = message;
    if (send_reply(request, &reply) != S4_OK)
        request->gone = true; /* its client hears silence */
}

void request_fail(struct request *request, s4_status status, const char *format, ...)
{
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tell_failure(request, status, text);
    request_destroy(request);
}

void request_reply(struct request *request, S4__Control__Reply *reply)
{
    s4_status status = send_reply(request, reply);
    char text[] = "the node cannot pack its answer";
    if (status != S4_OK)
        tell_failure(request, status, text);
    request_destroy(request);
}

void request_send(struct request *request)
{
    if (request->packed) {
        send_bytes(request, &request->packed, request->packed_size);
    } else {
        if (!request->diag.text[0])
            diag_set(&request->diag, request->status, "%s", s4_status_text(request->status));
        tell_failure(request, request->status, request->diag.text);
    }
    request_destroy(request);
}

void request_sign(struct request *request, uint64_t now_us)
{
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    reply.status = S4_AGAIN;
    request->told_us = now_us;
    if (!request->gone && send_reply(request, &reply) != S4_OK)
        request->told_us = 0; /* tried again at the next look */
}
