/* Descriptor sets that are not to be trusted: limits at N and N + 1, each fault by its name, and
 * damage of any kind. */
#include "tests/support/suite.h"

#include "runtime/base/asan.h"
#include "runtime/base/mem.h"
#include "runtime/record/schema.h"
#include "tests/support/same_schema.h"
#include "tests/support/set_builder.h"

/* Builds from what the builder holds; the set must be refused with this status and these words, or
 * accepted if `why` is NULL. */
static void expect(struct set_builder *builder, s4_status want, const char *why)
{
    struct schema *schema = NULL;
    struct diag diag = { 0 };
    size_t size;
    const void *bytes = set_pack(builder, &size);
    s4_status status = schema_from_set(bytes, size, &schema, &diag);
    ck_assert_msg(status == want, "%s instead of %s: %s", s4_status_name(status),
                  s4_status_name(want), diag.text);
    ck_assert(!schema == (why != NULL));
    if (why)
        ck_assert_msg(strstr(diag.text, why), "\"%s\" does not say \"%s\"", diag.text, why);
    schema_destroy(schema);
}

static void expect_at_limit(struct set_builder *builder, bool over, const char *why)
{
    expect(builder, over ? S4_TOO_LARGE : S4_OK, over ? why : NULL);
    set_builder_fini(builder);
}

START_TEST(limits_hold)
{
    struct set_builder b;
    for (int over = 0; over < 2; over++) {
        set_builder_init(&b);
        set_file *file = set_add_file(&b, "p");
        for (int i = 0; i < SCHEMA_TYPES_MAX + over; i++)
            set_add_message(&b, file, set_text(&b, "M%d", i));
        expect_at_limit(&b, over, "more than 1024 types");

        set_builder_init(&b);
        set_message *message = set_add_message(&b, set_add_file(&b, "p"), "M");
        for (int i = 0; i < SCHEMA_FIELDS_MAX + over; i++)
            set_add_field(&b, message, set_text(&b, "f%d", i), i + 1, SET_OPTIONAL, SET_INT32);
        expect_at_limit(&b, over, "p.M: 1025 fields");

        set_builder_init(&b);
        file = set_add_file(&b, "p");
        for (int i = 0; i < SCHEMA_ENUMS_MAX + over; i++)
            set_add_value(&b, set_add_enum(&b, file, NULL, set_text(&b, "E%d", i)), "V", 0);
        expect_at_limit(&b, over, "more than 1024 enums");

        set_builder_init(&b);
        set_enum *values = set_add_enum(&b, set_add_file(&b, "p"), NULL, "E");
        for (int i = 0; i < SCHEMA_VALUES_MAX + over; i++)
            set_add_value(&b, values, set_text(&b, "V%d", i), i / 3);
        expect_at_limit(&b, over, "p.E: 4097 values");

        /* Optional bytes take 24 bytes of the image: 682 of them, and 16 or 24 bytes more. */
        set_builder_init(&b);
        message = set_add_message(&b, set_add_file(&b, "p"), "M");
        for (int i = 0; i < 682; i++)
            set_add_field(&b, message, set_text(&b, "f%d", i), i + 1, SET_OPTIONAL, SET_BYTES);
        set_add_field(&b, message, "last", 1000, over ? SET_OPTIONAL : SET_REQUIRED, SET_BYTES);
        expect_at_limit(&b, over, "p.M: its struct takes 16392 bytes");

        set_builder_init(&b);
        char name[SCHEMA_NAME_MAX + 2] = { 0 };
        memset(name, 'n', (size_t)(SCHEMA_NAME_MAX - 2 + over));
        set_add_message(&b, set_add_file(&b, "p"), name);
        expect_at_limit(&b, over, "more than 512 characters");

        set_builder_init(&b); /* messages in messages, 32 deep */
        message = set_add_message(&b, set_add_file(&b, "p"), "M");
        for (int i = 1; i < 32 + over; i++)
            message = set_add_nested(&b, message, "M");
        expect_at_limit(&b, over, "more than 32 deep");
    }
}
END_TEST

START_TEST(size_and_memory_are_bounded)
{
    struct schema *schema = NULL;
    struct diag diag = { 0 };
    char *bytes = mem_zalloc(SCHEMA_SET_MAX + 1);
    ck_assert_int_eq(schema_from_set(bytes, SCHEMA_SET_MAX + 1, &schema, &diag), S4_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(diag.text, "4194305 bytes"));
    /* One file with two million empty messages: 2 bytes each here, a hundred and more in memory. */
    size_t body = SCHEMA_SET_MAX - 5;
    body -= body % 2;
    bytes[0] = 0x0a;
    for (int i = 0; i < 4; i++)
        bytes[1 + i] = (char)((body >> (7 * i) & 0x7f) | (i < 3 ? 0x80 : 0));
    for (size_t i = 0; i < body; i += 2)
        bytes[5 + i] = 0x22;
    ck_assert_int_eq(schema_from_set(bytes, body + 5, &schema, &diag), S4_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(diag.text, "when unpacked"));
    ck_assert_ptr_null(schema);
    mem_free(bytes);
    ck_assert_int_eq(schema_from_set("", 0, &schema, &diag), S4_OK); /* no types, and fine */
    ck_assert_uint_eq(schema_count(schema), 0);
    void *set;
    size_t size;
    ck_assert_int_eq(schema_to_set(schema, &set, &size), S4_OK);
    mem_free(set);
    schema_destroy(schema);
}
END_TEST

struct ground { /* a small valid set, to be changed in one place */
    struct set_builder b;
    set_file *file;
    set_message *m;
    set_field *number;
    set_field *text;
    set_field *kind;
    set_field *sub;
    set_enum *e;
};

static void ground_open(struct ground *g)
{
    set_builder_init(&g->b);
    g->file = set_add_file(&g->b, "p");
    g->e = set_add_enum(&g->b, g->file, NULL, "E");
    set_add_value(&g->b, g->e, "ONE", 1);
    set_add_value(&g->b, g->e, "TWO", 2);
    g->m = set_add_message(&g->b, g->file, "M");
    g->number = set_add_field(&g->b, g->m, "number", 1, SET_OPTIONAL, SET_INT32);
    g->text = set_add_field(&g->b, g->m, "text", 2, SET_OPTIONAL, SET_STRING);
    g->kind = set_add_field(&g->b, g->m, "kind", 3, SET_OPTIONAL, SET_ENUM);
    g->kind->type_name = set_text(&g->b, ".p.E");
    g->sub = set_add_field(&g->b, g->m, "sub", 4, SET_OPTIONAL, SET_MESSAGE);
    g->sub->type_name = set_text(&g->b, ".p.M");
}

#define TEXT(string) set_text(&g.b, "%s", string)
/* A change, made in a block of its own: what it points to is static. */
#define CASE(want, why, ...)     \
    do {                         \
        ground_open(&g);         \
        __VA_ARGS__;             \
        expect(&g.b, want, why); \
        set_builder_fini(&g.b);  \
    } while (0)

START_TEST(faults_of_declarations)
{
    struct ground g;
    CASE(S4_OK, NULL, (void)0);
    CASE(S4_UNSUPPORTED, "file0.proto: its syntax is proto3", g.file->syntax = TEXT("proto3"));
    CASE(S4_OK, NULL, g.file->syntax = TEXT("proto2"));
    CASE(S4_OK, NULL, g.file->package = NULL; g.kind->type_name = TEXT(".E");
         g.sub->type_name = TEXT(".M"));
    CASE(S4_MALFORMED, "no package", g.file->package = TEXT("p..q"));
    CASE(S4_MALFORMED, "no package", g.file->package = TEXT("p."));
    CASE(S4_MALFORMED, "no package", g.file->package = TEXT("1"));
    CASE(S4_MALFORMED, "without a proper name", g.m->name = TEXT("a b"));
    CASE(S4_MALFORMED, "without a proper name", g.m->name = NULL);
    CASE(S4_MALFORMED, "without a proper name", g.e->name = TEXT(""));
    CASE(S4_MALFORMED, "p.E: no values", g.e->n_value = 0);
    CASE(S4_MALFORMED, "p.E: value 1", g.e->value[1]->name = TEXT("-"));
    CASE(S4_MALFORMED, "p.E: value 1", g.e->value[1]->has_number = 0);
    CASE(S4_MALFORMED, "two values are named ONE", g.e->value[1]->name = TEXT("ONE"));
    CASE(S4_MALFORMED, "p.M is declared twice", set_add_message(&g.b, g.file, "M"));
    CASE(S4_MALFORMED, "p.E is declared twice",
         set_add_value(&g.b, set_add_enum(&g.b, g.file, NULL, "E"), "X", 1));
    CASE(S4_UNSUPPORTED, "extends .p.M", {
        static set_field *field;
        field = set_add_field(&g.b, g.m, "x", 5, SET_OPTIONAL, SET_INT32);
        g.m->n_field--;
        field->extendee = TEXT(".p.M");
        g.file->extension = &field;
        g.file->n_extension = 1;
        expect(&g.b, S4_UNSUPPORTED, "file0.proto: extends .p.M");
        field->extendee = TEXT(".google.protobuf.FieldOptions"); /* an option that nobody minds */
        expect(&g.b, S4_OK, NULL);
        field->extendee = TEXT(".p.M");
    });
    CASE(S4_UNSUPPORTED, "message_set_wire_format", {
        static Google__Protobuf__MessageOptions options;
        google__protobuf__message_options__init(&options);
        options.has_message_set_wire_format = options.message_set_wire_format = 1;
        g.m->options = &options;
    });
    CASE(S4_UNSUPPORTED, "needs itself",
         g.sub->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED);
}
END_TEST

START_TEST(faults_of_fields)
{
    struct ground g;
    CASE(S4_MALFORMED, "field 0 has no proper name", g.number->name = TEXT("1st"));
    CASE(S4_MALFORMED, "two fields are named text", g.number->name = TEXT("text"));
    CASE(S4_MALFORMED, "two fields have the number 2", g.number->number = 2);
    CASE(S4_MALFORMED, "no proper number", g.number->has_number = 0);
    CASE(S4_MALFORMED, "no proper number", g.number->number = 0);
    CASE(S4_MALFORMED, "no proper number", g.number->number = 19000);
    CASE(S4_OK, NULL, g.number->number = 18999);
    CASE(S4_OK, NULL, g.number->number = 20000);
    CASE(S4_OK, NULL, g.number->number = 536870911);
    CASE(S4_MALFORMED, "no proper number", g.number->number = 536870912);
    CASE(S4_MALFORMED, "no label", g.number->has_label = 0);
    CASE(S4_UNSUPPORTED, "groups",
         g.sub->type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP);
    CASE(S4_UNSUPPORTED, "protobuf does not have", g.number->has_type = 0);
    CASE(S4_UNSUPPORTED, "proto3", g.number->has_proto3_optional = g.number->proto3_optional = 1);
    CASE(S4_MALFORMED, "no full name", g.sub->type_name = NULL);
    CASE(S4_MALFORMED, "no full name", g.sub->type_name = TEXT("p.M"));
    CASE(S4_NOT_FOUND, "p.N, which the descriptor set does not hold",
         g.sub->type_name = TEXT(".p.N"));
    CASE(S4_NOT_FOUND, "is of type p.E", g.sub->type_name = TEXT(".p.E"));
    CASE(S4_MALFORMED, "cannot be in a oneof", g.text->has_oneof_index = 1);
    CASE(S4_MALFORMED, "cannot be in a oneof", set_add_oneof(&g.b, g.m, "o");
         g.text->has_oneof_index = 1; g.text->oneof_index = 1);
    CASE(S4_MALFORMED, "cannot be in a oneof", set_add_oneof(&g.b, g.m, "o");
         g.text->has_oneof_index = 1; g.text->oneof_index = -1);
    CASE(S4_MALFORMED, "cannot be in a oneof", set_add_oneof(&g.b, g.m, "o");
         g.text->has_oneof_index = 1;
         g.text->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED);
    CASE(S4_MALFORMED, "a oneof has no fields", set_add_oneof(&g.b, g.m, "o"));
    CASE(S4_MALFORMED, "oneof 0 has no proper name", set_add_oneof(&g.b, g.m, "");
         g.text->has_oneof_index = 1);
    CASE(S4_UNSUPPORTED, "pb_c_field", {
        static Google__Protobuf__FieldOptions options;
        static uint8_t data[] = { 2, 8, 1 };
        static ProtobufCMessageUnknownField unknown = { 1019, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                                        sizeof data, data };
        google__protobuf__field_options__init(&options);
        options.base.n_unknown_fields = 1;
        options.base.unknown_fields = &unknown;
        g.text->options = &options;
    });
}
END_TEST

START_TEST(faults_of_defaults)
{
    static const struct {
        int type;
        const char *text;
        const char *why; /* NULL: it is fine */
    } cases[] = {
        { SET_INT32, "2147483647", NULL },
        { SET_INT32, "2147483648", "no number of its type" },
        { SET_INT32, "-2147483649", "no number of its type" },
        { SET_INT32, "", "no number of its type" },
        { SET_INT32, "1x", "no number of its type" },
        { SET_INT64, "9223372036854775808", "no number of its type" },
        { SET_UINT32, "4294967295", NULL },
        { SET_UINT32, "4294967296", "no number of its type" },
        { SET_UINT32, "-1", "no number of its type" },
        { 4, "18446744073709551616", "no number of its type" },
        { SET_DOUBLE, "1e-400", NULL },
        { SET_DOUBLE, "-inf", NULL },
        { SET_DOUBLE, "e", "no number" },
        { SET_BOOL, "true", NULL },
        { SET_BOOL, "1", "neither true nor false" },
        { SET_STRING, "\xff", "not UTF-8" },
        { SET_BYTES, "\\377\\x41\\0\\\\\\'", NULL },
        { SET_BYTES, "\\", "an escape that is none" },
        { SET_BYTES, "\\8", "an escape that is none" },
        { SET_BYTES, "\\400", "an escape that is none" },
        { SET_BYTES, "\\x", "an escape that is none" },
        { SET_ENUM, "TWO", NULL },
        { SET_ENUM, "THREE", "no value of its enum" },
        { SET_MESSAGE, "", "cannot have a default" },
    };
    struct ground g;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CASE(cases[i].why ? S4_MALFORMED : S4_OK, cases[i].why, {
            g.number->type = (Google__Protobuf__FieldDescriptorProto__Type)cases[i].type;
            g.number->type_name = cases[i].type == SET_ENUM      ? TEXT(".p.E")
                                  : cases[i].type == SET_MESSAGE ? TEXT(".p.M")
                                                                 : NULL;
            g.number->default_value = TEXT(cases[i].text);
        });
    CASE(S4_MALFORMED, "cannot have a default",
         g.number->label = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
         g.number->default_value = TEXT("1"));
}
END_TEST

/* The hash of p.M whose number has this default. */
static uint64_t hash_with_default(int type, const char *text)
{
    struct ground g;
    struct schema *schema = NULL;
    struct diag diag = { 0 };
    size_t size;
    ground_open(&g);
    g.number->type = (Google__Protobuf__FieldDescriptorProto__Type)type;
    g.number->default_value = TEXT(text);
    const void *bytes = set_pack(&g.b, &size);
    ck_assert_msg(schema_from_set(bytes, size, &schema, &diag) == S4_OK, "%s", diag.text);
    uint64_t hash = schema_find(schema, "p.M")->hash;
    schema_destroy(schema);
    set_builder_fini(&g.b);
    return hash;
}

START_TEST(every_nan_is_one_default)
{
    static const int types[] = { SET_DOUBLE, SET_FLOAT };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        uint64_t nan = hash_with_default(types[i], "nan");
        ck_assert_uint_eq(hash_with_default(types[i], "-nan"), nan);
        ck_assert_uint_eq(hash_with_default(types[i], "nan(7)"), nan);
        ck_assert_uint_ne(hash_with_default(types[i], "inf"), nan);
    }
}
END_TEST

/* Cut off anywhere, and with any bit flipped: an answer, and no step outside. */
START_TEST(damaged_sets)
{
    struct rng rng;
    struct set_builder b;
    long accepted = 0, refused = 0;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < (SANITIZED ? 2 : 6); round++) {
        size_t size;
        set_builder_init(&b);
        set_random(&b, &rng);
        const void *bytes = set_pack(&b, &size);
        for (size_t step = 0; step < size * 9; step++) {
            size_t len = step < size ? step : size;
            char *copy = mem_dup(bytes, len);
            if (step >= size)
                copy[(step - size) / 8] ^= (char)(1 << (step - size) % 8);
            struct schema *schema = NULL;
            struct diag diag = { 0 };
            if (schema_from_set(copy, len, &schema, &diag) == S4_OK) {
                accepted++;
            } else {
                refused++;
                if (!diag.text[0] || schema)
                    ck_abort_msg("refused without a word");
            }
            schema_destroy(schema);
            mem_free(copy);
        }
        set_builder_fini(&b);
    }
    ck_assert_int_gt(accepted, 100);
    ck_assert_int_gt(refused, 1000);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("schema_set");
    suite_add(suite, "limits", limits_hold, 30);
    suite_add(suite, "size", size_and_memory_are_bounded, 30);
    suite_add(suite, "declarations", faults_of_declarations, 10);
    suite_add(suite, "fields", faults_of_fields, 10);
    suite_add(suite, "defaults", faults_of_defaults, 10);
    suite_add(suite, "nan", every_nan_is_one_default, 10);
    suite_add(suite, "damaged", damaged_sets, 60);
    return suite;
}
