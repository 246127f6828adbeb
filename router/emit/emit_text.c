/* The hot path of emitting: the key is one short text of the event, and the destination's open
 * block has room. Whatever else it is, emitter.c does it.
 *
 * One function per shape of type, with the codec's kernel inlined. The text is read once, 16 bytes
 * at a time: that gives its length and its copy; the image refers to it where it lies as the key,
 * so that it is not written twice. One comparison makes sure of all the room that a record of the
 * shape can take, if its texts are short. All exits are tail calls, so that nothing is saved and
 * restored on the way. Header and counts are what put_head and finish in emitter.c do.
 */
/* gcc 12 keeps a pair of saved registers for the product in the hash, which it then does not use.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-split-wide-types")
#endif

#include "router/emit/emitter_inside.h"

#include "runtime/base/hash.h"
#include "runtime/record/kernel.h"

#if KERNEL_WIDE

#define AHEAD        1024 /* bytes that are fetched early: another core read them last */
#define KEY_ROOM_MAX ((2 + KERNEL_TEXT_MAX + 1 + 7) & ~7u)

/* Writes the key; answers where the attributes begin. Comes before these: the NUL and the zeros up
 * to them are eight bytes at once, which may reach into them. */
ALWAYS_INLINE char *put_key(char *at, __m128i text, size_t len)
{
    char *key = at + sizeof(struct record);
    uint16_t key_len = (uint16_t)len;
    memcpy(key, &key_len, sizeof key_len);
    _mm_storeu_si128((void *)(key + 2), text);
    store_u64(key + 2 + len, 0);
    return key + record_key_room(len);
}

/* All but what is only known at the end. */
ALWAYS_INLINE void put_header(const struct route *route, const struct emission *emission, char *at,
                              uint64_t hash, uint32_t from_to)
{
    struct record *record = (struct record *)(void *)at;
    record->key_hash = hash;
    store_u32((char *)&record->src, from_to);
    store_u32((char *)&record->stream, load_u32((const char *)&emission->blank) | route->number);
    record->time = emission->time;
}

/* Texts other than the key, behind the image at `to`; answers where they end, or NULL if one is not
 * short. */
ALWAYS_INLINE char *put_texts(const struct route *route, const char *image, char *at, char *to,
                              uint32_t words, uint32_t n_strings)
{
    char *tail = to + words * 8;
    for (uint32_t i = 0; n_strings > 1 && i < n_strings; i++) {
        const struct codec_string *string = &route->codec->strings[i];
        const char *text = codec_load_pointer(image + string->offset);
        if (string->offset == route->text_offset)
            continue;
        uint64_t ref = text ? REF_DEFAULT : REF_NULL;
        if (LIKELY(text && text != string->fallback)) {
            int32_t len = kernel_put_short(text, tail);
            if (UNLIKELY(len < 0))
                return NULL;
            ref = codec_text_ref((uint32_t)(tail - at), (uint32_t)len);
            tail += len + 1;
        }
        store_u64(to + string->offset, ref);
    }
    if (n_strings > 1)
        store_u64(tail, 0);
    return n_strings > 1 ? at + align_up((size_t)(tail - at), 8) : tail;
}

/* The first write of a call to a destination. */
__attribute__((noinline)) static s4_status
emit_marked(struct emitter *emitter, const struct route *route, const struct emission *emission,
            const void *message, struct emitter_open *open)
{
    if (UNLIKELY(emitter->left == 0))
        return emit_text_slowly(emitter, route, emission, message);
    emitter_mark(emitter, open, emission);
    return route->emit(emitter, route, emission, message);
}

ALWAYS_INLINE s4_status emit_text(struct emitter *emitter, const struct route *route,
                                  const struct emission *emission, const void *message,
                                  uint32_t words, uint32_t n_strings, bool holes)
{
    const uint32_t room =
        (uint32_t)sizeof(struct record) + KEY_ROOM_MAX + words * 8 + (n_strings - 1) * 16;
    const char *image = (const char *)message + MESSAGE_BASE;
    const char *key = codec_load_pointer(image + route->text_offset);
    __m128i text;
    if (UNLIKELY(!kernel_text(key, &text)))
        return emit_text_slowly(emitter, route, emission, message);
    uint32_t nuls = kernel_nuls(text);
    if (UNLIKELY(nuls == 0))
        return emit_text_slowly(emitter, route, emission, message);
    size_t len = kernel_first(nuls);
    uint64_t hash = hash_bytes(key, len);
    uint32_t slot = slot_of_hash(hash, emitter->slots);
    struct emitter_open *open = emitter->only;
    if (UNLIKELY(!open))
        open = emitter->at_slot[slot];
    char *at = open->at;
    if (UNLIKELY(at + room > open->end))
        return emit_text_slowly(emitter, route, emission, message);
    if (UNLIKELY(open->call != emitter->call))
        return emit_marked(emitter, route, emission, message, open);
    uint32_t *counter = &emitter->links[slot];
    PREFETCH_WRITE(at + AHEAD);
    uint32_t from_to = emitter->src | slot << 16; /* src and dst, as they lie in a record */
    put_header(route, emission, at, hash, from_to);
    char *to = put_key(at, text, len);
    for (uint32_t i = 0; i < words; i++)
        kernel_word(to + i * 8, image + i * 8);
    if (holes)
        kernel_clear_holes(route->codec, to);
    store_u64(to + route->text_offset, codec_text_ref(sizeof(struct record) + 2, len));
    char *end = put_texts(route, image, at, to, words, n_strings);
    if (UNLIKELY(!end))
        return emit_text_slowly(emitter, route, emission, message);
    struct record *record = (struct record *)(void *)at;
    record->len = (uint32_t)(end - at);
    record->seq = ++*counter;
    struct block_place *place = open->place;
    store_u32((char *)place, (uint32_t)(at - open->data) / BLOCK_UNIT | slot << 16);
    place->tag = (uint32_t)hash;
    open->place = place + 1;
    open->at = end;
    emitter_count(emitter);
    return S4_OK;
}

/* Shapes without a string have no text that could be the key. */
#define EMIT(words, strings)                                                                 \
    HOT static s4_status emit_##words##_##strings(                                           \
        struct emitter *emitter, const struct route *route, const struct emission *emission, \
        const void *message)                                                                 \
    {                                                                                        \
        if (strings == 0)                                                                    \
            return emit_text_slowly(emitter, route, emission, message);                      \
        return emit_text(emitter, route, emission, message, words, strings, false);          \
    }                                                                                        \
    HOT static s4_status emit_holes_##words##_##strings(                                     \
        struct emitter *emitter, const struct route *route, const struct emission *emission, \
        const void *message)                                                                 \
    {                                                                                        \
        if (strings == 0)                                                                    \
            return emit_text_slowly(emitter, route, emission, message);                      \
        return emit_text(emitter, route, emission, message, words, strings, true);           \
    }
KERNEL_SHAPES(EMIT)

struct emits {
    route_emit_fn *plain;
    route_emit_fn *holes;
};

#define ENTRY(words, strings) \
    [words][strings] = { emit_##words##_##strings, emit_holes_##words##_##strings },
static const struct emits shapes[KERNEL_WORDS_MAX + 1][KERNEL_STRINGS_MAX + 1] = { KERNEL_SHAPES(
    ENTRY) };

route_emit_fn *emit_text_pick(const struct route *route)
{
    const struct codec *codec = route->codec;
    if (!kernel_serves(codec))
        return emit_text_slowly;
    const struct emits *emits = &shapes[codec->words][codec->n_strings];
    return codec->n_holes ? emits->holes : emits->plain;
}

#else

route_emit_fn *emit_text_pick(const struct route *route)
{
    return emit_text_slowly;
}

#endif
