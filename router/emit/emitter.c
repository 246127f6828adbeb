/* Writes records; see the header. What is hot is in emit_text.c; this is every other way: blocks
 * that are full, keys of any kind, values, what a failed call takes back.
 *
 * A record is written straight into the open block of its destination. When it does not fit, the
 * block is sealed and a fresh one opened; a record that does not fit a fresh block travels alone in
 * a block of its own.
 */
#include "router/emit/emitter_inside.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define OVERSIZE_MIN  (128 * KIB)

s4_status emitter_init(struct emitter *emitter, const struct emitter_options *options,
                       uint32_t emits_max)
{
    const struct slot_map *map = options->map;
    *emitter = (struct emitter){ .options = *options, .emits_max = emits_max, .left = emits_max };
    CHECK(emits_max > 0);
    emitter->call = 2; /* no destination has one yet */
    emitter->sealed_end = &emitter->sealed;
    emitter->touched = options->touched ? options->touched : &emitter->untold;
    emitter->slots = map->slots;
    keys_init(&emitter->keys);
    emitter->open = mem_calloc(options->workers, sizeof *emitter->open);
    emitter->marks = mem_calloc(options->workers, sizeof *emitter->marks);
    emitter->used = mem_calloc(options->workers, sizeof *emitter->used);
    emitter->at_slot = mem_calloc(map->slots, sizeof *emitter->at_slot);
    if (!emitter->open || !emitter->marks || !emitter->used || !emitter->at_slot) {
        emitter_fini(emitter);
        return S4_NO_MEMORY;
    }
    emitter->only = options->workers == 1 ? emitter->open : NULL;
    for (uint32_t slot = 0; slot < map->slots; slot++)
        emitter->at_slot[slot] = &emitter->open[slot_worker(map, slot)];
    return S4_OK;
}

void emitter_fini(struct emitter *emitter)
{
    for (uint32_t i = 0; emitter->open && emitter->used && i < emitter->n_used; i++)
        if (emitter->open[emitter->used[i]].block)
            block_release(emitter->open[emitter->used[i]].block);
    mem_free(emitter->open);
    mem_free(emitter->marks);
    mem_free(emitter->used);
    mem_free(emitter->at_slot);
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

/* The block that a destination has open from now on. */
static void open_set(struct emitter_open *open, struct block *block)
{
    open->block = block;
    open->data = block ? block->data : NULL;
    open->at = block ? block->data + block->used : NULL;
    open->end = block ? block->data + block->capacity : NULL;
    open->place = block ? block_places(block) + block->count : NULL;
}

/* Tells the block what only its destination knew. */
static void open_sync(const struct emitter_open *open)
{
    if (!open->block)
        return;
    open->block->used = (uint32_t)(open->at - open->block->data);
    open->block->count = emitter_open_count(open);
    open->block->placed = true;
}

static struct block *open_block(struct emitter *emitter, struct emitter_open *open, size_t capacity)
{
    struct block *block = block_take(emitter->options.pool, capacity);
    if (!block)
        return NULL;
    block->app = emitter->options.app;
    block->worker = (uint16_t)(open - emitter->open);
    if (UNLIKELY(!open->listed)) {
        open->listed = true;
        emitter->used[emitter->n_used++] = block->worker;
    }
    block->opened_us = emitter->now_us;
    count_begun(emitter);
    open_set(open, block);
    emitter->n_open++;
    return block;
}

/* A full block leaves with the commit of the call that filled it. */
static void seal(struct emitter *emitter, struct emitter_open *open)
{
    struct block *block = open->block;
    open_sync(open);
    open_set(open, NULL);
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
    for (uint32_t i = 0; i < emitter->n_used; i++)
        if (emitter->open[emitter->used[i]].block)
            seal(emitter, &emitter->open[emitter->used[i]]);
    emitter_send_sealed(emitter);
    return true;
}

bool emitter_flush_old(struct emitter *emitter, uint64_t opened_us)
{
    uint32_t before = emitter->n_open;
    for (uint32_t i = 0; i < emitter->n_used; i++) {
        struct emitter_open *open = &emitter->open[emitter->used[i]];
        if (open->block && open->block->opened_us <= opened_us)
            seal(emitter, open);
    }
    emitter_send_sealed(emitter);
    return emitter->n_open < before;
}

void emitter_reroute(struct emitter *emitter, uint32_t slot, uint16_t worker)
{
    CHECK(emitter->n_open == 0 && worker < emitter->options.workers);
    emitter->at_slot[slot] = &emitter->open[worker];
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
        struct emitter_open *open = emitter->marks[i].open;
        struct block *block = open->block;
        open_sync(open);
        if (block && !mark_of(emitter, block)) { /* opened in this call */
            open_set(open, NULL);
            emitter->n_open--;
            drop(emitter, block);
        }
    }
    struct block *block = emitter->sealed;
    emitter->sealed = NULL;
    emitter->sealed_end = &emitter->sealed;
    while (block) { /* sealed in this call: open again what was open, drop the rest */
        struct block *next = block->next;
        if (mark_of(emitter, block)) {
            open_set(&emitter->open[block->worker], block);
            emitter->n_open++;
        } else {
            drop(emitter, block);
        }
        block = next;
    }
    for (uint32_t i = 0; i < emitter->n_marks; i++) {
        const struct emitter_mark *m = &emitter->marks[i];
        if (!m->block || m->open->block != m->block)
            continue; /* none was open, or it was empty and went for a larger one */
        cut(emitter, m->block, m->used, m->count);
        open_set(m->open, m->block);
    }
    emitter_next_call(emitter);
}

/* ---- records ------------------------------------------------------------------------------- */

/* What a record is made of, besides its attributes. */
struct head {
    const char *key;
    size_t key_len;
    uint64_t hash;
    uint16_t stream;
    uint16_t slot;
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
    memcpy(key + 2, head->key, head->key_len);
    /* The NUL and the padding: at most 8 bytes, and what lies behind is written next. */
    memset(key + 2 + head->key_len, 0, 8);
    return key + record_key_room(head->key_len);
}

static inline void finish(struct emitter *emitter, struct emitter_open *open, struct record *record,
                          size_t len)
{
    record->len = (uint32_t)len;
    record->seq = ++emitter->links[record->dst];
    emitter_place(open, record);
    open->at += len;
    emitter_count(emitter);
}

/* Puts the attributes of a record: of a struct, of a value, or raw bytes. */
typedef int64_t put_attributes(const void *source, char *record, char *at, char *end,
                               const struct head *head);

/* Tries to write a record into the open block. CODEC_FULL: no room there. */
ALWAYS_INLINE int64_t try_record(struct emitter *emitter, struct emitter_open *open,
                                 const struct head *head, const struct emission *emission,
                                 put_attributes *put, const void *source)
{
    char *at = open->at;
    size_t need = sizeof(struct record) + record_key_room(head->key_len);
    if (need > (size_t)(open->end - at))
        return CODEC_FULL;
    char *attributes = put_head(emitter, head, emission, at);
    int64_t n = put(source, at, attributes, open->end, head);
    if (n < 0)
        return n;
    finish(emitter, open, (struct record *)(void *)at, need + (size_t)n);
    return n;
}

/* The slow way: a fresh block, then blocks of growing size for a record that fits none. */
__attribute__((noinline)) static s4_status
put_in_fresh(struct emitter *emitter, struct emitter_open *open, const struct head *head,
             const struct emission *emission, put_attributes *put, const void *source)
{
    if (emitter_open_count(open) > 0)
        seal(emitter, open);
    size_t ordinary = block_pool_block_size(emitter->options.pool);
    for (size_t size = ordinary;;) {
        struct block *block = open->block;
        if (!block && !(block = open_block(emitter, open, size)))
            return S4_NO_MEMORY;
        block->hops = emission->hop;
        int64_t n = try_record(emitter, open, head, emission, put, source);
        if (n >= 0) {
            if (size > ordinary)
                seal(emitter, open);
            return S4_OK;
        }
        open_set(open, NULL);
        emitter->n_open--;
        block->used = block->count = 0;
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
    if (UNLIKELY(emitter->left == 0))
        return S4_FULL;
    struct emitter_open *open = emitter->at_slot[head->slot];
    emitter_mark(emitter, open, emission);
    if (LIKELY(open->block != NULL)) {
        int64_t n = try_record(emitter, open, head, emission, put, source);
        if (LIKELY(n >= 0))
            return S4_OK;
        if (n != CODEC_FULL)
            return S4_TOO_LARGE;
    }
    return put_in_fresh(emitter, open, head, emission, put, source);
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

__attribute__((noinline, cold)) static s4_status
note_failure(struct emitter *emitter, const struct route *route, s4_status status)
{
    if (emitter->failed == S4_OK) {
        emitter->failed = status;
        emitter->failed_route = route;
    }
    *emitter->touched |= EMITTER_FAILED;
    return status;
}

s4_status emit_text_slowly(struct emitter *emitter, const struct route *route,
                           const struct emission *emission, const void *message)
{
    const char *text;
    memcpy(&text, (const char *)message + MESSAGE_BASE + route->text_offset, sizeof text);
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

/* The key is one number of the event: nothing is collected, and it has its length by its kind. */
static s4_status emit_number(struct emitter *emitter, const struct route *route,
                             const struct emission *emission, const void *message)
{
    const struct field *field = route->spec.number;
    const char *image = (const char *)message + MESSAGE_BASE;
    if (field->has_offset != FIELD_NONE && load_u32(image + field->has_offset) == 0)
        return note_absent(emitter);
    char form[sizeof(uint64_t)];
    key_number_form(field->type, image + field->offset, form);
    struct head head = { .key = form,
                         .key_len = sizeof form,
                         .hash = hash_bytes(form, sizeof form),
                         .stream = route->number };
    head.slot = slot_of_hash(head.hash, emitter->slots);
    struct message_source source = { .route = route, .message = message };
    s4_status status = put_record(emitter, &head, emission, put_message, &source);
    return status == S4_OK ? S4_OK : note_failure(emitter, route, status);
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
    bool number = route->kind == ROUTE_KEYED && route->spec.number;
    route->emit = text ? emit_text_pick(route) : number ? emit_number : emit_any;
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
