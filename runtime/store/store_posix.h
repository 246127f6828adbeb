/* Files in a directory of the machine. */
#ifndef RUNTIME_STORE_STORE_POSIX_H
#define RUNTIME_STORE_STORE_POSIX_H

#include "runtime/store/store.h"

/* Opens a directory, or makes it (for its owner only) in one that exists. S4_BUSY: another store,
 * of this process or of another, has it open. */
s4_status store_posix_create(const char *path, struct store **store, struct diag *diag) MUST_USE;

/* What an errno of a file is called here. */
s4_status store_posix_status(int error);

#endif
