/* A list: items in a row. What all containers promise stands in containers.h. */
#ifndef S4_LIST_H
#define S4_LIST_H

#include <string.h>

#include <s4/context.h>

#define S4_CONTAINER_MAX 0x7fffffffu /* items of a list or ring, entries and key bytes of a map */

#define S4_MUST_USE_ __attribute__((warn_unused_result))

/* Memory for `count` units at least, twice as much as before; *room becomes what it holds. */
S4_MUST_USE_ static inline s4_status s4_grow_(s4_ctx *ctx, void **memory, uint32_t *room,
                                              size_t unit, uint64_t count)
{
    if (count <= *room)
        return S4_OK;
    if (count > S4_CONTAINER_MAX)
        return S4_TOO_LARGE;
    uint64_t wanted = *room < 8 ? 8 : (uint64_t)*room * 2;
    if (wanted < count)
        wanted = count;
    if (wanted > S4_CONTAINER_MAX)
        wanted = S4_CONTAINER_MAX;
    size_t bytes = (size_t)wanted * unit;
    void *grown = *memory ? s4_realloc(ctx, *memory, bytes) : s4_alloc(ctx, bytes);
    if (!grown)
        return S4_NO_MEMORY;
    *memory = grown;
    *room = (uint32_t)wanted;
    return S4_OK;
}

struct s4_list {
    void *items;
    uint32_t n;
    uint32_t room;
};

#define S4_LIST(Item)        \
    union {                  \
        struct {             \
            Item *items;     \
            uint32_t n;      \
            uint32_t room;   \
        };                   \
        struct s4_list list; \
    }

S4_MUST_USE_ static inline s4_status s4_list_insert_(s4_ctx *ctx, struct s4_list *list, size_t size,
                                                     uint32_t at, const void *item)
{
    if (at > list->n)
        return S4_RANGE;
    s4_status status = s4_grow_(ctx, &list->items, &list->room, size, (uint64_t)list->n + 1);
    if (status != S4_OK)
        return status;
    char *place = (char *)list->items + at * size;
    memmove(place + size, place, (list->n - at) * size);
    memcpy(place, item, size);
    list->n++;
    return S4_OK;
}

static inline void s4_list_remove_(struct s4_list *list, size_t size, uint32_t at)
{
    if (at >= list->n)
        return;
    char *place = (char *)list->items + at * size;
    memmove(place, place + size, (list->n - at - 1) * size);
    list->n--;
}

static inline void *s4_list_pop_(struct s4_list *list, size_t size)
{
    return list->n ? (char *)list->items + --list->n * size : NULL;
}

S4_MUST_USE_ static inline s4_status s4_list_save_(s4_ctx *ctx, s4_saver *saver,
                                                   const struct s4_list *list, size_t size)
{
    uint32_t head[2] = { (uint32_t)size, list->n };
    s4_status status = s4_save(ctx, saver, head, sizeof head);
    return status == S4_OK && list->n ? s4_save(ctx, saver, list->items, list->n * size) : status;
}

S4_MUST_USE_ static inline s4_status s4_list_load_(s4_ctx *ctx, s4_loader *loader,
                                                   struct s4_list *list, size_t size)
{
    uint32_t head[2];
    s4_status status = s4_load(ctx, loader, head, sizeof head);
    if (status != S4_OK)
        return status;
    if (head[0] != size || head[1] > S4_CONTAINER_MAX || list->n)
        return S4_CORRUPT;
    while (status == S4_OK && list->n < head[1]) { /* in pieces: the count may lie */
        uint32_t piece = head[1] - list->n < 4096 ? head[1] - list->n : 4096;
        status = s4_grow_(ctx, &list->items, &list->room, size, (uint64_t)list->n + piece);
        if (status == S4_OK)
            status = s4_load(ctx, loader, (char *)list->items + list->n * size, piece * size);
        if (status == S4_OK)
            list->n += piece;
    }
    return status;
}

/* Adds a copy of *item at the end, or before item `at` (S4_RANGE if there is no such place). The
 * item is not one of the list. S4_NO_MEMORY. */
#define s4_list_push(ctx, l, item)       \
    ((void)sizeof((l)->items == (item)), \
     s4_list_insert_((ctx), &(l)->list, sizeof *(l)->items, (l)->list.n, (item)))
#define s4_list_insert(ctx, l, at, item) \
    ((void)sizeof((l)->items == (item)), \
     s4_list_insert_((ctx), &(l)->list, sizeof *(l)->items, (at), (item)))

/* Takes the last item off: a pointer to it, or NULL from an empty list. */
#define s4_list_pop(l) ((__typeof__((l)->items))(s4_list_pop_(&(l)->list, sizeof *(l)->items)))

/* Removes item `at`; those behind it move up. */
#define s4_list_remove(l, at) s4_list_remove_(&(l)->list, sizeof *(l)->items, (at))

/* Frees its memory; an empty list is left. */
static inline void s4_list_fini_(s4_ctx *ctx, struct s4_list *list)
{
    s4_free(ctx, list->items);
    memset(list, 0, sizeof *list);
}
#define s4_list_fini(ctx, l) s4_list_fini_((ctx), &(l)->list)

/* In save and load callbacks; load takes an empty list. */
#define s4_list_save(ctx, saver, l)  s4_list_save_((ctx), (saver), &(l)->list, sizeof *(l)->items)
#define s4_list_load(ctx, loader, l) s4_list_load_((ctx), (loader), &(l)->list, sizeof *(l)->items)

#endif
