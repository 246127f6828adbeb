/* Writes records; see the header. The hot path is emit_text: one text of the event is its key,
 * which is the commonest subscription by far. The key's bytes are found, copied into the record and
 * hashed; the codec then refers to them there instead of writing the text again.
 *
 * A record is written straight into the open block of its destination. When it does not fit, the
 * block is sealed and a fresh one opened; a record that does not fit a fresh block travels alone in
 * a block of its own.
 */
#include "router/emit/emitter.h"

#include <emmintrin.h>

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN_LOADS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define PLAIN_LOADS 1
#endif
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define PAGE          4096u
#define OVERSIZE_MIN  (128 * KIB)
#define TEXT_HEAD_MAX (sizeof(struct record) + 32) /* header and the room of a key of 16 bytes */

s4_status emitter_init(struct emitter *emitter, const struct emitter_options *options,
                       uint32_t emits_max)
{
    *emitter = (struct emitter){ .options = *options, .emits_max = emits_max };
    emitter->sealed_end = &emitter->sealed;
    emitter->touched = options->touched ? options->touched : &emitter->untold;
    emitter->workers = options->map->worker;
    emitter->slots = options->map->slots;
    keys_init(&emitter->keys);
    emitter->open = mem_calloc(options->workers, sizeof *emitter->open);
    emitter->marks = mem_calloc(options->workers, sizeof *emitter->marks);
    if (emitter->open && emitter->marks)
        return S4_OK;
    emitter_fini(emitter);
    return S4_NO_MEMORY;
}

void emitter_fini(struct emitter *emitter)
{
    for (uint32_t w = 0; emitter->open && w < emitter->options.workers; w++)
        if (emitter->open[w].block)
            block_release(emitter->open[w].block);
    mem_free(emitter->open);
    mem_free(emitter->marks);
    keys_fini(&emitter->keys);
    *emitter = (struct emitter){ 0 };
}

/* ---- blocks -------------------------------------------------------------------------------- */

static void count_begun(struct emitter *emitter)
{
    uint64_t n = atomic_load_explicit(&emitter->begun, memory_order_relaxed) + 1;
    atomic_store_explicit(&emitter->begun, n,
                          memory_order_release); /* pairs with the drain's read */
}

static struct block *open_block(struct emitter *emitter, uint16_t worker, size_t capacity)
{
    struct block *block = block_take(emitter->options.pool, capacity);
    if (!block)
        return NULL;
    block->app = emitter->options.app;
    block->worker = worker;
    block->hops = 0;
    block->opened_us = emitter->now_us;
    count_begun(emitter);
    emitter->open[worker].block = block;
    emitter->n_open++;
    return block;
}

/* A full block leaves with the commit of the call that filled it. */
static void seal(struct emitter *emitter, uint16_t worker)
{
    struct block *block = emitter->open[worker].block;
    emitter->open[worker].block = NULL;
    emitter->n_open--;
    block->next = NULL;
    *emitter->sealed_end = block;
    emitter->sealed_end = &block->next;
}

void emitter_send_sealed(struct emitter *emitter)
{
    struct block *block = emitter->sealed;
    emitter->sealed = NULL;
    emitter->sealed_end = &emitter->sealed;
    while (block) {
        struct block *next = block->next;
        emitter->options.send(emitter->options.user, block);
        block = next;
    }
}

bool emitter_flush(struct emitter *emitter)
{
    if (emitter->n_open == 0)
        return false;
    for (uint32_t w = 0; w < emitter->options.workers; w++)
        if (emitter->open[w].block)
            seal(emitter, (uint16_t)w);
    emitter_send_sealed(emitter);
    return true;
}

static void note_mark(struct emitter *emitter, struct emitter_open *open, uint16_t worker)
{
    open->call = emitter->call;
    emitter->marks[emitter->n_marks++] = (struct emitter_mark){
        .block = open->block,
        .used = open->block ? open->block->used : 0,
        .count = open->block ? open->block->count : 0,
        .worker = worker,
    };
}

/* The first write of a call to a destination notes what was there before. */
static inline void mark(struct emitter *emitter, uint16_t worker)
{
    struct emitter_open *open = &emitter->open[worker];
    if (open->call != emitter->call)
        note_mark(emitter, open, worker);
}

/* ---- taking back --------------------------------------------------------------------------- */

/* Gives back the numbers of the records from `used` on and cuts the block there. */
static void cut(struct emitter *emitter, struct block *block, uint32_t used, uint32_t count)
{
    const struct record *end = block_end(block);
    const char *from = block->data + used;
    for (const struct record *r = (const struct record *)(const void *)from; r < end;
         r = record_next(r))
        emitter->links[r->dst]--;
    block->used = used;
    block->count = count;
}

static const struct emitter_mark *mark_of(const struct emitter *emitter, const struct block *block)
{
    for (uint32_t i = 0; i < emitter->n_marks; i++)
        if (emitter->marks[i].block == block)
            return &emitter->marks[i];
    return NULL;
}

static void drop(struct emitter *emitter, struct block *block)
{
    cut(emitter, block, 0, 0);
    uint64_t n = atomic_load_explicit(&emitter->begun, memory_order_relaxed) - 1;
    atomic_store_explicit(&emitter->begun, n, memory_order_release);
    block_release(block);
}

void emitter_rollback(struct emitter *emitter)
{
    for (uint32_t i = 0; i < emitter->n_marks; i++) {
        uint16_t worker = emitter->marks[i].worker;
        struct block *open = emitter->open[worker].block;
        if (open && !mark_of(emitter, open)) { /* opened in this call */
            emitter->open[worker].block = NULL;
            emitter->n_open--;
            drop(emitter, open);
        }
    }
    struct block *block = emitter->sealed;
    emitter->sealed = NULL;
    emitter->sealed_end = &emitter->sealed;
    while (block) { /* sealed in this call: open again what was open, drop the rest */
        struct block *next = block->next;
        if (mark_of(emitter, block)) {
            emitter->open[block->worker].block = block;
            emitter->n_open++;
        } else {
            drop(emitter, block);
        }
        block = next;
    }
    for (uint32_t i = 0; i < emitter->n_marks; i++) {
        const struct emitter_mark *m = &emitter->marks[i];
        if (m->block)
            cut(emitter, m->block, m->used, m->count);
    }
    emitter->n_marks = 0;
    emitter->emitted = 0;
}

/* ---- records ------------------------------------------------------------------------------- */

/* What a record is made of, besides its attributes. */
struct head {
    const char *key;
    size_t key_len;
    uint64_t hash;
    uint16_t stream;
    uint16_t slot;
    bool wide; /* the key is at most 16 bytes, and 16 may be read */
};

/* Writes header and key at `at`, where room for them was checked; answers where attributes go. */
static inline char *put_head(struct emitter *emitter, const struct head *head,
                             const struct emission *emission, char *at)
{
    struct record *record = (struct record *)(void *)at;
    record->stream = head->stream;
    record->flags = emission->flags;
    record->hop = emission->hop;
    record->key_hash = head->hash;
    record->time = emission->time;
    record->src = emitter->src;
    record->dst = head->slot;
    char *key = at + sizeof *record;
    uint16_t len = (uint16_t)head->key_len;
    memcpy(key, &len, sizeof len);
    if (LIKELY(head->wide))
        _mm_storeu_si128((void *)(key + 2), _mm_loadu_si128((const void *)head->key));
    else
        memcpy(key + 2, head->key, head->key_len);
    /* The NUL and the padding: at most 8 bytes, and what lies behind is written next. */
    memset(key + 2 + head->key_len, 0, 8);
    return key + record_key_room(head->key_len);
}

static inline void finish(struct emitter *emitter, struct block *block, struct record *record,
                          size_t len, const struct emission *emission)
{
    record->len = (uint32_t)len;
    record->seq = ++emitter->links[record->dst];
    block->used += (uint32_t)len;
    block->count++;
    if (emission->hop > block->hops)
        block->hops = emission->hop;
    emitter->emitted++;
}

/* Puts the attributes of a record: of a struct, of a value, or raw bytes. */
typedef int64_t put_attributes(const void *source, char *record, char *at, char *end,
                               const struct head *head);

/* Tries to write a record into a block. CODEC_FULL: no room there. */
ALWAYS_INLINE int64_t try_record(struct emitter *emitter, struct block *block,
                                 const struct head *head, const struct emission *emission,
                                 put_attributes *put, const void *source)
{
    char *at = block->data + block->used;
    char *end = block->data + block->capacity;
    size_t need = sizeof(struct record) + record_key_room(head->key_len);
    if (need > (size_t)(end - at))
        return CODEC_FULL;
    char *attributes = put_head(emitter, head, emission, at);
    int64_t n = put(source, at, attributes, end, head);
    if (n < 0)
        return n;
    mark(emitter, block->worker);
    finish(emitter, block, (struct record *)(void *)at, need + (size_t)n, emission);
    return n;
}

/* The slow way: a fresh block, then blocks of growing size for a record that fits none. */
__attribute__((noinline)) static s4_status put_in_fresh(struct emitter *emitter, uint16_t worker,
                                                        const struct head *head,
                                                        const struct emission *emission,
                                                        put_attributes *put, const void *source)
{
    mark(emitter, worker);
    if (emitter->open[worker].block && emitter->open[worker].block->count > 0)
        seal(emitter, worker);
    size_t ordinary = block_pool_block_size(emitter->options.pool);
    for (size_t size = ordinary;;) {
        struct block *block = emitter->open[worker].block;
        if (!block && !(block = open_block(emitter, worker, size)))
            return S4_NO_MEMORY;
        int64_t n = try_record(emitter, block, head, emission, put, source);
        if (n >= 0) {
            if (size > ordinary)
                seal(emitter, worker);
            return S4_OK;
        }
        emitter->open[worker].block = NULL;
        emitter->n_open--;
        drop(emitter, block);
        if (n != CODEC_FULL || size >= RECORD_MAX)
            return S4_TOO_LARGE;
        size = size_max(OVERSIZE_MIN, size * 2);
        size = size_min(size, RECORD_MAX);
    }
}

ALWAYS_INLINE s4_status put_record(struct emitter *emitter, const struct head *head,
                                   const struct emission *emission, put_attributes *put,
                                   const void *source)
{
    if (UNLIKELY(emitter->emitted >= emitter->emits_max))
        return S4_FULL;
    uint16_t worker = emitter->workers[head->slot];
    struct block *block = emitter->open[worker].block;
    if (LIKELY(block != NULL)) {
        mark(emitter, worker);
        int64_t n = try_record(emitter, block, head, emission, put, source);
        if (LIKELY(n >= 0))
            return S4_OK;
        if (n != CODEC_FULL)
            return S4_TOO_LARGE;
    }
    return put_in_fresh(emitter, worker, head, emission, put, source);
}

/* ---- sources of attributes ----------------------------------------------------------------- */

struct message_source {
    const struct route *route;
    const void *message;
};

static int64_t put_message(const void *source, char *record, char *at, char *end,
                           const struct head *head)
{
    const struct message_source *s = source;
    struct codec_alias alias = {
        .field_offset = s->route->text_offset,
        .off = sizeof(struct record) + 2,
        .len = (uint32_t)head->key_len,
    };
    return s->route->put(s->route->codec, s->message, record, at, end, &alias);
}

static int64_t put_value(const void *source, char *record, char *at, char *end,
                         const struct head *head)
{
    const struct value *value = source;
    size_t size = value_size_whole(value);
    if (size > (size_t)(end - at))
        return CODEC_FULL;
    value_copy_whole(value, record, at);
    return (int64_t)size;
}

struct raw_source {
    const void *data;
    size_t size;
};

static int64_t put_raw(const void *source, char *record, char *at, char *end,
                       const struct head *head)
{
    const struct raw_source *s = source;
    size_t room = align_up(s->size, 8);
    if (room > (size_t)(end - at))
        return CODEC_FULL;
    if (s->size)
        memcpy(at, s->data, s->size);
    memset(at + s->size, 0, room - s->size);
    return (int64_t)room;
}

/* ---- routes -------------------------------------------------------------------------------- */

static s4_status put_to_slot(struct emitter *emitter, const struct route *route, uint16_t slot,
                             const struct emission *emission, put_attributes *put,
                             const void *source)
{
    struct head head = {
        .key = "", .hash = hash_bytes("", 0), .stream = route->number, .slot = slot
    };
    return put_record(emitter, &head, emission, put, source);
}

/* A key of which a part is absent gives no record. */
static s4_status note_absent(struct emitter *emitter)
{
    uint64_t n = atomic_load_explicit(&emitter->absent, memory_order_relaxed);
    atomic_store_explicit(&emitter->absent, n + 1, memory_order_relaxed);
    return S4_OK;
}

static s4_status put_to_keys(struct emitter *emitter, const struct route *route,
                             const struct emission *emission, put_attributes *put,
                             const void *source)
{
    size_t n = keys_count(&emitter->keys);
    if (n == 0)
        return note_absent(emitter);
    for (size_t i = 0; i < n; i++) {
        const struct key_at *key = keys_at(&emitter->keys, i);
        struct head head = { .key = keys_bytes(&emitter->keys, key),
                             .key_len = key->len,
                             .hash = key->hash,
                             .stream = route->number,
                             .slot = slot_of_hash(key->hash, emitter->slots) };
        TRY(put_record(emitter, &head, emission, put, source));
    }
    return S4_OK;
}

static s4_status put_keyless(struct emitter *emitter, const struct route *route,
                             const struct emission *emission, put_attributes *put,
                             const void *source)
{
    if (route->kind == ROUTE_KEYLESS)
        return put_to_slot(emitter, route, emission->keyless, emission, put, source);
    if (route->kind == ROUTE_SLOT)
        return put_to_slot(emitter, route, route->slot, emission, put, source);
    for (uint32_t slot = 0; slot < emitter->slots; slot++)
        TRY(put_to_slot(emitter, route, (uint16_t)slot, emission, put, source));
    return S4_OK;
}

/* The length of a text of less than 16 bytes whose 16 bytes do not cross a page; else 16. */
static inline size_t short_text_len(const char *text)
{
#ifndef PLAIN_LOADS
    if (LIKELY(((uintptr_t)text & (PAGE - 1)) <= PAGE - 16)) {
        __m128i bytes = _mm_loadu_si128((const void *)text);
        uint32_t nuls = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
        if (LIKELY(nuls != 0))
            return (size_t)__builtin_ctz(nuls);
    }
#endif
    return 16;
}

__attribute__((noinline, cold)) static s4_status
note_failure(struct emitter *emitter, const struct route *route, s4_status status)
{
    if (emitter->failed == S4_OK) {
        emitter->failed = status;
        emitter->failed_route = route;
    }
    *emitter->touched = 1;
    return status;
}

/* The general way for a text that is a key. */
__attribute__((noinline)) static s4_status emit_text_slowly(struct emitter *emitter,
                                                            const struct route *route,
                                                            const struct emission *emission,
                                                            const char *text, const void *message)
{
    if (!text)
        return note_absent(emitter);
    size_t len = strlen(text);
    if (len > RECORD_KEY_MAX)
        return note_failure(emitter, route, S4_TOO_LARGE);
    struct head head = {
        .key = text, .key_len = len, .hash = hash_bytes(text, len), .stream = route->number
    };
    head.slot = slot_of_hash(head.hash, emitter->slots);
    struct message_source source = { .route = route, .message = message };
    s4_status status = put_record(emitter, &head, emission, put_message, &source);
    return status == S4_OK ? S4_OK : note_failure(emitter, route, status);
}

/* The hot path: the key is one short text of the event, and the destination's block has room. Text
 * and header are written as in put_head; what is checked and counted is what put_record does. */
HOT static s4_status emit_text(struct emitter *emitter, const struct route *route,
                               const struct emission *emission, const void *message)
{
    const char *text;
    memcpy(&text, (const char *)message + MESSAGE_BASE + route->text_offset, sizeof text);
    size_t len = LIKELY(text != NULL) ? short_text_len(text) : 16;
    if (UNLIKELY(len >= 16))
        return emit_text_slowly(emitter, route, emission, text, message);
    uint64_t hash = hash_bytes(text, len);
    uint16_t slot = slot_of_hash(hash, emitter->slots);
    struct emitter_open *open = &emitter->open[emitter->workers[slot]];
    struct block *block = open->block;
    if (UNLIKELY(!block || emitter->emitted >= emitter->emits_max ||
                 block->used + TEXT_HEAD_MAX > block->capacity))
        return emit_text_slowly(emitter, route, emission, text, message);
    if (UNLIKELY(open->call != emitter->call))
        note_mark(emitter, open, emitter->workers[slot]);
    if (UNLIKELY(emission->hop > block->hops))
        block->hops = emission->hop;
    char *at = block->data + block->used;
    struct record *record = (struct record *)(void *)at;
    uint16_t key_len = (uint16_t)len;
    memcpy(at + sizeof *record, &key_len, sizeof key_len);
    _mm_storeu_si128((void *)(at + sizeof *record + 2), _mm_loadu_si128((const void *)text));
    memset(at + sizeof *record + 2 + len, 0, 8);
    size_t size = sizeof *record + record_key_room(len);
    struct codec_alias alias = { .field_offset = route->text_offset,
                                 .off = sizeof *record + 2,
                                 .len = (uint32_t)len };
    record->key_hash = hash;
    record->stream = route->number;
    record->src = emitter->src;
    record->dst = slot;
    record->time = emission->time;
    record->flags = emission->flags;
    record->hop = emission->hop;
    int64_t n =
        route->put(route->codec, message, at, at + size, block->data + block->capacity, &alias);
    if (UNLIKELY(n < 0))
        return emit_text_slowly(emitter, route, emission, text, message);
    size += (size_t)n;
    record->len = (uint32_t)size;
    record->seq = ++emitter->links[record->dst];
    block->used += (uint32_t)size;
    block->count++;
    emitter->emitted++;
    return S4_OK;
}

static s4_status emit_to_all(struct emitter *emitter, const struct route *route,
                             const struct emission *emission, const void *message)
{
    struct message_source source = { .route = route, .message = message };
    if (route->kind != ROUTE_KEYED)
        return put_keyless(emitter, route, emission, put_message, &source);
    TRY(keys_of_message(&emitter->keys, &route->spec, message));
    return put_to_keys(emitter, route, emission, put_message, &source);
}

static s4_status emit_any(struct emitter *emitter, const struct route *route,
                          const struct emission *emission, const void *message)
{
    s4_status status = emit_to_all(emitter, route, emission, message);
    return status == S4_OK ? S4_OK : note_failure(emitter, route, status);
}

void route_init(struct route *route)
{
    bool text = route->kind == ROUTE_KEYED && route->spec.text_offset != FIELD_NONE;
    route->text_offset = text ? route->spec.text_offset : FIELD_NONE;
    route->emit = text ? emit_text : emit_any;
}

s4_status emitter_emit_value(struct emitter *emitter, const struct route *route,
                             const struct emission *emission, const struct value *value)
{
    if (route->kind != ROUTE_KEYED)
        return put_keyless(emitter, route, emission, put_value, value);
    TRY(keys_of_value(&emitter->keys, &route->spec, value));
    return put_to_keys(emitter, route, emission, put_value, value);
}

s4_status emitter_emit_raw(struct emitter *emitter, uint16_t stream, uint16_t slot,
                           const struct emission *emission, const char *key, size_t key_len,
                           const void *attributes, size_t size)
{
    struct head head = { .key = key,
                         .key_len = key_len,
                         .hash = hash_bytes(key, key_len),
                         .stream = stream,
                         .slot = slot };
    struct raw_source source = { .data = attributes, .size = size };
    return put_record(emitter, &head, emission, put_raw, &source);
}
