/* Control messages to and from bytes, for both ends. A peer's bytes are never trusted: their size
 * is bounded by the socket (CONTROL_MESSAGE_MAX), and what unpacking may allocate by a budget that
 * grows with that size (runtime/base/message.h). Any thread. */
#ifndef ROUTER_CLIENT_CONTROL_H
#define ROUTER_CLIENT_CONTROL_H

#include "proto/control.pb-c.h"
#include "runtime/base/base.h"

#define CONTROL_VERSION     1
#define CONTROL_MESSAGE_MAX (66 * MIB)
#define CONTROL_REJECTS_MAX 1000 /* of one batch that a reply names */

/* *request is the caller's to control_request_destroy. S4_MALFORMED: no request, or one that would
 * need more than its budget; S4_NO_MEMORY. */
s4_status control_request_read(const void *bytes, size_t size,
                               S4__Control__Request **request) MUST_USE;
void control_request_destroy(S4__Control__Request *request); /* NULL is fine */
s4_status control_reply_read(const void *bytes, size_t size, S4__Control__Reply **reply) MUST_USE;
void control_reply_destroy(S4__Control__Reply *reply); /* NULL is fine */

/* Packs a message into memory that is the caller's to mem_free. S4_TOO_LARGE: over
 * CONTROL_MESSAGE_MAX. */
s4_status control_pack(const ProtobufCMessage *message, void **bytes, size_t *size) MUST_USE;

/* Sends what control_pack gave as the last part of a message, without a copy, and nulls *bytes,
 * also on failure. S4_AGAIN: the socket does not take it now; S4_IO. */
s4_status control_send(void *socket, void **bytes, size_t size, int flags) MUST_USE;

#endif
