/* Answers a query over pins; see the header.
 *
 * One pass over all rows of all pins. Rows that match are counted; the first so many in the query's
 * order are kept in a heap whose top is the last of them, so that memory follows the limit and not
 * the size of the output. Rows stay where they lie, in the pins; only places of them are kept.
 *
 * The order is total: after the column or the time, rows are told apart by key (or number) and
 * partition. So the answer does not depend on how rows lie in memory or in which order they came.
 */
#include "pe/output/query.h"

#include "pe/graph/names.h"
#include "pe/output/column.h"
#include "router/key/key.h"
#include "runtime/base/mem.h"

struct query {
    const struct type *type; /* borrowed */
    bool is_table;
    struct key_spec spec;
    bool has_key;
    struct buffer key; /* canonical */
    char *prefix;      /* NULL: none */
    size_t prefix_len;
    bool has_column;
    struct column column;
    bool ascending;
    bool by_time;
    bool count;
    uint64_t limit;
};

/* ---- compiling ------------------------------------------------------------------------------- */

static s4_status bad_request(const struct query_request *request, struct diag *diag,
                             const char *what)
{
    return diag_set(diag, S4_TYPE, "output \"%s\": %s", request->output, what);
}

static s4_status compile_key(const struct query_request *request, const char *key,
                             struct query *query, struct diag *diag)
{
    if (key)
        TRY(key_spec_compile(query->type, key, &query->spec, diag));
    if (!key && (request->key || request->prefix))
        return bad_request(request, diag, "it is a log, and its rows have no key");
    if (request->key) {
        TRY(key_parse(&query->spec, request->key, &query->key, diag));
        query->has_key = true;
    }
    if (request->prefix) {
        if (query->spec.parts[0].number)
            return bad_request(request, diag, "its key starts with a number; a prefix is of text");
        query->prefix_len = strlen(request->prefix);
        query->prefix = mem_strdup(request->prefix);
        if (!query->prefix)
            return diag_set(diag, S4_NO_MEMORY, "out of memory");
    }
    return S4_OK;
}

static s4_status compile(const struct query_request *request, const char *key, struct query *query,
                         struct diag *diag)
{
    TRY(compile_key(request, key, query, diag));
    if (request->by) {
        s4_status status = column_compile(query->type, request->by, &query->column, diag);
        if (status != S4_OK)
            return diag_prefix(diag, status, "output \"%s\": ", request->output);
        query->has_column = true;
    } else if (request->top > 0) {
        return bad_request(request, diag, "the top rows by which column? (--by)");
    }
    if (request->by_time && key)
        return bad_request(request, diag, "it is a table, and its rows have no time");
    query->by_time = request->by_time;
    query->ascending = request->ascending;
    query->count = request->count;
    query->limit = request->limit ? request->limit : QUERY_ROWS_DEFAULT;
    if (request->top > 0 && request->top < query->limit)
        query->limit = request->top;
    return S4_OK;
}

s4_status query_compile(const struct query_request *request, const struct type *type,
                        const char *key, struct query **query, struct diag *diag)
{
    struct query *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    fresh->type = type;
    fresh->is_table = key != NULL;
    buffer_init(&fresh->key);
    s4_status status = compile(request, key, fresh, diag);
    if (status == S4_OK)
        *query = fresh;
    else
        query_destroy(fresh);
    return status;
}

void query_destroy(struct query *query)
{
    if (!query)
        return;
    buffer_fini(&query->key);
    mem_free(query->prefix);
    mem_free(query);
}

/* ---- pins ------------------------------------------------------------------------------------ */

s4_status query_pins_create(const struct type *type, const char *key, uint32_t n,
                            struct query_pins **pins)
{
    struct query_pins *fresh = mem_zalloc(sizeof *fresh + n * sizeof fresh->pins[0]);
    char *copy = key ? mem_strdup(key) : NULL;
    if (!fresh || (key && !copy)) {
        mem_free(fresh);
        mem_free(copy);
        return S4_NO_MEMORY;
    }
    fresh->type = type;
    fresh->key = copy;
    fresh->n = n;
    *pins = fresh;
    return S4_OK;
}

void query_pins_destroy(struct query_pins *pins)
{
    if (!pins)
        return;
    for (uint32_t i = 0; i < pins->n; i++) {
        table_unpin(pins->pins[i].table);
        rowlog_unpin(pins->pins[i].log);
    }
    mem_free(pins->key);
    mem_free(pins);
}

/* ---- the order ------------------------------------------------------------------------------- */

struct entry {
    struct query_row row;
    struct cell cell; /* of the column to order by */
};

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t len = size_min(a_len, b_len);
    int order = len > 0 && a && b ? memcmp(a, b, len) : 0;
    return order != 0 ? order : compare_numbers(a_len, b_len);
}

struct slice {
    const char *data;
    size_t len;
};

/* Splits the next part off a key of several; of a loaded table nobody vouches for its form. */
static struct slice next_part(struct slice *key)
{
    uint16_t len = 0;
    if (key->len < sizeof len)
        return *key;
    memcpy(&len, key->data, sizeof len);
    struct slice part = { key->data + sizeof len, size_min(len, key->len - sizeof len) };
    key->len -= sizeof len + part.len;
    key->data = part.data + part.len;
    return part;
}

/* Part by part: the lengths before the parts have no say. */
static int compare_keys(const struct key_spec *spec, const struct query_row *a,
                        const struct query_row *b)
{
    struct slice x = { a->key, a->key_len };
    struct slice y = { b->key, b->key_len };
    int order = 0;
    for (uint32_t i = 0; spec->n_parts > 1 && i < spec->n_parts && order == 0; i++) {
        struct slice p = next_part(&x);
        struct slice q = next_part(&y);
        order = compare_bytes(p.data, p.len, q.data, q.len);
    }
    return order != 0 ? order : compare_bytes(a->key, a->key_len, b->key, b->key_len);
}

/* Absent values come last, whichever way the others go. */
static int compare_cells(const struct query *query, const struct cell *a, const struct cell *b)
{
    if (a->kind == CELL_ABSENT || b->kind == CELL_ABSENT)
        return (a->kind == CELL_ABSENT) - (b->kind == CELL_ABSENT);
    int order = cell_compare(a, b);
    return query->ascending ? order : -order;
}

static int compare_entries(const struct query *query, const struct entry *a, const struct entry *b)
{
    int order = query->has_column ? compare_cells(query, &a->cell, &b->cell) : 0;
    if (order == 0 && query->by_time) {
        order = compare_numbers(a->row.time_us, b->row.time_us);
        order = query->ascending ? order : -order;
    }
    if (order == 0 && query->is_table)
        order = compare_keys(&query->spec, &a->row, &b->row);
    if (order == 0)
        order = compare_numbers(a->row.partition, b->row.partition);
    return order != 0 ? order : compare_numbers(a->row.seq, b->row.seq);
}

static int compare_for_sort(const void *a, const void *b, void *user)
{
    const struct query *query = *(const struct query *const *)user;
    return compare_entries(query, a, b);
}

/* ---- the pass -------------------------------------------------------------------------------- */

/* The first `limit` rows so far, the last of them on top. */
struct heap {
    const struct query *query;
    struct entry *entries; /* owned */
    size_t n;
    size_t capacity;
    uint64_t matched;
};

static void sift_down(struct heap *heap, size_t at, const struct entry *entry)
{
    for (size_t child; (child = 2 * at + 1) < heap->n; at = child) {
        if (child + 1 < heap->n &&
            compare_entries(heap->query, &heap->entries[child], &heap->entries[child + 1]) < 0)
            child++;
        if (compare_entries(heap->query, entry, &heap->entries[child]) >= 0)
            break;
        heap->entries[at] = heap->entries[child];
    }
    heap->entries[at] = *entry;
}

/* It was a plain list until it was full. */
static void heapify(struct heap *heap)
{
    for (size_t i = heap->n / 2; i-- > 0;) {
        struct entry entry = heap->entries[i];
        sift_down(heap, i, &entry);
    }
}

static s4_status heap_add(struct heap *heap, const struct entry *entry)
{
    if (heap->n < heap->query->limit) {
        void *entries = heap->entries;
        if (!mem_grow(&entries, &heap->capacity, heap->n + 1, sizeof *entry))
            return S4_NO_MEMORY;
        heap->entries = entries;
        heap->entries[heap->n++] = *entry;
        if (heap->n == heap->query->limit)
            heapify(heap);
    } else if (heap->entries && compare_entries(heap->query, entry, &heap->entries[0]) < 0) {
        sift_down(heap, 0, entry);
    }
    return S4_OK;
}

static bool has_prefix(const struct query *query, const struct query_row *row)
{
    const char *text;
    size_t len;
    return key_text(&query->spec, row->key, row->key_len, 0, &text, &len) &&
           len >= query->prefix_len && memcmp(text, query->prefix, query->prefix_len) == 0;
}

static bool matches(const struct query *query, const struct query_row *row)
{
    if (query->has_key &&
        (row->key_len != query->key.size ||
         compare_bytes(row->key, row->key_len, query->key.data ? query->key.data : "",
                       query->key.size) != 0))
        return false;
    return !query->prefix || has_prefix(query, row);
}

static s4_status add_row(struct heap *heap, const struct query_row *row)
{
    struct entry entry = { .row = *row };
    if (heap->query->has_column)
        entry.cell = cell_of(&row->value, &heap->query->column);
    return heap_add(heap, &entry);
}

static s4_status take(struct heap *heap, const struct query_row *row)
{
    const struct query *query = heap->query;
    if (!matches(query, row))
        return S4_OK;
    heap->matched++;
    return query->count ? S4_OK : add_row(heap, row);
}

static s4_status scan_table(struct heap *heap, const struct query_pin *pin)
{
    struct table_cursor cursor = table_scan(pin->table);
    for (struct table_row at; table_next(&cursor, &at);) {
        struct query_row row = {
            .key = at.key,
            .key_len = at.key_len,
            .partition = pin->partition,
            .value = at.value,
        };
        TRY(take(heap, &row));
    }
    return S4_OK;
}

static s4_status scan_log(struct heap *heap, const struct query_pin *pin)
{
    struct rowlog_cursor cursor = rowlog_scan(pin->log);
    for (struct rowlog_row at; rowlog_next(&cursor, &at);) {
        struct query_row row = {
            .partition = pin->partition,
            .seq = at.seq,
            .time_us = at.time_us,
            .value = at.value,
        };
        TRY(take(heap, &row));
    }
    return S4_OK;
}

static s4_status scan(struct heap *heap, const struct query_pins *pins)
{
    for (uint32_t i = 0; i < pins->n; i++) {
        if (pins->pins[i].table)
            TRY(scan_table(heap, &pins->pins[i]));
        if (pins->pins[i].log)
            TRY(scan_log(heap, &pins->pins[i]));
    }
    return S4_OK;
}

/* Consumes the heap-> */
static s4_status finish(struct heap *heap, s4_status status, struct query_result *result)
{
    const struct query *query = heap->query;
    struct query_row *rows = NULL;
    if (status == S4_OK && heap->n > 0) {
        rows = mem_calloc(heap->n, sizeof *rows);
        status = rows ? S4_OK : S4_NO_MEMORY;
    }
    if (status == S4_OK) {
        if (heap->entries && heap->n > 1)
            qsort_r(heap->entries, heap->n, sizeof *heap->entries, compare_for_sort, &query);
        for (size_t i = 0; i < heap->n; i++)
            rows[i] = heap->entries[i].row;
        *result = (struct query_result){
            .type = query->type,
            .matched = heap->matched,
            .n_rows = heap->n,
            .rows = rows,
        };
    }
    mem_free(heap->entries);
    return status;
}

s4_status query_run(const struct query *query, const struct query_pins *pins,
                    struct query_result *result)
{
    struct heap heap = { .query = query };
    return finish(&heap, scan(&heap, pins), result);
}

s4_status query_merge(const struct query *query, const struct query_row *rows, size_t n,
                      uint64_t matched, struct query_result *result)
{
    struct heap heap = { .query = query };
    s4_status status = S4_OK;
    for (size_t i = 0; i < n && status == S4_OK; i++)
        status = add_row(&heap, &rows[i]);
    heap.matched = matched;
    return finish(&heap, status, result);
}

void query_result_fini(struct query_result *result)
{
    mem_free(result->rows);
    *result = (struct query_result){ 0 };
}

const char *query_suggest(const char *name, const char *const *names, size_t n)
{
    struct name_nearest nearest;
    name_nearest_init(&nearest, name);
    for (size_t i = 0; i < n; i++)
        name_nearest_try(&nearest, names[i]);
    return nearest.best;
}
