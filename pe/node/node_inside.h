/* What the files of a node share: node.c (life, what workers hand over), node_frames.c (frames that
 * go and come), node_change.c (a newer map), node_move*.c (a slot on its way). Private to these.
 */
#ifndef PE_NODE_NODE_INSIDE_H
#define PE_NODE_NODE_INSIDE_H

#include <stdatomic.h>

#include "pe/host/pieces.h"
#include "pe/host/slots.h"
#include "pe/node/node.h"
#include "pe/node/parcels.h"

#define NODE_MOVE_LANE   UINT32_MAX /* of every node: what a slot's state travels on */
#define NODE_COPY_PASSES 4          /* looks at a slot that runs, at most, before it is frozen */
#define NODE_MOVE_UNSENT (ENGINE_REMOTE_WAITING / 2) /* blocks that wait, before a move does */
#define NODE_COPY_LITTLE 4 /* or when a look found no more steps than these to be new */

/* A frame that came and waits until the map that its sender had is here, too. */
struct late_frame {
    struct late_frame *next;
    struct block *block; /* owned */
    uint64_t schema, version, number;
    uint64_t token[2];
    uint32_t lane;
    char app[GRAPH_NAME_MAX + 1];
};

struct late_frames {
    struct late_frame *first;
    struct late_frame **end;
};

/* What a slot travels in: a frame's block is one of these, and what follows it. */
#define CHUNK_MAGIC 0x314b4e5548433453ull
#define CHUNK_BYTES (64 * KIB - sizeof(struct move_chunk))

enum chunk_kind {
    CHUNK_STATE = 1, /* bytes of engine_slot_save, which refer to the pieces */
    CHUNK_PARCEL,    /* a block of records that the slot had sent */
    CHUNK_END,       /* `size`: of all state */
    CHUNK_PIECES,    /* bytes of engine_slot_copy, before the state */
};

struct move_chunk {
    uint64_t magic;
    uint64_t move;
    uint64_t schema; /* PARCEL */
    uint64_t size;   /* of what follows, or of all */
    uint32_t slot;
    uint32_t kind;
    uint32_t count; /* PARCEL: records */
    uint32_t hops;  /* PARCEL */
    char app[GRAPH_NAME_MAX + 1];
    char blank[8 - (GRAPH_NAME_MAX + 1) % 8];
};
_Static_assert(sizeof(struct move_chunk) % 8 == 0, "what follows is aligned");

/* The slot that leaves, if one does. */
enum out_phase {
    OUT_NONE,
    OUT_WANTED,  /* by the map; nothing is done yet */
    OUT_COPYING, /* it runs, and is sent ahead */
    OUT_COPIED,  /* it is to be frozen */
    OUT_FAILED,  /* it could not even be copied, and runs: the map will take it back */
    OUT_SAVING,  /* frozen; its worker writes its state down */
    OUT_SENDING, /* which is sent step by step */
    OUT_SENT,    /* all of it is on its way: the map will say who has it */
};
struct move_out {
    enum out_phase phase;
    uint32_t slot;
    uint32_t target;
    uint64_t move;
    struct slot_copy *copy;         /* owned; NULL while the worker or an item has it */
    uint32_t passes;                /* looks at all of it */
    uint64_t pass_bytes;            /* that this look has found to be new */
    uint64_t next_us;               /* when the worker looks on */
    struct buffer state;            /* SENDING */
    size_t sent;                    /* of it */
    const struct parcel *next_held; /* of `held`, to be sent */
    uint64_t frozen_us;             /* the clock's time when it was */
    bool alarmed;                   /* it was told that this is long ago */
    struct parcels held; /* what it had sent and nobody has applied yet: travels with it */
};

/* The slot that comes, if one does. */
enum in_phase { IN_NONE, IN_OPEN, IN_LOADING, IN_LOADED, IN_FAILED };
struct move_in {
    enum in_phase phase;
    uint32_t slot;
    uint32_t from;
    uint64_t move;
    uint64_t generation; /* of the slot when the move was ordered */
    uint64_t bytes;      /* of all that has come */
    struct pieces_here pieces;
    struct buffer state;
    struct parcels held; /* what it had sent: goes out again before it runs */
};

enum item_kind {
    ITEM_BLOCK,
    ITEM_TAKEN,
    ITEM_NOT_MINE,
    ITEM_APPLIED,
    ITEM_COPIED,
    ITEM_SAVED,
    ITEM_LOADED
};

/* Something that a worker hands to the stepping thread. */
struct item {
    struct item *next;
    enum item_kind kind;
    struct block *block;
    uint64_t schema;
    char app[GRAPH_NAME_MAX + 1];
    uint64_t token[2];
    uint32_t slot;          /* NOT_MINE */
    struct node *owner;     /* COPIED, SAVED, LOADED */
    s4_status status;       /* the same */
    struct slot_copy *copy; /* COPIED, SAVED; owned */
    bool over;              /* COPIED */
    uint64_t move;
    struct buffer bytes;
    char why[MAP_WHY_MAX + 1];
};

struct node {
    struct engine_remote remote;
    struct node_options options;
    struct engine *engine;
    struct ferry *ferry;
    uint32_t self;
    struct map *map;  /* in force; owned */
    struct map *next; /* the newest one that is not yet; owned */
    bool still;       /* the engine was asked to stand still */
    bool fresh; /* the first map was not looked at for moves yet: what comes waits, since a slot
                   may be on its way here already */
    bool failed;
    struct move_out out;
    struct move_in in;
    struct parcels *homeless; /* [slots]: until their slot has a new epoch */
    struct late_frames late[MAP_MEMBERS_MAX];
    struct node_counters counters;
    _Atomic(struct item *) items; /* newest first; release in push pairs with acquire in take */
    _Atomic uint32_t handed;      /* blocks among them */
    _Atomic uint32_t unsent;      /* blocks that wait in the ferry */
    _Atomic bool full;            /* a source waits; with these two sequentially consistent */
};

void node_fail(struct node *node, s4_status code, const char *format, ...) PRINTF(3, 4);
void node_push(struct node *node, struct item *item);           /* any thread */
struct item *node_item(struct node *node, enum item_kind kind); /* any thread */
void node_item_free(struct item *item);                         /* with what it owns */

/* The map that is in force, or, in a change to it, will be. */
static inline const struct map *node_newest(const struct node *node)
{
    return node->next ? node->next : node->map;
}

static inline uint64_t node_now_us(const struct node *node)
{
    return node->options.clock->mono_us(node->options.clock);
}

static inline uint16_t node_worker(const struct map_slot *slot)
{
    return (uint16_t)(slot->owner * ENGINE_WORKERS_MAX + slot->worker);
}

/* ---- node_frames.c --------------------------------------------------------------------------- */

/* A block that this node's workers closed. Takes it. */
void node_send(struct node *node, const char *app, uint64_t schema, struct block *block);
/* Keeps the frame's records for the slot apart, in the order of frames. */
void node_keep_apart(struct node *node, const struct ferry_frame *frame, uint32_t slot);
/* Records that were picked out of others, all for the slot: to where it is by the map in force.
 * Takes the parcel. */
void node_send_again(struct node *node, uint32_t slot, struct parcel *parcel);
/* The same for records of any slots, which did not begin here. */
void node_send_apart(struct node *node, struct parcel *parcel);
/* Looks at the frames that wait for a newer map; true: one went on. */
bool node_late_step(struct node *node);
void node_late_drop(struct node *node, uint32_t from);
/* Drops what was picked here and will not be needed. */
void node_drop(struct node *node, struct parcels *list);

/* ---- node_change.c --------------------------------------------------------------------------- */

/* While the engine stands still: makes the next map the one in force. */
void node_change(struct node *node);

/* ---- node_move.c, node_move_out.c, node_move_in.c -------------------------------------------- */

/* What a new map means for what is under way, before and after the slots were changed. */
void node_moves_before(struct node *node);
void node_moves_after(struct node *node);
/* While the engine stands still: the slot that leaves is frozen. */
void node_freeze(struct node *node);
void node_move_saved(struct node *node, struct item *item);
void node_move_loaded(struct node *node, struct item *item);
/* A frame of the lane of moves. Takes the block. */
void node_move_arrived(struct node *node, uint32_t from, struct block *block);
/* What there is to do for the slot that leaves; true: there was something. */
bool node_move_step(struct node *node);
uint64_t node_move_due_us(const struct node *node);
void node_move_copied(struct node *node, struct item *item);
void node_move_report(struct node *node, bool done, const char *why);
void node_move_drop_in(struct node *node);
void node_move_drop_out(struct node *node);

#endif
