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
        diag->place = (struct diag_place){ 0 };
    }
}

void diag_write_at_args(struct diag *diag, s4_status code, const char *file, uint32_t line,
                        uint32_t column, const char *format, va_list args)
{
    if (!diag)
        return;
    if (line)
        diag_write(diag, code, "%s:%u:%u: ", file, line, column);
    else
        diag_write(diag, code, "%s: ", file);
    size_t at = strnlen(diag->text, sizeof diag->text);
    vsnprintf(diag->text + at, sizeof diag->text - at, format, args);
    diag->place = (struct diag_place){ .file_len = (uint32_t)size_min(strlen(file), at),
                                       .message = (uint32_t)at,
                                       .line = line,
                                       .column = column };
}

void diag_write_at(struct diag *diag, s4_status code, const char *file, uint32_t line,
                   uint32_t column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag_write_at_args(diag, code, file, line, column, format, args);
    va_end(args);
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
        diag->place = (struct diag_place){ 0 };
    }
    return code;
}
