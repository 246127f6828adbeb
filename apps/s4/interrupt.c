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

ssize_t interrupt_read(int fd, void *room, size_t size)
{
    sigset_t before, both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    struct pollfd input = { .fd = fd, .events = POLLIN };
    pthread_sigmask(SIG_BLOCK, &both, &before); /* none may come between the look and the wait */
    int ready = came ? 0 : ppoll(&input, 1, NULL, &before);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    if (came)
        return 0;
    return ready < 0 ? -1 : read(fd, room, size);
}
