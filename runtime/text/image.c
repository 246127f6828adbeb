/* Images, as the readers build and the writers walk them.
 *
 * Presence follows protobuf-c's pack, so that a value and the struct that it stands for always
 * agree: a string or message outside of a oneof is present when its reference is neither NULL nor
 * the default, other optional fields have a flag, a oneof member is chosen by the case.
 */
#include "runtime/text/image.h"

static bool by_reference(const struct field *field)
{
    return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

bool image_has(const char *image, const struct field *field)
{
    if (field->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return load_u64(image + field->has_offset) > 0;
    if (field->oneof >= 0 && load_u32(image + field->has_offset) != field->id)
        return false;
    if (by_reference(field)) {
        uint32_t off = load_u32(image + field->offset);
        return off != REF_NULL && off != REF_DEFAULT;
    }
    return load_u32(image + field->has_offset) != 0;
}

struct slice image_slice(const char *record, const struct field *field, const char *element)
{
    bool is_string = field->type == PROTOBUF_C_TYPE_STRING;
    uint32_t off = load_u32(is_string ? element : element + 8);
    size_t len = is_string ? load_u32(element + 4) : load_u64(element);
    if (off == REF_DEFAULT && field->has_default)
        return (struct slice){ field->fallback.text.data, field->fallback.text.len };
    if (off <= REF_EMPTY)
        return (struct slice){ "", 0 };
    return (struct slice){ record + off, len };
}
