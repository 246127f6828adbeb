/* Reads an attribute out of a row for comparison; see the header, and schema.h for how an image
 * lies. */
#include "pe/output/column.h"

#include "pe/graph/names.h"

static s4_status no_column(const struct type *type, const char *name, size_t len, struct diag *diag)
{
    char wanted[GRAPH_NAME_MAX + 1];
    struct name_nearest nearest;
    snprintf(wanted, sizeof wanted, "%.*s", (int)size_min(len, GRAPH_NAME_MAX), name);
    name_nearest_init(&nearest, wanted);
    for (uint32_t i = 0; i < type->n_fields; i++)
        name_nearest_try(&nearest, type->fields[i].name);
    struct name_hint hint = name_hint(&nearest);
    return diag_set(diag, S4_NOT_FOUND, "type %s has no column \"%s\"%s", type->name, wanted,
                    hint.text);
}

s4_status column_compile(const struct type *type, const char *name, struct column *column,
                         struct diag *diag)
{
    struct column made = { 0 };
    for (const char *at = name;;) {
        const char *dot = strchrnul(at, '.');
        const struct field *field = type_find_len(type, at, (size_t)(dot - at));
        if (!field)
            return no_column(type, at, (size_t)(dot - at), diag);
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            return diag_set(diag, S4_TYPE, "column \"%s\" is repeated and has no order", name);
        if (made.depth == COLUMN_DEPTH_MAX)
            return diag_set(diag, S4_TOO_LARGE, "column \"%s\" goes deeper than %d", name,
                            COLUMN_DEPTH_MAX);
        made.path[made.depth++] = field;
        bool message = field->type == PROTOBUF_C_TYPE_MESSAGE;
        if (message != (*dot == '.'))
            return diag_set(diag, S4_TYPE,
                            message ? "column \"%s\" is a message: name one of its attributes"
                                    : "column \"%s\" goes through what is no message",
                            name);
        if (!message)
            break;
        type = field->sub;
        at = dot + 1;
    }
    *column = made;
    return S4_OK;
}

/* Whether the case of a oneof, or the flag of an optional attribute that has one, says so. */
static bool is_marked(const char *image, const struct field *field)
{
    if (field->oneof >= 0)
        return load_u32(image + field->has_offset) == field->id;
    return field->has_offset == FIELD_NONE || load_u32(image + field->has_offset) != 0;
}

static struct cell text_cell(const char *record, const struct field *field, uint32_t off,
                             uint64_t len)
{
    bool optional = field->label == PROTOBUF_C_LABEL_OPTIONAL && field->oneof < 0 &&
                    field->type == PROTOBUF_C_TYPE_STRING;
    if (off > REF_EMPTY)
        return (struct cell){ .kind = CELL_TEXT, .text = record + off, .len = (uint32_t)len };
    if (optional)
        return (struct cell){ .kind = CELL_ABSENT };
    if (off == REF_DEFAULT && field->fallback.text.data)
        return (struct cell){ .kind = CELL_TEXT,
                              .text = field->fallback.text.data,
                              .len = field->fallback.text.len };
    return (struct cell){ .kind = CELL_TEXT, .text = "" };
}

static struct cell real_cell(double real)
{
    return (struct cell){ .kind = CELL_REAL, .real = real };
}

static struct cell integer_cell(int64_t integer)
{
    return (struct cell){ .kind = CELL_INTEGER, .integer = integer };
}

static struct cell scalar_cell(const struct field *field, const char *at)
{
    float narrow;
    double wide;
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
        memcpy(&narrow, at, sizeof narrow);
        return real_cell((double)narrow);
    case PROTOBUF_C_TYPE_DOUBLE:
        memcpy(&wide, at, sizeof wide);
        return real_cell(wide);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return integer_cell((int64_t)load_u64(at));
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return (struct cell){ .kind = CELL_UNSIGNED, .whole = load_u64(at) };
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return integer_cell(load_u32(at));
    default:
        return integer_cell((int32_t)load_u32(at));
    }
}

struct cell cell_of(const struct value *row, const struct column *column)
{
    const char *image = row->at;
    for (uint32_t i = 0; i + 1 < column->depth; i++) {
        const struct field *field = column->path[i];
        uint32_t off = load_u32(image + field->offset);
        if (off == REF_NULL || (field->oneof >= 0 && !is_marked(image, field)))
            return (struct cell){ .kind = CELL_ABSENT };
        image = row->record + off;
    }
    const struct field *field = column->path[column->depth - 1];
    const char *at = image + field->offset;
    if (field->type == PROTOBUF_C_TYPE_STRING && field->oneof < 0)
        return text_cell(row->record, field, load_u32(at), load_u32(at + 4));
    if (!is_marked(image, field))
        return (struct cell){ .kind = CELL_ABSENT };
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return text_cell(row->record, field, load_u32(at), load_u32(at + 4));
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return text_cell(row->record, field, load_u32(at + 8), load_u64(at));
    return scalar_cell(field, at);
}

static int compare_reals(double a, double b)
{
    bool a_nan = a != a;
    bool b_nan = b != b;
    if (a_nan || b_nan)
        return a_nan - b_nan;
    return (a > b) - (a < b);
}

int cell_compare(const struct cell *a, const struct cell *b)
{
    switch (a->kind) {
    case CELL_INTEGER:
        return (a->integer > b->integer) - (a->integer < b->integer);
    case CELL_UNSIGNED:
        return (a->whole > b->whole) - (a->whole < b->whole);
    case CELL_REAL:
        return compare_reals(a->real, b->real);
    case CELL_TEXT: {
        int order = memcmp(a->text, b->text, size_min(a->len, b->len));
        return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
    }
    default:
        return 0;
    }
}
