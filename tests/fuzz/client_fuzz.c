/* What a node reads from anybody who can connect: a request, and the events of a batch in it, in
 * every format. A client's side, the reply, is read too. */
#include "apps/s4/input.h"
#include "router/client/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any types will do: one with a single string, one with some of each. */
static const struct type *type_of(enum input_format format)
{
    static struct schema *schema;
    const ProtobufCMessageDescriptor *types[] = { &s4__control__hello__descriptor,
                                                  &s4__control__reply__descriptor };
    if (!schema)
        CHECK(schema_from_descriptors(types, ARRAY_LEN(types), &schema, NULL) == S4_OK);
    return schema_find(schema, format == INPUT_TEXT ? types[0]->name : types[1]->name);
}

static void read_events(enum input_format format, const char *data, size_t size)
{
    struct decoder decoder;
    CHECK(decoder_init(&decoder, format, type_of(format), NULL) == S4_OK);
    const char *at = size ? data : ""; /* as the node does */
    const char *end = at + size;
    s4_status status;
    do {
        const char *before = at;
        struct slice slice;
        struct value event;
        struct diag diag;
        status = slice_next(format, &at, end, true, &slice, &diag);
        if (status != S4_OK)
            break;
        CHECK(at > before && slice.data >= before && slice.data + slice.size <= at);
        status = decoder_read(&decoder, slice, &event, &diag);
    } while (status != S4_NO_MEMORY);
    decoder_fini(&decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    S4__Control__Request *request;
    if (control_request_read(data, size, &request) == S4_OK) {
        if (request->what_case == S4__CONTROL__REQUEST__WHAT_INJECT &&
            request->inject->format >= S4__CONTROL__FORMAT__JSON &&
            request->inject->format <= S4__CONTROL__FORMAT__PB)
            read_events((enum input_format)request->inject->format,
                        (const char *)request->inject->events.data, request->inject->events.len);
        control_request_destroy(request);
    }
    S4__Control__Reply *reply;
    if (control_reply_read(data, size, &reply) == S4_OK)
        control_reply_destroy(reply);
    return 0;
}
