/* SIGINT and SIGTERM of a command that reads: the first ends its input, the second does what it
 * always does. Of one thread. */
#ifndef APPS_S4_INTERRUPT_H
#define APPS_S4_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

void interrupt_listen(void);
bool interrupt_came(void);

/* Waits so long, or until a signal has come. */
void interrupt_wait(uint64_t us);

/* read, but 0, the end, once a signal has come, also while it waits. */
ssize_t interrupt_read(int fd, void *room, size_t size);

#endif
