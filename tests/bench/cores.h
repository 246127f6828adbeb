/* The cores that a bench may use: the first and the last of those that it was started with. */
#ifndef TESTS_BENCH_CORES_H
#define TESTS_BENCH_CORES_H

#include <sys/types.h>

/* What runs is put there, with the threads that it starts from then on. Before the first pin, or
 * the cores are those of the last one. */
void cores_find(void);

/* `thread` 0: the caller. */
void cores_pin_first(pid_t thread);
void cores_pin_last(pid_t thread);
void cores_pin_both(pid_t thread);

#endif
