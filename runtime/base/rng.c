/* A seed from the kernel; a machine without getrandom cannot run this. */
#include "runtime/base/rng.h"

#include <sys/random.h>

uint64_t rng_seed_real(void)
{
    uint64_t seed;
    CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed);
    return seed;
}
