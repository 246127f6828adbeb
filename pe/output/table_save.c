/* A table as bytes and back.
 *
 *   head:  magic u32, ordered u32, hash of the type u64, rows u64, and the counters that only rise
 *   rows:  key length u32, row length u32, key, row (references count from OUTPUT_ROW_BASE before
 * it)
 *
 * Rows come in the order of their last publication where the oldest is dropped, and by rising tag
 * and key elsewhere: both depend on the rows alone, so equal tables give equal bytes, however they
 * came about. Loading publishes them in that order into a second table, which takes the place of
 * the first one when all was well.
 */
#include "pe/output/saved.h"
#include "pe/output/table_inside.h"
#include "runtime/base/mem.h"

#define TABLE_MAGIC 0x31544234u /* "4BT1" */

struct saved_head {
    uint32_t magic;
    uint32_t ordered;
    uint64_t type;
    uint64_t rows;
    uint64_t published;
    uint64_t unpublished;
    uint64_t refused;
    uint64_t dropped;
};

struct saved_row {
    uint32_t key_len;
    uint32_t size;
};

static s4_status save_row(const struct table *table, uint32_t ref, struct buffer *out,
                          struct cuts *cuts)
{
    struct table_row row = row_of_slot(table->type, table->head, slab_at(&table->slab, ref));
    struct saved_row saved = { row.key_len, row.value.size };
    TRY(buffer_append(out, &saved, sizeof saved));
    TRY(buffer_append(out, row.key, row.key_len));
    TRY(buffer_append(out, row.value.at, row.value.size));
    return cuts_mark(cuts, out->size);
}

static s4_status save_ordered(const struct table *table, struct buffer *out, struct cuts *cuts)
{
    for (uint32_t ref = table->oldest; ref;) {
        TRY(save_row(table, ref, out, cuts));
        ref = row_links(slab_at(&table->slab, ref))->next;
    }
    return S4_OK;
}

static int compare_entries(const void *a, const void *b, void *user)
{
    const struct table *table = *(const struct table *const *)user;
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    if (x >> 32 != y >> 32)
        return x < y ? -1 : 1;
    struct table_row p = row_of_slot(table->type, table->head, slab_at(&table->slab, (uint32_t)x));
    struct table_row q = row_of_slot(table->type, table->head, slab_at(&table->slab, (uint32_t)y));
    int order = memcmp(p.key, q.key, size_min(p.key_len, q.key_len));
    return order != 0 ? order : (p.key_len > q.key_len) - (p.key_len < q.key_len);
}

static s4_status save_segment(const struct table *table, const struct segment *segment,
                              struct buffer *out, struct cuts *cuts)
{
    uint64_t *entries = mem_calloc(segment->used, sizeof *entries);
    if (!entries)
        return S4_NO_MEMORY;
    uint32_t n = 0;
    for (uint32_t i = 0; i < segment->capacity; i++)
        if (segment->entries[i] != 0)
            entries[n++] = segment->entries[i];
    qsort_r(entries, n, sizeof *entries, compare_entries, &table);
    s4_status status = S4_OK;
    for (uint32_t i = 0; i < n && status == S4_OK; i++)
        status = save_row(table, (uint32_t)entries[i], out, cuts);
    mem_free(entries);
    return status;
}

static s4_status save_unordered(const struct table *table, struct buffer *out, struct cuts *cuts)
{
    size_t at = 0;
    for (const struct segment *segment; (segment = rowindex_walk(&table->index, &at)) != NULL;)
        TRY(save_segment(table, segment, out, cuts));
    return S4_OK;
}

static s4_status save(const struct table *table, struct buffer *out, struct cuts *cuts)
{
    struct saved_head head = {
        .magic = TABLE_MAGIC,
        .ordered = table->head != 0,
        .type = table->type->hash,
        .rows = table->counters.rows,
        .published = table->counters.published,
        .unpublished = table->counters.unpublished,
        .refused = table->counters.refused,
        .dropped = table->counters.dropped,
    };
    TRY(buffer_append(out, &head, sizeof head));
    TRY(cuts_mark(cuts, out->size));
    return table->head ? save_ordered(table, out, cuts) : save_unordered(table, out, cuts);
}

s4_status table_save_cut(const struct table *table, struct buffer *out, struct cuts *cuts)
{
    CHECK(table->n_undo == 0);
    size_t size = out->size;
    s4_status status = save(table, out, cuts);
    if (status != S4_OK)
        out->size = size;
    return status;
}

/* The directory may have grown since: then some are saved again, and others not. */
s4_status table_save_some(const struct table *table, size_t *at, size_t bytes, struct buffer *out,
                          struct cuts *cuts, bool *over)
{
    CHECK(table->n_undo == 0);
    size_t before = out->size;
    const struct segment *segment = NULL;
    while (!table->head && out->size - before < bytes &&
           (segment = rowindex_walk(&table->index, at)) != NULL)
        TRY(save_segment(table, segment, out, cuts));
    *over = segment == NULL;
    return S4_OK;
}

/* ---- loading --------------------------------------------------------------------------------- */

static s4_status load_row(struct table *table, struct saved *saved)
{
    struct saved_row head;
    struct value row;
    char key[RECORD_KEY_MAX];
    TRY(saved_take(saved, &head, sizeof head));
    if (head.key_len > RECORD_KEY_MAX)
        return saved_corrupt(saved, "a key has an impossible size");
    TRY(saved_take(saved, key, head.key_len));
    TRY(saved_take_row(saved, head.size, &row));
    uint64_t rows = table->counters.rows;
    s4_status status = table_publish(table, hash_bytes(key, head.key_len), key, head.key_len, &row);
    table_commit(table);
    if (status == S4_NO_MEMORY)
        return status;
    if (status != S4_OK || table->counters.dropped > 0)
        return saved_beyond(saved);
    return table->counters.rows == rows ? saved_corrupt(saved, "a key is there twice") : S4_OK;
}

static s4_status load(struct table *table, struct saved *saved)
{
    struct saved_head head;
    TRY(saved_take(saved, &head, sizeof head));
    bool known = head.magic == TABLE_MAGIC && head.ordered == (table->head != 0);
    TRY(saved_check_head(saved, known, head.type));
    for (uint64_t i = 0; i < head.rows; i++)
        TRY(load_row(table, saved));
    table->counters.published = head.published;
    table->counters.unpublished = head.unpublished;
    table->counters.refused = head.refused;
    table->counters.dropped = head.dropped;
    return S4_OK;
}

/* What is in `from` moves to the empty `table`, whose emptiness moves back. */
static void swap_content(struct table *table, struct table *from)
{
    struct table old = *table;
    table->index = from->index;
    table->slab = from->slab;
    table->oldest = from->oldest;
    table->newest = from->newest;
    table->counters = from->counters;
    table->slab.pins = &table->pins;
    from->index = old.index;
    from->slab = old.slab;
    from->slab.pins = &from->pins;
}

s4_status table_load(struct table *table, const char **at, const char *end, struct diag *diag)
{
    CHECK(table->counters.rows == 0 && table->n_undo == 0 && table->pins.n == 0);
    struct output_limits limits = {
        .rows_max = table->rows_max,
        .bytes_max = table->bytes_max,
        .full = table->head ? OUTPUT_DROP_OLDEST : OUTPUT_REFUSE,
    };
    struct table *fresh;
    struct saved saved;
    TRY(table_create(table->type, &limits, &fresh));
    saved_init(&saved, *at, end, table->type, "table", diag);
    s4_status status = load(fresh, &saved);
    if (status == S4_OK) {
        swap_content(table, fresh);
        *at = saved.at;
    }
    saved_fini(&saved);
    table_destroy(fresh);
    return status;
}
