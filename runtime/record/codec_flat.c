/* Flat types: the kernels of kernel.h as functions, one per shape, for whoever calls a codec
 * through its pointers.
 *
 * The room: one check for all short strings. Up to 4 of them advance by 16 bytes each at most, and
 * 64 bytes of slack lie behind `end`; only then the end is compared. `put_any`, for more and for
 * longer strings, looks each time.
 */
#include "runtime/record/codec_build.h"

_Static_assert(KERNEL_STRINGS_MAX * 16 <= 64, "short strings must end in the slack of a block");

int64_t codec_put_long(const char *text, char *at, const char *end)
{
    size_t len = strlen(text);
    if ((int64_t)len >= end - at)
        return -1;
    memcpy(at, text, len + 1);
    return (int64_t)len;
}

uint64_t codec_text_elsewhere(const struct codec_string *string, uint32_t off)
{
    return codec_text_address(NULL, off, string->fallback);
}

ALWAYS_INLINE int64_t put_end(char *tail, const char *at, const char *end)
{
    int64_t size = (tail - at + 7) & ~7;
    if (UNLIKELY(size > end - at))
        return CODEC_FULL;
    store_u64(tail, 0);
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
        kernel_word(at + i * 8, image + i * 8);
    kernel_clear_holes(codec, at);
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
        store_u64(at + string->offset, ref);
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
        kernel_word(at + i * 8, image + i * 8);
    if (holes)
        kernel_clear_holes(codec, at);
    for (uint32_t i = 0; i < n_strings; i++) {
        const struct codec_string *string = &codec->strings[i];
        const char *text = codec_load_pointer(image + string->offset);
        uint64_t ref;
        if (UNLIKELY(!text || text == string->fallback)) {
            ref = text ? REF_DEFAULT : REF_NULL;
        } else if (string->offset == alias->field_offset) {
            ref = codec_alias_ref(alias);
        } else {
            int32_t len = kernel_put_short(text, tail);
            if (UNLIKELY(len < 0))
                return put_any(codec, message, record, at, end, alias);
            ref = codec_text_ref((uint32_t)(tail - record), (uint64_t)(uint32_t)len);
            tail += len + 1;
        }
        store_u64(at + string->offset, ref);
    }
    return put_end(tail, at, end);
}

ALWAYS_INLINE void *get(const struct codec *codec, const char *record, const char *at,
                        void *message, uint32_t words, uint32_t n_strings)
{
    struct kernel_strings strings;
    kernel_strings_init(&strings, codec, n_strings);
    kernel_get_base(codec, message);
    kernel_get(codec, &strings, record, at, message, words, n_strings);
    return message;
}

/* Any shape. */
static void *get_any(const struct codec *codec, const char *record, const char *at, void *message,
                     struct arena *arena)
{
    char *image = (char *)message + MESSAGE_BASE;
    kernel_get_base(codec, message);
    memcpy(image, at, (size_t)codec->words * 8);
    for (uint32_t i = 0; i < codec->n_strings; i++) {
        const struct codec_string *string = &codec->strings[i];
        uint32_t off = load_u32(at + string->offset);
        store_u64(image + string->offset, codec_text_address(record, off, string->fallback));
    }
    return message;
}

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
KERNEL_SHAPES(KERNELS)

struct kernels {
    codec_put_fn *put;
    codec_put_fn *put_holes;
    codec_get_fn *get;
};

#define ENTRY(words, strings)                                                    \
    [words][strings] = { put_##words##_##strings, put_holes_##words##_##strings, \
                         get_##words##_##strings },
static const struct kernels shapes[KERNEL_WORDS_MAX + 1][KERNEL_STRINGS_MAX + 1] = { KERNEL_SHAPES(
    ENTRY) };

void codec_flat_pick(struct codec *codec)
{
    codec->put = put_any;
    codec->get = get_any;
    if (!kernel_serves(codec))
        return;
    const struct kernels *kernels = &shapes[codec->words][codec->n_strings];
    codec->put = codec->n_holes ? kernels->put_holes : kernels->put;
    codec->get = kernels->get;
}
