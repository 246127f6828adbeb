/* Base64 (RFC 4648), for bytes in JSON. No state; any thread. */
#ifndef RUNTIME_TEXT_BASE64_H
#define RUNTIME_TEXT_BASE64_H

#include "runtime/base/base.h"

#define BASE64_BAD ((size_t)-1)

/* Bytes that `len` characters decode to at most, and characters that `len` bytes take. */
static inline size_t base64_decoded_max(size_t len)
{
    return len / 4 * 3 + 3;
}

static inline size_t base64_encoded(size_t len)
{
    return (len + 2) / 3 * 4;
}

/* Decodes the standard or the URL alphabet, with or without padding, into `out` (which may be
 * `text` itself); the number of bytes, or BASE64_BAD. */
size_t base64_decode(const char *text, size_t len, char *out);

/* Writes base64_encoded(len) characters of the standard alphabet, padded. */
void base64_encode(const char *data, size_t len, char *out);

#endif
