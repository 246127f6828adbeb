/* The files seam: one directory of files, and nothing else.
 *
 * It has what a log and its snapshots need: files that grow at their end and are cut there, are
 * read anywhere, and are published by a rename that happens whole or not at all.
 *
 * When the machine stops, what is certain is
 *   - of a file: its bytes at its last store_file_sync, unless they were cut since. What was
 *     appended since survives up to any place, and parts of it may read as zeros; what was cut
 *     since may be back.
 *   - of the names: those at the last store_sync. What was created, renamed and removed since
 *     survives up to any step, in the order in which it was done.
 * So bytes are synced before their name is published, names are synced before anybody is told, and
 * whoever reads after a crash checks what it reads.
 *
 * A process that ends by itself loses nothing that it wrote. What fails leaves things as they were,
 * but for a sync: what it was to save is in doubt for good (kernels forget what they could not
 * write and then say that all is well), so the file takes nothing any more (S4_IO), and the way on
 * is another file. After a failed store_sync, names may be as before or as after.
 *
 * Every failure says which: S4_FULL no room, S4_PERMISSION, S4_NOT_FOUND, S4_EXISTS, S4_BUSY,
 * S4_IO for what the device answers, S4_UNAVAILABLE too many open files.
 *
 * Real: store_posix.h. In memory, with crashes and faults from a seed: store_sim.h.
 */
#ifndef RUNTIME_STORE_STORE_H
#define RUNTIME_STORE_STORE_H

#include "runtime/base/diag.h"

#define STORE_NAME_MAX  128   /* bytes of a name */
#define STORE_FILES_MAX 65536 /* files that store_list tells */

struct store;
struct store_file;

enum store_open {
    STORE_EXISTING, /* S4_NOT_FOUND: there is none */
    STORE_NEW,      /* S4_EXISTS: there is one */
};

/* Names in the order of their bytes. */
struct store_names {
    char **list;
    size_t count;
    size_t capacity;
};

struct store_ops {
    s4_status (*open)(struct store *store, const char *name, enum store_open how,
                      struct store_file **file, struct diag *diag);
    s4_status (*rename)(struct store *store, const char *from, const char *to, struct diag *diag);
    s4_status (*remove)(struct store *store, const char *name, struct diag *diag);
    s4_status (*list)(struct store *store, struct store_names *names, struct diag *diag);
    s4_status (*sync)(struct store *store, struct diag *diag);
    void (*destroy)(struct store *store);

    s4_status (*append)(struct store_file *file, const void *data, size_t size, struct diag *diag);
    s4_status (*read)(struct store_file *file, uint64_t offset, void *data, size_t size,
                      size_t *got, struct diag *diag);
    s4_status (*cut)(struct store_file *file, uint64_t size, struct diag *diag);
    s4_status (*sync_file)(struct store_file *file, struct diag *diag);
    void (*close)(struct store_file *file);
};

struct store {
    const struct store_ops *ops;
};

struct store_file {
    struct store *store;
    uint64_t size;
    bool failed; /* a sync did, or what a failed append left could not be cut off */
    char name[STORE_NAME_MAX + 1]; /* when it was opened, for people */
};

/* A name: 1 to STORE_NAME_MAX bytes without '/', the first of them no '.'. */
bool store_name_valid(const char *name);

/* ---- the directory; any thread (simulated: one) --------------------------------------------- */

/* A file belongs to whoever opened it until it is closed; S4_BUSY: it is open. */
s4_status store_open(struct store *store, const char *name, enum store_open how,
                     struct store_file **file, struct diag *diag) MUST_USE;
/* Replaces what is called `to`, if there is such a file; who has that open, keeps it. */
s4_status store_rename(struct store *store, const char *from, const char *to,
                       struct diag *diag) MUST_USE;
s4_status store_remove(struct store *store, const char *name, struct diag *diag) MUST_USE;

/* The files, into `names`, which holds none yet (store_names_fini). What else is in the directory
 * is not the store's. S4_TOO_LARGE: there are more than STORE_FILES_MAX. */
static inline MUST_USE s4_status store_list(struct store *store, struct store_names *names,
                                            struct diag *diag)
{
    return store->ops->list(store, names, diag);
}
void store_names_fini(struct store_names *names);

/* Makes names certain: what was created, renamed and removed. */
static inline MUST_USE s4_status store_sync(struct store *store, struct diag *diag)
{
    return store->ops->sync(store, diag);
}

/* After its files are closed; NULL is fine. */
static inline void store_destroy(struct store *store)
{
    if (store)
        store->ops->destroy(store);
}

/* ---- a file; one thread at a time ------------------------------------------------------------ */

static inline uint64_t store_file_size(const struct store_file *file)
{
    return file->size;
}

/* At the end, all of it or nothing. */
s4_status store_file_append(struct store_file *file, const void *data, size_t size,
                            struct diag *diag) MUST_USE;

/* Up to `size` bytes; fewer than that only where the file ends. */
static inline MUST_USE s4_status store_file_read(struct store_file *file, uint64_t offset,
                                                 void *data, size_t size, size_t *got,
                                                 struct diag *diag)
{
    return file->store->ops->read(file, offset, data, size, got, diag);
}

/* Cuts what is behind `size`; S4_RANGE: the file is shorter. */
s4_status store_file_cut(struct store_file *file, uint64_t size, struct diag *diag) MUST_USE;

/* Makes the bytes certain, not the name. */
s4_status store_file_sync(struct store_file *file, struct diag *diag) MUST_USE;

/* Syncs nothing; NULL is fine. */
static inline void store_file_close(struct store_file *file)
{
    if (file)
        file->store->ops->close(file);
}

/* ---- for implementations --------------------------------------------------------------------- */

s4_status store_names_add(struct store_names *names, const char *name, struct diag *diag) MUST_USE;
void store_names_sort(struct store_names *names);

#endif
