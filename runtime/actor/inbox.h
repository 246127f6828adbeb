/* An inbox: how other threads hand blocks and messages to the thread that owns it.
 *
 * Two intrusive stacks that the owner takes whole and turns round, so that what one sender pushed
 * comes out in the order in which it was pushed. A push is one compare-and-swap per block, not per
 * event. Nobody is woken who does not sleep: the owner announces its sleep, looks once more, and
 * only then waits; a sender writes to the eventfd only if it saw the announcement.
 *
 * push: any thread. The rest: the owner.
 */
#ifndef RUNTIME_ACTOR_INBOX_H
#define RUNTIME_ACTOR_INBOX_H

#include <stdatomic.h>

#include "runtime/base/base.h"
#include "runtime/record/block.h"

struct message;
typedef void message_fn(void *owner, struct message *message);

/* Something for the owner to do between two runs; embedded in the sender's struct. `run` may free
 * it. */
struct message {
    struct message *next;
    message_fn *run;
};

struct inbox {
    _Alignas(CACHE_LINE) _Atomic(struct block *) blocks;
    _Atomic(struct message *) messages;
    _Alignas(CACHE_LINE) _Atomic uint32_t sleeping;
    int wake_fd;
};

s4_status inbox_init(struct inbox *inbox) MUST_USE;
void inbox_fini(
    struct inbox *inbox); /* drops what is left: blocks are released, messages forgotten */

void inbox_push_block(struct inbox *inbox, struct block *block);
void inbox_push_message(struct inbox *inbox, struct message *message);

/* All that came, oldest first; NULL: nothing. */
struct block *inbox_take_blocks(struct inbox *inbox);
struct message *inbox_take_messages(struct inbox *inbox);

/* Looks up to `turns` times whether something came, some 20 to 50 ns each: for a thread that has
 * worked just now and a core to itself, since being woken on another core takes longer than what
 * thousands of events do. True: something is there. */
bool inbox_spin(const struct inbox *inbox, uint32_t turns);
/* Announces sleep. False: something is there, do not sleep. After true, wait on wake_fd, then call
 * inbox_woken. */
bool inbox_sleep(struct inbox *inbox);
void inbox_woken(struct inbox *inbox);
/* Wakes the owner if it sleeps. Any thread. */
void inbox_wake(struct inbox *inbox);

#endif
