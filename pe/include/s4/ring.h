/* A ring: the latest items, as many as it has room for. What all containers promise stands in
 * containers.h. */
#ifndef S4_RING_H
#define S4_RING_H

#include <s4/list.h>

struct s4_ring {
    void *items;
    uint32_t n;
    uint32_t room;
    uint32_t first; /* where the oldest is */
};

#define S4_RING(Item)        \
    union {                  \
        struct {             \
            Item *items;     \
            uint32_t n;      \
            uint32_t room;   \
            uint32_t first;  \
        };                   \
        struct s4_ring ring; \
    }

S4_MUST_USE_ static inline s4_status s4_ring_init_(s4_ctx *ctx, struct s4_ring *ring, size_t size,
                                                   uint64_t room)
{
    if (room == 0 || room > S4_CONTAINER_MAX)
        return S4_RANGE;
    if (ring->room)
        return S4_STATE;
    ring->items = s4_alloc(ctx, (size_t)room * size);
    if (!ring->items)
        return S4_NO_MEMORY;
    ring->room = (uint32_t)room;
    return S4_OK;
}

static inline void *s4_ring_at_(const struct s4_ring *ring, size_t size, uint32_t i)
{
    uint64_t at = (uint64_t)ring->first + i;
    return i < ring->n ? (char *)ring->items + (at % ring->room) * size : NULL;
}

S4_MUST_USE_ static inline s4_status s4_ring_push_(struct s4_ring *ring, size_t size,
                                                   const void *item)
{
    if (ring->room == 0)
        return S4_STATE;
    uint64_t at = ((uint64_t)ring->first + ring->n) % ring->room;
    memmove((char *)ring->items + at * size, item, size);
    if (ring->n < ring->room)
        ring->n++;
    else
        ring->first = (uint32_t)(((uint64_t)ring->first + 1) % ring->room);
    return S4_OK;
}

static inline void *s4_ring_pop_(struct s4_ring *ring, size_t size)
{
    void *oldest = s4_ring_at_(ring, size, 0);
    if (oldest) {
        ring->first = (uint32_t)(((uint64_t)ring->first + 1) % ring->room);
        ring->n--;
    }
    return oldest;
}

S4_MUST_USE_ static inline s4_status s4_ring_save_(s4_ctx *ctx, s4_saver *saver,
                                                   const struct s4_ring *ring, size_t size)
{
    uint32_t head[3] = { (uint32_t)size, ring->room, ring->n };
    s4_status status = s4_save(ctx, saver, head, sizeof head);
    for (uint32_t i = 0; status == S4_OK && i < ring->n; i++)
        status = s4_save(ctx, saver, s4_ring_at_(ring, size, i), size);
    return status;
}

S4_MUST_USE_ static inline s4_status s4_ring_load_(s4_ctx *ctx, s4_loader *loader,
                                                   struct s4_ring *ring, size_t size)
{
    uint32_t head[3];
    s4_status status = s4_load(ctx, loader, head, sizeof head);
    if (status != S4_OK)
        return status;
    if (head[0] != size || head[2] > head[1] || ring->room)
        return S4_CORRUPT;
    if (head[1] == 0)
        return S4_OK;
    status = s4_ring_init_(ctx, ring, size, head[1]);
    if (status != S4_OK)
        return status == S4_RANGE ? S4_CORRUPT : status;
    while (status == S4_OK && ring->n < head[2]) {
        status = s4_load(ctx, loader, (char *)ring->items + ring->n * size, size);
        if (status == S4_OK)
            ring->n++;
    }
    return status;
}

/* Gives the ring room for so many items, once: S4_STATE if it has some already, S4_RANGE. */
#define s4_ring_init(ctx, r, room) s4_ring_init_((ctx), &(r)->ring, sizeof *(r)->items, (room))

/* Adds a copy of *item; from a full ring the oldest goes. S4_STATE: it has no room yet. */
#define s4_ring_push(r, item) \
    ((void)sizeof((r)->items == (item)), s4_ring_push_(&(r)->ring, sizeof *(r)->items, (item)))

/* Takes the oldest off: a pointer to it, or NULL from an empty ring. */
#define s4_ring_pop(r) ((__typeof__((r)->items))(s4_ring_pop_(&(r)->ring, sizeof *(r)->items)))

/* Item i, 0 is the oldest; NULL beyond the newest. */
#define s4_ring_at(r, i) \
    ((__typeof__((r)->items))(s4_ring_at_(&(r)->ring, sizeof *(r)->items, (i))))

/* Frees its memory; a ring without room is left. */
static inline void s4_ring_fini_(s4_ctx *ctx, struct s4_ring *ring)
{
    s4_free(ctx, ring->items);
    memset(ring, 0, sizeof *ring);
}
#define s4_ring_fini(ctx, r) s4_ring_fini_((ctx), &(r)->ring)

/* In save and load callbacks; the room is saved too, and load takes a ring without room. */
#define s4_ring_save(ctx, saver, r)  s4_ring_save_((ctx), (saver), &(r)->ring, sizeof *(r)->items)
#define s4_ring_load(ctx, loader, r) s4_ring_load_((ctx), (loader), &(r)->ring, sizeof *(r)->items)

#endif
