/* The atoms of protobuf's wire format. No state; any thread. Inside runtime/text only. */
#ifndef RUNTIME_TEXT_WIRE_H
#define RUNTIME_TEXT_WIRE_H

#include "runtime/record/schema.h"

#define WIRE_VARINT_MAX 10        /* bytes of a varint */
#define WIRE_ID_MAX     536870911 /* the largest field number */

enum wire {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_LEN = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_32 = 5,
};

/* How one element of this type lies on the wire. */
static inline enum wire wire_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LEN;
    default:
        return WIRE_VARINT;
    }
}

/* Reads a varint; what stands behind it, or NULL if it is cut or has more than 10 bytes. Bits
 * beyond the 64th are dropped, as everyone does. */
static inline const uint8_t *wire_take_varint(const uint8_t *at, const uint8_t *end,
                                              uint64_t *value)
{
    if (LIKELY(at < end && *at < 0x80)) {
        *value = *at;
        return at + 1;
    }
    uint64_t bits = 0;
    for (uint32_t i = 0; i < WIRE_VARINT_MAX && at < end; i++) {
        uint8_t byte = *at++;
        bits |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = bits;
            return at;
        }
    }
    return NULL;
}

/* Writes a varint at `at`; what stands behind it. */
static inline char *wire_put_varint(char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

static inline uint64_t wire_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ -((uint64_t)value >> 63);
}

static inline int64_t wire_unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ -(value & 1));
}

#endif
