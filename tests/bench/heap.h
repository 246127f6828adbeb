/* Counts what a process asks of its heap, whoever asks: engine, plugin, libc, libraries. Any
 * thread. */
#ifndef TESTS_BENCH_HEAP_H
#define TESTS_BENCH_HEAP_H

#include <stdint.h>

/* Calls so far of malloc, calloc, realloc, free and their kin, on all threads. free(NULL) is none.
 */
uint64_t heap_calls(void);

#endif
