/* What the services of a plugin's context share (context.c, publish.c, heap.c): which call this is,
 * whether it may, and what happens if it may not.
 */
#ifndef PE_HOST_CONTEXT_H
#define PE_HOST_CONTEXT_H

#include "pe/host/host_run.h"

/* Which calls may use a service: one bit per call_kind. */
#define HOST_CALL(kind) (1u << (kind))
#define HOST_IN_EVENTS                                                          \
    (HOST_CALL(CALL_CREATE) | HOST_CALL(CALL_EVENT) | HOST_CALL(CALL_TRIGGER) | \
     HOST_CALL(CALL_TIMER) | HOST_CALL(CALL_OUTPUT) | HOST_CALL(CALL_REMOVE) |  \
     HOST_CALL(CALL_ANSWER))

static inline struct host_ctx *host_of(s4_ctx *ctx)
{
    return (struct host_ctx *)(void *)ctx;
}

static inline const struct host_ctx *host_of_const(const s4_ctx *ctx)
{
    return (const struct host_ctx *)(const void *)ctx;
}

static inline bool host_allowed(const struct host_ctx *ctx, uint32_t calls)
{
    return (HOST_CALL(ctx->kind) & calls) != 0;
}

static inline struct instance *host_instance_of(const struct host_ctx *ctx)
{
    return instances_at(ctx->table, ctx->number);
}

/* Remembers the first failure of the call (README.md, rule 6); answers `status`. */
s4_status host_fail(struct host_ctx *ctx, s4_status status, const char *cause);

/* ---- the services of publish.c and heap.c ---- */

s4_status host_publish(s4_ctx *pub, const s4_output *handle, const ProtobufCMessage *row);
s4_status host_unpublish(s4_ctx *pub, const s4_output *handle, const ProtobufCMessage *row);
void *host_heap_alloc(s4_ctx *pub, size_t size);
void *host_heap_realloc(s4_ctx *pub, void *memory, size_t size);
void host_heap_free(s4_ctx *pub, void *memory);

#endif
