/* What the parts of the codec share: its object and the smallest steps. Inside runtime/record only.
 *
 * codec.c creates, codec_flat.c has the kernels of flat types, codec_ops.c the interpreter of the
 * others.
 */
#ifndef RUNTIME_RECORD_CODEC_BUILD_H
#define RUNTIME_RECORD_CODEC_BUILD_H

#include "runtime/base/asan.h"
#include "runtime/record/codec.h"

#if defined(__SSE2__) && !SANITIZED
#define CODEC_WIDE 1 /* strings are read 16 bytes at a time */
#include <emmintrin.h>
#else
#define CODEC_WIDE 0
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

struct codec_string {     /* of a flat type */
    uint32_t offset;      /* in the image */
    const char *fallback; /* the descriptor's own, or NULL */
};

enum op_kind {
    OP_STRING,
    OP_BYTES,
    OP_MESSAGE,
    OP_SCALARS, /* from here: repeated */
    OP_STRINGS,
    OP_BYTES_LIST,
    OP_MESSAGES,
    OP_ONEOF,
    OP_SCALAR, /* in a oneof only */
};

struct plan;

struct op {
    enum op_kind kind;
    uint32_t offset; /* in the image: the value or the slot */
    uint32_t has;    /* flag, count or case; FIELD_NONE */
    uint32_t size;   /* of a scalar, of the slot */
    uint32_t id;     /* of a oneof's member */
    uint32_t n_members;
    const struct op *members; /* of a oneof; owned by the codec */
    const void *fallback;     /* the descriptor's own: char *, ProtobufCBinaryData *; or NULL */
    const struct plan *sub;
};

struct plan { /* of one type; all that is not plain words in it */
    const ProtobufCMessageDescriptor *descriptor;
    const char *initial; /* the type's */
    uint32_t image_size;
    uint32_t n_ops;
    const struct op *ops;
    uint32_t n_holes;
    const uint32_t *holes; /* offsets of 4 bytes in the image that no member covers */
};

struct codec {
    codec_put_fn *put;
    codec_get_fn *get;
    const ProtobufCMessageDescriptor *descriptor;
    uint32_t words; /* of the image */
    uint32_t n_strings;
    uint32_t n_holes;
    const uint32_t *holes;
    const struct plan *plan; /* types that are not flat */
    const struct type *type;
    struct arena memory; /* owned: holes, plans and what they point to */
    struct codec_string strings[];
};

/* Sets the kernels for the codec's shape, or the loops for any. */
void codec_flat_pick(struct codec *codec);
codec_put_fn codec_ops_put;
codec_get_fn codec_ops_get;

static inline uint32_t codec_load32(const char *at)
{
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static inline uint64_t codec_load64(const char *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

/* The pointer that a struct holds there. */
static inline const char *codec_load_pointer(const char *at)
{
    const char *pointer;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

static inline void codec_store32(char *at, uint32_t x)
{
    memcpy(at, &x, sizeof x);
}

static inline void codec_store64(char *at, uint64_t x)
{
    memcpy(at, &x, sizeof x);
}

/* The address in a record, as a struct holds it. */
static inline uint64_t codec_address(const char *record, uint32_t off)
{
    return (uint64_t)(uintptr_t)record + off;
}

static inline uint64_t codec_text_ref(uint32_t off, uint64_t len)
{
    return off | len << 32;
}

/* Both halves at once. */
static inline uint64_t codec_alias_ref(const struct codec_alias *alias)
{
    _Static_assert(offsetof(struct codec_alias, len) == offsetof(struct codec_alias, off) + 4,
                   "they lie as in a reference");
    uint64_t ref;
    memcpy(&ref, &alias->off, sizeof ref);
    return ref;
}

/* What the string at a reference is in a struct. */
static inline uint64_t codec_text_address(const char *record, uint32_t off, const char *fallback)
{
    if (LIKELY(off > REF_DEFAULT))
        return codec_address(record, off);
    return off == REF_DEFAULT ? (uint64_t)(uintptr_t)fallback : 0;
}

/* Copies a string and its NUL to `at`; answers its length, or -1 if they do not end before `end`.
 */
int64_t codec_put_long(const char *text, char *at, const char *end);

/* Copies a string of less than 16 bytes with its NUL, and anything up to 16 bytes behind `at`,
 * without looking at any end; answers its length, or -1 if the string is not for this function. One
 * load serves for finding the end and for copying. It may read past the end of the string, but not
 * past the end of a page. */
ALWAYS_INLINE int32_t codec_put_short(const char *text, char *at)
{
#if CODEC_WIDE
    if (LIKELY(((uintptr_t)text & 4095) <= 4096 - 16)) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
        int zeros = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
        if (LIKELY(zeros != 0)) {
            _mm_storeu_si128((__m128i *)(void *)at, bytes);
            return __builtin_ctz((unsigned)zeros);
        }
    }
#endif
    return -1;
}

/* Any string; with `at` <= `end` on return, or -1. */
static inline int64_t codec_put_text(const char *text, char *at, const char *end)
{
    int64_t len = codec_put_short(text, at);
    if (LIKELY(len >= 0))
        return len < end - at ? len : -1;
    return codec_put_long(text, at, end);
}

#endif
