/* Lines that could not be read; see the header. */
#include "apps/s4/rejects.h"

#include <errno.h>
#include <inttypes.h>

#include "apps/s4/file.h"
#include "apps/s4/say.h"
#include "runtime/text/json.h"

s4_status rejects_open(struct rejects *rejects, const char *path, struct diag *diag)
{
    struct rejects opened = { .path = path };
    if (path && !(opened.file = fopen(path, "we")))
        return file_failed(diag, path, errno);
    *rejects = opened;
    CHECK(pthread_mutex_init(&rejects->lock, NULL) == 0);
    return S4_OK;
}

static void write_line(struct rejects *rejects, const char *source, uint64_t line,
                       const char *message)
{
    struct buffer text;
    buffer_init(&text);
    bool fine = buffer_append_text(&text, "{\"input\":") == S4_OK &&
                json_write_string(&text, source, strlen(source)) == S4_OK &&
                buffer_printf(&text, ",\"line\":%" PRIu64 ",\"message\":", line) == S4_OK &&
                json_write_string(&text, message, strlen(message)) == S4_OK &&
                buffer_append_text(&text, "}\n") == S4_OK;
    if (!fine)
        errno = ENOMEM;
    if ((!fine || fwrite(text.data, 1, text.size, rejects->file) != text.size) && !rejects->error)
        rejects->error = errno;
    buffer_fini(&text);
}

void rejects_add(struct rejects *rejects, const char *source, uint64_t line, const char *message)
{
    pthread_mutex_lock(&rejects->lock);
    if (rejects->count++ < REJECTS_SHOWN)
        say_note("%s:%" PRIu64 ": %s", source, line, message);
    if (rejects->file)
        write_line(rejects, source, line, message);
    pthread_mutex_unlock(&rejects->lock);
}

void rejects_add_unnamed(struct rejects *rejects, uint64_t count)
{
    pthread_mutex_lock(&rejects->lock);
    rejects->count += count;
    pthread_mutex_unlock(&rejects->lock);
}

s4_status rejects_close(struct rejects *rejects, struct diag *diag)
{
    if (rejects->count > REJECTS_SHOWN)
        say_note("and %" PRIu64 " more lines were rejected%s%s", rejects->count - REJECTS_SHOWN,
                 rejects->file ? "; all are in " : "", rejects->file ? rejects->path : "");
    if (rejects->file && fclose(rejects->file) != 0 && !rejects->error)
        rejects->error = errno;
    rejects->file = NULL;
    pthread_mutex_destroy(&rejects->lock);
    return rejects->error ? file_failed(diag, rejects->path, rejects->error) : S4_OK;
}
