/* The types that are not flat: the image is copied as it is, then the operations of its plan put
 * right what is not plain words: bytes, sub-messages, repeated fields, oneofs.
 *
 * Pieces of the tail are 8-aligned and rounded up to 8 with zeros, only texts follow each other
 * closely; so no piece shares its last 8 bytes with another kind of piece, which codec_check relies
 * on.
 */
#include "runtime/record/codec_build.h"

struct out {
    char *record;
    char *cur; /* <= end; up to 64 bytes behind end may be overwritten */
    char *end;
};

/* The status of a step: 0, CODEC_FULL or CODEC_DEEP. */
#define STEP(expr)                \
    do {                          \
        int step_ = (expr);       \
        if (UNLIKELY(step_ != 0)) \
            return step_;         \
    } while (0)

static int put_image(const struct plan *plan, const char *image, char *at, struct out *out,
                     int depth, const struct codec_alias *alias);

/* 8-aligned room of `size` bytes, the gap before it and the rest of its last word zeroed; NULL:
 * full. */
static char *take(struct out *out, uint64_t size)
{
    size_t gap = (size_t)(-(uintptr_t)out->cur & 7);
    uint64_t room = (uint64_t)(out->end - out->cur);
    if (size > RECORD_MAX || gap + align_up(size, 8) > room)
        return NULL;
    char *at = out->cur + gap;
    store_u64(out->cur, 0);
    out->cur = at + align_up(size, 8);
    if (size % 8)
        store_u64(out->cur - 8, 0);
    return at;
}

static int put_string(const char *text, const void *fallback, char *at, struct out *out)
{
    uint64_t ref;
    if (!text || text == fallback) {
        ref = text ? REF_DEFAULT : REF_NULL;
    } else {
        int64_t len = codec_put_text(text, out->cur, out->end);
        if (len < 0)
            return CODEC_FULL;
        ref = codec_text_ref((uint32_t)(out->cur - out->record), (uint64_t)len);
        out->cur += len + 1;
    }
    store_u64(at, ref);
    return 0;
}

static int put_bytes(const char *from, const ProtobufCBinaryData *fallback, char *at,
                     struct out *out)
{
    uint64_t len = load_u64(from);
    const char *data = codec_load_pointer(from + 8);
    uint64_t off;
    if (fallback && data == (const char *)fallback->data && len == fallback->len) {
        off = REF_DEFAULT;
        len = 0;
    } else if (len == 0) {
        off = data ? REF_EMPTY : REF_NULL;
    } else {
        if (len >= (uint64_t)(out->end - out->cur))
            return CODEC_FULL;
        memcpy(out->cur, data, len);
        out->cur[len] = '\0';
        off = (uint64_t)(out->cur - out->record);
        out->cur += len + 1;
    }
    store_u64(at, len);
    store_u64(at + 8, off);
    return 0;
}

static int put_absent_bytes(const ProtobufCBinaryData *fallback, char *at)
{
    store_u64(at, 0);
    store_u64(at + 8, fallback ? REF_DEFAULT : REF_NULL);
    return 0;
}

static int put_message(const struct plan *plan, const char *message, char *at, struct out *out,
                       int depth)
{
    if (!message) {
        store_u64(at, REF_NULL);
        return 0;
    }
    if (depth == SCHEMA_DEPTH_MAX)
        return CODEC_DEEP;
    char *image = take(out, plan->image_size);
    if (!image)
        return CODEC_FULL;
    store_u64(at, (uint64_t)(image - out->record));
    return put_image(plan, message + MESSAGE_BASE, image, out, depth + 1, &codec_no_alias);
}

/* Room for the elements of a repeated field, and the reference to it. 0 elements: no room. */
static int put_array(uint64_t n, uint32_t size, char *at, struct out *out, char **array)
{
    store_u64(at, 0);
    *array = NULL;
    if (n == 0)
        return 0;
    *array = n <= RECORD_MAX / size ? take(out, n * size) : NULL;
    if (!*array)
        return CODEC_FULL;
    store_u64(at, (uint64_t)(*array - out->record));
    return 0;
}

/* A NULL among the elements, which protobuf-c could not pack, becomes an empty one: whoever gets
 * the record relies on pointers there. */
static int put_text_element(const char *text, char *at, struct out *out)
{
    return put_string(text ? text : "", NULL, at, out);
}

static int put_message_element(const struct plan *plan, const char *message, char *at,
                               struct out *out, int depth)
{
    if (message)
        return put_message(plan, message, at, out, depth);
    char *image = take(out, plan->image_size);
    if (!image)
        return CODEC_FULL;
    memcpy(image, plan->initial, plan->image_size);
    store_u64(at, (uint64_t)(image - out->record));
    return 0;
}

static int put_repeated(const struct op *op, const char *image, char *at, struct out *out,
                        int depth)
{
    uint64_t n = load_u64(image + op->has);
    const char *from = codec_load_pointer(image + op->offset);
    char *array;
    STEP(put_array(n, op->size, at + op->offset, out, &array));
    if (op->kind == OP_SCALARS && n > 0)
        memcpy(array, from, n * op->size);
    else if (op->kind == OP_STRINGS)
        for (uint64_t i = 0; i < n; i++)
            STEP(put_text_element(codec_load_pointer(from + i * 8), array + i * 8, out));
    else if (op->kind == OP_BYTES_LIST)
        for (uint64_t i = 0; i < n; i++)
            STEP(put_bytes(from + i * 16, NULL, array + i * 16, out));
    else if (op->kind == OP_MESSAGES)
        for (uint64_t i = 0; i < n; i++)
            STEP(put_message_element(op->sub, codec_load_pointer(from + i * 8), array + i * 8, out,
                                     depth));
    return 0;
}

static int put_single(const struct op *op, const char *image, char *at, struct out *out, int depth,
                      const struct codec_alias *alias)
{
    const char *from = image + op->offset;
    char *to = at + op->offset;
    if (op->kind == OP_STRING) {
        const char *text = codec_load_pointer(from);
        if (op->offset == alias->field_offset && text && text != op->fallback) {
            store_u64(to, codec_alias_ref(alias));
            return 0;
        }
        return put_string(text, op->fallback, to, out);
    }
    if (op->kind == OP_MESSAGE)
        return put_message(op->sub, codec_load_pointer(from), to, out, depth);
    if (op->kind == OP_SCALAR) {
        memcpy(to, from, op->size);
        return 0;
    }
    if (op->has != FIELD_NONE && load_u32(image + op->has) == 0)
        return put_absent_bytes(op->fallback, to);
    return put_bytes(from, op->fallback, to, out);
}

static const struct op *member_find(const struct op *op, uint32_t id)
{
    for (uint32_t i = 0; i < op->n_members; i++)
        if (op->members[i].id == id)
            return &op->members[i];
    return NULL;
}

/* A case that no member has is none, as for protobuf-c. */
static int put_oneof(const struct op *op, const char *image, char *at, struct out *out, int depth,
                     const struct codec_alias *alias)
{
    const struct op *member = member_find(op, load_u32(image + op->has));
    memset(at + op->offset, 0, op->size);
    if (!member) {
        store_u32(at + op->has, 0);
        return 0;
    }
    return put_single(member, image, at, out, depth, alias);
}

static int put_image(const struct plan *plan, const char *image, char *at, struct out *out,
                     int depth, const struct codec_alias *alias)
{
    memcpy(at, image, plan->image_size);
    for (uint32_t i = 0; i < plan->n_holes; i++)
        store_u32(at + plan->holes[i], 0);
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        if (op->kind == OP_ONEOF)
            STEP(put_oneof(op, image, at, out, depth, alias));
        else if (op->kind >= OP_SCALARS)
            STEP(put_repeated(op, image, at, out, depth));
        else
            STEP(put_single(op, image, at, out, depth, alias));
    }
    return 0;
}

int64_t codec_ops_put(const struct codec *codec, const void *message, char *record, char *at,
                      char *end, const struct codec_alias *alias)
{
    struct out out = { .record = record, .cur = at, .end = end };
    char *image = take(&out, codec->plan->image_size);
    if (!image)
        return CODEC_FULL;
    STEP(put_image(codec->plan, (const char *)message + MESSAGE_BASE, image, &out, 0, alias));
    if (!take(&out, 0))
        return CODEC_FULL;
    return out.cur - at;
}

struct in {
    const char *record;
    struct arena *arena;
};

static void *get_message(const struct plan *plan, const char *at, void *message,
                         const struct in *in);

static void get_bytes(const char *at, const ProtobufCBinaryData *fallback, char *to,
                      const struct in *in)
{
    static const char empty[1];
    uint32_t off = load_u32(at + 8);
    uint64_t len = load_u64(at);
    uint64_t data = 0;
    if (off > REF_EMPTY) {
        data = codec_address(in->record, off);
    } else if (off == REF_EMPTY) {
        data = (uint64_t)(uintptr_t)empty;
    } else if (off == REF_DEFAULT && fallback) {
        data = (uint64_t)(uintptr_t)fallback->data;
        len = fallback->len;
    }
    store_u64(to, len);
    store_u64(to + 8, data);
}

/* The address of a new struct for the message at `off`, 0 for none; false: out of memory. */
static bool get_sub(const struct plan *plan, uint32_t off, char *to, const struct in *in)
{
    void *sub = NULL;
    if (off != REF_NULL) {
        sub = arena_take(in->arena, plan->image_size + MESSAGE_BASE);
        if (!sub || !get_message(plan, in->record + off, sub, in))
            return false;
    }
    store_u64(to, (uint64_t)(uintptr_t)sub);
    return true;
}

static bool get_repeated(const struct op *op, const char *at, char *image, const struct in *in)
{
    uint64_t n = load_u64(at + op->has);
    const char *from = in->record + load_u32(at + op->offset);
    char *array = NULL;
    if (n > 0 && op->kind == OP_SCALARS) {
        store_u64(image + op->offset, (uint64_t)(uintptr_t)from);
        return true;
    }
    if (n > 0) {
        array = arena_take(in->arena, n * op->size);
        if (!array)
            return false;
    }
    store_u64(image + op->offset, (uint64_t)(uintptr_t)array);
    for (uint64_t i = 0; i < n; i++) {
        const char *element = from + i * op->size;
        char *to = array + i * op->size;
        if (op->kind == OP_STRINGS)
            store_u64(to, codec_text_address(in->record, load_u32(element), NULL));
        else if (op->kind == OP_BYTES_LIST)
            get_bytes(element, NULL, to, in);
        else if (!get_sub(op->sub, load_u32(element), to, in))
            return false;
    }
    return true;
}

/* Scalars lie in the struct already, copied with the image. */
static bool get_single(const struct op *op, const char *at, char *image, const struct in *in)
{
    const char *from = at + op->offset;
    char *to = image + op->offset;
    if (op->kind == OP_STRING)
        store_u64(to, codec_text_address(in->record, load_u32(from), op->fallback));
    else if (op->kind == OP_BYTES)
        get_bytes(from, op->fallback, to, in);
    else if (op->kind == OP_MESSAGE)
        return get_sub(op->sub, load_u32(from), to, in);
    return true;
}

static bool get_op(const struct op *op, const char *at, char *image, const struct in *in)
{
    if (op->kind == OP_ONEOF) {
        const struct op *member = member_find(op, load_u32(at + op->has));
        return !member || get_single(member, at, image, in);
    }
    if (op->kind >= OP_SCALARS)
        return get_repeated(op, at, image, in);
    return get_single(op, at, image, in);
}

static void *get_message(const struct plan *plan, const char *at, void *message,
                         const struct in *in)
{
    ProtobufCMessage *base = message;
    char *image = (char *)message + MESSAGE_BASE;
    base->descriptor = plan->descriptor;
    base->n_unknown_fields = 0;
    base->unknown_fields = NULL;
    memcpy(image, at, plan->image_size);
    for (uint32_t i = 0; i < plan->n_ops; i++)
        if (!get_op(&plan->ops[i], at, image, in))
            return NULL;
    return message;
}

void *codec_ops_get(const struct codec *codec, const char *record, const char *at, void *message,
                    struct arena *arena)
{
    struct in in = { .record = record, .arena = arena };
    return get_message(codec->plan, at, message, &in);
}
