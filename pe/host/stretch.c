/* The hot loop: a stretch of records of one stream whose only handler is plain (no TTL, trigger or
 * output by events), unrolled per shape of the stream's type.
 *
 * Records are taken in groups, in three steps, each of which fetches what the next one needs:
 *
 *     words     the index words of the next group, by the hashes in its records
 *     find      the number of each instance of this group, by the tags in those words; its entry
 *     handle    key compared, event decoded, handler called
 *
 * A group is of records with the same head (stream, flags, hop) and of one link, numbered without a
 * gap, so that these are compared once, in the second step, with two words that say what the next
 * record must look like. What does not fit (another link, no such instance, one that waits) ends
 * the group or takes the general way; order is kept, since that one record is done before the next.
 *
 * Nothing that the second step found is trusted in the third: the instance must live and have the
 * key. A number stays valid as a number whatever the calls in between do.
 */
#include "pe/host/host_run.h"

#include "runtime/base/asan.h"
#include "runtime/record/kernel.h"

#define GROUP    32u
#define LINK_ONE (UINT64_C(1) << 32) /* from one record of a link to the next */

/* A record of the group, and the number of its instance or INSTANCE_NONE. */
struct found {
    const struct record *record;
    uint32_t number;
};

static inline const struct record *record_at(const struct host_span *span, uint32_t i)
{
    return (const struct record *)(const void *)(span->data + (size_t)span->order[i] * 8);
}

/* Stream, flags and hop. */
static inline uint32_t head_of(const struct record *record)
{
    return codec_load32((const char *)&record->stream);
}

static inline uint64_t link_of(const struct record *record)
{
    return codec_load64((const char *)&record->src);
}

/* ---- words --------------------------------------------------------------------------------- */

/* The records from i on, as far as they belong to one partition and make up a group. Records behind
 * this run are those of the next one, whose number of records is known. */
static inline void fetch_words(const struct host_app *app, const struct host_span *span, uint32_t i,
                               uint32_t hearer)
{
    uint32_t end = i < span->n ? span->n : span->next_n;
    if (i >= end)
        return;
    end = end - i > GROUP ? i + GROUP : end;
    const struct host_partition *p = app->partitions[record_at(span, i)->dst];
    const struct tagindex *index = &p->tables[hearer].index;
    const uint64_t *words = index->words;
    uint64_t mask = index->mask;
    for (; i < end; i++)
        PREFETCH(&words[record_at(span, i)->key_hash & mask]);
}

void host_fetch_first(const struct host_app *app, const struct host_span *span, uint32_t i)
{
    const struct record *record = record_at(span, i);
    if (record->stream < app->n_pairs && app->pairs[record->stream].stretch)
        fetch_words(app, span, i, app->pairs[record->stream].fast_prototype);
}

/* ---- find ---------------------------------------------------------------------------------- */

/* Finds instances for the records from i on, up to `end` or to one that does not fit the group;
 * answers how many. `link` is that of the first one. An instance is the first one with the tag of
 * the record's hash; its entry is fetched. An empty word ends the search: its number is
 * INSTANCE_NONE, and what is fetched for it does no harm. */
ALWAYS_INLINE uint32_t find_group(const struct instances *table, const struct host_span *span,
                                  uint32_t i, uint32_t end, uint64_t link, struct found *found)
{
    const char *words = (const char *)table->index.words;
    const char *entries = table->entries;
    const uint64_t entry_size = table->entry_size;
    const uint64_t state_offset = table->state_offset;
    const uint64_t mask = table->index.mask;
    const uint32_t head = head_of(record_at(span, i));
    const struct found *first = found;
    uint64_t one = LINK_ONE;
    __asm__("" : "+r"(one)); /* kept, not made anew each time */
    for (const uint16_t *order = span->order + i, *stop = span->order + end; order < stop;
         order++) {
        const struct record *record = (const void *)(span->data + (size_t)*order * 8);
        __asm__("" : "+r"(record)); /* its address once, not once per use */
        if (UNLIKELY(head_of(record) != head || link_of(record) != link))
            break;
        link += one;
        uint32_t tag = instances_tag(record->key_hash);
        const char *word = words + (tag & mask) * 8;
        for (uint64_t at = tag; UNLIKELY(codec_load32(word + 4) != tag) && codec_load32(word) != 0;)
            word = words + (++at & mask) * 8;
        uint32_t number = codec_load32(word) - 1;
        found->record = record;
        found->number = number;
        found++;
        PREFETCH(entries + number * entry_size);
        PREFETCH(entries + number * entry_size + state_offset);
    }
    return (uint32_t)(found - first);
}
_Static_assert(INSTANCE_NONE == (uint32_t)0 - 1, "an empty word is no instance");

/* ---- handle -------------------------------------------------------------------------------- */

/* Whether the instance is the record's, and takes events: lives, and neither waits nor is parked
 * nor failed last; one comparison, together with the length of its key. */
ALWAYS_INLINE bool is_ready(const struct instance *instance, const struct record *record,
                            uint32_t key_len)
{
    uint32_t state = codec_load32((const char *)&instance->key_len) & ~(INSTANCE_DIRTY << 16);
    return state == (key_len | INSTANCE_LIVE << 16) && LIKELY(key_len <= 16) &&
           instances_short_equal((const char *)(instance + 1), record_key(record), key_len);
}
_Static_assert(offsetof(struct instance, flags) == offsetof(struct instance, key_len) + 2,
               "length, flags and failures are compared as one word");

/* The end of a call that did more than look at its event. */
__attribute__((noinline)) static void call_ends(struct host_ctx *ctx, const struct record *record,
                                                s4_status status)
{
    if (LIKELY(host_call_is_plain(ctx, status)))
        host_call_commit(ctx);
    else
        host_event_end(ctx, ctx->prototype, ctx->number, record, status);
}

/* ---- a stretch ----------------------------------------------------------------------------- */

/* At first, and after a record that went the general way. */
static void stretch_begin(struct host_ctx *ctx, const struct host_pair *pair)
{
    ctx->prototype = &ctx->app->prototypes[pair->fast_prototype];
    ctx->table = &ctx->partition->tables[pair->fast_prototype];
    ctx->kind = CALL_EVENT;
    asan_unpoison(ctx->worker->event, HOST_EVENT_SIZE);
    kernel_get_base(pair->route.codec, ctx->worker->event);
}

/* One record the general way, between two of this one. False: the partition stalls. */
__attribute__((noinline)) static bool
handle_slowly(struct host_ctx *ctx, const struct host_pair *pair, const struct record *record)
{
    if (!host_dispatch_one(ctx, record))
        return false;
    stretch_begin(ctx, pair);
    return true;
}

/* Whether a group can begin with the record: it must be the next of its link. */
static bool group_begin(struct host_ctx *ctx, const struct record *record)
{
    if (!link_is_next(&ctx->partition->links_in, record))
        return false;
    ctx->emission.hop = (uint8_t)(record->hop + (record->hop < UINT8_MAX));
    return true;
}

/* Notes in the partition that the records before the one with this link were applied. */
static inline void group_end(struct host_ctx *ctx, uint64_t link)
{
    ctx->partition->links_in.last[(uint16_t)link] = (uint32_t)(link >> 32) - 1;
}

/* The records of a group; answers how many of the `n` are done. It may be fewer above the hard
 * memory mark, or when the partition stalls. Without words: any type, decoded by a call. */
ALWAYS_INLINE uint32_t run_group(struct host_ctx *ctx, const struct host_pair *pair,
                                 const struct found *found, uint32_t n, uint64_t link,
                                 uint32_t words, uint32_t n_strings)
{
    const struct codec *codec = pair->route.codec;
    struct kernel_strings strings;
    event_fn *on_event = pair->fast;
    char *scratch = ctx->worker->event;
    char *entries = ctx->table->entries;
    uint64_t entry_size = ctx->table->entry_size;
    uint64_t state_offset = ctx->table->state_offset;
    uint32_t now_ms = host_now_ms(ctx->partition, ctx->prototype);
    uint8_t dirty = ctx->prototype->dirty_flag;
    uint32_t i = 0;
    kernel_strings_init(&strings, codec, n_strings);
    for (const struct found *f = found, *end = found + n; f < end; f++) {
        const struct record *record = f->record;
        uint32_t number = f->number;
        struct instance *instance = (struct instance *)(void *)(entries + number * entry_size);
        uint32_t key_len = record_key_len(record);
        const void *event = NULL;
        if (LIKELY(number != INSTANCE_NONE && is_ready(instance, record, key_len))) {
            event = scratch;
            if (words)
                kernel_get(codec, &strings, (const char *)record,
                           (const char *)(record + 1) + record_key_room(key_len), scratch, words,
                           n_strings);
            else
                event = host_decode(ctx->worker, pair, record);
        }
        if (UNLIKELY(!event)) {
            i = (uint32_t)(f - found);
            group_end(ctx, link + i * LINK_ONE);
            if (!handle_slowly(ctx, pair, record))
                return i;
            if (ctx->yield)
                return i + 1;
            entries = ctx->table->entries;
            continue;
        }
        instance->last_ms = now_ms;
        instance->flags |= dirty;
        ctx->record = record;
        ctx->number = number;
        s4_status status = on_event(&ctx->pub, (char *)instance + state_offset, event);
        if (UNLIKELY(((uint32_t)status | ctx->touched) != 0)) {
            call_ends(ctx, record, status);
            if (UNLIKELY(ctx->yield)) {
                n = (uint32_t)(f - found) + 1;
                break;
            }
        }
    }
    group_end(ctx, link + n * LINK_ONE);
    return n;
}

/* From i on; answers where the stretch ends: at the run's end, at another stream, or at a record
 * that the partition stalls at. */
ALWAYS_INLINE uint32_t stretch(struct host_ctx *ctx, const struct host_pair *pair,
                               const struct host_span *span, uint32_t i, uint32_t words,
                               uint32_t n_strings)
{
    struct found found[GROUP];
    stretch_begin(ctx, pair);
    while (i < span->n && !ctx->yield) {
        const struct record *record = record_at(span, i);
        if (record->stream != pair->route.number)
            break;
        if (UNLIKELY(!group_begin(ctx, record))) {
            if (!handle_slowly(ctx, pair, record))
                break;
            i++;
            continue;
        }
        uint64_t link = link_of(record);
        uint32_t end = span->n - i > GROUP ? i + GROUP : span->n;
        uint32_t n = find_group(ctx->table, span, i, end, link, found);
        fetch_words(ctx->app, span, i + n, pair->fast_prototype);
        i += run_group(ctx, pair, found, n, link, words, n_strings);
        if (UNLIKELY(ctx->partition->base.stalled))
            break;
    }
    return i;
}

#define STRETCH(words, strings)                                                               \
    HOT static uint32_t stretch_##words##_##strings(struct host_ctx *ctx,                     \
                                                    const struct host_pair *pair,             \
                                                    const struct host_span *span, uint32_t i) \
    {                                                                                         \
        return stretch(ctx, pair, span, i, words, strings);                                   \
    }
STRETCH(0, 0) /* any type: decoded by a call */
KERNEL_SHAPES(STRETCH)

#define ENTRY(words, strings) [words][strings] = stretch_##words##_##strings,
static host_stretch_fn *const shapes[KERNEL_WORDS_MAX + 1][KERNEL_STRINGS_MAX + 1] = {
    KERNEL_SHAPES(ENTRY)
};

host_stretch_fn *host_stretch_of(const struct codec *codec)
{
    return kernel_serves(codec) ? shapes[codec->words][codec->n_strings] : stretch_0_0;
}
