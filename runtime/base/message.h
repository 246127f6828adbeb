/* protobuf messages from and to bytes, where the bytes are a peer's: their size is bounded by the
 * caller, and what unpacking may allocate by a budget that grows with that size. Any thread. */
#ifndef RUNTIME_BASE_MESSAGE_H
#define RUNTIME_BASE_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "runtime/base/base.h"

/* Unpacking may allocate so many bytes for a message of `size` bytes. */
size_t message_budget(size_t size);

/* *message is the caller's to message_destroy. S4_MALFORMED: no such message, or one that would
 * need more than its budget; S4_NO_MEMORY. */
s4_status message_unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                         ProtobufCMessage **message) MUST_USE;
void message_destroy(ProtobufCMessage *message); /* NULL is fine */

/* Packs into memory that is the caller's to mem_free. S4_TOO_LARGE: over `size_max` bytes. */
s4_status message_pack(const ProtobufCMessage *message, size_t size_max, void **bytes,
                       size_t *size) MUST_USE;

#endif
