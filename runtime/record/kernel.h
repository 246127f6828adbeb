/* The unrolled steps of flat types, for the loops that wrap them around work of their own: the
 * codec, the emitter, the host's dispatch. Nobody else needs more of a codec than codec.h.
 *
 * A shape is a number of words and a number of strings. The image is copied word by word; then the
 * word of every string, whose place the codec holds, is overwritten with its reference, or, on the
 * way back, with its address. With both numbers known to the compiler nothing is left of the loops,
 * and inlined into its caller nothing is left of the call either.
 *
 * Why word by word: the message was filled just before. A load that is wider than those stores
 * cannot be served from the store buffer and waits, so the copy must not become a wide one;
 * kernel_word hides the word from the vectoriser. A string is read once, for its length and for its
 * bytes.
 */
#ifndef RUNTIME_RECORD_KERNEL_H
#define RUNTIME_RECORD_KERNEL_H

#include "runtime/base/asan.h"
#include "runtime/record/codec.h"

#if defined(__SSE2__) && !SANITIZED
#define KERNEL_WIDE 1 /* strings are read 16 bytes at a time */
#include <emmintrin.h>
#else
#define KERNEL_WIDE 0
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define KERNEL_WORDS_MAX   8
#define KERNEL_STRINGS_MAX 4
#define KERNEL_TEXT_MAX    15u /* bytes of a string that is short: one load has it and its NUL */

/* X(words, strings) for every shape that has kernels. */
#define KERNEL_SHAPES_1(X, words) X(words, 0) X(words, 1)
#define KERNEL_SHAPES_2(X, words) KERNEL_SHAPES_1(X, words) X(words, 2)
#define KERNEL_SHAPES_3(X, words) KERNEL_SHAPES_2(X, words) X(words, 3)
#define KERNEL_SHAPES_4(X, words) KERNEL_SHAPES_3(X, words) X(words, 4)
#define KERNEL_SHAPES(X)  \
    KERNEL_SHAPES_1(X, 1) \
    KERNEL_SHAPES_2(X, 2) \
    KERNEL_SHAPES_3(X, 3) \
    KERNEL_SHAPES_4(X, 4) \
    KERNEL_SHAPES_4(X, 5) KERNEL_SHAPES_4(X, 6) KERNEL_SHAPES_4(X, 7) KERNEL_SHAPES_4(X, 8)

struct codec_string {     /* of a flat type */
    uint32_t offset;      /* in the image */
    const char *fallback; /* the descriptor's own, or NULL */
};

struct plan;

struct codec {
    codec_put_fn *put;
    codec_get_fn *get;
    const ProtobufCMessageDescriptor *descriptor;
    uint32_t words; /* of the image */
    uint32_t n_strings;
    uint32_t n_holes;
    const uint32_t *holes;   /* offsets of 4 bytes in the image that no member covers */
    const struct plan *plan; /* types that are not flat */
    const struct type *type;
    struct arena memory; /* owned: holes, plans and what they point to */
    struct codec_string strings[];
};

/* Whether the codec's shape is one of KERNEL_SHAPES. */
static inline bool kernel_serves(const struct codec *codec)
{
    return !codec->plan && codec->words > 0 && codec->words <= KERNEL_WORDS_MAX &&
           codec->n_strings <= KERNEL_STRINGS_MAX && codec->n_strings <= codec->words;
}

/* ---- the smallest steps -------------------------------------------------------------------- */

/* The pointer that a struct holds there. */
static inline const char *codec_load_pointer(const char *at)
{
    const char *pointer;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
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

/* What the string at a reference is in a struct. */
static inline uint64_t codec_text_address(const char *record, uint32_t off, const char *fallback)
{
    if (LIKELY(off > REF_DEFAULT))
        return codec_address(record, off);
    return off == REF_DEFAULT ? (uint64_t)(uintptr_t)fallback : 0;
}

/* The same for a reference that stands for no text of the record; a call, so that nothing of it is
 * done before it is needed. */
COLD uint64_t codec_text_elsewhere(const struct codec_string *string, uint32_t off);

/* ---- strings ------------------------------------------------------------------------------- */

#if KERNEL_WIDE
/* The 16 bytes at a text, where they may be read: not for NULL, not across the end of a page (nor,
 * so that one comparison does, at the start of one). They may reach past the end of the text. */
ALWAYS_INLINE bool kernel_text(const char *text, __m128i *bytes)
{
    if (UNLIKELY((((uintptr_t)text - 1) & 4095) > 4095 - 16))
        return false;
    *bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
    return true;
}

/* A bit for every byte that is NUL: none if the text is not short. */
ALWAYS_INLINE uint32_t kernel_nuls(__m128i bytes)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
}

/* The number of the first one: the text's length. By hand, since the builtin gives an int, which
 * then lives in two registers. */
ALWAYS_INLINE size_t kernel_first(uint32_t nuls)
{
    uint64_t first;
    __asm__("bsf %1, %0" : "=r"(first) : "r"((uint64_t)nuls) : "cc");
    if (first > KERNEL_TEXT_MAX)
        __builtin_unreachable(); /* they are 16 bits */
    return first;
}
#endif

/* Copies a string of less than 16 bytes with its NUL, and anything up to 16 bytes behind `at`,
 * without looking at any end; answers its length, or -1 if the string is not for this function. */
ALWAYS_INLINE int32_t kernel_put_short(const char *text, char *at)
{
#if KERNEL_WIDE
    __m128i bytes;
    if (LIKELY(kernel_text(text, &bytes))) {
        uint32_t nuls = kernel_nuls(bytes);
        if (LIKELY(nuls != 0)) {
            _mm_storeu_si128((__m128i *)(void *)at, bytes);
            return __builtin_ctz(nuls);
        }
    }
#endif
    return -1;
}

/* ---- words --------------------------------------------------------------------------------- */

ALWAYS_INLINE void kernel_word(char *to, const char *from)
{
    uint64_t word = load_u64(from);
    __asm__("" : "+r"(word)); /* opaque: two of these are not one of 16 bytes */
    store_u64(to, word);
}

/* What lies between the members of a struct is nobody's, and would make equal values differ. */
ALWAYS_INLINE void kernel_clear_holes(const struct codec *codec, char *at)
{
    for (uint32_t i = 0; i < codec->n_holes; i++)
        store_u32(at + codec->holes[i], 0);
}

/* What is the same in every struct of the type: once for any number of kernel_get. */
ALWAYS_INLINE void kernel_get_base(const struct codec *codec, void *message)
{
    ProtobufCMessage *base = message;
    base->descriptor = codec->descriptor;
    base->n_unknown_fields = 0;
    base->unknown_fields = NULL;
}

/* Where the strings are in the image: what a loop over records keeps at hand. */
struct kernel_strings {
    uint32_t offsets[KERNEL_STRINGS_MAX];
};

ALWAYS_INLINE void kernel_strings_init(struct kernel_strings *strings, const struct codec *codec,
                                       uint32_t n_strings)
{
    for (uint32_t i = 0; i < n_strings; i++)
        strings->offsets[i] = codec->strings[i].offset;
}

/* Fills the rest of a struct from a record's attributes at `at`. */
ALWAYS_INLINE void kernel_get(const struct codec *codec, const struct kernel_strings *strings,
                              const char *record, const char *at, void *message, uint32_t words,
                              uint32_t n_strings)
{
    char *image = (char *)message + MESSAGE_BASE;
    for (uint32_t i = 0; i < words; i++)
        kernel_word(image + i * 8, at + i * 8);
    for (uint32_t i = 0; i < n_strings; i++) {
        uint32_t offset = strings->offsets[i];
        uint32_t off = load_u32(at + offset);
        uint64_t address = codec_address(record, off);
        if (UNLIKELY(off <= REF_DEFAULT))
            address = codec_text_elsewhere(&codec->strings[i], off);
        store_u64(image + offset, address);
    }
}

#endif
