/* Schemas: built from descriptors and from descriptor sets, equal to each other and to the
 * compiler. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/record/schema.h"
#include "tests/support/protos/nested.pb-c.h"
#include "tests/support/protos/shapes.pb-c.h"

/* Reaches every type of nested, oneofs, scalars and texts. */
static const ProtobufCMessageDescriptor *const roots[] = {
    &test__nested__everything__descriptor,
    &test__nested__chain__descriptor,
    &test__names__descriptor,
    &test__shape__holes__descriptor,
    &test__shape__w12_s5__descriptor,
};

static struct schema *schema_of_plugin(void)
{
    struct schema *schema = NULL;
    struct diag diag = { 0 };
    s4_status status = schema_from_descriptors(roots, ARRAY_LEN(roots), &schema, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    return schema;
}

START_TEST(descriptors_give_types)
{
    struct schema *schema = schema_of_plugin();
    const struct type *type = schema_find(schema, "test.nested.Outer.Inner");
    ck_assert_ptr_nonnull(type);
    ck_assert_ptr_eq(type->descriptor, &test__nested__outer__inner__descriptor);
    ck_assert_str_eq(type_find_id(type, 2)->name, "text");
    ck_assert_ptr_null(schema_find(schema, "test.nested.Nobody"));
    const struct field *far = type_find(schema_find(schema, "test.Required"), "f_sign");
    ck_assert_int_eq(enum_find(far->values, "FARTHER", 7)->number, INT32_MIN);
    ck_assert_ptr_null(enum_find(far->values, "FARTHEST", 8));
    ck_assert_str_eq(enum_find_number(far->values, -1)->name, "MINUS");
    ck_assert_int_eq(far->values->first, 1);
    const struct field *alias = type_find(schema_find(schema, "test.Optional"), "f_alias");
    ck_assert_str_eq(enum_find_number(alias->values, 5)->name, "Z");
    ck_assert_uint_eq(alias->fallback.bits, 5);
    schema_destroy(schema);
}
END_TEST

START_TEST(memory_may_fail_anywhere)
{
    struct schema *schema = NULL;
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        struct diag diag = { 0 };
        mem_fail_after(n);
        status = schema_from_descriptors(roots, ARRAY_LEN(roots), &schema, &diag);
        mem_fail_after(-1);
        ck_assert_int_eq(diag.code, status);
    }
    ck_assert_int_eq(status, S4_OK);
    schema_destroy(schema);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("schema");
    suite_add(suite, "descriptors", descriptors_give_types, 10);
    suite_add(suite, "memory", memory_may_fail_anywhere, 30);
    return suite;
}
