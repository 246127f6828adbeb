/* The intake: where events from outside become records. It knows an event's routes and its time,
 * and gives keyless events a partition that does not depend on when they arrive.
 */
#ifndef ROUTER_INTAKE_INTAKE_H
#define ROUTER_INTAKE_INTAKE_H

#include "router/emit/emitter.h"
#include "router/intake/feed.h"
#include "runtime/base/hash.h"

/* Where an app with an event clock finds an event's time. */
struct time_attribute {
    const struct field *field; /* int64 or uint64; NULL: no event clock, or the type has none */
    uint64_t unit_us;
};

/* The time of an event in microseconds; false: it has none. Times before 1970 count as 0. */
bool time_of_value(const struct time_attribute *clock, const struct value *event,
                   uint64_t *time_us);
bool time_of_message(const struct time_attribute *clock, const void *message, uint64_t *time_us);

struct intake_stream {
    const struct type *type;
    uint32_t n_routes;
    const struct route *const *routes;
    const struct time_attribute *clock;
};

/* The partition of an injected keyless event: by its producer and the number of its batch, never by
 * arrival. */
static inline uint16_t intake_keyless_slot(uint64_t producer, uint64_t batch, uint32_t slots)
{
    return slot_of_hash(hash_mix(producer, batch), slots);
}

/* Emits one event to all of its stream's routes, whole or not at all. The emission's time is that
 * of events which have none of their own. */
s4_status intake_emit(struct emitter *emitter, const struct intake_stream *stream,
                      const struct value *event, const struct emission *emission) MUST_USE;

#endif
