/* The container of a bundle: files in a tar, compressed with zstd, in memory.
 *
 * Reading trusts nothing: only regular files with plain relative paths, each once, within limits
 * that hold before anything large is unpacked. Writing is deterministic: equal files give equal
 * bytes. One thread at a time.
 */
#ifndef PE_BUNDLE_PACKAGE_H
#define PE_BUNDLE_PACKAGE_H

#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"

struct package_limits {
    size_t packed_max; /* bytes of the compressed file */
    size_t bytes_max;  /* bytes of the tar in it, and of all files together */
    size_t ratio_max;  /* tar to compressed, above PACKAGE_SMALL */
    uint32_t entries_max;
    uint32_t path_max; /* letters of a path */
};

#define PACKAGE_SMALL (1 * MIB) /* a tar up to here may be as compressible as it likes */

extern const struct package_limits package_limits_default;

struct package_entry {
    char *path; /* owned by the package */
    char *data; /* a NUL behind, not counted */
    size_t size;
};

/* Entries in the order of their paths. */
struct package {
    struct package_entry *entries;
    size_t count;
    size_t capacity;
};

void package_init(struct package *package);
void package_fini(struct package *package);

/* Copies a file in. S4_INVALID: the path; S4_EXISTS; S4_TOO_LARGE: entries_max. */
s4_status package_add(struct package *package, const char *path, const void *data, size_t size,
                      struct diag *diag) MUST_USE;
/* NULL: there is none. */
const struct package_entry *package_find(const struct package *package, const char *path);

/* Of paths and contents, whatever the compression. */
uint64_t package_hash(const struct package *package);

s4_status package_write(const struct package *package, struct buffer *out,
                        struct diag *diag) MUST_USE;
/* Whether package_read would take what package_write wrote, with the default limits. */
s4_status package_check(const void *bytes, size_t size, struct diag *diag) MUST_USE;
/* *package is untouched on failure. */
s4_status package_read(const void *bytes, size_t size, const struct package_limits *limits,
                       struct package *package, struct diag *diag) MUST_USE;

#endif
