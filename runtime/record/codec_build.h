/* What the parts of the codec share: its object and the smallest steps. Inside runtime/record only.
 *
 * codec.c creates, codec_flat.c has the kernels of flat types, codec_ops.c the interpreter of the
 * others.
 */
#ifndef RUNTIME_RECORD_CODEC_BUILD_H
#define RUNTIME_RECORD_CODEC_BUILD_H

#include "runtime/record/kernel.h"

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

/* Sets the kernels for the codec's shape, or the loops for any. */
void codec_flat_pick(struct codec *codec);
codec_put_fn codec_ops_put;
codec_get_fn codec_ops_get;

/* Both halves at once. */
static inline uint64_t codec_alias_ref(const struct codec_alias *alias)
{
    _Static_assert(offsetof(struct codec_alias, len) == offsetof(struct codec_alias, off) + 4,
                   "they lie as in a reference");
    uint64_t ref;
    memcpy(&ref, &alias->off, sizeof ref);
    return ref;
}

/* Copies a string and its NUL to `at`; answers its length, or -1 if they do not end before `end`.
 */
int64_t codec_put_long(const char *text, char *at, const char *end);

/* Any string; with `at` <= `end` on return, or -1. */
static inline int64_t codec_put_text(const char *text, char *at, const char *end)
{
    int64_t len = kernel_put_short(text, at);
    if (LIKELY(len >= 0))
        return len < end - at ? len : -1;
    return codec_put_long(text, at, end);
}

#endif
