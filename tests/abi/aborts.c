/* Its constructor ends the process. */
#include <stdlib.h>

#include "raw.h"

__attribute__((constructor)) static void at_load(void)
{
    abort();
}
