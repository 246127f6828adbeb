/* Dead letters: the rows of the log that every app has beside its own outputs
 * (proto/deadletter.proto). One thread per codec's user; the type is immutable. */
#ifndef PE_OUTPUT_DEADLETTER_H
#define PE_OUTPUT_DEADLETTER_H

#include "runtime/base/buffer.h"
#include "runtime/record/codec.h"
#include "runtime/record/writer.h"

#define DEADLETTER_EVENT_MAX (16 * KIB) /* of the event's JSON; longer is cut, and says so */

struct deadletter {
    const char *version;
    const char *stream;
    const char *prototype;
    const char *key;
    s4_status status;
    const char *cause;
    const struct value *event; /* NULL: none */
};

/* The type of the rows and what encodes them; the caller destroys both, the codec first. */
s4_status deadletter_type(struct schema **schema, struct codec **codec) MUST_USE;

/* A row, in `out` (overwritten), whose references count from OUTPUT_ROW_BASE bytes before it. */
s4_status deadletter_row(const struct codec *codec, const struct deadletter *letter,
                         struct buffer *out, struct value *row) MUST_USE;

#endif
