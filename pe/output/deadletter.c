/* Makes rows of dead letters. Rare by nature, so clarity comes before speed. */
#include "pe/output/deadletter.h"

#include "pe/output/row.h"
#include "proto/deadletter.pb-c.h"
#include "runtime/base/utf8.h"
#include "runtime/text/json.h"

s4_status deadletter_type(struct schema **schema, struct codec **codec)
{
    const ProtobufCMessageDescriptor *types[] = { &s4__output__dead_letter__descriptor };
    struct schema *made;
    TRY(schema_from_descriptors(types, 1, &made, NULL));
    s4_status status = codec_create(schema_find(made, types[0]->name), codec);
    if (status == S4_OK)
        *schema = made;
    else
        schema_destroy(made);
    return status;
}

static s4_status event_text(const struct deadletter *letter, struct buffer *text)
{
    if (letter->event)
        TRY(json_write(letter->event, text));
    if (text->size > DEADLETTER_EVENT_MAX) {
        text->size = utf8_valid(text->data, DEADLETTER_EVENT_MAX);
        TRY(buffer_append_text(text, "... (cut)"));
    }
    return buffer_text(text) ? S4_OK : S4_NO_MEMORY;
}

/* protobuf-c's structs have no const; packing changes nothing. */
static char *struct_text(const char *text)
{
    union {
        const char *given;
        char *wanted;
    } both = { text };
    return both.wanted;
}

s4_status deadletter_row(const struct codec *codec, const struct deadletter *letter,
                         struct buffer *out, struct value *row)
{
    struct buffer text;
    buffer_init(&text);
    s4_status status = event_text(letter, &text);
    if (status == S4_OK) {
        S4__Output__DeadLetter message = S4__OUTPUT__DEAD_LETTER__INIT;
        message.prototype = struct_text(letter->prototype);
        message.key = struct_text(letter->key ? letter->key : "");
        message.stream = struct_text(letter->stream);
        message.status = struct_text(s4_status_name(letter->status));
        message.cause = struct_text(letter->cause);
        message.event = text.data;
        message.version = struct_text(letter->version);
        status = row_encode(codec, &message.base, out, row);
    }
    buffer_fini(&text);
    return status;
}
