/* Fixed-size numbers to and from saved bytes, little-endian. Reading trusts nothing: what is not
 * there is refused, and `at` stays. Any thread. */
#ifndef RUNTIME_BASE_PACK_H
#define RUNTIME_BASE_PACK_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "saved numbers are little-endian");

MUST_USE static inline s4_status pack_u32(struct buffer *out, uint32_t value)
{
    return buffer_append(out, &value, sizeof value);
}

MUST_USE static inline s4_status pack_u64(struct buffer *out, uint64_t value)
{
    return buffer_append(out, &value, sizeof value);
}

/* The next `size` bytes, borrowed, or NULL when there are fewer. */
static inline const char *unpack_bytes(const char **at, const char *end, size_t size)
{
    const char *bytes = *at;
    if ((size_t)(end - bytes) < size)
        return NULL;
    *at = bytes + size;
    return bytes;
}

MUST_USE static inline bool unpack_u32(const char **at, const char *end, uint32_t *value)
{
    const char *bytes = unpack_bytes(at, end, sizeof *value);
    if (bytes)
        memcpy(value, bytes, sizeof *value);
    return bytes != NULL;
}

MUST_USE static inline bool unpack_u64(const char **at, const char *end, uint64_t *value)
{
    const char *bytes = unpack_bytes(at, end, sizeof *value);
    if (bytes)
        memcpy(value, bytes, sizeof *value);
    return bytes != NULL;
}

#endif
