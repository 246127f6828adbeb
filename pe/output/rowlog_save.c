/* A log as bytes and back.
 *
 *   head:  magic u32, 0 u32, hash of the type u64, number of the first row u64, rows u64, and the
 *          counters that only rise
 *   rows:  as they lie in a chunk
 *
 * Loading appends them to a second log, which takes the place of the first one when all was well.
 */
#include "pe/output/rowlog_inside.h"
#include "pe/output/saved.h"

#define ROWLOG_MAGIC 0x314c4234u /* "4BL1" */

struct saved_log {
    uint32_t magic;
    uint32_t zero;
    uint64_t type;
    uint64_t first; /* number of the first row */
    uint64_t rows;
    uint64_t published;
    uint64_t refused;
    uint64_t dropped;
};

static s4_status save(const struct rowlog *log, struct buffer *out)
{
    struct saved_log head = {
        .magic = ROWLOG_MAGIC,
        .type = log->type->hash,
        .first = log->front.seq,
        .rows = log->counters.rows,
        .published = log->counters.published,
        .refused = log->counters.refused,
        .dropped = log->counters.dropped,
    };
    struct place place = log->front;
    TRY(buffer_append(out, &head, sizeof head));
    for (; place.seq != log->back.seq; place.seq++) {
        skip_end(&place, log->back.chunk);
        size_t bytes = rowlog_row_bytes(head_at(place.at)->size);
        TRY(buffer_append(out, place.at, bytes));
        place.at += bytes;
    }
    return S4_OK;
}

s4_status rowlog_save(const struct rowlog *log, struct buffer *out)
{
    CHECK(log->changes == 0);
    size_t size = out->size;
    s4_status status = save(log, out);
    if (status != S4_OK)
        out->size = size;
    return status;
}

static s4_status load_row(struct rowlog *log, struct saved *saved)
{
    struct row_head head;
    struct value row;
    TRY(saved_take(saved, &head, sizeof head));
    TRY(saved_take_row(saved, head.size, &row));
    s4_status status = rowlog_append(log, head.time_us, &row);
    rowlog_commit(log);
    if (status == S4_NO_MEMORY)
        return status;
    return status != S4_OK || log->counters.dropped > 0 ? saved_beyond(saved) : S4_OK;
}

static s4_status load(struct rowlog *log, struct saved *saved)
{
    struct saved_log head;
    TRY(saved_take(saved, &head, sizeof head));
    TRY(saved_check_head(saved, head.magic == ROWLOG_MAGIC, head.type));
    log->front.seq = head.first;
    log->back.seq = head.first;
    for (uint64_t i = 0; i < head.rows; i++)
        TRY(load_row(log, saved));
    log->counters.published = head.published;
    log->counters.refused = head.refused;
    log->counters.dropped = head.dropped;
    return S4_OK;
}

s4_status rowlog_load(struct rowlog *log, const char **at, const char *end, struct diag *diag)
{
    CHECK(log->counters.rows == 0 && !log->oldest && log->changes == 0);
    struct output_limits limits = { log->rows_max, log->bytes_max, log->full };
    struct rowlog *fresh;
    struct saved saved;
    TRY(rowlog_create(log->type, &limits, &fresh));
    saved_init(&saved, *at, end, log->type, "log", diag);
    s4_status status = load(fresh, &saved);
    if (status == S4_OK) {
        log->front = fresh->front;
        log->back = fresh->back;
        log->oldest = fresh->oldest;
        log->counters = fresh->counters;
        log->bytes = fresh->bytes;
        fresh->oldest = NULL;
        *at = saved.at;
    }
    saved_fini(&saved);
    rowlog_destroy(fresh);
    return status;
}

void rowlog_validate(const struct rowlog *log)
{
    struct place place = log->front;
    uint64_t bytes = 0;
    size_t chunks = 0;
    for (; place.seq != log->back.seq; place.seq++) {
        skip_end(&place, log->back.chunk);
        size_t row = rowlog_row_bytes(head_at(place.at)->size);
        place.at += row;
        bytes += row;
    }
    skip_end(&place, log->back.chunk);
    CHECK(place.at == log->back.at && place.chunk == log->back.chunk);
    CHECK(bytes == log->counters.bytes && bytes <= log->bytes_max);
    CHECK(log->back.seq - log->front.seq == log->counters.rows);
    CHECK(log->counters.rows <= log->rows_max);
    for (const struct rows_chunk *chunk = log->oldest; chunk; chunk = chunk->next)
        chunks += chunk->size;
    CHECK(chunks == log->bytes);
}
