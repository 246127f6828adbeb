/* From a value to records; see the header. */
#include "router/intake/intake.h"

static bool read_time(const struct time_attribute *clock, const char *image, uint64_t *time_us)
{
    const struct field *field = clock->field;
    if (!field)
        return false;
    if (field->has_offset != FIELD_NONE) {
        uint32_t has;
        memcpy(&has, image + field->has_offset, sizeof has);
        if (field->oneof >= 0 ? has != field->id : has == 0)
            return false;
    }
    int64_t t;
    memcpy(&t, image + field->offset, sizeof t);
    bool is_unsigned =
        field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_FIXED64;
    uint64_t units = t < 0 && !is_unsigned ? 0 : (uint64_t)t;
    if (__builtin_mul_overflow(units, clock->unit_us, time_us))
        *time_us = UINT64_MAX - 2; /* the end of time itself is the engine's */
    return true;
}

bool time_of_value(const struct time_attribute *clock, const struct value *event, uint64_t *time_us)
{
    return read_time(clock, event->at, time_us);
}

bool time_of_message(const struct time_attribute *clock, const void *message, uint64_t *time_us)
{
    return read_time(clock, (const char *)message + MESSAGE_BASE, time_us);
}

s4_status intake_emit(struct emitter *emitter, const struct intake_stream *stream,
                      const struct value *event, const struct emission *emission)
{
    struct emission own = *emission;
    uint64_t time_us;
    if (time_of_value(stream->clock, event, &time_us))
        own.time = time_us;
    for (uint32_t i = 0; i < stream->n_routes; i++) {
        s4_status status = emitter_emit_value(emitter, stream->routes[i], &own, event);
        if (status != S4_OK) {
            emitter_rollback(emitter);
            return status;
        }
    }
    emitter_commit(emitter);
    return S4_OK;
}
