/* Rows appended and numbered; see the header.
 *
 *   oldest chunk -> chunk -> ... -> newest chunk
 *   chunk:  [ next, end ][ size u32, 0 u32, time u64, row ][ ... ]
 *
 * Rows are never changed, and a chunk's `next` and `end` are written once, when the chunk after it
 * is begun. So a pin is nothing but the two ends of the log as they were: its reader follows `next`
 * up to the chunk that was the newest, and in that one stops where the log did. What the owner
 * writes afterwards lies behind.
 *
 * Dropping the oldest moves the front over a row; chunks that it has left are given up when the
 * call commits, and freed when no pin sees them. A rollback puts both ends back to where they were.
 */
#include "pe/output/rowlog_inside.h"

#include "runtime/base/mem.h"

#define CHUNK_FIRST                                                              \
    1024u /* bytes of a log's first chunk; each next one doubles up to CHUNK_MAX \
           */
#define CHUNK_MAX 65536u

struct rowlog_pin {
    struct pin pin; /* first: the sweep frees it */
    struct rowlog *log;
    const struct type *type;
    struct place front;
    struct place back;
};

uint64_t rowlog_row_bytes(size_t row_size)
{
    return sizeof(struct row_head) + row_size;
}

s4_status rowlog_create(const struct type *type, const struct output_limits *limits,
                        struct rowlog **log)
{
    CHECK(limits->full == OUTPUT_REFUSE || limits->full == OUTPUT_DROP_OLDEST);
    struct rowlog *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->type = type;
    fresh->full = limits->full;
    fresh->rows_max = limits->rows_max ? limits->rows_max : OUTPUT_ROWS_DEFAULT;
    fresh->bytes_max = limits->bytes_max ? limits->bytes_max : OUTPUT_BYTES_DEFAULT;
    pins_init(&fresh->pins);
    *log = fresh;
    return S4_OK;
}

static void rowlog_free(struct rowlog *log)
{
    while (log->oldest) {
        struct rows_chunk *chunk = log->oldest;
        log->oldest = chunk->next;
        mem_free(chunk);
    }
    pins_fini(&log->pins);
    mem_free(log);
}

void rowlog_destroy(struct rowlog *log)
{
    if (log && pins_release(&log->pins))
        rowlog_free(log);
}

/* ---- appending ------------------------------------------------------------------------------- */

/* Begins a chunk that `bytes` fit in, behind the newest. */
static s4_status add_chunk(struct rowlog *log, size_t bytes)
{
    struct rows_chunk *last = log->back.chunk;
    size_t size = last ? size_min(align_up(last->size, CHUNK_FIRST) * 2, CHUNK_MAX) : CHUNK_FIRST;
    size = size_max(size, sizeof *last + bytes);
    struct rows_chunk *chunk = mem_alloc(size);
    if (!chunk)
        return S4_NO_MEMORY;
    *chunk = (struct rows_chunk){ .size = size };
    log->bytes += size;
    log->back.chunk = chunk;
    if (last) {
        last->next = chunk;
        last->end = log->back.at;
    } else {
        log->oldest = chunk;
        log->front.chunk = chunk;
        log->front.at = (char *)(chunk + 1);
    }
    log->back.at = (char *)(chunk + 1);
    return S4_OK;
}

static size_t room(const struct rowlog *log)
{
    const struct rows_chunk *chunk = log->back.chunk;
    return chunk ? (size_t)((const char *)chunk + chunk->size - log->back.at) : 0;
}

static void drop_one(struct rowlog *log)
{
    skip_end(&log->front, log->back.chunk);
    size_t bytes = rowlog_row_bytes(head_at(log->front.at)->size);
    log->front.at += bytes;
    log->front.seq++;
    log->counters.rows--;
    log->counters.bytes -= bytes;
    log->counters.dropped++;
    log->changes++;
}

static bool over(const struct rowlog *log, uint64_t bytes)
{
    return log->counters.rows + 1 > log->rows_max || log->counters.bytes + bytes > log->bytes_max;
}

/* How many of the oldest rows have to go before a row of so many bytes may come. */
static uint32_t drops_for(const struct rowlog *log, uint64_t bytes)
{
    struct place front = log->front;
    uint64_t rows = log->counters.rows;
    uint64_t held = log->counters.bytes;
    uint32_t n = 0;
    for (; rows + 1 > log->rows_max || held + bytes > log->bytes_max; n++) {
        skip_end(&front, log->back.chunk);
        size_t size = rowlog_row_bytes(head_at(front.at)->size);
        front.at += size;
        held -= size;
        rows--;
    }
    return n;
}

static void write_row(struct rowlog *log, uint64_t time_us, const struct value *row)
{
    struct row_head *head = (struct row_head *)(void *)log->back.at;
    char *at = (char *)(head + 1);
    *head = (struct row_head){ .size = row->size, .time_us = time_us };
    value_copy(row, at - OUTPUT_ROW_BASE, at);
    log->back.at = at + row->size;
    log->back.seq++;
    log->counters.rows++;
    log->counters.bytes += rowlog_row_bytes(row->size);
    log->counters.published++;
    log->changes++;
}

static s4_status append(struct rowlog *log, uint64_t time_us, const struct value *row)
{
    uint64_t bytes = rowlog_row_bytes(row->size);
    if (row->size > RECORD_MAX || bytes > log->bytes_max)
        return S4_TOO_LARGE;
    if (log->full == OUTPUT_REFUSE && over(log, bytes))
        return S4_FULL;
    uint32_t drops = over(log, bytes) ? drops_for(log, bytes) : 0;
    if (log->changes + drops >= OUTPUT_CALL_MAX)
        return S4_FULL;
    struct place front = log->front;
    struct place back = log->back;
    if (room(log) < bytes)
        TRY(add_chunk(log, bytes));
    if (log->changes == 0) {
        log->front_before = front;
        log->back_before = back;
        log->before = log->counters;
    }
    for (uint32_t i = 0; i < drops; i++)
        drop_one(log);
    write_row(log, time_us, row);
    return S4_OK;
}

s4_status rowlog_append(struct rowlog *log, uint64_t time_us, const struct value *row)
{
    s4_status status = append(log, time_us, row);
    log->counters.refused += status != S4_OK;
    return status;
}

/* ---- the end of a call ----------------------------------------------------------------------- */

static void give_up(struct rowlog *log, struct rows_chunk *chunk)
{
    log->bytes -= chunk->size;
    pins_sweep(&log->pins); /* or what ended pins saw would stay as long as rows come */
    pins_retire(&log->pins, &chunk->retired, chunk->size);
}

void rowlog_commit(struct rowlog *log)
{
    if (log->changes == 0)
        return;
    log->changes = 0;
    skip_end(&log->front, log->back.chunk);
    while (log->oldest != log->front.chunk) {
        struct rows_chunk *chunk = log->oldest;
        log->oldest = chunk->next;
        give_up(log, chunk);
    }
}

void rowlog_rollback(struct rowlog *log)
{
    if (log->changes == 0)
        return;
    uint64_t refused = log->counters.refused;
    struct rows_chunk *added = log->back_before.chunk ? log->back_before.chunk->next : log->oldest;
    if (log->back_before.chunk)
        log->back_before.chunk->next = NULL;
    else
        log->oldest = NULL;
    while (added) { /* no pin has seen them */
        struct rows_chunk *next = added->next;
        log->bytes -= added->size;
        mem_free(added);
        added = next;
    }
    log->front = log->front_before;
    log->back = log->back_before;
    log->counters = log->before;
    log->counters.refused = refused;
    log->changes = 0;
}

const struct output_counters *rowlog_counters(const struct rowlog *log)
{
    return &log->counters;
}

uint64_t rowlog_next_seq(const struct rowlog *log)
{
    return log->back.seq;
}

size_t rowlog_memory(const struct rowlog *log)
{
    return sizeof *log + log->bytes + log->pins.retired_bytes;
}

/* ---- pins ------------------------------------------------------------------------------------ */

s4_status rowlog_pin(struct rowlog *log, struct rowlog_pin **pin)
{
    CHECK(log->changes == 0);
    pins_sweep(&log->pins);
    if (log->pins.n == OUTPUT_PINS_MAX)
        return S4_FULL;
    struct rowlog_pin *fresh = mem_zalloc(sizeof *fresh);
    if (!fresh)
        return S4_NO_MEMORY;
    pins_add(&log->pins, &fresh->pin);
    fresh->log = log;
    fresh->type = log->type;
    fresh->front = log->front;
    fresh->back = log->back;
    *pin = fresh;
    return S4_OK;
}

void rowlog_unpin(struct rowlog_pin *pin)
{
    if (!pin)
        return;
    struct rowlog *log = pin->log;
    if (pins_end(&pin->pin))
        rowlog_free(log);
}

void rowlog_sweep(struct rowlog *log)
{
    pins_sweep(&log->pins);
}

struct rowlog_cursor rowlog_scan(const struct rowlog_pin *pin)
{
    return (struct rowlog_cursor){
        .pin = pin,
        .chunk = pin->front.chunk,
        .at = pin->front.at,
        .seq = pin->front.seq,
    };
}

bool rowlog_next(struct rowlog_cursor *cursor, struct rowlog_row *row)
{
    const struct rowlog_pin *pin = cursor->pin;
    const struct rows_chunk *chunk = cursor->chunk;
    if (cursor->seq == pin->back.seq)
        return false;
    while (chunk != pin->back.chunk && cursor->at == chunk->end) {
        chunk = chunk->next;
        cursor->chunk = chunk;
        cursor->at = (const char *)(chunk + 1);
    }
    const struct row_head *head = head_at(cursor->at);
    const char *at = (const char *)(head + 1);
    *row = (struct rowlog_row){
        .seq = cursor->seq++,
        .time_us = head->time_us,
        .value = { .type = pin->type,
                   .record = at - OUTPUT_ROW_BASE,
                   .at = at,
                   .size = head->size },
    };
    cursor->at = at + head->size;
    return true;
}

uint64_t rowlog_pin_rows(const struct rowlog_pin *pin)
{
    return pin->back.seq - pin->front.seq;
}
