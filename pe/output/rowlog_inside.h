/* How a log lies in memory: for the log's own files and nobody else. See rowlog.c. */
#ifndef PE_OUTPUT_ROWLOG_INSIDE_H
#define PE_OUTPUT_ROWLOG_INSIDE_H

#include "pe/output/pins.h"
#include "pe/output/rowlog.h"

struct rows_chunk {
    struct retired retired;  /* owner, once it was given up */
    struct rows_chunk *next; /* written before any pin that sees the next one */
    const char *end;         /* of its rows; as next */
    size_t size;             /* of the allocation */
};

struct row_head {
    uint32_t size;
    uint32_t zero;
    uint64_t time_us;
};

/* One end of the log: the next row to read, or to write. */
struct place {
    struct rows_chunk *chunk;
    char *at;
    uint64_t seq;
};

struct rowlog {
    const struct type *type; /* borrowed */
    uint64_t rows_max;
    uint64_t bytes_max;
    enum output_full full;
    uint32_t changes; /* of the running call: rows appended and dropped */
    struct place front;
    struct place back;
    struct rows_chunk *oldest; /* at or before front's: those before wait for the commit */
    struct output_counters counters;
    size_t bytes;              /* of all chunks that were not given up */
    struct place front_before; /* the call: valid when there are changes */
    struct place back_before;
    struct output_counters before;
    struct pins pins;
};

static inline const struct row_head *head_at(const char *at)
{
    return (const struct row_head *)(const void *)at;
}

/* Moves to the next chunk where this one's rows have ended. `last` has no end yet. */
static inline void skip_end(struct place *place, const struct rows_chunk *last)
{
    while (place->chunk != last && place->at == place->chunk->end) {
        place->chunk = place->chunk->next;
        place->at = (char *)(place->chunk + 1);
    }
}

#endif
