/* Cores; see the header. */
#include "tests/bench/cores.h"

#include <sched.h>

#include "runtime/base/base.h"

static int first = -1;
static int last = -1;

void cores_find(void)
{
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET((size_t)core, &set)) {
            first = first < 0 ? core : first;
            last = core;
        }
}

static void pin(pid_t thread, int core, int or_core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    CPU_SET((size_t)or_core, &set);
    CHECK(sched_setaffinity(thread, sizeof set, &set) == 0);
}

void cores_pin_first(pid_t thread)
{
    pin(thread, first, first);
}

void cores_pin_last(pid_t thread)
{
    pin(thread, last, last);
}

void cores_pin_both(pid_t thread)
{
    pin(thread, first, last);
}
