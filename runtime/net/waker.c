/* The sleeping half of a stepping thread; see the header.
 *
 *   AWAKE --wait--> ASLEEP --call--> CALLED (and one write to the eventfd)
 *     ^               |                |
 *     +---woke up-----+----------------+      AWAKE --call--> CALLED (no write) --wait--> AWAKE
 *
 * Waking a thread on another core costs as much as 1,800 events, so a call of an awake owner must
 * cost one exchange and no system call. What a caller wrote before its call is seen by the owner
 * after the wait that follows or that the call ended.
 */
#include "runtime/net/waker.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/mem.h"

enum waker_state { WAKER_AWAKE, WAKER_ASLEEP, WAKER_CALLED };

s4_status waker_init(struct waker *waker)
{
    *waker = (struct waker){ 0 };
    waker->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (waker->fd < 0)
        return S4_IO;
    s4_status status = waker_watch(waker, waker->fd);
    if (status != S4_OK)
        close(waker->fd);
    return status;
}

void waker_fini(struct waker *waker)
{
    if (waker->count > 0)
        close(waker->fd);
    mem_free(waker->fds);
    *waker = (struct waker){ 0 };
}

s4_status waker_watch(struct waker *waker, int fd)
{
    if (waker->count == WAKER_FDS_MAX)
        return S4_FULL;
    void *fds = waker->fds;
    if (!mem_grow(&fds, &waker->capacity, waker->count + 1, sizeof *waker->fds))
        return S4_NO_MEMORY;
    waker->fds = fds;
    waker->fds[waker->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    return S4_OK;
}

void waker_unwatch(struct waker *waker, int fd)
{
    for (size_t i = 1; i < waker->count; i++) {
        if (waker->fds[i].fd == fd) {
            waker->fds[i] = waker->fds[--waker->count];
            return;
        }
    }
}

static void sleep_in_poll(struct waker *waker, uint64_t timeout_us)
{
    struct timespec limit = {
        .tv_sec = (time_t)(timeout_us / 1000000),
        .tv_nsec = (long)(timeout_us % 1000000) * 1000,
    };
    waker->fds[0].revents = 0;
    ppoll(waker->fds, waker->count, timeout_us == WAKER_FOREVER ? NULL : &limit, NULL);
    if (waker->fds[0].revents) {
        uint64_t value;
        ssize_t n = read(waker->fd, &value, sizeof value);
        (void)n; /* EAGAIN cannot matter: only the wake-up counts */
    }
}

bool waker_wait(struct waker *waker, uint64_t timeout_us)
{
    int expected = WAKER_AWAKE;
    bool slept = atomic_compare_exchange_strong(&waker->state, &expected, WAKER_ASLEEP);
    if (slept)
        sleep_in_poll(waker, timeout_us);
    atomic_exchange(&waker->state, WAKER_AWAKE); /* not a store: it must see what a caller wrote */
    return slept;
}

/* An eventfd that is readable is left to the next wait. */
void waker_look(struct waker *waker)
{
    poll(waker->fds, waker->count, 0);
}

void waker_call(struct waker *waker)
{
    if (atomic_exchange(&waker->state, WAKER_CALLED) != WAKER_ASLEEP)
        return;
    uint64_t one = 1;
    ssize_t n = write(waker->fd, &one, sizeof one);
    (void)n; /* a full counter is readable as well */
}
