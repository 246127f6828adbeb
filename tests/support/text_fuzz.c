/* Both text formats and back, from one that was read; see the header. */
#include "tests/support/text_fuzz.h"

#include "runtime/text/json.h"
#include "runtime/text/pb.h"
#include "tests/support/text_types.h"

struct texts {
    struct buffer json, packed;
};

static struct schema *schema; /* kept from input to input, as the writer and the buffers are */
static struct writer writer;
static struct texts first, again;

static void write_both(const struct value *value, struct texts *texts)
{
    buffer_clear(&texts->json);
    buffer_clear(&texts->packed);
    CHECK(json_write(value, &texts->json) == S4_OK);
    CHECK(pb_write(value, &texts->packed) == S4_OK);
}

static void check_same(const struct buffer *a, const struct buffer *b)
{
    CHECK(a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0));
}

/* JSON has one NaN: bytes that came through it need not be the same bytes. */
static void check_value(const struct value *value)
{
    const struct type *type = value->type;
    struct value read;
    struct diag diag = { 0 };
    text_check_record(value);
    write_both(value, &first);
    CHECK(pb_read(&writer, type, first.packed.data, first.packed.size, &read, &diag) == S4_OK);
    write_both(&read, &again);
    check_same(&first.packed, &again.packed);
    check_same(&first.json, &again.json);
    CHECK(json_read(&writer, type, first.json.data, first.json.size, &read, &diag) == S4_OK);
    write_both(&read, &again);
    check_same(&first.json, &again.json);
}

void text_fuzz(text_read *read, const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    if (!schema)
        schema = text_schema();
    const struct type *type = schema_get(schema, data[0] % schema_count(schema));
    struct value value;
    struct diag diag = { 0 };
    s4_status status = read(&writer, type, (const char *)data + 1, size - 1, &value, &diag);
    CHECK(status == S4_OK || (diag.code == status && diag.text[0] != '\0'));
    if (status == S4_OK)
        check_value(&value);
}
