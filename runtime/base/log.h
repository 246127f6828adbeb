/* The log sink: libraries do not log, they tell a sink that the program gave them.
 *
 * A NULL sink swallows everything. `write` gets one line without its newline and may be called from
 * any thread.
 */
#ifndef RUNTIME_BASE_LOG_H
#define RUNTIME_BASE_LOG_H

#include "runtime/base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    void (*write)(const struct log *log, enum log_level level, const char *text);
};

void log_write(const struct log *log, enum log_level level, const char *format, ...) PRINTF(3, 4);

#endif
