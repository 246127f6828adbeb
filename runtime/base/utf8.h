/* UTF-8 as the engine accepts it in strings: no overlong forms, no surrogates, nothing above
 * U+10FFFF, and no NUL, since a string of a generated struct ends at the first one. No state; any
 * thread. */
#ifndef RUNTIME_BASE_UTF8_H
#define RUNTIME_BASE_UTF8_H

#include "runtime/base/base.h"

/* Length of the longest valid prefix; `len` if all of it is valid. */
size_t utf8_valid(const char *text, size_t len);

/* Bytes of the one valid sequence that starts at `text` (1 to 4), or 0 if none does. len > 0. */
size_t utf8_sequence(const char *text, size_t len);

/* Writes a code point (no surrogate, at most 0x10ffff) and answers its 1 to 4 bytes. */
size_t utf8_put(uint32_t code, char out[4]);

#endif
