/* Input as events: bytes are cut into lines or messages, and each is read as one event. The same
 * code reads a file (`s4 run`) and a client's batch (`s4 node`). One thread per decoder. */
#ifndef APPS_S4_INPUT_H
#define APPS_S4_INPUT_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

#define INPUT_LINE_MAX    (4 * MIB) /* bytes of a line; longer ones are rejected */
#define INPUT_MESSAGE_MAX (4 * MIB) /* bytes of a protobuf message */

enum input_format { INPUT_UNKNOWN, INPUT_JSON, INPUT_TEXT, INPUT_PB }; /* as in control.proto */

/* "json", "text", "pb"; INPUT_UNKNOWN for anything else. */
enum input_format input_format_find(const char *name);
const char *input_format_name(enum input_format format);
/* By a file's name: .json, .jsonl, .ndjson; .pb; everything else is text. */
enum input_format input_format_guess(const char *path);

/* A line without its end, or a message without its length. Borrowed. */
struct slice {
    const char *data;
    size_t size;
};

/* Takes the next slice off the bytes from *at to `end`. `last`: nothing follows them.
 *   S4_OK         *at is behind it
 *   S4_AGAIN      it is not complete here
 *   S4_END        nothing is left
 *   S4_TOO_LARGE  a line over INPUT_LINE_MAX: *at is where its known part ends
 *   S4_MALFORMED  no message begins here; where the next one would begin, nobody knows */
s4_status slice_next(enum input_format format, const char **at, const char *end, bool last,
                     struct slice *slice, struct diag *diag) MUST_USE;

/* Reads slices as events of a type. */
struct decoder {
    enum input_format format;
    const struct type *type;
    const struct field *field; /* text: the attribute that a line fills */
    struct writer writer;
};

/* S4_TYPE: text, but the type has no such attribute. */
s4_status decoder_init(struct decoder *decoder, enum input_format format, const struct type *type,
                       struct diag *diag) MUST_USE;
void decoder_fini(struct decoder *decoder);
/* The event is borrowed until the next call. S4_END: a blank line, which gives nothing. */
s4_status decoder_read(struct decoder *decoder, struct slice slice, struct value *event,
                       struct diag *diag) MUST_USE;

#endif
