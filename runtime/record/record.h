/* A record: an event on its way, as it lies in a block.
 *
 *   0        4       6     7    8           16         24    26    28     32
 *   | len u32 | stream | flags | hop | key_hash | time us | src | dst | seq |
 *   32: key length u16, the key's bytes, a NUL, zeros up to the next multiple of 8
 *       attributes: the image of the type (schema.h), then what its references point to, zeros to 8
 *
 * Little-endian, 8-aligned. `len` counts everything. All of it is written by one emitter and is
 * never changed afterwards, except src, seq and dst, which belong to the link layer.
 */
#ifndef RUNTIME_RECORD_RECORD_H
#define RUNTIME_RECORD_RECORD_H

#include "runtime/base/base.h"

#define RECORD_MAX     (1 * MIB) /* bytes of one record */
#define RECORD_KEY_MAX (4 * KIB) /* bytes of its key */

enum record_flags {
    RECORD_INJECTED = 1, /* came from outside, in this hop */
};

/* Stream numbers from here up are the engine's own and never an app's. */
#define RECORD_STREAM_RESERVED 0xff00u

struct record {
    uint32_t len;
    uint16_t stream;
    uint8_t flags;
    uint8_t hop;
    uint64_t key_hash;
    uint64_t time;
    uint16_t src;
    uint16_t dst;
    uint32_t seq;
};
_Static_assert(sizeof(struct record) == 32, "the header is part of the wire contract");

/* Bytes that a key of this length takes in a record, its length and padding included. */
static inline size_t record_key_room(size_t key_len)
{
    return align_up(2 + key_len + 1, 8);
}

static inline uint16_t record_key_len(const struct record *record)
{
    return *(const uint16_t *)(record + 1);
}

/* Borrowed, NUL-terminated (the NUL is not counted). */
static inline const char *record_key(const struct record *record)
{
    return (const char *)(record + 1) + 2;
}

static inline const char *record_attributes(const struct record *record)
{
    return (const char *)(record + 1) + record_key_room(record_key_len(record));
}

static inline const struct record *record_next(const struct record *record)
{
    return (const struct record *)(const void *)((const char *)record + record->len);
}

#endif
