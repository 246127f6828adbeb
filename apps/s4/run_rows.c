/* What a run prints and writes when it is over; see the header. */
#include "apps/s4/run_rows.h"

#include <inttypes.h>

#include "apps/s4/file.h"
#include "apps/s4/say.h"
#include "apps/s4/status_of.h"
#include "pe/output/query.h"
#include "runtime/base/mem.h"
#include "runtime/text/json.h"

typedef s4_status rows_fn(const struct query_result *result, const char *name, void *arg);

/* Reads all rows of an output and hands them to `use`. */
static s4_status with_rows(struct session *session, const char *name, rows_fn *use, void *arg,
                           struct diag *diag)
{
    struct query_pins *pins;
    TRY(session_pin(session, name, &pins, diag));
    struct query_request request = { .output = name, .limit = UINT64_MAX };
    struct query *query = NULL;
    struct query_result result = { 0 };
    s4_status status = query_compile(&request, pins->type, pins->key, &query, diag);
    if (status == S4_OK) {
        status = query_run(query, pins, &result);
        if (status == S4_OK)
            status = use(&result, name, arg);
        if (status != S4_OK)
            diag_set(diag, status, "cannot read %s: %s", name, s4_status_text(status));
    }
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(pins);
    return status;
}

static s4_status print_json(const struct query_result *result, const char *name, void *arg)
{
    struct buffer *text = arg;
    for (size_t i = 0; i < result->n_rows; i++) {
        buffer_clear(text);
        TRY(buffer_printf(text, "{\"output\":\"%s\",\"row\":", name));
        TRY(json_write(&result->rows[i].value, text));
        TRY(buffer_append_text(text, "}\n"));
        say_out(text->data, text->size);
    }
    return S4_OK;
}

static s4_status print_text(const struct query_result *result, const char *name, void *arg)
{
    struct buffer *text = arg;
    if (strcmp(name, "dead_letters") == 0 && !result->n_rows)
        return S4_OK;
    buffer_clear(text);
    TRY(query_write_text(result, text));
    say_printf("%s: %zu rows\n", name, result->n_rows);
    say_out(text->data, text->size);
    say_printf("\n");
    return S4_OK;
}

s4_status run_rows_print(struct session *session, bool json, struct diag *diag)
{
    const S4__Graph__Graph *graph = session->bundle->graph;
    struct buffer text;
    buffer_init(&text);
    s4_status status = S4_OK;
    for (size_t i = 0; i < graph->n_outputs && status == S4_OK; i++)
        status = with_rows(session, graph->outputs[i]->name, json ? print_json : print_text, &text,
                           diag);
    if (status == S4_OK)
        status = with_rows(session, "dead_letters", json ? print_json : print_text, &text, diag);
    buffer_fini(&text);
    return status;
}

struct target_file {
    const char *path;
    struct buffer bytes;
};

static bool ends_in(const char *path, const char *end)
{
    size_t len = strlen(path);
    return len >= strlen(end) && strcmp(path + len - strlen(end), end) == 0;
}

static s4_status render(const struct query_result *result, const char *name, void *arg)
{
    struct target_file *file = arg;
    if (ends_in(file->path, ".pb"))
        return query_write_pb(result, &file->bytes);
    return ends_in(file->path, ".txt") ? query_write_text(result, &file->bytes)
                                       : query_write_json(result, &file->bytes);
}

s4_status run_rows_write(struct session *session, const struct run_output *output,
                         struct diag *diag)
{
    struct target_file file = { .path = output->path };
    buffer_init(&file.bytes);
    s4_status status = with_rows(session, output->name, render, &file, diag);
    if (status == S4_OK && strcmp(output->path, "-") == 0)
        say_out(file.bytes.data, file.bytes.size);
    else if (status == S4_OK)
        status = file_write(output->path, file.bytes.data, file.bytes.size, diag);
    buffer_fini(&file.bytes);
    return status;
}

/* ---- counters ------------------------------------------------------------------------------ */

static void print_counters(const struct counter_entry *entries, size_t n, bool json)
{
    for (size_t i = 0; i < n; i++)
        say_printf(json ? "%s\"%s\":%" PRIu64 : "%s  %-16s %14" PRIu64 "\n", json && i ? "," : "",
                   entries[i].name, entries[i].value);
}

static void print_stats(struct session *session, const struct engine_app_status *app, bool json)
{
    struct counter_entry entries[STATUS_APP_COUNTERS];
    size_t n = status_of_app(app, entries);
    double seconds = (double)(session->end_us - session->begin_us) / 1e6;
    double rate = seconds > 0 ? (double)app->counters.injected / seconds : 0;
    say_printf(json
                   ? "{\"stats\":{\"seconds\":%.6f,\"events_per_second\":%.0f,\"rejected\":%" PRIu64
                     ",\"counters\":{"
                   : "in %.3f s, %.0f events/s; %" PRIu64 " lines rejected\n",
               seconds, rate, session_rejected(session));
    print_counters(entries, n, json);
    say_printf(json ? "},\"prototypes\":{" : "");
    for (uint32_t i = 0; i < app->n_prototypes; i++) {
        const struct engine_prototype_status *prototype = &app->prototypes[i];
        n = status_of_prototype(prototype, entries);
        say_printf(json ? "%s\"%s\":{" : "%s/%s\n", json && i ? "," : "", prototype->name);
        print_counters(entries, n, json);
        say_printf(json ? "}" : "");
    }
    say_printf(json ? "}}}\n" : "");
}

static void warn(const struct session *session, const struct engine_counters *counters)
{
    if (counters->dead_letters)
        say_note("%" PRIu64 " events failed and lie in the output dead_letters",
                 counters->dead_letters);
    if (counters->parked)
        say_note("%" PRIu64 " keys are parked after failures in a row", counters->parked);
    if (counters->absent_keys)
        say_note("%" PRIu64 " times an event had no key for a subscription and gave it no record",
                 counters->absent_keys);
    if (counters->shed)
        say_note("%" PRIu64 " events were shed", counters->shed);
    if (counters->rows_refused || counters->rows_dropped)
        say_note("%" PRIu64 " rows were refused and %" PRIu64 " dropped by full outputs",
                 counters->rows_refused, counters->rows_dropped);
    if (session->drained.waiting_timers)
        say_note("%" PRIu64 " timers of the processing clock still waited",
                 session->drained.waiting_timers);
}

void run_stats(struct session *session, bool print, bool json)
{
    struct engine_status status;
    if (engine_status(session->engine, &status) != S4_OK) {
        say_error("the counters cannot be read: out of memory");
        return;
    }
    if (status.n_apps) {
        warn(session, &status.apps[0].counters);
        if (print)
            print_stats(session, &status.apps[0], json);
    }
    mem_free(status.apps);
}
