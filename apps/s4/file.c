/* Files as commands read and write them; see the header. */
#include "apps/s4/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4096

s4_status file_failed(struct diag *diag, const char *path, int error)
{
    s4_status status = S4_IO;
    if (error == ENOENT || error == ENOTDIR)
        status = S4_NOT_FOUND;
    else if (error == EACCES || error == EPERM || error == EROFS)
        status = S4_PERMISSION;
    else if (error == EEXIST)
        status = S4_EXISTS;
    else if (error == ENOSPC || error == EDQUOT)
        status = S4_FULL;
    return diag_set_at(diag, status, path, 0, 0, "%s", strerror(error));
}

/* Reads to the end or one byte past the limit. */
static s4_status read_all(int fd, const char *path, size_t most, struct buffer *content,
                          struct diag *diag)
{
    size_t before = content->size;
    for (;;) {
        size_t want = size_min(64 * KIB, most + 1 - (content->size - before));
        char *room = buffer_room(content, want);
        if (!room)
            return diag_set_at(diag, S4_NO_MEMORY, path, 0, 0, "out of memory");
        content->size -= want; /* what is read is added below */
        ssize_t n = read(fd, room, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_failed(diag, path, errno);
        if (n == 0)
            return S4_OK;
        content->size += (size_t)n;
        if (content->size - before > most)
            return diag_set_at(diag, S4_TOO_LARGE, path, 0, 0, "larger than %zu bytes", most);
    }
}

s4_status file_read(const char *path, size_t most, struct buffer *content, struct diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_failed(diag, path, errno);
    size_t before = content->size;
    s4_status status = read_all(fd, path, most, content, diag);
    if (status != S4_OK)
        content->size = before;
    close(fd);
    return status;
}

static s4_status write_all(int fd, const char *path, const char *bytes, size_t size,
                           struct diag *diag)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_failed(diag, path, errno);
        bytes += n;
        size -= (size_t)n;
    }
    return S4_OK;
}

/* Devices and pipes are written as they are. */
static bool is_special(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && !S_ISREG(found.st_mode);
}

s4_status file_write(const char *path, const void *bytes, size_t size, struct diag *diag)
{
    char part[PATH_ROOM];
    bool special = is_special(path);
    int n = special ? snprintf(part, sizeof part, "%s", path)
                    : snprintf(part, sizeof part, "%s.%ld.part", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof part)
        return diag_set(diag, S4_TOO_LARGE, "%s: the path is too long", path);
    int fd =
        open(part, special ? O_WRONLY | O_CLOEXEC : O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return file_failed(diag, path, errno);
    s4_status status = write_all(fd, path, bytes, size, diag);
    if (close(fd) != 0 && status == S4_OK)
        status = file_failed(diag, path, errno);
    if (special)
        return status;
    if (status == S4_OK && rename(part, path) != 0)
        status = file_failed(diag, path, errno);
    if (status != S4_OK)
        unlink(part);
    return status;
}
