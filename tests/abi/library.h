/* The bytes of a plugin that was built here. */
#ifndef TESTS_ABI_LIBRARY_H
#define TESTS_ABI_LIBRARY_H

#include "runtime/base/buffer.h"

/* "no_note": tests/abi/no_note.c, built. The test ends where it cannot be read. buffer_fini. */
struct buffer library_read(const char *name);

#endif
