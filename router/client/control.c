/* Control messages to and from bytes; see the header.
 *
 * protobuf-c allocates as the bytes tell it to: an empty sub-message is two bytes on the wire and a
 * struct of a hundred in memory. So it gets an allocator that counts down, and a message that would
 * need more is refused as malformed. Freeing needs no budget, so messages live on without it.
 */
#include "router/client/control.h"

#include <errno.h>
#include <zmq.h>

#include "runtime/base/mem.h"

#define BUDGET_FACTOR 32         /* a row of the least size takes that much */
#define BUDGET_BASE   (64 * KIB) /* so that short messages need no exact sum */
#define BUDGET_MAX    (512 * MIB)

struct budget {
    size_t left;
    bool out_of_memory;
};

size_t control_budget(size_t size)
{
    return size > BUDGET_MAX / BUDGET_FACTOR ? BUDGET_MAX : BUDGET_BASE + BUDGET_FACTOR * size;
}

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left)
        return NULL;
    void *p = mem_alloc(size ? size : 1);
    budget->out_of_memory |= !p;
    budget->left -= p ? size : 0;
    return p;
}

static void budget_free(void *data, void *p)
{
    mem_free(p);
}

static s4_status unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                        ProtobufCMessage **message)
{
    if (size > CONTROL_MESSAGE_MAX)
        return S4_TOO_LARGE;
    struct budget budget = { .left = control_budget(size) };
    ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
    ProtobufCMessage *read = protobuf_c_message_unpack(type, &allocator, size, bytes);
    if (!read)
        return budget.out_of_memory ? S4_NO_MEMORY : S4_MALFORMED;
    *message = read;
    return S4_OK;
}

static void destroy(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = { budget_alloc, budget_free, NULL };
    if (message)
        protobuf_c_message_free_unpacked(message, &allocator);
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
    destroy(request ? &request->base : NULL);
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
    destroy(reply ? &reply->base : NULL);
}

s4_status control_pack(const ProtobufCMessage *message, void **bytes, size_t *size)
{
    size_t wanted = protobuf_c_message_get_packed_size(message);
    if (wanted > CONTROL_MESSAGE_MAX)
        return S4_TOO_LARGE;
    void *packed = mem_alloc(wanted ? wanted : 1);
    if (!packed)
        return S4_NO_MEMORY;
    *size = protobuf_c_message_pack(message, packed);
    CHECK(*size == wanted);
    *bytes = packed;
    return S4_OK;
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
