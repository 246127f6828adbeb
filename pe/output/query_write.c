/* Renders the rows of a query: JSON lines, a table for terminals, protobuf bytes.
 *
 * The table is laid out in two passes: all cells are written one behind the other, then padded to
 * the widest of their column. Width counts characters as UTF-8 has them. What a row holds must not
 * reach the terminal as a command: control characters are written as escapes.
 */
#include "pe/output/column.h"
#include "pe/output/query.h"
#include "runtime/base/mem.h"
#include "runtime/base/utf8.h"
#include "runtime/text/json.h"
#include "runtime/text/pb.h"

#define COLUMN_GAP 2

s4_status query_write_json(const struct query_result *result, struct buffer *out)
{
    for (size_t i = 0; i < result->n_rows; i++) {
        TRY(json_write(&result->rows[i].value, out));
        TRY(buffer_append(out, "\n", 1));
    }
    return S4_OK;
}

static s4_status append_varint(struct buffer *out, uint64_t n)
{
    char bytes[10];
    size_t len = 0;
    for (; n >= 0x80; n >>= 7)
        bytes[len++] = (char)(n | 0x80);
    bytes[len++] = (char)n;
    return buffer_append(out, bytes, len);
}

static s4_status write_messages(const struct query_result *result, struct buffer *message,
                                struct buffer *out)
{
    for (size_t i = 0; i < result->n_rows; i++) {
        buffer_clear(message);
        TRY(pb_write(&result->rows[i].value, message));
        TRY(append_varint(out, message->size));
        TRY(buffer_append(out, message->data, message->size));
    }
    return S4_OK;
}

s4_status query_write_pb(const struct query_result *result, struct buffer *out)
{
    struct buffer message;
    buffer_init(&message);
    s4_status status = write_messages(result, &message, out);
    buffer_fini(&message);
    return status;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* All cells, row by row; the first row are the names of the columns. */
struct sheet {
    struct buffer text;
    size_t *ends;     /* owned: where each cell's text ends */
    uint32_t *widths; /* owned: of the columns */
    size_t n_cells;
    uint32_t columns;
};

static uint32_t width_of(const char *text, size_t len)
{
    uint32_t width = 0;
    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

/* C0, DEL and C1: what a terminal may take for a command. */
static bool is_control(const char *text, size_t len)
{
    unsigned char first = (unsigned char)text[0];
    return first < 0x20 || first == 0x7f ||
           (len == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0);
}

static s4_status append_escape(struct buffer *out, const char *text, size_t len)
{
    if (text[0] == '\n')
        return buffer_append_text(out, "\\n");
    if (text[0] == '\t')
        return buffer_append_text(out, "\\t");
    return buffer_printf(out, "\\x%02x", (unsigned char)text[len - 1]);
}

/* Text as it is, except for what must not reach a terminal. */
static s4_status append_plain(struct buffer *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, len - i);
        if (n == 0 || is_control(text + i, n)) {
            n = n ? n : 1;
            TRY(append_escape(out, text + i, n));
        } else {
            TRY(buffer_append(out, text + i, n));
        }
        i += n;
    }
    return S4_OK;
}

/* JSON of what is no text; names of enums, base64 and "NaN" without their quotes. */
static s4_status append_json(struct buffer *out, const struct value *row, const struct field *field)
{
    size_t start = out->size;
    TRY(json_write_field(row, field, out));
    if (field->label != PROTOBUF_C_LABEL_REPEATED && out->data[start] == '"') {
        out->size -= 2;
        memmove(out->data + start, out->data + start + 1, out->size - start);
    }
    return S4_OK;
}

static s4_status append_cell(struct buffer *out, const struct value *row, const struct field *field)
{
    bool single = field->label != PROTOBUF_C_LABEL_REPEATED;
    if (single && field->type != PROTOBUF_C_TYPE_MESSAGE) {
        struct column column = { .path = { field }, .depth = 1 };
        struct cell cell = cell_of(row, &column);
        if (cell.kind == CELL_ABSENT)
            return buffer_append_text(out, "-");
        if (field->type == PROTOBUF_C_TYPE_STRING)
            return append_plain(out, cell.text, cell.len);
    }
    size_t start = out->size;
    TRY(append_json(out, row, field));
    if (out->size - start == 4 && memcmp(out->data + start, "null", 4) == 0) {
        out->data[start] = '-';
        out->size = start + 1;
    }
    return S4_OK;
}

static s4_status sheet_add(struct sheet *sheet, const struct field *field, const struct value *row)
{
    size_t start = sheet->text.size;
    TRY(row ? append_cell(&sheet->text, row, field)
            : buffer_append_text(&sheet->text, field->name));
    uint32_t column = (uint32_t)(sheet->n_cells % sheet->columns);
    uint32_t width = width_of(sheet->text.data + start, sheet->text.size - start);
    sheet->ends[sheet->n_cells++] = sheet->text.size;
    if (width > sheet->widths[column])
        sheet->widths[column] = width;
    return S4_OK;
}

static bool is_number(const struct field *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_MESSAGE:
        return false;
    default:
        return field->label != PROTOBUF_C_LABEL_REPEATED;
    }
}

static s4_status append_spaces(struct buffer *out, size_t n)
{
    if (n == 0)
        return S4_OK;
    char *at = buffer_room(out, n);
    if (!at)
        return S4_NO_MEMORY;
    memset(at, ' ', n);
    return S4_OK;
}

static s4_status write_cell(const struct sheet *sheet, size_t i, const struct field *field,
                            struct buffer *out)
{
    uint32_t column = (uint32_t)(i % sheet->columns);
    bool last = column + 1 == sheet->columns;
    size_t start = i ? sheet->ends[i - 1] : 0;
    size_t len = sheet->ends[i] - start;
    size_t pad = sheet->widths[column] - width_of(sheet->text.data + start, len);
    if (is_number(field))
        TRY(append_spaces(out, pad));
    TRY(buffer_append(out, sheet->text.data + start, len));
    if (last)
        return buffer_append(out, "\n", 1);
    return append_spaces(out, COLUMN_GAP + (is_number(field) ? 0 : pad));
}

static s4_status write_table(const struct query_result *result, struct sheet *sheet,
                             struct buffer *out)
{
    const struct field *fields = result->type->fields;
    sheet->ends = mem_calloc((result->n_rows + 1) * sheet->columns, sizeof *sheet->ends);
    sheet->widths = mem_calloc(sheet->columns, sizeof *sheet->widths);
    if (!sheet->ends || !sheet->widths)
        return S4_NO_MEMORY;
    for (size_t row = 0; row <= result->n_rows; row++)
        for (uint32_t i = 0; i < sheet->columns; i++)
            TRY(sheet_add(sheet, &fields[i], row ? &result->rows[row - 1].value : NULL));
    for (size_t i = 0; i < sheet->n_cells; i++)
        TRY(write_cell(sheet, i, &fields[i % sheet->columns], out));
    return S4_OK;
}

s4_status query_write_text(const struct query_result *result, struct buffer *out)
{
    struct sheet sheet = { .columns = result->type->n_fields };
    buffer_init(&sheet.text);
    s4_status status = sheet.columns ? write_table(result, &sheet, out) : S4_OK;
    buffer_fini(&sheet.text);
    mem_free(sheet.ends);
    mem_free(sheet.widths);
    return status;
}
