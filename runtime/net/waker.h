/* One thread sleeps, others wake it: an eventfd in a poll set, written to only if it sleeps.
 *
 * A call is remembered: one that comes between the owner's last look at its queues and its wait
 * makes that wait return at once. So an owner looks at everything, waits, and looks again.
 */
#ifndef RUNTIME_NET_WAKER_H
#define RUNTIME_NET_WAKER_H

#include <stdatomic.h>

#include "runtime/base/base.h"

#define WAKER_FDS_MAX 4096       /* descriptors that one thread waits for */
#define WAKER_FOREVER UINT64_MAX /* as a timeout */

struct pollfd;

struct waker {
    _Atomic int state; /* waker_call's exchange pairs with waker_wait's */
    int fd;            /* the eventfd; constant */
    struct pollfd
        *fds; /* owner's; the first is the eventfd, the others' revents are of the last look */
    size_t count;
    size_t capacity;
};

s4_status waker_init(struct waker *waker) MUST_USE;
void waker_fini(struct waker *waker);

/* Owner thread. A descriptor that is readable ends a wait; it stays the caller's. */
s4_status waker_watch(struct waker *waker, int fd) MUST_USE;
void waker_unwatch(struct waker *waker, int fd);
/* True: it looked at the descriptors, `fds[i].revents` tell what it saw. */
bool waker_wait(struct waker *waker, uint64_t timeout_us);
/* Looks at the descriptors without waiting. */
void waker_look(struct waker *waker);

/* Any thread. */
void waker_call(struct waker *waker);

#endif
