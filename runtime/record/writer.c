/* Lays out one value in a buffer of its own; see the header.
 *
 * The buffer starts with room for a header and an empty key, so that no offset of the value is one
 * of the markers (REF_NULL, REF_DEFAULT, REF_EMPTY) and what lies there can be taken for a record's
 * attributes as it is. Everything between the pieces is zero: equal values give equal bytes.
 */
#include "runtime/record/writer.h"

#include "runtime/base/mem.h"

#define WRITER_BASE 40 /* header, and an empty key */
_Static_assert((RECORD_MAX & (RECORD_MAX - 1)) == 0, "doubling must not pass the limit");

void writer_init(struct writer *writer)
{
    *writer = (struct writer){ 0 };
}

void writer_fini(struct writer *writer)
{
    mem_free(writer->data);
    buffer_fini(&writer->stack);
    *writer = (struct writer){ 0 };
}

static void fail(struct writer *writer, s4_status error)
{
    writer->failed = true;
    writer->error = error;
}

static COLD bool grow(struct writer *writer, size_t size)
{
    if (writer->failed)
        return false;
    if (size > RECORD_MAX - writer->used) {
        fail(writer, S4_TOO_LARGE);
        return false;
    }
    void *data = writer->data;
    if (!mem_grow(&data, &writer->capacity, writer->used + size, 1)) {
        fail(writer, S4_NO_MEMORY);
        return false;
    }
    writer->data = data;
    return true;
}

/* Makes `size` bytes available behind `used`. The capacity doubles up to RECORD_MAX, a power of
 * two, so what it holds is within the limit. */
static inline bool reserve(struct writer *writer, size_t size)
{
    if (LIKELY(size <= writer->capacity - writer->used) && !writer->failed)
        return true;
    return grow(writer, size);
}

static void zero_to(struct writer *writer, size_t used)
{
    memset(writer->data + writer->used, 0, used - writer->used);
    writer->used = used;
}

uint32_t writer_room(struct writer *writer, size_t size)
{
    if (size > RECORD_MAX) {
        fail(writer, S4_TOO_LARGE);
        return 0;
    }
    size_t at = align_up(writer->used, 8);
    size_t end = align_up(at + size, 8);
    if (!reserve(writer, end - writer->used))
        return 0;
    zero_to(writer, end);
    return (uint32_t)at;
}

uint32_t writer_message(struct writer *writer, const struct type *type)
{
    uint32_t at = writer_room(writer, type->image_size);
    if (at)
        memcpy(writer->data + at, type->initial, type->image_size);
    return at;
}

void writer_start(struct writer *writer, const struct type *type)
{
    writer->type = type;
    writer->used = 0;
    writer->failed = false;
    writer->error = S4_OK;
    size_t size = WRITER_BASE + type->image_size;
    if (!reserve(writer, size))
        return;
    memset(writer->data, 0, WRITER_BASE);
    memcpy(writer->data + WRITER_BASE, type->initial, type->image_size);
    writer->used = size;
}

uint32_t writer_image(const struct writer *writer)
{
    return WRITER_BASE;
}

uint32_t writer_bytes(struct writer *writer, const void *data, size_t len)
{
    if (len > RECORD_MAX) {
        fail(writer, S4_TOO_LARGE);
        return 0;
    }
    size_t at = writer->used;
    if (!reserve(writer, len + 1))
        return 0;
    if (len)
        memcpy(writer->data + at, data, len);
    writer->data[at + len] = '\0';
    writer->used = at + len + 1;
    return (uint32_t)at;
}

s4_status writer_finish(struct writer *writer, struct value *value)
{
    size_t used = align_up(writer->used, 8);
    if (!reserve(writer, used - writer->used))
        return writer->error;
    zero_to(writer, used);
    *value = (struct value){
        .type = writer->type,
        .record = writer->data,
        .at = writer->data + WRITER_BASE,
        .size = (uint32_t)(writer->used - WRITER_BASE),
    };
    return S4_OK;
}
