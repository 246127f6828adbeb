/* Control messages to and from bytes, for both ends. A peer's bytes are never trusted: their size
 * is bounded by the socket (WIRE_MESSAGE_MAX), and what unpacking may allocate by a budget that
 * grows with that size. Any thread. */
#ifndef ROUTER_CLIENT_WIRE_H
#define ROUTER_CLIENT_WIRE_H

#include "proto/control.pb-c.h"
#include "runtime/base/base.h"

#define WIRE_VERSION     1
#define WIRE_MESSAGE_MAX (66 * MIB)
#define WIRE_REJECTS_MAX 1000 /* of one batch that a reply names */

/* Unpacking may allocate so many bytes for a message of `size` bytes. */
size_t wire_budget(size_t size);

/* *request is the caller's to wire_request_destroy. S4_MALFORMED: no request, or one that would
 * need more than its budget; S4_NO_MEMORY. */
s4_status wire_request_read(const void *bytes, size_t size,
                            S4__Control__Request **request) MUST_USE;
void wire_request_destroy(S4__Control__Request *request); /* NULL is fine */
s4_status wire_reply_read(const void *bytes, size_t size, S4__Control__Reply **reply) MUST_USE;
void wire_reply_destroy(S4__Control__Reply *reply); /* NULL is fine */

/* Packs a message into memory that is the caller's to mem_free. S4_TOO_LARGE: over
 * WIRE_MESSAGE_MAX. */
s4_status wire_pack(const ProtobufCMessage *message, void **bytes, size_t *size) MUST_USE;

/* Sends what wire_pack gave as the last part of a message, without a copy, and nulls *bytes, also
 * on failure. S4_AGAIN: the socket does not take it now; S4_IO. */
s4_status wire_send(void *socket, void **bytes, size_t size, int flags) MUST_USE;

#endif
