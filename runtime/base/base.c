/* The one way in which a programmer's mistake ends the process. */
#include "runtime/base/base.h"

#include <stdio.h>

void check_failed(const char *file, int line, const char *func, const char *what)
{
    fprintf(stderr, "s4: %s:%d: %s: check failed: %s\n", file, line, func, what);
    abort();
}
