/* Rows as replies: a query is run over the pins of an output, and every row goes into the reply as
 * JSON and as the message's bytes. Any thread; the reply is packed here, so that the control thread
 * only sends it. */
#include "apps/s4/node.h"
#include "apps/s4/node_fan.h"
#include "pe/output/query.h"
#include "router/key/key.h"
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

/* For another node, which puts the rows of all in order. */
static void place_row(S4__Control__Row *row, const struct query_row *from)
{
    row->has_partition = row->has_number = row->has_time_us = true;
    row->partition = from->partition;
    row->number = from->seq;
    row->time_us = from->time_us;
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

static s4_status render(struct rendered *rendered, const struct query_result *result, bool text,
                        bool own)
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
    for (size_t i = 0; own && i < result->n_rows; i++)
        place_row(&rendered->rows[i], &result->rows[i]);
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

/* Whose rows these are, and up to when: this node's partitions, then the others'. */
static size_t list_partitions(const struct request *request, uint64_t *fresh, uint32_t *partitions)
{
    const struct query_pins *pins = request->got.pins;
    size_t n = 0;
    for (uint32_t i = 0; i < pins->n && n < MAP_SLOTS_MAX; i++, n++) {
        fresh[n] = pins->pins[i].time_us;
        partitions[n] = pins->pins[i].partition;
    }
    for (uint32_t m = 0; request->fan && m < MAP_MEMBERS_MAX; m++) {
        const S4__Control__Reply *reply = request->fan->replies[m];
        const S4__Control__Rows *rows = reply ? reply->rows : NULL;
        for (size_t i = 0;
             rows && i < rows->n_partitions && i < rows->n_fresh_us && n < MAP_SLOTS_MAX;
             i++, n++) {
            fresh[n] = rows->fresh_us[i];
            partitions[n] = rows->partitions[i];
        }
    }
    return n;
}

static s4_status pack_rows(struct request *request, const struct query_result *result)
{
    struct rendered rendered = { 0 };
    uint64_t *fresh = mem_calloc(MAP_SLOTS_MAX, sizeof *fresh);
    uint32_t *partitions = mem_calloc(MAP_SLOTS_MAX, sizeof *partitions);
    size_t n = 0;
    s4_status status = fresh && partitions ? S4_OK : S4_NO_MEMORY;
    if (status == S4_OK)
        status = render(&rendered, result, request->message->query->text, request->message->own);
    if (status == S4_OK) {
        S4__Control__Rows rows = S4__CONTROL__ROWS__INIT;
        S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
        n = list_partitions(request, fresh, partitions);
        rows.columns = rendered.columns;
        rows.n_columns = rendered.n_columns;
        rows.rows = rendered.list;
        rows.n_rows = rendered.n_rows;
        rows.more = result->matched > result->n_rows;
        rows.fresh_us = fresh;
        rows.n_fresh_us = n;
        rows.partitions = partitions;
        rows.n_partitions = n;
        rows.has_matched = true;
        rows.matched = result->matched;
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

/* ---- rows of other nodes --------------------------------------------------------------------- */

struct gathered {
    struct query_row *rows;
    size_t n, capacity;
    size_t own; /* the first so many lie in pins; the others own their bytes */
    uint64_t matched;
};

static void gathered_fini(struct gathered *gathered)
{
    for (size_t i = gathered->own; i < gathered->n; i++) {
        union {
            const char *given;
            char *wanted; /* it was made here */
        } record = { gathered->rows[i].value.record }, key = { gathered->rows[i].key };
        mem_free(record.wanted);
        mem_free(key.wanted);
    }
    mem_free(gathered->rows);
}

static struct query_row *add_row(struct gathered *gathered)
{
    void *rows = gathered->rows;
    if (!mem_grow(&rows, &gathered->capacity, gathered->n + 1, sizeof *gathered->rows))
        return NULL;
    gathered->rows = rows;
    gathered->rows[gathered->n] = (struct query_row){ 0 };
    return &gathered->rows[gathered->n++];
}

static s4_status keep_value(struct query_row *row, const struct value *value)
{
    size_t base = (size_t)(value->at - value->record);
    char *record = mem_zalloc(base + value->size);
    if (!record)
        return S4_NO_MEMORY;
    value_copy(value, record, record + base);
    row->value = (struct value){ value->type, record, record + base, value->size };
    return S4_OK;
}

static s4_status keep_key(struct query_row *row, const struct key_spec *spec, struct keys *keys)
{
    TRY(keys_of_value(keys, spec, &row->value));
    if (keys_count(keys) != 1)
        return S4_CORRUPT;
    const struct key_at *at = keys_at(keys, 0);
    char *key = mem_zalloc(at->len + 1);
    if (!key)
        return S4_NO_MEMORY;
    memcpy(key, keys_bytes(keys, at), at->len);
    row->key = key;
    row->key_len = at->len;
    return S4_OK;
}

struct reading {
    const struct type *type;
    struct key_spec spec;
    bool is_table;
    struct writer writer;
    struct keys keys;
};

static s4_status take_row(struct gathered *gathered, struct reading *reading,
                          const S4__Control__Row *from, struct diag *diag)
{
    struct value value;
    TRY(pb_read(&reading->writer, reading->type, from->pb.data, from->pb.len, &value, diag));
    struct query_row *row = add_row(gathered);
    if (!row)
        return S4_NO_MEMORY;
    row->partition = from->partition;
    row->seq = from->number;
    row->time_us = from->time_us;
    TRY(keep_value(row, &value));
    return reading->is_table ? keep_key(row, &reading->spec, &reading->keys) : S4_OK;
}

static s4_status take_rows(struct gathered *gathered, struct reading *reading,
                           const struct fan *fan, struct diag *diag)
{
    for (uint32_t m = 0; m < MAP_MEMBERS_MAX; m++) {
        const S4__Control__Rows *rows = fan->replies[m] ? fan->replies[m]->rows : NULL;
        for (size_t i = 0; rows && i < rows->n_rows; i++)
            TRY(take_row(gathered, reading, rows->rows[i], diag));
        gathered->matched += rows ? rows->matched : 0;
    }
    return S4_OK;
}

/* This node's rows, and what the others answered, in one order. `own` is borrowed by `result`. */
static s4_status merge(struct request *request, const struct query *query,
                       const struct query_result *own, struct gathered *gathered,
                       struct query_result *result)
{
    const struct query_pins *pins = request->got.pins;
    struct reading reading = { .type = pins->type, .is_table = pins->key != NULL };
    s4_status status = S4_OK;
    gathered->matched = own->matched;
    for (size_t i = 0; i < own->n_rows; i++) {
        struct query_row *row = add_row(gathered);
        if (!row)
            return S4_NO_MEMORY;
        *row = own->rows[i];
    }
    gathered->own = gathered->n;
    if (reading.is_table)
        TRY(key_spec_compile(pins->type, pins->key, &reading.spec, &request->diag));
    writer_init(&reading.writer);
    keys_init(&reading.keys);
    status = take_rows(gathered, &reading, request->fan, &request->diag);
    keys_fini(&reading.keys);
    writer_fini(&reading.writer);
    if (status == S4_OK)
        status = query_merge(query, gathered->rows, gathered->n, gathered->matched, result);
    return status;
}

static s4_status run_query(struct request *request, const struct query *query)
{
    struct query_result own = { 0 };
    struct query_result all = { 0 };
    struct gathered gathered = { 0 };
    s4_status status = query_run(query, request->got.pins, &own);
    if (status == S4_OK && request->fan)
        status = merge(request, query, &own, &gathered, &all);
    if (status == S4_OK)
        status = pack_rows(request, request->fan ? &all : &own);
    query_result_fini(&all);
    query_result_fini(&own);
    gathered_fini(&gathered);
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
    s4_status status = query_compile(&wanted, pins->type, pins->key, &query, &request->diag);
    if (status == S4_OK)
        status = run_query(request, query);
    fail(request, status);
    query_destroy(query);
    query_pins_destroy(pins);
    request->got.pins = NULL;
}

void node_answer_pack(struct request *request, const struct value *value)
{
    struct rendered rendered = { 0 };
    struct query_row row = { .value = *value };
    struct query_result result = { .type = value->type, .matched = 1, .n_rows = 1, .rows = &row };
    s4_status status = render(&rendered, &result, request->message->ask->text, false);
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
