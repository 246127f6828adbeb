/* The first signal only sets a flag; see the header. */
#include "apps/s4/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/base/base.h"

static volatile sig_atomic_t came;

static void interrupt(int number)
{
    (void)number;
    came = 1;
}

void interrupt_listen(void)
{
    struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_came(void)
{
    return came != 0;
}

/* poll, unless a signal came: none may come between the look and the wait. */
static int wait_for(struct pollfd *input, nfds_t n, const struct timespec *limit)
{
    sigset_t before, both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &both, &before);
    int ready = came ? 0 : ppoll(input, n, limit, &before);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return ready;
}

void interrupt_wait(uint64_t us)
{
    struct timespec limit = { .tv_sec = (time_t)(us / 1000000),
                              .tv_nsec = (long)(us % 1000000) * 1000 };
    wait_for(NULL, 0, &limit);
}

ssize_t interrupt_read(int fd, void *room, size_t size)
{
    struct pollfd input = { .fd = fd, .events = POLLIN };
    int ready = wait_for(&input, 1, NULL);
    if (came)
        return 0;
    return ready < 0 ? -1 : read(fd, room, size);
}
