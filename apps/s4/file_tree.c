/* The files below a folder; see the header. Links are refused and not followed: what is packed is
 * what lies there, and nothing from elsewhere comes along unseen. */
#include "apps/s4/file_tree.h"

#include <errno.h>
#include <fts.h>

#include "apps/s4/file.h"
#include "pe/bundle/bundle.h"

/* One file, `name` from the folder on; *left is what all files together may still have. */
static s4_status add_file(const char *path, const char *name, struct package *files, size_t *left,
                          struct diag *diag)
{
    struct buffer content, stored;
    buffer_init(&content);
    buffer_init(&stored);
    s4_status status = file_read(path, *left, &content, diag);
    if (status == S4_OK && buffer_printf(&stored, BUNDLE_FILES "%s", name) != S4_OK)
        status = diag_set(diag, S4_NO_MEMORY, "out of memory");
    if (status == S4_OK) {
        *left -= content.size;
        status = package_add(files, buffer_text(&stored), content.data, content.size, diag);
    }
    buffer_fini(&content);
    buffer_fini(&stored);
    return status;
}

static s4_status walk(FTS *tree, size_t root_len, struct package *files, struct diag *diag)
{
    size_t left = package_limits_default.bytes_max;
    FTSENT *at;
    while (errno = 0, (at = fts_read(tree)) != NULL) {
        switch (at->fts_info) {
        case FTS_D:
        case FTS_DP:
            continue;
        case FTS_F:
            if (at->fts_level == FTS_ROOTLEVEL)
                return diag_set(diag, S4_INVALID, "%s: not a folder", at->fts_path);
            TRY(add_file(at->fts_path, at->fts_path + root_len + 1, files, &left, diag));
            continue;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            return file_failed(diag, at->fts_path, at->fts_errno);
        default:
            return diag_set(diag, S4_INVALID,
                            "%s: neither a file nor a folder; a bundle has no "
                            "links or devices",
                            at->fts_path);
        }
    }
    return errno == 0 ? S4_OK : diag_set(diag, S4_IO, "%s", strerror(errno));
}

s4_status file_tree_add(const char *folder, struct package *files, struct diag *diag)
{
    char root[4096];
    size_t len = strnlen(folder, sizeof root);
    if (len == 0 || len == sizeof root)
        return file_failed(diag, folder, len == 0 ? ENOENT : ENAMETOOLONG);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    snprintf(root, sizeof root, "%.*s", (int)len, folder);
    char *const roots[] = { root, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!tree)
        return file_failed(diag, folder, errno);
    s4_status status = walk(tree, strcmp(root, "/") == 0 ? 0 : len, files, diag);
    fts_close(tree);
    return status;
}
