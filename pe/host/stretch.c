/* The hot loop: a stretch of records of one stream whose only handler is plain (no TTL, trigger or
 * output by events), unrolled per shape of the stream's type.
 *
 * Records are taken in groups, in two steps, each of which fetches what the next one needs:
 *
 *     find      the number of each instance of this group, by the tags in the records' places and
 *               the words of the index; fetches its entry
 *     handle    record judged, key compared, event decoded, handler called; between two of them a
 *               word for the next group and a record further on are fetched: one at a time, since
 *               a burst of fetches is waited for as if they were loads
 *
 * Only the second touches the records. They must have the same head (stream, flags, hop) and be of
 * one link, numbered without a gap, so that both are compared with two words that say what the next
 * record must look like. What does not fit (another link, no such instance, one that waits) is
 * looked at, or takes the general way; order is kept, since that record is done before the next.
 *
 * Nothing that the first step found is trusted in the second: the instance must live and have the
 * key. A number stays valid as a number whatever the calls in between do.
 */
#include "pe/host/host_run.h"

#include "runtime/base/asan.h"
#include "runtime/record/kernel.h"

#define GROUP         32u
#define RECORDS_AHEAD 24u                 /* records whose lines are fetched before their turn */
#define LINK_ONE      (UINT64_C(1) << 32) /* from one record of a link to the next */

/* Stream, flags and hop. */
static inline uint32_t head_of(const struct record *record)
{
    return load_u32((const char *)&record->stream);
}

static inline uint64_t link_of(const struct record *record)
{
    return load_u64((const char *)&record->src);
}

/* ---- ahead --------------------------------------------------------------------------------- */

/* Where the index words of the next group are: of one partition, that of its first record. */
struct words {
    const uint64_t *at;
    uint64_t mask;
};

static inline struct words words_of(const struct host_app *app, const struct block_place *place,
                                    uint32_t hearer)
{
    static const uint64_t nothing;
    const struct host_partition *p = host_partition_at(app, place->dst);
    if (UNLIKELY(!p)) /* it has moved away; what is for it will be dropped */
        return (struct words){ &nothing, 0 };
    const struct tagindex *index = &p->tables[hearer].index;
    return (struct words){ index->words, index->mask };
}

static inline void fetch_word(const struct words *words, const struct block_place *place)
{
    PREFETCH(&words->at[place->tag & words->mask]);
}

static inline void fetch_record(const struct host_span *span, const struct block_place *place)
{
    PREFETCH(block_record(span->data, place));
}

/* n places from i on; where there are not so many, some that may be read all the same. */
static inline const struct block_place *places_from(const struct host_span *span, uint32_t i,
                                                    uint32_t n)
{
    return i + n <= span->all ? span->order + i : span->order;
}

/* The first record of a block has nobody before it to fetch for it and for those behind. */
void host_fetch_first(const struct host_app *app, const struct host_span *span)
{
    const struct block_place *place = span->order;
    const struct block_place *end = place + size_min(RECORDS_AHEAD, span->all);
    uint16_t stream = block_record(span->data, place)->stream;
    for (const struct block_place *p = place; p < end; p++)
        fetch_record(span, p);
    if (stream >= app->n_pairs || !app->pairs[stream].stretch)
        return;
    struct words words = words_of(app, place, app->pairs[stream].fast_prototype);
    for (end = place + size_min(span->n, GROUP); place < end; place++)
        fetch_word(&words, place);
}

/* ---- find ---------------------------------------------------------------------------------- */

/* Finds the instances for n places: the first one with the tag; its entry is fetched. An empty word
 * ends the search: its number is INSTANCE_NONE, and what is fetched for it does no harm. */
ALWAYS_INLINE void find_group(const struct instances *table, const struct block_place *places,
                              uint32_t n, uint32_t *numbers)
{
    const char *words = (const char *)table->index.words;
    const char *entries = table->entries;
    const uint64_t entry_size = table->entry_size;
    const uint64_t state_offset = table->state_offset;
    const uint64_t mask = table->index.mask;
    if (UNLIKELY(!entries)) { /* there is none yet */
        memset(numbers, 0xff, n * sizeof *numbers);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tag = places[i].tag;
        const char *word = words + (tag & mask) * 8;
        for (uint64_t at = tag; UNLIKELY(load_u32(word + 4) != tag) && load_u32(word) != 0;)
            word = words + (++at & mask) * 8;
        uint64_t found = load_u32(word) - 1;
        numbers[i] = (uint32_t)found;
        PREFETCH(entries + found * entry_size);
        PREFETCH(entries + found * entry_size + state_offset);
    }
}
_Static_assert(INSTANCE_NONE == (uint32_t)0 - 1, "an empty word is no instance");

/* ---- handle -------------------------------------------------------------------------------- */

/* Whether the instance is the record's, and has just these flags and no failures; one comparison,
 * together with the length of its key. */
ALWAYS_INLINE bool is_ready(const struct instance *instance, const struct record *record,
                            uint32_t key_len, uint32_t flags)
{
    uint32_t state = load_u32((const char *)&instance->key_len);
    return state == (key_len | flags) && LIKELY(key_len <= 16) &&
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
    ctx->kind = CALL_EVENT; /* it may have called more than the handler */
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

/* What the next record must look like. */
struct sync {
    uint64_t link;
    uint32_t head;
    bool on; /* the link's counter in the partition lags behind */
};

/* Notes in the partition that the records of the link before this one were applied. */
static void sync_end(struct host_ctx *ctx, struct sync *sync)
{
    if (sync->on)
        ctx->partition->links_in.last[(uint16_t)sync->link] = (uint32_t)(sync->link >> 32) - 1;
    *sync = (struct sync){ 0 };
}

/* Goes on with this record, which must be the next of its link and of the stretch's stream. */
__attribute__((noinline)) static bool sync_begin(struct host_ctx *ctx, const struct host_pair *pair,
                                                 const struct record *record, struct sync *sync)
{
    sync_end(ctx, sync);
    if (record->stream != pair->route.number || !link_is_next(&ctx->partition->links_in, record))
        return false;
    *sync = (struct sync){ link_of(record), head_of(record), true };
    ctx->emission.hop = (uint8_t)(record->hop + (record->hop < UINT8_MAX));
    return true;
}

/* One record the general way, between two of this one. False: the stretch ends before it (another
 * stream, or the partition stalls). */
__attribute__((noinline)) static bool handle_slowly(struct host_ctx *ctx,
                                                    const struct host_pair *pair,
                                                    const struct record *record, struct sync *sync)
{
    sync_end(ctx, sync);
    if (record->stream != pair->route.number || !host_dispatch_one(ctx, record))
        return false;
    stretch_begin(ctx, pair);
    return true;
}

/* The records of n places; answers how many of them are done. It may be fewer above the hard memory
 * mark, or when the stretch ends. Without words: any type, decoded by a call. */
ALWAYS_INLINE uint32_t run_group(struct host_ctx *ctx, const struct host_pair *pair,
                                 const struct host_span *span, uint32_t from, uint32_t n,
                                 const uint32_t *numbers, struct sync *sync, uint32_t words,
                                 uint32_t n_strings)
{
    const struct codec *codec = pair->route.codec;
    struct kernel_strings strings;
    event_fn *on_event = pair->fast;
    char *scratch = ctx->worker->event;
    uintptr_t entries = (uintptr_t)ctx->table->entries; /* NULL while there is no instance */
    uint64_t entry_size = ctx->table->entry_size;
    uint64_t state_offset = ctx->table->state_offset;
    uint32_t now_ms = host_now_ms(ctx->partition, ctx->prototype);
    /* It takes events: lives, and neither waits nor is parked. The general way notes the first
     * event since the last output. */
    uint32_t flags = (uint32_t)(INSTANCE_LIVE | ctx->prototype->dirty_flag) << 16;
    uint64_t link = sync->link;
    uint32_t head = sync->head;
    const struct block_place *places = span->order + from;
    const struct block_place *soon = places_from(span, from + RECORDS_AHEAD, n);
    const struct block_place *next = places_from(span, from + n, n);
    const struct words next_words = words_of(ctx->app, next, pair->fast_prototype);
    const char *data = span->data;
    kernel_strings_init(&strings, codec, n_strings);
    for (size_t i = 0; i < n; i++) {
        const struct record *record = block_record(data, &places[i]);
        const void *event = NULL;
        PREFETCH(block_record(data, &soon[i]));
        fetch_word(&next_words, &next[i]);
        bool fits = head_of(record) == head && link_of(record) == link;
        if (UNLIKELY(!fits)) {
            sync->link = link;
            fits = sync_begin(ctx, pair, record, sync);
            link = sync->link;
            head = sync->head;
        }
        uint32_t key_len = record_key_len(record);
        uint32_t number = numbers[i];
        struct instance *instance = (struct instance *)(entries + number * entry_size);
        if (LIKELY(fits && number != INSTANCE_NONE && is_ready(instance, record, key_len, flags))) {
            const char *at = (const char *)(record + 1) + record_key_room(key_len);
            if (words)
                kernel_get(codec, &strings, (const char *)record, at, scratch, words, n_strings);
            event = words ? scratch : host_decode(ctx->worker, pair, record);
        }
        if (UNLIKELY(!event)) {
            sync->link = link;
            bool done = handle_slowly(ctx, pair, record, sync);
            if (!done || ctx->yield)
                return (uint32_t)i + done;
            link = sync->link;
            head = sync->head;
            entries = (uintptr_t)ctx->table->entries;
            continue;
        }
        link += LINK_ONE;
        instance->last_ms = now_ms;
        ctx->record = record;
        ctx->number = number;
        s4_status status = on_event(&ctx->pub, (char *)instance + state_offset, event);
        if (UNLIKELY(((uint32_t)status | ctx->touched) != 0)) {
            call_ends(ctx, record, status);
            if (UNLIKELY(ctx->yield))
                n = (uint32_t)i + 1;
        }
    }
    sync->link = link;
    return n;
}

/* From i on; answers where the stretch ends: at the run's end, at another stream, or at a record
 * that the partition stalls at. */
ALWAYS_INLINE uint32_t stretch(struct host_ctx *ctx, const struct host_pair *pair,
                               const struct host_span *span, uint32_t i, uint32_t words,
                               uint32_t n_strings)
{
    uint32_t numbers[GROUP];
    struct sync sync = { 0 };
    uint32_t done, n;
    stretch_begin(ctx, pair);
    do {
        n = span->n - i > GROUP ? GROUP : span->n - i;
        find_group(ctx->table, span->order + i, n, numbers);
        done = run_group(ctx, pair, span, i, n, numbers, &sync, words, n_strings);
        i += done;
    } while (done == n && i < span->n && !ctx->yield);
    sync_end(ctx, &sync);
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
/* cppcheck-suppress unknownMacro ; it is in kernel.h */
KERNEL_SHAPES(STRETCH)

#define ENTRY(words, strings) [words][strings] = stretch_##words##_##strings,
static host_stretch_fn *const shapes[KERNEL_WORDS_MAX + 1][KERNEL_STRINGS_MAX + 1] = {
    KERNEL_SHAPES(ENTRY)
};

host_stretch_fn *host_stretch_of(const struct codec *codec)
{
    return kernel_serves(codec) ? shapes[codec->words][codec->n_strings] : stretch_0_0;
}
