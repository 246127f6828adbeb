/* The arena of decoded messages. One chunk in the steady state: after a reset only the newest is
 * kept, which is at least twice as large as the one before. */
#include "runtime/base/mem.h"
#include "runtime/record/codec.h"

#define CHUNK_MIN (4 * KIB)

struct arena_chunk {
    struct arena_chunk *next; /* older, smaller */
    size_t size;
    _Alignas(8) char data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){ 0 };
}

static void free_chunks(struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        mem_free(chunk);
        chunk = next;
    }
}

void arena_fini(struct arena *arena)
{
    free_chunks(arena->chunks);
    *arena = (struct arena){ 0 };
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *newest = arena->chunks;
    if (!newest)
        return;
    free_chunks(newest->next);
    newest->next = NULL;
    arena->cur = newest->data;
}

void *arena_take(struct arena *arena, size_t size)
{
    size = align_up(size_max(size, 1), 8);
    if (UNLIKELY(size > (size_t)(arena->end - arena->cur))) {
        size_t last = arena->chunks ? arena->chunks->size : 0;
        size_t room = size_max(size_max(2 * last, size), CHUNK_MIN);
        struct arena_chunk *chunk = mem_alloc(sizeof *chunk + room);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        chunk->size = room;
        arena->chunks = chunk;
        arena->cur = chunk->data;
        arena->end = chunk->data + room;
    }
    void *at = arena->cur;
    arena->cur += size;
    return at;
}
