/* A bundle: an app as it is deployed, one `.s4r` file, or the same made in memory from an app that
 * is linked in. Counted, immutable, any thread.
 *
 * Layout of the file (tar, zstd): app.yaml, graph.pb (S4__Graph__Graph), schema.pb
 * (FileDescriptorSet), lib/NAME.so, files/... . What is read is untrusted; after bundle_open the
 * graph is checked against the schema, app.yaml was read again and the library's ELF note fits this
 * node. Whether the library's code says what the graph says, the loader finds out (host/plugin.h).
 */
#ifndef PE_BUNDLE_BUNDLE_H
#define PE_BUNDLE_BUNDLE_H

#include <s4/abi.h>

#include "pe/bundle/elf.h"
#include "pe/bundle/package.h"
#include "pe/graph/problems.h"
#include "proto/graph.pb-c.h"
#include "runtime/base/buffer.h"
#include "runtime/record/schema.h"

struct bundle {
    S4__Graph__Graph *graph;
    struct schema *schema;
    uint64_t graph_hash;   /* graph and types: what nodes compare */
    uint64_t content_hash; /* of all files, whatever their compression */
    const char *manifest;  /* app.yaml's text, NUL-terminated */
    size_t manifest_size;
    const void *library; /* NULL: linked in */
    size_t library_size;
    struct elf_info elf; /* of the library; zeroed where there is none */
};

/* From a file, or from its bytes (copied). All problems that can be told at once are added. */
s4_status bundle_open(const char *path, struct bundle **bundle, struct problems *problems) MUST_USE;
s4_status bundle_open_bytes(const void *bytes, size_t size, struct bundle **bundle,
                            struct problems *problems) MUST_USE;

/* What a bundle is made of; all of it is copied. */
struct bundle_parts {
    const s4_app *app;    /* linked in or loaded */
    const char *place;    /* begins the messages about app.yaml */
    const char *manifest; /* app.yaml's text; NULL: the code's settings */
    size_t manifest_size;
    const void *library; /* the shared object's bytes, or NULL */
    size_t library_size;
    const struct package *files; /* of the app: paths below BUNDLE_FILES; NULL: none */
};
s4_status bundle_from_parts(const struct bundle_parts *parts, struct bundle **bundle,
                            struct problems *problems) MUST_USE;
/* The same without files. */
s4_status bundle_from_app(const s4_app *app, const char *place, const char *manifest,
                          size_t manifest_size, const void *library, size_t library_size,
                          struct bundle **bundle, struct problems *problems) MUST_USE;

/* The bytes of the .s4r file; equal content gives equal bytes. */
s4_status bundle_write(const struct bundle *bundle, struct buffer *out, struct diag *diag) MUST_USE;

struct bundle *bundle_hold(const struct bundle *bundle);
void bundle_release(struct bundle *bundle); /* NULL is fine */

/* A file of the app by its path below BUNDLE_FILES, with a NUL behind that is not counted. NULL:
 * there is none. */
#define BUNDLE_FILES "files/"
const void *bundle_file(const struct bundle *bundle, const char *path, size_t *size);
/* How many there are, and their bytes together. */
size_t bundle_files(const struct bundle *bundle, size_t *bytes);

#endif
