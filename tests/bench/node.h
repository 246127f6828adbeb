/* An engine with the benches' bundle in it, as a node has it: opened, checked, loaded by dlopen.
 * One thread. What goes wrong is a message and the end of the program. */
#ifndef TESTS_BENCH_NODE_H
#define TESTS_BENCH_NODE_H

#include <semaphore.h>

#include "pe/host/engine.h"

struct node_options {
    const char *bundle;
    const char *lines; /* NULL: no source runs here */
    uint32_t slots;
    bool feed_thread; /* on a core of its own */
    uint64_t flush_us;
    uint32_t nodes, number; /* of a cluster; 0: there is no other */
    const struct engine_remote *remote;
};

struct node {
    struct engine *engine;
    sem_t answered;   /* posted by upcalls */
    s4_status status; /* of the last answer; read after it was waited for */
};

void node_open(struct node *node, const struct node_options *options);
void node_close(struct node *node);

/* Starts the app's source, which takes the lines `passes` times; waits until it has ended. */
void node_feed(struct node *node, const char *app, unsigned long passes);
/* Takes the lines `passes` times, to the end of all that they cause; answers the nanoseconds. */
uint64_t node_pass(struct node *node, unsigned long passes);
/* The app's counters; ends the program if an event failed. */
struct engine_counters node_counters(struct node *node);

/* The cores that this program may use: all threads go to the last one, a feed's own to the first.
 */
void node_pin(void);

#endif
