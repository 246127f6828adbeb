/* Messages to and from bytes; see the header.
 *
 * protobuf-c allocates as the bytes tell it to: an empty sub-message is two bytes on the wire and a
 * struct of a hundred in memory. So it gets an allocator that counts down, and a message that would
 * need more is refused as malformed. Freeing needs no budget, so messages live on without it.
 */
#include "runtime/base/message.h"

#include "runtime/base/mem.h"

#define BUDGET_FACTOR 32         /* a row of the least size takes that much */
#define BUDGET_BASE   (64 * KIB) /* so that short messages need no exact sum */
#define BUDGET_MAX    (512 * MIB)

struct budget {
    size_t left;
    bool out_of_memory;
};

size_t message_budget(size_t size)
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

s4_status message_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                         ProtobufCMessage **message)
{
    struct budget budget = { .left = message_budget(size) };
    ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
    ProtobufCMessage *read = protobuf_c_message_unpack(type, &allocator, size, bytes);
    if (!read)
        return budget.out_of_memory ? S4_NO_MEMORY : S4_MALFORMED;
    *message = read;
    return S4_OK;
}

void message_destroy(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = { budget_alloc, budget_free, NULL };
    if (message)
        protobuf_c_message_free_unpacked(message, &allocator);
}

s4_status message_pack(const ProtobufCMessage *message, size_t size_max, void **bytes, size_t *size)
{
    size_t wanted = protobuf_c_message_get_packed_size(message);
    if (wanted > size_max)
        return S4_TOO_LARGE;
    void *packed = mem_alloc(wanted ? wanted : 1);
    if (!packed)
        return S4_NO_MEMORY;
    *size = protobuf_c_message_pack(message, packed);
    CHECK(*size == wanted);
    *bytes = packed;
    return S4_OK;
}
