/* The schema of the text tests, built from descriptors, and what all their values must be. */
#include "tests/support/text_types.h"

#include "runtime/base/mem.h"
#include "runtime/record/codec.h"
#include "tests/support/protos/nested.pb-c.h"
#include "tests/support/protos/texts.pb-c.h"

struct schema *text_schema(void)
{
    static const ProtobufCMessageDescriptor *const roots[] = {
        &test__nested__everything__descriptor,
        &test__nested__chain__descriptor,
        &test__names__descriptor,
    };
    struct schema *schema = NULL;
    struct diag diag = { 0 };
    s4_status status = schema_from_descriptors(roots, ARRAY_LEN(roots), &schema, &diag);
    if (status != S4_OK)
        fprintf(stderr, "%s\n", diag.text);
    CHECK(status == S4_OK);
    return schema;
}

const struct type *text_type(const struct schema *schema, const char *name)
{
    const struct type *type = schema_find(schema, name);
    CHECK(type);
    return type;
}

void text_check_record(const struct value *value)
{
    size_t head = sizeof(struct record) + record_key_room(0);
    struct record *record = mem_zalloc(head + value->size);
    struct diag diag = { 0 };
    CHECK(record);
    record->len = (uint32_t)(head + value->size);
    value_copy(value, (char *)record, (char *)record + head);
    if (codec_check(value->type, record, &diag) != S4_OK)
        fprintf(stderr, "%s\n", diag.text);
    CHECK(diag.code == S4_OK);
    mem_free(record);
}
