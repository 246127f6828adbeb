/* What the program says; see the header. Colour and progress are for terminals: NO_COLOR, a dumb
 * terminal or a pipe get plain lines. */
#include "apps/s4/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/text/json.h"

static const char *said_by = "";
static bool progress_shown;
static int out_error; /* the first errno of stdout */

static bool on_terminal(void)
{
    return isatty(STDERR_FILENO) && !getenv("NO_COLOR");
}

void say_command(const char *command)
{
    said_by = command;
}

/* One write, so that lines of several threads do not mix. */
static PRINTF(2, 0) void line(const char *colour, const char *format, va_list args)
{
    char text[DIAG_TEXT_MAX + 256];
    bool coloured = *colour && on_terminal();
    int n =
        snprintf(text, sizeof text - 8, "%s%ss4%s%s:%s ", progress_shown ? "\r\033[K" : "",
                 coloured ? colour : "", *said_by ? " " : "", said_by, coloured ? "\033[0m" : "");
    n += vsnprintf(text + n, sizeof text - 8 - (size_t)n, format, args);
    if ((size_t)n > sizeof text - 9)
        n = sizeof text - 9;
    text[n++] = '\n';
    progress_shown = false;
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        return; /* nobody to tell it to */
}

void say_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line("\033[31m", format, args);
    va_end(args);
}

void say_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line("", format, args);
    va_end(args);
}

static bool names_file(const struct problem *problem, const char *file)
{
    return strlen(file) == problem->place.file_len &&
           memcmp(problem->text, file, problem->place.file_len) == 0;
}

void say_problems(const char *place, const struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->list[i];
        bool named = !place || names_file(problem, place);
        say_error("%s%s%s", named ? "" : place, named ? "" : ": ", problem->text);
    }
    if (problems->dropped)
        say_error("and %zu more", problems->dropped);
    if (!problems->count)
        say_error("%s", s4_status_text(problems->first));
}

void say_progress(const char *format, ...)
{
    if (!on_terminal())
        return;
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "\r\033[K%s", text);
    progress_shown = true;
}

void say_progress_end(void)
{
    if (progress_shown)
        fputs("\r\033[K", stderr);
    progress_shown = false;
}

static enum log_level log_wanted(void)
{
    const char *wanted = getenv("S4_LOG");
    if (wanted && strcmp(wanted, "debug") == 0)
        return LOG_DEBUG;
    return wanted && strcmp(wanted, "info") == 0 ? LOG_INFO : LOG_WARN;
}

static void log_line(const struct log *log, enum log_level level, const char *text)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    if (level <= log_wanted())
        say_note("%s: %s", names[level], text);
}

const struct log say_log = { .write = log_line };

void say_out(const void *bytes, size_t size)
{
    if (size && fwrite(bytes, 1, size, stdout) != size && !out_error)
        out_error = errno;
}

void say_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vfprintf(stdout, format, args) < 0 && !out_error)
        out_error = errno;
    va_end(args);
}

bool say_flush(void)
{
    if (fflush(stdout) != 0 && !out_error)
        out_error = errno;
    if (!out_error)
        return true;
    if (out_error != EPIPE) /* who closed it knows */
        say_error("cannot write the output: %s", strerror(out_error));
    return false;
}

void say_json_string(const char *text)
{
    say_json_bytes(text, strlen(text));
}

void say_json_bytes(const char *text, size_t size)
{
    struct buffer buffer;
    buffer_init(&buffer);
    if (json_write_string(&buffer, text, size) == S4_OK)
        say_out(buffer.data, buffer.size);
    else if (!out_error)
        out_error = ENOMEM;
    buffer_fini(&buffer);
}

void say_json_problems(const char *place, const struct problems *problems)
{
    say_printf("[");
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->list[i];
        const struct diag_place *at = &problem->place;
        say_printf("%s{\"file\":", i ? "," : "");
        if (at->file_len)
            say_json_bytes(problem->text, at->file_len);
        else
            say_json_string(place);
        if (at->line)
            say_printf(",\"line\":%u,\"column\":%u", at->line, at->column);
        say_printf(",\"code\":\"%s\",\"message\":", s4_status_name(problem->code));
        say_json_string(problem->text + at->message);
        say_printf("}");
    }
    say_printf("]");
}
