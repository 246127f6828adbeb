/* A program that is driven by commands: it says what it has until "ready", then takes a line and
 * answers with what it has to say and "ok". It ends when its input does, so it never outlives the
 * test. tests/cluster/fault_proxy.c and scripts/lib/zookeeper are such programs.
 */
#ifndef TESTS_SUPPORT_DRIVEN_H
#define TESTS_SUPPORT_DRIVEN_H

#include <stdio.h>
#include <sys/types.h>

#include "runtime/base/base.h"

#define DRIVEN_SERVERS_MAX 3

struct driven {
    pid_t pid;
    FILE *to, *from;
    char line[256]; /* the last one that it said */
};

/* `argv` ends with NULL; its first is the path. A failure fails the test. */
void driven_start(struct driven *driven, const char *const *argv);
void driven_stop(struct driven *driven); /* waits until it has ended */
/* The next line; false: it was `last`. "error ..." fails the test. */
bool driven_says(struct driven *driven, const char *last);
/* A command, and everything that it says to it but the last line before "ok" dropped. */
void driven_tell(struct driven *driven, const char *format, ...) PRINTF(2, 3);

/* ZooKeeper servers on the loopback: scripts/lib/zookeeper, which says the commands. */
struct zoo {
    struct driven driven;
    char dir[64];
    char hosts[128]; /* of all */
    size_t n;
    unsigned ports[DRIVEN_SERVERS_MAX];
};

void zoo_open(struct zoo *zoo, size_t servers);
void zoo_close(struct zoo *zoo);
size_t zoo_leader(struct zoo *zoo); /* of an ensemble; waits until there is one */

/* A network to one port that fails on command: tests/cluster/fault_proxy.c says how. */
struct proxy {
    struct driven driven;
    char host[32];
};

void proxy_open(struct proxy *proxy, unsigned port);
void proxy_close(struct proxy *proxy);

#endif
