/* Files in and out of a tar.zst, through libarchive.
 *
 * Reading takes two steps. First the zstd frame becomes a tar in memory, piece by piece, and stops
 * at the first byte too many: after that nothing can grow any more, and a file that was cut short
 * has been found, since the frame has to be whole. Then the tar is walked. libarchive is only told
 * of zstd and tar, and would unwrap a zstd in a zstd by itself: exactly one filter is taken.
 */
#include "pe/bundle/package.h"

#include <archive.h>
#include <archive_entry.h>

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

const struct package_limits package_limits_default = {
    .packed_max = 64 * MIB,
    .bytes_max = 64 * MIB,
    .ratio_max = 100,
    .entries_max = 1000,
    .path_max = 200,
};

/* ---- entries ------------------------------------------------------------------------------- */

void package_init(struct package *package)
{
    *package = (struct package){ 0 };
}

void package_fini(struct package *package)
{
    for (size_t i = 0; i < package->count; i++) {
        mem_free(package->entries[i].path);
        mem_free(package->entries[i].data);
    }
    mem_free(package->entries);
    package_init(package);
}

/* Where a path is, or would be. */
static size_t place_of(const struct package *package, const char *path, bool *there)
{
    size_t low = 0, high = package->count;
    *there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(package->entries[middle].path, path);
        *there |= order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct package_entry *package_find(const struct package *package, const char *path)
{
    bool there;
    size_t at = place_of(package, path, &there);
    return there ? &package->entries[at] : NULL;
}

/* Relative, of plain letters, no empty component and none that is . or .. */
static bool path_valid(const char *path, size_t max)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-@/";
    size_t len = strnlen(path, max + 1);
    if (len == 0 || len > max || strspn(path, letters) != len)
        return false;
    for (const char *at = path;;) {
        size_t part = strcspn(at, "/");
        if (part == 0 || (part <= 2 && strspn(at, ".") >= part))
            return false;
        if (at[part] == '\0')
            return true;
        at += part + 1;
    }
}

struct shown {
    char text[84];
};

/* A stranger's path, fit for a message. */
static struct shown show(const char *path)
{
    struct shown shown;
    snprintf(shown.text, sizeof shown.text, "%s", path ? path : "");
    for (char *at = shown.text; *at; at++)
        if (*at < ' ' || *at == 0x7f)
            *at = '?';
    return shown;
}

static s4_status no_memory(struct diag *diag)
{
    return diag_set(diag, S4_NO_MEMORY, "out of memory");
}

/* Makes room for an entry of `size` bytes. */
static s4_status insert(struct package *package, const char *path, size_t size,
                        const struct package_limits *limits, struct package_entry **entry,
                        struct diag *diag)
{
    bool there;
    if (!path || !path_valid(path, limits->path_max))
        return diag_set(diag, S4_INVALID,
                        "the path \"%s\" is not taken: a path in a bundle is relative, without .., "
                        "of at most %u plain letters",
                        show(path).text, limits->path_max);
    size_t at = place_of(package, path, &there);
    if (there)
        return diag_set(diag, S4_EXISTS, "the path \"%s\" is there twice", path);
    if (package->count == limits->entries_max)
        return diag_set(diag, S4_TOO_LARGE, "the bundle has more than %u files",
                        limits->entries_max);
    void *entries = package->entries;
    if (!mem_grow(&entries, &package->capacity, package->count + 1, sizeof *package->entries))
        return no_memory(diag);
    package->entries = entries;
    struct package_entry made = { mem_strdup(path), mem_alloc(size + 1), size };
    if (!made.path || !made.data) {
        mem_free(made.path);
        mem_free(made.data);
        return no_memory(diag);
    }
    made.data[size] = '\0';
    memmove(&package->entries[at + 1], &package->entries[at],
            (package->count - at) * sizeof *package->entries);
    package->entries[at] = made;
    package->count++;
    *entry = &package->entries[at];
    return S4_OK;
}

s4_status package_add(struct package *package, const char *path, const void *data, size_t size,
                      struct diag *diag)
{
    struct package_entry *entry = NULL;
    TRY(insert(package, path, size, &package_limits_default, &entry, diag));
    CHECK(entry);
    if (size > 0)
        memcpy(entry->data, data, size);
    return S4_OK;
}

uint64_t package_hash(const struct package *package)
{
    uint64_t hash = hash_bytes("s4r", 3);
    for (size_t i = 0; i < package->count; i++) {
        const struct package_entry *entry = &package->entries[i];
        hash = hash_mix(hash, hash_bytes(entry->path, strlen(entry->path)));
        hash = hash_mix(hash, hash_bytes(entry->data, entry->size));
    }
    return hash;
}

/* ---- writing ------------------------------------------------------------------------------- */

static la_ssize_t append(struct archive *archive, void *out, const void *data, size_t size)
{
    if (buffer_append(out, data, size) == S4_OK)
        return (la_ssize_t)size;
    archive_set_error(archive, -1, "out of memory");
    return -1;
}

static bool write_entry(struct archive *archive, struct archive_entry *header,
                        const struct package_entry *entry)
{
    archive_entry_clear(header);
    archive_entry_set_pathname(header, entry->path);
    archive_entry_set_filetype(header, AE_IFREG);
    archive_entry_set_perm(header, 0644);
    archive_entry_set_size(header, (la_int64_t)entry->size);
    archive_entry_set_mtime(header, 0, 0);
    return archive_write_header(archive, header) == ARCHIVE_OK &&
           archive_write_data(archive, entry->data, entry->size) == (la_ssize_t)entry->size;
}

static bool write_all(struct archive *archive, const struct package *package, struct buffer *out)
{
    if (archive_write_add_filter_zstd(archive) != ARCHIVE_OK ||
        archive_write_set_filter_option(archive, "zstd", "compression-level", "9") != ARCHIVE_OK ||
        archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
        archive_write_open(archive, out, NULL, append, NULL) != ARCHIVE_OK)
        return false;
    struct archive_entry *header = archive_entry_new();
    bool good = header != NULL;
    for (size_t i = 0; good && i < package->count; i++)
        good = write_entry(archive, header, &package->entries[i]);
    archive_entry_free(header);
    return good && archive_write_close(archive) == ARCHIVE_OK;
}

s4_status package_write(const struct package *package, struct buffer *out, struct diag *diag)
{
    size_t before = out->size;
    struct archive *archive = archive_write_new();
    if (!archive)
        return no_memory(diag);
    s4_status status = S4_OK;
    if (!write_all(archive, package, out)) {
        const char *why = archive_error_string(archive);
        status = archive_errno(archive) == -1 ? S4_NO_MEMORY : S4_FAILED;
        (void)diag_set(diag, status, "the bundle cannot be written: %s", why ? why : "libarchive");
    }
    archive_write_free(archive);
    if (status != S4_OK)
        out->size = before;
    return status;
}

/* ---- reading: the zstd frame --------------------------------------------------------------- */

static s4_status damaged(struct archive *archive, struct diag *diag)
{
    const char *why = archive_error_string(archive);
    return diag_set(diag, S4_MALFORMED, "the bundle is damaged: %s",
                    why ? show(why).text : "it ends too early");
}

static s4_status not_one(struct diag *diag)
{
    return diag_set(diag, S4_MALFORMED, "it is not a bundle (a tar compressed with zstd)");
}

static s4_status too_large(const struct package_limits *limits, struct diag *diag)
{
    return diag_set(diag, S4_TOO_LARGE, "the bundle unpacks to more than %zu bytes",
                    limits->bytes_max);
}

static s4_status unpack_piece(struct archive *archive, size_t packed,
                              const struct package_limits *limits, struct buffer *tar, bool *end,
                              struct diag *diag)
{
    char *piece = buffer_room(tar, 64 * KIB);
    if (!piece)
        return no_memory(diag);
    la_ssize_t n = archive_read_data(archive, piece, 64 * KIB);
    if (n < 0)
        return damaged(archive, diag);
    tar->size -= 64 * KIB - (size_t)n;
    *end = n == 0;
    if (tar->size > limits->bytes_max)
        return too_large(limits, diag);
    if (tar->size > PACKAGE_SMALL && tar->size / packed > limits->ratio_max)
        return diag_set(diag, S4_TOO_LARGE, "the bundle unpacks to more than %zu times its size",
                        limits->ratio_max);
    return S4_OK;
}

static s4_status unpack_frame(struct archive *archive, const void *bytes, size_t size,
                              const struct package_limits *limits, struct buffer *tar,
                              struct diag *diag)
{
    static const char magic[] = { '\x28', '\xb5', '\x2f', '\xfd' }; /* of a zstd frame */
    struct archive_entry *entry;
    if (archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
        archive_read_support_format_raw(archive) != ARCHIVE_OK)
        return diag_set(diag, S4_UNSUPPORTED, "this libarchive cannot read zstd");
    if (size < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0)
        return not_one(diag);
    if (archive_read_open_memory(archive, bytes, size) != ARCHIVE_OK ||
        archive_read_next_header(archive, &entry) != ARCHIVE_OK)
        return damaged(archive, diag);
    if (archive_filter_code(archive, 0) != ARCHIVE_FILTER_ZSTD ||
        archive_filter_code(archive, 1) != ARCHIVE_FILTER_NONE)
        return not_one(diag);
    for (bool end = false; !end;)
        TRY(unpack_piece(archive, size, limits, tar, &end, diag));
    return S4_OK;
}

static s4_status unpack(const void *bytes, size_t size, const struct package_limits *limits,
                        struct buffer *tar, struct diag *diag)
{
    if (size > limits->packed_max)
        return diag_set(diag, S4_TOO_LARGE, "the bundle has %zu bytes; the limit is %zu", size,
                        limits->packed_max);
    if (size == 0)
        return diag_set(diag, S4_MALFORMED, "the bundle is empty");
    struct archive *archive = archive_read_new();
    if (!archive)
        return no_memory(diag);
    s4_status status = unpack_frame(archive, bytes, size, limits, tar, diag);
    archive_read_free(archive);
    return status;
}

/* ---- reading: the tar ---------------------------------------------------------------------- */

static s4_status take_entry(struct archive *archive, struct archive_entry *header, size_t *total,
                            const struct package_limits *limits, struct package *package,
                            struct diag *diag)
{
    const char *path = archive_entry_pathname(header);
    if (archive_entry_filetype(header) != AE_IFREG || archive_entry_hardlink(header) ||
        archive_entry_symlink(header) || archive_entry_sparse_count(header) > 0)
        return diag_set(diag, S4_INVALID,
                        "\"%s\" is not a regular file; a bundle has no links, folders or devices",
                        show(path).text);
    la_int64_t size = archive_entry_size(header);
    if (!archive_entry_size_is_set(header) || size < 0)
        return diag_set(diag, S4_MALFORMED, "the bundle is damaged: \"%s\" has no size",
                        show(path).text);
    if ((uint64_t)size > limits->bytes_max - *total)
        return too_large(limits, diag);
    *total += (size_t)size;
    struct package_entry *entry = NULL;
    TRY(insert(package, path, (size_t)size, limits, &entry, diag));
    CHECK(entry);
    if (archive_read_data(archive, entry->data, entry->size) != (la_ssize_t)entry->size)
        return damaged(archive, diag);
    return S4_OK;
}

static s4_status walk(struct archive *archive, const struct buffer *tar,
                      const struct package_limits *limits, struct package *package,
                      struct diag *diag)
{
    size_t total = 0;
    if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_open_memory(archive, tar->data, tar->size) != ARCHIVE_OK)
        return damaged(archive, diag);
    for (;;) {
        struct archive_entry *header;
        int outcome = archive_read_next_header(archive, &header);
        if (outcome == ARCHIVE_EOF)
            return S4_OK;
        if (outcome != ARCHIVE_OK)
            return damaged(archive, diag);
        TRY(take_entry(archive, header, &total, limits, package, diag));
    }
}

s4_status package_read(const void *bytes, size_t size, const struct package_limits *limits,
                       struct package *package, struct diag *diag)
{
    struct buffer tar;
    struct package made;
    buffer_init(&tar);
    package_init(&made);
    s4_status status = unpack(bytes, size, limits, &tar, diag);
    struct archive *archive = status == S4_OK ? archive_read_new() : NULL;
    if (status == S4_OK)
        status = archive ? walk(archive, &tar, limits, &made, diag) : no_memory(diag);
    archive_read_free(archive);
    buffer_fini(&tar);
    if (status == S4_OK)
        *package = made;
    else
        package_fini(&made);
    return status;
}

s4_status package_check(const void *bytes, size_t size, struct diag *diag)
{
    struct package package;
    TRY(package_read(bytes, size, &package_limits_default, &package, diag));
    package_fini(&package);
    return S4_OK;
}
