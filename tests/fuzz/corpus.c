/* main() of a fuzz target where there is no libFuzzer: runs every file of the folder that it is
 * given through the target once. A crash or a sanitizer's report is the failure; an empty folder is
 * one too. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/base.h"

#define INPUT_MAX (4 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_file(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    CHECK(file);
    uint8_t *bytes = malloc(INPUT_MAX);
    CHECK(bytes);
    size_t size = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    /* A copy of the exact size, so that ASan sees the first byte behind it. */
    uint8_t *input = malloc(size ? size : 1);
    CHECK(input);
    memcpy(input, bytes, size);
    free(bytes);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    DIR *folder = opendir(argv[1]);
    CHECK(folder);
    int n = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        run_file(argv[1], entry->d_name);
        n++;
    }
    closedir(folder);
    printf("%d inputs\n", n);
    return n ? 0 : 1;
}
