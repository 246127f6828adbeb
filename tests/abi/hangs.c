/* Its constructor never returns. */
#include <unistd.h>

#include "raw.h"

__attribute__((constructor)) static void at_load(void)
{
    for (;;)
        pause();
}
