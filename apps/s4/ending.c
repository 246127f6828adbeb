/* An engine's end, and what is said when it does not come. See the header. */
#include "apps/s4/ending.h"

#include <sys/eventfd.h>

#include "apps/s4/crash.h"
#include "apps/s4/say.h"

static void *run(void *arg)
{
    struct ending *ending = arg;
    ending->stop(ending->user);
    atomic_store(&ending->done, true);
    eventfd_write(ending->wake, 1);
    return NULL;
}

void ending_start(struct ending *ending, void (*stop)(void *user), void *user, int wake)
{
    ending->stop = stop;
    ending->user = user;
    ending->wake = wake;
    atomic_store(&ending->done, false);
    CHECK(pthread_create(&ending->thread, NULL, run, ending) == 0);
}

void ending_join(struct ending *ending)
{
    pthread_join(ending->thread, NULL);
}

void ending_tell(void)
{
    say_progress_end();
    say_error("a plugin's code does not return; what waited is dropped. It is still running:");
    crash_tell_running();
}
