/* Moving values from place to place: the bytes are copied, and the references in the copy shifted
 * by as much as the value moved within its record.
 *
 * References are read from the source, which nobody changes, and written to the copy, so no order
 * of visits matters. Text that lies in the source's key goes behind the rest of the copy.
 */
#include "runtime/record/writer.h"

struct move {
    const char *record; /* where the source's references count from */
    uint32_t at;        /* the source's image, counted from there */
    char *copy;         /* where that image goes; NULL: only `tail` is wanted */
    uint32_t delta;     /* what to add to a reference, modulo 2^32 */
    uint32_t tail;      /* where the next text out of the key goes, as if in the source */
    bool whole;         /* whether there may be any */
};

/* Sets the copy of the reference that lies at `ref` in the source to the copy of `off`. */
static void put_ref(const struct move *move, const char *ref, uint32_t off)
{
    if (!move->copy)
        return;
    off += move->delta;
    memcpy(move->copy + (ref - move->record) - move->at, &off, sizeof off);
}

static void move_text(struct move *move, const char *ref, size_t len)
{
    uint32_t off = load_u32(ref);
    if (off <= REF_EMPTY)
        return;
    if (off < move->at) {
        CHECK(move->whole);
        if (move->copy)
            memcpy(move->copy + (move->tail - move->at), move->record + off, len + 1);
        off = move->tail;
        move->tail += (uint32_t)len + 1;
    }
    put_ref(move, ref, off);
}

static void move_image(struct move *move, const struct type *type, const char *image);

static void move_element(struct move *move, const struct field *field, const char *at)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        move_text(move, at, load_u32(at + 4));
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        move_text(move, at + 8, load_u64(at));
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE && load_u32(at) != REF_NULL) {
        put_ref(move, at, load_u32(at));
        move_image(move, field->sub, move->record + load_u32(at));
    }
}

static void move_repeated(struct move *move, const struct field *field, const char *image)
{
    uint64_t n = load_u64(image + field->has_offset);
    uint32_t off = load_u32(image + field->offset);
    uint32_t size = field_value_size(field);
    bool refs = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES ||
                field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (n == 0)
        return;
    put_ref(move, image + field->offset, off);
    for (uint64_t i = 0; refs && i < n; i++)
        move_element(move, field, move->record + off + i * size);
}

/* Recursion is as deep as the value, at most SCHEMA_DEPTH_MAX. */
static void move_image(struct move *move, const struct type *type, const char *image)
{
    for (uint32_t i = 0; i < type->n_refs; i++) {
        const struct field *field = type->refs[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            move_repeated(move, field, image);
        else if (field->oneof < 0 || load_u32(image + field->has_offset) == field->id)
            move_element(move, field, image + field->offset);
    }
}

/* Copies the value's bytes and prepares for its references. */
static struct move move_start(const struct value *value, const char *record, char *at)
{
    uint32_t from = (uint32_t)(value->at - value->record);
    if (at)
        memcpy(at, value->at, value->size);
    return (struct move){
        .record = value->record,
        .at = from,
        .copy = at,
        .delta = at ? (uint32_t)(at - record) - from : 0,
        .tail = from + value->size,
    };
}

void value_copy(const struct value *value, char *record, char *at)
{
    struct move move = move_start(value, record, at);
    if (move.delta != 0)
        move_image(&move, value->type, value->at);
}

size_t value_size_whole(const struct value *value)
{
    struct move move = move_start(value, NULL, NULL);
    move.whole = true;
    move_image(&move, value->type, value->at);
    return align_up(move.tail - move.at, 8);
}

void value_copy_whole(const struct value *value, char *record, char *at)
{
    struct move move = move_start(value, record, at);
    move.whole = true;
    move_image(&move, value->type, value->at);
    size_t used = move.tail - move.at;
    memset(at + used, 0, align_up(used, 8) - used);
}
