/* What the program says: results on stdout, everything else on stderr. Any thread may say; progress
 * belongs to the main thread. */
#ifndef APPS_S4_SAY_H
#define APPS_S4_SAY_H

#include "pe/graph/problems.h"
#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/log.h"

/* A line on stderr after "s4 COMMAND: ". */
void say_command(const char *command);
void say_error(const char *format, ...) PRINTF(1, 2);
void say_note(const char *format, ...) PRINTF(1, 2);
/* All problems of a bundle, one line each, after "PLACE: " unless it is NULL or named already. */
void say_problems(const char *place, const struct problems *problems);

/* The line that shows how far it is, overwritten by the next; only on a terminal. */
void say_progress(const char *format, ...) PRINTF(1, 2);
void say_progress_end(void);

/* The program's log sink: errors and warnings, and more with S4_LOG=info or debug. */
extern const struct log say_log;

/* Bytes on stdout. Failures are kept until say_flush, which tells them (a full disk) and answers
 * whether all of it went out. */
void say_out(const void *bytes, size_t size);
void say_printf(const char *format, ...) PRINTF(1, 2);
bool say_flush(void);

/* A JSON string with its quotes. */
void say_json_string(const char *text);
void say_json_bytes(const char *text, size_t size);
/* The problems as a JSON array: file (or `place`), line and column where they are known, code,
 * message. */
void say_json_problems(const char *place, const struct problems *problems);

#endif
