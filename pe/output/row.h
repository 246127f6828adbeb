/* A message as a row: a value whose references count from OUTPUT_ROW_BASE bytes before it, so that
 * tables and logs copy it as bytes. Questions and answers are kept the same way.
 */
#ifndef PE_OUTPUT_ROW_H
#define PE_OUTPUT_ROW_H

#include "runtime/base/buffer.h"
#include "runtime/record/codec.h"
#include "runtime/record/writer.h"

/* Writes the message to `out` (grown, overwritten), where `row` points from then on.
 * S4_TOO_LARGE: no record could hold it.
 */
s4_status row_encode(const struct codec *codec, const ProtobufCMessage *message, struct buffer *out,
                     struct value *row) MUST_USE;

/* Back into a struct, `message`, of the codec's type; what it points at lies in the arena.
 * NULL: out of memory.
 */
void *row_decode(const struct codec *codec, const struct buffer *row, void *message,
                 struct arena *arena);

#endif
