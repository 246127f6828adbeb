/* Timers of one partition: a hierarchical wheel (Varghese and Lauck, 1987) of microsecond due times
 * at a granularity of one millisecond, with exact order inside a tick. A due time of TIMERS_NEVER
 * is a time like any other: it fires at the end of time.
 *
 * A timer belongs to an owner (two numbers that mean something to the caller: prototype and
 * instance) and has an id; (owner, id) has at most one timer: setting it again moves it. Timers
 * fire in order of due time, then of setting. One thread; saved with the partition
 * (README.md, rule 12).
 */
#ifndef RUNTIME_ACTOR_TIMERS_H
#define RUNTIME_ACTOR_TIMERS_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"

#define TIMERS_MAX_DEFAULT 10000000u /* per partition */
#define TIMERS_NEVER       UINT64_MAX

struct timers;

struct timer {
    uint32_t prototype;
    uint32_t instance;
    uint64_t id;
    uint64_t due_us;
};

s4_status timers_create(uint32_t max, struct timers **timers) MUST_USE; /* max 0: the default */
void timers_destroy(struct timers *timers);

/* S4_FULL: `max` are set. A due time that has passed is due at the next timers_next. */
s4_status timers_set(struct timers *timers, const struct timer *timer) MUST_USE;
/* S4_NOT_FOUND: it was not set. */
s4_status timers_cancel(struct timers *timers, uint32_t prototype, uint32_t instance, uint64_t id);
/* All timers of an owner: when an instance goes. O(its timers). */
void timers_cancel_all(struct timers *timers, uint32_t prototype, uint32_t instance);

/* Takes the next timer that is due at `now_us` (due_us <= now_us). False: none. */
bool timers_next(struct timers *timers, uint64_t now_us, struct timer *timer);
/* The earliest due time, or TIMERS_NEVER. O(1). */
uint64_t timers_due_us(const struct timers *timers);
uint32_t timers_count(const struct timers *timers);

s4_status timers_save(const struct timers *timers, struct buffer *out) MUST_USE;
/* Into timers fresh from timers_create. S4_CORRUPT: untrusted bytes. On failure some may be set. */
s4_status timers_load(struct timers *timers, const char **at, const char *end) MUST_USE;

/* Tests: aborts if an invariant is broken. */
s4_status timers_validate(const struct timers *timers) MUST_USE;

#endif
