/* Rows for the tests of outputs. The values are written by hand, field by field, so that a test of
 * a million steps spends its time in what it tests. */
#include "tests/support/rows.h"

#include "tests/support/protos/rows.pb-c.h"

struct schema *rows_schema(void)
{
    static const ProtobufCMessageDescriptor *const roots[] = {
        &test__row__descriptor,
        &test__count__descriptor,
    };
    struct schema *schema = NULL;
    CHECK(schema_from_descriptors(roots, ARRAY_LEN(roots), &schema, NULL) == S4_OK);
    return schema;
}

const struct type *rows_type(const struct schema *schema, const char *name)
{
    const struct type *type = schema_find(schema, name);
    CHECK(type);
    return type;
}

struct text_ref {
    uint32_t off;
    uint32_t len;
};

static void set_text(struct writer *writer, const char *field, const char *text, size_t len)
{
    struct text_ref ref = { writer_bytes(writer, text, len), (uint32_t)len };
    uint32_t at = writer_image(writer) + type_find(writer->type, field)->offset;
    memcpy(writer_at(writer, at), &ref, sizeof ref);
}

static void start(struct writer *writer, const struct type *type, const char *word, int64_t n)
{
    writer_start(writer, type);
    set_text(writer, "word", word, strlen(word));
    memcpy(writer_at(writer, writer_image(writer) + type_find(type, "n")->offset), &n, sizeof n);
}

static char letter(int64_t n, uint32_t i)
{
    return (char)('a' + ((uint64_t)n + i) % 26);
}

struct value row_make(struct writer *writer, const struct type *type, const char *word, int64_t n,
                      uint32_t note)
{
    static _Thread_local char text[4096];
    struct value value;
    CHECK(note <= sizeof text);
    start(writer, type, word, n);
    for (uint32_t i = 0; i < note; i++)
        text[i] = letter(n, i);
    if (note)
        set_text(writer, "note", text, note);
    CHECK(writer_finish(writer, &value) == S4_OK);
    return value;
}

struct value count_make(struct writer *writer, const struct type *type, const char *word, int64_t n)
{
    struct value value;
    start(writer, type, word, n);
    CHECK(writer_finish(writer, &value) == S4_OK);
    return value;
}

static struct text_ref get_text(const struct value *value, const char *field)
{
    struct text_ref ref;
    memcpy(&ref, value->at + type_find(value->type, field)->offset, sizeof ref);
    return ref;
}

int64_t row_n(const struct value *value)
{
    int64_t n;
    memcpy(&n, value->at + type_find(value->type, "n")->offset, sizeof n);
    return n;
}

bool row_is(const struct value *value, const char *word, int64_t n, uint32_t note)
{
    struct text_ref is = get_text(value, "word");
    struct text_ref noted = get_text(value, "note");
    bool same = is.len == strlen(word) && memcmp(value->record + is.off, word, is.len + 1) == 0 &&
                row_n(value) == n && (note == 0 ? noted.off == REF_NULL : noted.len == note);
    for (uint32_t i = 0; same && i < note; i++)
        same = value->record[noted.off + i] == letter(n, i);
    return same;
}

size_t row_key(const char *word, char key[64])
{
    size_t len = strlen(word);
    CHECK(len < 60);
    key[0] = 0;
    key[1] = (char)len;
    memcpy(key + 2, word, len);
    return len + 2;
}
