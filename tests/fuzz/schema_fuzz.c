/* Any bytes as a descriptor set: it is refused with a reason, or written out again it gives the
 * same types. */
#include "runtime/base/mem.h"
#include "runtime/record/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema *schema = NULL;
    struct schema *again = NULL;
    struct diag diag = { 0 };
    void *bytes = NULL;
    size_t written;
    if (schema_from_set(data, size, &schema, &diag) != S4_OK) {
        CHECK(diag.text[0] && !schema);
        return 0;
    }
    CHECK(schema_to_set(schema, &bytes, &written) == S4_OK);
    CHECK(schema_from_set(bytes, written, &again, &diag) == S4_OK);
    CHECK(schema_count(again) == schema_count(schema));
    for (size_t i = 0; i < schema_count(schema); i++) {
        const struct type *type = schema_get(schema, i);
        const struct type *found = schema_find(again, type->name);
        CHECK(found && found->hash == type->hash && found->image_size == type->image_size);
    }
    mem_free(bytes);
    schema_destroy(schema);
    schema_destroy(again);
    return 0;
}
