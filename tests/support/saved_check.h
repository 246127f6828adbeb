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

/* `saved_ops` of a kind whose functions are KIND_create and so on, and which a test's `struct
 * world` has the type and the limits of. */
#define SAVED_OPS(kind)                                                                            \
    static void *saved_create_(const void *user)                                                   \
    {                                                                                              \
        const struct world *world = user;                                                          \
        struct kind *made;                                                                         \
        ck_assert_int_eq(kind##_create(world->type, &world->limits, &made), S4_OK);                \
        return made;                                                                               \
    }                                                                                              \
    static void saved_destroy_(void *thing)                                                        \
    {                                                                                              \
        kind##_destroy(thing);                                                                     \
    }                                                                                              \
    static void saved_validate_(const void *thing)                                                 \
    {                                                                                              \
        kind##_validate(thing);                                                                    \
    }                                                                                              \
    static s4_status saved_save_(const void *thing, struct buffer *out)                            \
    {                                                                                              \
        return kind##_save(thing, out);                                                            \
    }                                                                                              \
    static s4_status saved_load_(void *thing, const char **at, const char *end, struct diag *diag) \
    {                                                                                              \
        return kind##_load(thing, at, end, diag);                                                  \
    }                                                                                              \
    static uint64_t saved_rows_(const void *thing)                                                 \
    {                                                                                              \
        return kind##_counters(thing)->rows;                                                       \
    }                                                                                              \
    static const struct saved_ops saved_ops = { saved_create_, saved_destroy_, saved_validate_,    \
                                                saved_save_,   saved_load_,    saved_rows_ }

/* Every cut is S4_CORRUPT and leaves *at; every bent one is refused with a diag, or loads to
 * something that is valid. */
void saved_distrusts(const struct saved_ops *ops, const void *user, const struct buffer *saved,
                     struct rng *rng);
/* With the first, second, ... allocation failing: S4_NO_MEMORY, nothing loaded and nothing written,
 * until it has what it needs, and then `rows`. */
void saved_survives_lack_of_memory(const struct saved_ops *ops, const void *user,
                                   const struct buffer *saved, uint64_t rows);

#endif
