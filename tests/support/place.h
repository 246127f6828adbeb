/* A store under a test: simulated, or a directory that is made for it and removed after it. */
#ifndef TESTS_SUPPORT_PLACE_H
#define TESTS_SUPPORT_PLACE_H

#include "runtime/store/store.h"

enum place_kind {
    PLACE_SIM,
    PLACE_POSIX,
};

struct place {
    enum place_kind kind;
    struct store *store;
    char dir[64]; /* of a real one */
};

/* Aborts on any error. */
void place_open(struct place *place, enum place_kind kind, uint64_t seed);
void place_close(struct place *place);
/* As the next process finds it: a real store is closed and opened again. */
void place_again(struct place *place);

/* Makes a file of these bytes. */
void place_put(struct place *place, const char *name, const void *data, size_t size);
/* Does the file hold just these bytes? */
bool place_has(struct place *place, const char *name, const void *data, size_t size);

#endif
