/* Mistakes planted on purpose, for a test that has to find each of them (tests/sim): it compiles
 * what cites this header once more, with PLANTED_BUGS. Everywhere else PLANTED is false, and what
 * hangs on it is not there. Which mistakes there are is in the planted.h of a folder. */
#ifndef RUNTIME_BASE_PLANTED_H
#define RUNTIME_BASE_PLANTED_H

#ifdef PLANTED_BUGS
__attribute__((weak)) int planted_bug; /* which one there is now; the test has its own */
#define PLANTED(bug) (planted_bug == (bug))
#else
#define PLANTED(bug) (false && (bug))
#endif

#endif
