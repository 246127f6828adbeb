/* JSON to a value, in one pass and without a tree.
 *
 * The type drives: an object's members are fields, most often in the order of their declaration, so
 * the next declared one is tried first and looking up by name is the exception. Each value becomes
 * one element of an image at once; strings go straight from the text into the writer. The elements
 * of an array wait on the writer's stack until their number is known, and then move into the writer
 * as one array. The writer's memory moves, so images are known by their offsets.
 *
 * Recursion is bounded by SCHEMA_DEPTH_MAX, as only messages nest.
 */
#include "runtime/text/json.h"

#include "runtime/text/image.h"
#include "runtime/text/json_scalar.h"
#include "runtime/text/json_token.h"

#define NAMES_SHOWN 8 /* of a type's fields, in a message */
#define TRIES       4 /* fields that are tried in order before one is looked up by name */

struct reader {
    struct cursor cursor;
    struct writer *writer;
};

/* One object that is being read. */
struct object {
    const struct type *type;
    uint32_t image;
    uint32_t next;          /* the field to try first */
    uint32_t depth;         /* objects around it */
    uint32_t n_required;    /* required fields that were there */
    const char *opened;     /* its brace */
    const struct place *up; /* the field that it is the value of; NULL for the outermost */
    uint64_t seen[SCHEMA_FIELDS_MAX / 64];
};

static s4_status read_object(struct reader *reader, const struct type *type, uint32_t image,
                             const struct place *up, uint32_t depth);

static s4_status read_message(struct reader *reader, const struct place *place, uint32_t depth,
                              union element *element)
{
    struct cursor *cursor = &reader->cursor;
    const struct type *sub = place->field->sub;
    if (cursor->at >= cursor->end || *cursor->at != '{')
        return json_wrong(cursor, cursor->at, place);
    if (depth >= SCHEMA_DEPTH_MAX)
        return json_refuse(cursor, cursor->at, place, S4_TOO_LARGE,
                           "found objects in objects more than %d deep", SCHEMA_DEPTH_MAX);
    element->u64 = 0;
    element->message = writer_message(reader->writer, sub);
    if (element->message == 0)
        return reader->writer->error;
    return read_object(reader, sub, element->message, place, depth + 1);
}

static s4_status read_element(struct reader *reader, const struct place *place, uint32_t depth,
                              union element *element)
{
    if (place->field->type == PROTOBUF_C_TYPE_MESSAGE)
        return read_message(reader, place, depth, element);
    return json_scalar(&reader->cursor, reader->writer, place, element);
}

/* Moves the elements above `base` from the stack into an array of the writer. */
static s4_status pop_array(struct reader *reader, uint32_t image, const struct field *field,
                           size_t base)
{
    struct writer *writer = reader->writer;
    struct buffer *stack = &writer->stack;
    size_t size = stack->size - base;
    uint32_t array = REF_NULL;
    if (size > 0) {
        array = writer_room(writer, size);
        if (array == 0)
            return writer->error;
        memcpy(writer_at(writer, array), stack->data + base, size);
    }
    stack->size = base;
    char *at = writer_at(writer, image);
    store_u64(at + field->has_offset, size / image_element_size(field));
    store_u32(at + field->offset, array);
    return S4_OK;
}

static COLD s4_status no_array(const struct cursor *cursor, const struct place *place)
{
    char form[JSON_WANTED_MAX];
    char wanted[JSON_WANTED_MAX + 16];
    snprintf(wanted, sizeof wanted, "an array of %s", json_form(place->field, form));
    return json_wanted(cursor, cursor->at, place, S4_TYPE, wanted);
}

static s4_status read_array(struct reader *reader, const struct object *object, struct place *place)
{
    struct cursor *cursor = &reader->cursor;
    struct buffer *stack = &reader->writer->stack;
    const char *from = cursor->at;
    size_t base = stack->size;
    size_t size = image_element_size(place->field);
    if (!json_take(cursor, '['))
        return no_array(cursor, place);
    if (json_take(cursor, ']'))
        return S4_OK;
    do {
        union element element;
        place->index++;
        json_skip_space(cursor);
        TRY(read_element(reader, place, object->depth, &element));
        if (stack->size - base > RECORD_MAX)
            return json_refuse(cursor, from, place, S4_TOO_LARGE,
                               "the array takes more than the %zu bytes of an event", RECORD_MAX);
        TRY(buffer_append(stack, element.raw, size));
    } while (json_take(cursor, ','));
    if (!json_take(cursor, ']'))
        return json_wanted(cursor, cursor->at, place, S4_MALFORMED, "',' or ']'");
    place->index = PLACE_NO_INDEX;
    return pop_array(reader, object->image, place->field, base);
}

/* Another member of the oneof must not be there. */
static s4_status check_oneof(struct reader *reader, const struct object *object, const char *from,
                             const struct place *place)
{
    const struct field *field = place->field;
    const char *image = writer_at(reader->writer, object->image);
    uint32_t chosen = load_u32(image + field->has_offset);
    if (chosen == 0)
        return S4_OK;
    return json_refuse(&reader->cursor, from, place, S4_TYPE,
                       "found beside \"%s\", wanted one of them (a oneof)",
                       type_find_id(object->type, chosen)->name);
}

static bool is_null(const struct cursor *cursor)
{
    return cursor->end - cursor->at >= 4 && memcmp(cursor->at, "null", 4) == 0;
}

static s4_status read_value(struct reader *reader, const struct object *object,
                            const struct field *field)
{
    struct cursor *cursor = &reader->cursor;
    struct place place = { object->up, field, PLACE_NO_INDEX };
    json_skip_space(cursor);
    if (UNLIKELY(is_null(cursor)) && field->label != PROTOBUF_C_LABEL_REQUIRED) {
        cursor->at += 4;
        return S4_OK;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        /* An index appears with the first element. */
        return read_array(reader, object, &place);
    }
    if (field->oneof >= 0)
        TRY(check_oneof(reader, object, cursor->at, &place));
    union element element;
    TRY(read_element(reader, &place, object->depth, &element));
    char *image = writer_at(reader->writer, object->image);
    image_put(image + field->offset, &element, image_element_size(field));
    image_mark(image, field);
    return S4_OK;
}

static COLD s4_status unknown_field(const struct cursor *cursor, const char *from,
                                    const struct object *object, const char *name, size_t len)
{
    char names[512];
    size_t at = 0;
    const struct type *type = object->type;
    for (uint32_t i = 0; i < type->n_fields && i <= NAMES_SHOWN && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, i < NAMES_SHOWN ? "%s\"%s\"" : "%s%s",
                               i ? ", " : "", i < NAMES_SHOWN ? type->fields[i].name : "...");
    return json_refuse(cursor, from, object->up, S4_TYPE, "%s has no field \"%.*s\", wanted %s%s",
                       type->name, (int)size_min(len, 64), name,
                       type->n_fields ? "one of " : "no field at all", at ? names : "");
}

/* The length of `name` if the text at the cursor's quote is exactly that, else 0. */
static inline size_t name_matches(const struct cursor *cursor, const char *name)
{
    const char *at = cursor->at + 1;
    const char *end = cursor->end;
    size_t n = 0;
    while (at + n < end && name[n] != '\0' && at[n] == name[n])
        n++;
    return name[n] == '\0' && at + n < end && at[n] == '"' ? n : 0;
}

/* Reads a member's name: its field, or NULL and why. */
static const struct field *read_name(struct reader *reader, struct object *object,
                                     s4_status *status)
{
    struct cursor *cursor = &reader->cursor;
    const struct type *type = object->type;
    uint32_t end = (uint32_t)size_min(type->n_fields, object->next + TRIES);
    for (uint32_t i = object->next; i < end; i++) {
        size_t len = name_matches(cursor, type->fields[i].name);
        if (len > 0) {
            cursor->at += len + 2;
            object->next = i + 1;
            return &type->fields[i];
        }
    }
    const char *from = cursor->at;
    size_t top = cursor->stack->size;
    struct json_string name;
    *status = json_string(cursor, object->up, &name);
    if (*status != S4_OK)
        return NULL;
    const struct field *found = type_find_len(type, name.data, name.len);
    cursor->stack->size = top;
    if (!found)
        *status = unknown_field(cursor, from, object, name.data, name.len);
    else
        object->next = (uint32_t)(found - type->fields) + 1;
    return found;
}

static s4_status read_member(struct reader *reader, struct object *object)
{
    struct cursor *cursor = &reader->cursor;
    json_skip_space(cursor);
    const char *from = cursor->at;
    if (from >= cursor->end || *from != '"')
        return json_wanted(cursor, from, object->up, S4_MALFORMED, "a field's name in quotes");
    s4_status status = S4_OK;
    const struct field *field = read_name(reader, object, &status);
    if (!field)
        return status;
    size_t index = (size_t)(field - object->type->fields);
    struct place place = { object->up, field, PLACE_NO_INDEX };
    if (object->seen[index / 64] >> (index % 64) & 1)
        return json_refuse(cursor, from, &place, S4_TYPE, "found twice, wanted once");
    object->seen[index / 64] |= (uint64_t)1 << (index % 64);
    object->n_required += field->label == PROTOBUF_C_LABEL_REQUIRED;
    if (!json_take(cursor, ':'))
        return json_wanted(cursor, cursor->at, &place, S4_MALFORMED, "':'");
    return read_value(reader, object, field);
}

/* Names the first required field that is not there. */
static COLD s4_status missing(const struct reader *reader, const struct object *object)
{
    size_t i = 0;
    while (object->type->fields[i].label != PROTOBUF_C_LABEL_REQUIRED ||
           object->seen[i / 64] >> (i % 64) & 1)
        i++;
    const struct field *field = &object->type->fields[i];
    struct place place = { object->up, field, PLACE_NO_INDEX };
    char form[JSON_WANTED_MAX];
    return json_refuse(&reader->cursor, object->opened, &place, S4_TYPE,
                       "missing in this object, wanted %s", json_form(field, form));
}

static inline s4_status check_required(const struct reader *reader, const struct object *object)
{
    return LIKELY(object->n_required == object->type->n_required) ? S4_OK : missing(reader, object);
}

static s4_status read_object(struct reader *reader, const struct type *type, uint32_t image,
                             const struct place *up, uint32_t depth)
{
    struct cursor *cursor = &reader->cursor;
    struct object object;
    object.type = type;
    object.image = image;
    object.next = 0;
    object.depth = depth;
    object.opened = cursor->at;
    object.up = up;
    object.n_required = 0;
    object.seen[0] = 0;
    for (uint32_t i = 64; i < type->n_fields; i += 64)
        object.seen[i / 64] = 0;
    cursor->at++;
    if (json_take(cursor, '}'))
        return check_required(reader, &object);
    do {
        TRY(read_member(reader, &object));
    } while (json_take(cursor, ','));
    if (!json_take(cursor, '}'))
        return json_wanted(cursor, cursor->at, up, S4_MALFORMED, "',' or '}'");
    return check_required(reader, &object);
}

static s4_status read_text(struct reader *reader, const struct type *type)
{
    struct cursor *cursor = &reader->cursor;
    struct writer *writer = reader->writer;
    writer_start(writer, type);
    if (writer->failed)
        return writer->error;
    uint32_t image = writer_image(writer);
    json_skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != '{')
        return json_wanted(cursor, cursor->at, NULL, S4_MALFORMED, "an object");
    TRY(read_object(reader, type, image, NULL, 0));
    json_skip_space(cursor);
    if (cursor->at < cursor->end)
        return json_wanted(cursor, cursor->at, NULL, S4_MALFORMED, "nothing after the object");
    return S4_OK;
}

s4_status json_read(struct writer *writer, const struct type *type, const char *text, size_t size,
                    struct value *value, struct diag *diag)
{
    text = size ? text : ""; /* an empty buffer has no address */
    struct reader reader = {
        .cursor = { text, text, text + size, &writer->stack, diag },
        .writer = writer,
    };
    writer->stack.size = 0;
    s4_status status = read_text(&reader, type);
    if (status == S4_OK)
        status = writer_finish(writer, value);
    if (UNLIKELY(writer->failed && writer->error == S4_TOO_LARGE))
        return diag_set(diag, S4_TOO_LARGE, "the event takes more than %zu bytes", RECORD_MAX);
    if (UNLIKELY(status == S4_NO_MEMORY))
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    return status;
}
