/* Loading a plugin, in the order in which less and less can go wrong: its note is read from the
 * bytes, then a child process loads it and lives, then this process loads it, then what its code
 * says is held against the bundle.
 *
 * The library lives in a memfd of its own, which stays open for as long as it is mapped: the
 * dynamic linker knows libraries by their path, and /proc/self/fd/N must not come to mean another
 * one.
 */
#include "pe/host/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pe/bundle/manifest.h"
#include "pe/graph/app.h"
#include "pe/graph/graph.h"
#include "pe/host/plugin_check.h"
#include "runtime/base/mem.h"

struct plugin {
    uint32_t holds;
    const s4_app *app;
    void *handle; /* NULL: linked in */
    int file;     /* -1: linked in */
    char build_id[2 * ELF_BUILD_ID_MAX + 1];
};

/* ---- life ---------------------------------------------------------------------------------- */

struct plugin *plugin_hold(struct plugin *plugin)
{
    __atomic_add_fetch(&plugin->holds, 1, __ATOMIC_RELAXED);
    return plugin;
}

/* A library may refuse to leave (unique symbols, thread-local destructors): its name then stays
 * taken. */
static bool still_there(int file)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    void *again = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (again)
        dlclose(again);
    return again != NULL;
}

void plugin_release(struct plugin *plugin)
{
    /* Pairs with the other releases: nobody is in the code any more when it goes. */
    if (!plugin || __atomic_sub_fetch(&plugin->holds, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (plugin->handle)
        dlclose(plugin->handle);
    if (plugin->file >= 0 && !(plugin->handle && still_there(plugin->file)))
        close(plugin->file);
    mem_free(plugin);
}

const s4_app *plugin_app(const struct plugin *plugin)
{
    return plugin->app;
}

int plugin_file(const struct plugin *plugin)
{
    return plugin->file;
}

const char *plugin_build_id(const struct plugin *plugin)
{
    return plugin->build_id;
}

s4_status plugin_from_app(const s4_app *app, const struct bundle *bundle, struct plugin **plugin)
{
    struct plugin *made = mem_zalloc(sizeof *made);
    if (!made)
        return S4_NO_MEMORY;
    *made = (struct plugin){ .holds = 1, .app = app, .file = -1 };
    app_number(app, bundle->graph);
    *plugin = made;
    return S4_OK;
}

/* ---- a file of its own --------------------------------------------------------------------- */

static bool write_all(int file, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(file, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static s4_status make_file(const void *bytes, size_t size, int *file, struct problems *problems)
{
    int made = memfd_create("s4-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0 || !write_all(made, bytes, size) ||
        fcntl(made, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        int error = errno;
        if (made >= 0)
            close(made);
        return problems_add(problems, S4_IO, "the library has no file of its own (memfd): %s",
                            strerror(error));
    }
    *file = made;
    return S4_OK;
}

/* ---- loading ------------------------------------------------------------------------------- */

static s4_status load_file(int file, const struct elf_info *elf,
                           const struct plugin_options *options, struct plugin **plugin,
                           struct problems *problems)
{
    TRY(plugin_check(file, options, problems));
    struct plugin *made = mem_zalloc(sizeof *made);
    if (!made)
        return problems_add(problems, S4_NO_MEMORY, "out of memory");
    s4_status status = plugin_open(file, &made->handle, &made->app, problems);
    if (status == S4_OK) {
        status = app_check(made->app, problems);
        if (status != S4_OK)
            dlclose(made->handle);
    }
    if (status != S4_OK) {
        mem_free(made);
        return status;
    }
    made->holds = 1;
    made->file = file;
    memcpy(made->build_id, elf->build_id, sizeof made->build_id);
    *plugin = made;
    return S4_OK;
}

s4_status plugin_load_library(const void *bytes, size_t size, const struct plugin_options *options,
                              struct plugin **plugin, struct problems *problems)
{
    static const struct plugin_options none = { 0 };
    struct elf_info elf;
    struct diag diag;
    int file = -1;
    if (elf_read(bytes, size, &elf, &diag) != S4_OK || elf_fits(&elf, &diag) != S4_OK)
        return problems_add_diag(problems, &diag);
    TRY(make_file(bytes, size, &file, problems));
    s4_status status = load_file(file, &elf, options ? options : &none, plugin, problems);
    if (status != S4_OK)
        close(file);
    return status;
}

/* ---- code and bundle ----------------------------------------------------------------------- */

static s4_status compare_types(const struct schema *code, const struct bundle *bundle,
                               struct problems *problems)
{
    s4_status status = S4_OK;
    for (size_t i = 0; i < schema_count(code); i++) {
        const struct type *type = schema_get(code, i);
        const struct type *other = schema_find(bundle->schema, type->name);
        if (!other || other->hash != type->hash)
            status = problems_add(problems, S4_TYPE,
                                  "type %s of the library's code is not the one in schema.pb; pack "
                                  "the bundle again",
                                  type->name);
    }
    return status;
}

static s4_status same_graph(const S4__Graph__Graph *graph, const struct bundle *bundle, bool *same)
{
    struct buffer ours, theirs;
    buffer_init(&ours);
    buffer_init(&theirs);
    s4_status status = graph_pack(graph, &ours);
    if (status == S4_OK)
        status = graph_pack(bundle->graph, &theirs);
    if (status == S4_OK)
        *same = ours.size == theirs.size && memcmp(ours.data, theirs.data, ours.size) == 0;
    buffer_fini(&ours);
    buffer_fini(&theirs);
    return status;
}

/* The graph that the code and app.yaml give is the one in the bundle, or they do not belong
 * together. */
static s4_status compare_graph(const s4_app *app, const struct schema *code,
                               const struct bundle *bundle, struct problems *problems)
{
    bool same = false;
    S4__Graph__Graph *graph;
    s4_status status = graph_from_app(app, &graph);
    if (status != S4_OK)
        return problems_add(problems, status, "out of memory");
    size_t before = problems->count + problems->dropped;
    status =
        manifest_apply("app.yaml", bundle->manifest, bundle->manifest_size, code, graph, problems);
    if (status == S4_OK)
        status = same_graph(graph, bundle, &same);
    graph_destroy(graph);
    if (status == S4_OK && !same)
        status = S4_CORRUPT;
    if (status != S4_OK && problems->count + problems->dropped == before)
        (void)problems_add(problems, status,
                           status == S4_CORRUPT
                               ? "graph.pb is not what the library's code and app.yaml say; pack "
                                 "the bundle again"
                               : "out of memory");
    return status;
}

s4_status plugin_load(const struct bundle *bundle, const struct plugin_options *options,
                      struct plugin **plugin, struct problems *problems)
{
    struct plugin *made = NULL;
    struct schema *code = NULL;
    struct diag diag;
    if (!bundle->library)
        return problems_add(problems, S4_NOT_FOUND, "the bundle has no library");
    TRY(plugin_load_library(bundle->library, bundle->library_size, options, &made, problems));
    CHECK(made);
    s4_status status = app_schema(made->app, &code, &diag);
    if (status != S4_OK) {
        (void)problems_add_diag(problems, &diag);
    } else {
        status = compare_types(code, bundle, problems);
        if (status == S4_OK)
            status = compare_graph(made->app, code, bundle, problems);
        schema_destroy(code);
    }
    if (status != S4_OK) {
        plugin_release(made);
        return status;
    }
    app_number(made->app, bundle->graph);
    *plugin = made;
    return S4_OK;
}
