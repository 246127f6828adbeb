/* What happens to apps and the engine around the runs: deployment, feeds, drains, memory marks,
 * other nodes. Control threads and the intake's thread, unless it says otherwise
 * (README.md, rules 13 to 18).
 */
#ifndef PE_HOST_HOST_CONTROL_H
#define PE_HOST_HOST_CONTROL_H

#include "pe/host/host.h"

/* ---- app.c --------------------------------------------------------------------------------- */

s4_status host_app_create(struct engine *engine, const struct bundle *bundle, struct plugin *plugin,
                          uint16_t number, struct host_app **app, struct diag *diag) MUST_USE;
/* Its partitions and emitters go at once; the rest with the last hold, which an injection may have.
 */
void host_app_destroy(struct host_app *app);
void host_app_hold(struct host_app *app);
void host_app_release(struct host_app *app);
/* Says again whether emitting to the stream is simple (host_simple): if nobody hears it. */
void host_app_simplify(struct host_app *app, uint32_t stream);

/* tail.c: who follows outputs, also in slots that come. */
void host_followers_init(struct host_app *app);
void host_followers_fini(struct host_app *app);
/* [still] The slot is about to run, from this version of the map on. */
void host_followers_arrive(struct engine *engine, uint32_t slot, uint64_t version);
struct host_app *host_app_of(const struct engine *engine, uint16_t number);
/* Control threads, under the engine's lock; others under its apps_lock, which they keep while they
 * use the app. */
struct host_app *host_app_find(const struct engine *engine, const char *name);
const struct host_output *host_output_find(const struct host_app *app, const char *name,
                                           uint32_t *number);
/* S4_NOT_FOUND, with what may have been meant (pin.c). */
s4_status host_no_output(const struct host_app *app, const char *name, struct diag *diag);
struct host_prototype *host_prototype_find(const struct host_app *app, const char *name);

/* ---- engine.c, deploy.c -------------------------------------------------------------------- */

void host_ctx_init(struct host_ctx *ctx, struct host_worker *worker);
/* Where emitters hand blocks on; user: a struct host_worker, the engine. */
void host_send_from_worker(void *user, struct block *block);
void host_send_from_outside(void *user, struct block *block);
/* Hands a block to its destination; from: the worker that runs this, or NULL. */
void host_send(struct engine *engine, struct host_worker *from, struct block *block);
/* A fault below that cannot happen while connections do not fail: the node stops with this error.
 */
void engine_fault(struct engine *engine, const char *format, ...) PRINTF(2, 3);
void host_app_stop(struct host_app *app);

/* ---- imports.c: streams between apps; under the engine's lock -------------------------------- */

/* Before the app is in the table: does it agree with those that it hears, and that hear it? */
s4_status host_imports_check(struct host_app *app, struct diag *diag) MUST_USE;
/* Connects all apps' streams again, as they are in the table; with those of apps that do not hear
 * (host_app.hears) nobody is connected. Waits until nobody uses what was before. */
void host_imports_connect(struct engine *engine);

/* ---- fanout.c: control asks the workers ----------------------------------------------------- */

/* Runs fn(worker, app, user) on every worker's thread, between two runs, and waits for all of them.
 * Not from a worker. */
void host_on_workers(struct host_app *app,
                     void (*fn)(struct host_worker *worker, struct host_app *app, void *user),
                     void *user);
/* The same without waiting: `done` comes on the last worker. */
s4_status host_ask_workers(struct host_app *app,
                           void (*fn)(struct host_worker *worker, struct host_app *app, void *user),
                           void (*done)(void *user), void *user) MUST_USE;
/* Waits a moment for the workers to get on; engines without threads are stepped. */
void host_control_wait(struct engine *engine);
void host_control_wake(struct engine *engine);

/* ---- feeds.c ------------------------------------------------------------------------------- */

/* Bytes of an app's blocks that may be on their way before its feeds wait: so few that they stay in
 * the workers' caches. */
size_t host_feed_window(const struct engine *engine);
bool host_feeds_step(struct engine *engine);
void host_feeds_wake(struct engine *engine);
void host_feed_flush(struct engine *engine);
s4_status host_feed_thread_start(struct engine *engine, struct diag *diag) MUST_USE;
void host_feed_thread_stop(struct engine *engine);
void host_feeds_close(struct engine *engine, struct host_app *app);
void host_feeds_end(struct engine *engine);
/* May the app's sources bring in more? */
bool host_has_credit(const struct host_app *app);
/* What of the app waits in blocks: on their way, and copied out. */
static inline uint64_t host_waiting_bytes(const struct host_app *app)
{
    return atomic_load_explicit(&app->queued, memory_order_relaxed) +
           atomic_load_explicit(&app->copied, memory_order_relaxed);
}
struct host_stream *host_stream_find(const struct host_app *app, const char *name);
s4_status host_stream_for_injection(struct engine *engine, const char *app_name, const char *name,
                                    struct host_app **app, struct host_stream **stream,
                                    struct diag *diag) MUST_USE;

/* ---- drain.c, marks.c ---------------------------------------------------------------------- */

bool host_drains_step(struct engine *engine);
/* The threads have ended, or the app (if not NULL) takes no input any more. */
void host_drains_cancel(struct engine *engine, struct host_app *app);
/* The bytes in blocks that count against the marks: those of paused apps stay where they are, and
 * must not hold the others up. */
size_t host_memory(const struct engine *engine);
/* Pauses and resumes apps by the memory marks. */
void host_marks(struct host_worker *worker, uint64_t now_us);

/* ---- slots.c, slots_copy.c ------------------------------------------------------------------ */

/* Which coming of the slot is meant: a message may come late, when the slot is another worker's. */
struct host_coming {
    struct engine *engine;
    uint32_t slot;
    uint32_t opened;
};
struct host_coming host_coming_of(struct engine *engine, uint32_t slot);
bool host_coming_is_over(const struct host_coming *coming);
struct slot_copy;
const struct pieces *host_copy_pieces(const struct slot_copy *copy);
size_t host_copy_size(const struct slot_copy *copy); /* of all that it looked at, about */

/* ---- still.c ------------------------------------------------------------------------------- */

void host_still_stop(struct engine *engine); /* `stopping` is set: nobody stands any longer */

/* ---- remote.c ------------------------------------------------------------------------------ */

void host_send_remote(struct engine *engine, struct host_app *app, struct block *block);
/* Records that came with a slot: each is for this partition, and may be handed to it. */
s4_status host_moved_check(const struct host_partition *partition, const struct block *block,
                           struct diag *diag) MUST_USE;
void host_block_taken(void *user, struct block *block);
void host_block_copied(void *user, const struct block *block, struct block *copy);
void host_block_applied(struct block *block);
/* Records of it that wait for the slot's partition will not be applied here. */
void host_block_not_mine(const struct block *block, uint16_t slot);

/* ---- worker_ops ---------------------------------------------------------------------------- */

uint64_t host_tick(void *user);
bool host_idle(void *user);

#endif
