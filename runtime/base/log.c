/* Formats a line for the sink. */
#include "runtime/base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_LINE_MAX 2048

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    if (!log)
        return;
    char line[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->write(log, level, line);
}
