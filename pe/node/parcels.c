/* Blocks that wait; see the header. */
#include "pe/node/parcels.h"

#include "pe/host/planted.h"
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

s4_status parcels_add(struct parcels *list, const struct ferry_frame *frame)
{
    struct parcel *parcel = mem_zalloc(sizeof *parcel);
    uint64_t number = frame->number;
    if (!parcel)
        return S4_NO_MEMORY;
    snprintf(parcel->app, sizeof parcel->app, "%s", frame->app);
    parcel->schema = frame->schema;
    parcel->number = number;
    parcel->version = frame->version;
    parcel->block = frame->block;
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

void parcels_slots(const struct block *block, uint64_t there[PARCEL_SLOT_WORDS])
{
    memset(there, 0, PARCEL_SLOT_WORDS * sizeof *there);
    const struct record *end = block_end(block);
    for (const struct record *r = block_first(block); r < end; r = record_next(r))
        if (r->dst < MAP_SLOTS_MAX)
            there[r->dst / 64] |= UINT64_C(1) << r->dst % 64;
}

/* Whether it is this node's to send: its source's owner sends it, in the generation that is counted
 * now. Were an older owner to send what it still holds, a partition that begins empty could begin
 * with a number that the owner has had acknowledged, and wait for those behind it. */
static bool is_ours(const struct map *now, uint32_t self, const struct record *record,
                    uint64_t version)
{
    if (record->src >= now->n_slots)
        return true;
    const struct map_slot *source = &now->slots[record->src];
    return source->owner == self && (version >= source->genesis || PLANTED(PLANTED_OLD_GENERATION));
}

struct wanted {
    const struct pick *pick;
    uint64_t version; /* of the frame */
};

static bool wants(void *user, const struct record *record)
{
    const struct wanted *wanted = user;
    const struct pick *pick = wanted->pick;
    uint32_t slot = pick->by == PICK_BY_SOURCE ? record->src : record->dst;
    bool again = wanted->version < pick->by_map->slots[record->dst].epoch;
    return slot == pick->slot && (!again || PLANTED(PLANTED_PICKED_TWICE)) &&
           is_ours(pick->now, pick->self, record, wanted->version);
}

s4_status parcels_pick(struct parcels *list, struct engine *engine, const struct pick *pick,
                       const struct ferry_frame *frame)
{
    struct wanted wanted = { pick, frame->version };
    struct ferry_frame picked = *frame;
    size_t before = list->count;
    TRY(block_pick(frame->block, engine_pool(engine), wants, &wanted, &picked.block));
    if (!picked.block)
        return S4_OK;
    s4_status status = parcels_add(list, &picked);
    if (status != S4_OK) {
        block_release(picked.block);
        return status;
    }
    engine_begun(engine, frame->app, list->count - before);
    return S4_OK;
}

struct purging {
    const struct map *now;
    uint32_t self;
    uint64_t version;
};

static bool stays(void *user, const struct record *record)
{
    const struct purging *purging = user;
    return is_ours(purging->now, purging->self, record, purging->version);
}

s4_status parcels_purge(struct parcels *list, struct engine *engine, const struct map *now,
                        uint32_t self)
{
    struct parcels rest;
    struct parcel *parcel;
    s4_status status = S4_OK;
    parcels_init(&rest);
    while ((parcel = parcels_take(list))) {
        struct purging purging = { now, self, parcel->version };
        struct ferry_frame frame = { .app = parcel->app,
                                     .schema = parcel->schema,
                                     .version = parcel->version,
                                     .number = parcel->number };
        if (status == S4_OK)
            status = block_pick(parcel->block, engine_pool(engine), stays, &purging, &frame.block);
        if (status == S4_OK && frame.block)
            status = parcels_add(&rest, &frame);
        else
            engine_begun(engine, parcel->app, (uint64_t)-1);
        parcel_free(parcel);
    }
    *list = rest;
    if (!list->first)
        list->end = &list->first;
    return status;
}
