/* Protobuf bytes to a value, in one pass over the fields.
 *
 * Each field's value becomes one element of an image at once. A repeated field needs its number of
 * elements before its array: at the first repeated field of a message the rest of the message is
 * scanned once, and every repeated field's count of what is to come is kept in the unused half of
 * its reference (`coming`), which is zero again when the array is made. So arrays are exact, and a
 * message that is given in pieces (they merge) gets a longer array per piece.
 *
 * Nothing here trusts a byte. Recursion, into messages and over unknown groups, is bounded by
 * SCHEMA_DEPTH_MAX; room is bounded by the writer.
 */
#include "runtime/text/pb.h"

#include "runtime/base/utf8.h"
#include "runtime/text/image.h"
#include "runtime/text/pb_token.h"

#define TRIES  4 /* fields that are tried in order before one is searched */
#define COMING 4 /* offset, in a repeated field's reference, of the count of elements to come */

struct reader {
    struct pb_input input;
    struct writer *writer;
};

/* One message, or one piece of it, that is being read. */
struct message {
    const struct type *type;
    uint32_t image;
    uint32_t depth;      /* messages around it */
    uint32_t next;       /* index in by_id of the field to try first */
    uint32_t n_required; /* required fields that were there, repeats not counted */
    bool counted;        /* the elements to come are counted */
    const uint8_t *at;
    const uint8_t *end;
    const struct place *up; /* the field that it is the value of; NULL for the outermost */
    uint64_t seen[SCHEMA_FIELDS_MAX / 64];
};

/* The first place in by_id whose field has at least this number. */
static uint32_t lower_bound(const struct type *type, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = type->n_fields;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (type->fields[type->by_id[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Numbers mostly rise, so the next few fields are tried before one is searched. */
static inline const struct field *find_field(struct message *message, uint32_t id)
{
    const struct type *type = message->type;
    uint32_t end = (uint32_t)size_min(type->n_fields, message->next + TRIES);
    for (uint32_t i = message->next; i < end; i++)
        if (type->fields[type->by_id[i]].id == id) {
            message->next = i;
            return &type->fields[type->by_id[i]];
        }
    uint32_t found = lower_bound(type, id);
    if (found == type->n_fields || type->fields[type->by_id[found]].id != id)
        return NULL;
    message->next = found;
    return &type->fields[type->by_id[found]];
}

static bool packs(const struct field *field)
{
    return wire_of(field->type) != WIRE_LEN;
}

/* Elements in the packed array of `len` bytes at `at`. */
static size_t count_packed(const struct field *field, const uint8_t *at, size_t len)
{
    enum wire wire = wire_of(field->type);
    if (wire != WIRE_VARINT)
        return len / (wire == WIRE_64 ? 8 : 4);
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += at[i] < 0x80;
    return n;
}

/* Counts what is to come of every repeated field, from the value at `at` of field `id` on. */
static s4_status count_coming(struct reader *reader, struct message *message, uint32_t id,
                              uint32_t wire)
{
    const uint8_t *at = message->at;
    uint32_t next = message->next;
    char *image = writer_at(reader->writer, message->image);
    for (;;) {
        const struct field *field = find_field(message, id);
        const uint8_t *value = at;
        TRY(pb_skip(&reader->input, &at, message->end, message->up, id, wire));
        if (field && field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = 1;
            if (wire == WIRE_LEN && packs(field)) {
                size_t len = 0;
                TRY(pb_length(&reader->input, &value, message->end, message->up, &len));
                n = count_packed(field, value, len);
            }
            char *coming = image + field->offset + COMING;
            store_u32(coming, load_u32(coming) + (uint32_t)n);
        }
        if (at == message->end)
            break;
        TRY(pb_tag(&reader->input, &at, message->end, message->up, &id, &wire));
    }
    message->next = next;
    message->counted = true;
    return S4_OK;
}

/* Makes the array for the elements of a repeated field that are there and those to come. */
static s4_status grow_array(struct reader *reader, const struct message *message,
                            const struct field *field)
{
    struct writer *writer = reader->writer;
    size_t size = image_element_size(field);
    const char *image = writer_at(writer, message->image);
    uint64_t n = load_u64(image + field->has_offset);
    uint32_t coming = load_u32(image + field->offset + COMING);
    if (coming == 0)
        return S4_OK;
    uint32_t array = writer_room(writer, (n + coming) * size);
    if (array == 0)
        return writer->error;
    char *at = writer_at(writer, message->image);
    if (n > 0)
        memcpy(writer_at(writer, array), writer_at(writer, load_u32(at + field->offset)), n * size);
    store_u32(at + field->offset, array);
    store_u32(at + field->offset + COMING, 0);
    return S4_OK;
}

static inline void push_element(struct reader *reader, const struct message *message,
                                const struct field *field, const union element *element)
{
    struct writer *writer = reader->writer;
    size_t size = image_element_size(field);
    char *image = writer_at(writer, message->image);
    uint64_t n = load_u64(image + field->has_offset);
    char *array = writer_at(writer, load_u32(image + field->offset));
    image_put(array + n * size, element, (uint32_t)size);
    store_u64(image + field->has_offset, n + 1);
}

static s4_status read_message(struct reader *reader, struct message *message);

/* The image of a singular message that is there already, and into which another piece merges; 0. */
static uint32_t merges_into(const struct reader *reader, const struct message *message,
                            const struct field *field)
{
    const char *image = writer_at(reader->writer, message->image);
    if (field->label == PROTOBUF_C_LABEL_REPEATED ||
        (field->oneof >= 0 && load_u32(image + field->has_offset) != field->id))
        return 0;
    return load_u32(image + field->offset);
}

static s4_status take_message(struct reader *reader, const struct message *message,
                              const struct place *place, const uint8_t *at, size_t len,
                              union element *element)
{
    const struct field *field = place->field;
    if (message->depth >= SCHEMA_DEPTH_MAX)
        return pb_refuse(&reader->input, at, place, S4_TOO_LARGE,
                         "found messages in messages more than %d deep", SCHEMA_DEPTH_MAX);
    uint32_t image = merges_into(reader, message, field);
    if (image == 0)
        image = writer_message(reader->writer, field->sub);
    if (image == 0)
        return reader->writer->error;
    struct message sub;
    sub.type = field->sub;
    sub.image = image;
    sub.depth = message->depth + 1;
    sub.at = at;
    sub.end = at + len;
    sub.up = place;
    element->u64 = image;
    return read_message(reader, &sub);
}

/* Strings are judged; no bytes are a NULL reference, which is what protobuf-c's unpack gives. */
static s4_status take_text(struct reader *reader, const struct place *place, const uint8_t *at,
                           size_t len, union element *element)
{
    if (place->field->type == PROTOBUF_C_TYPE_STRING) {
        size_t valid = utf8_valid((const char *)at, len);
        if (valid < len)
            return pb_refuse(&reader->input, at + valid, place, S4_MALFORMED,
                             at[valid] ? "found byte 0x%02x, which is not valid UTF-8 here"
                                       : "found byte 0x%02x, and a string cannot hold a NUL",
                             at[valid]);
        element->string.off = writer_bytes(reader->writer, at, len);
        element->string.len = (uint32_t)len;
        return element->string.off ? S4_OK : reader->writer->error;
    }
    element->bytes.len = len;
    element->bytes.off = len ? writer_bytes(reader->writer, at, len) : REF_NULL;
    element->bytes.zero = 0;
    return len == 0 || element->bytes.off ? S4_OK : reader->writer->error;
}

static void set_varint(const struct field *field, uint64_t value, union element *element)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        element->u32 = value != 0;
        break;
    case PROTOBUF_C_TYPE_SINT32:
        element->u32 = (uint32_t)wire_unzigzag((uint32_t)value);
        break;
    case PROTOBUF_C_TYPE_SINT64:
        element->u64 = (uint64_t)wire_unzigzag(value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        element->u64 = value;
        break;
    default:
        element->u32 = (uint32_t)value;
    }
}

/* A number at *at, of the field's own wire type. */
static s4_status take_number(const struct reader *reader, const struct place *place,
                             const uint8_t **at, const uint8_t *end, union element *element)
{
    enum wire wire = wire_of(place->field->type);
    if (wire == WIRE_VARINT) {
        uint64_t value;
        const uint8_t *behind = wire_take_varint(*at, end, &value);
        if (!behind)
            return pb_refuse(&reader->input, *at, place, S4_MALFORMED, "found a cut varint");
        set_varint(place->field, value, element);
        *at = behind;
        return S4_OK;
    }
    size_t size = wire == WIRE_64 ? 8 : 4;
    if ((size_t)(end - *at) < size)
        return pb_refuse(&reader->input, *at, place, S4_MALFORMED,
                         "wanted %zu bytes, and %zu are left", size, (size_t)(end - *at));
    memcpy(element->raw, *at, size);
    *at += size;
    return S4_OK;
}

static s4_status read_packed(struct reader *reader, struct message *message, struct place *place)
{
    size_t len = 0;
    TRY(pb_length(&reader->input, &message->at, message->end, place, &len));
    const uint8_t *end = message->at + len;
    while (message->at < end) {
        union element element;
        TRY(take_number(reader, place, &message->at, end, &element));
        push_element(reader, message, place->field, &element);
    }
    return S4_OK;
}

static s4_status take_element(struct reader *reader, struct message *message,
                              const struct place *place, union element *element)
{
    if (packs(place->field))
        return take_number(reader, place, &message->at, message->end, element);
    size_t len = 0;
    TRY(pb_length(&reader->input, &message->at, message->end, place, &len));
    const uint8_t *at = message->at;
    message->at += len;
    if (place->field->type == PROTOBUF_C_TYPE_MESSAGE)
        return take_message(reader, message, place, at, len, element);
    return take_text(reader, place, at, len, element);
}

/* Puts a singular value into the image; in a oneof, what another member left there goes first. */
static void set_field(struct reader *reader, const struct message *message,
                      const struct field *field, const union element *element)
{
    char *image = writer_at(reader->writer, message->image);
    if (field->oneof >= 0) {
        uint32_t chosen = load_u32(image + field->has_offset);
        if (chosen != 0 && chosen != field->id) {
            const struct field *other = type_find_id(message->type, chosen);
            memset(image + other->offset, 0, image_element_size(other));
        }
    }
    image_put(image + field->offset, element, image_element_size(field));
    image_mark(image, field);
}

static COLD s4_status wrong_wire(const struct reader *reader, const uint8_t *at,
                                 const struct place *place, uint32_t wire)
{
    return pb_refuse(&reader->input, at, place, S4_TYPE, "found %s, wanted %s (%s)",
                     pb_wire_name(wire), pb_wire_name(wire_of(place->field->type)),
                     field_type_name(place->field));
}

static s4_status read_repeated(struct reader *reader, struct message *message, struct place *place,
                               uint32_t wire, const uint8_t *tag)
{
    const struct field *field = place->field;
    bool packed = wire == WIRE_LEN && packs(field);
    if (!packed && wire != wire_of(field->type))
        return wrong_wire(reader, tag, place, wire);
    if (!message->counted)
        TRY(count_coming(reader, message, field->id, wire));
    TRY(grow_array(reader, message, field));
    if (packed)
        return read_packed(reader, message, place);
    const char *image = writer_at(reader->writer, message->image);
    place->index = (int64_t)load_u64(image + field->has_offset);
    union element element;
    TRY(take_element(reader, message, place, &element));
    push_element(reader, message, field, &element);
    return S4_OK;
}

static inline s4_status read_field(struct reader *reader, struct message *message)
{
    const uint8_t *tag = message->at;
    uint32_t id = 0;
    uint32_t wire = 0;
    TRY(pb_tag(&reader->input, &message->at, message->end, message->up, &id, &wire));
    const struct field *field = find_field(message, id);
    if (!field)
        return pb_skip(&reader->input, &message->at, message->end, message->up, id, wire);
    struct place place = { message->up, field, PLACE_NO_INDEX };
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return read_repeated(reader, message, &place, wire, tag);
    if (wire != wire_of(field->type))
        return wrong_wire(reader, tag, &place, wire);
    union element element;
    TRY(take_element(reader, message, &place, &element));
    set_field(reader, message, field, &element);
    size_t index = (size_t)(field - message->type->fields);
    uint64_t bit = (uint64_t)1 << (index % 64);
    message->n_required +=
        field->label == PROTOBUF_C_LABEL_REQUIRED && !(message->seen[index / 64] & bit);
    message->seen[index / 64] |= bit;
    return S4_OK;
}

/* As protobuf-c, takes the default of a required field that has one. */
static COLD s4_status check_required(const struct reader *reader, const struct message *message)
{
    const struct type *type = message->type;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (field->label != PROTOBUF_C_LABEL_REQUIRED || field->has_default ||
            message->seen[i / 64] >> (i % 64) & 1)
            continue;
        struct place place = { message->up, field, PLACE_NO_INDEX };
        return pb_refuse(&reader->input, message->end, &place, S4_TYPE,
                         "missing in this %s, wanted %s", type->name, field_type_name(field));
    }
    return S4_OK;
}

/* type, image, depth, at, end and up are the caller's to set. */
static s4_status read_message(struct reader *reader, struct message *message)
{
    message->next = 0;
    message->n_required = 0;
    message->counted = false;
    message->seen[0] = 0;
    for (uint32_t i = 64; i < message->type->n_fields; i += 64)
        message->seen[i / 64] = 0;
    while (message->at < message->end)
        TRY(read_field(reader, message));
    return LIKELY(message->n_required == message->type->n_required)
               ? S4_OK
               : check_required(reader, message);
}

s4_status pb_read(struct writer *writer, const struct type *type, const void *bytes, size_t size,
                  struct value *value, struct diag *diag)
{
    bytes = size ? bytes : ""; /* an empty buffer has no address */
    struct reader reader = { { bytes, diag }, writer };
    if (size > PB_SIZE_MAX)
        return diag_set(diag, S4_TOO_LARGE, "found a message of %zu bytes, wanted at most %zu",
                        size, PB_SIZE_MAX);
    writer_start(writer, type);
    s4_status status = writer->error;
    if (!writer->failed) {
        struct message message;
        message.type = type;
        message.image = writer_image(writer);
        message.depth = 0;
        message.at = bytes;
        message.end = message.at + size;
        message.up = NULL;
        status = read_message(&reader, &message);
    }
    if (status == S4_OK)
        status = writer_finish(writer, value);
    if (UNLIKELY(writer->failed && writer->error == S4_TOO_LARGE))
        return diag_set(diag, S4_TOO_LARGE, "the event takes more than %zu bytes", RECORD_MAX);
    if (UNLIKELY(writer->failed))
        return diag_set(diag, writer->error, "out of memory");
    return status;
}
