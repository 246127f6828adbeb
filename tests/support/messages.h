/* Random protobuf-c messages of any descriptor, for property tests. */
#ifndef TESTS_SUPPORT_MESSAGES_H
#define TESTS_SUPPORT_MESSAGES_H

#include <protobuf-c/protobuf-c.h>

#include "runtime/base/rng.h"

/* The memory of messages; zeroed to begin with. */
struct message_pool {
    void **items;
    size_t n;
    size_t capacity;
};
void message_pool_clear(struct message_pool *pool); /* frees all; ready for the next */

/* A message that protobuf-c packs and this engine accepts: required fields set, strings valid UTF-8
 * without NULs, NaNs of one kind, at most `depth` messages below it where the type does not force
 * more. Numbers are often at their limits, enums now and then without a name. */
ProtobufCMessage *message_random(struct rng *rng, const ProtobufCMessageDescriptor *type,
                                 unsigned depth, struct message_pool *pool);

/* Packs it; *bytes belongs to the pool. */
size_t message_pack(const ProtobufCMessage *message, struct message_pool *pool, uint8_t **bytes);

/* Frees what unpacking kept of unknown fields, at every depth. */
void message_drop_unknown(ProtobufCMessage *message);

#endif
