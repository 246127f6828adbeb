/* Flat types: kernels unrolled per shape, the hottest code of the product.
 *
 * A shape is a number of words and a number of strings. The image is copied word by word; then the
 * word of every string, whose place the codec holds, is overwritten with its reference, or, on the
 * way back, with its address. With both numbers known to the compiler nothing is left of the loops.
 *
 * Why so: the message was filled just before. A load that is wider than those stores cannot be
 * served from the store buffer and waits, so the copy must not become a wide one; `word_copy` hides
 * the word from the vectoriser. A string is read once, for its length and for its bytes.
 *
 * The room: one check for all short strings. Up to 4 of them advance by 16 bytes each at most, and
 * 64 bytes of slack lie behind `end`; only then the end is compared. `put_any`, for more and for
 * longer strings, looks each time.
 */
#include "runtime/record/codec_build.h"

#define WORDS_MAX   8
#define STRINGS_MAX 4
_Static_assert(STRINGS_MAX * 16 <= 64, "short strings must end in the slack of a block");

int64_t codec_put_long(const char *text, char *at, const char *end)
{
    size_t len = strlen(text);
    if ((int64_t)len >= end - at)
        return -1;
    memcpy(at, text, len + 1);
    return (int64_t)len;
}

ALWAYS_INLINE void word_copy(char *to, const char *from)
{
    uint64_t word = codec_load64(from);
    __asm__("" : "+r"(word)); /* opaque: two of these are not one of 16 bytes */
    codec_store64(to, word);
}

/* What lies between the members of a struct is nobody's, and would make equal values differ. */
ALWAYS_INLINE void clear_holes(const struct codec *codec, char *at)
{
    for (uint32_t i = 0; i < codec->n_holes; i++)
        codec_store32(at + codec->holes[i], 0);
}

ALWAYS_INLINE int64_t put_end(char *tail, const char *at, const char *end)
{
    int64_t size = (tail - at + 7) & ~7;
    if (UNLIKELY(size > end - at))
        return CODEC_FULL;
    codec_store64(tail, 0);
    return size;
}

/* Any shape and any length of strings. */
static __attribute__((noinline)) int64_t put_any(const struct codec *codec, const void *message,
                                                 char *record, char *at, char *end,
                                                 const struct codec_alias *alias)
{
    const char *image = (const char *)message + MESSAGE_BASE;
    char *tail = at + codec->words * 8;
    if (tail > end)
        return CODEC_FULL;
    for (uint32_t i = 0; i < codec->words; i++)
        word_copy(at + i * 8, image + i * 8);
    clear_holes(codec, at);
    for (uint32_t i = 0; i < codec->n_strings; i++) {
        const struct codec_string *string = &codec->strings[i];
        const char *text = codec_load_pointer(image + string->offset);
        uint64_t ref = text ? REF_DEFAULT : REF_NULL;
        if (text && text != string->fallback && string->offset == alias->field_offset) {
            ref = codec_alias_ref(alias);
        } else if (text && text != string->fallback) {
            int64_t len = codec_put_text(text, tail, end);
            if (len < 0)
                return CODEC_FULL;
            ref = codec_text_ref((uint32_t)(tail - record), (uint64_t)len);
            tail += len + 1;
        }
        codec_store64(at + string->offset, ref);
    }
    return put_end(tail, at, end);
}

/* A shape that the compiler knows. A string that is not short starts all over in `put_any`: as a
 * tail call, so that this needs no register to be saved. */
ALWAYS_INLINE int64_t put(const struct codec *codec, const void *message, char *record, char *at,
                          char *end, const struct codec_alias *alias, uint32_t words,
                          uint32_t n_strings, bool holes)
{
    const char *image = (const char *)message + MESSAGE_BASE;
    char *tail = at + words * 8;
    if (UNLIKELY(tail > end))
        return CODEC_FULL;
    for (uint32_t i = 0; i < words; i++)
        word_copy(at + i * 8, image + i * 8);
    if (holes)
        clear_holes(codec, at);
    for (uint32_t i = 0; i < n_strings; i++) {
        const struct codec_string *string = &codec->strings[i];
        const char *text = codec_load_pointer(image + string->offset);
        uint64_t ref;
        if (UNLIKELY(!text || text == string->fallback)) {
            ref = text ? REF_DEFAULT : REF_NULL;
        } else if (string->offset == alias->field_offset) {
            ref = codec_alias_ref(alias);
        } else {
            int32_t len = codec_put_short(text, tail);
            if (UNLIKELY(len < 0))
                return put_any(codec, message, record, at, end, alias);
            ref = codec_text_ref((uint32_t)(tail - record), (uint64_t)(uint32_t)len);
            tail += len + 1;
        }
        codec_store64(at + string->offset, ref);
    }
    return put_end(tail, at, end);
}

ALWAYS_INLINE void *get(const struct codec *codec, const char *record, const char *at,
                        void *message, uint32_t words, uint32_t n_strings)
{
    ProtobufCMessage *base = message;
    char *image = (char *)message + MESSAGE_BASE;
    base->descriptor = codec->descriptor;
    base->n_unknown_fields = 0;
    base->unknown_fields = NULL;
    for (uint32_t i = 0; i < words; i++)
        word_copy(image + i * 8, at + i * 8);
    for (uint32_t i = 0; i < n_strings; i++) {
        const struct codec_string *string = &codec->strings[i];
        uint32_t off = codec_load32(at + string->offset);
        codec_store64(image + string->offset, codec_text_address(record, off, string->fallback));
    }
    return message;
}

static void *get_any(const struct codec *codec, const char *record, const char *at, void *message,
                     struct arena *arena)
{
    return get(codec, record, at, message, codec->words, codec->n_strings);
}

/* X(words, strings) for every shape that has kernels. */
#define SHAPES_1(X, words) X(words, 0) X(words, 1)
#define SHAPES_2(X, words) SHAPES_1(X, words) X(words, 2)
#define SHAPES_3(X, words) SHAPES_2(X, words) X(words, 3)
#define SHAPES_4(X, words) SHAPES_3(X, words) X(words, 4)
#define SHAPES_LOW(X)      SHAPES_1(X, 1) SHAPES_2(X, 2) SHAPES_3(X, 3) SHAPES_4(X, 4)
#define SHAPES_HIGH(X)     SHAPES_4(X, 5) SHAPES_4(X, 6) SHAPES_4(X, 7) SHAPES_4(X, 8)

/* `put_holes` is for structs that have holes; its sibling need not even ask. */
#define KERNELS(words, strings)                                                                  \
    static int64_t put_##words##_##strings(const struct codec *codec, const void *message,       \
                                           char *record, char *at, char *end,                    \
                                           const struct codec_alias *alias)                      \
    {                                                                                            \
        return put(codec, message, record, at, end, alias, words, strings, false);               \
    }                                                                                            \
    static int64_t put_holes_##words##_##strings(const struct codec *codec, const void *message, \
                                                 char *record, char *at, char *end,              \
                                                 const struct codec_alias *alias)                \
    {                                                                                            \
        return put(codec, message, record, at, end, alias, words, strings, true);                \
    }                                                                                            \
    static void *get_##words##_##strings(const struct codec *codec, const char *record,          \
                                         const char *at, void *message, struct arena *arena)     \
    {                                                                                            \
        return get(codec, record, at, message, words, strings);                                  \
    }
SHAPES_LOW(KERNELS)
SHAPES_HIGH(KERNELS)

struct kernels {
    codec_put_fn *put;
    codec_put_fn *put_holes;
    codec_get_fn *get;
};

#define ENTRY(words, strings)                                                    \
    [words][strings] = { put_##words##_##strings, put_holes_##words##_##strings, \
                         get_##words##_##strings },
static const struct kernels shapes[WORDS_MAX + 1][STRINGS_MAX + 1] = { SHAPES_LOW(ENTRY)
                                                                           SHAPES_HIGH(ENTRY) };

void codec_flat_pick(struct codec *codec)
{
    codec->put = put_any;
    codec->get = get_any;
    if (codec->words > WORDS_MAX || codec->n_strings > STRINGS_MAX)
        return;
    const struct kernels *kernels = &shapes[codec->words][codec->n_strings];
    if (!kernels->put)
        return;
    codec->put = codec->n_holes ? kernels->put_holes : kernels->put;
    codec->get = kernels->get;
}
