/* A feed from a file.
 *
 * The intake steps it with a budget; it must not block, since it may be on a worker's thread. So
 * what is no regular file is asked by poll before it is read. A line that cannot be read is
 * rejected with its number and the rest goes on; a protobuf stream whose next length makes no sense
 * ends there, since nobody knows where the next message begins.
 */
#include "apps/s4/feed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/s4/file.h"
#include "runtime/base/mem.h"

#define READ_SIZE (256 * KIB)

/* Moves what is left to the front and makes room for a read. */
static bool make_room(struct feed_file *feed)
{
    if (feed->from) {
        memmove(feed->data, feed->data + feed->from, feed->to - feed->from);
        feed->to -= feed->from;
        feed->from = 0;
    }
    void *data = feed->data;
    bool grown = mem_grow(&data, &feed->capacity, feed->to + READ_SIZE, 1);
    feed->data = data;
    return grown;
}

/* S4_OK: more bytes, or the end; S4_AGAIN: none now. */
static s4_status read_more(struct feed_file *feed)
{
    if (!feed->regular) {
        struct pollfd ready = { .fd = feed->fd, .events = POLLIN };
        if (poll(&ready, 1, 0) == 0)
            return S4_AGAIN;
    }
    if (!make_room(feed))
        return diag_set(&feed->diag, S4_NO_MEMORY, "%s: out of memory", feed->path);
    ssize_t n = read(feed->fd, feed->data + feed->to, READ_SIZE);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return S4_AGAIN;
    if (n < 0)
        return file_failed(&feed->diag, feed->path, errno);
    feed->at_end = n == 0;
    feed->to += (size_t)n;
    atomic_fetch_add_explicit(&feed->bytes, (uint64_t)n, memory_order_relaxed);
    return S4_OK;
}

static void reject(struct feed_file *feed, const char *message)
{
    atomic_fetch_add_explicit(&feed->rejected, 1, memory_order_relaxed);
    rejects_add(feed->rejects, feed->path, feed->line, message);
}

/* S4_OK: given, rejected, or nothing in it. */
static s4_status give(struct feed_file *feed, struct feeder *feeder, struct slice slice)
{
    struct value event;
    struct diag diag = { 0 };
    feed->line++;
    s4_status status = decoder_read(&feed->decoder, slice, &event, &diag);
    if (status == S4_END)
        return S4_OK;
    if (status == S4_NO_MEMORY)
        return diag_set(&feed->diag, status, "%s: out of memory", feed->path);
    if (status != S4_OK) {
        reject(feed, diag.text);
        return S4_OK;
    }
    status = feeder_give(feeder, &event);
    if (status == S4_TOO_LARGE) {
        reject(feed, "the event's record is over 1 MiB, or its key over 4 KiB");
        return S4_OK;
    }
    if (status != S4_OK)
        return diag_set(&feed->diag, status, "%s:%llu: %s", feed->path,
                        (unsigned long long)feed->line, s4_status_text(status));
    return S4_OK;
}

/* Drops bytes up to the end of the line that is too long. */
static void skip(struct feed_file *feed)
{
    const char *newline = memchr(feed->data + feed->from, '\n', feed->to - feed->from);
    feed->from = newline ? (size_t)(newline - feed->data) + 1 : feed->to;
    feed->skipping = !newline && !feed->at_end;
}

/* Takes one slice off. S4_AGAIN: more bytes are needed first. */
static s4_status take(struct feed_file *feed, struct feeder *feeder)
{
    if (feed->skipping) {
        skip(feed);
        return feed->skipping ? S4_AGAIN : S4_OK;
    }
    if (!feed->data)
        return S4_AGAIN;
    const char *at = feed->data + feed->from;
    struct slice slice;
    struct diag diag = { 0 };
    s4_status status =
        slice_next(feed->decoder.format, &at, feed->data + feed->to, feed->at_end, &slice, &diag);
    feed->from = (size_t)(at - feed->data);
    switch (status) {
    case S4_OK:
        return give(feed, feeder, slice);
    case S4_TOO_LARGE:
        feed->line++;
        reject(feed, diag.text);
        feed->skipping = true;
        return S4_OK;
    case S4_MALFORMED:
        feed->line++;
        reject(feed, diag.text);
        return S4_END;
    default:
        return status;
    }
}

static s4_status step(struct feed *base, struct feeder *feeder, uint32_t budget)
{
    struct feed_file *feed = CONTAINER_OF(base, struct feed_file, feed);
    for (uint32_t taken = 0; taken < budget; taken++) {
        s4_status status = take(feed, feeder);
        if (status == S4_AGAIN)
            status = read_more(feed);
        if (status != S4_OK)
            return status == S4_AGAIN && taken ? S4_OK : status;
    }
    return S4_OK;
}

static void closed(struct feed *base, s4_status status)
{
    struct feed_file *feed = CONTAINER_OF(base, struct feed_file, feed);
    feed->ended(feed->user, feed, status);
}

s4_status feed_file_open(struct feed_file *feed, const char *path, enum input_format format,
                         const struct type *stream_type, struct rejects *rejects, struct diag *diag)
{
    *feed = (struct feed_file){
        .feed = { .step = step, .closed = closed }, .path = path, .rejects = rejects, .fd = -1
    };
    TRY(decoder_init(&feed->decoder, format, stream_type, diag));
    bool standard = strcmp(path, "-") == 0;
    feed->fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat found;
    if (feed->fd < 0 || fstat(feed->fd, &found) != 0) {
        s4_status status = file_failed(diag, path, errno);
        feed_file_close(feed);
        return status;
    }
    if (S_ISDIR(found.st_mode)) {
        feed_file_close(feed);
        return file_failed(diag, path, EISDIR);
    }
    feed->regular = S_ISREG(found.st_mode);
    feed->size = feed->regular ? (uint64_t)found.st_size : 0;
    feed->path = standard ? "(standard input)" : path;
    return S4_OK;
}

void feed_file_close(struct feed_file *feed)
{
    if (feed->fd >= 0)
        close(feed->fd);
    feed->fd = -1;
    mem_free(feed->data);
    feed->data = NULL;
    decoder_fini(&feed->decoder);
}
