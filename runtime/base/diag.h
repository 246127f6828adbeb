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

/* What of the text is a place in a file: "FILE:LINE:COLUMN: MESSAGE", or "FILE: MESSAGE". */
struct diag_place {
    uint32_t file_len; /* letters of FILE, at the text's beginning; 0: the text names no place */
    uint32_t message;  /* where MESSAGE begins */
    uint32_t line;     /* both from 1; 0: only the file is known */
    uint32_t column;
};

struct diag {
    s4_status code;
    char text[DIAG_TEXT_MAX];
    struct diag_place place;
};

/* Sets code and text (cut at DIAG_TEXT_MAX) and answers the code, so that
 * `return diag_set(diag, S4_TYPE, ...)` reads well. A macro, so that the compiler and the analyzer
 * see which code that is. */
#define diag_set(diag, code, ...) diag_code((diag_write(diag, code, __VA_ARGS__), (code)))
void diag_write(struct diag *diag, s4_status code, const char *format, ...) PRINTF(3, 4);
/* The same with a place before it; line 0: only the file. */
#define diag_set_at(diag, code, file, line, column, ...) \
    diag_code((diag_write_at(diag, code, file, line, column, __VA_ARGS__), (code)))
void diag_write_at(struct diag *diag, s4_status code, const char *file, uint32_t line,
                   uint32_t column, const char *format, ...) PRINTF(6, 7);
void diag_write_at_args(struct diag *diag, s4_status code, const char *file, uint32_t line,
                        uint32_t column, const char *format, va_list args) PRINTF(6, 0);
static inline s4_status diag_code(s4_status code)
{
    return code;
}

/* Puts text before what is there: what an error is part of ("lib/x.so: "). It names no place then.
 */
s4_status diag_prefix(struct diag *diag, s4_status code, const char *format, ...) PRINTF(3, 4);

#endif
