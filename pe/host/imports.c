/* Streams between apps: who hears whom. A stream of an app may be said (app.yaml: from) to hear a
 * stream of another one, by name; either is deployed first, and while the other is absent it hears
 * nothing. How events pass is in exports.c.
 *
 * Control, under the engine's lock. A stream's list of hearers is never changed, but replaced; the
 * one before is freed when no run and no step of the feeds can be using it.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "pe/graph/graph.h"
#include "pe/graph/names.h"

/* A stream that is to hear another one's. */
struct import {
    struct host_app *app;
    uint32_t stream;
    const S4__Graph__Stream *graph;
};

/* The next stream of the app, from *i on, that hears one of the app `from` (NULL: of any). */
static bool next_import(struct host_app *app, const char *from, uint32_t *i, struct import *found)
{
    for (; *i < app->n_streams; (*i)++) {
        const S4__Graph__Stream *stream = app->graph->streams[*i];
        if (!stream->from_app || (from && strcmp(stream->from_app, from) != 0))
            continue;
        *found = (struct import){ .app = app, .stream = (*i)++, .graph = stream };
        return true;
    }
    return false;
}

/* ---- may they be connected? ------------------------------------------------------------------ */

static s4_status no_stream(const struct import *import, const struct host_app *from,
                           struct diag *diag)
{
    struct name_nearest nearest;
    name_nearest_init(&nearest, import->graph->from_stream);
    for (uint32_t i = 0; i < from->n_streams; i++)
        name_nearest_try(&nearest, from->streams[i].name);
    return diag_set(
        diag, S4_INVALID,
        "stream \"%s\" of app \"%s\" is from %s.%s, and app \"%s\" has no stream \"%s\"%s",
        import->graph->name, import->app->graph->app, from->graph->app, import->graph->from_stream,
        from->graph->app, import->graph->from_stream, name_hint(&nearest).text);
}

static s4_status agree(const struct import *import, const struct host_app *from, struct diag *diag)
{
    const struct host_stream *theirs = host_stream_find(from, import->graph->from_stream);
    if (!theirs)
        return no_stream(import, from, diag);
    const struct type *a = theirs->type;
    const struct type *b = import->app->streams[import->stream].type;
    bool same_name = strcmp(a->name, b->name) == 0;
    if (same_name && a->hash == b->hash)
        return S4_OK;
    return diag_set(
        diag, S4_TYPE,
        "stream \"%s\" of app \"%s\" is of type %s, and %s.%s, which it is from, of %s%s",
        import->graph->name, import->app->graph->app, b->name, from->graph->app, theirs->name,
        a->name, same_name ? ", with other attributes" : "");
}

/* The app of a name: the one that is being deployed, too. */
static const struct host_app *app_named(const struct host_app *coming, const char *name)
{
    return strcmp(coming->graph->app, name) == 0 ? coming : host_app_find(coming->engine, name);
}

/* Each stream is from one other at most: whoever goes back along them comes to an end, or to where
 * it began. Among those that are deployed there is no circle, so a new one has the app in it. */
static s4_status no_circle(const struct host_app *app, uint32_t stream, struct diag *diag)
{
    const S4__Graph__Stream *first = app->graph->streams[stream];
    const S4__Graph__Stream *at = first;
    uint32_t left = ENGINE_APPS_MAX * GRAPH_STREAMS_MAX; /* it may come upon another one's circle */
    for (; at->from_app && left > 0; left--) {
        const struct host_app *of = app_named(app, at->from_app);
        int number = of ? graph_find_stream(of->graph, at->from_stream) : -1;
        if (number < 0)
            return S4_OK;
        at = of->graph->streams[number];
        if (at == first)
            return diag_set(
                diag, S4_INVALID,
                "stream \"%s\" of app \"%s\" is from %s.%s, which hears it in turn: each "
                "event would go round for ever",
                first->name, app->graph->app, first->from_app, first->from_stream);
    }
    return S4_OK;
}

s4_status host_imports_check(struct host_app *app, struct diag *diag)
{
    struct engine *engine = app->engine;
    struct import import;
    for (uint32_t i = 0; next_import(app, NULL, &i, &import);) {
        const struct host_app *from = host_app_find(engine, import.graph->from_app);
        if (from)
            TRY(agree(&import, from, diag));
        TRY(no_circle(app, import.stream, diag));
    }
    for (uint32_t place = 0; place < host_places(engine); place++) {
        struct host_app *other = host_app_at(engine, place);
        for (uint32_t i = 0; other && next_import(other, app->graph->app, &i, &import);)
            TRY(agree(&import, app, diag));
    }
    return S4_OK;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static uint32_t list_hearers(struct host_app *app, const struct host_stream *stream,
                             struct host_hearer *list)
{
    struct engine *engine = app->engine;
    struct import import;
    uint32_t n = 0;
    for (uint32_t place = 0; place < host_places(engine); place++) {
        struct host_app *other = host_app_at(engine, place);
        for (uint32_t i = 0;
             other && other->hears && next_import(other, app->graph->app, &i, &import);) {
            if (strcmp(import.graph->from_stream, stream->name) != 0)
                continue;
            if (list)
                list[n] = (struct host_hearer){ .app = other, .stream = import.stream };
            n++;
        }
    }
    return n;
}

static bool are_same(const struct host_hearers *a, const struct host_hearers *b)
{
    if (!a || !b)
        return a == b;
    return a->n == b->n && memcmp(a->list, b->list, a->n * sizeof a->list[0]) == 0;
}

/* NULL: nobody hears it. */
static struct host_hearers *make_hearers(struct host_app *app, const struct host_stream *stream)
{
    uint32_t n = list_hearers(app, stream, NULL);
    if (n == 0)
        return NULL;
    struct host_hearers *made;
    while (!(made = mem_zalloc(sizeof *made + n * sizeof made->list[0])))
        host_control_wait(app->engine); /* a hundred bytes will come free */
    made->n = list_hearers(app, stream, made->list);
    return made;
}

/* What was there before, to be freed; NULL: nothing. */
static struct host_hearers *connect_stream(struct host_app *app, uint32_t i)
{
    struct host_stream *stream = &app->streams[i];
    struct host_hearers *before = atomic_load(&stream->hearers);
    struct host_hearers *made = make_hearers(app, stream);
    if (are_same(before, made)) {
        mem_free(made);
        return NULL;
    }
    atomic_store_explicit(&stream->hearers, made, memory_order_release);
    host_app_simplify(app, i);
    return before;
}

static void pass_by(struct host_worker *worker, struct host_app *app, void *user)
{
}

/* No run and no step of the feeds that began before is under way any more. */
static void wait_for_users(struct host_app *app)
{
    host_on_workers(app, pass_by, NULL);
    pthread_mutex_lock(&app->engine->step_lock);
    pthread_mutex_unlock(&app->engine->step_lock);
}

void host_imports_connect(struct engine *engine)
{
    for (uint32_t place = 0; place < host_places(engine); place++) {
        struct host_app *app = host_app_at(engine, place);
        for (uint32_t i = 0; app && i < app->n_streams; i++) {
            struct host_hearers *before = connect_stream(app, i);
            if (!before)
                continue;
            wait_for_users(app);
            mem_free(before);
        }
    }
}

/* ---- who would miss it? ---------------------------------------------------------------------- */

s4_status engine_hearers(struct engine *engine, const char *name, uint32_t *n, struct diag *diag)
{
    char names[DIAG_TEXT_MAX / 2] = "";
    size_t len = 0;
    struct import import;
    *n = 0;
    pthread_mutex_lock(&engine->apps_lock);
    for (uint32_t place = 0; place < host_places(engine); place++) {
        struct host_app *app = host_app_at(engine, place);
        uint32_t before = *n;
        for (uint32_t i = 0; app && next_import(app, name, &i, &import);)
            ++*n;
        if (*n > before && len < sizeof names)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s\"%s\"", len ? ", " : "",
                                    app->graph->app);
    }
    pthread_mutex_unlock(&engine->apps_lock);
    if (*n == 0)
        return S4_OK;
    return diag_set(diag, S4_STATE, "app \"%s\" is heard by %s: undeploy that first, or force it",
                    name, names);
}
