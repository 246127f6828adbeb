/* Making a codec: the kernel of a flat type's shape, or the plans of a type and of all that it
 * reaches.
 *
 * A codec stands for one descriptor of one plugin: its default values are compared by address when
 * a message is put, and a message that is got carries that descriptor, since the code that protoc-c
 * generates asserts on it.
 */
#include "runtime/record/codec_build.h"

#include "runtime/base/mem.h"

const struct codec_alias codec_no_alias = { .field_offset = FIELD_NONE };

static const ProtobufCFieldDescriptor *described(const struct type *type, const struct field *field)
{
    return protobuf_c_message_descriptor_get_field(type->descriptor, field->id);
}

static void mark(bool *covered, uint32_t offset, uint32_t size)
{
    for (uint32_t at = offset; at < offset + size; at += 4)
        covered[at / 4] = true;
}

/* The offsets of the image that no member covers; answers how many. `holes` has room for all. */
static uint32_t find_holes(const struct type *type, uint32_t *holes)
{
    bool covered[SCHEMA_IMAGE_MAX / 4] = { false };
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        mark(covered, field->offset, repeated ? 8 : field_value_size(field));
        if (field->has_offset != FIELD_NONE)
            mark(covered, field->has_offset, repeated ? 8 : 4);
    }
    uint32_t n = 0;
    for (uint32_t at = 0; at < type->image_size; at += 4)
        if (!covered[at / 4])
            holes[n++] = at;
    return n;
}

static enum op_kind op_kind_of(const struct field *field)
{
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return repeated ? OP_STRINGS : OP_STRING;
    case PROTOBUF_C_TYPE_BYTES:
        return repeated ? OP_BYTES_LIST : OP_BYTES;
    case PROTOBUF_C_TYPE_MESSAGE:
        return repeated ? OP_MESSAGES : OP_MESSAGE;
    default:
        return repeated ? OP_SCALARS : OP_SCALAR;
    }
}

struct maker {
    struct arena *memory;
    const struct type **types; /* that are reached, and their plans, in the same order */
    struct plan *plans;
    uint32_t n;
};

/* The number of a type among those reached; `n` if it is not. */
static uint32_t number_of(const struct maker *maker, const struct type *type)
{
    uint32_t i = 0;
    while (i < maker->n && maker->types[i] != type)
        i++;
    return i;
}

static void find_types(struct maker *maker, const struct type *root)
{
    maker->types[maker->n++] = root;
    for (uint32_t i = 0; i < maker->n; i++) { /* grows on the way */
        const struct type *type = maker->types[i];
        for (uint32_t f = 0; f < type->n_fields; f++)
            if (type->fields[f].sub && number_of(maker, type->fields[f].sub) == maker->n)
                maker->types[maker->n++] = type->fields[f].sub;
    }
}

static struct op make_op(const struct maker *maker, const struct type *type,
                         const struct field *field)
{
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    return (struct op){
        .kind = op_kind_of(field),
        .offset = field->offset,
        .has = field->oneof < 0 ? field->has_offset : FIELD_NONE,
        .size = field_value_size(field),
        .id = field->id,
        .fallback = repeated ? NULL : described(type, field)->default_value,
        .sub = field->sub ? &maker->plans[number_of(maker, field->sub)] : NULL,
    };
}

/* One operation for the oneof whose first member is `first`; answers how many members it has. */
static uint32_t make_oneof(const struct maker *maker, const struct type *type, uint32_t first,
                           struct op *op)
{
    const struct field *fields = type->fields;
    struct op *members = arena_take(maker->memory, (type->n_fields - first) * sizeof *members);
    uint32_t n = 0;
    uint32_t size = 0;
    if (!members)
        return 0;
    while (first + n < type->n_fields && fields[first + n].oneof == fields[first].oneof) {
        members[n] = make_op(maker, type, &fields[first + n]);
        size = (uint32_t)size_max(size, members[n].size);
        n++;
    }
    *op = (struct op){
        .kind = OP_ONEOF,
        .offset = fields[first].offset,
        .has = fields[first].has_offset,
        .size = size,
        .n_members = n,
        .members = members,
    };
    return n;
}

static s4_status make_ops(const struct maker *maker, const struct type *type, struct plan *plan)
{
    struct op *ops = arena_take(maker->memory, type->n_fields * sizeof *ops);
    uint32_t n = 0;
    if (!ops)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < type->n_fields;) {
        uint32_t done = 1;
        if (type->fields[i].oneof >= 0) {
            done = make_oneof(maker, type, i, &ops[n++]);
            if (done == 0)
                return S4_NO_MEMORY;
        } else if (field_has_ref(&type->fields[i])) {
            ops[n++] = make_op(maker, type, &type->fields[i]);
        }
        i += done;
    }
    plan->ops = ops;
    plan->n_ops = n;
    return S4_OK;
}

static s4_status make_plan(const struct maker *maker, const struct type *type, struct plan *plan)
{
    uint32_t *holes = arena_take(maker->memory, type->image_size);
    if (!holes)
        return S4_NO_MEMORY;
    plan->descriptor = type->descriptor;
    plan->image_size = type->image_size;
    plan->initial = type->initial;
    plan->n_holes = find_holes(type, holes);
    plan->holes = holes;
    return make_ops(maker, type, plan);
}

static s4_status make_plans(struct codec *codec)
{
    const struct type *types[SCHEMA_TYPES_MAX];
    struct maker maker = { .memory = &codec->memory, .types = types };
    find_types(&maker, codec->type);
    maker.plans = arena_take(&codec->memory, maker.n * sizeof *maker.plans);
    if (!maker.plans)
        return S4_NO_MEMORY;
    for (uint32_t i = 0; i < maker.n; i++)
        TRY(make_plan(&maker, types[i], &maker.plans[i]));
    codec->plan = maker.plans;
    codec->put = codec_ops_put;
    codec->get = codec_ops_get;
    return S4_OK;
}

static s4_status make_flat(struct codec *codec)
{
    const struct type *type = codec->type;
    uint32_t *holes = arena_take(&codec->memory, type->image_size);
    if (!holes)
        return S4_NO_MEMORY;
    codec->n_holes = find_holes(type, holes);
    codec->holes = holes;
    codec->words = type->image_size / 8;
    codec->n_strings = type->n_strings;
    for (uint32_t i = 0; i < type->n_strings; i++) {
        codec->strings[i].offset = type->strings[i];
        codec->strings[i].fallback = described(type, type->string_fields[i])->default_value;
    }
    codec_flat_pick(codec);
    return S4_OK;
}

s4_status codec_create(const struct type *type, struct codec **codec)
{
    if (!type->descriptor)
        return S4_INVALID;
    size_t strings = type->n_strings * sizeof(struct codec_string);
    struct codec *fresh = mem_zalloc(sizeof *fresh + strings);
    if (!fresh)
        return S4_NO_MEMORY;
    fresh->type = type;
    fresh->descriptor = type->descriptor;
    arena_init(&fresh->memory);
    s4_status status = type->flat ? make_flat(fresh) : make_plans(fresh);
    if (status != S4_OK) {
        codec_destroy(fresh);
        return status;
    }
    *codec = fresh;
    return S4_OK;
}

void codec_destroy(struct codec *codec)
{
    if (!codec)
        return;
    arena_fini(&codec->memory);
    mem_free(codec);
}

const struct type *codec_type(const struct codec *codec)
{
    return codec->type;
}

codec_put_fn *codec_put(const struct codec *codec)
{
    return codec->put;
}

codec_get_fn *codec_get(const struct codec *codec)
{
    return codec->get;
}

size_t codec_struct_size(const struct codec *codec)
{
    return codec->type->image_size + MESSAGE_BASE;
}
