/* What every saved form must stand: bytes that are cut or bent, and memory that runs out while it
 * is saved or loaded. */
#ifndef TESTS_SUPPORT_SAVED_CHECK_H
#define TESTS_SUPPORT_SAVED_CHECK_H

#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/base/rng.h"

/* Of a thing that is saved: each takes one that `create` made, empty. */
struct saved_ops {
    void *(*create)(const void *user);
    void (*destroy)(void *thing);
    void (*validate)(const void *thing);
    s4_status (*save)(const void *thing, struct buffer *out);
    s4_status (*load)(void *thing, const char **at, const char *end, struct diag *diag);
    uint64_t (*rows)(const void *thing);
};

/* Every cut is S4_CORRUPT and leaves *at; every bent one is refused with a diag, or loads to
 * something that is valid. */
void saved_distrusts(const struct saved_ops *ops, const void *user, const struct buffer *saved,
                     struct rng *rng);
/* With the first, second, ... allocation failing: S4_NO_MEMORY, nothing loaded and nothing written,
 * until it has what it needs, and then `rows`. */
void saved_survives_lack_of_memory(const struct saved_ops *ops, const void *user,
                                   const struct buffer *saved, uint64_t rows);

#endif
