/* The two ends of a lane within a session: what the sender keeps and what the receiver counts.
 *
 * Pure bookkeeping: no messages, no clock. Frames are numbered from 1. One thread, the session's.
 *
 *   sender     1 ... acked ... sent ... queued            sent <= limit
 *                  free  | kept    | waiting for credit |
 *   receiver   1 ... applied ... received                 received <= limit
 *                          | applied out of order: one bit each |
 */
#ifndef RUNTIME_NET_LANE_H
#define RUNTIME_NET_LANE_H

#include "runtime/base/base.h"
#include "runtime/record/block.h"

#define LANE_WINDOW_DEFAULT 32 /* frames that may be on their way or not yet in runs */
#define LANE_WINDOW_MAX     4096
#define LANE_UNAPPLIED_MAX  (1u << 20) /* frames received and not yet applied; no credit beyond */

/* One frame that the sender holds. */
struct lane_frame {
    struct block *block; /* one hold */
    uint64_t schema;
    uint64_t version; /* of the sender's map */
    uint64_t checksum;
    uint32_t app; /* the session's number of the app's name */
};

struct lane_out {
    uint32_t number;
    bool linked; /* the session's: it is in the list of lanes that may send */
    struct lane_out *next;
    uint64_t acked, sent, queued;
    uint64_t limit;
    uint64_t attempt; /* the session's: the last connection on which the other side told of it */
    uint64_t bytes;   /* of the blocks held */
    uint64_t stalls;  /* frames that came when there was no credit */
    struct lane_frame *ring; /* frame n lies at n % capacity; capacity is a power of two */
    size_t capacity;
};

void lane_out_init(struct lane_out *lane, uint32_t number, uint64_t limit);
void lane_out_fini(struct lane_out *lane); /* releases what is held */
/* Takes the block in `frame`; S4_NO_MEMORY leaves it the caller's. */
s4_status lane_out_push(struct lane_out *lane, const struct lane_frame *frame) MUST_USE;
/* The next frame that may go now, or NULL. */
const struct lane_frame *lane_out_next(const struct lane_out *lane);
/* A frame that is held: above acked, up to queued. */
const struct lane_frame *lane_out_held(const struct lane_out *lane, uint64_t frame);
/* Frees every frame up to `frame`; false: it acknowledges what was not sent, or goes back. */
bool lane_out_ack(struct lane_out *lane, uint64_t frame) MUST_USE;
/* A higher limit; false: it goes back, or beyond what any window allows. */
bool lane_out_credit(struct lane_out *lane, uint64_t frame) MUST_USE;
/* After a break: the other side has received frames up to `received` and applied them up to
 * `applied`; those behind go again. false: that cannot be. */
bool lane_out_resume(struct lane_out *lane, uint64_t received, uint64_t applied) MUST_USE;

struct lane_in {
    uint32_t number;
    bool linked; /* the session's: it is in the list of lanes that have something to say */
    struct lane_in *next;
    uint32_t window;
    uint64_t received, applied;
    uint64_t returned;   /* credits given back by the receiver's user */
    uint64_t limit_said; /* what the sender was told */
    uint64_t applied_said;
    uint64_t *bits;  /* applied out of order: bit n % capacity */
    size_t capacity; /* in bits, a power of two */
};

void lane_in_init(struct lane_in *lane, uint32_t number, uint32_t window);
void lane_in_fini(struct lane_in *lane);
/* The next frame has come: makes room to remember whether it is applied. */
s4_status lane_in_receive(struct lane_in *lane) MUST_USE;
/* One frame's credit is returned; aborts when there were not as many. */
void lane_in_return(struct lane_in *lane);
/* A frame is applied, in any order; aborts on one that was not received or already applied. */
void lane_in_apply(struct lane_in *lane, uint64_t frame);
/* What the sender may be told now: the highest frame that it may send. */
uint64_t lane_in_limit(const struct lane_in *lane);
/* Whether a new credit is worth a message: a quarter of the window, or all that is missing. */
bool lane_in_credit_due(const struct lane_in *lane);

#endif
