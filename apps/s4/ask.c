/* One request to another node; see the header. */
#include "apps/s4/ask.h"

#include <zmq.h>

#include "apps/s4/socket.h"

static s4_status send_request(void *socket, S4__Control__Request *request)
{
    void *bytes;
    size_t size;
    request->version = CONTROL_VERSION;
    request->id = 1;
    TRY(control_pack(&request->base, &bytes, &size));
    return control_send(socket, &bytes, size, 0);
}

/* Signs that it is waited for are passed over. */
static s4_status receive_reply(void *socket, S4__Control__Reply **reply)
{
    for (;;) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0)
            return S4_UNAVAILABLE;
        s4_status status = control_reply_read(zmq_msg_data(&part), zmq_msg_size(&part), reply);
        zmq_msg_close(&part);
        if (status != S4_OK || (*reply)->status != S4_AGAIN)
            return status;
        control_reply_destroy(*reply);
    }
}

s4_status ask_node(struct keyring *ring, const char *name, const char *uri,
                   S4__Control__Request *request, uint32_t timeout_ms, S4__Control__Reply **reply,
                   struct diag *diag)
{
    void *context = zmq_ctx_new();
    void *socket = context ? zmq_socket(context, ZMQ_DEALER) : NULL;
    int timeout = (int)timeout_ms;
    s4_status status = socket ? socket_open(socket, ring, name, uri, diag) : S4_NO_MEMORY;
    if (status == S4_OK) {
        zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout, sizeof timeout);
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
        status = send_request(socket, request);
    }
    if (status == S4_OK)
        status = receive_reply(socket, reply);
    if (status != S4_OK)
        diag_set(diag, status, "%s does not answer: %s", uri, s4_status_text(status));
    if (socket)
        zmq_close(socket);
    if (context)
        zmq_ctx_term(context);
    return status;
}
