/* The two ends of a lane; see the header's picture and rules 5 to 8 of the README.
 *
 * Both ends keep rings that grow to what was ever in use at once and then stay, so the steady state
 * allocates nothing. The sender's ring is the frames themselves: a block stays held until its
 * acknowledgement. The receiver's is one bit per frame, because a worker takes the partition with
 * the most hops first and so applies frames out of order, while an acknowledgement is cumulative.
 */
#include "runtime/net/lane.h"

#include "runtime/base/mem.h"

void lane_out_init(struct lane_out *lane, uint32_t number, uint64_t limit)
{
    *lane = (struct lane_out){ .number = number, .limit = limit };
}

static struct lane_frame *frame_at(const struct lane_out *lane, uint64_t frame)
{
    return &lane->ring[frame & (lane->capacity - 1)];
}

void lane_out_fini(struct lane_out *lane)
{
    for (uint64_t frame = lane->acked + 1; frame <= lane->queued; frame++)
        block_release(frame_at(lane, frame)->block);
    mem_free(lane->ring);
    *lane = (struct lane_out){ 0 };
}

static bool grow_ring(struct lane_out *lane)
{
    size_t capacity = lane->capacity ? lane->capacity * 2 : 16;
    struct lane_frame *ring = mem_calloc(capacity, sizeof *ring);
    if (!ring)
        return false;
    for (uint64_t frame = lane->acked + 1; frame <= lane->queued; frame++)
        ring[frame & (capacity - 1)] = *frame_at(lane, frame);
    mem_free(lane->ring);
    lane->ring = ring;
    lane->capacity = capacity;
    return true;
}

s4_status lane_out_push(struct lane_out *lane, const struct lane_frame *frame)
{
    if (lane->queued - lane->acked == lane->capacity && !grow_ring(lane))
        return S4_NO_MEMORY;
    lane->queued++;
    *frame_at(lane, lane->queued) = *frame;
    lane->bytes += frame->block->used;
    if (lane->queued > lane->limit)
        lane->stalls++;
    return S4_OK;
}

const struct lane_frame *lane_out_next(const struct lane_out *lane)
{
    if (lane->sent == lane->queued || lane->sent >= lane->limit)
        return NULL;
    return frame_at(lane, lane->sent + 1);
}

const struct lane_frame *lane_out_held(const struct lane_out *lane, uint64_t frame)
{
    CHECK(frame > lane->acked && frame <= lane->queued);
    return frame_at(lane, frame);
}

bool lane_out_ack(struct lane_out *lane, uint64_t frame)
{
    if (frame < lane->acked || frame > lane->sent)
        return false;
    while (lane->acked < frame) {
        struct block *block = frame_at(lane, ++lane->acked)->block;
        lane->bytes -= block->used;
        block_release(block);
    }
    return true;
}

bool lane_out_credit(struct lane_out *lane, uint64_t frame)
{
    if (frame < lane->limit || frame - lane->sent > LANE_WINDOW_MAX)
        return false;
    lane->limit = frame;
    return true;
}

bool lane_out_resume(struct lane_out *lane, uint64_t received, uint64_t applied)
{
    if (applied > received || received > lane->sent || !lane_out_ack(lane, applied))
        return false;
    lane->sent = received;
    return true;
}

void lane_in_init(struct lane_in *lane, uint32_t number, uint32_t window)
{
    *lane = (struct lane_in){ .number = number, .window = window, .limit_said = window };
}

void lane_in_fini(struct lane_in *lane)
{
    mem_free(lane->bits);
    *lane = (struct lane_in){ 0 };
}

static bool bit_get(const uint64_t *bits, size_t capacity, uint64_t frame)
{
    size_t at = frame & (capacity - 1);
    return bits[at / 64] >> (at % 64) & 1;
}

static void bit_set(uint64_t *bits, size_t capacity, uint64_t frame)
{
    size_t at = frame & (capacity - 1);
    bits[at / 64] |= (uint64_t)1 << (at % 64);
}

static void bit_clear(uint64_t *bits, size_t capacity, uint64_t frame)
{
    size_t at = frame & (capacity - 1);
    bits[at / 64] &= ~((uint64_t)1 << (at % 64));
}

static bool grow_bits(struct lane_in *lane)
{
    size_t capacity = lane->capacity ? lane->capacity * 2 : 64;
    uint64_t *bits = mem_calloc(capacity / 64, sizeof *bits);
    if (!bits)
        return false;
    for (uint64_t frame = lane->applied + 1; frame <= lane->received; frame++) {
        if (bit_get(lane->bits, lane->capacity, frame))
            bit_set(bits, capacity, frame);
    }
    mem_free(lane->bits);
    lane->bits = bits;
    lane->capacity = capacity;
    return true;
}

s4_status lane_in_receive(struct lane_in *lane)
{
    if (lane->received - lane->applied == lane->capacity && !grow_bits(lane))
        return S4_NO_MEMORY;
    lane->received++;
    return S4_OK;
}

void lane_in_return(struct lane_in *lane)
{
    CHECK(lane->returned < lane->received);
    lane->returned++;
}

void lane_in_apply(struct lane_in *lane, uint64_t frame)
{
    CHECK(frame > lane->applied && frame <= lane->received);
    CHECK(!bit_get(lane->bits, lane->capacity, frame));
    bit_set(lane->bits, lane->capacity, frame);
    while (lane->applied < lane->received &&
           bit_get(lane->bits, lane->capacity, lane->applied + 1)) {
        lane->applied++;
        bit_clear(lane->bits, lane->capacity, lane->applied);
    }
}

uint64_t lane_in_limit(const struct lane_in *lane)
{
    uint64_t by_window = lane->returned + lane->window;
    uint64_t by_applied = lane->applied + LANE_UNAPPLIED_MAX;
    uint64_t limit = by_window < by_applied ? by_window : by_applied;
    return limit > lane->limit_said ? limit : lane->limit_said;
}

bool lane_in_credit_due(const struct lane_in *lane)
{
    uint64_t more = lane_in_limit(lane) - lane->limit_said;
    return more > 0 && (more >= (lane->window + 3) / 4 || lane->returned == lane->received);
}
