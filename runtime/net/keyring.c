/* The keys that a process knows; see the header.
 *
 * A table per role is read as a whole and takes the old one's place under the lock. A directory is
 * read again when what `stat` says of it is not what it was; while it was changed a moment ago,
 * also without that, since a second change within one tick of its clock does not show.
 */
#include "runtime/net/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/base/mem.h"

#define FRESH_S 2 /* a directory that was changed so lately may change again unseen */

struct stamp {
    dev_t device;
    ino_t inode;
    struct timespec changed;
    bool is_there;
    bool fresh;
};

struct table {
    struct curve_public *entries; /* owned, in no order */
    size_t count, capacity;
    struct stamp stamp; /* of its directory, when it was read */
};

struct keyring {
    char dir[CURVE_PATH_MAX];
    struct curve_pair own;
    atomic_uint_fast64_t version;
    pthread_mutex_t reading; /* one thread reads the directories */
    pthread_mutex_t lock;    /* of the tables */
    struct table tables[KEYRING_ROLES];
};

static const char *const folders[KEYRING_ROLES] = { "nodes", "clients" };

static bool ends_with(const char *name, const char *ending)
{
    size_t len = strlen(name), tail = strlen(ending);
    return len > tail && strcmp(name + len - tail, ending) == 0;
}

static s4_status join(const char *dir, const char *name, char path[CURVE_PATH_MAX],
                      struct diag *diag)
{
    int size = snprintf(path, CURVE_PATH_MAX, "%s/%s", dir, name);
    if (size < 0 || size >= CURVE_PATH_MAX)
        return diag_set(diag, S4_TOO_LARGE, "%s: the path is too long", dir);
    return S4_OK;
}

/* ---- directories --------------------------------------------------------------------------- */

/* A folder that is not there is an empty one. */
static s4_status look_at(const char *path, struct stamp *stamp, struct diag *diag)
{
    struct stat found;
    struct timespec now;
    *stamp = (struct stamp){ 0 };
    if (stat(path, &found) != 0) {
        if (errno == ENOENT)
            return S4_OK;
        return diag_set(diag, S4_IO, "%s: %s", path, strerror(errno));
    }
    if (!S_ISDIR(found.st_mode))
        return diag_set(diag, S4_INVALID, "%s is no directory; wanted one of keys", path);
    TRY(curve_file_check_owner(path, &found, diag));
    clock_gettime(CLOCK_REALTIME, &now);
    stamp->is_there = true;
    stamp->device = found.st_dev;
    stamp->inode = found.st_ino;
    stamp->changed = found.st_mtim;
    stamp->fresh = now.tv_sec - found.st_mtim.tv_sec < FRESH_S;
    return S4_OK;
}

static bool has_changed(const struct stamp *was, const struct stamp *is)
{
    return was->fresh || was->is_there != is->is_there || was->device != is->device ||
           was->inode != is->inode || was->changed.tv_sec != is->changed.tv_sec ||
           was->changed.tv_nsec != is->changed.tv_nsec;
}

/* One entry of a folder. */
static s4_status add(struct table *table, const char *folder, const char *name, struct diag *diag)
{
    char path[CURVE_PATH_MAX];
    void *entries = table->entries;
    TRY(join(folder, name, path, diag));
    if (table->count == KEYRING_MAX)
        return diag_set(diag, S4_FULL, "%s: more than %d keys", folder, KEYRING_MAX);
    if (!mem_grow(&entries, &table->capacity, table->count + 1, sizeof *table->entries))
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    table->entries = entries;
    TRY(curve_file_read_public(path, &table->entries[table->count], diag));
    table->count++;
    return S4_OK;
}

/* `strict`: the first file that cannot be read ends it; else it is left out. *left_out tells of
 * one. */
static s4_status read_folder(const char *folder, bool strict, struct table *table, bool *left_out,
                             struct diag *diag)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    s4_status status = S4_OK;
    if (!dir)
        return diag_set(diag, S4_IO, "%s: %s", folder, strerror(errno));
    while (status == S4_OK && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, ".public"))
            continue;
        status = add(table, folder, entry->d_name, diag);
        if (status != S4_OK && status != S4_NO_MEMORY && !strict) {
            *left_out = true;
            status = S4_OK;
        }
    }
    closedir(dir);
    return status;
}

static s4_status refresh_table(struct keyring *ring, enum keyring_role role, bool strict,
                               bool *left_out, struct diag *diag)
{
    char folder[CURVE_PATH_MAX];
    struct table fresh = { 0 }, *table = &ring->tables[role];
    TRY(join(ring->dir, folders[role], folder, diag));
    TRY(look_at(folder, &fresh.stamp, diag));
    if (!strict && !has_changed(&table->stamp, &fresh.stamp))
        return S4_OK;
    if (fresh.stamp.is_there) {
        s4_status status = read_folder(folder, strict, &fresh, left_out, diag);
        if (status != S4_OK) {
            mem_free(fresh.entries);
            return status;
        }
    }
    pthread_mutex_lock(&ring->lock);
    struct table old = *table;
    *table = fresh;
    pthread_mutex_unlock(&ring->lock);
    mem_free(old.entries);
    atomic_fetch_add(&ring->version, 1);
    return S4_OK;
}

s4_status keyring_refresh(struct keyring *ring, bool *complaint, struct diag *diag)
{
    s4_status status = S4_OK;
    *complaint = false;
    pthread_mutex_lock(&ring->reading);
    for (int role = 0; role < KEYRING_ROLES && status == S4_OK; role++)
        status = refresh_table(ring, role, false, complaint, diag);
    pthread_mutex_unlock(&ring->reading);
    return status;
}

uint64_t keyring_version(const struct keyring *ring)
{
    return atomic_load(&ring->version);
}

/* ---- life ---------------------------------------------------------------------------------- */

static s4_status no_secret(const char *dir, struct diag *diag)
{
    return diag_set(diag, S4_NOT_FOUND,
                    "%s has no secret key; wanted a file NAME.secret in it, or another one with "
                    "--secret (`s4 keygen NAME --dir %s` makes one)",
                    dir, dir);
}

/* The only secret in the directory. */
static s4_status find_secret(const char *path, char found[CURVE_PATH_MAX], struct diag *diag)
{
    char name[CURVE_NAME_MAX + 16] = "";
    s4_status status = S4_OK;
    DIR *dir = opendir(path);
    struct dirent *entry;
    if (!dir)
        return diag_set(diag, errno == ENOENT ? S4_NOT_FOUND : S4_IO, "%s: %s", path,
                        strerror(errno));
    while (status == S4_OK && (entry = readdir(dir))) {
        if (!ends_with(entry->d_name, ".secret") || strlen(entry->d_name) >= sizeof name)
            continue;
        if (name[0])
            status =
                diag_set(diag, S4_INVALID,
                         "%s has the secret keys %s and %s; say with --secret which one is to be "
                         "used, and keep only your own there",
                         path, name, entry->d_name);
        snprintf(name, sizeof name, "%.*s", (int)sizeof name - 1, entry->d_name);
    }
    closedir(dir);
    TRY(status);
    return name[0] ? join(path, name, found, diag) : no_secret(path, diag);
}

static s4_status read_keys(struct keyring *ring, const char *secret, struct diag *diag)
{
    char found[CURVE_PATH_MAX];
    bool left_out;
    struct stamp stamp;
    TRY(look_at(ring->dir, &stamp, diag));
    if (!stamp.is_there)
        return diag_set(diag, S4_NOT_FOUND, "%s: there is no such directory of keys", ring->dir);
    if (!secret) {
        TRY(find_secret(ring->dir, found, diag));
        secret = found;
    }
    TRY(curve_file_read_secret(secret, &ring->own, diag));
    for (int role = 0; role < KEYRING_ROLES; role++)
        TRY(refresh_table(ring, role, true, &left_out, diag));
    return S4_OK;
}

s4_status keyring_open(const char *dir, const char *secret, struct keyring **ring,
                       struct diag *diag)
{
    struct keyring *made = mem_zalloc(sizeof *made);
    if (!made)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    CHECK(pthread_mutex_init(&made->reading, NULL) == 0);
    CHECK(pthread_mutex_init(&made->lock, NULL) == 0);
    int size = snprintf(made->dir, sizeof made->dir, "%s", dir);
    s4_status status = S4_OK;
    if (size < 0 || (size_t)size >= sizeof made->dir)
        status = diag_set(diag, S4_TOO_LARGE, "%s: the path is too long", dir);
    if (status == S4_OK)
        status = read_keys(made, secret, diag);
    if (status == S4_OK)
        *ring = made;
    else
        keyring_close(made);
    return status;
}

void keyring_close(struct keyring *ring)
{
    if (!ring)
        return;
    for (int role = 0; role < KEYRING_ROLES; role++)
        mem_free(ring->tables[role].entries);
    pthread_mutex_destroy(&ring->lock);
    pthread_mutex_destroy(&ring->reading);
    curve_pair_wipe(&ring->own);
    mem_free(ring);
}

const struct curve_pair *keyring_own(const struct keyring *ring)
{
    return &ring->own;
}

const char *keyring_dir(const struct keyring *ring)
{
    return ring->dir;
}

/* ---- asking -------------------------------------------------------------------------------- */

static bool has_key(const struct curve_public *entry, const uint8_t key[CURVE_BYTES])
{
    for (uint32_t i = 0; i < entry->count; i++)
        if (memcmp(entry->keys[i], key, CURVE_BYTES) == 0)
            return true;
    return false;
}

bool keyring_find(struct keyring *ring, enum keyring_role role, const uint8_t key[CURVE_BYTES],
                  char name[CURVE_NAME_MAX + 1])
{
    const struct table *table = &ring->tables[role];
    bool found = false;
    pthread_mutex_lock(&ring->lock);
    for (size_t i = 0; i < table->count && !found; i++) {
        found = has_key(&table->entries[i], key);
        if (found && name)
            memcpy(name, table->entries[i].name, CURVE_NAME_MAX + 1);
    }
    pthread_mutex_unlock(&ring->lock);
    return found;
}

static const struct curve_public *find_name(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->entries[i].name, name) == 0)
            return &table->entries[i];
    return NULL;
}

s4_status keyring_of_node(struct keyring *ring, const char *name, uint64_t turn,
                          uint8_t key[CURVE_BYTES], struct diag *diag)
{
    const struct table *table = &ring->tables[KEYRING_NODE];
    pthread_mutex_lock(&ring->lock);
    size_t count = table->count;
    const struct curve_public *entry = NULL;
    if (name)
        entry = find_name(table, name);
    else if (count == 1)
        entry = &table->entries[0];
    if (entry)
        memcpy(key, entry->keys[turn % entry->count], CURVE_BYTES);
    pthread_mutex_unlock(&ring->lock);
    if (entry)
        return S4_OK;
    if (name)
        return diag_set(diag, S4_NOT_FOUND,
                        "%s/nodes has no key of a node '%s'; wanted its file %s.public", ring->dir,
                        name, name);
    return diag_set(diag, S4_NOT_FOUND,
                    "%s/nodes has the keys of %zu nodes; say with --server which one is meant",
                    ring->dir, count);
}
