/* Cut, bent, and without memory; see the header. */
#include "tests/support/saved_check.h"

#include <check.h>

#include "runtime/base/mem.h"

#define BENT 20000

static void load_bent(const struct saved_ops *ops, const void *user, const struct buffer *saved,
                      struct rng *rng)
{
    char *bent = mem_dup(saved->data, saved->size);
    for (uint64_t n = rng_below(rng, 4) + 1; n > 0; n--)
        bent[rng_below(rng, saved->size)] ^= (char)(1u << rng_below(rng, 8));
    const char *at = bent;
    struct diag diag = { 0 };
    void *thing = ops->create(user);
    s4_status status = ops->load(thing, &at, bent + saved->size, &diag);
    ck_assert(status == S4_OK || (diag.code == status && diag.text[0]));
    ops->validate(thing);
    ops->destroy(thing);
    mem_free(bent);
}

void saved_distrusts(const struct saved_ops *ops, const void *user, const struct buffer *saved,
                     struct rng *rng)
{
    void *thing = ops->create(user);
    for (size_t size = 0; size < saved->size; size++) {
        char *cut = mem_dup(saved->data, size); /* ASan sees reads beyond */
        const char *at = cut;
        ck_assert_int_eq(ops->load(thing, &at, cut + size, NULL), S4_CORRUPT);
        ck_assert_ptr_eq(at, cut);
        mem_free(cut);
    }
    ops->destroy(thing);
    for (int i = 0; i < BENT; i++)
        load_bent(ops, user, saved, rng);
}

void saved_survives_lack_of_memory(const struct saved_ops *ops, const void *user,
                                   const struct buffer *saved, uint64_t rows)
{
    void *thing = ops->create(user);
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        const char *at = saved->data;
        mem_fail_after(n);
        status = ops->load(thing, &at, saved->data + saved->size, NULL);
        mem_fail_after(-1);
        ck_assert_uint_eq(ops->rows(thing), status == S4_OK ? rows : 0);
    }
    ck_assert_int_eq(status, S4_OK);
    status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        struct buffer again;
        buffer_init(&again);
        mem_fail_after(n);
        status = ops->save(thing, &again);
        mem_fail_after(-1);
        ck_assert_uint_eq(again.size, status == S4_OK ? saved->size : 0);
        buffer_fini(&again);
    }
    ck_assert_int_eq(status, S4_OK);
    ops->destroy(thing);
}
