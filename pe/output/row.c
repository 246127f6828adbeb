/* Messages as rows; see the header. */
#include "pe/output/row.h"

#include "pe/output/limits.h"
#include "runtime/record/block.h"

s4_status row_encode(const struct codec *codec, const ProtobufCMessage *message, struct buffer *out,
                     struct value *row)
{
    size_t have = out->capacity > BLOCK_SLACK ? out->capacity - BLOCK_SLACK : 0;
    for (size_t want = size_max(have & ~(size_t)7, 1 * KIB);; want *= 2) {
        buffer_clear(out);
        char *record = buffer_room(out, want + BLOCK_SLACK);
        if (!record)
            return S4_NO_MEMORY;
        char *at = record + OUTPUT_ROW_BASE;
        int64_t n = codec_put(codec)(codec, message, record, at, record + want, &codec_no_alias);
        if (n >= 0) {
            *row = (struct value){
                .type = codec_type(codec), .record = record, .at = at, .size = (uint32_t)n
            };
            return S4_OK;
        }
        if (n != CODEC_FULL || want >= 2 * RECORD_MAX)
            return S4_TOO_LARGE;
    }
}

void *row_decode(const struct codec *codec, const struct buffer *row, void *message,
                 struct arena *arena)
{
    return codec_get(codec)(codec, row->data, row->data + OUTPUT_ROW_BASE, message, arena);
}
