/* A growing array of bytes. Owned by whoever inited it; one thread. A failed append leaves it as it
 * was. */
#ifndef RUNTIME_BASE_BUFFER_H
#define RUNTIME_BASE_BUFFER_H

#include "runtime/base/base.h"

struct buffer {
    char *data;
    size_t size;
    size_t capacity;
};

void buffer_init(struct buffer *buffer);
void buffer_fini(struct buffer *buffer);
static inline void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}
s4_status buffer_append(struct buffer *buffer, const void *data, size_t size) MUST_USE;
s4_status buffer_append_text(struct buffer *buffer, const char *text) MUST_USE;
s4_status buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF(2, 3) MUST_USE;
/* Uninitialised room for `size` bytes at the end; NULL: out of memory. */
char *buffer_room(struct buffer *buffer, size_t size);
/* The content as a C string (a NUL behind, not counted); NULL: out of memory. */
const char *buffer_text(struct buffer *buffer);

#endif
