/* Slots that come to a node and leave it while it runs: what moving a slot, and taking over a dead
 * node's, is made of. Who decides and who carries the bytes is above (peers).
 *
 * One thread calls all of this, the one that steps the net; `done` comes on a worker's thread and
 * must not call back. Marked [still]: only while the node stands still.
 *
 * A slot is here in one of two ways: it runs, or it is held (it comes or goes: its partitions take
 * nothing, and what arrives for them waits). What the node's own PEs emit goes by the map, whether
 * or not the slot is here.
 */
#ifndef PE_HOST_SLOTS_H
#define PE_HOST_SLOTS_H

#include "pe/host/engine.h"

/* ---- standing still ------------------------------------------------------------------------- */

/* Has the workers, feeds and batches stop between two runs, steps and batches. S4_AGAIN: control is
 * busy (a deployment); begin again later. Then ask engine_is_still, which is true when all stand;
 * no block is open any more then: what they had was handed on. */
s4_status engine_still_begin(struct engine *engine) MUST_USE;
bool engine_is_still(struct engine *engine);
void engine_still_end(struct engine *engine);

/* [still] Records for the slot go to this worker (a number through all nodes) from now on, or
 * nowhere: then their blocks go to the remote's `send` as those for other nodes do. */
void engine_slot_route(struct engine *engine, uint32_t slot, uint16_t worker);
uint16_t engine_nowhere(const struct engine *engine);

/* ---- coming and going ----------------------------------------------------------------------- */

enum slot_start {
    SLOT_FRESH,    /* it starts empty, in a new generation: links begin with what comes first */
    SLOT_ARRIVING, /* its state will be loaded */
};

/* [still] Makes the slot's partitions, held, on a worker of this node (its number in the node). On
 * failure none is there. */
s4_status engine_slot_open(struct engine *engine, uint32_t slot, uint32_t worker,
                           enum slot_start start, struct diag *diag) MUST_USE;
/* [still] What has come for the slot so far waits in its queues; nothing of it runs any more. */
void engine_slot_hold(struct engine *engine, uint32_t slot);
/* [still] Takes the slot's partitions, held, out of the node; they are freed a little later. Blocks
 * that waited for them count as applied. */
void engine_slot_close(struct engine *engine, uint32_t slot);
/* [still] A source (a slot or an intake, router/link) has begun a new generation at a version of
 * the map: its numbers so far are forgotten by every partition here, each when it has done what
 * waits for it now, and what comes of the one before is dropped. */
s4_status engine_source_forget(struct engine *engine, uint16_t source, uint64_t version) MUST_USE;

bool engine_slot_is_here(const struct engine *engine, uint32_t slot);
bool engine_slot_is_held(const struct engine *engine, uint32_t slot);

/* What was sent ahead of a slot, for one move of it. `seed`: nobody else's (pieces.h). */
struct slot_copy;
s4_status slot_copy_create(uint64_t seed, struct slot_copy **copy) MUST_USE;
void slot_copy_destroy(struct slot_copy *copy); /* NULL is fine */
/* Of a slot that is here, and may run: its worker looks at the next `bytes` of it, or some more,
 * between two runs, and gives the pieces that it has not given before; `over`: it has looked at
 * all, and begins again with the next call. The copy is the engine's until `done`; `pieces` is the
 * callee's (buffer_fini). */
typedef void slot_copied(void *user, s4_status status, struct buffer *pieces, bool over);
void engine_slot_copy(struct engine *engine, uint32_t slot, struct slot_copy *copy, size_t bytes,
                      slot_copied *done, void *user);

/* Of a slot that is here: its partitions' states and, if it is held, the records that wait for
 * them. `bytes` is the callee's (buffer_fini). With a copy, which stays as it is until `done`, they
 * refer to its pieces, and pieces_read makes of both what is without. */
typedef void slot_saved(void *user, s4_status status, struct buffer *bytes);
s4_status engine_slot_save(struct engine *engine, uint32_t slot, const struct slot_copy *copy,
                           slot_saved *done, void *user) MUST_USE;
/* Of a slot that arrives: loads what was saved, waiting records before those that came here.
 * `bytes` is taken. The partitions are as before when it fails; `diag` is borrowed for the call. */
typedef void slot_loaded(void *user, s4_status status, const struct diag *diag);
s4_status engine_slot_load(struct engine *engine, uint32_t slot, struct buffer *bytes,
                           slot_loaded *done, void *user) MUST_USE;
/* [still] A held slot runs: from this version of the map on it is this node's. */
s4_status engine_slot_go(struct engine *engine, uint32_t slot, uint64_t version) MUST_USE;

#endif
