/* Files as commands read and write them: whole, with limits, and never half-written under their
 * names. */
#ifndef APPS_S4_FILE_H
#define APPS_S4_FILE_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"

/* Appends a file's content. S4_NOT_FOUND, S4_PERMISSION, S4_IO, S4_TOO_LARGE: over `most` bytes. */
s4_status file_read(const char *path, size_t most, struct buffer *content,
                    struct diag *diag) MUST_USE;

/* Makes the file, or replaces it in one step; on failure what was there stays. */
s4_status file_write(const char *path, const void *bytes, size_t size, struct diag *diag) MUST_USE;

/* S4_NOT_FOUND, S4_PERMISSION, S4_EXISTS, S4_FULL (the disk) or S4_IO, and "PATH: what errno says".
 */
s4_status file_failed(struct diag *diag, const char *path, int error);

#endif
