/* Compiles key specifications: "user,page.id" against a type, with what and where it is wrong. */
#include "router/key/key.h"

static bool is_number(const struct field *field)
{
    return field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES;
}

static s4_status check_leaf(const struct type *type, const struct field *field, struct diag *diag)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return diag_set(diag, S4_TYPE,
                        "attribute \"%s\" of %s is a %s: a key takes text, bytes, "
                        "integers, bools and enums",
                        field->name, type->name, field_type_name(field));
    case PROTOBUF_C_TYPE_MESSAGE:
        return diag_set(diag, S4_TYPE,
                        "attribute \"%s\" of %s is a message: name one of its "
                        "attributes, as in \"%s.x\"",
                        field->name, type->name, field->name);
    default:
        return S4_OK;
    }
}

static s4_status compile_part(const struct type *type, const char *text, size_t len,
                              struct key_part *part, struct diag *diag)
{
    const char *end = text + len;
    const struct type *at = type;
    for (;;) {
        const char *dot = memchr(text, '.', (size_t)(end - text));
        size_t n = (size_t)((dot ? dot : end) - text);
        if (part->depth == KEY_DEPTH_MAX)
            return diag_set(diag, S4_TOO_LARGE, "a key's path goes deeper than %d", KEY_DEPTH_MAX);
        const struct field *field = type_find_len(at, text, n);
        if (!field)
            return diag_set(diag, S4_NOT_FOUND, "type %s has no attribute \"%.*s\"", at->name,
                            (int)n, text);
        part->path[part->depth++] = field;
        if (!dot) {
            TRY(check_leaf(at, field, diag));
            part->number = is_number(field);
            part->repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
            return S4_OK;
        }
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED)
            return diag_set(diag, S4_TYPE,
                            "attribute \"%s\" of %s is not a single message: a path "
                            "goes only through these",
                            field->name, at->name);
        at = field->sub;
        text = dot + 1;
    }
}

s4_status key_spec_compile(const struct type *type, const char *text, struct key_spec *spec,
                           struct diag *diag)
{
    struct key_spec made = { .type = type, .text_offset = FIELD_NONE };
    for (const char *at = text;;) {
        const char *comma = strchr(at, ',');
        const char *end = comma ? comma : at + strlen(at);
        while (at < end && *at == ' ')
            at++;
        const char *stop = end;
        while (stop > at && stop[-1] == ' ')
            stop--;
        if (stop == at)
            return diag_set(diag, S4_MALFORMED, "key \"%s\" has an empty part", text);
        if (made.n_parts == KEY_PARTS_MAX)
            return diag_set(diag, S4_TOO_LARGE, "key \"%s\" has more than %d parts", text,
                            KEY_PARTS_MAX);
        struct key_part *part = &made.parts[made.n_parts++];
        TRY(compile_part(type, at, (size_t)(stop - at), part, diag));
        made.repeated |= part->repeated;
        if (!comma)
            break;
        at = comma + 1;
    }
    const struct key_part *only = &made.parts[0];
    const struct field *leaf = only->path[0];
    bool plain = made.n_parts == 1 && only->depth == 1 && !only->repeated && leaf->oneof < 0;
    bool required = leaf->label == PROTOBUF_C_LABEL_REQUIRED;
    if (plain && only->number) {
        made.number = leaf;
        made.one = required;
    }
    if (plain && leaf->type == PROTOBUF_C_TYPE_STRING && !leaf->has_default) {
        made.text_offset = leaf->offset;
        made.one = required;
    }
    *spec = made;
    return S4_OK;
}
