/* The end of an engine, when it may not come: a callback or a request of a plugin that never
 * returns keeps its thread for ever, and who waits for that thread never ends either. So the engine
 * is stopped on a thread of its own, and its program can give up. */
#ifndef APPS_S4_ENDING_H
#define APPS_S4_ENDING_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/base/base.h"

#define ENDING_PATIENCE_US 2000000 /* for what should have ended long ago */

struct ending {
    pthread_t thread;
    void (*stop)(void *user);
    void *user;
    int wake;           /* an eventfd that is rung when it is done; borrowed */
    _Atomic(bool) done; /* written by its thread, read by whoever waits */
};

/* Runs `stop` on a thread of its own. In place: `ending` must not move. */
void ending_start(struct ending *ending, void (*stop)(void *user), void *user, int wake);
static inline bool ending_is_done(const struct ending *ending)
{
    return atomic_load(&ending->done);
}
void ending_join(struct ending *ending); /* once it is done */

/* Says which plugin code still runs, on stderr. What was started is left as it is: the process is
 * to end with _exit. */
void ending_tell(void);

#endif
