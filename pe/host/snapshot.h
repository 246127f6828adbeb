/* A snapshot: bytes under a name, published whole or not at all.
 *
 * A file in a store: magic "4SN1", version, length, XXH3 of the bytes, XXH3 of the name, and XXH3
 * of all that; then the bytes. It is written beside its name, synced, renamed, and the rename is
 * synced; so whatever is found under a name was once published under it, and what does not check
 * was damaged later. No state; any thread, one per name.
 */
#ifndef PE_HOST_SNAPSHOT_H
#define PE_HOST_SNAPSHOT_H

#include "runtime/base/buffer.h"
#include "runtime/store/store.h"

#define SNAPSHOT_VERSION  1u
#define SNAPSHOT_PART     ".part" /* ends the names of those that are not published yet */
#define SNAPSHOT_NAME_MAX (STORE_NAME_MAX - sizeof SNAPSHOT_PART + 1)

/* Replaces what is published under `name`. On failure the old one stays, unless the names could not
 * be synced: then it is the old one or the new one. */
s4_status snapshot_write(struct store *store, const char *name, const void *data, size_t size,
                         struct diag *diag) MUST_USE;

/* Appends the bytes to `data`. S4_NOT_FOUND: none is published. S4_CORRUPT: it is not whole, or
 * lies under another's name. S4_VERSION: this program cannot read it. */
s4_status snapshot_read(struct store *store, const char *name, struct buffer *data,
                        struct diag *diag) MUST_USE;

/* Removes what writers did not come to publish. Before the first write. */
s4_status snapshot_sweep(struct store *store, struct diag *diag) MUST_USE;

#endif
