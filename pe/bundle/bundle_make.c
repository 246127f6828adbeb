/* A bundle made from an app's table: the graph and the schema that it declares, with app.yaml's
 * settings, as files beside app.yaml itself, the library and the files of the app. What comes of it
 * is read like a stranger's (bundle.c).
 */
#include "pe/bundle/bundle.h"

#include "pe/bundle/bundle_package.h"
#include "pe/bundle/manifest.h"
#include "pe/graph/app.h"
#include "pe/graph/graph.h"
#include "runtime/base/mem.h"

/* What an app without app.yaml has in its place. */
static s4_status fallback_manifest(const s4_app *app, struct buffer *text)
{
    return buffer_printf(text, "app: %s\nversion: \"0\"\n", app->name);
}

/* Graph, schema, manifest and library as files. */
static s4_status add_made(struct package *package, const struct bundle_parts *parts,
                          const S4__Graph__Graph *graph, const struct schema *schema)
{
    struct buffer packed;
    buffer_init(&packed);
    s4_status status = graph_pack(graph, &packed);
    if (status == S4_OK)
        status = package_add(package, GRAPH_PATH, packed.data, packed.size, NULL);
    buffer_fini(&packed);
    TRY(status);
    void *set;
    size_t size;
    TRY(schema_to_set(schema, &set, &size));
    status = package_add(package, SCHEMA_PATH, set, size, NULL);
    mem_free(set);
    TRY(status);
    TRY(package_add(package, MANIFEST_PATH, parts->manifest, parts->manifest_size, NULL));
    if (!parts->library)
        return S4_OK;
    char path[GRAPH_NAME_MAX + 16];
    snprintf(path, sizeof path, LIBRARY_PATH "%s", graph->library);
    return package_add(package, path, parts->library, parts->library_size, NULL);
}

static s4_status add_files(struct package *package, const struct package *files,
                           struct problems *problems)
{
    struct diag diag;
    for (size_t i = 0; files && i < files->count; i++) {
        const struct package_entry *file = &files->entries[i];
        if (package_add(package, file->path, file->data, file->size, &diag) != S4_OK)
            return problems_add_diag(problems, &diag);
    }
    return S4_OK;
}

static s4_status make_package(struct package *package, const struct bundle_parts *parts,
                              struct problems *problems)
{
    struct diag diag;
    struct schema *schema;
    S4__Graph__Graph *graph;
    TRY(app_check(parts->app, problems));
    if (app_schema(parts->app, &schema, &diag) != S4_OK)
        return problems_add_diag(problems, &diag);
    s4_status status = graph_from_app(parts->app, &graph);
    if (status != S4_OK) {
        schema_destroy(schema);
        return problems_add(problems, status, "out of memory");
    }
    status = manifest_apply(parts->place, parts->manifest, parts->manifest_size, schema, graph,
                            problems);
    if (status == S4_OK) {
        status = add_made(package, parts, graph, schema);
        if (status != S4_OK)
            (void)problems_add(problems, status, "the bundle cannot be made: %s",
                               s4_status_text(status));
        else
            status = add_files(package, parts->files, problems);
    }
    graph_destroy(graph);
    schema_destroy(schema);
    return status;
}

s4_status bundle_from_parts(const struct bundle_parts *parts, struct bundle **bundle,
                            struct problems *problems)
{
    struct bundle_parts with = *parts; /* a manifest, if there is none */
    struct package package;
    struct buffer fallback;
    buffer_init(&fallback);
    package_init(&package);
    s4_status status = S4_OK;
    if (!with.manifest) {
        status = app_check(with.app, problems);
        if (status == S4_OK && fallback_manifest(with.app, &fallback) != S4_OK)
            status = problems_add(problems, S4_NO_MEMORY, "out of memory");
        with.place = MANIFEST_PATH;
        with.manifest = fallback.data;
        with.manifest_size = fallback.size;
    }
    if (status == S4_OK)
        status = make_package(&package, &with, problems);
    buffer_fini(&fallback);
    if (status == S4_OK)
        return bundle_from_package(&package, with.place, with.library != NULL, bundle, problems);
    package_fini(&package);
    return status;
}

s4_status bundle_from_app(const s4_app *app, const char *place, const char *manifest,
                          size_t manifest_size, const void *library, size_t library_size,
                          struct bundle **bundle, struct problems *problems)
{
    const struct bundle_parts parts = { app,     place,        manifest, manifest_size,
                                        library, library_size, NULL };
    return bundle_from_parts(&parts, bundle, problems);
}
