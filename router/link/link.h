/* Links: records between a source and a destination partition are numbered, so that a loss, a
 * repeat or a change of order below is seen (README.md has the rules). Both ends keep one counter
 * per pair, as part of the partition's state. Sources are partitions (their slot) and, behind the
 * slots, intakes. */
#ifndef ROUTER_LINK_LINK_H
#define ROUTER_LINK_LINK_H

#include "router/map/slots.h"
#include "runtime/base/base.h"
#include "runtime/record/record.h"

#define LINK_INTAKES_MAX 64u /* two per node: feeds, and injected batches */

#define LINK_FRESH (UINT64_C(1) << 32) /* a counter that begins with whatever number comes */

/* Counters of the links into one partition, by source. */
struct links_in {
    uint64_t *genesis; /* [links_count]: when the source's generation began that is counted: the
                          version of the map; owned by the partition */
    uint64_t *last;    /* [links_count]: the last number applied, or LINK_FRESH; owned by the
                          partition */
};

static inline size_t links_count(uint32_t slots)
{
    return (size_t)slots + LINK_INTAKES_MAX;
}

static inline uint16_t link_intake(uint32_t slots, uint32_t intake)
{
    return (uint16_t)(slots + intake);
}

enum link_verdict { LINK_APPLY, LINK_REPEAT, LINK_GAP };

static inline bool link_is_next(const struct links_in *links, const struct record *record)
{
    return record->seq == links->last[record->src] + 1;
}

/* Judges a record and, when it is the next one, counts it. Numbers wrap (rule 4); no record is next
 * at once where the numbers wrap, or begin (rule 7). */
static inline enum link_verdict link_judge(struct links_in *links, const struct record *record)
{
    uint64_t *counter = &links->last[record->src];
    if (LIKELY(record->seq == *counter + 1)) {
        *counter = record->seq;
        return LINK_APPLY;
    }
    uint32_t expected = *counter == LINK_FRESH ? record->seq : (uint32_t)*counter + 1;
    if (record->seq == expected) {
        *counter = record->seq;
        return LINK_APPLY;
    }
    return (int32_t)(record->seq - expected) < 0 ? LINK_REPEAT : LINK_GAP;
}

/* The source began a generation at that version: if it is newer than what is counted, the numbers
 * so far mean nothing any more. */
static inline void link_forget(struct links_in *links, uint32_t source, uint64_t genesis)
{
    if (links->genesis[source] >= genesis)
        return;
    links->genesis[source] = genesis;
    links->last[source] = LINK_FRESH;
}

#endif
