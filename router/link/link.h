/* Links: records between a source and a destination partition are numbered, so that a loss, a repeat or
 * a change of order below is seen. Both ends keep one counter per pair, as part of the partition's
 * state. Sources are partitions (their slot) and intakes (LINK_INTAKE + their number). */
#ifndef ROUTER_LINK_LINK_H
#define ROUTER_LINK_LINK_H

#include "router/map/slots.h"
#include "runtime/base/base.h"
#include "runtime/record/record.h"

#define LINK_INTAKE      0x8000u /* sources from here up are intakes, one per node */
#define LINK_INTAKES_MAX 64u

/* Counters of the links into one partition: by slot, then by intake. */
struct links_in {
    uint32_t slots;
    uint32_t *next; /* [slots + LINK_INTAKES_MAX]: the last number applied */
};

static inline size_t links_count(uint32_t slots)
{
    return (size_t)slots + LINK_INTAKES_MAX;
}

enum link_verdict { LINK_APPLY, LINK_REPEAT, LINK_GAP };

/* Judges a record and, when it is the next one, counts it. Numbers wrap. */
static inline enum link_verdict link_judge(struct links_in *links, const struct record *record)
{
    uint32_t at = record->src < LINK_INTAKE ? record->src
                                            : links->slots + (record->src - LINK_INTAKE);
    uint32_t expected = links->next[at] + 1;
    if (LIKELY(record->seq == expected)) {
        links->next[at] = expected;
        return LINK_APPLY;
    }
    return (int32_t)(record->seq - expected) < 0 ? LINK_REPEAT : LINK_GAP;
}

#endif
