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

static uint32_t find(const struct pieces *pieces, struct hash128 hash)
{
    struct tagindex_step step = { 0 };
    for (;;) {
        uint32_t number = tagindex_next(&pieces->index, (uint32_t)hash.low, &step);
        if (number == TAGINDEX_NONE ||
            (pieces->hashes[number].low == hash.low && pieces->hashes[number].high == hash.high))
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
    if (find(pieces, hash) != TAGINDEX_NONE)
        return S4_OK;
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
    size_t at = 0;
    for (size_t i = 0; i <= cuts->n; i++) {
        size_t end = i < cuts->n ? cuts->at[i] : size;
        CHECK(end >= at && end <= size);
        if (end == at)
            continue;
        uint32_t number =
            pieces->n > 0 ? find(pieces, hash_of(pieces, bytes + at, end - at)) : TAGINDEX_NONE;
        if (number == TAGINDEX_NONE)
            TRY(write_bytes(&w, bytes + at, end - at));
        else
            TRY(write_piece(&w, number));
        at = end;
    }
    return write_stretch(&w);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const char *pieces; /* their bytes */
    size_t *starts;     /* of each piece's head, by number */
    size_t n, capacity;
    uint64_t max;
    struct buffer *out;
    size_t before; /* what was in `out` */
};

static s4_status find_starts(struct reading *r, const struct buffer *pieces)
{
    for (size_t at = 0; at < pieces->size;) {
        struct piece_head head;
        if (pieces->size - at < sizeof head)
            return S4_CORRUPT;
        memcpy(&head, pieces->data + at, sizeof head);
        if (head.size == 0 || head.zero != 0 ||
            align_up(head.size, 8) > pieces->size - at - sizeof head)
            return S4_CORRUPT;
        void *array = r->starts;
        bool grown = mem_grow(&array, &r->capacity, r->n + 1, sizeof *r->starts);
        r->starts = array;
        if (!grown)
            return S4_NO_MEMORY;
        r->starts[r->n++] = at;
        at += sizeof head + align_up(head.size, 8);
    }
    return S4_OK;
}

static s4_status put(struct reading *r, const char *bytes, uint64_t size)
{
    if (size > r->max - (r->out->size - r->before))
        return S4_TOO_LARGE;
    return buffer_append(r->out, bytes, size);
}

static s4_status read_pieces(struct reading *r, const struct stretch_head *head)
{
    if (head->size > r->n || head->count > r->n - head->size)
        return S4_CORRUPT;
    for (uint64_t i = head->size; i < head->size + head->count; i++) {
        struct piece_head piece;
        memcpy(&piece, r->pieces + r->starts[i], sizeof piece);
        TRY(put(r, r->pieces + r->starts[i] + sizeof piece, piece.size));
    }
    return S4_OK;
}

static s4_status read_whole(struct reading *r, const char *at, const char *end)
{
    while (at < end) {
        struct stretch_head head;
        if ((size_t)(end - at) < sizeof head)
            return S4_CORRUPT;
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        size_t left = (size_t)(end - at);
        if (head.kind == STRETCH_PIECES) {
            TRY(read_pieces(r, &head));
        } else if (head.kind == STRETCH_BYTES && head.size <= left &&
                   align_up(head.size, 8) <= left) {
            TRY(put(r, at, head.size));
            at += align_up(head.size, 8);
        } else {
            return S4_CORRUPT;
        }
    }
    return S4_OK;
}

s4_status pieces_read(const struct buffer *pieces, const struct buffer *whole, uint64_t max,
                      struct buffer *out, struct diag *diag)
{
    struct reading r = { .pieces = pieces->data, .max = max, .out = out, .before = out->size };
    s4_status status = find_starts(&r, pieces);
    if (status == S4_OK && whole->size > 0)
        status = read_whole(&r, whole->data, whole->data + whole->size);
    mem_free(r.starts);
    if (status == S4_OK)
        return S4_OK;
    out->size = r.before;
    if (status == S4_TOO_LARGE)
        return diag_set(diag, status, "it is over %llu bytes", (unsigned long long)max);
    return diag_set(diag, status, "state in pieces: %s", s4_status_text(status));
}
