/* Pins: how other threads read what its owner goes on changing.
 *
 * The owner counts epochs; a pin takes the epoch that ends with it. What a pin may read is never
 * changed while the pin lives: the owner replaces it, and retires the old one with the epoch in
 * which it did. That is freed when no living pin is older than that.
 *
 *   epoch      1   1   | 2   2   2   | 3
 *   pins             A=1           B=2            A reads what was there up to 1
 *   retired               x died 2        y died 3
 *                         freed when A has ended; y when A and B have
 */
#ifndef PE_OUTPUT_PINS_H
#define PE_OUTPUT_PINS_H

#include <stdatomic.h>

#include "runtime/base/base.h"

/* First in whatever is retired, an allocation of its own. Owner thread. */
struct retired {
    struct retired *next;
    uint64_t died; /* pins of earlier epochs may read it */
    size_t size;   /* of the allocation, for the count */
};

/* First in whatever is handed out, an allocation of its own, freed by the owner's sweep. */
struct pin {
    struct pin *next;   /* owner: the next newer one */
    struct pins *pins;  /* what it pins; alive as long as this has not ended */
    uint64_t epoch;     /* immutable */
    _Atomic bool ended; /* release in pins_end pairs with acquire in pins_sweep */
};

struct pins {
    uint64_t epoch;    /* owner: of the changes now; above 0 */
    uint64_t newest;   /* owner: of the living pins; 0: none lives */
    struct pin *first; /* owner: living, oldest first */
    struct pin *last;
    struct retired *oldest; /* owner: retired, in order of death */
    struct retired *latest;
    size_t retired_bytes;
    uint32_t n; /* owner: living, as far as it has looked */
    /* The owner and each pin that has not ended. acq_rel: whoever takes the last one away frees
     * everything, after all that the others did. */
    _Atomic uint32_t holds;
};

void pins_init(struct pins *pins);
/* The one who took the last hold away: nobody reads any more. */
void pins_fini(struct pins *pins);

/* Owner. The pin's memory is the caller's until this call. */
void pins_add(struct pins *pins, struct pin *pin);
/* Owner: notices ended pins and frees what they were the last to need. */
void pins_sweep(struct pins *pins);
/* Owner: frees it now or when no pin can read it. */
void pins_retire(struct pins *pins, struct retired *retired, size_t size);
/* Owner: whether a living pin may read what was last written in `epoch`. */
static inline bool pins_see(const struct pins *pins, uint64_t epoch)
{
    return UNLIKELY(epoch <= pins->newest);
}

/* Gives a hold back. True: it was the last one, and the caller frees everything. */
bool pins_release(struct pins *pins) MUST_USE;
/* Any thread: ends a pin and gives its hold back; the same answer. */
bool pins_end(struct pin *pin) MUST_USE;

#endif
