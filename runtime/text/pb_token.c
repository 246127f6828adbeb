/* Tags, lengths, and values that nobody wants. Nothing here trusts a byte. */
#include "runtime/text/pb_token.h"

s4_status pb_refuse(const struct pb_input *input, const uint8_t *at, const struct place *place,
                    s4_status code, const char *format, ...)
{
    char text[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t byte = (size_t)(at - input->start);
    if (!place)
        return diag_set(input->diag, code, "byte %zu: %s", byte, text);
    char path[PLACE_TEXT_MAX];
    return diag_set(input->diag, code, "byte %zu: field \"%s\": %s", byte, place_text(place, path),
                    text);
}

const char *pb_wire_name(uint32_t wire)
{
    static const char *const names[8] = {
        "a varint",      "8 bytes", "a length",    "a group",
        "a group's end", "4 bytes", "wire type 6", "wire type 7",
    };
    return names[wire & 7];
}

s4_status pb_bad_tag(const struct pb_input *input, const uint8_t *at, const struct place *up,
                     const uint8_t *behind, uint64_t tag)
{
    if (!behind)
        return pb_refuse(input, at, up, S4_MALFORMED, "found a cut tag, wanted a field");
    return pb_refuse(input, at, up, S4_MALFORMED, "found field number %llu, wanted 1 to 536870911",
                     (unsigned long long)(tag >> 3));
}

s4_status pb_bad_length(const struct pb_input *input, const uint8_t *at, const struct place *place,
                        const uint8_t *behind, const uint8_t *end, uint64_t len)
{
    if (!behind)
        return pb_refuse(input, at, place, S4_MALFORMED, "found a cut length");
    return pb_refuse(input, at, place, S4_MALFORMED,
                     "found a length of %llu bytes, and %zu are left", (unsigned long long)len,
                     (size_t)(end - behind));
}

static s4_status skip_varint(const struct pb_input *input, const uint8_t **at, const uint8_t *end,
                             const struct place *up)
{
    uint64_t value;
    const uint8_t *behind = wire_take_varint(*at, end, &value);
    if (!behind)
        return pb_refuse(input, *at, up, S4_MALFORMED, "found a cut varint");
    *at = behind;
    return S4_OK;
}

/* Skips one value that is no group. */
static s4_status skip_value(const struct pb_input *input, const uint8_t **at, const uint8_t *end,
                            const struct place *up, uint32_t wire)
{
    size_t len = wire == WIRE_64 ? 8 : 4;
    switch (wire) {
    case WIRE_VARINT:
        return skip_varint(input, at, end, up);
    case WIRE_LEN:
        TRY(pb_length(input, at, end, up, &len));
        break;
    case WIRE_64:
    case WIRE_32:
        if ((size_t)(end - *at) < len)
            return pb_refuse(input, *at, up, S4_MALFORMED, "wanted %zu bytes, and %zu are left",
                             len, (size_t)(end - *at));
        break;
    default:
        return pb_refuse(input, *at, up, S4_MALFORMED, "found %s, wanted a value",
                         pb_wire_name(wire));
    }
    *at += len;
    return S4_OK;
}

/* Skips a group with all that is in it; its tag is taken already. */
static s4_status skip_group(const struct pb_input *input, const uint8_t **at, const uint8_t *end,
                            const struct place *up, uint32_t id)
{
    uint32_t open[SCHEMA_DEPTH_MAX] = { id };
    uint32_t depth = 1;
    while (depth > 0) {
        uint32_t wire = 0;
        if (*at == end)
            return pb_refuse(input, *at, up, S4_MALFORMED, "wanted the end of group %u",
                             open[depth - 1]);
        TRY(pb_tag(input, at, end, up, &id, &wire));
        if (wire == WIRE_GROUP) {
            if (depth == SCHEMA_DEPTH_MAX)
                return pb_refuse(input, *at, up, S4_TOO_LARGE,
                                 "found groups in groups more than %d deep", SCHEMA_DEPTH_MAX);
            open[depth++] = id;
        } else if (wire != WIRE_GROUP_END) {
            TRY(skip_value(input, at, end, up, wire));
        } else if (open[--depth] != id) {
            return pb_refuse(input, *at, up, S4_MALFORMED, "found the end of group %u in group %u",
                             id, open[depth]);
        }
    }
    return S4_OK;
}

s4_status pb_skip(const struct pb_input *input, const uint8_t **at, const uint8_t *end,
                  const struct place *up, uint32_t id, uint32_t wire)
{
    if (wire == WIRE_GROUP)
        return skip_group(input, at, end, up, id);
    return skip_value(input, at, end, up, wire);
}
