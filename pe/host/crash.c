/* What the crashing thread was running, written from its signal handler: no lock, no heap, no
 * stdio. A thread knows its worker or its request through a thread-local pointer, set where a run
 * begins; the context in it says the rest. */
#include "pe/host/request.h"

#include <unistd.h>

#define EVENT_BYTES_SHOWN 64u

_Thread_local struct host_ctx *host_running;
_Thread_local const struct request_job *host_running_request;

static void put_bytes(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n <= 0)
            return;
        data += n;
        size -= (size_t)n;
    }
}

static void put(int fd, const char *text)
{
    put_bytes(fd, text, strlen(text));
}

static void put_number(int fd, uint64_t n)
{
    char text[24];
    size_t at = sizeof text;
    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    put_bytes(fd, text + at, sizeof text - at);
}

/* Bytes as they are where they can be printed, else as \xNN. */
static void put_escaped(int fd, const char *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        char hex[4] = { '\\', 'x', digits[c >> 4], digits[c & 15] };
        if (c >= ' ' && c < 127)
            put_bytes(fd, &data[i], 1);
        else
            put_bytes(fd, hex, sizeof hex);
    }
}

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {
        [CALL_START] = "start",   [CALL_STOP] = "stop",     [CALL_SOURCE] = "source",
        [CALL_CREATE] = "create", [CALL_EVENT] = "event",   [CALL_TRIGGER] = "trigger",
        [CALL_TIMER] = "timer",   [CALL_OUTPUT] = "output", [CALL_QUERY] = "query",
        [CALL_REMOVE] = "remove", [CALL_ANSWER] = "answer", [CALL_SAVE] = "save",
        [CALL_LOAD] = "load",
    };
    return kind < ARRAY_LEN(names) && names[kind] ? names[kind] : "?";
}

/* The stack has the library by the name under which it was loaded, and offsets in it. */
static void put_code(int fd, const struct host_app *app)
{
    int file = plugin_file(app->plugin);
    if (file < 0)
        return;
    put(fd, "code: ");
    put(fd, app->graph->library ? app->graph->library : "the library");
    put(fd, ", in the stack /proc/self/fd/");
    put_number(fd, (uint64_t)file);
    put(fd, "\n");
}

static void put_app(int fd, const struct host_app *app)
{
    put(fd, "bundle: ");
    put(fd, app->graph->app);
    put(fd, " ");
    put(fd, app->graph->version);
    put(fd, ", build id ");
    const char *id = plugin_build_id(app->plugin);
    put(fd, *id ? id : "unknown");
    put(fd, "\n");
    put_code(fd, app);
}

static void put_event(int fd, const struct host_ctx *ctx)
{
    const struct record *record = ctx->record;
    if (!record || record->stream >= ctx->app->n_pairs)
        return;
    const struct host_pair *pair = &ctx->app->pairs[record->stream];
    put(fd, "event: stream ");
    put(fd, ctx->app->streams[pair->stream].name);
    put(fd, ", from partition ");
    put_number(fd, record->src);
    put(fd, ", number ");
    put_number(fd, record->seq);
    put(fd, ", time ");
    put_number(fd, record->time);
    put(fd, ", attributes ");
    const char *at = record_attributes(record);
    size_t size = (size_t)((const char *)record + record->len - at);
    put_escaped(fd, at, size_min(size, EVENT_BYTES_SHOWN));
    put(fd, size > EVENT_BYTES_SHOWN ? "...\n" : "\n");
}

static void put_asker(int fd, const char *prototype, uint16_t slot, const char *key, size_t size)
{
    put(fd, " of prototype ");
    put(fd, prototype);
    put(fd, ", partition ");
    put_number(fd, slot);
    put(fd, ", key ");
    put_escaped(fd, key, size);
}

static void put_request(int fd, const struct request_job *job)
{
    put_app(fd, job->app);
    put(fd, "in: the function of request ");
    put(fd, job->app->requests[job->request].request->name);
    put(fd, ", asked by an instance");
    put_asker(fd, job->app->prototypes[job->prototype].name, job->slot, job->key, job->key_len);
    put(fd, "\n");
}

void engine_crash_note(int fd)
{
    const struct host_ctx *ctx = host_running;
    if (!ctx || !ctx->app) {
        if (host_running_request)
            put_request(fd, host_running_request);
        return;
    }
    put_app(fd, ctx->app);
    put(fd, "in: callback ");
    put(fd, kind_name(ctx->kind));
    if (ctx->partition && ctx->prototype) {
        const struct instance *instance = instances_at(ctx->table, ctx->number);
        put_asker(fd, ctx->prototype->name, ctx->partition->base.slot, instance_key(instance),
                  instance->key_len);
    }
    put(fd, "\n");
    put_event(fd, ctx);
}
