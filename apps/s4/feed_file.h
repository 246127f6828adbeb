/* A feed from a file or standard input: what `s4 run --inject STREAM=FILE` gives the engine. */
#ifndef APPS_S4_FEED_FILE_H
#define APPS_S4_FEED_FILE_H

#include <stdatomic.h>

#include "apps/s4/input.h"
#include "apps/s4/rejects.h"
#include "router/intake/feed.h"

struct feed_file {
    struct feed feed;        /* hand &feed to the engine; it is borrowed until `closed` is called */
    const char *path;        /* "-": standard input */
    struct rejects *rejects; /* shared by all */
    /* Called on the intake's thread when it has ended; must not block. */
    void (*ended)(void *user, struct feed_file *feed, s4_status status);
    void *user;

    /* Any thread reads these; the intake's writes them. */
    atomic_uint_fast64_t rejected;
    atomic_uint_fast64_t bytes; /* read so far */
    uint64_t size;              /* of the file; 0: unknown */

    /* The intake's thread. */
    int fd;
    bool regular;
    bool at_end;
    bool skipping; /* the rest of a line that is too long */
    uint64_t line;
    struct decoder decoder;
    char *data; /* owned; [from, to) is not given yet */
    size_t capacity, from, to;
    struct diag diag; /* of a failure to read */
};

/* Opens the file. `stream_type`: what an event of the stream is. */
s4_status feed_file_open(struct feed_file *feed, const char *path, enum input_format format,
                         const struct type *stream_type, struct rejects *rejects,
                         struct diag *diag) MUST_USE;
/* After `closed`, or if it was never handed over. */
void feed_file_close(struct feed_file *feed);

#endif
