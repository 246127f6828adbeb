/* The other process of a bench: this program once more, with other arguments, which hears lines on
 * its standard input and says lines on its standard output. One thread. What goes wrong is a
 * message and the end of the program; a child ends when its parent has. */
#ifndef TESTS_BENCH_CHILD_H
#define TESTS_BENCH_CHILD_H

#include <stdio.h>
#include <sys/types.h>

#include "runtime/base/base.h"

#define CHILD_LINE_MAX 512
#define CHILD_ARGS_MAX 8
#define CHILD_SECONDS  120 /* a bench that hangs must not hang its caller */

struct child {
    pid_t pid;
    FILE *in;
    FILE *out;
};

/* `args` ends with NULL; the program's name is put before. */
void child_start(struct child *child, const char *const *args);
void child_tell(struct child *child, const char *format, ...) PRINTF(2, 3);
/* The next line, without its end. */
void child_read(struct child *child, char line[CHILD_LINE_MAX]);
/* Closes its input and waits. */
void child_end(struct child *child);

/* In the child: what it says, and what it is told (false: the parent has gone). */
void child_say(const char *format, ...) PRINTF(1, 2);
bool child_hear(char line[CHILD_LINE_MAX]);

#endif
