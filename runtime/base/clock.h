/* The clock seam: real, or simulated and moved by hand. Microseconds.
 *
 * `mono_us` never goes back and has no meaning outside the process; `boot_us` is like it, but goes
 * on while the machine sleeps, and is the same for all processes of a machine; `wall_us` counts
 * from the Unix epoch and may jump. Nothing in the engine reads a clock in another way. A clock
 * outlives its users; the functions may be called from any thread.
 */
#ifndef RUNTIME_BASE_CLOCK_H
#define RUNTIME_BASE_CLOCK_H

#include "runtime/base/base.h"

struct clock {
    uint64_t (*mono_us)(const struct clock *clock);
    uint64_t (*boot_us)(const struct clock *clock);
    uint64_t (*wall_us)(const struct clock *clock);
};

/* The machine's clocks. */
extern const struct clock clock_real;

/* A clock that moves only by hand; one thread. */
struct clock_sim {
    struct clock clock; /* hand &sim.clock to users */
    uint64_t now_us;
};
void clock_sim_init(struct clock_sim *sim, uint64_t start_us);
void clock_sim_advance(struct clock_sim *sim, uint64_t by_us);

#endif
