/* How `s4` ends: the one list of exit codes, for programs, --help and the man pages. */
#ifndef APPS_S4_EXIT_H
#define APPS_S4_EXIT_H

#include "runtime/base/base.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,    /* what the message says: a full disk, no permission, in use, out of time */
    EXIT_USAGE = 2,     /* unknown command or flag, or an argument that makes no sense */
    EXIT_REJECTED = 3,  /* some of the input could not be read; the rest was taken */
    EXIT_PAUSED = 4,    /* an app is paused at the hard memory mark */
    EXIT_NOT_FOUND = 5, /* no such app, stream, output, column, prototype or key */
    EXIT_BAD_BUNDLE = 6, /* a bundle, manifest or plugin that is refused */
    EXIT_NO_NODE = 69,   /* no node answers, or it did not acknowledge everything */
};

/* Lines of --help. */
#define EXIT_TEXT_USUAL      "Exit codes: 0 done; 1 failed; 2 wrong usage"
#define EXIT_TEXT_REJECTED   "; 3 some input was rejected, the rest taken"
#define EXIT_TEXT_PAUSED     "; 4 paused at the hard memory mark"
#define EXIT_TEXT_NOT_FOUND  "; 5 no such app, stream, output, column, prototype or key"
#define EXIT_TEXT_BAD_BUNDLE "; 6 the bundle is refused"
#define EXIT_TEXT_NO_NODE    "; 69 no node answers"

/* The exit code of a command that ended with this status. */
static inline int exit_of(s4_status status)
{
    switch (status) {
    case S4_OK:
        return EXIT_DONE;
    case S4_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case S4_PAUSED:
        return EXIT_PAUSED;
    case S4_UNAVAILABLE:
    case S4_PROTOCOL:
    case S4_IN_DOUBT:
        return EXIT_NO_NODE;
    default:
        return EXIT_FAILED;
    }
}

#endif
