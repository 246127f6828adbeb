/* Blocks that wait; see the header. */
#include "pe/node/parcels.h"

#include "runtime/base/mem.h"

void parcels_init(struct parcels *list)
{
    *list = (struct parcels){ .end = &list->first };
}

void parcels_fini(struct parcels *list)
{
    struct parcel *parcel;
    while ((parcel = parcels_take(list)))
        parcel_free(parcel);
}

/* Where it goes; NULL: its frame's are there. Most often that is the end. */
static struct parcel **place_of(struct parcels *list, uint64_t number)
{
    struct parcel **at = &list->first;
    for (; *at && (*at)->number <= number; at = &(*at)->next)
        if ((*at)->number == number && number != PARCEL_FIRST && number != PARCEL_LAST)
            return NULL;
    return at;
}

s4_status parcels_add(struct parcels *list, const char *app, uint64_t schema, uint64_t number,
                      struct block **block)
{
    struct parcel *parcel = mem_zalloc(sizeof *parcel);
    if (!parcel)
        return S4_NO_MEMORY;
    snprintf(parcel->app, sizeof parcel->app, "%s", app);
    parcel->schema = schema;
    parcel->number = number;
    parcel->block = *block;
    *block = NULL;
    bool last = !list->last || list->last->number < number || number == PARCEL_LAST;
    struct parcel **at = last ? list->end : place_of(list, number);
    if (!at) {
        parcel_free(parcel);
        return S4_OK;
    }
    parcel->next = *at;
    *at = parcel;
    if (!parcel->next) {
        list->end = &parcel->next;
        list->last = parcel;
    }
    list->count++;
    return S4_OK;
}

struct parcel *parcels_take(struct parcels *list)
{
    struct parcel *parcel = list->first;
    if (!parcel)
        return NULL;
    list->first = parcel->next;
    if (!list->first) {
        list->end = &list->first;
        list->last = NULL;
    }
    list->count--;
    return parcel;
}

void parcel_free(struct parcel *parcel)
{
    if (parcel->block)
        block_release(parcel->block);
    mem_free(parcel);
}

struct wanted {
    const struct map *map;
    uint64_t version; /* of the frame */
    enum pick_by by;
    uint32_t slot;
};

static bool wants(void *user, const struct record *record)
{
    const struct wanted *wanted = user;
    return (wanted->by == PICK_BY_SOURCE ? record->src : record->dst) == wanted->slot &&
           wanted->version >= wanted->map->slots[record->dst].epoch;
}

s4_status parcels_pick(struct parcels *list, struct engine *engine, const struct map *map,
                       const struct ferry_frame *frame, enum pick_by by, uint32_t slot)
{
    struct wanted wanted = { .map = map, .version = frame->version, .by = by, .slot = slot };
    struct block *picked;
    size_t before = list->count;
    TRY(block_pick(frame->block, engine_pool(engine), wants, &wanted, &picked));
    if (!picked)
        return S4_OK;
    s4_status status = parcels_add(list, frame->app, frame->schema, frame->number, &picked);
    if (status != S4_OK) {
        block_release(picked);
        return status;
    }
    engine_begun(engine, frame->app, list->count - before);
    return S4_OK;
}
