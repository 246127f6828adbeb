/* The identity of a type (README.md, rule 10).
 *
 * First every type gets the hash of its own description, in which other types appear by name. The
 * type's hash is then that of its own description followed by those of all types that it reaches,
 * by rising name. That ends for recursive types too, and says everything: names connect the parts.
 */
#include "runtime/record/schema_build.h"

#include <math.h>

#include "runtime/base/buffer.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

static s4_status put_number(struct buffer *out, uint64_t number)
{
    return buffer_append(out, &number, sizeof number);
}

static s4_status put_text(struct buffer *out, const char *text, size_t len)
{
    TRY(put_number(out, len));
    return buffer_append(out, text, len);
}

static s4_status put_name(struct buffer *out, const char *name)
{
    return put_text(out, name, strlen(name));
}

static s4_status put_enum(struct buffer *out, const struct enum_type *type)
{
    TRY(put_name(out, type->name));
    TRY(put_number(out, type->n_values));
    for (uint32_t i = 0; i < type->n_values; i++) {
        TRY(put_name(out, type->values[i].name));
        TRY(put_number(out, (uint64_t)(int64_t)type->values[i].number));
    }
    return S4_OK;
}

/* A default's bits. Every NaN is the same: a descriptor set has one word for all of them. */
static uint64_t default_bits(const struct field *field)
{
    if (field->type == PROTOBUF_C_TYPE_FLOAT) {
        float value;
        memcpy(&value, &field->fallback.bits, sizeof value);
        return isnan(value) ? UINT32_MAX : field->fallback.bits;
    }
    if (field->type == PROTOBUF_C_TYPE_DOUBLE) {
        double value;
        memcpy(&value, &field->fallback.bits, sizeof value);
        return isnan(value) ? UINT64_MAX : field->fallback.bits;
    }
    return field->fallback.bits;
}

static s4_status put_default(struct buffer *out, const struct field *field)
{
    TRY(put_number(out, field->has_default));
    if (!field->has_default)
        return S4_OK;
    if (field_has_ref(field))
        return put_text(out, field->fallback.text.data, field->fallback.text.len);
    return put_number(out, default_bits(field));
}

static s4_status put_field(struct buffer *out, const struct field *field)
{
    TRY(put_name(out, field->name));
    TRY(put_number(out, field->id));
    TRY(put_number(out, (uint64_t)field->type));
    TRY(put_number(out, (uint64_t)field->label));
    TRY(put_number(out, (uint64_t)(int64_t)field->oneof));
    TRY(put_default(out, field));
    if (field->sub)
        return put_name(out, field->sub->name);
    return field->values ? put_enum(out, field->values) : S4_OK;
}

static s4_status hash_own(const struct type *type, struct buffer *out, uint64_t *hash)
{
    buffer_clear(out);
    TRY(put_name(out, type->name));
    TRY(put_number(out, type->n_fields));
    for (uint32_t i = 0; i < type->n_fields; i++)
        TRY(put_field(out, &type->fields[i]));
    *hash = hash_bytes(out->data, out->size);
    return S4_OK;
}

/* reach[i] is a set of types as bits, `words` long: those that type i reaches, itself only if it is
 * recursive. Warshall's closure: what reaches k reaches all that k reaches. */
static void close_reach(const struct schema *schema, uint64_t *reach, size_t words)
{
    size_t n = schema->n_types;
    for (size_t i = 0; i < n; i++)
        for (uint32_t f = 0; f < schema->types[i].n_fields; f++) {
            const struct type *sub = schema->types[i].fields[f].sub;
            if (sub)
                reach[i * words + (size_t)(sub - schema->types) / 64] |=
                    (uint64_t)1 << ((size_t)(sub - schema->types) % 64);
        }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++)
            if (reach[i * words + k / 64] >> (k % 64) & 1)
                for (size_t w = 0; w < words; w++)
                    reach[i * words + w] |= reach[k * words + w];
}

static s4_status hash_all(struct schema *schema, uint64_t *own, uint64_t *reach, size_t words,
                          struct buffer *out)
{
    for (size_t i = 0; i < schema->n_types; i++)
        TRY(hash_own(&schema->types[i], out, &own[i]));
    close_reach(schema, reach, words);
    for (size_t i = 0; i < schema->n_types; i++) {
        buffer_clear(out);
        TRY(put_number(out, own[i]));
        for (size_t k = 0; k < schema->n_types; k++)
            if (reach[i * words + k / 64] >> (k % 64) & 1)
                TRY(put_number(out, own[k]));
        schema->types[i].hash = hash_bytes(out->data, out->size);
    }
    return S4_OK;
}

s4_status schema_hash(struct schema *schema)
{
    size_t words = (schema->n_types + 63) / 64;
    uint64_t *own = mem_calloc(schema->n_types, sizeof *own);
    uint64_t *reach = mem_calloc(schema->n_types * words, sizeof *reach);
    struct buffer out;
    buffer_init(&out);
    s4_status status = S4_NO_MEMORY;
    if (own && reach)
        status = hash_all(schema, own, reach, words, &out);
    buffer_fini(&out);
    mem_free(reach);
    mem_free(own);
    return status;
}
