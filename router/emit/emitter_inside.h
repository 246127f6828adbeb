/* What the parts of the emitter share. Inside router/emit only.
 *
 * emitter.c has blocks, calls and every kind of route; emit_text.c the hot path of the commonest.
 */
#ifndef ROUTER_EMIT_EMITTER_INSIDE_H
#define ROUTER_EMIT_EMITTER_INSIDE_H

#include "router/emit/emitter.h"

/* The function that emits to this route, whose key is one text of the event: unrolled for its
 * type's shape, if it has one. */
route_emit_fn *emit_text_pick(const struct route *route);

/* The same the general way: any text, a block that is full or not there. */
s4_status emit_text_slowly(struct emitter *emitter, const struct route *route,
                           const struct emission *emission, const void *message) MUST_USE;

/* The first write of a call to a destination notes what was there before. */
static inline void emitter_mark(struct emitter *emitter, struct emitter_open *open,
                                const struct emission *emission)
{
    if (LIKELY(open->call == emitter->call))
        return;
    struct block *block = open->block;
    struct emitter_mark *mark = &emitter->marks[emitter->n_marks++];
    open->call = emitter->call;
    *emitter->touched |= EMITTER_WROTE;
    mark->open = open;
    mark->block = block;
    mark->count = emitter_open_count(open);
    if (!block)
        return;
    mark->used = (uint32_t)(open->at - block->data);
    if (emission->hop > block->hops)
        block->hops = emission->hop;
}

/* One record more of this call. */
static inline void emitter_count(struct emitter *emitter)
{
    if (UNLIKELY(--emitter->left == 0))
        emitter->call |= 1;
}

/* Notes the record, whose header is written, as the open block's next. */
static inline void emitter_place(struct emitter_open *open, const struct record *record)
{
    *open->place++ = block_place_of(open->block, record);
}

#endif
