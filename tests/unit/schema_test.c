/* Schemas: built from descriptors and from descriptor sets, equal to each other and to the
 * compiler. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/record/schema.h"
#include "tests/support/protos/nested.pb-c.h"
#include "tests/support/protos/shapes.pb-c.h"
#include "tests/support/same_schema.h"
#include "tests/support/set_builder.h"

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

static struct schema *schema_of_bytes(const void *bytes, size_t size)
{
    struct schema *schema = NULL;
    struct diag diag = { 0 };
    s4_status status = schema_from_set(bytes, size, &schema, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    return schema;
}

/* What protoc wrote for the same files; the caller frees it. */
static char *protoc_set(size_t *size)
{
    FILE *file = fopen(TEST_PROTOS_SET, "rb");
    ck_assert_ptr_nonnull(file);
    char *bytes = mem_alloc(MIB);
    *size = fread(bytes, 1, MIB, file);
    fclose(file);
    ck_assert_uint_gt(*size, 1000);
    return bytes;
}

static struct schema *schema_of_protoc(void)
{
    size_t size;
    char *bytes = protoc_set(&size);
    struct schema *schema = schema_of_bytes(bytes, size);
    mem_free(bytes);
    return schema;
}

static struct schema *through_set(const struct schema *schema)
{
    void *bytes;
    size_t size;
    ck_assert_int_eq(schema_to_set(schema, &bytes, &size), S4_OK);
    struct schema *again = schema_of_bytes(bytes, size);
    mem_free(bytes);
    return again;
}

START_TEST(descriptors_give_types)
{
    struct schema *schema = schema_of_plugin();
    const struct type *type = schema_find(schema, "test.nested.Outer.Inner");
    ck_assert_ptr_nonnull(type);
    ck_assert_ptr_eq(type->descriptor, &test__nested__outer__inner__descriptor);
    ck_assert_str_eq(type_find_id(type, 2)->name, "text");
    ck_assert_ptr_null(type_find_id(type, 0));
    ck_assert_ptr_null(type_find_id(type, 3));
    ck_assert_ptr_null(type_find(type, "tex"));
    ck_assert_ptr_null(type_find(type, "texts"));
    ck_assert_ptr_null(schema_find(schema, "test.nested.Nobody"));
    const struct field *sign = type_find(schema_find(schema, "test.Required"), "f_sign");
    ck_assert_int_eq(enum_find(sign->values, "FARTHER", 7)->number, INT32_MIN);
    ck_assert_ptr_null(enum_find(sign->values, "FARTHEST", 8));
    ck_assert_str_eq(enum_find_number(sign->values, -1)->name, "MINUS");
    ck_assert_ptr_null(enum_find_number(sign->values, 7));
    ck_assert_int_eq(sign->values->first, 1);
    const struct field *alias = type_find(schema_find(schema, "test.Optional"), "f_alias");
    ck_assert_str_eq(enum_find_number(alias->values, 5)->name, "Z");
    ck_assert_uint_eq(alias->fallback.bits, 5);
    schema_destroy(schema);
    schema_destroy(NULL);
}
END_TEST

/* Of the compiler: not through our own layout. */
START_TEST(layout_is_that_of_the_struct)
{
    struct schema *schema = schema_of_protoc();
    const struct type *choice = schema_find(schema, "test.Choice");
    ck_assert_uint_eq(choice->image_size + MESSAGE_BASE, sizeof(Test__Choice));
#define AT(member) (offsetof(Test__Choice, member) - MESSAGE_BASE)
    ck_assert_uint_eq(type_find(choice, "wide")->offset, AT(wide));
    ck_assert_uint_eq(type_find(choice, "narrow")->has_offset, AT(first_case));
    ck_assert_uint_eq(type_find(choice, "text")->offset, AT(text));
    ck_assert_uint_eq(type_find(choice, "data")->has_offset, AT(second_case));
    ck_assert_uint_eq(type_find(choice, "more")->offset, AT(more));
    ck_assert_uint_eq(type_find(choice, "more")->has_offset, AT(n_more));
    ck_assert_uint_eq(type_find(choice, "after")->has_offset, AT(has_after));
    ck_assert_uint_eq(type_find(choice, "only")->offset, AT(only));
#undef AT
    schema_destroy(schema);
}
END_TEST

START_TEST(set_and_descriptors_are_equal)
{
    struct schema *plugin = schema_of_plugin();
    struct schema *set = schema_of_protoc();
    for (size_t i = 0; i < schema_count(plugin); i++) {
        const struct type *type = schema_get(plugin, i);
        same_type(type, schema_find(set, type->name));
    }
    schema_destroy(plugin);
    schema_destroy(set);
}
END_TEST

START_TEST(sets_come_back)
{
    struct schema *schemas[] = { schema_of_plugin(), schema_of_protoc() };
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct schema *again = through_set(schemas[i]);
        same_schema(schemas[i], again);
        schema_destroy(again);
        schema_destroy(schemas[i]);
    }
}
END_TEST

START_TEST(random_sets_come_back)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 1000; round++) {
        struct set_builder builder;
        size_t size;
        set_builder_init(&builder);
        set_random(&builder, &rng);
        const void *bytes = set_pack(&builder, &size);
        struct schema *schema = schema_of_bytes(bytes, size);
        struct schema *again = through_set(schema);
        same_schema(schema, again);
        schema_destroy(again);
        schema_destroy(schema);
        set_builder_fini(&builder);
    }
}
END_TEST

/* These are part of the wire contract: nodes and bundles compare them. */
START_TEST(hash_vectors_hold)
{
    static const struct {
        const char *name;
        uint64_t hash;
    } vectors[] = {
        { "test.nested.Nothing", 0x74b6bd081a5e8229 },
        { "test.nested.Chain", 0x4df3e5b2c530df25 },
        { "test.nested.Tree", 0x21d3ec1e4ba0189b },
        { "test.shape.W2S1", 0x288ca6f6196a4749 },
        { "test.Defaulted", 0xcba3a6dbeddfb6ce },
        { "test.Choice", 0xf4c4a2ad10bf519b },
        { "test.nested.Everything", 0x53a2c2acbde1c4bf },
    };
    struct schema *schema = schema_of_protoc();
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        ck_assert_msg(schema_find(schema, vectors[i].name)->hash == vectors[i].hash,
                      "%s: 0x%016llx", vectors[i].name,
                      (unsigned long long)schema_find(schema, vectors[i].name)->hash);
    schema_destroy(schema);
}
END_TEST

/* The hash of p.A after a change to a set in which A refers to B, B to A, and both to an enum. */
static uint64_t hash_after(int change)
{
    struct set_builder builder;
    set_builder_init(&builder);
    set_file *file = set_add_file(&builder, "p");
    set_enum *values = set_add_enum(&builder, file, NULL, change == 1 ? "F" : "E");
    set_add_value(&builder, values, "ONE", change == 2 ? 2 : 1);
    set_add_value(&builder, values, change == 3 ? "THREE" : "TWO", 3);
    set_message *a = set_add_message(&builder, file, "A");
    set_message *b = set_add_message(&builder, file, "B");
    set_field *to_b = set_add_field(&builder, a, "b", 1, SET_OPTIONAL, SET_MESSAGE);
    to_b->type_name = set_text(&builder, ".p.B");
    set_field *to_a = set_add_field(&builder, b, "a", 1, SET_REPEATED, SET_MESSAGE);
    to_a->type_name = set_text(&builder, change == 4 ? ".p.B" : ".p.A");
    set_field *e = set_add_field(&builder, b, "e", 2, SET_OPTIONAL, SET_ENUM);
    e->type_name = set_text(&builder, ".p.%s", values->name);
    if (change == 5)
        e->default_value = set_text(&builder, "ONE");
    set_add_oneof(&builder, b, change == 15 ? "renamed" : "one");
    set_field *x = set_add_field(&builder, b, change == 6 ? "z" : "x", change == 7 ? 4 : 3,
                                 SET_OPTIONAL, change == 8 ? SET_INT32 : SET_INT64);
    set_field *y =
        set_add_field(&builder, b, "y", 9, change == 9 ? SET_REQUIRED : SET_OPTIONAL, SET_STRING);
    x->has_oneof_index = change != 10;
    set_field *w = set_add_field(&builder, b, "w", 10, SET_OPTIONAL, SET_STRING);
    w->has_oneof_index = change == 11 || change == 10;
    if (change == 12)
        y->default_value = set_text(&builder, "%s", "");
    if (change == 13) { /* the order of the struct */
        b->field[3] = w;
        b->field[4] = y;
    }
    if (change == 14)
        b->name = set_text(&builder, "C"), to_b->type_name = set_text(&builder, ".p.C");
    if (change == 16) /* a type that A does not reach */
        set_add_message(&builder, file, "Z");
    size_t size;
    const void *bytes = set_pack(&builder, &size);
    struct schema *schema = schema_of_bytes(bytes, size);
    uint64_t hash = schema_find(schema, "p.A")->hash;
    schema_destroy(schema);
    set_builder_fini(&builder);
    return hash;
}

START_TEST(hash_changes_with_the_type)
{
    uint64_t seen[15];
    for (int change = 0; change < 15; change++) {
        seen[change] = hash_after(change);
        for (int before = 0; before < change; before++)
            ck_assert_msg(seen[before] != seen[change], "changes %d and %d", before, change);
    }
    ck_assert_uint_eq(hash_after(15), seen[0]); /* a plugin does not know its oneofs' names */
    ck_assert_uint_eq(hash_after(16), seen[0]);
}
END_TEST

START_TEST(memory_may_fail_anywhere)
{
    size_t size;
    char *bytes = protoc_set(&size);
    for (int what = 0; what < 3; what++) {
        struct schema *from = schema_of_plugin();
        s4_status status = S4_NO_MEMORY;
        /* A descriptor set takes thousands of allocations, all of one kind: some of them. */
        for (int64_t n = 0; status == S4_NO_MEMORY; n += what == 1 ? 1 + n / 16 : 1) {
            struct schema *schema = NULL;
            struct diag diag = { 0 };
            void *set = NULL;
            size_t set_size;
            mem_fail_after(n);
            status = what == 0   ? schema_from_descriptors(roots, ARRAY_LEN(roots), &schema, &diag)
                     : what == 1 ? schema_from_set(bytes, size, &schema, &diag)
                                 : schema_to_set(from, &set, &set_size);
            mem_fail_after(-1);
            if (what < 2)
                ck_assert_int_eq(diag.code, status);
            ck_assert(status == S4_OK || (!schema && !set));
            schema_destroy(schema);
            mem_free(set);
        }
        ck_assert_int_eq(status, S4_OK);
        schema_destroy(from);
    }
    mem_free(bytes);
}
END_TEST

/* A descriptor like one of protoc-c, in which one thing is not as it should be. */
static void refused(const ProtobufCMessageDescriptor *descriptor, s4_status want, const char *why)
{
    struct schema *schema = NULL;
    struct diag diag = { 0 };
    ck_assert_int_eq(schema_from_descriptors(&descriptor, 1, &schema, &diag), want);
    ck_assert_msg(strstr(diag.text, why), "\"%s\" does not say \"%s\"", diag.text, why);
    ck_assert_ptr_null(schema);
}

START_TEST(other_structs_are_refused)
{
    ProtobufCMessageDescriptor descriptor = test__shape__holes__descriptor;
    ProtobufCFieldDescriptor fields[6];
    memcpy(fields, descriptor.fields, sizeof fields);
    descriptor.fields = fields;
    fields[1].offset += 4;
    refused(&descriptor, S4_UNSUPPORTED, "field b lies elsewhere");
    fields[1].offset -= 4;
    descriptor.sizeof_message += 8;
    refused(&descriptor, S4_UNSUPPORTED, "its struct has");
    descriptor.sizeof_message = SCHEMA_IMAGE_MAX + MESSAGE_BASE + 8;
    refused(&descriptor, S4_TOO_LARGE, "test.shape.Holes");
    descriptor.sizeof_message = sizeof(Test__Shape__Holes);
    fields[2].label = PROTOBUF_C_LABEL_NONE;
    refused(&descriptor, S4_UNSUPPORTED, "proto3");
    fields[2].label = PROTOBUF_C_LABEL_REQUIRED;
    fields[2].name = NULL;
    refused(&descriptor, S4_UNSUPPORTED, "CODE_SIZE");
    fields[2].name = "c";
    descriptor.name = "";
    refused(&descriptor, S4_UNSUPPORTED, "CODE_SIZE");
    descriptor.name = "test.shape.Holes";
    descriptor.n_fields = SCHEMA_FIELDS_MAX + 1;
    refused(&descriptor, S4_TOO_LARGE, "1025 fields");
    descriptor.n_fields = 6;
    const ProtobufCMessageDescriptor *both[] = { &descriptor, &test__shape__holes__descriptor };
    struct schema *schema = NULL;
    ck_assert_int_eq(schema_from_descriptors(both, 1, &schema, NULL), S4_OK);
    schema_destroy(schema);
    ck_assert_int_eq(schema_from_descriptors(both, 2, &schema, NULL), S4_EXISTS);
    descriptor.magic = 0;
    refused(&descriptor, S4_INVALID, "no message descriptor");
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("schema");
    suite_add(suite, "descriptors", descriptors_give_types, 10);
    suite_add(suite, "layout", layout_is_that_of_the_struct, 10);
    suite_add(suite, "equal", set_and_descriptors_are_equal, 10);
    suite_add(suite, "come-back", sets_come_back, 10);
    suite_add(suite, "random", random_sets_come_back, 60);
    suite_add(suite, "vectors", hash_vectors_hold, 10);
    suite_add(suite, "hash", hash_changes_with_the_type, 10);
    suite_add(suite, "memory", memory_may_fail_anywhere, 60);
    suite_add(suite, "refused", other_structs_are_refused, 10);
    return suite;
}
