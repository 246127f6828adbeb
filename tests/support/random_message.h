/* Random messages of any protobuf-c descriptor, for property tests. */
#ifndef TESTS_SUPPORT_RANDOM_MESSAGE_H
#define TESTS_SUPPORT_RANDOM_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "runtime/base/rng.h"
#include "runtime/record/codec.h"

/* A message with anything in it that protobuf-c can pack: values at the ends of their ranges, texts
 * of all lengths, NULL and default pointers, absent fields with garbage behind them, unknown cases.
 * `depth` bounds the nesting. Never NULL; lives in the arena. What lies between the members of the
 * structs is filled with `filler`. */
ProtobufCMessage *message_random(const ProtobufCMessageDescriptor *type, struct rng *rng,
                                 struct arena *arena, int depth, int filler);

/* The packed bytes, in the arena. */
uint8_t *message_pack(const ProtobufCMessage *message, struct arena *arena, size_t *size);

#endif
