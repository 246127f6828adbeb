/* Control messages to and from bytes; see the header. */
#include "router/client/control.h"

#include <errno.h>
#include <zmq.h>

#include "runtime/base/mem.h"
#include "runtime/base/message.h"

static s4_status unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                        ProtobufCMessage **message)
{
    return size > CONTROL_MESSAGE_MAX ? S4_TOO_LARGE : message_unpack(type, bytes, size, message);
}

s4_status control_request_read(const void *bytes, size_t size, S4__Control__Request **request)
{
    ProtobufCMessage *message;
    TRY(unpack(&s4__control__request__descriptor, bytes, size, &message));
    *request = (S4__Control__Request *)message;
    return S4_OK;
}

void control_request_destroy(S4__Control__Request *request)
{
    message_destroy(request ? &request->base : NULL);
}

s4_status control_reply_read(const void *bytes, size_t size, S4__Control__Reply **reply)
{
    ProtobufCMessage *message;
    TRY(unpack(&s4__control__reply__descriptor, bytes, size, &message));
    *reply = (S4__Control__Reply *)message;
    return S4_OK;
}

void control_reply_destroy(S4__Control__Reply *reply)
{
    message_destroy(reply ? &reply->base : NULL);
}

s4_status control_pack(const ProtobufCMessage *message, void **bytes, size_t *size)
{
    return message_pack(message, CONTROL_MESSAGE_MAX, bytes, size);
}

static void sent(void *data, void *hint)
{
    mem_free(data);
}

s4_status control_send(void *socket, void **bytes, size_t size, int flags)
{
    zmq_msg_t part;
    if (zmq_msg_init_data(&part, *bytes, size, sent, NULL) != 0) {
        mem_free(*bytes);
        *bytes = NULL;
        return S4_NO_MEMORY;
    }
    *bytes = NULL; /* the part's from here on */
    int result;
    do {
        result = zmq_msg_send(&part, socket, flags);
    } while (result < 0 && errno == EINTR);
    if (result >= 0)
        return S4_OK;
    int error = errno;
    zmq_msg_close(&part); /* frees the bytes */
    return error == EAGAIN ? S4_AGAIN : S4_IO;
}
