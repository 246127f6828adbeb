/* Batches under way: a window of requests whose answers come in any order.
 *
 * A batch's packed request is kept until it is answered, so that it can be sent again under the
 * same number. Each started batch is done exactly once: by its answer, or with S4_UNAVAILABLE.
 */
#include <zmq.h>

#include "router/client/client_internal.h"
#include "runtime/base/mem.h"

static s4_status send_flight(s4_client *client, const struct flight *flight)
{
    void *copy = mem_dup(flight->bytes, flight->size);
    if (!copy)
        return diag_set(&client->diag, S4_NO_MEMORY, "out of memory");
    s4_status status = control_send(client->socket, &copy, flight->size, ZMQ_DONTWAIT);
    if (status != S4_OK)
        return diag_set(&client->diag, S4_UNAVAILABLE, "the node at %s takes no more batches",
                        client->endpoint.uri);
    return S4_OK;
}

s4_status flights_resend(s4_client *client)
{
    for (uint32_t i = 0; i < client->window; i++)
        if (client->flights[i].id)
            TRY(send_flight(client, &client->flights[i]));
    return S4_OK;
}

/* Frees the place, then tells whom it belonged to. */
static void finish(s4_client *client, struct flight *flight, s4_injected *result)
{
    struct flight ended = *flight;
    *flight = (struct flight){ 0 };
    client->n_flights--;
    mem_free(ended.bytes);
    result->number = ended.number;
    ended.done(ended.user, result);
}

/* The answer as the caller sees it; its texts lie in the reply. */
static s4_injected result_of(s4_client *client, const S4__Control__Reply *reply)
{
    s4_injected result = { .status = (s4_status)reply->status, .message = "" };
    if (result.status != S4_OK)
        result.message =
            reply->message && *reply->message ? reply->message : s4_status_text(result.status);
    if (reply->what_case != S4__CONTROL__REPLY__WHAT_INJECTED) {
        if (result.status == S4_OK) {
            result.status = S4_PROTOCOL;
            result.message = "the node's answer is of the wrong kind";
        }
        return result;
    }
    const S4__Control__Injected *injected = reply->injected;
    result.duplicate = injected->duplicate;
    result.accepted = injected->accepted;
    result.rejected = injected->rejected;
    result.n_rejects = size_min(injected->n_rejects, CONTROL_REJECTS_MAX);
    result.rejects = client->rejects;
    for (size_t i = 0; i < result.n_rejects; i++)
        client->rejects[i] = (s4_reject){ .line = injected->rejects[i]->line,
                                          .message = injected->rejects[i]->message };
    return result;
}

bool flight_answered(s4_client *client, S4__Control__Reply *reply)
{
    for (uint32_t i = 0; i < client->window; i++) {
        struct flight *flight = &client->flights[i];
        if (flight->id && flight->id == reply->id) {
            s4_injected result = result_of(client, reply);
            control_reply_destroy(client->kept);
            client->kept = reply;
            finish(client, flight, &result);
            return true;
        }
    }
    return false;
}

void flights_fail(s4_client *client)
{
    for (uint32_t i = 0; i < client->window; i++) {
        s4_injected result = { .status = S4_UNAVAILABLE, .message = "the node did not answer" };
        if (client->flights[i].id)
            finish(client, &client->flights[i], &result);
    }
}

void flights_drop(s4_client *client)
{
    for (uint32_t i = 0; i < client->window && client->flights; i++)
        mem_free(client->flights[i].bytes);
}

static s4_status check_batch(s4_client *client, const s4_batch *batch)
{
    if (!client->connected)
        return diag_set(&client->diag, S4_STATE, "not connected");
    TRY(client_check_text(client, "application", batch->app));
    TRY(client_check_text(client, "stream", batch->stream));
    if (batch->size > S4_CLIENT_BATCH_MAX)
        return diag_set(&client->diag, S4_TOO_LARGE,
                        "a batch of %zu bytes; at most %zu can be injected at once", batch->size,
                        S4_CLIENT_BATCH_MAX);
    if (batch->format < S4_CLIENT_JSON || batch->format > S4_CLIENT_PB)
        return diag_set(&client->diag, S4_INVALID, "no format is given");
    if (batch->ack != S4_CLIENT_TAKEN && batch->ack != S4_CLIENT_APPLIED)
        return diag_set(&client->diag, S4_INVALID, "no acknowledgement is asked for");
    return S4_OK;
}

/* Fills everything but the callback; the number is used up by the caller. */
static s4_status pack_flight(s4_client *client, const s4_batch *batch, struct flight *flight)
{
    S4__Control__Inject inject = S4__CONTROL__INJECT__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    union {
        const char *given;
        char *wanted; /* protobuf-c's structs have no const */
    } app = { batch->app }, stream = { batch->stream };
    union {
        const void *given;
        uint8_t *wanted;
    } bytes = { batch->bytes };
    inject.app = app.wanted;
    inject.stream = stream.wanted;
    inject.producer = client->producer;
    inject.number = client->number_next;
    inject.format = (S4__Control__Format)batch->format;
    inject.ack = (S4__Control__Inject__Ack)batch->ack;
    inject.events.data = bytes.wanted;
    inject.events.len = batch->size;
    request.version = CONTROL_VERSION;
    request.id = client->id_next;
    request.what_case = S4__CONTROL__REQUEST__WHAT_INJECT;
    request.inject = &inject;
    s4_status status = control_pack(&request.base, &flight->bytes, &flight->size);
    if (status != S4_OK)
        return diag_set(&client->diag, status, "the batch cannot be sent: %s",
                        s4_status_text(status));
    flight->id = client->id_next++;
    flight->number = client->number_next++;
    return S4_OK;
}

static struct flight *free_place(s4_client *client)
{
    for (uint32_t i = 0; i < client->window; i++)
        if (!client->flights[i].id)
            return &client->flights[i];
    return NULL;
}

/* Receives until one of the window's places is free. */
static s4_status wait_for_place(s4_client *client, struct flight **place)
{
    while (!(*place = free_place(client))) {
        s4_status status = client_pump(client);
        if (status != S4_OK) {
            flights_fail(client);
            return status;
        }
    }
    return S4_OK;
}

s4_status s4_client_inject_start(s4_client *client, const s4_batch *batch, s4_injected_fn *done,
                                 void *user)
{
    TRY(check_batch(client, batch));
    struct flight *place;
    TRY(wait_for_place(client, &place));
    struct flight flight = { .done = done, .user = user };
    TRY(pack_flight(client, batch, &flight));
    client_listen(client);
    s4_status status = send_flight(client, &flight);
    if (status != S4_OK) {
        mem_free(flight.bytes);
        return status;
    }
    *place = flight;
    client->n_flights++;
    return S4_OK;
}

s4_status s4_client_inject_finish(s4_client *client)
{
    s4_status status = S4_OK;
    while (client->n_flights && status == S4_OK)
        status = client_pump(client);
    flights_fail(client);
    return status;
}

/* What a blocking call waits for. */
struct waited {
    bool done;
    s4_injected result;
};

static void keep_result(void *user, const s4_injected *result)
{
    struct waited *waited = user;
    waited->done = true;
    waited->result = *result;
}

s4_status s4_client_inject(s4_client *client, const s4_batch *batch, s4_injected *result)
{
    struct waited waited = { 0 };
    TRY(s4_client_inject_start(client, batch, keep_result, &waited));
    s4_status status = S4_OK;
    while (!waited.done && status == S4_OK)
        status = client_pump(client);
    if (status != S4_OK) {
        flights_fail(client);
        return status;
    }
    *result = waited.result;
    if (result->status != S4_OK)
        diag_set(&client->diag, result->status, "%s", result->message);
    return result->status;
}
