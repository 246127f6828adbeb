/* One body per promise of runtime/store/store.h that does not take a crash. */
#include "tests/support/store_check.h"

#include <check.h>

#include "runtime/base/mem.h"
#include "tests/support/suite.h"

#define BIG (3 * MIB + 5) /* more than one write may take */

static struct store_file *open_file(struct place *place, const char *name, enum store_open how)
{
    struct diag diag = { 0 };
    struct store_file *file = NULL;
    s4_status status = store_open(place->store, name, how, &file, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    return file;
}

static s4_status try_open(struct place *place, const char *name, enum store_open how)
{
    struct diag diag = { 0 };
    struct store_file *file = NULL;
    s4_status status = store_open(place->store, name, how, &file, &diag);
    ck_assert_int_eq(diag.code, status);
    ck_assert_int_eq(diag.text[0] == '\0', status == S4_OK);
    store_file_close(file);
    return status;
}

static void check_read(struct store_file *file, uint64_t offset, size_t size, const char *wanted)
{
    char found[64];
    size_t got = 99;
    ck_assert_uint_le(size, sizeof found);
    ck_assert_int_eq(store_file_read(file, offset, found, size, &got, NULL), S4_OK);
    ck_assert_uint_eq(got, strlen(wanted));
    ck_assert_int_eq(memcmp(found, wanted, got), 0);
}

static void check_list(struct place *place, const char *wanted)
{
    struct store_names names = { 0 };
    char text[1024] = "";
    size_t at = 0;
    ck_assert_int_eq(store_list(place->store, &names, NULL), S4_OK);
    for (size_t i = 0; i < names.count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s ", names.list[i]);
    store_names_fini(&names);
    ck_assert_str_eq(text, wanted);
}

static void check_big(struct place *place)
{
    char *big = mem_alloc(BIG);
    ck_assert_ptr_nonnull(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 >> 7);
    place_put(place, "big", big, BIG);
    ck_assert(place_has(place, "big", big, BIG));
    mem_free(big);
}

void store_check_files(enum place_kind kind)
{
    struct place place;
    place_open(&place, kind, 1);
    struct store_file *file = open_file(&place, "log", STORE_NEW);
    ck_assert_uint_eq(store_file_size(file), 0);
    check_read(file, 0, 10, "");
    ck_assert_int_eq(store_file_append(file, "hello ", 6, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, NULL, 0, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, "world", 5, NULL), S4_OK);
    ck_assert_uint_eq(store_file_size(file), 11);
    check_read(file, 0, 5, "hello");
    check_read(file, 6, 64, "world");
    check_read(file, 10, 1, "d");
    check_read(file, 11, 1, "");
    check_read(file, UINT64_MAX, 64, "");
    check_read(file, 3, 0, "");
    ck_assert_int_eq(store_file_cut(file, 12, NULL), S4_RANGE);
    ck_assert_int_eq(store_file_cut(file, 11, NULL), S4_OK);
    ck_assert_int_eq(store_file_cut(file, 7, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, "all", 3, NULL), S4_OK);
    check_read(file, 0, 64, "hello wall");
    ck_assert_int_eq(store_file_sync(file, NULL), S4_OK);
    ck_assert_int_eq(store_file_sync(file, NULL), S4_OK);
    store_file_close(file);
    store_file_close(NULL);
    check_big(&place);
    ck_assert_int_eq(store_sync(place.store, NULL), S4_OK);
    place_again(&place);
    file = open_file(&place, "log", STORE_EXISTING);
    ck_assert_uint_eq(store_file_size(file), 10);
    ck_assert_int_eq(store_file_append(file, "s", 1, NULL), S4_OK);
    check_read(file, 6, 64, "walls");
    store_file_close(file);
    check_list(&place, "big log ");
    place_close(&place);
}

void store_check_names(enum place_kind kind)
{
    struct place place;
    place_open(&place, kind, 2);
    struct store *store = place.store;
    check_list(&place, "");
    ck_assert_int_eq(try_open(&place, "b", STORE_EXISTING), S4_NOT_FOUND);
    ck_assert_int_eq(try_open(&place, "b", STORE_NEW), S4_OK);
    ck_assert_int_eq(try_open(&place, "b", STORE_NEW), S4_EXISTS);
    place_put(&place, "c", "sea", 3);
    place_put(&place, "B", "bee", 3);
    place_put(&place, "a.10", "", 0);
    place_put(&place, "a.9", "", 0);
    place_put(&place, "\xc3\xa4", "", 0);
    check_list(&place, "B a.10 a.9 b c \xc3\xa4 ");

    struct diag diag = { 0 };
    ck_assert_int_eq(store_rename(store, "x", "b", &diag), S4_NOT_FOUND);
    ck_assert_uint_gt(strlen(diag.text), 0);
    ck_assert_int_eq(store_rename(store, "x", "x", NULL), S4_NOT_FOUND);
    ck_assert_int_eq(store_rename(store, "c", "c", NULL), S4_OK);
    ck_assert_int_eq(store_rename(store, "c", "b", NULL), S4_OK);
    ck_assert_int_eq(store_rename(store, "B", "d", NULL), S4_OK);
    check_list(&place, "a.10 a.9 b d \xc3\xa4 ");
    ck_assert(place_has(&place, "b", "sea", 3));
    ck_assert(place_has(&place, "d", "bee", 3));
    ck_assert_int_eq(store_remove(store, "c", &diag), S4_NOT_FOUND);
    ck_assert_int_eq(store_remove(store, "b", NULL), S4_OK);
    ck_assert_int_eq(store_remove(store, "\xc3\xa4", NULL), S4_OK);
    ck_assert_int_eq(try_open(&place, "b", STORE_EXISTING), S4_NOT_FOUND);
    ck_assert_int_eq(try_open(&place, "b", STORE_NEW), S4_OK);
    ck_assert(place_has(&place, "b", "", 0));
    check_list(&place, "a.10 a.9 b d ");
    place_close(&place);
}

void store_check_held(enum place_kind kind)
{
    struct place place;
    place_open(&place, kind, 3);
    place_put(&place, "old", "old bytes", 9);
    place_put(&place, "new", "new bytes", 9);
    struct store_file *file = open_file(&place, "old", STORE_EXISTING);
    ck_assert_int_eq(try_open(&place, "old", STORE_EXISTING), S4_BUSY);
    ck_assert_int_eq(try_open(&place, "old", STORE_NEW), S4_EXISTS);
    ck_assert_int_eq(store_rename(place.store, "new", "old", NULL), S4_OK);
    check_read(file, 0, 64, "old bytes");
    ck_assert(place_has(&place, "old", "new bytes", 9));
    ck_assert_int_eq(store_file_append(file, ".", 1, NULL), S4_OK);
    check_read(file, 4, 64, "bytes.");
    ck_assert_int_eq(store_file_sync(file, NULL), S4_OK);
    store_file_close(file);

    file = open_file(&place, "old", STORE_EXISTING);
    ck_assert_int_eq(store_rename(place.store, "old", "moved", NULL), S4_OK);
    ck_assert_int_eq(try_open(&place, "moved", STORE_EXISTING), S4_BUSY);
    ck_assert_int_eq(store_remove(place.store, "moved", NULL), S4_OK);
    ck_assert_int_eq(store_sync(place.store, NULL), S4_OK);
    check_read(file, 0, 64, "new bytes");
    place_put(&place, "moved", "another", 7);
    ck_assert(place_has(&place, "moved", "another", 7));
    store_file_close(file);
    check_list(&place, "moved ");
    place_close(&place);
}

static void check_refused(struct place *place, const char *name)
{
    ck_assert_int_eq(try_open(place, name, STORE_NEW), S4_INVALID);
    ck_assert_int_eq(try_open(place, name, STORE_EXISTING), S4_INVALID);
    ck_assert_int_eq(store_rename(place->store, name, "fine", NULL), S4_INVALID);
    ck_assert_int_eq(store_rename(place->store, "fine", name, NULL), S4_INVALID);
    ck_assert_int_eq(store_remove(place->store, name, NULL), S4_INVALID);
}

static void check_list_limit(struct place *place)
{
    struct store_names names = { 0 };
    struct diag diag = { 0 };
    char name[16];
    for (int i = 0; i < STORE_FILES_MAX; i++) {
        snprintf(name, sizeof name, "%08d", i);
        struct store_file *file = NULL;
        SUITE_SAME(store_open(place->store, name, STORE_NEW, &file, NULL), S4_OK);
        store_file_close(file);
    }
    ck_assert_int_eq(store_list(place->store, &names, &diag), S4_OK);
    ck_assert_uint_eq(names.count, STORE_FILES_MAX);
    ck_assert_str_eq(names.list[0], "00000000");
    ck_assert_str_eq(names.list[STORE_FILES_MAX - 1], "00065535");
    store_names_fini(&names);
    place_put(place, "x", "", 0);
    ck_assert_int_eq(store_list(place->store, &names, &diag), S4_TOO_LARGE);
    ck_assert_ptr_null(names.list);
    ck_assert_ptr_nonnull(strstr(diag.text, "65536"));
}

void store_check_limits(enum place_kind kind)
{
    struct place place;
    char name[STORE_NAME_MAX + 2];
    place_open(&place, kind, 4);
    place_put(&place, "fine", "", 0);
    memset(name, 'n', sizeof name);
    name[STORE_NAME_MAX + 1] = '\0';
    check_refused(&place, name);
    name[STORE_NAME_MAX] = '\0';
    ck_assert_int_eq(store_rename(place.store, "fine", name, NULL), S4_OK);
    ck_assert_int_eq(try_open(&place, name, STORE_EXISTING), S4_OK);
    ck_assert_int_eq(store_remove(place.store, name, NULL), S4_OK);
    static const char *const bad[] = { "", ".", "..", ".x", "a/b", "/", "a/" };
    place_put(&place, "fine", "", 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_refused(&place, bad[i]);
    ck_assert_int_eq(store_remove(place.store, "fine", NULL), S4_OK);
    check_list_limit(&place);
    place_close(&place);
}

/* Everything once; the first failure. */
static s4_status use_all(struct place *place)
{
    struct store_file *file;
    struct store_names names = { 0 };
    TRY(store_open(place->store, "one", STORE_NEW, &file, NULL));
    s4_status status = store_file_append(file, "some bytes", 10, NULL);
    if (status == S4_OK)
        status = store_file_sync(file, NULL);
    if (status == S4_OK)
        status = store_file_cut(file, 4, NULL);
    store_file_close(file);
    if (status == S4_OK)
        status = store_rename(place->store, "one", "two", NULL);
    if (status == S4_OK)
        status = store_list(place->store, &names, NULL);
    store_names_fini(&names);
    return status == S4_OK ? store_remove(place->store, "two", NULL) : status;
}

void store_check_memory(enum place_kind kind)
{
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        struct place place;
        place_open(&place, kind, 5);
        mem_fail_after(n);
        status = use_all(&place);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
        (void)!store_remove(place.store, "one", NULL);
        (void)!store_remove(place.store, "two", NULL);
        ck_assert_int_eq(use_all(&place), S4_OK);
        check_list(&place, "");
        place_close(&place);
        ck_assert_int_lt(n, 100);
    }
}
