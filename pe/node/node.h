/* A node of a cluster: an engine whose slots come and go as the map says, and the frames between it
 * and the others. It decides nothing: the map does, which the leader writes (router/coord).
 *
 * One thread, the one that steps it (a thread of its own where there are several workers); the
 * engine's workers hand blocks and answers over through a lock-free stack. README.md has the rules.
 */
#ifndef PE_NODE_NODE_H
#define PE_NODE_NODE_H

#include "pe/host/engine.h"
#include "pe/node/ferry.h"
#include "router/map/map.h"
#include "runtime/base/log.h"

struct node;

struct node_counters {
    uint64_t moved_in, moved_out, taken_back; /* slots */
    uint64_t fresh;                           /* slots that began empty here */
    uint64_t not_mine_said, not_mine_heard;   /* of frames */
    uint64_t sent_again;                      /* blocks of records whose slot had gone elsewhere */
    uint64_t waited;                /* frames that waited, because their sender knew a newer map */
    uint64_t homeless;              /* blocks that wait now for their slot to have an owner */
    uint64_t copied, copied_frozen; /* bytes of slots that left: while they ran, and after */
    uint64_t frozen_us;     /* how long the last slot that left, or was to, has stood still here */
    uint64_t frozen_max_us; /* and the longest of all */
    uint64_t frozen_alarms; /* how often that was longer than the options allow */
};

struct node_upcalls {
    /* A slot that was to move here is here, or why it cannot be. `move` names the move. */
    void (*moved)(void *user, uint32_t slot, uint64_t move, bool done, const char *why);
    /* Adds what the other nodes have begun and ended (engine_flight), for drains; NULL: a drain is
     * of this node alone (engine_activity). Any thread. */
    void (*flight)(void *user, const char *app, uint64_t *begun, uint64_t *ended);
    /* The node cannot go on and must stop. */
    void (*failed)(void *user, const struct diag *diag);
    void *user;
};

#define NODE_MOVE_BYTES_MAX    (UINT64_C(8) << 30)
#define NODE_COPY_RATE_DEFAULT (64 * MIB)
#define NODE_COPY_STEP_DEFAULT (256 * KIB)

struct node_options {
    const struct node_upcalls *upcalls;
    const struct clock *clock; /* NULL: the machine's */
    const struct log *log;
    uint64_t frozen_max_us;  /* log a warning when a slot stands still for longer; 0: none */
    uint64_t copy_rate;      /* bytes per second that are sent of a slot that leaves while it runs
                                still; 0: NODE_COPY_RATE_DEFAULT */
    size_t copy_step;        /* bytes of it that its worker looks at between two runs; 0:
                                NODE_COPY_STEP_DEFAULT */
    uint64_t move_bytes_max; /* of a slot that comes, with what it had sent: a larger one is
                                refused; 0: NODE_MOVE_BYTES_MAX */
};

/* The remote that goes into engine_options; the engine follows with node_join. */
s4_status node_create(const struct node_options *options, struct node **node) MUST_USE;
/* After engine_stop: lets go of every block. Then engine_destroy, then node_destroy. */
void node_stop(struct node *node);
void node_destroy(struct node *node); /* NULL is fine */
const struct engine_remote *node_remote(struct node *node);

/* For engine_options.map and .genesis, by the map in which the node is a member for the first time:
 * the worker of each slot (map->n_slots places), and when each source's generation began
 * (links_count places). */
void node_first_map(const struct map *map, uint16_t *workers, uint64_t *genesis);
/* With that map, the engine made of it, and the node's own index and incarnation in it. Engine and
 * ferry are borrowed. */
s4_status node_join(struct node *node, struct engine *engine, struct ferry *ferry,
                    const struct map *map, uint32_t self) MUST_USE;

/* A newer map; older ones are ignored. It is copied. */
s4_status node_map(struct node *node, const struct map *map) MUST_USE;
/* A bundle was loaded: it takes input once a map is in force that says that it runs. Before, its
 * frames would come to nodes where nothing is known of it. */
void node_app_loaded(struct node *node);
uint64_t node_version(const struct node *node); /* of the map that is in force here */

/* From the ferry: a frame has come; the block is taken. */
void node_arrived(struct node *node, uint32_t from, const struct ferry_frame *frame,
                  const uint64_t token[2]);
/* From the ferry: the other node did not take this frame's records for the slot; the frame's block
 * is borrowed. Comes before the frame is given up. */
void node_not_mine(struct node *node, uint32_t from, const struct ferry_frame *frame,
                   uint32_t slot);

/* True: there was work. */
bool node_step(struct node *node);
/* By options.clock's mono_us: when it wants to be stepped though nothing comes; 0: now, UINT64_MAX:
 * it does not. */
uint64_t node_due_us(const struct node *node);
/* Whether nothing of a change or move is under way here. */
bool node_is_settled(const struct node *node);
struct node_counters node_counters(const struct node *node);

#endif
