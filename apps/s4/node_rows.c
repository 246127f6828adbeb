/* Rows as replies: a query is run over the pins of an output, and every row goes into the reply as
 * JSON and as the message's bytes. Any thread; the reply is packed here, so that the control thread
 * only sends it. */
#include "apps/s4/node.h"
#include "pe/output/query.h"
#include "runtime/base/mem.h"
#include "runtime/text/json.h"
#include "runtime/text/pb.h"

/* Rows while they are rendered: offsets, since the buffers move. */
struct rendered {
    struct buffer json, pb, text;
    size_t *json_at; /* n + 1 of them */
    size_t *pb_at;
    S4__Control__Row *rows;
    S4__Control__Row **list;
    char **columns;
    size_t n_rows, n_columns;
};

static void rendered_fini(struct rendered *rendered)
{
    buffer_fini(&rendered->json);
    buffer_fini(&rendered->pb);
    buffer_fini(&rendered->text);
    mem_free(rendered->json_at);
    mem_free(rendered->pb_at);
    mem_free(rendered->rows);
    mem_free(rendered->list);
    mem_free(rendered->columns);
}

static bool make_room(struct rendered *rendered, const struct type *type, size_t n)
{
    rendered->json_at = mem_calloc(n + 1, sizeof *rendered->json_at);
    rendered->pb_at = mem_calloc(n + 1, sizeof *rendered->pb_at);
    rendered->rows = mem_calloc(n + 1, sizeof *rendered->rows);
    rendered->list = mem_calloc(n + 1, sizeof *rendered->list);
    rendered->columns = mem_calloc(type->n_fields + 1, sizeof *rendered->columns);
    return rendered->json_at && rendered->pb_at && rendered->rows && rendered->list &&
           rendered->columns;
}

static s4_status render_row(struct rendered *rendered, size_t i, const struct value *value)
{
    rendered->json_at[i] = rendered->json.size;
    rendered->pb_at[i] = rendered->pb.size;
    TRY(json_write(value, &rendered->json));
    TRY(buffer_append(&rendered->json, "", 1));
    TRY(pb_write(value, &rendered->pb));
    return rendered->json.size + rendered->pb.size > CONTROL_MESSAGE_MAX ? S4_TOO_LARGE : S4_OK;
}

/* Now that nothing moves any more. */
static void link_rows(struct rendered *rendered, const struct type *type)
{
    static uint8_t nothing[1]; /* messages without a byte need no buffer */
    uint8_t *pb = rendered->pb.data ? (uint8_t *)rendered->pb.data : nothing;
    rendered->pb_at[rendered->n_rows] = rendered->pb.size;
    for (size_t i = 0; i < rendered->n_rows; i++) {
        S4__Control__Row *row = &rendered->rows[i];
        s4__control__row__init(row);
        row->json = rendered->json.data + rendered->json_at[i];
        row->pb.data = pb + rendered->pb_at[i];
        row->pb.len = rendered->pb_at[i + 1] - rendered->pb_at[i];
        rendered->list[i] = row;
    }
    rendered->n_columns = type->n_fields;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        union {
            const char *name;
            char *wanted; /* protobuf-c's structs have no const */
        } column = { type->fields[i].name };
        rendered->columns[i] = column.wanted;
    }
}

static s4_status render(struct rendered *rendered, const struct query_result *result, bool text)
{
    if (!make_room(rendered, result->type, result->n_rows))
        return S4_NO_MEMORY;
    for (size_t i = 0; i < result->n_rows; i++)
        TRY(render_row(rendered, i, &result->rows[i].value));
    rendered->n_rows = result->n_rows;
    if (text)
        TRY(query_write_text(result, &rendered->text));
    if (!buffer_text(&rendered->text))
        return S4_NO_MEMORY;
    link_rows(rendered, result->type);
    return S4_OK;
}

static s4_status pack(struct request *request, S4__Control__Reply *reply)
{
    reply->id = request->message->id;
    return control_pack(&reply->base, &request->packed, &request->packed_size);
}

static void fail(struct request *request, s4_status status)
{
    request->status = status;
    if (status == S4_TOO_LARGE)
        diag_set(&request->diag, status,
                 "the answer would be over %zu bytes; ask for less with --limit, --prefix or --top",
                 CONTROL_MESSAGE_MAX);
    else if (status != S4_OK && !request->diag.text[0])
        diag_set(&request->diag, status, "%s", s4_status_text(status));
}

static s4_status pack_rows(struct request *request, const struct query_result *result)
{
    struct rendered rendered = { 0 };
    const struct query_pins *pins = request->got.pins;
    uint64_t *fresh = mem_calloc(pins->n + 1, sizeof *fresh);
    uint32_t *partitions = mem_calloc(pins->n + 1, sizeof *partitions);
    s4_status status = fresh && partitions ? S4_OK : S4_NO_MEMORY;
    if (status == S4_OK)
        status = render(&rendered, result, request->message->query->text);
    if (status == S4_OK) {
        S4__Control__Rows rows = S4__CONTROL__ROWS__INIT;
        S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
        for (uint32_t i = 0; i < pins->n; i++) {
            fresh[i] = pins->pins[i].time_us;
            partitions[i] = pins->pins[i].partition;
        }
        rows.columns = rendered.columns;
        rows.n_columns = rendered.n_columns;
        rows.rows = rendered.list;
        rows.n_rows = rendered.n_rows;
        rows.more = result->matched > result->n_rows;
        rows.fresh_us = fresh;
        rows.n_fresh_us = pins->n;
        rows.partitions = partitions;
        rows.n_partitions = pins->n;
        rows.text = rendered.text.data;
        reply.what_case = S4__CONTROL__REPLY__WHAT_ROWS;
        reply.rows = &rows;
        status = pack(request, &reply);
    }
    mem_free(fresh);
    mem_free(partitions);
    rendered_fini(&rendered);
    return status;
}

void node_rows_pack(struct request *request)
{
    const S4__Control__Query *asked = request->message->query;
    struct query_request wanted = { .output = asked->output,
                                    .key = asked->key,
                                    .prefix = asked->prefix,
                                    .by = asked->by,
                                    .top = asked->top,
                                    .limit = asked->limit };
    struct query_pins *pins = request->got.pins;
    struct query *query = NULL;
    struct query_result result = { 0 };
    s4_status status = query_compile(&wanted, pins->type, pins->key, &query, &request->diag);
    if (status == S4_OK)
        status = query_run(query, pins, &result);
    if (status == S4_OK)
        status = pack_rows(request, &result);
    fail(request, status);
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(pins);
    request->got.pins = NULL;
}

void node_answer_pack(struct request *request, const struct value *value)
{
    struct rendered rendered = { 0 };
    struct query_row row = { .value = *value };
    struct query_result result = { .type = value->type, .matched = 1, .n_rows = 1, .rows = &row };
    s4_status status = render(&rendered, &result, request->message->ask->text);
    if (status == S4_OK) {
        S4__Control__Answer answer = S4__CONTROL__ANSWER__INIT;
        S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
        answer.columns = rendered.columns;
        answer.n_columns = rendered.n_columns;
        answer.row = rendered.list[0];
        answer.text = rendered.text.data;
        reply.what_case = S4__CONTROL__REPLY__WHAT_ANSWER;
        reply.answer = &answer;
        status = pack(request, &reply);
    }
    fail(request, status);
    rendered_fini(&rendered);
}
