/* A feed: events that come from outside and cannot be repeated (a file, standard input, an app's
 * source). The intake steps it with a budget while there is credit, and emits what it gives
 * straight to the keys' partitions.
 */
#ifndef ROUTER_INTAKE_FEED_H
#define ROUTER_INTAKE_FEED_H

#include "runtime/base/base.h"
#include "runtime/record/writer.h"

struct feeder; /* the intake's end */

/* Embedded in the implementer's struct. */
struct feed {
    /* Gives about `budget` events through feeder_give; answers S4_OK (more now), S4_AGAIN (nothing
     * now: asked again after a while), S4_END, or an error, which ends the feed. Called on the
     * intake's thread, never concurrently. */
    s4_status (*step)(struct feed *feed, struct feeder *feeder, uint32_t budget);
    /* The feed is no longer used; status S4_END, the error of `step`, or S4_CANCELLED. */
    void (*closed)(struct feed *feed, s4_status status);
};

/* Gives one event, copied. S4_OK also for an event that was shed (counted). S4_TOO_LARGE: refused.
 */
s4_status feeder_give(struct feeder *feeder, const struct value *event) MUST_USE;

#endif
