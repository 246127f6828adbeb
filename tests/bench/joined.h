/* A node of two: an engine with a bundle in it, a net over tcp on the loopback, and the thread that
 * steps the net, as a node has them. Node 0 is the calling process, node 1 the other one (child.h).
 * One thread. What goes wrong is a message and the end of the program. */
#ifndef TESTS_BENCH_JOINED_H
#define TESTS_BENCH_JOINED_H

#include "tests/bench/child.h"
#include "tests/bench/node.h"
#include "runtime/net/net.h"

#define JOINED_SLOTS    64u
#define JOINED_FLUSH_US 100u /* D: how long a record waits in an open block */

struct joined;

struct joined_options {
    const char *bundle;
    const char *lines;
    unsigned long rate, count; /* of a timed source; 0: none */
    const char *times;         /* a file for what node 1 measured; NULL: it measures nothing */
};

/* Both nodes, up: sessions are open in both directions, the bundle is deployed on both. */
struct joined *joined_open(const struct joined_options *options);

/* Runs node 0's source to its end, and until node 1 has acknowledged all as applied; answers the
 * nanoseconds. */
uint64_t joined_pass(struct joined *joined, unsigned long passes);

/* What node 1 has done so far, by its own counters. */
struct joined_counts {
    uint64_t applied, instances; /* of the app */
    uint64_t frames, bytes;      /* of blocks, that its sessions took in */
};
struct joined_counts joined_counts(struct joined *joined);

/* Ends both; what node 1 measured is in its file then. */
void joined_close(struct joined *joined);

/* Whether events of this key go to node 1. */
bool joined_is_far(uint64_t key);

/* Node 1, if the arguments are for it: never returns then. */
void joined_child(int argc, char **argv);

#endif
