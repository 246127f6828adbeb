/* What every store refuses in the same way, and lists of names; see the header. */
#include "runtime/store/store.h"

#include "runtime/base/mem.h"

bool store_name_valid(const char *name)
{
    size_t size = strnlen(name, STORE_NAME_MAX + 1);
    return size > 0 && size <= STORE_NAME_MAX && name[0] != '.' && !memchr(name, '/', size);
}

static s4_status check_name(const char *name, struct diag *diag)
{
    return store_name_valid(name)
               ? S4_OK
               : diag_set(diag, S4_INVALID,
                          "\"%s\" cannot be a file's name: wanted are 1 to %d bytes without '/' "
                          "that do not begin with '.'",
                          name, STORE_NAME_MAX);
}

s4_status store_open(struct store *store, const char *name, enum store_open how,
                     struct store_file **file, struct diag *diag)
{
    TRY(check_name(name, diag));
    return store->ops->open(store, name, how, file, diag);
}

s4_status store_rename(struct store *store, const char *from, const char *to, struct diag *diag)
{
    TRY(check_name(from, diag));
    TRY(check_name(to, diag));
    return store->ops->rename(store, from, to, diag);
}

s4_status store_remove(struct store *store, const char *name, struct diag *diag)
{
    TRY(check_name(name, diag));
    return store->ops->remove(store, name, diag);
}

/* ---- files --------------------------------------------------------------------------------- */

static s4_status check_whole(const struct store_file *file, struct diag *diag)
{
    return file->failed
               ? diag_set(diag, S4_IO, "%s: an earlier write failed, and what it left is in doubt",
                          file->name)
               : S4_OK;
}

s4_status store_file_append(struct store_file *file, const void *data, size_t size,
                            struct diag *diag)
{
    TRY(check_whole(file, diag));
    if (size == 0)
        return S4_OK;
    return file->store->ops->append(file, data, size, diag);
}

s4_status store_file_cut(struct store_file *file, uint64_t size, struct diag *diag)
{
    TRY(check_whole(file, diag));
    if (size > file->size)
        return diag_set(diag, S4_RANGE, "%s: has %llu bytes and cannot be cut to %llu", file->name,
                        (unsigned long long)file->size, (unsigned long long)size);
    return file->store->ops->cut(file, size, diag);
}

s4_status store_file_sync(struct store_file *file, struct diag *diag)
{
    TRY(check_whole(file, diag));
    return file->store->ops->sync_file(file, diag);
}

/* ---- names --------------------------------------------------------------------------------- */

s4_status store_names_add(struct store_names *names, const char *name, struct diag *diag)
{
    if (names->count == STORE_FILES_MAX)
        return diag_set(diag, S4_TOO_LARGE, "there are more than %d files", STORE_FILES_MAX);
    void *list = names->list;
    if (!mem_grow(&list, &names->capacity, names->count + 1, sizeof *names->list))
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    names->list = list;
    char *copy = mem_strdup(name);
    if (!copy)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    names->list[names->count++] = copy;
    return S4_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void store_names_sort(struct store_names *names)
{
    if (names->count > 0)
        qsort(names->list, names->count, sizeof *names->list, by_bytes);
}

void store_names_fini(struct store_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->list[i]);
    mem_free(names->list);
    *names = (struct store_names){ 0 };
}
