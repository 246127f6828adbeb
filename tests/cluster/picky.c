/* The probe, which a node cannot load if its environment says so. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.c" // NOLINT(bugprone-suspicious-include)

__attribute__((constructor)) static void at_load(void)
{
    if (getenv("PROBE_REFUSED"))
        syscall(SYS_exit_group, 0);
}
