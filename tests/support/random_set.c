/* Random FileDescriptorSets that protoc could have written. */
#include <inttypes.h>

#include "tests/support/set_builder.h"

#define NAMES_MAX 64

struct maker {
    struct set_builder *builder;
    struct rng *rng;
    const char *messages[NAMES_MAX]; /* full names of all, so that fields can refer to any */
    set_message *made[NAMES_MAX];
    size_t n_messages;
    const char *enums[NAMES_MAX];
    set_enum *values[NAMES_MAX];
    size_t n_enums;
};

static size_t below(struct maker *maker, size_t n)
{
    return rng_below(maker->rng, n);
}

static void add_enum(struct maker *maker, set_file *file, set_message *outer, const char *scope)
{
    size_t number = maker->n_enums++;
    set_enum *made =
        set_add_enum(maker->builder, file, outer, set_text(maker->builder, "E%zu", number));
    size_t n = 1 + below(maker, 6);
    for (size_t i = 0; i < n; i++)
        set_add_value(maker->builder, made,
                      set_text(maker->builder, "V%zu_%zu", number, (i * 7 + number) % 11),
                      (int)below(maker, 5) - 2);
    maker->enums[number] =
        set_text(maker->builder, "%s%s%s", scope, scope[0] ? "." : "", made->name);
    maker->values[number] = made;
}

static void add_message(struct maker *maker, set_file *file, set_message *outer, const char *scope,
                        int depth)
{
    size_t number = maker->n_messages++;
    const char *name = set_text(maker->builder, "%c%zu", 'A' + (int)below(maker, 26), number);
    set_message *made = outer ? set_add_nested(maker->builder, outer, name)
                              : set_add_message(maker->builder, file, name);
    const char *full = set_text(maker->builder, "%s%s%s", scope, scope[0] ? "." : "", name);
    maker->messages[number] = full;
    maker->made[number] = made;
    if (below(maker, 3) == 0)
        add_enum(maker, NULL, made, full);
    if (depth > 0 && below(maker, 2))
        add_message(maker, NULL, made, full, depth - 1);
}

static char *random_real(struct maker *maker)
{
    static const char *const some[] = {
        "inf", "-inf", "nan", "0", "-0", "1e+300", "1.1", "5e-324"
    };
    if (below(maker, 2))
        return set_text(maker->builder, "%s", some[below(maker, ARRAY_LEN(some))]);
    return set_text(maker->builder, "%.17g", rng_unit(maker->rng) * 1e6);
}

static char *random_default(struct maker *maker, const set_field *field, const set_enum *values)
{
    uint64_t bits = rng_next(maker->rng) >> below(maker, 64);
    switch ((int)field->type) {
    case SET_STRING:
        return set_text(maker->builder, "\"%" PRIx64 "\\\xc3\xa4'\n", bits >> 40);
    case SET_BYTES:
        return set_text(maker->builder, "\\000\\377\\n\\\"%" PRIx64, bits);
    case SET_BOOL:
        return set_text(maker->builder, "%s", bits & 1 ? "true" : "false");
    case SET_ENUM:
        CHECK(values);
        return set_text(maker->builder, "%s", values->value[bits % values->n_value]->name);
    case 1:
    case 2:
        return random_real(maker);
    case 4:
    case 6:
        return set_text(maker->builder, "%" PRIu64, bits);
    case 7:
    case SET_UINT32:
        return set_text(maker->builder, "%" PRIu32, (uint32_t)bits);
    case SET_INT64:
    case 16:
    case 18:
        return set_text(maker->builder, "%" PRId64, (int64_t)bits);
    default:
        return set_text(maker->builder, "%" PRId32, (int32_t)bits);
    }
}

static void add_field(struct maker *maker, set_message *to, size_t number)
{
    static const uint8_t types[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18 };
    int type = types[below(maker, ARRAY_LEN(types))];
    int label = 1 + (int)below(maker, 3);
    const set_enum *values = NULL;
    if (type == SET_MESSAGE && label == SET_REQUIRED)
        label = SET_OPTIONAL; /* no type may need itself */
    if (type == SET_ENUM && maker->n_enums == 0)
        type = SET_INT32;
    set_field *field = set_add_field(maker->builder, to, set_text(maker->builder, "f%zu", number),
                                     (int)(number * 37 % 997 + 1), label, type);
    if (type == SET_MESSAGE)
        field->type_name =
            set_text(maker->builder, ".%s", maker->messages[below(maker, maker->n_messages)]);
    if (type == SET_ENUM) {
        size_t chosen = below(maker, maker->n_enums);
        values = maker->values[chosen];
        field->type_name = set_text(maker->builder, ".%s", maker->enums[chosen]);
    }
    if (label == SET_OPTIONAL && to->n_oneof_decl && below(maker, 2)) {
        field->has_oneof_index = 1;
        field->oneof_index = (int)below(maker, to->n_oneof_decl);
    }
    if (label != SET_REPEATED && type != SET_MESSAGE && below(maker, 3) == 0)
        field->default_value = random_default(maker, field, values);
}

static void add_fields(struct maker *maker, set_message *to)
{
    size_t n_oneofs = below(maker, 3);
    size_t n = below(maker, 12);
    for (size_t i = 0; i < n_oneofs; i++)
        set_add_oneof(maker->builder, to, set_text(maker->builder, "choice%zu", i));
    for (size_t i = 0; i < n; i++)
        add_field(maker, to, i);
    for (size_t i = 0; i < n_oneofs; i++) { /* none may be empty */
        set_field *field =
            set_add_field(maker->builder, to, set_text(maker->builder, "of%zu", i), (int)(1000 + i),
                          SET_OPTIONAL, below(maker, 2) ? SET_STRING : SET_INT32);
        field->has_oneof_index = 1;
        field->oneof_index = (int)i;
    }
}

void set_random(struct set_builder *builder, struct rng *rng)
{
    static const char *const packages[] = { "", "p", "p.q", "other.package" };
    struct maker maker = { .builder = builder, .rng = rng };
    size_t n_files = 1 + rng_below(rng, ARRAY_LEN(packages));
    for (size_t i = 0; i < n_files; i++) {
        set_file *file = set_add_file(builder, packages[i]);
        if (rng_below(rng, 2))
            add_enum(&maker, file, NULL, packages[i]);
        for (size_t n = 1 + rng_below(rng, 4); n > 0; n--)
            add_message(&maker, file, NULL, packages[i], 2);
    }
    for (size_t i = 0; i < maker.n_messages; i++)
        add_fields(&maker, maker.made[i]);
}
