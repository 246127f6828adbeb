/* The lexical half of the protobuf reader: tags, lengths, skipping, and errors with their place.
 * Inside runtime/text only. Every function moves *at behind what it took, or answers an error. */
#ifndef RUNTIME_TEXT_PB_TOKEN_H
#define RUNTIME_TEXT_PB_TOKEN_H

#include "runtime/base/base.h"
#include "runtime/base/diag.h"
#include "runtime/text/place.h"
#include "runtime/text/wire.h"

/* The bytes that are being read, for errors. Borrowed. */
struct pb_input {
    const uint8_t *start;
    struct diag *diag;
};

/* `byte 17: field "a.b": <text>`; place is NULL outside of any field. */
COLD s4_status pb_refuse(const struct pb_input *input, const uint8_t *at, const struct place *place,
                         s4_status code, const char *format, ...) PRINTF(5, 6);

/* A wire type, in words. */
const char *pb_wire_name(uint32_t wire);

/* Refuses what is no tag: `behind` is NULL, or `tag` has no field number. */
COLD s4_status pb_bad_tag(const struct pb_input *input, const uint8_t *at, const struct place *up,
                          const uint8_t *behind, uint64_t tag);

/* A field's number and wire type. */
static inline s4_status pb_tag(const struct pb_input *input, const uint8_t **at, const uint8_t *end,
                               const struct place *up, uint32_t *id, uint32_t *wire)
{
    uint64_t tag = 0;
    const uint8_t *behind = wire_take_varint(*at, end, &tag);
    if (UNLIKELY(!behind || tag >> 3 == 0 || tag >> 3 > WIRE_ID_MAX))
        return pb_bad_tag(input, *at, up, behind, tag);
    *at = behind;
    *id = (uint32_t)(tag >> 3);
    *wire = tag & 7;
    return S4_OK;
}

/* Refuses what is no length: `behind` is NULL, or `len` is more than there is. */
COLD s4_status pb_bad_length(const struct pb_input *input, const uint8_t *at,
                             const struct place *place, const uint8_t *behind, const uint8_t *end,
                             uint64_t len);

/* A length, with at least that many bytes behind it. */
static inline s4_status pb_length(const struct pb_input *input, const uint8_t **at,
                                  const uint8_t *end, const struct place *place, size_t *len)
{
    uint64_t value = 0;
    const uint8_t *behind = wire_take_varint(*at, end, &value);
    if (UNLIKELY(!behind || value > (size_t)(end - behind)))
        return pb_bad_length(input, *at, place, behind, end, value);
    *at = behind;
    *len = value;
    return S4_OK;
}

/* The value of a field of this number and wire type, whatever it is; groups with all that is in
 * them, up to SCHEMA_DEPTH_MAX deep. */
s4_status pb_skip(const struct pb_input *input, const uint8_t **at, const uint8_t *end,
                  const struct place *up, uint32_t id, uint32_t wire) MUST_USE;

#endif
