/* A growing array of bytes. */
#include "runtime/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "runtime/base/mem.h"

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){ 0 };
}

void buffer_fini(struct buffer *buffer)
{
    mem_free(buffer->data);
    *buffer = (struct buffer){ 0 };
}

static COLD bool grow(struct buffer *buffer, size_t size)
{
    void *data = buffer->data;
    if (size > SIZE_MAX - buffer->size ||
        !mem_grow(&data, &buffer->capacity, buffer->size + size, 1))
        return false;
    buffer->data = data;
    return true;
}

static inline bool make_room(struct buffer *buffer, size_t size)
{
    return LIKELY(size <= buffer->capacity - buffer->size) || grow(buffer, size);
}

char *buffer_room(struct buffer *buffer, size_t size)
{
    if (!make_room(buffer, size))
        return NULL;
    char *at = buffer->data + buffer->size;
    buffer->size += size;
    return at;
}

s4_status buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return S4_OK;
    char *at = buffer_room(buffer, size);
    if (!at)
        return S4_NO_MEMORY;
    memcpy(at, data, size);
    return S4_OK;
}

s4_status buffer_append_text(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

s4_status buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return S4_INVALID;
    if (!make_room(buffer, (size_t)n + 1))
        return S4_NO_MEMORY;
    va_start(args, format);
    vsnprintf(buffer->data + buffer->size, (size_t)n + 1, format, args);
    va_end(args);
    buffer->size += (size_t)n;
    return S4_OK;
}

const char *buffer_text(struct buffer *buffer)
{
    if (!make_room(buffer, 1))
        return NULL;
    buffer->data[buffer->size] = '\0';
    return buffer->data;
}
