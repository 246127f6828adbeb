/* Attributes that came from another process, before anybody follows their references.
 *
 * Every piece (an image, an array, a text) must lie inside of the record, and the pieces must not
 * overlap: only then does moving a value's references leave its texts alone, and only then is the
 * work of whoever reads it bounded by its size (64 levels of messages that each refer twice to the
 * next would be 2^64 visits). Who lies where is kept in two bitmaps, a bit for every 8 bytes:
 * images and arrays are alone in theirs, texts share them with texts. That texts may still overlap
 * each other does no harm, but reading them shall not take longer than the record is long; a budget
 * sees to that.
 */
#include "runtime/record/codec_build.h"

#define GRAINS_MAX (RECORD_MAX / 8 + 1)
#define MAP_WORDS  (GRAINS_MAX / 64 + 1)

struct check {
    const char *base;  /* the record's bytes */
    uint32_t from;     /* where the attributes begin */
    uint32_t size;     /* of the record */
    uint32_t key_from; /* the key's bytes, for strings that lie there */
    uint32_t key_to;
    uint32_t text_left;
    const struct type *type; /* for messages to people: where it is */
    const struct field *field;
    struct diag *diag;
    uint64_t pieces[MAP_WORDS]; /* used up to the record's size */
    uint64_t texts[MAP_WORDS];
};

static s4_status fault(const struct check *check, const char *what)
{
    return diag_set(check->diag, S4_CORRUPT, "record: type %s, field %s: %s", check->type->name,
                    check->field ? check->field->name : "(none)", what);
}

/* Bits [from, to) of a word. */
static uint64_t bits(uint32_t from, uint32_t to)
{
    uint64_t below_to = to == 64 ? ~(uint64_t)0 : ((uint64_t)1 << to) - 1;
    return below_to & ~(((uint64_t)1 << from) - 1);
}

/* Takes the bytes [off, off + size) of the record; false: somebody has them. */
static bool claim(struct check *check, uint32_t off, uint32_t size, bool text)
{
    uint32_t from = off / 8;
    uint32_t to = (off + size + 7) / 8;
    while (from < to) {
        uint32_t word = from / 64;
        uint32_t end = (uint32_t)size_min(to - word * 64, 64);
        uint64_t mask = bits(from % 64, end);
        if ((check->pieces[word] & mask) || (!text && (check->texts[word] & mask)))
            return false;
        *(text ? &check->texts[word] : &check->pieces[word]) |= mask;
        from = word * 64 + end;
    }
    return true;
}

static bool inside(const struct check *check, uint64_t off, uint64_t size)
{
    return off >= check->from && off <= check->size && size <= check->size - off;
}

/* An image or an array. */
static s4_status check_piece(struct check *check, uint64_t off, uint64_t size)
{
    if (off % 8 != 0)
        return fault(check, "a reference is not aligned");
    if (!inside(check, off, size))
        return fault(check, "a reference leads out of the record");
    if (!claim(check, (uint32_t)off, (uint32_t)size, false))
        return fault(check, "a reference leads into something else");
    return S4_OK;
}

/* A string or bytes; `marker` is what stands for no text there. */
static s4_status check_text(struct check *check, uint32_t off, uint64_t len, bool string,
                            bool may_default)
{
    if (off <= REF_EMPTY) {
        bool fits =
            off == REF_NULL || (off == REF_DEFAULT && may_default) || (off == REF_EMPTY && !string);
        return fits && len == 0 ? S4_OK : fault(check, "a reference is no reference");
    }
    if (len >= check->text_left)
        return fault(check, "more text than the record is long");
    check->text_left -= (uint32_t)len + 1;
    if (off < check->from) {
        if (off < check->key_from || off > check->key_to || len > check->key_to - off)
            return fault(check, "a reference leads out of the key");
    } else if (!inside(check, off, len + 1)) {
        return fault(check, "a text ends behind the record");
    } else if (!claim(check, off, (uint32_t)len + 1, true)) {
        return fault(check, "a text leads into something else");
    }
    if (check->base[off + len] != '\0')
        return fault(check, "a text without its NUL");
    if (string && memchr(check->base + off, '\0', len))
        return fault(check, "a string with a NUL in it");
    return S4_OK;
}

static s4_status check_image(struct check *check, const struct type *type, uint64_t off, int depth);

static s4_status check_value(struct check *check, const struct field *field, const char *at,
                             bool may_default, int depth)
{
    bool refers =
        field->sub || field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES;
    if (!refers)
        return S4_OK;
    check->field = field;
    uint64_t word = load_u64(at);
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return check_text(check, (uint32_t)word, word >> 32, true, may_default);
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        uint64_t off = load_u64(at + 8);
        if (off >> 32)
            return fault(check, "a reference is no reference");
        return check_text(check, (uint32_t)off, word, false, may_default);
    }
    if (word == REF_NULL)
        return S4_OK;
    if (depth == SCHEMA_DEPTH_MAX)
        return fault(check, "messages nest too deep");
    const struct type *outer = check->type;
    TRY(check_image(check, field->sub, word, depth + 1));
    check->type = outer;
    return S4_OK;
}

static s4_status check_repeated(struct check *check, const struct field *field, const char *image,
                                int depth)
{
    uint64_t n = load_u64(image + field->has_offset);
    uint64_t off = load_u64(image + field->offset);
    uint32_t size = field_value_size(field);
    check->field = field;
    if (n == 0)
        return off == REF_NULL ? S4_OK : fault(check, "no elements, but a reference");
    if (n > check->size / size)
        return fault(check, "more elements than the record can hold");
    TRY(check_piece(check, off, n * size));
    for (uint64_t i = 0; i < n; i++) {
        const char *at = check->base + off + i * size;
        bool pointer = field->sub || field->type == PROTOBUF_C_TYPE_STRING;
        if (pointer && load_u32(at) == REF_NULL)
            return fault(check, "an element that is nothing");
        TRY(check_value(check, field, at, false, depth));
    }
    return S4_OK;
}

static s4_status check_oneof(struct check *check, const struct type *type,
                             const struct field *first, const char *image, int depth)
{
    uint32_t chosen = load_u32(image + first->has_offset);
    if (chosen == 0)
        return S4_OK;
    check->field = first;
    const struct field *field = type_find_id(type, chosen);
    if (!field || field->oneof != first->oneof)
        return fault(check, "a choice that its oneof does not have");
    return check_value(check, field, image + field->offset, field->has_default, depth);
}

static s4_status check_image(struct check *check, const struct type *type, uint64_t off, int depth)
{
    TRY(check_piece(check, off, type->image_size));
    check->type = type;
    const char *image = check->base + off;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        bool first = i == 0 || type->fields[i - 1].oneof != field->oneof;
        if (field->oneof >= 0) {
            if (first)
                TRY(check_oneof(check, type, field, image, depth));
        } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            TRY(check_repeated(check, field, image, depth));
        } else {
            TRY(check_value(check, field, image + field->offset, field->has_default, depth));
        }
    }
    return S4_OK;
}

s4_status codec_check_pieces(const struct type *type, const struct record *record,
                             struct diag *diag)
{
    struct check check; /* the bitmaps are cleared as far as they are used */
    check.base = (const char *)record;
    check.from = (uint32_t)(record_attributes(record) - check.base);
    check.size = record->len;
    check.key_from = (uint32_t)(record_key(record) - check.base);
    check.key_to = check.key_from + record_key_len(record);
    check.text_left = record->len;
    check.type = type;
    check.field = NULL;
    check.diag = diag;
    if (check.size > RECORD_MAX || check.from > check.size)
        return fault(&check, "the record has an impossible length");
    size_t words = check.size / 8 / 64 + 1;
    memset(check.pieces, 0, words * sizeof *check.pieces);
    memset(check.texts, 0, words * sizeof *check.texts);
    return check_image(&check, type, check.from, 0);
}
