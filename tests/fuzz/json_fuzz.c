/* Any bytes as JSON: what is read is written as JSON that reads as the same, and as protobuf bytes
 * that read as the same. The first byte chooses the type. */
#include "runtime/text/json.h"
#include "runtime/text/pb.h"
#include "tests/support/text_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
    struct schema *schema;
    struct writer writer;
    struct buffer json, again;
    struct buffer packed;
};

static void check_same(const struct buffer *a, const struct buffer *b)
{
    CHECK(a->size == b->size && memcmp(a->data, b->data, a->size) == 0);
}

static void check_value(struct state *state, const struct value *value)
{
    const struct type *type = value->type;
    struct value read;
    struct diag diag = { 0 };
    text_check_record(value);
    CHECK(json_write(value, &state->json) == S4_OK);
    CHECK(pb_write(value, &state->packed) == S4_OK);
    CHECK(json_read(&state->writer, type, state->json.data, state->json.size, &read, &diag) ==
          S4_OK);
    CHECK(json_write(&read, &state->again) == S4_OK);
    check_same(&state->json, &state->again);
    CHECK(pb_read(&state->writer, type, state->packed.data, state->packed.size, &read, &diag) ==
          S4_OK);
    buffer_clear(&state->again);
    CHECK(json_write(&read, &state->again) == S4_OK);
    check_same(&state->json, &state->again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct state state;
    if (size == 0)
        return 0;
    if (!state.schema)
        state.schema = text_schema();
    const struct type *type = schema_get(state.schema, data[0] % schema_count(state.schema));
    struct value value;
    struct diag diag = { 0 };
    buffer_clear(&state.json);
    buffer_clear(&state.again);
    buffer_clear(&state.packed);
    s4_status status =
        json_read(&state.writer, type, (const char *)data + 1, size - 1, &value, &diag);
    CHECK(status == S4_OK || (diag.code == status && diag.text[0] != '\0'));
    if (status == S4_OK)
        check_value(&state, &value);
    return 0;
}
