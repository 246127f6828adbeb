/* An app for clusters: events walk over a graph of stations that a test draws, cycles included, and
 * every station checks what comes. What one station sends another is numbered, in the sender's
 * state, and the receiver's state knows what comes next: nothing may be missing, come twice or
 * overtake while both live. A state that begins empty gives itself a new life, so that losses with
 * a dead node are told apart from others.
 *
 * walks_oracle says what a walk does, without any of that.
 */
#ifndef TESTS_SUPPORT_WALKS_APP_H
#define TESTS_SUPPORT_WALKS_APP_H

#include <s4/abi.h>

#include "runtime/base/rng.h"

#define WALKS_STATIONS  24u
#define WALKS_PRODUCERS 6u
#define WALKS_DEGREE    4u
#define WALKS_HOPS_MAX  7u

extern const s4_app s4_plugin;

struct walks_totals {
    uint64_t visits[WALKS_STATIONS], sum[WALKS_STATIONS];
};

/* What all instances of the process share with the test. */
struct walks {
    uint8_t degree[WALKS_STATIONS];
    uint8_t next[WALKS_STATIONS][WALKS_DEGREE];
    bool asks; /* some visits wait for an answer before they go on */
    uint64_t lives;
    void (*broke)(const char *text); /* a rule is broken */
};
extern struct walks walks;

void walks_draw(struct rng *rng);
/* Adds what a walk that begins at a station does. */
void walks_oracle(struct walks_totals *totals, uint32_t station, uint32_t walk, uint32_t hops);

#endif
