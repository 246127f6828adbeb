/* A user's mistake, as it is told to the user: where, what was found, what was wanted.
 *
 * Functions that read what a user wrote take a `struct diag *` last; on failure they set it once.
 * Owned by the caller, no allocation. NULL is allowed and ignored. One thread at a time.
 */
#ifndef RUNTIME_BASE_DIAG_H
#define RUNTIME_BASE_DIAG_H

#include <stdarg.h>

#include "runtime/base/base.h"

#define DIAG_TEXT_MAX 1024

struct diag {
    s4_status code;
    char text[DIAG_TEXT_MAX];
};

/* Sets code and text (cut at DIAG_TEXT_MAX) and answers the code, so that
 * `return diag_set(diag, S4_TYPE, ...)` reads well. A macro, so that the compiler and the analyzer
 * see which code that is. */
#define diag_set(diag, code, ...) diag_code((diag_write(diag, code, __VA_ARGS__), (code)))
void diag_write(struct diag *diag, s4_status code, const char *format, ...) PRINTF(3, 4);
static inline s4_status diag_code(s4_status code)
{
    return code;
}

/* Puts text before what is there: the outer places of an error ("app.yaml:3:5: "). */
s4_status diag_prefix(struct diag *diag, s4_status code, const char *format, ...) PRINTF(3, 4);

#endif
