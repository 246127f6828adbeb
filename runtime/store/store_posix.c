/* Files of the machine; see the header.
 *
 * All names are looked up in the directory that was opened first, wherever it is moved to. That
 * directory and each open file are locked (flock, which goes with the descriptor), so that a
 * second process on the same directory is told instead of writing into the same files.
 *
 * A file's size is kept here and an append goes to that place: what a failed append leaves behind
 * it is cut off at once. `failed` says that it could not be.
 */
#include "runtime/store/store_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/mem.h"

#define DIR_MODE  0700
#define FILE_MODE 0600

struct posix_store {
    struct store store;
    int dir;
    char path[]; /* for people */
};

struct posix_file {
    struct store_file file;
    int fd;
};

static struct posix_store *store_of(struct store *store)
{
    return CONTAINER_OF(store, struct posix_store, store);
}

static struct posix_file *file_of(struct store_file *file)
{
    return CONTAINER_OF(file, struct posix_file, file);
}

s4_status store_posix_status(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return S4_NOT_FOUND;
    case EEXIST:
        return S4_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return S4_PERMISSION;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* a limit of the process or of the file system */
        return S4_FULL;
    case EWOULDBLOCK: /* of flock */
        return S4_BUSY;
    case EMFILE:
    case ENFILE:
        return S4_UNAVAILABLE;
    case ENOMEM:
        return S4_NO_MEMORY;
    case EISDIR:
    case ELOOP:
    case ENXIO:
        return S4_TYPE;
    default:
        return S4_IO;
    }
}

static s4_status failed(struct store *store, const char *name, const char *what, int error,
                        struct diag *diag)
{
    return diag_set(diag, store_posix_status(error), "%s/%s: cannot %s: %s", store_of(store)->path,
                    name, what, strerror(error));
}

/* ---- the directory ------------------------------------------------------------------------- */

/* Locked and a file, or closed and the errno. */
static int check_file(int fd, uint64_t *size)
{
    struct stat found = { 0 };
    int error = 0;
    if (TEMP_FAILURE_RETRY(flock(fd, LOCK_EX | LOCK_NB)) != 0 || fstat(fd, &found) != 0)
        error = errno;
    else if (!S_ISREG(found.st_mode))
        error = EISDIR;
    if (error != 0)
        close(fd);
    else
        *size = (uint64_t)found.st_size;
    return error;
}

static s4_status open_file(struct store *store, const char *name, enum store_open how,
                           struct store_file **file, struct diag *diag)
{
    struct posix_store *s = store_of(store);
    struct posix_file *f = mem_zalloc(sizeof *f);
    if (!f)
        return diag_set(diag, S4_NO_MEMORY, "%s/%s: out of memory", s->path, name);
    /* A pipe must not keep us waiting, and a link leads out of the directory. */
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    if (how == STORE_NEW)
        flags |= O_CREAT | O_EXCL;
    f->fd = TEMP_FAILURE_RETRY(openat(s->dir, name, flags, FILE_MODE));
    int error = f->fd < 0 ? errno : check_file(f->fd, &f->file.size);
    if (error != 0) {
        mem_free(f);
        return failed(store, name, how == STORE_NEW ? "be made" : "be opened", error, diag);
    }
    f->file.store = store;
    memcpy(f->file.name, name, strlen(name) + 1);
    *file = &f->file;
    return S4_OK;
}

static s4_status rename_file(struct store *store, const char *from, const char *to,
                             struct diag *diag)
{
    int dir = store_of(store)->dir;
    return renameat(dir, from, dir, to) == 0 ? S4_OK
                                             : failed(store, from, "be renamed", errno, diag);
}

static s4_status remove_file(struct store *store, const char *name, struct diag *diag)
{
    return unlinkat(store_of(store)->dir, name, 0) == 0
               ? S4_OK
               : failed(store, name, "be removed", errno, diag);
}

static bool is_file(DIR *dir, const struct dirent *entry)
{
    struct stat found;
    if (!store_name_valid(entry->d_name))
        return false;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_REG;
    return fstatat(dirfd(dir), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(found.st_mode);
}

static s4_status read_names(struct store *store, DIR *dir, struct store_names *names,
                            struct diag *diag)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            break;
        if (is_file(dir, entry))
            TRY(store_names_add(names, entry->d_name, diag));
    }
    return errno == 0 ? S4_OK : failed(store, ".", "be listed", errno, diag);
}

static s4_status list_files(struct store *store, struct store_names *names, struct diag *diag)
{
    /* A descriptor of its own: where a listing is belongs to the descriptor. */
    int fd = openat(store_of(store)->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return failed(store, ".", "be listed", error, diag);
    }
    struct store_names found = { 0 };
    s4_status status = read_names(store, dir, &found, diag);
    closedir(dir);
    if (status != S4_OK) {
        store_names_fini(&found);
        return status;
    }
    store_names_sort(&found);
    *names = found;
    return S4_OK;
}

static s4_status sync_names(struct store *store, struct diag *diag)
{
    return TEMP_FAILURE_RETRY(fsync(store_of(store)->dir)) == 0
               ? S4_OK
               : failed(store, ".", "be synced", errno, diag);
}

static void destroy(struct store *store)
{
    struct posix_store *s = store_of(store);
    if (s->dir >= 0)
        close(s->dir);
    mem_free(s);
}

/* ---- files --------------------------------------------------------------------------------- */

static int cut_to(struct posix_file *f, uint64_t size)
{
    return TEMP_FAILURE_RETRY(ftruncate(f->fd, (off_t)size)) == 0 ? 0 : errno;
}

static s4_status append(struct store_file *file, const void *data, size_t size, struct diag *diag)
{
    struct posix_file *f = file_of(file);
    size_t done = 0;
    while (done < size) {
        ssize_t n = TEMP_FAILURE_RETRY(
            pwrite(f->fd, (const char *)data + done, size - done, (off_t)(file->size + done)));
        if (n <= 0) {
            int error = n < 0 ? errno : ENOSPC;
            file->failed = done > 0 && cut_to(f, file->size) != 0;
            return failed(file->store, file->name, "be written", error, diag);
        }
        done += (size_t)n;
    }
    file->size += size;
    return S4_OK;
}

static s4_status read_at(struct store_file *file, uint64_t offset, void *data, size_t size,
                         size_t *got, struct diag *diag)
{
    struct posix_file *f = file_of(file);
    size_t want = offset < file->size ? size_min(size, file->size - offset) : 0;
    size_t done = 0;
    while (done < want) {
        ssize_t n = TEMP_FAILURE_RETRY(
            pread(f->fd, (char *)data + done, want - done, (off_t)(offset + done)));
        if (n < 0)
            return failed(file->store, file->name, "be read", errno, diag);
        if (n == 0)
            return diag_set(diag, S4_IO, "%s/%s: was cut by somebody else",
                            store_of(file->store)->path, file->name);
        done += (size_t)n;
    }
    *got = done;
    return S4_OK;
}

static s4_status cut(struct store_file *file, uint64_t size, struct diag *diag)
{
    int error = cut_to(file_of(file), size);
    if (error != 0)
        return failed(file->store, file->name, "be cut", error, diag);
    file->size = size;
    return S4_OK;
}

static s4_status sync_file(struct store_file *file, struct diag *diag)
{
    if (TEMP_FAILURE_RETRY(fdatasync(file_of(file)->fd)) == 0)
        return S4_OK;
    file->failed = true;
    return failed(file->store, file->name, "be synced", errno, diag);
}

static void close_file(struct store_file *file)
{
    struct posix_file *f = file_of(file);
    close(f->fd);
    mem_free(f);
}

static const struct store_ops posix_ops = {
    .open = open_file,
    .rename = rename_file,
    .remove = remove_file,
    .list = list_files,
    .sync = sync_names,
    .destroy = destroy,
    .append = append,
    .read = read_at,
    .cut = cut,
    .sync_file = sync_file,
    .close = close_file,
};

/* ---- opening a directory ------------------------------------------------------------------- */

/* The new directory's own name has to be certain too. */
static int sync_parent(int dir)
{
    int parent = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return errno;
    int error = TEMP_FAILURE_RETRY(fsync(parent)) == 0 ? 0 : errno;
    close(parent);
    return error;
}

static int open_dir(struct posix_store *s, const char *path)
{
    bool made = mkdir(path, DIR_MODE) == 0;
    if (!made && errno != EEXIST)
        return errno;
    s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0 || flock(s->dir, LOCK_EX | LOCK_NB) != 0)
        return errno;
    return made ? sync_parent(s->dir) : 0;
}

s4_status store_posix_create(const char *path, struct store **store, struct diag *diag)
{
    size_t size = strlen(path) + 1;
    struct posix_store *s = mem_alloc(sizeof *s + size);
    if (!s)
        return diag_set(diag, S4_NO_MEMORY, "%s: out of memory", path);
    *s = (struct posix_store){ .store.ops = &posix_ops, .dir = -1 };
    memcpy(s->path, path, size);
    int error = open_dir(s, path);
    if (error != 0) {
        destroy(&s->store);
        return diag_set(diag, store_posix_status(error), "%s: %s", path,
                        error == EWOULDBLOCK ? "is used by another process" : strerror(error));
    }
    *store = &s->store;
    return S4_OK;
}
