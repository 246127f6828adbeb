/* The schema of the text tests, built from descriptors. */
#include "tests/support/text_types.h"

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
