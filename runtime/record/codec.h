/* Between a protoc-c struct and the attributes of a record.
 *
 * Encoding writes the image and its tail into a record whose header and key are there already;
 * decoding fills a struct with pointers into the record. Types of scalars and strings go through
 * code unrolled per shape (words, strings), the others through a table of operations per type. No
 * malloc, no system call.
 */
#ifndef RUNTIME_RECORD_CODEC_H
#define RUNTIME_RECORD_CODEC_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"
#include "runtime/record/record.h"
#include "runtime/record/schema.h"

/* Sub-structs and arrays of pointers of decoded messages; reset per event by the owner. A chunk
 * that is too small is followed by a larger one, kept for the next time. One thread. */
struct arena {
    char *cur;
    char *end;
    struct arena_chunk *chunks; /* owned */
};
void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);
void arena_reset(struct arena *arena);
void *arena_take(struct arena *arena, size_t size); /* 8-aligned; NULL: out of memory */

struct codec; /* of one type: the kernels and the operations */

/* S4_INVALID: the type has no descriptor of a plugin. NULL may be destroyed. */
s4_status codec_create(const struct type *type, struct codec **codec) MUST_USE;
void codec_destroy(struct codec *codec);
const struct type *codec_type(const struct codec *codec);

/* A string of the message that lies in the record already (as its key), so that it is not written
 * twice: `field_offset` is the image offset of the string field, FIELD_NONE for none. */
struct codec_alias {
    uint32_t field_offset;
    uint32_t off; /* from the start of the record */
    uint32_t len;
};
extern const struct codec_alias codec_no_alias;

/* Writes the attributes of `message` at `at` (8-aligned, inside `record`), up to `end`; 64 bytes of
 * slack lie behind `end`. Answers how many bytes it took (a multiple of 8), CODEC_FULL if they do
 * not fit, or CODEC_DEEP if the message nests deeper than SCHEMA_DEPTH_MAX. `message` is a struct
 * of the type's descriptor; a string may be of any length. `record`, `at` and `end` are 8-aligned.
 * Equal messages give equal bytes: what lies between the struct's members is not copied. On
 * CODEC_FULL and CODEC_DEEP the bytes in [at, end + 64) are undefined. */
#define CODEC_FULL (-1)
#define CODEC_DEEP (-2)
typedef int64_t codec_put_fn(const struct codec *codec, const void *message, char *record, char *at,
                             char *end, const struct codec_alias *alias);

/* Fills the struct at `message` (codec_struct_size bytes, 8-aligned) from a trusted record's
 * attributes at `at`. Pointers go into the record, the descriptor's defaults, or the arena, and are
 * valid as long as these. NULL: the arena is out of memory; else `message`. */
typedef void *codec_get_fn(const struct codec *codec, const char *record, const char *at,
                           void *message, struct arena *arena);

/* Borrowed function pointers, so that the caller can keep them beside its own data. */
codec_put_fn *codec_put(const struct codec *codec);
codec_get_fn *codec_get(const struct codec *codec);
size_t codec_struct_size(const struct codec *codec);

/* Checks untrusted attributes of a record whose frame block_check accepted: every reference inside
 * the record, NUL behind texts and none within strings, alignment, counts, depth, oneof cases, and
 * that no two pieces overlap, so that what is accepted can be got, moved and printed, in time and
 * memory bounded by its size. Not checked is what no one relies on: a flag or bool that is not 0
 * counts as set, enums are open, and strings are whatever a handler put there, UTF-8 or not.
 * S4_CORRUPT, and where. */
s4_status codec_check_pieces(const struct type *type, const struct record *record,
                             struct diag *diag) MUST_USE;
static inline MUST_USE s4_status codec_check(const struct type *type, const struct record *record,
                                             struct diag *diag)
{
    size_t from = (size_t)(record_attributes(record) - (const char *)record);
    bool scalars = type->flat && type->n_refs == 0; /* their image has to fit, and that is all */
    if (scalars && record->len <= RECORD_MAX && from + type->image_size <= record->len)
        return S4_OK;
    return codec_check_pieces(type, record, diag);
}

#endif
