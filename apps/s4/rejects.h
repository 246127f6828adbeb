/* Lines that could not be read: counted, the first few shown, all of them in a file if asked. Any
 * thread between open and close. */
#ifndef APPS_S4_REJECTS_H
#define APPS_S4_REJECTS_H

#include <pthread.h>

#include "runtime/base/base.h"
#include "runtime/base/diag.h"

#define REJECTS_SHOWN 10 /* on stderr, per command */

struct rejects {
    pthread_mutex_t lock;
    FILE *file; /* JSON lines; NULL: none is wanted */
    const char *path;
    uint64_t count;
    int error; /* the file's first errno */
};

/* `path` NULL: no file. */
s4_status rejects_open(struct rejects *rejects, const char *path, struct diag *diag) MUST_USE;
/* The line's number counts from 1; a message's in a protobuf file likewise. */
void rejects_add(struct rejects *rejects, const char *source, uint64_t line, const char *message);
/* Counts lines of which nothing more is known. */
void rejects_add_unnamed(struct rejects *rejects, uint64_t count);
/* Says how many were not shown; S4_IO: not all are in the file. */
s4_status rejects_close(struct rejects *rejects, struct diag *diag) MUST_USE;

#endif
