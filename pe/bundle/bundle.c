/* Bundles. Both ways to one end in the same hands: a package of files, from which graph, schema and
 * app.yaml are read and held against each other, so that a bundle made here (bundle_make.c) is
 * checked as one from elsewhere is.
 *
 *     app's table ---> graph + schema ---> files ---.
 *                                                    >---> bundle
 *     .s4r, bytes -------------------> files -------'
 *
 * The graph in a bundle already has app.yaml's settings; reading app.yaml once more into a copy
 * must change nothing. Who edits app.yaml in a bundle by hand learns it here.
 */
#include "pe/bundle/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pe/bundle/bundle_package.h"
#include "pe/bundle/manifest.h"
#include "pe/graph/check.h"
#include "pe/graph/graph.h"
#include "runtime/base/mem.h"

struct held {
    struct bundle bundle; /* first: what users see */
    struct package package;
    uint32_t holds;
};

/* A path below BUNDLE_FILES without that; NULL: it is not there. */
static const char *file_name(const char *path)
{
    size_t len = strlen(BUNDLE_FILES);
    return strncmp(path, BUNDLE_FILES, len) == 0 ? path + len : NULL;
}

static struct held *held_of(const struct bundle *bundle)
{
    struct held *held;
    memcpy(&held, &bundle, sizeof held); /* const is for users */
    return held;
}

struct bundle *bundle_hold(const struct bundle *bundle)
{
    __atomic_add_fetch(&held_of(bundle)->holds, 1, __ATOMIC_RELAXED);
    return &held_of(bundle)->bundle;
}

void bundle_release(struct bundle *bundle)
{
    /* Pairs with the other releases: the last one sees all that was done with the bundle. */
    if (!bundle || __atomic_sub_fetch(&held_of(bundle)->holds, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    graph_destroy(bundle->graph);
    schema_destroy(bundle->schema);
    package_fini(&held_of(bundle)->package);
    mem_free(held_of(bundle));
}

const void *bundle_file(const struct bundle *bundle, const char *path, size_t *size)
{
    char whole[512];
    int len = snprintf(whole, sizeof whole, BUNDLE_FILES "%s", path);
    if (len < 0 || (size_t)len >= sizeof whole)
        return NULL;
    const struct package_entry *entry = package_find(&held_of(bundle)->package, whole);
    if (!entry)
        return NULL;
    *size = entry->size;
    return entry->data;
}

size_t bundle_files(const struct bundle *bundle, size_t *bytes)
{
    const struct package *package = &held_of(bundle)->package;
    size_t n = 0;
    *bytes = 0;
    for (size_t i = 0; i < package->count; i++)
        if (file_name(package->entries[i].path)) {
            *bytes += package->entries[i].size;
            n++;
        }
    return n;
}

/* ---- from files to a bundle ---------------------------------------------------------------- */

/* The file, or NULL and a problem. */
static const struct package_entry *need(const struct held *held, const char *path,
                                        struct problems *problems)
{
    const struct package_entry *entry = package_find(&held->package, path);
    if (!entry)
        (void)problems_add(problems, S4_NOT_FOUND, "the bundle has no %s", path);
    return entry;
}

/* What lies in a bundle is named; a file that nobody would read is a mistake. */
static void check_files(const struct held *held, struct problems *problems)
{
    char library[GRAPH_NAME_MAX + 16];
    snprintf(library, sizeof library, LIBRARY_PATH "%s", held->bundle.graph->library);
    for (size_t i = 0; i < held->package.count; i++) {
        const char *path = held->package.entries[i].path;
        if (strcmp(path, MANIFEST_PATH) != 0 && strcmp(path, GRAPH_PATH) != 0 &&
            strcmp(path, SCHEMA_PATH) != 0 && strcmp(path, library) != 0 && !file_name(path))
            (void)problems_add(problems, S4_INVALID,
                               "the bundle has the file \"%s\", which has no place in it; files of "
                               "the app lie in " BUNDLE_FILES,
                               path);
    }
}

static void read_library(struct held *held, bool needed, struct problems *problems)
{
    char path[GRAPH_NAME_MAX + 16];
    snprintf(path, sizeof path, LIBRARY_PATH "%s", held->bundle.graph->library);
    const struct package_entry *entry = package_find(&held->package, path);
    if (!entry) {
        if (needed)
            (void)need(held, path, problems);
        return;
    }
    struct diag diag;
    held->bundle.library = entry->data;
    held->bundle.library_size = entry->size;
    if (elf_read(entry->data, entry->size, &held->bundle.elf, &diag) != S4_OK ||
        elf_fits(&held->bundle.elf, &diag) != S4_OK) {
        (void)diag_prefix(&diag, diag.code, "%s: ", path);
        (void)problems_add_diag(problems, &diag);
    }
}

static void read_schema(struct held *held, struct problems *problems)
{
    const struct package_entry *entry = need(held, SCHEMA_PATH, problems);
    struct diag diag;
    if (entry && schema_from_set(entry->data, entry->size, &held->bundle.schema, &diag) != S4_OK) {
        (void)diag_prefix(&diag, diag.code, SCHEMA_PATH ": ");
        (void)problems_add_diag(problems, &diag);
    }
}

static void read_graph(struct held *held, struct problems *problems)
{
    const struct package_entry *entry = need(held, GRAPH_PATH, problems);
    struct diag diag;
    if (entry && graph_unpack(entry->data, entry->size, &held->bundle.graph, &diag) != S4_OK)
        (void)problems_add_diag(problems, &diag);
}

/* app.yaml into a copy of the graph: S4_CORRUPT if that changes it. */
static s4_status apply_again(const struct bundle *bundle, const char *place,
                             const struct package_entry *graph, struct problems *problems)
{
    struct diag diag;
    struct buffer packed;
    S4__Graph__Graph *copy;
    if (graph_unpack(graph->data, graph->size, &copy, &diag) != S4_OK)
        return problems_add_diag(problems, &diag);
    buffer_init(&packed);
    s4_status status = manifest_apply(place, bundle->manifest, bundle->manifest_size,
                                      bundle->schema, copy, problems);
    if (status == S4_OK && graph_pack(copy, &packed) != S4_OK)
        status = problems_add(problems, S4_NO_MEMORY, "out of memory");
    else if (status == S4_OK &&
             (packed.size != graph->size || memcmp(packed.data, graph->data, packed.size) != 0))
        status =
            problems_add(problems, S4_CORRUPT,
                         MANIFEST_PATH " was changed after the bundle was packed; pack it again");
    buffer_fini(&packed);
    graph_destroy(copy);
    return status;
}

static void read_manifest(struct held *held, const char *place, struct problems *problems)
{
    const struct package_entry *entry = need(held, MANIFEST_PATH, problems);
    if (!entry)
        return;
    held->bundle.manifest = entry->data;
    held->bundle.manifest_size = entry->size;
    (void)!apply_again(&held->bundle, place, package_find(&held->package, GRAPH_PATH), problems);
}

static s4_status settle(struct held *held, const char *place, bool library, struct bundle **bundle,
                        struct problems *problems)
{
    size_t before = problems->count + problems->dropped;
    read_schema(held, problems);
    read_graph(held, problems);
    struct bundle *made = &held->bundle;
    if (made->schema && made->graph && graph_check(made->graph, made->schema, problems) == S4_OK) {
        read_manifest(held, place, problems);
        read_library(held, library, problems);
        check_files(held, problems);
        if (graph_hash(made->graph, made->schema, &made->graph_hash) != S4_OK)
            (void)problems_add(problems, S4_NO_MEMORY, "out of memory");
    }
    made->content_hash = package_hash(&held->package);
    if (problems->count + problems->dropped == before) {
        *bundle = made;
        return S4_OK;
    }
    bundle_release(made);
    return problems->first;
}

s4_status bundle_from_package(struct package *package, const char *place, bool library,
                              struct bundle **bundle, struct problems *problems)
{
    struct held *held = mem_zalloc(sizeof *held);
    if (!held) {
        package_fini(package);
        return problems_add(problems, S4_NO_MEMORY, "out of memory");
    }
    held->holds = 1;
    held->package = *package;
    package_init(package);
    return settle(held, place, library, bundle, problems);
}

/* ---- from bytes ---------------------------------------------------------------------------- */

s4_status bundle_open_bytes(const void *bytes, size_t size, struct bundle **bundle,
                            struct problems *problems)
{
    struct package package;
    struct diag diag;
    if (package_read(bytes, size, &package_limits_default, &package, &diag) != S4_OK)
        return problems_add_diag(problems, &diag);
    return bundle_from_package(&package, MANIFEST_PATH, true, bundle, problems);
}

static s4_status read_all(int file, size_t size, struct buffer *bytes)
{
    char *at = buffer_room(bytes, size);
    if (!at)
        return S4_NO_MEMORY;
    for (size_t done = 0; done < size;) {
        ssize_t n = read(file, at + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return S4_IO;
        }
        done += (size_t)n;
    }
    return S4_OK;
}

static s4_status read_file(const char *path, struct buffer *bytes, struct diag *diag)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (file < 0 || fstat(file, &stat) != 0) {
        s4_status code = errno == ENOENT ? S4_NOT_FOUND : errno == EACCES ? S4_PERMISSION : S4_IO;
        (void)diag_set(diag, code, "%s: %s", path, strerror(errno));
        if (file >= 0)
            close(file);
        return code;
    }
    s4_status status = S4_OK;
    if (!S_ISREG(stat.st_mode))
        status = diag_set(diag, S4_INVALID, "%s: not a file", path);
    else if ((uint64_t)stat.st_size > package_limits_default.packed_max)
        status = diag_set(diag, S4_TOO_LARGE, "%s: %lld bytes; the limit is %zu", path,
                          (long long)stat.st_size, package_limits_default.packed_max);
    else if ((status = read_all(file, (size_t)stat.st_size, bytes)) != S4_OK)
        (void)diag_set(diag, status, "%s: %s", path,
                       status == S4_IO ? strerror(errno) : s4_status_text(status));
    close(file);
    return status;
}

s4_status bundle_open(const char *path, struct bundle **bundle, struct problems *problems)
{
    struct buffer bytes;
    struct diag diag;
    buffer_init(&bytes);
    s4_status status = read_file(path, &bytes, &diag);
    status = status == S4_OK ? bundle_open_bytes(bytes.data, bytes.size, bundle, problems)
                             : problems_add_diag(problems, &diag);
    buffer_fini(&bytes);
    return status;
}

s4_status bundle_write(const struct bundle *bundle, struct buffer *out, struct diag *diag)
{
    return package_write(&held_of(bundle)->package, out, diag);
}
