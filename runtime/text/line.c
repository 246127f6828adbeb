/* Lines of text, each the one string attribute of an event. */
#include "runtime/text/line.h"

#include "runtime/base/utf8.h"
#include "runtime/text/image.h"

s4_status line_field(const struct type *type, const struct field **field, struct diag *diag)
{
    const struct field *found = NULL;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *each = &type->fields[i];
        bool is_string = each->type == PROTOBUF_C_TYPE_STRING;
        if (is_string && found)
            return diag_set(
                diag, S4_TYPE,
                "type %s has more than one string field (\"%s\", \"%s\"), and a line of "
                "text can fill only one; use json or pb",
                type->name, found->name, each->name);
        if (!is_string && each->label == PROTOBUF_C_LABEL_REQUIRED)
            return diag_set(diag, S4_TYPE,
                            "type %s requires field \"%s\" (%s), which a line of text cannot fill; "
                            "use json or pb",
                            type->name, each->name, field_type_name(each));
        if (is_string)
            found = each;
    }
    if (!found || found->label == PROTOBUF_C_LABEL_REPEATED)
        return diag_set(diag, S4_TYPE,
                        "type %s has no string field of one value that a line of text could fill; "
                        "use json or pb",
                        type->name);
    *field = found;
    return S4_OK;
}

/* Without its end: \n, \r\n, or a \r whose \n the caller took off. */
static size_t without_end(const char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    return len;
}

s4_status line_read(struct writer *writer, const struct type *type, const struct field *field,
                    const char *line, size_t len, struct value *value, struct diag *diag)
{
    len = without_end(line, len);
    size_t valid = utf8_valid(line, len);
    if (valid < len)
        return diag_set(diag, S4_MALFORMED,
                        line[valid] ? "column %zu: found byte 0x%02x, which is not valid UTF-8 here"
                                    : "column %zu: found byte 0x%02x, and a text cannot hold a NUL",
                        valid + 1, (uint8_t)line[valid]);
    writer_start(writer, type);
    uint32_t off = writer_bytes(writer, line, len);
    if (off != 0) {
        char *image = writer_at(writer, writer_image(writer));
        store_u32(image + field->offset, off);
        store_u32(image + field->offset + 4, (uint32_t)len);
        image_mark(image, field);
    }
    s4_status status = writer_finish(writer, value);
    if (status == S4_TOO_LARGE)
        return diag_set(diag, status, "the event takes more than %zu bytes", RECORD_MAX);
    if (status != S4_OK)
        return diag_set(diag, status, "out of memory");
    return S4_OK;
}
