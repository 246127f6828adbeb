/* s4 inject: a file as batches, several under way, and what became of each event.
 *
 * Every event of the input ends in exactly one of four counts: accepted, rejected (it cannot be
 * read, with its line's number), shed (by the stream's policy), unacknowledged (its batch was not
 * taken, or nobody answered). They add up to the events that were read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "apps/s4/file.h"
#include "apps/s4/input.h"
#include "apps/s4/interrupt.h"
#include "apps/s4/rejects.h"
#include "apps/s4/remote.h"
#include "apps/s4/say.h"
#include "runtime/base/buffer.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"

#define BATCH_EVENTS_DEFAULT 1000
#define BATCH_EVENTS_MAX     1000        /* so that a reply can name every line of a batch */
#define BATCH_BYTES          (128 * KIB) /* decoded they have to fit a record */
#define READ_SIZE            (256 * KIB)

struct inject {
    struct remote remote;
    struct target target;
    const char *path;
    const char *rejects_path;
    enum input_format format;
    s4_client_ack ack;
    uint64_t batch_events;
    bool json;

    int fd;
    bool at_end;
    struct buffer input; /* from `from` on it is not sent yet */
    size_t from;
    uint64_t line;
    struct rejects rejects;
    uint64_t accepted, shed, unacknowledged, duplicates;
    s4_status failed; /* the first failure of a batch */
    struct diag diag;
    struct diag doubt; /* of the first batch that was taken or not; the others go on */
    uint64_t shown_us;
};

/* A batch under way. */
struct sent {
    struct inject *inject;
    uint64_t first; /* line before its first */
    uint64_t events;
};

enum { OPT_ACK = 0x100, OPT_BATCH, OPT_WINDOW, OPT_REJECTS, OPT_PRODUCER, OPT_NUMBER };

static void parse_format(const struct argp_state *state, const char *arg, struct inject *inject)
{
    inject->format = input_format_find(arg);
    if (inject->format == INPUT_UNKNOWN)
        command_usage(state, "--format %s: wanted json, text or pb", arg);
}

static void parse_ack(const struct argp_state *state, const char *arg, struct inject *inject)
{
    if (strcmp(arg, "taken") == 0)
        inject->ack = S4_CLIENT_TAKEN;
    else if (strcmp(arg, "applied") == 0)
        inject->ack = S4_CLIENT_APPLIED;
    else
        command_usage(state, "--ack %s: wanted taken or applied", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct inject *inject = state->input;
    switch (key) {
    case 'f':
        parse_format(state, arg, inject);
        return 0;
    case OPT_ACK:
        parse_ack(state, arg, inject);
        return 0;
    case OPT_BATCH:
        inject->batch_events = command_number(state, "batch", arg, 1, BATCH_EVENTS_MAX);
        return 0;
    case OPT_WINDOW:
        inject->remote.window =
            (uint32_t)command_number(state, "window", arg, 1, S4_CLIENT_WINDOW_MAX);
        return 0;
    case OPT_REJECTS:
        inject->rejects_path = arg;
        return 0;
    case OPT_PRODUCER:
        inject->remote.producer = command_number(state, "producer", arg, 1, UINT64_MAX);
        return 0;
    case OPT_NUMBER:
        inject->remote.number = command_number(state, "number", arg, 1, UINT64_MAX);
        return 0;
    case 'j':
        inject->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!inject->target.app[0])
            remote_target(state, arg, ".", &inject->target);
        else if (!inject->path)
            inject->path = arg;
        else
            command_usage(state, "'%s' is too much", arg);
        return 0;
    case ARGP_KEY_END:
        if (!inject->target.app[0])
            command_usage(state, "it takes the stream: APP.STREAM");
        return 0;
    default:
        return remote_parse(key, arg, state, &inject->remote);
    }
}

/* ---- what became of a batch ---------------------------------------------------------------- */

static void done(void *user, const s4_injected *result)
{
    struct sent *sent = user;
    struct inject *inject = sent->inject;
    const char *source = inject->path ? inject->path : "(standard input)";
    if (result->status == S4_OK) {
        inject->accepted += result->accepted;
        inject->duplicates += result->duplicate;
        for (size_t i = 0; i < result->n_rejects; i++)
            rejects_add(&inject->rejects, source, sent->first + result->rejects[i].line,
                        result->rejects[i].message);
        rejects_add_unnamed(&inject->rejects, result->rejected - result->n_rejects);
    } else if (result->status == S4_SHED) {
        inject->shed += sent->events;
    } else {
        inject->unacknowledged += sent->events;
        if (result->status == S4_IN_DOUBT) {
            diag_set(&inject->doubt, result->status, "%s", result->message);
        } else if (inject->failed == S4_OK) {
            inject->failed = result->status;
            diag_set(&inject->diag, result->status, "%s", result->message);
        }
    }
    mem_free(sent);
}

/* ---- batches ------------------------------------------------------------------------------- */

/* S4_END: the input is at its end, and what is there is all. */
static s4_status read_more(struct inject *inject)
{
    if (inject->at_end)
        return S4_END;
    if (inject->from && inject->input.data) {
        memmove(inject->input.data, inject->input.data + inject->from,
                inject->input.size - inject->from);
        inject->input.size -= inject->from;
        inject->from = 0;
    }
    char *room = buffer_room(&inject->input, READ_SIZE);
    if (!room)
        return diag_set(&inject->diag, S4_NO_MEMORY, "out of memory");
    ssize_t n;
    do {
        n = interrupt_read(inject->fd, room, READ_SIZE);
    } while (n < 0 && errno == EINTR);
    inject->input.size -= READ_SIZE - (size_t)(n > 0 ? n : 0);
    if (n < 0)
        return file_failed(&inject->diag, inject->path ? inject->path : "(standard input)", errno);
    inject->at_end = n == 0;
    return S4_OK;
}

/* Drops the rest of a line that is too long. */
static s4_status skip_line(struct inject *inject)
{
    for (;;) {
        char *rest = inject->input.data + inject->from;
        char *newline = memchr(rest, '\n', inject->input.size - inject->from);
        inject->from = newline ? (size_t)(newline - inject->input.data) + 1 : inject->input.size;
        if (newline)
            return S4_OK;
        s4_status status = read_more(inject);
        if (status != S4_OK || inject->at_end)
            return status;
    }
}

static bool gives_event(const struct inject *inject, struct slice slice)
{
    if (inject->format != INPUT_JSON)
        return true;
    for (size_t i = 0; i < slice.size; i++)
        if (slice.data[i] != ' ' && slice.data[i] != '\t')
            return true;
    return false;
}

/* The lines that are whole here, up to a batch. `*trouble`: what ended it, if not its size. */
static const char *cut(struct inject *inject, uint64_t *events, s4_status *trouble)
{
    const char *begin = inject->input.data + inject->from;
    const char *end = inject->input.data + inject->input.size;
    const char *at = begin;
    uint64_t lines = 0;
    *events = 0;
    *trouble = S4_OK;
    while (lines < inject->batch_events && (size_t)(at - begin) < BATCH_BYTES) {
        const char *next = at;
        struct slice slice;
        *trouble = slice_next(inject->format, &next, end, inject->at_end, &slice, &inject->diag);
        if (*trouble != S4_OK)
            break;
        at = next;
        lines++;
        *events += gives_event(inject, slice);
    }
    inject->line += lines;
    return at;
}

static s4_status start(struct inject *inject, s4_client *client, const char *begin, const char *end,
                       uint64_t first, uint64_t events)
{
    struct sent *sent = mem_alloc(sizeof *sent);
    if (!sent)
        return diag_set(&inject->diag, S4_NO_MEMORY, "out of memory");
    *sent = (struct sent){ .inject = inject, .first = first, .events = events };
    s4_batch batch = { .app = inject->target.app,
                       .stream = inject->target.part,
                       .format = (s4_client_format)inject->format,
                       .ack = inject->ack,
                       .bytes = begin,
                       .size = (size_t)(end - begin) };
    s4_status status = s4_client_inject_start(client, &batch, done, sent);
    if (status != S4_OK) {
        inject->unacknowledged += events;
        mem_free(sent);
        return diag_set(&inject->diag, status, "%s", s4_client_message(client));
    }
    return S4_OK;
}

/* What cannot go into a batch is rejected here. S4_END: nothing can be read behind it. */
static s4_status reject_here(struct inject *inject, s4_status trouble)
{
    rejects_add(&inject->rejects, inject->path ? inject->path : "(standard input)", ++inject->line,
                inject->diag.text);
    return trouble == S4_TOO_LARGE ? skip_line(inject) : S4_END;
}

static s4_status send_batch(struct inject *inject, s4_client *client)
{
    uint64_t first = inject->line, events;
    s4_status trouble;
    if (!inject->input.data)
        TRY(read_more(inject));
    const char *begin = inject->input.data + inject->from;
    const char *end = cut(inject, &events, &trouble);
    inject->from = (size_t)(end - inject->input.data);
    if (end > begin)
        TRY(start(inject, client, begin, end, first, events));
    switch (trouble) {
    case S4_OK:
        return S4_OK;
    case S4_AGAIN:
        return end > begin ? S4_OK : read_more(inject);
    case S4_TOO_LARGE:
    case S4_MALFORMED:
        return reject_here(inject, trouble);
    default:
        return trouble;
    }
}

static void show_progress(struct inject *inject)
{
    uint64_t now = clock_real.mono_us(&clock_real);
    if (now - inject->shown_us < 200000)
        return;
    inject->shown_us = now;
    say_progress("%" PRIu64 " lines, %" PRIu64 " accepted, %" PRIu64 " rejected", inject->line,
                 inject->accepted, inject->rejects.count);
}

static s4_status inject_all(struct inject *inject, s4_client *client)
{
    s4_status status = S4_OK;
    interrupt_listen();
    while (status == S4_OK && inject->failed == S4_OK && !interrupt_came()) {
        status = send_batch(inject, client);
        show_progress(inject);
    }
    say_progress_end();
    if (interrupt_came())
        say_note("the input ends here, by a signal; once more stops at once");
    s4_status finished = s4_client_inject_finish(client);
    if (inject->failed != S4_OK)
        return inject->failed;
    if (finished != S4_OK)
        return diag_set(&inject->diag, finished, "%s", s4_client_message(client));
    if (status == S4_END && inject->doubt.code != S4_OK) {
        inject->diag = inject->doubt;
        return inject->doubt.code;
    }
    return status == S4_END ? S4_OK : status;
}

/* ---- the command --------------------------------------------------------------------------- */

static int report(const struct inject *inject, s4_status status)
{
    say_printf(inject->json ? "{\"lines\":%" PRIu64 ",\"accepted\":%" PRIu64
                              ",\"rejected\":%" PRIu64 ",\"shed\":%" PRIu64
                              ",\"unacknowledged\":%" PRIu64 ",\"duplicate_batches\":%" PRIu64 "}\n"
                            : "%" PRIu64 " lines: %" PRIu64 " accepted, %" PRIu64
                              " rejected, %" PRIu64 " shed, %" PRIu64 " unacknowledged (%" PRIu64
                              " batches had been taken before)\n",
               inject->line, inject->accepted, inject->rejects.count, inject->shed,
               inject->unacknowledged, inject->duplicates);
    if (status != S4_OK) {
        say_error("%s", inject->diag.text);
        return exit_of(status);
    }
    return inject->rejects.count ? EXIT_REJECTED : EXIT_DONE;
}

static int run(struct inject *inject)
{
    s4_client *client;
    int code = remote_connect(&inject->remote, &client);
    if (code != EXIT_DONE)
        return code;
    s4_status status = rejects_open(&inject->rejects, inject->rejects_path, &inject->diag);
    if (status != S4_OK) {
        say_error("%s", inject->diag.text);
        s4_client_destroy(client);
        return EXIT_FAILED;
    }
    buffer_init(&inject->input);
    status = inject_all(inject, client);
    struct diag diag = { 0 };
    bool written = rejects_close(&inject->rejects, &diag) == S4_OK;
    code = report(inject, status);
    if (!written) {
        say_error("%s", diag.text);
        code = code == EXIT_DONE || code == EXIT_REJECTED ? EXIT_FAILED : code;
    }
    buffer_fini(&inject->input);
    s4_client_destroy(client);
    return code;
}

int command_inject(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "format", 'f', "FORMAT", 0,
          "json (an object per line), text (a line fills the one string attribute), pb (messages "
          "after their lengths); default: by the file's name",
          0 },
        { "ack", OPT_ACK, "WHEN", 0, "taken, or applied (default): when a batch is acknowledged",
          0 },
        { "batch", OPT_BATCH, "N", 0, "Events in a batch, 1 to 1000 (default: 1000)", 0 },
        { "window", OPT_WINDOW, "N", 0, "Batches under way (default: 8)", 0 },
        { "rejects", OPT_REJECTS, "FILE", 0, "Write every rejected line's number and why", 0 },
        { "producer", OPT_PRODUCER, "ID", 0, "Who injects; makes repeats of a batch harmless", 0 },
        { "number", OPT_NUMBER, "N", 0, "Of the producer's first batch (default: 1)", 0 },
        { "json", 'j', 0, 0, "Print the counts as a JSON object", 0 },
        REMOTE_OPTIONS,
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "APP.STREAM [FILE]",
        .doc =
            "Send events to a stream: a file, or standard input. Reports how many were accepted, "
            "rejected, shed and not acknowledged, which add up to the events that were read."
            "\vExample:\n  s4 inject hello.lines README.md\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_REJECTED EXIT_TEXT_PAUSED EXIT_TEXT_NOT_FOUND EXIT_TEXT_NO_NODE
            ", or it did not acknowledge everything.",
    };
    struct inject inject = { .batch_events = BATCH_EVENTS_DEFAULT, .ack = S4_CLIENT_APPLIED };
    command_parse(&argp, argc, argv, &inject);
    if (inject.path && strcmp(inject.path, "-") == 0)
        inject.path = NULL;
    if (inject.format == INPUT_UNKNOWN)
        inject.format = inject.path ? input_format_guess(inject.path) : INPUT_TEXT;
    inject.fd = inject.path ? open(inject.path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (inject.fd < 0) {
        file_failed(&inject.diag, inject.path, errno);
        say_error("%s", inject.diag.text);
        return EXIT_FAILED;
    }
    int code = run(&inject);
    if (inject.path)
        close(inject.fd);
    return code;
}
