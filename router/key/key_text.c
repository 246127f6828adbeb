/* Keys taken apart, and to and from the text that people write. */
#include "router/key/key.h"

#include <endian.h>
#include <errno.h>

static bool key_part_bytes(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
                           const char **data, size_t *size)
{
    if (part >= spec->n_parts)
        return false;
    if (spec->n_parts == 1) {
        *data = key;
        *size = len;
        return true;
    }
    const char *end = key + len;
    for (uint32_t i = 0; end - key >= 2; i++) {
        uint16_t n;
        memcpy(&n, key, sizeof n);
        n = le16toh(n);
        key += 2;
        if (n > end - key)
            return false;
        if (i == part) {
            *data = key;
            *size = n;
            return true;
        }
        key += n;
    }
    return false;
}

bool key_text(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
              const char **text, size_t *text_len)
{
    return part < spec->n_parts && !spec->parts[part].number &&
           key_part_bytes(spec, key, len, part, text, text_len);
}

static bool is_unsigned_64(const struct key_part *part)
{
    ProtobufCType type = part->path[part->depth - 1]->type;
    return type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64;
}

bool key_number(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
                int64_t *number)
{
    const char *data;
    size_t size;
    if (part >= spec->n_parts || !spec->parts[part].number ||
        !key_part_bytes(spec, key, len, part, &data, &size) || size != 8)
        return false;
    uint64_t x = be64toh(load_u64(data));
    *number = (int64_t)(x ^ KEY_SIGN);
    return true;
}

static s4_status parse_number(const struct key_part *part, const char *text, uint64_t *form,
                              struct diag *diag)
{
    const struct field *leaf = part->path[part->depth - 1];
    const struct enum_value *value =
        leaf->type == PROTOBUF_C_TYPE_ENUM ? enum_find(leaf->values, text, strlen(text)) : NULL;
    char *end = NULL;
    errno = 0;
    if (value) {
        *form = (uint64_t)(int64_t)value->number ^ KEY_SIGN;
        return S4_OK;
    }
    if (leaf->type == PROTOBUF_C_TYPE_BOOL) {
        bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
        if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
            return diag_set(diag, S4_TYPE, "key part \"%s\": wanted true or false", text);
        *form = (uint64_t)yes ^ KEY_SIGN;
        return S4_OK;
    }
    if (is_unsigned_64(part)) {
        *form = strtoull(text, &end, 10) ^ KEY_SIGN;
        if (strchr(text, '-'))
            end = NULL;
    } else {
        *form = (uint64_t)strtoll(text, &end, 10) ^ KEY_SIGN;
    }
    if (errno != 0 || !end || end == text || *end)
        return diag_set(diag, S4_TYPE, "key part \"%s\": wanted a %s", text, field_type_name(leaf));
    return S4_OK;
}

/* Splits off one part: up to an unescaped comma, or all when it is the last. */
static s4_status next_part(const char **text, bool last, struct buffer *part)
{
    const char *at = *text;
    buffer_clear(part);
    for (; *at && (last || *at != ','); at++) {
        if (*at == '\\' && at[1])
            at++;
        TRY(buffer_append(part, at, 1));
    }
    *text = at;
    return buffer_text(part) ? S4_OK : S4_NO_MEMORY;
}

static s4_status parse_parts(const struct key_spec *spec, const char *text, struct buffer *part,
                             struct buffer *out, struct diag *diag)
{
    const char *at = text;
    for (uint32_t i = 0; i < spec->n_parts; i++) {
        TRY(next_part(&at, i + 1 == spec->n_parts, part));
        if (i + 1 < spec->n_parts && *at++ != ',')
            return diag_set(diag, S4_MALFORMED, "key \"%s\" has %u parts, wanted %u", text, i + 1,
                            spec->n_parts);
        uint64_t form;
        const void *data = part->data;
        size_t size = part->size;
        if (spec->parts[i].number) {
            TRY(parse_number(&spec->parts[i], part->data, &form, diag));
            form = htobe64(form);
            data = &form;
            size = sizeof form;
        }
        if (size > RECORD_KEY_MAX)
            return diag_set(diag, S4_TOO_LARGE, "the key has %zu bytes, at most %zu are allowed",
                            size, (size_t)RECORD_KEY_MAX);
        uint16_t n = htole16((uint16_t)size);
        if (spec->n_parts > 1)
            TRY(buffer_append(out, &n, sizeof n));
        TRY(buffer_append(out, data, size));
    }
    return S4_OK;
}

s4_status key_parse(const struct key_spec *spec, const char *text, struct buffer *out,
                    struct diag *diag)
{
    struct buffer part;
    buffer_init(&part);
    size_t before = out->size;
    s4_status status = parse_parts(spec, text, &part, out, diag);
    if (status == S4_OK && out->size - before > RECORD_KEY_MAX)
        status = diag_set(diag, S4_TOO_LARGE, "the key has %zu bytes, at most %zu are allowed",
                          out->size - before, (size_t)RECORD_KEY_MAX);
    if (status != S4_OK)
        out->size = before;
    buffer_fini(&part);
    return status;
}

static s4_status format_part(const struct key_spec *spec, const char *key, size_t len, uint32_t i,
                             struct buffer *out)
{
    const char *text;
    size_t size;
    int64_t number;
    if (key_text(spec, key, len, i, &text, &size)) {
        for (size_t k = 0; k < size; k++) {
            if (text[k] == '\\' || (text[k] == ',' && i + 1 < spec->n_parts))
                TRY(buffer_append(out, "\\", 1));
            TRY(buffer_append(out, &text[k], 1));
        }
        return S4_OK;
    }
    if (!key_number(spec, key, len, i, &number))
        return S4_OK;
    if (is_unsigned_64(&spec->parts[i]))
        return buffer_printf(out, "%llu", (unsigned long long)number);
    return buffer_printf(out, "%lld", (long long)number);
}

s4_status key_format(const struct key_spec *spec, const char *key, size_t len, struct buffer *out)
{
    for (uint32_t i = 0; i < spec->n_parts; i++) {
        if (i > 0)
            TRY(buffer_append(out, ",", 1));
        TRY(format_part(spec, key, len, i, out));
    }
    return S4_OK;
}
