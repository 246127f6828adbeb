/* State in pieces; see the header. A piece is found by the low half of its hash, in an index of its
 * number, and compared by all of it.
 */
#include "pe/host/pieces.h"

#include "pe/host/planted.h"
#include "runtime/base/hash.h"

struct pieces {
    uint64_t seed;
    struct tagindex index;
    struct hash128 *hashes; /* by number */
    size_t n, capacity;
    uint32_t guess; /* which one is offered next, if it was before */
};

enum stretch_kind { STRETCH_BYTES = 1, STRETCH_PIECES };

struct stretch_head {
    uint32_t kind;
    uint32_t count;
    uint64_t size; /* or the first one's number */
};

struct piece_head {
    uint32_t size;
    uint32_t zero;
};

s4_status pieces_create(uint64_t seed, struct pieces **pieces)
{
    struct pieces *made = mem_zalloc(sizeof *made);
    if (!made)
        return S4_NO_MEMORY;
    made->seed = seed;
    tagindex_init(&made->index);
    *pieces = made;
    return S4_OK;
}

void pieces_destroy(struct pieces *pieces)
{
    if (!pieces)
        return;
    tagindex_fini(&pieces->index);
    mem_free(pieces->hashes);
    mem_free(pieces);
}

static struct hash128 hash_of(const struct pieces *pieces, const char *bytes, size_t size)
{
    if (PLANTED(PLANTED_CHANGE_UNSEEN) && size > 24) /* only what an instance is named by */
        return hash_seeded(bytes + 8, 16, pieces->seed);
    return hash_seeded(bytes, size, pieces->seed);
}

static bool is(const struct pieces *pieces, size_t number, struct hash128 hash)
{
    return number < pieces->n && pieces->hashes[number].low == hash.low &&
           pieces->hashes[number].high == hash.high;
}

/* `guess`: behind the one before it most often comes the one that came there last time. */
static uint32_t find(const struct pieces *pieces, struct hash128 hash, uint32_t guess)
{
    struct tagindex_step step = { 0 };
    if (is(pieces, guess, hash))
        return guess;
    for (;;) {
        uint32_t number = tagindex_next(&pieces->index, (uint32_t)hash.low, &step);
        if (number == TAGINDEX_NONE || is(pieces, number, hash))
            return number;
    }
}

static s4_status pad(struct buffer *out)
{
    static const char zeros[8];
    return buffer_append(out, zeros, align_up(out->size, 8) - out->size);
}

static s4_status append(struct buffer *out, const char *bytes, size_t size)
{
    TRY(buffer_append(out, bytes, size));
    return pad(out);
}

/* It is in no list yet. */
static s4_status add(struct pieces *pieces, struct hash128 hash, const char *bytes, size_t size,
                     struct buffer *out)
{
    struct piece_head head = { .size = (uint32_t)size };
    void *array = pieces->hashes;
    bool grown = mem_grow(&array, &pieces->capacity, pieces->n + 1, sizeof *pieces->hashes);
    pieces->hashes = array;
    if (!grown)
        return S4_NO_MEMORY;
    TRY(tagindex_reserve(&pieces->index));
    TRY(buffer_append(out, &head, sizeof head));
    TRY(append(out, bytes, size));
    tagindex_put(&pieces->index, (uint32_t)hash.low, (uint32_t)pieces->n);
    pieces->hashes[pieces->n++] = hash;
    return S4_OK;
}

s4_status pieces_offer(struct pieces *pieces, const char *bytes, size_t size, struct buffer *out)
{
    if (size == 0 || size > UINT32_MAX || pieces->n == PIECES_MAX)
        return S4_OK;
    struct hash128 hash = hash_of(pieces, bytes, size);
    uint32_t known = find(pieces, hash, pieces->guess);
    if (known != TAGINDEX_NONE) {
        pieces->guess = known + 1;
        return S4_OK;
    }
    size_t before = out->size;
    s4_status status = add(pieces, hash, bytes, size, out);
    if (status != S4_OK)
        out->size = before;
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* A stretch that grows until one of another kind, or from elsewhere, comes. */
struct writing {
    struct buffer *out;
    struct stretch_head head;
    const char *bytes; /* BYTES: where it begins */
};

static s4_status write_stretch(struct writing *w)
{
    struct stretch_head head = w->head;
    w->head = (struct stretch_head){ 0 };
    if (head.kind == 0)
        return S4_OK;
    TRY(buffer_append(w->out, &head, sizeof head));
    return head.kind == STRETCH_BYTES ? append(w->out, w->bytes, head.size) : S4_OK;
}

static s4_status write_bytes(struct writing *w, const char *bytes, size_t size)
{
    if (w->head.kind != STRETCH_BYTES) {
        TRY(write_stretch(w));
        w->head.kind = STRETCH_BYTES;
        w->bytes = bytes;
    }
    w->head.size += size;
    return S4_OK;
}

static s4_status write_piece(struct writing *w, uint32_t number)
{
    if (w->head.kind != STRETCH_PIECES || w->head.size + w->head.count != number) {
        TRY(write_stretch(w));
        w->head = (struct stretch_head){ .kind = STRETCH_PIECES, .size = number };
    }
    w->head.count++;
    return S4_OK;
}

s4_status pieces_write(const struct pieces *pieces, const char *bytes, size_t size,
                       const struct cuts *cuts, struct buffer *out)
{
    struct writing w = { .out = out };
    uint32_t guess = 0;
    size_t at = 0;
    for (size_t i = 0; i <= cuts->n; i++) {
        size_t end = i < cuts->n ? cuts->at[i] : size;
        CHECK(end >= at && end <= size);
        if (end == at)
            continue;
        uint32_t number = find(pieces, hash_of(pieces, bytes + at, end - at), guess);
        if (number == TAGINDEX_NONE)
            TRY(write_bytes(&w, bytes + at, end - at));
        else
            TRY(write_piece(&w, number));
        guess = number == TAGINDEX_NONE ? guess + 1 : number + 1;
        at = end;
    }
    return write_stretch(&w);
}

/* ---- at the other end ------------------------------------------------------------------------ */

static struct piece_head head_at(const struct pieces_here *here, size_t at)
{
    struct piece_head head;
    memcpy(&head, here->bytes.data + at, sizeof head);
    return head;
}

static s4_status note_start(struct pieces_here *here, size_t at)
{
    void *array = here->starts;
    bool grown = mem_grow(&array, &here->capacity, here->n + 1, sizeof *here->starts);
    here->starts = array;
    if (!grown)
        return S4_NO_MEMORY;
    here->starts[here->n++] = at;
    return S4_OK;
}

s4_status pieces_take(struct pieces_here *here, const char *bytes, size_t size)
{
    TRY(buffer_append(&here->bytes, bytes, size));
    while (here->bytes.size - here->known >= sizeof(struct piece_head)) {
        struct piece_head head = head_at(here, here->known);
        size_t whole = sizeof head + align_up(head.size, 8);
        if (head.size == 0 || head.zero != 0)
            return S4_CORRUPT;
        if (whole > here->bytes.size - here->known)
            break;
        TRY(note_start(here, here->known));
        here->known += whole;
    }
    return S4_OK;
}

void pieces_drop(struct pieces_here *here)
{
    buffer_fini(&here->bytes);
    mem_free(here->starts);
    *here = (struct pieces_here){ 0 };
}

/* What follows the head of a stretch lies within `left` bytes, and its pieces are there. */
static bool can_be(const struct pieces_here *here, const struct stretch_head *head, size_t left)
{
    if (head->kind == STRETCH_PIECES)
        return head->size <= here->n && head->count <= here->n - head->size;
    return head->kind == STRETCH_BYTES && head->size <= left && align_up(head->size, 8) <= left;
}

/* Calls put for each run of bytes. */
static s4_status walk(const struct pieces_here *here, const struct buffer *whole,
                      s4_status (*put)(void *user, const char *bytes, uint64_t size), void *user)
{
    for (size_t at = 0; at < whole->size;) {
        struct stretch_head head;
        if (whole->size - at < sizeof head)
            return S4_CORRUPT;
        memcpy(&head, whole->data + at, sizeof head);
        at += sizeof head;
        if (!can_be(here, &head, whole->size - at))
            return S4_CORRUPT;
        if (head.kind == STRETCH_BYTES) {
            TRY(put(user, whole->data + at, head.size));
            at += align_up(head.size, 8);
            continue;
        }
        for (uint64_t i = head.size; i < head.size + head.count; i++)
            TRY(put(user, here->bytes.data + here->starts[i] + sizeof(struct piece_head),
                    head_at(here, here->starts[i]).size));
    }
    return S4_OK;
}

struct sum {
    uint64_t bytes, max;
};

static s4_status add_up(void *user, const char *bytes, uint64_t size)
{
    struct sum *sum = user;
    if (size > sum->max - sum->bytes)
        return S4_TOO_LARGE;
    sum->bytes += size;
    return S4_OK;
}

static s4_status put_bytes(void *user, const char *bytes, uint64_t size)
{
    return buffer_append(user, bytes, size);
}

/* Its size is found first, so that memory is taken once. */
static s4_status read_whole(const struct pieces_here *here, const struct buffer *whole,
                            uint64_t max, struct buffer *out)
{
    struct sum sum = { .max = max };
    size_t before = out->size;
    TRY(walk(here, whole, add_up, &sum));
    if (sum.bytes > 0 && !buffer_room(out, sum.bytes))
        return S4_NO_MEMORY;
    out->size = before;
    return walk(here, whole, put_bytes, out);
}

s4_status pieces_read(const struct pieces_here *here, const struct buffer *whole, uint64_t max,
                      struct buffer *out, struct diag *diag)
{
    s4_status status =
        here->known == here->bytes.size ? read_whole(here, whole, max, out) : S4_CORRUPT;
    if (status == S4_OK)
        return S4_OK;
    if (status == S4_TOO_LARGE)
        return diag_set(diag, status, "it is over %llu bytes", (unsigned long long)max);
    return diag_set(diag, status, "state in pieces: %s", s4_status_text(status));
}
