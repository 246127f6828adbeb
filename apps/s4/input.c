/* Input as events; see the header. */
#include "apps/s4/input.h"

#include <strings.h>

#include "runtime/text/json.h"
#include "runtime/text/line.h"
#include "runtime/text/pb.h"

#define LENGTH_MAX 10 /* bytes of a varint */

static const char *const format_names[] = { "", "json", "text", "pb" };

enum input_format input_format_find(const char *name)
{
    for (size_t i = 1; i < ARRAY_LEN(format_names); i++)
        if (strcmp(format_names[i], name) == 0)
            return (enum input_format)i;
    return INPUT_UNKNOWN;
}

const char *input_format_name(enum input_format format)
{
    return format_names[format];
}

enum input_format input_format_guess(const char *path)
{
    const char *end = strrchr(path, '.');
    if (!end || strchr(end, '/'))
        return INPUT_TEXT;
    if (strcasecmp(end, ".json") == 0 || strcasecmp(end, ".jsonl") == 0 ||
        strcasecmp(end, ".ndjson") == 0)
        return INPUT_JSON;
    return strcasecmp(end, ".pb") == 0 ? INPUT_PB : INPUT_TEXT;
}

static s4_status next_line(const char **at, const char *end, bool last, struct slice *slice,
                           struct diag *diag)
{
    size_t left = (size_t)(end - *at);
    const char *newline = memchr(*at, '\n', left);
    size_t size = newline ? (size_t)(newline - *at) : left;
    if (size > INPUT_LINE_MAX) {
        *at += size;
        return diag_set(diag, S4_TOO_LARGE, "the line is longer than %zu bytes", INPUT_LINE_MAX);
    }
    if (!newline && !last)
        return S4_AGAIN;
    *slice = (struct slice){ .data = *at, .size = size };
    if (size && (*at)[size - 1] == '\r')
        slice->size--;
    *at += size + (newline ? 1 : 0);
    return S4_OK;
}

static s4_status next_message(const char **at, const char *end, bool last, struct slice *slice,
                              struct diag *diag)
{
    uint64_t size = 0;
    const char *from = *at;
    for (unsigned shift = 0;; shift += 7) {
        if (shift == 7 * LENGTH_MAX)
            return diag_set(diag, S4_MALFORMED, "its length is no varint");
        if (from == end)
            return last ? diag_set(diag, S4_MALFORMED, "truncated: the input ends in its length")
                        : S4_AGAIN;
        uint8_t byte = (uint8_t)*from++;
        size |= shift < 63 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (!(byte & 0x80))
            break;
    }
    if (size > INPUT_MESSAGE_MAX)
        return diag_set(diag, S4_MALFORMED, "its length is %llu bytes; at most %zu are read",
                        (unsigned long long)size, INPUT_MESSAGE_MAX);
    if (size > (size_t)(end - from))
        return last ? diag_set(diag, S4_MALFORMED,
                               "truncated: it should have %llu bytes, the input ends after %zu",
                               (unsigned long long)size, (size_t)(end - from))
                    : S4_AGAIN;
    *slice = (struct slice){ .data = from, .size = (size_t)size };
    *at = from + size;
    return S4_OK;
}

s4_status slice_next(enum input_format format, const char **at, const char *end, bool last,
                     struct slice *slice, struct diag *diag)
{
    if (*at == end)
        return last ? S4_END : S4_AGAIN;
    return format == INPUT_PB ? next_message(at, end, last, slice, diag)
                              : next_line(at, end, last, slice, diag);
}

s4_status decoder_init(struct decoder *decoder, enum input_format format, const struct type *type,
                       struct diag *diag)
{
    struct decoder made = { .format = format, .type = type };
    if (format == INPUT_TEXT)
        TRY(line_field(type, &made.field, diag));
    *decoder = made;
    writer_init(&decoder->writer);
    return S4_OK;
}

void decoder_fini(struct decoder *decoder)
{
    writer_fini(&decoder->writer);
}

static bool blank(struct slice slice)
{
    for (size_t i = 0; i < slice.size; i++)
        if (slice.data[i] != ' ' && slice.data[i] != '\t')
            return false;
    return true;
}

s4_status decoder_read(struct decoder *decoder, struct slice slice, struct value *event,
                       struct diag *diag)
{
    switch (decoder->format) {
    case INPUT_JSON:
        if (blank(slice))
            return S4_END;
        return json_read(&decoder->writer, decoder->type, slice.data, slice.size, event, diag);
    case INPUT_TEXT:
        return line_read(&decoder->writer, decoder->type, decoder->field, slice.data, slice.size,
                         event, diag);
    default:
        return pb_read(&decoder->writer, decoder->type, slice.data, slice.size, event, diag);
    }
}
