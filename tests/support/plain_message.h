/* Random protobuf-c messages of any descriptor that text formats can hold, too: random_message.h
 * has wilder ones. */
#ifndef TESTS_SUPPORT_PLAIN_MESSAGE_H
#define TESTS_SUPPORT_PLAIN_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "runtime/base/rng.h"

/* The memory of messages; zeroed to begin with. */
struct plain_pool {
    void **items;
    size_t n;
    size_t capacity;
};
void plain_pool_clear(struct plain_pool *pool); /* frees all; ready for the next */

/* A message that protobuf-c packs and this engine accepts: required fields set, strings valid UTF-8
 * without NULs, NaNs of one kind, at most `depth` messages below it where the type does not force
 * more. Numbers are often at their limits, enums now and then without a name. */
ProtobufCMessage *plain_random(struct rng *rng, const ProtobufCMessageDescriptor *type,
                               unsigned depth, struct plain_pool *pool);

/* Packs it; *bytes belongs to the pool. */
size_t plain_pack(const ProtobufCMessage *message, struct plain_pool *pool, uint8_t **bytes);

/* Frees what unpacking kept of unknown fields, at every depth. */
void plain_drop_unknown(ProtobufCMessage *message);

#endif
