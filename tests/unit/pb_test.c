/* Protobuf bytes against protobuf-c: the same bytes out, the same verdict on what is cut or
 * changed. */
#include "tests/support/suite.h"

#include "runtime/base/mem.h"
#include "runtime/text/pb.h"
#include "tests/support/plain_message.h"
#include "tests/support/protos/nested.pb-c.h"
#include "tests/support/protos/oneofs.pb-c.h"
#include "tests/support/protos/scalars.pb-c.h"
#include "tests/support/protos/texts.pb-c.h"
#include "tests/support/text_types.h"

static struct schema *schema;
static struct writer writer;
static struct buffer out;
static struct diag diag;

static void setup(void)
{
    schema = text_schema();
    writer_init(&writer);
    buffer_init(&out);
}

static void teardown(void)
{
    buffer_fini(&out);
    writer_fini(&writer);
    schema_destroy(schema);
}

/* Reads and writes again: the bytes are in `out`. */
static s4_status again(const struct type *type, const void *bytes, size_t size)
{
    struct value value;
    /* A copy of the exact size, so that a sanitizer sees the first byte behind it. */
    void *copy = malloc(size ? size : 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    memset(&diag, 0, sizeof diag);
    s4_status status = pb_read(&writer, type, copy, size, &value, &diag);
    free(copy);
    buffer_clear(&out);
    if (status == S4_OK)
        status = pb_write(&value, &out);
    return status;
}

static bool out_is(const void *bytes, size_t size)
{
    return out.size == size && (size == 0 || (bytes && memcmp(out.data, bytes, size) == 0));
}

START_TEST(random_messages_come_out_as_they_went_in)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 40000; round++) {
        const struct type *type = schema_get(schema, rng_below(&rng, schema_count(schema)));
        struct plain_pool pool = { 0 };
        const ProtobufCMessage *message =
            plain_random(&rng, type->descriptor, (unsigned)rng_below(&rng, 4), &pool);
        uint8_t *bytes;
        size_t size = plain_pack(message, &pool, &bytes);
        s4_status status = again(type, bytes, size);
        if (status != S4_OK || !out_is(bytes, size))
            ck_abort_msg("round %d, %s: %s", round, type->name, diag.text);
        plain_pool_clear(&pool);
    }
}
END_TEST

/* What protobuf-c makes of the bytes, without unknown fields; SIZE_MAX: it refuses them. */
static size_t oracle(const struct type *type, const uint8_t *bytes, size_t size,
                     struct plain_pool *pool, uint8_t **packed)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(type->descriptor, NULL, size, bytes);
    if (!message)
        return SIZE_MAX;
    plain_drop_unknown(message);
    size_t n = plain_pack(message, pool, packed);
    protobuf_c_message_free_unpacked(message, NULL);
    return n;
}

START_TEST(every_truncation_is_judged_like_protobuf_c)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    size_t refused = 0;
    for (int round = 0; round < 600; round++) {
        const struct type *type = schema_get(schema, (size_t)round % schema_count(schema));
        struct plain_pool pool = { 0 };
        uint8_t *bytes;
        size_t size = plain_pack(plain_random(&rng, type->descriptor, 2, &pool), &pool, &bytes);
        for (size_t cut = 0; cut < size_min(size, 2000); cut++) {
            uint8_t *packed = NULL;
            size_t want = oracle(type, bytes, cut, &pool, &packed);
            s4_status status = again(type, bytes, cut);
            refused += status != S4_OK;
            if ((status == S4_OK) != (want != SIZE_MAX) ||
                (status == S4_OK && !out_is(packed, want)))
                ck_abort_msg("round %d, %s cut at %zu: %s", round, type->name, cut, diag.text);
            if (status != S4_OK && (diag.code != status || diag.text[0] == '\0'))
                ck_abort_msg("round %d, %s cut at %zu: no message", round, type->name, cut);
        }
        plain_pool_clear(&pool);
    }
    ck_assert_uint_gt(refused, 1000);
}
END_TEST

/* Types without text, bool (whose wire type protobuf-c does not look at) and sub-messages. */
START_TEST(changed_bytes_are_judged_like_protobuf_c)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    const struct type *type = text_type(schema, "test.Bytes");
    size_t accepted = 0;
    for (int round = 0; round < 60000; round++) {
        struct plain_pool pool = { 0 };
        uint8_t *bytes;
        size_t size = plain_pack(plain_random(&rng, type->descriptor, 1, &pool), &pool, &bytes);
        for (uint64_t i = rng_below(&rng, 3); size > 0 && i < 3; i++)
            bytes[rng_below(&rng, size)] = (uint8_t)rng_next(&rng);
        uint8_t *packed = NULL;
        size_t want = oracle(type, bytes, size, &pool, &packed);
        s4_status status = again(type, bytes, size);
        accepted += status == S4_OK;
        /* protobuf-c refuses groups, and cuts field numbers that are too large. */
        bool same = status == S4_OK ? want == SIZE_MAX || out_is(packed, want)
                                    : want == SIZE_MAX || strstr(diag.text, "found field number");
        if (!same)
            ck_abort_msg("round %d: %s", round, diag.text);
        plain_pool_clear(&pool);
    }
    ck_assert_uint_gt(accepted, 1000);
}
END_TEST

/* Pieces of one message behind each other: repeated fields join, the last singular wins. */
START_TEST(pieces_merge_like_protobuf_c)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    static const char *const types[] = { "test.Optional", "test.Repeated", "test.Packed",
                                         "test.Strings",  "test.Bytes",    "test.nested.Tree",
                                         "test.Defaulted" };
    for (int round = 0; round < 20000; round++) {
        const struct type *type = text_type(schema, types[rng_below(&rng, ARRAY_LEN(types))]);
        struct plain_pool pool = { 0 };
        struct buffer joined = { 0 };
        for (uint64_t i = 1 + rng_below(&rng, 3); i > 0; i--) {
            uint8_t *bytes;
            size_t size = plain_pack(plain_random(&rng, type->descriptor, 2, &pool), &pool, &bytes);
            ck_assert_int_eq(buffer_append(&joined, bytes, size), S4_OK);
        }
        uint8_t *packed = NULL;
        size_t want = oracle(type, (const uint8_t *)joined.data, joined.size, &pool, &packed);
        if (again(type, joined.data, joined.size) != S4_OK || !out_is(packed, want))
            ck_abort_msg("round %d, %s: %s", round, type->name, diag.text);
        buffer_fini(&joined);
        plain_pool_clear(&pool);
    }
}
END_TEST

/* Messages inside a message whose pieces merge, where protobuf-c does not follow protobuf. */
START_TEST(nested_pieces_merge_as_protobuf_says)
{
    /* Choice { between: "b", again { between: "x", before: 1 } again { between: "y", after: true }
     * } */
    static const char choice[] = "\x0a\x01"
                                 "b"
                                 "\x1a\x06\x0a\x01x\xa0\x01\x01"
                                 "\x1a\x05\x0a\x01y\x10\x01";
    static const char merged[] = "\x0a\x01"
                                 "b"
                                 "\x1a\x08\x0a\x01y\x10\x01\xa0\x01\x01";
    ck_assert_int_eq(again(text_type(schema, "test.Choice"), choice, sizeof choice - 1), S4_OK);
    ck_assert(out_is(merged, sizeof merged - 1));
    /* The last member of a oneof wins, and nothing is left of the one before. */
    static const char members[] = "\x18\x01\x08\x01\x15\0\0\0\x40";
    ck_assert_int_eq(again(text_type(schema, "test.Small"), members, sizeof members - 1), S4_OK);
    ck_assert(out_is("\x15\0\0\0\x40", 5));
}
END_TEST

START_TEST(packed_and_unpacked_are_both_read)
{
    const struct type *repeated = text_type(schema, "test.Repeated");
    const struct type *packed = text_type(schema, "test.Packed");
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 5000; round++) {
        struct plain_pool pool = { 0 };
        ProtobufCMessage *message = plain_random(&rng, packed->descriptor, 1, &pool);
        uint8_t *dense, *loose;
        size_t dense_size = plain_pack(message, &pool, &dense);
        message->descriptor = repeated->descriptor; /* the same struct, without [packed] */
        size_t loose_size = plain_pack(message, &pool, &loose);
        ck_assert_int_eq(again(packed, loose, loose_size), S4_OK);
        ck_assert(out_is(dense, dense_size));
        ck_assert_int_eq(again(repeated, dense, dense_size), S4_OK);
        ck_assert(out_is(loose, loose_size));
        plain_pool_clear(&pool);
    }
}
END_TEST

START_TEST(unknown_fields_are_dropped)
{
    /* 100: varint, 101: 8 bytes, 102: text, 103: 4 bytes, 104: a group with a group and a text. */
    static const char unknown[] = "\xa0\x06\x80\x01"
                                  "\xa9\x06\1\2\3\4\5\6\7\x08"
                                  "\xb2\x06\x02hi"
                                  "\xbd\x06\1\2\3\4"
                                  "\xc3\x06\x0b\x0c\x12\x01x\xc4\x06";
    ck_assert_int_eq(again(text_type(schema, "test.nested.Chain"), unknown, sizeof unknown - 1),
                     S4_OK);
    ck_assert_uint_eq(out.size, 0);
    for (size_t cut = sizeof unknown - 2; cut > 29; cut--)
        ck_assert_int_eq(again(text_type(schema, "test.nested.Chain"), unknown, cut), S4_MALFORMED);
}
END_TEST

START_TEST(malformed_bytes_are_refused_by_name)
{
    static const struct {
        const char *type;
        const char *bytes;
        size_t size;
        s4_status status;
        const char *text;
    } table[] = {
#define BYTES(s) s, sizeof(s) - 1
        { "test.Optional", BYTES("\x08"), S4_MALFORMED,
          "byte 1: field \"f_int32\": found a cut varint" },
        { "test.Optional", BYTES("\x88"), S4_MALFORMED, "byte 0: found a cut tag, wanted a field" },
        { "test.Optional", BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), S4_MALFORMED,
          "byte 1: field \"f_int32\": found a cut varint" },
        { "test.Optional", BYTES("\x00\x01"), S4_MALFORMED,
          "byte 0: found field number 0, wanted 1 to 536870911" },
        { "test.Optional", BYTES("\x80\x80\x80\x80\x10\x01"), S4_MALFORMED,
          "byte 0: found field number 536870912, wanted 1 to 536870911" },
        { "test.Optional", BYTES("\x0d\x01\x02\x03\x04"), S4_TYPE,
          "byte 0: field \"f_int32\": found 4 bytes, wanted a varint (int32)" },
        { "test.Optional", BYTES("\x6d\x01\x02\x03\x04"), S4_TYPE,
          "byte 0: field \"f_bool\": found 4 bytes, wanted a varint (bool)" },
        { "test.Optional", BYTES("\x31\x01\x02\x03"), S4_MALFORMED,
          "byte 1: field \"f_double\": wanted 8 bytes, and 3 are left" },
        { "test.Optional", BYTES("\x0b"), S4_TYPE,
          "byte 0: field \"f_int32\": found a group, wanted a varint (int32)" },
        { "test.Optional", BYTES("\xa4\x06"), S4_MALFORMED,
          "byte 2: found a group's end, wanted a value" },
        { "test.Optional", BYTES("\xa3\x06\x0c"), S4_MALFORMED,
          "byte 3: found the end of group 1 in group 100" },
        { "test.Optional", BYTES("\xa3\x06"), S4_MALFORMED, "byte 2: wanted the end of group 100" },
        { "test.Optional", BYTES("\xa6\x06"), S4_MALFORMED,
          "byte 2: found wire type 6, wanted a value" },
        { "test.Strings", BYTES("\x12\x02\xc3\x28"), S4_MALFORMED,
          "byte 2: field \"needed\": found byte 0xc3, which is not valid UTF-8 here" },
        { "test.Strings", BYTES("\x12\x02\x61\x00"), S4_MALFORMED,
          "byte 3: field \"needed\": found byte 0x00, and a string cannot hold a NUL" },
        { "test.Strings", BYTES("\x12\x03\x61\x61"), S4_MALFORMED,
          "byte 1: field \"needed\": found a length of 3 bytes, and 2 are left" },
        { "test.Strings", BYTES("\x2a\x01\x61\x2a\x01\xff"), S4_MALFORMED,
          "byte 5: field \"many[1]\": found byte 0xff, which is not valid UTF-8 here" },
        { "test.Strings", BYTES("\x2a\x01\x61"), S4_TYPE,
          "byte 3: field \"needed\": missing in this test.Strings, wanted string" },
        { "test.nested.Tree", BYTES("\x20\x01\x12\x02\x20\x02\x12\x06\x20\x03\x12\x02\x0a\x00"),
          S4_TYPE,
          "byte 14: field \"children[1].children[0].weight\": missing in this test.nested.Tree, "
          "wanted int64" },
        { "test.Packed", BYTES("\xc1\x0c\x02\x01\x80"), S4_TYPE,
          "byte 0: field \"f_int32\": found 8 bytes, wanted a varint (int32)" },
        { "test.Packed", BYTES("\xc2\x0c\x02\x01\x80"), S4_MALFORMED,
          "byte 4: field \"f_int32\": found a cut varint" },
        { "test.Packed", BYTES("\xd2\x0b\x03\x01\x02\x03"), S4_MALFORMED,
          "byte 3: field \"f_sfixed32\": wanted 4 bytes, and 3 are left" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        s4_status status = again(text_type(schema, table[i].type), table[i].bytes, table[i].size);
        ck_assert_msg(status == table[i].status, "%zu: %s, %s", i, s4_status_name(status),
                      diag.text);
        ck_assert_str_eq(diag.text, table[i].text);
        ck_assert_int_eq(diag.code, status);
    }
}
END_TEST

/* Field 1 in field 1, `depth` times. */
static void nest(struct buffer *bytes, uint32_t tag, size_t depth)
{
    buffer_clear(bytes);
    for (size_t i = 0; i < depth; i++) {
        char head[8];
        size_t n = 0;
        head[n++] = (char)tag;
        if (bytes->size >= 128)
            head[n++] = (char)(bytes->size | 0x80);
        head[n++] = (char)(bytes->size >= 128 ? bytes->size >> 7 : bytes->size);
        ck_assert_ptr_nonnull(buffer_room(bytes, n));
        memmove(bytes->data + n, bytes->data, bytes->size - n);
        memcpy(bytes->data, head, n);
    }
}

START_TEST(depth_has_a_limit)
{
    struct buffer bytes = { 0 };
    const struct type *chain = text_type(schema, "test.nested.Chain");
    nest(&bytes, 0x0a, SCHEMA_DEPTH_MAX);
    ck_assert_int_eq(again(chain, bytes.data, bytes.size), S4_OK);
    ck_assert(out_is(bytes.data, bytes.size));
    nest(&bytes, 0x0a, SCHEMA_DEPTH_MAX + 1);
    ck_assert_int_eq(again(chain, bytes.data, bytes.size), S4_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(diag.text, "found messages in messages more than 64 deep"));
    for (size_t depth = SCHEMA_DEPTH_MAX; depth <= SCHEMA_DEPTH_MAX + 1; depth++) {
        buffer_clear(&bytes);
        for (size_t i = 0; i < depth; i++)
            ck_assert_int_eq(buffer_append(&bytes, "\x13", 1), S4_OK);
        for (size_t i = 0; i < depth; i++)
            ck_assert_int_eq(buffer_append(&bytes, "\x14", 1), S4_OK);
        s4_status want = depth > SCHEMA_DEPTH_MAX ? S4_TOO_LARGE : S4_OK;
        ck_assert_int_eq(again(chain, bytes.data, bytes.size), want);
    }
    buffer_fini(&bytes);
}
END_TEST

START_TEST(size_has_a_limit)
{
    const struct type *type = text_type(schema, "test.Names");
    struct buffer bytes = { 0 };
    /* All of it unknown, so that nothing but its size counts. */
    static const char needed[] = "\x1a\x00\x20\x01";
    for (size_t extra = 0; extra < 2; extra++) {
        size_t len = PB_SIZE_MAX - 4 - 6 + extra;
        char head[6] = "\xb2\x06";
        for (int i = 0; i < 4; i++)
            head[2 + i] = (char)(len >> (7 * i) | (i < 3 ? 0x80 : 0));
        head[5] &= 0x7f;
        buffer_clear(&bytes);
        ck_assert_int_eq(buffer_append(&bytes, needed, 4), S4_OK);
        ck_assert_int_eq(buffer_append(&bytes, head, 6), S4_OK);
        ck_assert_ptr_nonnull(buffer_room(&bytes, len));
        ck_assert_int_eq(again(type, bytes.data, bytes.size), extra ? S4_TOO_LARGE : S4_OK);
    }
    ck_assert_str_eq(diag.text, "found a message of 16777217 bytes, wanted at most 16777216");
    buffer_fini(&bytes);
}
END_TEST

/* A text of `len` bytes in Names.c. */
static s4_status read_names(size_t len)
{
    struct plain_pool pool = { 0 };
    Test__Names names = TEST__NAMES__INIT;
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = '\0';
    names.c = text;
    uint8_t *bytes;
    size_t size = plain_pack(&names.base, &pool, &bytes);
    s4_status status = again(text_type(schema, "test.Names"), bytes, size);
    if (status == S4_OK)
        ck_assert(out_is(bytes, size));
    free(text);
    plain_pool_clear(&pool);
    return status;
}

START_TEST(a_value_has_a_limit)
{
    size_t len = RECORD_MAX;
    while (read_names(len) != S4_OK)
        len -= 8;
    ck_assert_uint_gt(len, RECORD_MAX - 1024);
    ck_assert_int_eq(read_names(len + 8), S4_TOO_LARGE);
    ck_assert_str_eq(diag.text, "the event takes more than 1048576 bytes");
}
END_TEST

START_TEST(memory_may_fail_anywhere)
{
    struct rng rng;
    rng_init(&rng, 7);
    const struct type *type = text_type(schema, "test.nested.Everything");
    struct plain_pool pool = { 0 };
    uint8_t *bytes;
    size_t size = plain_pack(plain_random(&rng, type->descriptor, 3, &pool), &pool, &bytes);
    s4_status status = S4_NO_MEMORY;
    int64_t failures = 0;
    for (int64_t n = 0; status != S4_OK; n++) {
        teardown();
        setup();
        type = text_type(schema, "test.nested.Everything");
        mem_fail_after(n);
        status = again(type, bytes, size);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
        ck_assert_uint_eq(out.size, status == S4_OK ? size : 0);
        failures += status != S4_OK;
    }
    ck_assert(out_is(bytes, size));
    ck_assert_int_gt(failures, 3);
    plain_pool_clear(&pool);
}
END_TEST

START_TEST(steady_state_takes_no_memory)
{
    static const char bytes[] = "\x1a\x05hello\x20\x2a\x2a\x05world";
    const struct type *type = text_type(schema, "test.Names");
    struct value value;
    ck_assert_int_eq(again(type, bytes, sizeof bytes - 1), S4_OK);
    uint64_t calls = mem_calls();
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(pb_read(&writer, type, bytes, sizeof bytes - 1, &value, &diag), S4_OK);
        buffer_clear(&out);
        ck_assert_int_eq(pb_write(&value, &out), S4_OK);
    }
    ck_assert_uint_eq(mem_calls(), calls);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
    suite_add_with(suite, name, test, 60, setup, teardown);
}

Suite *suite_build(void)
{
    Suite *suite = suite_create("pb");
    add(suite, "random", random_messages_come_out_as_they_went_in);
    add(suite, "truncated", every_truncation_is_judged_like_protobuf_c);
    add(suite, "changed", changed_bytes_are_judged_like_protobuf_c);
    add(suite, "merge", pieces_merge_like_protobuf_c);
    add(suite, "merge_nested", nested_pieces_merge_as_protobuf_says);
    add(suite, "packed", packed_and_unpacked_are_both_read);
    add(suite, "unknown", unknown_fields_are_dropped);
    add(suite, "malformed", malformed_bytes_are_refused_by_name);
    add(suite, "depth", depth_has_a_limit);
    add(suite, "size", size_has_a_limit);
    add(suite, "value_size", a_value_has_a_limit);
    add(suite, "memory", memory_may_fail_anywhere);
    add(suite, "steady", steady_state_takes_no_memory);
    return suite;
}
