/* A client's life and its calls.
 *
 * One DEALER socket belongs to the thread that calls. A call sends its request and then receives
 * until its answer is there; answers to batches that come in between are handed to their callbacks
 * (client_inject.c). Whether the node lives is judged by silence: it answers at once or says AGAIN
 * several times a second, so `timeout_ms` without any message while one is awaited means that it is
 * gone or hung, whatever work it does; and a local one whose socket nobody holds open is gone at
 * once. Half-way there the unanswered batches are sent once more: harmless to a node that has them,
 * a rescue where it was restarted.
 */
#include "router/client/client_internal.h"

#include <errno.h>
#include <zmq.h>

#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/base/utf8.h"

#define LOOK_MS 500 /* of silence, before it is looked whether the node is there */

static uint64_t now_us(void)
{
    return clock_real.mono_us(&clock_real);
}

const char *s4_client_message(const s4_client *client)
{
    return client->diag.text;
}

const char *s4_client_endpoint(const s4_client *client)
{
    return client->endpoint.uri;
}

const char *s4_client_release(const s4_client *client)
{
    return client->release;
}

s4_status s4_client_create(const s4_client_options *options, s4_client **client)
{
    static const s4_client_options defaults;
    options = options ? options : &defaults;
    if (options->window > S4_CLIENT_WINDOW_MAX)
        return S4_RANGE;
    s4_client *made = mem_zalloc(sizeof *made);
    if (!made)
        return S4_NO_MEMORY;
    made->window = options->window ? options->window : CLIENT_WINDOW_DEFAULT;
    made->timeout_ms = options->timeout_ms ? options->timeout_ms : CLIENT_TIMEOUT_MS_DEFAULT;
    made->number_next = options->number ? options->number : 1;
    made->producer = options->producer;
    while (!made->producer)
        made->producer = rng_seed_real();
    made->id_next = 1;
    made->flights = mem_calloc(made->window, sizeof *made->flights);
    if (!made->flights) {
        mem_free(made);
        return S4_NO_MEMORY;
    }
    /* A wrong place is told by connect, which can say it in words. */
    bool keyed = endpoint_keys(options->keys);
    if (endpoint_find(options->node, keyed, &made->endpoint, &made->diag) != S4_OK ||
        client_keys_open(made, options) != S4_OK)
        made->endpoint.uri[0] = '\0';
    *client = made;
    return S4_OK;
}

void s4_client_destroy(s4_client *client)
{
    if (!client)
        return;
    client_keys_close_socket(client);
    if (client->context)
        zmq_ctx_term(client->context);
    keyring_close(client->ring);
    flights_drop(client);
    control_reply_destroy(client->reply);
    control_reply_destroy(client->kept);
    mem_free(client->flights);
    mem_free(client);
}

static s4_status nobody(s4_client *client, const char *why)
{
    return diag_set(&client->diag, S4_UNAVAILABLE,
                    "no node answers at %s: %s; start one with `s4 node`, or name another one "
                    "with --node or $S4_NODE",
                    client->endpoint.uri, why);
}

static s4_status open_socket(s4_client *client, uint32_t turn)
{
    const int linger_ms = 0;
    const int backlog = (int)client->window * 2 + 16;
    const int64_t largest = (int64_t)CONTROL_MESSAGE_MAX;
    client->context = client->context ? client->context : zmq_ctx_new();
    if (!client->context)
        return diag_set(&client->diag, S4_NO_MEMORY, "out of memory");
    client_keys_close_socket(client);
    client->socket = zmq_socket(client->context, ZMQ_DEALER);
    if (!client->socket)
        return diag_set(&client->diag, S4_IO, "cannot make a socket: %s", zmq_strerror(errno));
    zmq_setsockopt(client->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(client->socket, ZMQ_SNDHWM, &backlog, sizeof backlog);
    zmq_setsockopt(client->socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    TRY(client_keys_guard(client, turn));
    if (zmq_connect(client->socket, client->endpoint.uri) != 0)
        return nobody(client, zmq_strerror(errno));
    return S4_OK;
}

static s4_status shake_hands(s4_client *client)
{
    S4__Control__Hello hello = S4__CONTROL__HELLO__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    request.what_case = S4__CONTROL__REQUEST__WHAT_HELLO;
    request.hello = &hello;
    S4__Control__Reply *reply;
    uint32_t patience = client->timeout_ms;
    client->timeout_ms = patience < CLIENT_CONNECT_MS_MAX ? patience : CLIENT_CONNECT_MS_MAX;
    s4_status status = client_call(client, &request, S4__CONTROL__REPLY__WHAT_WELCOME, &reply);
    client->timeout_ms = patience;
    TRY(status);
    snprintf(client->release, sizeof client->release, "%s", reply->welcome->release);
    uint32_t version = reply->welcome->version;
    control_reply_destroy(reply);
    if (version != CONTROL_VERSION)
        return diag_set(&client->diag, S4_VERSION,
                        "the node (release %s) speaks version %u of the protocol, this client "
                        "version %u; use programs of one release",
                        client->release, version, CONTROL_VERSION);
    return S4_OK;
}

s4_status s4_client_connect(s4_client *client)
{
    if (client->connected)
        return diag_set(&client->diag, S4_STATE, "connected already");
    if (!client->endpoint.uri[0]) /* the message is there since create */
        return client->diag.code;
    if (client->endpoint.socket[0] && !endpoint_alive(client->endpoint.socket))
        return nobody(client, "nobody listens there");
    s4_status status = S4_END;
    /* A node has several keys while one takes another's place. */
    for (uint32_t turn = 0; turn < CURVE_KEYS_MAX && status == S4_END; turn++) {
        client->release[0] = '\0';
        TRY(open_socket(client, turn));
        client->connected = true;
        status = shake_hands(client);
        client->connected = status == S4_OK;
    }
    return status == S4_END ? S4_PERMISSION : status;
}

void client_listen(s4_client *client)
{
    if (!client->call_id && !client->n_flights && !tail_is_asked(client)) {
        client->heard_us = now_us();
        client->resent = false;
    }
}

/* Gives the reply to whom it belongs. */
static void hand_out(s4_client *client, S4__Control__Reply *reply)
{
    bool sign_of_life = reply->status == S4_AGAIN;
    if (!sign_of_life && reply->id && reply->id == client->call_id) {
        control_reply_destroy(client->reply);
        client->reply = reply;
        client->call_id = 0;
    } else if (sign_of_life || (!flight_answered(client, reply) && !tail_answered(client, reply))) {
        control_reply_destroy(reply); /* also to a call that was given up, a batch sent twice */
    }
}

/* Receives one message, if there is one: whoever waits looks after each whether it was his, so that
 * what lies in the client is not replaced before he sees it. */
static s4_status receive(s4_client *client)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, client->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&part);
        return S4_OK;
    }
    S4__Control__Reply *reply;
    s4_status status = control_reply_read(zmq_msg_data(&part), zmq_msg_size(&part), &reply);
    zmq_msg_close(&part);
    if (status != S4_OK)
        return diag_set(&client->diag, status == S4_NO_MEMORY ? status : S4_PROTOCOL,
                        "what answers at %s does not speak this protocol", client->endpoint.uri);
    client->heard_us = now_us();
    client->resent = false;
    hand_out(client, reply);
    return S4_OK;
}

static s4_status silent(s4_client *client)
{
    char why[64];
    snprintf(why, sizeof why, "it has been silent for %.1f s", client->timeout_ms / 1e3);
    return nobody(client, why);
}

s4_status client_pump_for(s4_client *client, uint32_t wait_ms)
{
    zmq_pollitem_t items[] = { { .socket = client->socket, .events = ZMQ_POLLIN },
                               { .socket = client->monitor, .events = ZMQ_POLLIN } };
    int n = client->monitor ? 2 : 1;
    /* What lies there already was said in time, however long nobody looked. */
    if (zmq_poll(items, 1, 0) > 0)
        return receive(client);
    TRY(client_keys_look(client));
    uint64_t silence = (now_us() - client->heard_us) / 1000;
    if (silence >= client->timeout_ms)
        return silent(client);
    if (silence >= LOOK_MS && client->endpoint.socket[0] &&
        !endpoint_alive(client->endpoint.socket))
        return nobody(client, "it has ended");
    if (silence >= client->timeout_ms / 2 && !client->resent) {
        client->resent = true;
        TRY(flights_resend(client));
    }
    uint64_t wait = (client->resent ? client->timeout_ms : client->timeout_ms / 2) - silence;
    wait = size_min(size_min(wait, LOOK_MS) + 1, wait_ms);
    if (zmq_poll(items, n, (long)wait) < 0 && errno != EINTR)
        return diag_set(&client->diag, S4_IO, "cannot wait: %s", zmq_strerror(errno));
    return receive(client);
}

s4_status client_pump(s4_client *client)
{
    return client_pump_for(client, UINT32_MAX);
}

static s4_status refuse(s4_client *client, S4__Control__Reply *reply)
{
    s4_status status = (s4_status)reply->status;
    if (status == S4_OK)
        status = diag_set(&client->diag, S4_PROTOCOL, "the node's answer is of the wrong kind");
    else
        diag_set(&client->diag, status, "%s",
                 reply->message && *reply->message ? reply->message : s4_status_text(status));
    control_reply_destroy(reply);
    return status;
}

s4_status client_send(s4_client *client, S4__Control__Request *request)
{
    if (!client->connected)
        return diag_set(&client->diag, S4_STATE, "not connected");
    request->version = CONTROL_VERSION;
    request->id = client->id_next++;
    void *bytes;
    size_t size;
    s4_status status = control_pack(&request->base, &bytes, &size);
    if (status != S4_OK)
        return diag_set(&client->diag, status, "the request cannot be sent: %s",
                        s4_status_text(status));
    client_listen(client);
    if (control_send(client->socket, &bytes, size, ZMQ_DONTWAIT) != S4_OK)
        return nobody(client, "it takes no more requests");
    return S4_OK;
}

s4_status client_call(s4_client *client, S4__Control__Request *request,
                      S4__Control__Reply__WhatCase wanted, S4__Control__Reply **reply)
{
    s4_status status = S4_OK;
    TRY(client_send(client, request));
    client->call_id = request->id;
    while (client->call_id && status == S4_OK)
        status = client_pump(client);
    client->call_id = 0;
    TRY(status);
    S4__Control__Reply *got = client->reply;
    client->reply = NULL;
    if (got->status != S4_OK || (wanted && got->what_case != wanted))
        return refuse(client, got);
    *reply = got;
    return S4_OK;
}

s4_status client_check_text(s4_client *client, const char *what, const char *text)
{
    if (text && utf8_valid(text, strlen(text)) == strlen(text))
        return S4_OK;
    return diag_set(&client->diag, S4_INVALID, text ? "the %s is no valid UTF-8" : "no %s is given",
                    what);
}
