/* Snapshots in a store; see the header. */
#include "pe/host/snapshot.h"

#include "runtime/base/hash.h"

#define SNAPSHOT_MAGIC 0x314e5334u /* "4SN1" */

struct head {
    uint32_t magic;
    uint32_t version;
    uint64_t size;
    uint64_t data;   /* XXH3 */
    uint64_t name;   /* XXH3 */
    uint64_t before; /* XXH3 of the fields before this one */
};

_Static_assert(sizeof(struct head) == 40, "part of the format");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "saved numbers are little-endian");

static uint64_t hash_head(const struct head *head)
{
    return hash_bytes(head, offsetof(struct head, before));
}

/* ---- writing ------------------------------------------------------------------------------- */

static s4_status fill(struct store_file *file, const char *name, const void *data, size_t size,
                      struct diag *diag)
{
    struct head head = {
        .magic = SNAPSHOT_MAGIC,
        .version = SNAPSHOT_VERSION,
        .size = size,
        .data = hash_bytes(data, size),
        .name = hash_bytes(name, strlen(name)),
    };
    head.before = hash_head(&head);
    TRY(store_file_append(file, &head, sizeof head, diag));
    TRY(store_file_append(file, data, size, diag));
    return store_file_sync(file, diag);
}

/* Removes a file that may be there. */
static s4_status clear(struct store *store, const char *name)
{
    s4_status status = store_remove(store, name, NULL);
    return status == S4_NOT_FOUND ? S4_OK : status;
}

static s4_status write_part(struct store *store, const char *part, const char *name,
                            const void *data, size_t size, struct diag *diag)
{
    struct store_file *file;
    TRY(store_open(store, part, STORE_NEW, &file, diag));
    s4_status status = fill(file, name, data, size, diag);
    store_file_close(file);
    return status;
}

s4_status snapshot_write(struct store *store, const char *name, const void *data, size_t size,
                         struct diag *diag)
{
    char part[STORE_NAME_MAX + 1];
    if (strlen(name) > SNAPSHOT_NAME_MAX)
        return diag_set(diag, S4_INVALID, "\"%s\": a snapshot's name has at most %zu bytes", name,
                        SNAPSHOT_NAME_MAX);
    snprintf(part, sizeof part, "%s%s", name, SNAPSHOT_PART);
    s4_status status = clear(store, part); /* of a writer that failed */
    if (status != S4_OK)
        return diag_set(diag, status, "%s: cannot be removed: %s", part, s4_status_text(status));
    status = write_part(store, part, name, data, size, diag);
    if (status == S4_OK)
        status = store_rename(store, part, name, diag);
    if (status != S4_OK) {
        (void)!clear(store, part); /* if it stays, it is in nobody's way */
        return status;
    }
    return store_sync(store, diag);
}

/* ---- reading ------------------------------------------------------------------------------- */

static s4_status corrupt(const char *name, const char *what, struct diag *diag)
{
    return diag_set(diag, S4_CORRUPT, "snapshot %s: %s", name, what);
}

static s4_status check_head(const struct head *head, uint64_t size, const char *name,
                            struct diag *diag)
{
    if (head->magic != SNAPSHOT_MAGIC)
        return corrupt(name, "is none", diag);
    if (head->before != hash_head(head))
        return corrupt(name, "its head is damaged", diag);
    if (head->version != SNAPSHOT_VERSION)
        return diag_set(diag, S4_VERSION, "snapshot %s: version %u, this program reads %u", name,
                        head->version, SNAPSHOT_VERSION);
    if (head->name != hash_bytes(name, strlen(name)))
        return corrupt(name, "was written under another name", diag);
    return head->size == size ? S4_OK : corrupt(name, "is not whole", diag);
}

static s4_status read_file(struct store_file *file, const char *name, struct buffer *data,
                           struct diag *diag)
{
    struct head head;
    size_t got;
    TRY(store_file_read(file, 0, &head, sizeof head, &got, diag));
    if (got < sizeof head)
        return corrupt(name, "is not whole", diag);
    TRY(check_head(&head, store_file_size(file) - sizeof head, name, diag));
    char *room = buffer_room(data, head.size);
    if (!room)
        return diag_set(diag, S4_NO_MEMORY, "snapshot %s: out of memory", name);
    TRY(store_file_read(file, sizeof head, room, head.size, &got, diag));
    return got == head.size && head.data == hash_bytes(room, got)
               ? S4_OK
               : corrupt(name, "its bytes are damaged", diag);
}

s4_status snapshot_read(struct store *store, const char *name, struct buffer *data,
                        struct diag *diag)
{
    struct store_file *file;
    size_t before = data->size;
    TRY(store_open(store, name, STORE_EXISTING, &file, diag));
    s4_status status = read_file(file, name, data, diag);
    store_file_close(file);
    if (status != S4_OK)
        data->size = before;
    return status;
}

/* ---- sweeping ------------------------------------------------------------------------------ */

static bool is_part(const char *name)
{
    size_t size = strlen(name), tail = sizeof SNAPSHOT_PART - 1;
    return size > tail && strcmp(name + size - tail, SNAPSHOT_PART) == 0;
}

s4_status snapshot_sweep(struct store *store, struct diag *diag)
{
    struct store_names names = { 0 };
    TRY(store_list(store, &names, diag));
    s4_status status = S4_OK;
    for (size_t i = 0; status == S4_OK && i < names.count; i++)
        if (is_part(names.list[i]))
            status = store_remove(store, names.list[i], diag);
    store_names_fini(&names);
    return status;
}
