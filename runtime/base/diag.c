/* Formats a user's mistake; see the header for the contract. */
#include "runtime/base/diag.h"

#include <stdio.h>

void diag_write(struct diag *diag, s4_status code, const char *format, ...)
{
    if (diag) {
        va_list args;
        va_start(args, format);
        vsnprintf(diag->text, sizeof diag->text, format, args);
        va_end(args);
        diag->code = code;
    }
}

s4_status diag_prefix(struct diag *diag, s4_status code, const char *format, ...)
{
    if (diag) {
        char rest[DIAG_TEXT_MAX];
        memcpy(rest, diag->text, sizeof rest);
        va_list args;
        va_start(args, format);
        int n = vsnprintf(diag->text, sizeof diag->text, format, args);
        va_end(args);
        size_t at = size_min(n < 0 ? 0 : (size_t)n, sizeof diag->text - 1);
        size_t room = sizeof diag->text - 1 - at;
        size_t len = size_min(strnlen(rest, sizeof rest), room);
        memcpy(diag->text + at, rest, len);
        diag->text[at + len] = '\0';
        diag->code = code;
    }
    return code;
}
