/* Stores under a test; see the header. */
#include "tests/support/place.h"

#include <check.h>
#include <ftw.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "runtime/store/store_posix.h"
#include "runtime/store/store_sim.h"

static void open_dir(struct place *place)
{
    struct diag diag = { 0 };
    ck_assert_msg(store_posix_create(place->dir, &place->store, &diag) == S4_OK, "%s", diag.text);
}

void place_open(struct place *place, enum place_kind kind, uint64_t seed)
{
    *place = (struct place){ .kind = kind, .dir = "/tmp/s4-store-XXXXXX" };
    struct store_sim_options options = { .seed = seed };
    if (kind == PLACE_SIM) {
        ck_assert_int_eq(store_sim_create(&options, &place->store), S4_OK);
        return;
    }
    ck_assert_ptr_nonnull(mkdtemp(place->dir));
    open_dir(place);
}

static int remove_one(const char *path, const struct stat *found, int what, struct FTW *ftw)
{
    return remove(path);
}

void place_close(struct place *place)
{
    store_destroy(place->store);
    if (place->kind == PLACE_POSIX)
        ck_assert_int_eq(nftw(place->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void place_again(struct place *place)
{
    if (place->kind == PLACE_SIM)
        return;
    store_destroy(place->store);
    open_dir(place);
}

void place_put(struct place *place, const char *name, const void *data, size_t size)
{
    struct store_file *file;
    struct diag diag = { 0 };
    s4_status status = store_open(place->store, name, STORE_NEW, &file, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    ck_assert_int_eq(store_file_append(file, data, size, &diag), S4_OK);
    store_file_close(file);
}

bool place_has(struct place *place, const char *name, const void *data, size_t size)
{
    struct store_file *file;
    struct diag diag = { 0 };
    size_t got = 0;
    char *found = mem_alloc(size + 1);
    ck_assert_ptr_nonnull(found);
    s4_status status = store_open(place->store, name, STORE_EXISTING, &file, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    ck_assert_int_eq(store_file_read(file, 0, found, size + 1, &got, &diag), S4_OK);
    bool same = got == size && memcmp(found, data, size) == 0;
    mem_free(found);
    store_file_close(file);
    return same;
}
