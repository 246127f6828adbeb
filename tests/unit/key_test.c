/* Keys: the vectors of the canonical form, which is wire contract, and a naive reading of protoc-c
 * structs by their descriptors against both ways of building keys. */
#include "tests/support/suite.h"

#include <endian.h>

#include "router/key/key.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "tests/support/random_message.h"
#include "tests/support/record_bench.h"

#include "tests/support/protos/keyed.pb-c.h"

#define STEPS     250000 /* each with SPECS specifications */
#define SPECS     4
#define NAIVE_MAX 1000

static const ProtobufCMessageDescriptor *const types[] = { &keyed__event__descriptor };
static struct bench bench;
static const struct type *type;
static struct codec *codec;
static struct keys keys;

static void setup(void)
{
    bench_open(&bench, types, ARRAY_LEN(types));
    type = schema_find(bench.schema, "keyed.Event");
    codec = codec_of(type);
    keys_init(&keys);
}

static void teardown(void)
{
    keys_fini(&keys);
    codec_destroy(codec);
    bench_close(&bench);
}

static struct key_spec compile(const char *text)
{
    struct key_spec spec;
    struct diag diag = { 0 };
    if (key_spec_compile(type, text, &spec, &diag) != S4_OK)
        ck_abort_msg("%s", diag.text);
    return spec;
}

/* ---- vectors ------------------------------------------------------------------------------- */

struct vector {
    const char *spec;
    const char *text; /* as a person writes it */
    const char *form;
    size_t len;
    uint64_t hash;
};
#define FORM(bytes) bytes, sizeof(bytes) - 1
static const struct vector vectors[] = {
    { "text", "", FORM(""), 0x2d06800538d394c2u },
    { "text", "a", FORM("a"), 0xe6c632b61e964e1fu },
    { "text", "alice", FORM("alice"), 0x4da10dd61a0116b0u },
    { "text", "one, two", FORM("one, two"), 0x2139d390d0597a57u },
    { "i32", "0", FORM("\x80\0\0\0\0\0\0\0"), 0xb7aa1c28d234f8d6u },
    { "i64", "7", FORM("\x80\0\0\0\0\0\0\7"), 0x4b2f788e2229c72eu },
    { "s32", "-1", FORM("\x7f\xff\xff\xff\xff\xff\xff\xff"), 0xf832fc1d899fe591u },
    { "i64", "-9223372036854775808", FORM("\0\0\0\0\0\0\0\0"), 0xc77b3abb6f87acd9u },
    { "i64", "9223372036854775807", FORM("\xff\xff\xff\xff\xff\xff\xff\xff"), 0x5111c7e47d784413u },
    { "u32", "4294967295", FORM("\x80\0\0\0\xff\xff\xff\xff"), 0x857ccb65ab648145u },
    { "u64", "18446744073709551615", FORM("\x7f\xff\xff\xff\xff\xff\xff\xff"),
      0xf832fc1d899fe591u },
    { "yes", "1", FORM("\x80\0\0\0\0\0\0\1"), 0xce5e29c5f1ee5d11u },
    { "colour", "-5", FORM("\x7f\xff\xff\xff\xff\xff\xff\xfb"), 0xbea39dcaa037aa48u },
    { "text,i32", "alice,7", FORM("\5\0alice\10\0\x80\0\0\0\0\0\0\7"), 0xddc353b4366e8609u },
    { "i32,text", "7,", FORM("\10\0\x80\0\0\0\0\0\0\7\0\0"), 0x5bd22b44b9e86c8du },
    { "text,given,u32", "a\\,b,\\\\,1", FORM("\3\0a,b\1\0\\\10\0\x80\0\0\0\0\0\0\1"),
      0xbfeb5095cc8727c6u },
};

START_TEST(the_form_is_kept)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct key_spec spec = compile(v->spec);
        struct buffer form;
        struct buffer text;
        struct diag diag = { 0 };
        buffer_init(&form);
        buffer_init(&text);
        ck_assert_msg(key_parse(&spec, v->text, &form, &diag) == S4_OK, "%s", diag.text);
        ck_assert_uint_eq(form.size, v->len);
        ck_assert_mem_eq(form.data ? form.data : "", v->form, v->len);
        ck_assert_msg(hash_bytes(v->form, v->len) == v->hash, "%s: 0x%016llx", v->text,
                      (unsigned long long)hash_bytes(v->form, v->len));
        ck_assert_int_eq(key_format(&spec, v->form, v->len, &text), S4_OK);
        ck_assert_str_eq(buffer_text(&text), v->text);
        buffer_fini(&form);
        buffer_fini(&text);
    }
}
END_TEST

/* ---- a naive reading ----------------------------------------------------------------------- */

struct naive_key {
    const char *data; /* in the arena */
    size_t len;
};

struct naive {
    struct naive_key keys[NAIVE_MAX];
    size_t n;
    bool too_large;
};

/* The elements of one part, each in its form. */
struct elements {
    struct naive_key list[64];
    size_t n;
};

static struct naive_key number_form(int64_t x)
{
    uint64_t form = htobe64((uint64_t)x ^ (UINT64_C(1) << 63));
    char *at = arena_take(&bench.messages, 32);
    memcpy(at, &form, 8);
    return (struct naive_key){ at, 8 };
}

static struct naive_key naive_element(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)at;
        return (struct naive_key){ text, text ? strlen(text) : 0 };
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = at;
        return (struct naive_key){ (const char *)bytes->data, bytes->len };
    }
    case PROTOBUF_C_TYPE_BOOL:
        return number_form(*(const protobuf_c_boolean *)at != 0);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return number_form(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        return number_form(*(const int32_t *)at);
    default:
        return number_form(*(const int64_t *)at);
    }
}

static size_t element_size(ProtobufCType of)
{
    return of == PROTOBUF_C_TYPE_STRING  ? sizeof(char *)
           : of == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData)
                                         : 4;
}

/* Is an optional attribute there, as protobuf-c's packing has it? */
static bool naive_present(const ProtobufCFieldDescriptor *field, const char *message)
{
    const void *at = message + field->offset;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return *(char *const *)at != NULL && *(const void *const *)at != field->default_value;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)at != NULL;
    protobuf_c_boolean has;
    memcpy(&has, message + field->quantifier_offset, sizeof has);
    return has;
}

static void naive_part(const char *path, const char *message, struct elements *elements)
{
    const ProtobufCMessageDescriptor *of = &keyed__event__descriptor;
    char name[64];
    for (elements->n = 0;;) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(of, name);
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count;
            memcpy(&count, message + field->quantifier_offset, sizeof count);
            const char *array = *(char *const *)(const void *)(message + field->offset);
            for (size_t i = 0; i < count && i < ARRAY_LEN(elements->list); i++)
                elements->list[elements->n++] =
                    naive_element(field, array + i * element_size(field->type));
            return;
        }
        if (!naive_present(field, message))
            return;
        if (path[n] == '\0') {
            elements->list[elements->n++] = naive_element(field, message + field->offset);
            return;
        }
        message = *(char *const *)(const void *)(message + field->offset);
        of = field->descriptor;
        path += n + 1;
    }
}

static void naive_add(struct naive *naive, const char *data, size_t len)
{
    for (size_t i = 0; i < naive->n; i++)
        if (naive->keys[i].len == len && memcmp(naive->keys[i].data, data, len) == 0)
            return;
    WANT(naive->n < NAIVE_MAX);
    naive->keys[naive->n++] = (struct naive_key){ data, len };
}

static void naive_combine(struct naive *naive, const struct elements *parts, uint32_t n_parts,
                          uint32_t part, const char *head, size_t head_len)
{
    if (part == n_parts) {
        naive->too_large |= head_len > RECORD_KEY_MAX;
        naive_add(naive, head, head_len);
        return;
    }
    for (size_t i = 0; i < parts[part].n; i++) {
        struct naive_key element = parts[part].list[i];
        char *at = arena_take(&bench.messages, head_len + 2 + element.len);
        size_t len = head_len;
        memcpy(at, head, len);
        if (n_parts > 1) {
            at[len++] = (char)(element.len & 0xff);
            at[len++] = (char)(element.len >> 8);
        }
        if (element.len > 0)
            memcpy(at + len, element.data, element.len);
        naive_combine(naive, parts, n_parts, part + 1, at, len + element.len);
    }
}

/* False: too many for a naive reading. */
static bool naive_keys(struct naive *naive, const char *spec, const void *message)
{
    struct elements parts[KEY_PARTS_MAX];
    uint32_t n = 0;
    naive->n = 0;
    naive->too_large = false;
    size_t combined = 1;
    for (const char *at = spec; *at; n++) { /* NOLINT(clang-analyzer-core.uninitialized.Branch) */
        char path[64];
        size_t len = strcspn(at, ",");
        snprintf(path, sizeof path, "%.*s", (int)len, at);
        naive_part(path, message, &parts[n]);
        combined *= parts[n].n;
        at += len + (at[len] == ',');
    }
    if (combined <= NAIVE_MAX)
        naive_combine(naive, parts, n, 0, "", 0);
    return combined <= NAIVE_MAX;
}

/* ---- the oracle ---------------------------------------------------------------------------- */

static const char *const paths[] = {
    "text",
    "blob",
    "i32",
    "s32",
    "sf32",
    "u32",
    "f32",
    "i64",
    "s64",
    "sf64",
    "u64",
    "f64",
    "yes",
    "colour",
    "inner.name",
    "inner.number",
    "inner.inner.name",
    "inner.names",
    "texts",
    "numbers",
    "colours",
    "blobs",
    "given",
    "inner.inner.inner.names",
};

static void same_keys(const struct naive *naive, s4_status status)
{
    if (naive->too_large) {
        WANT(status == S4_TOO_LARGE);
        return;
    }
    WANT(status == S4_OK);
    SUITE_SAME(keys_count(&keys), naive->n);
    for (size_t i = 0; i < naive->n; i++) {
        const struct key_at *key = keys_at(&keys, i);
        SUITE_SAME(key->len, naive->keys[i].len);
        WANT(memcmp(keys_bytes(&keys, key), naive->keys[i].data, key->len) == 0);
        WANT(key->hash == hash_bytes(naive->keys[i].data, key->len));
        for (uint32_t k = 0; k < 16; k++)
            WANT(keys_bytes(&keys, key)[key->len + k] == 0);
    }
}

/* As a person would write it, and back. */
static void same_text(const struct key_spec *spec)
{
    struct buffer text;
    struct buffer form;
    struct diag diag = { 0 };
    buffer_init(&text);
    buffer_init(&form);
    for (size_t i = 0; i < keys_count(&keys); i++) {
        const struct key_at *key = keys_at(&keys, i);
        buffer_clear(&text);
        buffer_clear(&form);
        WANT(key_format(spec, keys_bytes(&keys, key), key->len, &text) == S4_OK);
        const char *written = buffer_text(&text);
        if (strlen(written) != text.size)
            continue; /* bytes with NULs: nobody can write them on a command line */
        if (key_parse(spec, written, &form, &diag) != S4_OK)
            ck_abort_msg("\"%s\": %s", written, diag.text);
        SUITE_SAME(form.size, key->len);
        WANT(key->len == 0 || memcmp(form.data, keys_bytes(&keys, key), key->len) == 0);
    }
    buffer_fini(&text);
    buffer_fini(&form);
}

static void draw_spec(char *text, size_t size)
{
    uint64_t n = 1 + rng_below(&bench.rng, 3);
    int len = 0;
    for (uint64_t i = 0; i < n; i++)
        len += snprintf(text + len, size - (size_t)len, "%s%s", i ? "," : "",
                        paths[rng_below(&bench.rng, ARRAY_LEN(paths))]);
}

static void oracle_step(struct naive *naive, bool texts)
{
    arena_reset(&bench.messages);
    ProtobufCMessage *message =
        message_random(&keyed__event__descriptor, &bench.rng, &bench.messages, 4, 0xaa);
    char *at = start_record(bench.room[0], RECORD_KEY);
    int64_t size = codec_put(codec)(codec, message, bench.room[0], at, bench.room[0] + RECORD_ROOM,
                                    &codec_no_alias);
    WANT(size >= 0);
    struct record *record = (struct record *)(void *)bench.room[0];
    record->len += (uint32_t)size;
    struct value value = value_of_record(type, record);
    for (int i = 0; i < SPECS; i++) {
        char text[256];
        draw_spec(text, sizeof text);
        struct key_spec spec = compile(text);
        if (!naive_keys(naive, text, message))
            continue;
        same_keys(naive, keys_of_message(&keys, &spec, message));
        same_keys(naive, keys_of_value(&keys, &spec, &value));
        if (texts && !naive->too_large)
            same_text(&spec);
    }
}

START_TEST(a_million_keys_against_a_naive_reading)
{
    static struct naive naive;
    rng_init(&bench.rng, suite_seed());
    for (int i = 0; i < STEPS; i++)
        oracle_step(&naive, i % 8 == 0);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------- */

static s4_status keys_of(const char *spec_text, const Keyed__Event *event)
{
    struct key_spec spec = compile(spec_text);
    return keys_of_message(&keys, &spec, event);
}

START_TEST(a_key_has_limits)
{
    static char text[RECORD_KEY_MAX + 2];
    Keyed__Event event = KEYED__EVENT__INIT;
    memset(text, 'x', RECORD_KEY_MAX);
    event.text = text;
    event.has_i32 = 1;
    ck_assert_int_eq(keys_of("text", &event), S4_OK);
    ck_assert_uint_eq(keys_at(&keys, 0)->len, RECORD_KEY_MAX);
    text[RECORD_KEY_MAX] = 'x';
    ck_assert_int_eq(keys_of("text", &event), S4_TOO_LARGE);
    text[RECORD_KEY_MAX - 2 - 2 - 8] = '\0';
    ck_assert_int_eq(keys_of("text,i32", &event), S4_OK);
    ck_assert_uint_eq(keys_at(&keys, 0)->len, RECORD_KEY_MAX);
    text[RECORD_KEY_MAX - 2 - 2 - 8] = 'x';
    text[RECORD_KEY_MAX - 2 - 2 - 7] = '\0';
    ck_assert_int_eq(keys_of("text,i32", &event), S4_TOO_LARGE);
    struct key_spec spec = compile("text");
    struct buffer form;
    struct diag diag = { 0 };
    buffer_init(&form);
    memset(text, 'x', RECORD_KEY_MAX + 1);
    ck_assert_int_eq(key_parse(&spec, text, &form, &diag), S4_TOO_LARGE);
    ck_assert_uint_eq(form.size, 0);
    text[RECORD_KEY_MAX] = '\0';
    ck_assert_int_eq(key_parse(&spec, text, &form, &diag), S4_OK);
    buffer_fini(&form);
}
END_TEST

START_TEST(a_specification_has_limits)
{
    struct key_spec spec;
    struct diag diag = { 0 };
    ck_assert_int_eq(key_spec_compile(type, "i32,i32,i32,i32,i32,i32,i32,i32", &spec, &diag),
                     S4_OK);
    ck_assert_int_eq(key_spec_compile(type, "i32,i32,i32,i32,i32,i32,i32,i32,i32", &spec, &diag),
                     S4_TOO_LARGE);
    const char *deep = "inner.inner.inner.inner.inner.inner.inner.name";
    ck_assert_int_eq(key_spec_compile(type, deep, &spec, &diag), S4_OK);
    deep = "inner.inner.inner.inner.inner.inner.inner.inner.name";
    ck_assert_int_eq(key_spec_compile(type, deep, &spec, &diag), S4_TOO_LARGE);
    ck_assert_int_eq(key_spec_compile(type, "text,", &spec, &diag), S4_MALFORMED);
    ck_assert_int_eq(key_spec_compile(type, "", &spec, &diag), S4_MALFORMED);
    ck_assert_int_eq(key_spec_compile(type, "none", &spec, &diag), S4_NOT_FOUND);
    ck_assert_int_eq(key_spec_compile(type, "real", &spec, &diag), S4_TYPE);
    ck_assert_int_eq(key_spec_compile(type, "inner", &spec, &diag), S4_TYPE);
    ck_assert_int_eq(key_spec_compile(type, "text.x", &spec, &diag), S4_TYPE);
    ck_assert_int_eq(key_spec_compile(type, "text , i32", &spec, &diag), S4_OK);
}
END_TEST

/* Also: as many distinct elements as there may be take no time that anyone would notice. */
START_TEST(an_event_has_so_many_keys)
{
    static int32_t numbers[2 * (KEYS_MAX + 1)];
    Keyed__Event event = KEYED__EVENT__INIT;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        numbers[i] = (int32_t)(i % KEYS_MAX) - 1000;
    event.numbers = numbers;
    event.n_numbers = 2 * KEYS_MAX; /* each twice */
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(keys_of("numbers", &event), S4_OK);
    ck_assert_uint_eq(keys_count(&keys), KEYS_MAX);
    numbers[KEYS_MAX + 7] = -5000; /* one more */
    ck_assert_int_eq(keys_of("numbers", &event), S4_TOO_LARGE);
    ck_assert_int_eq(keys_of("yes", &event), S4_OK);
    ck_assert_uint_eq(keys_count(&keys), 0);
}
END_TEST

START_TEST(combinations_are_bounded)
{
    static int32_t numbers[1025];
    Keyed__Event event = KEYED__EVENT__INIT;
    event.numbers = numbers;
    event.n_numbers = 1024;
    ck_assert_int_eq(keys_of("numbers,numbers", &event), S4_OK);
    ck_assert_uint_eq(keys_count(&keys), 1);
    event.n_numbers = 1025;
    ck_assert_int_eq(keys_of("numbers,numbers", &event), S4_TOO_LARGE);
    ck_assert_int_eq(keys_of("numbers,numbers,text", &event), S4_OK); /* a part is absent */
    ck_assert_uint_eq(keys_count(&keys), 0);
}
END_TEST

START_TEST(memory_may_run_out)
{
    int32_t numbers[100];
    Keyed__Event event = KEYED__EVENT__INIT;
    for (int i = 0; i < 100; i++)
        numbers[i] = i;
    event.numbers = numbers;
    event.n_numbers = ARRAY_LEN(numbers);
    s4_status status = S4_NO_MEMORY;
    int failed = 0;
    while (status == S4_NO_MEMORY) {
        keys_fini(&keys);
        keys_init(&keys);
        mem_fail_after(failed++);
        status = keys_of("numbers", &event);
        mem_fail_after(-1);
    }
    ck_assert_int_eq(status, S4_OK);
    ck_assert_int_gt(failed, 3);
    ck_assert_uint_eq(keys_count(&keys), 100);
}
END_TEST

START_TEST(numbers_of_any_width_meet)
{
    static const char *const wide[] = { "i32", "s32", "sf32", "u32", "f32",
                                        "i64", "s64", "sf64", "u64", "f64" };
    Keyed__Event event = KEYED__EVENT__INIT;
    event.i32 = event.s32 = event.sf32 = 70000;
    event.u32 = event.f32 = 70000;
    event.i64 = event.s64 = event.sf64 = 70000;
    event.u64 = event.f64 = 70000;
    event.has_i32 = event.has_s32 = event.has_sf32 = event.has_u32 = event.has_f32 = 1;
    event.has_i64 = event.has_s64 = event.has_sf64 = event.has_u64 = event.has_f64 = 1;
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        ck_assert_int_eq(keys_of(wide[i], &event), S4_OK);
        ck_assert_mem_eq(keys_bytes(&keys, keys_at(&keys, 0)), "\x80\0\0\0\0\x01\x11\x70", 8);
        ck_assert_uint_eq(keys_at(&keys, 0)->hash, hash_bytes("\x80\0\0\0\0\x01\x11\x70", 8));
    }
}
END_TEST

START_TEST(texts_that_are_no_keys_are_refused)
{
    static const struct {
        const char *spec, *text;
        s4_status status;
    } bad[] = {
        { "i32", "", S4_TYPE },
        { "i32", "x", S4_TYPE },
        { "i32", "1x", S4_TYPE },
        { "u64", "-1", S4_TYPE },
        { "yes", "maybe", S4_TYPE },
        { "text,i32", "a", S4_MALFORMED },
        { "i32,i32", "1", S4_MALFORMED },
        { "colour", "PINK", S4_TYPE },
        { "i64", "9223372036854775808", S4_TYPE },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct key_spec spec = compile(bad[i].spec);
        struct buffer form;
        struct diag diag = { 0 };
        buffer_init(&form);
        ck_assert_msg(key_parse(&spec, bad[i].text, &form, &diag) == bad[i].status, "%s",
                      bad[i].text);
        ck_assert_uint_eq(form.size, 0);
        ck_assert_uint_gt(strlen(diag.text), 0);
        buffer_fini(&form);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("key");
    const struct {
        const char *name;
        const TTest *test;
    } tests[] = {
        { "vectors", the_form_is_kept },
        { "oracle", a_million_keys_against_a_naive_reading },
        { "key_limits", a_key_has_limits },
        { "spec_limits", a_specification_has_limits },
        { "many", an_event_has_so_many_keys },
        { "combinations", combinations_are_bounded },
        { "memory", memory_may_run_out },
        { "widths", numbers_of_any_width_meet },
        { "refusals", texts_that_are_no_keys_are_refused },
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        suite_add_with(suite, tests[i].name, tests[i].test, 60, setup, teardown);
    return suite;
}
