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

/* From an app that is linked in or loaded. manifest: app.yaml's text, or NULL for the code's
 * settings. library: the shared object's bytes (copied), or NULL. `place` begins the messages about
 * app.yaml. */
s4_status bundle_from_app(const s4_app *app, const char *place, const char *manifest,
                          size_t manifest_size, const void *library, size_t library_size,
                          struct bundle **bundle, struct problems *problems) MUST_USE;

/* The bytes of the .s4r file; equal content gives equal bytes. */
s4_status bundle_write(const struct bundle *bundle, struct buffer *out, struct diag *diag) MUST_USE;

struct bundle *bundle_hold(const struct bundle *bundle);
void bundle_release(struct bundle *bundle); /* NULL is fine */

/* A file of the app: "files/stopwords.txt". NULL: there is none. */
const void *bundle_file(const struct bundle *bundle, const char *path, size_t *size);

#endif
