/* The references of two processes over tcp on the loopback, with ZeroMQ and no runtime. The calling
 * process is the sender and the other one (child.h) the receiver; each is on a core of its own.
 *
 *   R2    frames of 64 KiB, zero-copy, PUSH to PULL; the receiver touches each cache line
 *   R2b   R2 with what a keyed count must do and nothing else: the sender parses lines, hashes keys
 *         and packs records; the receiver looks each key up in a table (in groups, prefetched) and
 *         calls a handler through a pointer
 *   R3    the round trip of a message of 100 bytes, DEALER to ROUTER, both ends blocking
 *
 * One thread. What goes wrong is a message and the end of the program.
 */
#ifndef TESTS_BENCH_WIRE_H
#define TESTS_BENCH_WIRE_H

#include "runtime/base/base.h"
#include "tests/bench/lines.h"

/* Of R2 and R2b: as many bytes as the runtime's record of {fixed64 key, fixed64 value} has; who
 * compares checks that. */
#define WIRE_RECORD 64u
#define WIRE_FRAME  (64 * KIB)
#define WIRE_KEYS   (1u << 20) /* that R2b's table has room for */

/* Millions of records per second. */
double wire_r2(uint64_t records);
double wire_r2b(const struct lines *lines, uint64_t *keys);

struct wire_rtt {
    double p50_us;
    double p99_us;
};
struct wire_rtt wire_r3(uint32_t turns);

/* The other process's part, if the arguments are for it: never returns then. */
void wire_child(int argc, char **argv);

#endif
