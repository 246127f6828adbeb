/* The emitter: turns an event into records in the open blocks of the workers that own its keys.
 *
 * One per app and thread that emits (a worker, an intake). What one call of a handler emits is
 * taken back whole if the call fails: emits, then emitter_commit or emitter_rollback, and with that
 * the next call begins; blocks that fill up in between leave only with the commit. Records are
 * numbered per link as they are written (link.h). Owner thread only.
 */
#ifndef ROUTER_EMIT_EMITTER_H
#define ROUTER_EMIT_EMITTER_H

#include "router/key/key.h"
#include "router/link/link.h"
#include "router/map/slots.h"
#include "runtime/record/block.h"
#include "runtime/record/codec.h"
#include "runtime/record/writer.h"

/* How the records of one (stream, key specification) pair find their partitions. */
enum route_kind { ROUTE_KEYED = 1, ROUTE_KEYLESS, ROUTE_BROADCAST, ROUTE_SLOT };

struct emitter;
struct emission;
struct route;
typedef s4_status route_emit_fn(struct emitter *emitter, const struct route *route,
                                const struct emission *emission, const void *message);

struct route {
    route_emit_fn *emit; /* what emitter_emit calls for it; by route_init */
    uint16_t number;     /* of the pair: the record's stream */
    uint8_t kind;
    uint16_t slot;             /* ROUTE_SLOT: where the singleton lives */
    uint32_t text_offset;      /* the spec's */
    const struct codec *codec; /* of the stream's type */
    codec_put_fn *put;
    struct key_spec spec; /* ROUTE_KEYED */
};

/* Chooses what emits, once the rest is set. */
void route_init(struct route *route);

/* What the event itself brings. All events of one call have the same hop. */
struct emission {
    uint64_t time;    /* of the record */
    uint16_t keyless; /* the slot that keyless records go to */
    uint16_t blank;   /* 0; with what follows it lies as in a record, where the stream is */
    uint8_t flags;
    uint8_t hop;
};

/* What the end of a call must know; cleared by whoever looks. */
enum emitter_touched {
    EMITTER_WROTE = 1,  /* there is something to commit */
    EMITTER_FAILED = 2, /* an emit failed */
};

struct emitter_options {
    const struct slot_map *map;
    struct block_pool *pool;
    uint32_t workers; /* destinations: all workers of all nodes */
    uint16_t app;
    uint32_t *touched; /* gets the bits below; NULL: nobody looks */
    /* Takes a block (with its hold) for its destination. */
    void (*send)(void *user, struct block *block);
    void *user;
};

/* The open block of a destination. Where it ends, and how many records it has, is here as long as
 * it is open; the block learns it when it is sealed. */
struct emitter_open {
    char *at;                  /* where the next record goes; NULL without a block */
    char *end;                 /* of the room in it; NULL without a block */
    char *data;                /* where it begins; NULL without a block */
    uint64_t call;             /* the last call that wrote to it */
    struct block_place *place; /* of the next record */
    struct block *block;       /* owned; NULL: none */
    bool listed;               /* in the emitter's list of destinations that were ever used */
};

static inline uint32_t emitter_open_count(const struct emitter_open *open)
{
    return open->block ? (uint32_t)(open->place - block_places(open->block)) : 0;
}

struct emitter_mark { /* of the first write of a call to a destination: what was there before */
    struct emitter_open *open;
    struct block *block; /* NULL: none was open */
    uint32_t used;
    uint32_t count;
};

struct emitter {
    struct emitter_open *only;     /* if there is one destination: it need not wait for the hash */
    struct emitter_open **at_slot; /* [slots], into `open`: by the map */
    uint64_t call; /* of this call: even; odd once it has emitted all that it may, so that no block
                      is of it */
    uint16_t src;  /* the source now, and its counters: [slots] */
    uint32_t slots;
    uint32_t *links;
    uint32_t left; /* records that this call may still emit */
    uint32_t emits_max;
    uint32_t n_marks;
    uint32_t n_open;
    struct emitter_mark *marks; /* per destination touched in this call */
    struct emitter_open *open;  /* per destination */
    uint16_t *used;             /* destinations that were ever used, n_used of them: of the very
                                   many that a cluster may have, a few */
    uint32_t n_used;
    struct emitter_options options;
    struct block *sealed; /* full blocks of this call, oldest first */
    struct block **sealed_end;
    s4_status failed; /* the first emit of this call that failed, and its route: for those */
    const struct route *failed_route; /* whose caller does not look at what emit answers */
    uint32_t untold;                  /* what `touched` is when nobody looks */
    uint32_t *touched;                /* borrowed, never NULL */
    uint64_t now_us;                  /* stamped on blocks that are opened */
    struct keys keys;
    _Atomic uint64_t begun;  /* blocks opened so far; written here, read by anybody */
    _Atomic uint64_t absent; /* how often a route got no record for want of a key; likewise */
};

s4_status emitter_init(struct emitter *emitter, const struct emitter_options *options,
                       uint32_t emits_max) MUST_USE;
void emitter_fini(struct emitter *emitter); /* zeroed memory is fine; open blocks are dropped */

/* From now on records come from this source; `links` is its counters per slot. */
static inline void emitter_source(struct emitter *emitter, uint16_t src, uint32_t *links)
{
    emitter->src = src;
    emitter->links = links;
}

/* Records that this call emitted so far. */
static inline uint32_t emitter_emitted(const struct emitter *emitter)
{
    return emitter->emits_max - emitter->left;
}

void emitter_send_sealed(struct emitter *emitter);

/* The next call has its own number, and may emit as many again. */
static inline void emitter_next_call(struct emitter *emitter)
{
    emitter->call = (emitter->call | 1) + 1;
    emitter->left = emitter->emits_max;
    emitter->n_marks = 0;
}

static inline void emitter_commit(struct emitter *emitter)
{
    emitter_next_call(emitter);
    if (UNLIKELY(emitter->sealed != NULL))
        emitter_send_sealed(emitter);
}

void emitter_rollback(struct emitter *emitter);

/* Emits one event to one route: as a protoc-c struct, or as a value. How many records it gave,
 * emitter_emitted says (0 when a key part is absent, which emitter->absent counts). S4_FULL: over
 * emits_max; S4_TOO_LARGE: a record over RECORD_MAX, a key over RECORD_KEY_MAX; S4_NO_MEMORY. After
 * an error the call must roll back. */
MUST_USE static inline s4_status emitter_emit(struct emitter *emitter, const struct route *route,
                                              const struct emission *emission, const void *message)
{
    return route->emit(emitter, route, emission, message);
}
s4_status emitter_emit_value(struct emitter *emitter, const struct route *route,
                             const struct emission *emission, const struct value *value) MUST_USE;

/* A record with given key bytes for one slot: what the engine itself sends. */
s4_status emitter_emit_raw(struct emitter *emitter, uint16_t stream, uint16_t slot,
                           const struct emission *emission, const char *key, size_t key_len,
                           const void *attributes, size_t size) MUST_USE;

/* Sends all open blocks that hold anything; true: there was one. Not inside a call. */
bool emitter_flush(struct emitter *emitter);
/* Those that were opened at this time (of now_us) or before. */
bool emitter_flush_old(struct emitter *emitter, uint64_t opened_us);

/* From now on the slot's records go to this worker, as the map says since just now. Not inside a
 * call, and after a flush: what is open for the worker before would go behind what comes. */
void emitter_reroute(struct emitter *emitter, uint32_t slot, uint16_t worker);

#endif
