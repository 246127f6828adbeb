/* XXH3-64 with seed 0: the hash of keys, frames and schemas. Part of the wire contract; the vectors
 * in the tests hold it. Any thread. */
#ifndef RUNTIME_BASE_HASH_H
#define RUNTIME_BASE_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/base/base.h"

static inline uint64_t hash_bytes(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

/* 128 bits: as good as certainly equal only for equal bytes, also if somebody chose these who does
 * not know the seed. */
struct hash128 {
    uint64_t low, high;
};

static inline struct hash128 hash_seeded(const void *data, size_t size, uint64_t seed)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(data, size, seed);
    return (struct hash128){ hash.low64, hash.high64 };
}

/* Order-dependent combination of two hashes. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t both[2] = { a, b };
    return XXH3_64bits(both, sizeof both);
}

#endif
