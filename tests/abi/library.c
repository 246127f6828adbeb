/* The bytes of a plugin that was built here. */
#include "tests/abi/library.h"

#include <check.h>

struct buffer library_read(const char *name)
{
    char path[512];
    struct buffer bytes;
    buffer_init(&bytes);
    snprintf(path, sizeof path, "%s/%s.so", ABI_DIR, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s is not there", path);
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        ck_assert_int_eq(buffer_append(&bytes, piece, n), S4_OK);
    fclose(file);
    return bytes;
}
