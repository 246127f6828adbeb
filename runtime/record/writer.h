/* Writes the attributes of a record without a C struct: what text and protobuf bytes come through.
 *
 * The writer has a buffer of its own, grown as needed up to RECORD_MAX, in which it lays out one
 * value: image first, tail behind. References count from the start of that buffer as if it were a
 * record with `base` bytes before the attributes; `value_copy` moves them into a record.
 * One thread.
 */
#ifndef RUNTIME_RECORD_WRITER_H
#define RUNTIME_RECORD_WRITER_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/record/record.h"
#include "runtime/record/schema.h"

/* Attributes that lie in memory: what a reader of text, a row of an output or an event holds. The
 * bytes are those of a record's attributes whose record starts `base` bytes earlier. */
struct value {
    const struct type *type;
    const char *record; /* where references count from */
    const char *at;     /* the image */
    uint32_t size;      /* bytes from `at`: image and tail, a multiple of 8 */
};

/* The value in a record of this type. Borrowed. */
static inline struct value value_of_record(const struct type *type, const struct record *record)
{
    const char *at = record_attributes(record);
    return (struct value){
        .type = type,
        .record = (const char *)record,
        .at = at,
        .size = (uint32_t)((const char *)record + record->len - at),
    };
}

/* Copies a value to `at` inside `record`, and moves its references by the difference of the places
 * (value->at - value->record against at - record). `at` has room for value->size bytes. Strings
 * that lie outside the value's own bytes (in the record's key) are not allowed here: use
 * value_size_whole and value_copy_whole for those. */
void value_copy(const struct value *value, char *record, char *at);

/* The same for any value: what lies in the key is copied behind the rest. */
size_t value_size_whole(const struct value *value);
void value_copy_whole(const struct value *value, char *record, char *at);

struct writer {
    const struct type *type;
    char *data; /* owned: [0, base) stands for header and key, the image starts at base */
    size_t capacity;
    size_t used;
    bool failed; /* memory or RECORD_MAX; all calls after it do nothing */
    s4_status error;
    struct buffer stack; /* owned: elements of repeated fields until their number is known */
};

void writer_init(struct writer *writer);
void writer_fini(struct writer *writer);
/* Starts a value; what was there before is gone. */
void writer_start(struct writer *writer, const struct type *type);
/* Room for `size` bytes (8-aligned, zeroed, rounded up to a multiple of 8); its offset, or 0 when
 * it failed. Addresses move: keep offsets, and use writer_at. */
uint32_t writer_room(struct writer *writer, size_t size);
/* An image in which nothing is set, defaults in place: how every sub-message begins, and how
 * writer_start leaves the outermost one. Its offset. */
uint32_t writer_message(struct writer *writer, const struct type *type);
uint32_t writer_image(const struct writer *writer); /* the offset of the outermost image */
static inline char *writer_at(const struct writer *writer, uint32_t offset)
{
    return writer->data + offset;
}
/* A string or bytes with a NUL behind; its offset, or 0 when it failed. */
uint32_t writer_bytes(struct writer *writer, const void *data, size_t len);
/* The finished value; borrowed until the next writer_start. S4_TOO_LARGE, S4_NO_MEMORY. */
s4_status writer_finish(struct writer *writer, struct value *value) MUST_USE;

#endif
