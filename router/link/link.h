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

/* Counters of the links into one partition, by source. */
struct links_in {
    uint32_t *last; /* [links_count]: the last number applied; owned by the partition */
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

static inline uint32_t *link_counter(const struct links_in *links, const struct record *record)
{
    return &links->last[record->src];
}

static inline bool link_is_next(const struct links_in *links, const struct record *record)
{
    return record->seq == *link_counter(links, record) + 1;
}

/* Judges a record and, when it is the next one, counts it. Numbers wrap (rule 4). */
static inline enum link_verdict link_judge(struct links_in *links, const struct record *record)
{
    uint32_t *counter = link_counter(links, record);
    uint32_t expected = *counter + 1;
    if (LIKELY(record->seq == expected)) {
        *counter = expected;
        return LINK_APPLY;
    }
    return (int32_t)(record->seq - expected) < 0 ? LINK_REPEAT : LINK_GAP;
}

#endif
