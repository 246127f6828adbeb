/* Files: what every store does, what only real ones do, what only simulated ones do. */
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "runtime/store/store_posix.h"
#include "runtime/store/store_sim.h"
#include "tests/support/store_check.h"

START_TEST(sim_keeps_the_contract)
{
    store_check_files(PLACE_SIM);
    store_check_names(PLACE_SIM);
    store_check_held(PLACE_SIM);
    store_check_limits(PLACE_SIM);
    store_check_memory(PLACE_SIM);
}
END_TEST

START_TEST(posix_keeps_the_contract)
{
    store_check_files(PLACE_POSIX);
    store_check_names(PLACE_POSIX);
    store_check_held(PLACE_POSIX);
    store_check_limits(PLACE_POSIX);
    store_check_memory(PLACE_POSIX);
}
END_TEST

START_TEST(sim_is_as_a_model_says)
{
    store_check_random(PLACE_SIM, suite_seed(), 1000000);
}
END_TEST

START_TEST(posix_is_as_a_model_says)
{
    store_check_random(PLACE_POSIX, suite_seed(), 10000);
}
END_TEST

/* ---- only real ones ------------------------------------------------------------------------ */

/* A limit of the process is a full disk in small: a write ends in the middle of a file. */
START_TEST(full_leaves_the_file_as_it_was)
{
    struct place place;
    struct store_file *file;
    struct diag diag = { 0 };
    char *bytes = mem_zalloc(10000);
    place_open(&place, PLACE_POSIX, 0);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { .rlim_cur = 10000, .rlim_max = RLIM_INFINITY };
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(store_open(place.store, "log", STORE_NEW, &file, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 9000, NULL), S4_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(store_file_append(file, bytes, 1001, &diag), S4_FULL);
        ck_assert_ptr_nonnull(strstr(diag.text, "/log: cannot be written"));
        ck_assert_uint_eq(store_file_size(file), 9000);
    }
    char path[128];
    struct stat found;
    snprintf(path, sizeof path, "%s/log", place.dir);
    ck_assert_int_eq(stat(path, &found), 0);
    ck_assert_uint_eq((size_t)found.st_size, 9000);
    ck_assert_uint_eq(found.st_mode & 07777, 0600);
    ck_assert_int_eq(store_file_append(file, bytes, 1000, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 1, NULL), S4_FULL);
    ck_assert_int_eq(store_file_sync(file, NULL), S4_OK);
    store_file_close(file);
    ck_assert(place_has(&place, "log", bytes, 10000));
    place_close(&place);
    mem_free(bytes);
}
END_TEST

START_TEST(no_permission)
{
    struct place place;
    struct store_file *file;
    struct store *other;
    struct diag diag = { 0 };
    place_open(&place, PLACE_POSIX, 0);
    place_put(&place, "mine", "x", 1);
    ck_assert_int_eq(chmod(place.dir, 0555), 0);
    uid_t me = geteuid();
    if (me == 0) {
        ck_assert_int_eq(seteuid(65534), 0);
        ck_assert_int_eq(store_open(place.store, "mine", STORE_EXISTING, &file, &diag),
                         S4_PERMISSION);
    }
    ck_assert_int_eq(store_open(place.store, "new", STORE_NEW, &file, &diag), S4_PERMISSION);
    ck_assert_ptr_nonnull(strstr(diag.text, "/new: cannot be made: Permission denied"));
    ck_assert_int_eq(store_rename(place.store, "mine", "yours", &diag), S4_PERMISSION);
    ck_assert_int_eq(store_remove(place.store, "mine", &diag), S4_PERMISSION);
    char inside[128];
    snprintf(inside, sizeof inside, "%s/inside", place.dir);
    ck_assert_int_eq(store_posix_create(inside, &other, &diag), S4_PERMISSION);
    ck_assert_int_eq(seteuid(me), 0);
    ck_assert_int_eq(chmod(place.dir, 0700), 0);
    place_close(&place);
}
END_TEST

START_TEST(what_is_no_file)
{
    struct place place;
    struct store_file *file;
    struct store_names names = { 0 };
    place_open(&place, PLACE_POSIX, 0);
    int dir = open(place.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir, 0);
    ck_assert_int_eq(mkdirat(dir, "dir", 0700), 0);
    ck_assert_int_eq(mkfifoat(dir, "pipe", 0600), 0);
    ck_assert_int_eq(symlinkat("file", dir, "link"), 0);
    close(dir);
    place_put(&place, "file", "x", 1);
    static const char *const others[] = { "dir", "pipe", "link" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ck_assert_int_eq(store_open(place.store, others[i], STORE_EXISTING, &file, NULL), S4_TYPE);
        ck_assert_int_eq(store_open(place.store, others[i], STORE_NEW, &file, NULL), S4_EXISTS);
    }
    ck_assert_int_eq(store_remove(place.store, "dir", NULL), S4_TYPE);
    ck_assert_int_eq(store_rename(place.store, "file", "dir", NULL), S4_TYPE);
    ck_assert_int_eq(store_list(place.store, &names, NULL), S4_OK);
    ck_assert_uint_eq(names.count, 1);
    ck_assert_str_eq(names.list[0], "file");
    store_names_fini(&names);
    place_close(&place);
}
END_TEST

START_TEST(one_store_at_a_directory)
{
    struct place place;
    struct store *other;
    struct diag diag = { 0 };
    char path[128];
    place_open(&place, PLACE_POSIX, 0);
    ck_assert_int_eq(store_posix_create(place.dir, &other, &diag), S4_BUSY);
    ck_assert_ptr_nonnull(strstr(diag.text, "used by another"));
    snprintf(path, sizeof path, "%s/made", place.dir);
    ck_assert_int_eq(store_posix_create(path, &other, &diag), S4_OK);
    struct stat found;
    ck_assert_int_eq(stat(path, &found), 0);
    ck_assert_uint_eq(found.st_mode & 07777, 0700);
    store_destroy(other);
    ck_assert_int_eq(store_posix_create(path, &other, &diag), S4_OK);
    store_destroy(other);
    snprintf(path, sizeof path, "%s/not/made", place.dir);
    ck_assert_int_eq(store_posix_create(path, &other, &diag), S4_NOT_FOUND);
    place_put(&place, "file", "", 0);
    snprintf(path, sizeof path, "%s/file", place.dir);
    ck_assert_int_eq(store_posix_create(path, &other, &diag), S4_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(diag.text, "Not a directory"));
    place_close(&place);
}
END_TEST

START_TEST(errors_are_told_apart)
{
    static const struct {
        int error;
        s4_status status;
    } table[] = {
        { ENOENT, S4_NOT_FOUND },   { ENOTDIR, S4_NOT_FOUND },
        { EEXIST, S4_EXISTS },      { EACCES, S4_PERMISSION },
        { EPERM, S4_PERMISSION },   { EROFS, S4_PERMISSION },
        { ENOSPC, S4_FULL },        { EDQUOT, S4_FULL },
        { EFBIG, S4_FULL },         { EWOULDBLOCK, S4_BUSY },
        { EMFILE, S4_UNAVAILABLE }, { ENFILE, S4_UNAVAILABLE },
        { ENOMEM, S4_NO_MEMORY },   { EISDIR, S4_TYPE },
        { ELOOP, S4_TYPE },         { EIO, S4_IO },
        { EINVAL, S4_IO },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        ck_assert_int_eq(store_posix_status(table[i].error), table[i].status);
    struct place place;
    struct store_file *file;
    place_open(&place, PLACE_POSIX, 0);
    struct rlimit limit = { .rlim_cur = 3, .rlim_max = RLIM_INFINITY };
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(store_open(place.store, "x", STORE_NEW, &file, NULL), S4_UNAVAILABLE);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    place_close(&place);
}
END_TEST

enum { THREADS = 4, THREAD_FILES = 50 };

struct writer {
    struct place *place;
    int number;
    pthread_t thread;
};

static void *write_files(void *arg)
{
    struct writer *writer = arg;
    for (int i = 0; i < THREAD_FILES; i++) {
        char part[32], name[32];
        struct store_file *file;
        snprintf(part, sizeof part, "%d.part", writer->number);
        snprintf(name, sizeof name, "%d.%d", writer->number, i);
        CHECK(store_open(writer->place->store, part, STORE_NEW, &file, NULL) == S4_OK);
        CHECK(store_file_append(file, name, strlen(name), NULL) == S4_OK);
        store_file_close(file);
        CHECK(store_rename(writer->place->store, part, name, NULL) == S4_OK);
        struct store_names names = { 0 };
        CHECK(store_list(writer->place->store, &names, NULL) == S4_OK);
        CHECK(names.count > (size_t)i);
        store_names_fini(&names);
    }
    CHECK(store_sync(writer->place->store, NULL) == S4_OK);
    return NULL;
}

START_TEST(threads_share_a_directory)
{
    struct place place;
    struct writer writers[THREADS];
    place_open(&place, PLACE_POSIX, 0);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){ .place = &place, .number = i };
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_files, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(writers[i].thread, NULL);
    for (int i = 0; i < THREADS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.%d", i, THREAD_FILES - 1);
        ck_assert(place_has(&place, name, name, strlen(name)));
    }
    place_close(&place);
}
END_TEST

/* ---- only simulated ones ------------------------------------------------------------------- */

static bool is_there(struct place *place, const char *name)
{
    struct store_file *file;
    s4_status status = store_open(place->store, name, STORE_EXISTING, &file, NULL);
    if (status == S4_OK)
        store_file_close(file);
    ck_assert(status == S4_OK || status == S4_NOT_FOUND);
    return status == S4_OK;
}

/* A file of 3000 bytes, the first 1000 certain, with its name; then a crash. */
static size_t size_after_crash(uint64_t seed, bool *zeros)
{
    struct place place;
    struct store_file *file;
    char bytes[3000], found[4000];
    size_t got;
    memset(bytes, 'x', sizeof bytes);
    place_open(&place, PLACE_SIM, seed);
    ck_assert_int_eq(store_open(place.store, "log", STORE_NEW, &file, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 1000, NULL), S4_OK);
    ck_assert_int_eq(store_file_sync(file, NULL), S4_OK);
    ck_assert_int_eq(store_sync(place.store, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 2000, NULL), S4_OK);
    store_sim_crash(place.store);
    ck_assert_int_eq(store_file_read(file, 0, found, 1, &got, NULL), S4_STATE);
    ck_assert_int_eq(store_file_sync(file, NULL), S4_STATE);
    store_file_close(file);
    ck_assert_int_eq(store_open(place.store, "log", STORE_EXISTING, &file, NULL), S4_OK);
    ck_assert_int_eq(store_file_read(file, 0, found, sizeof found, &got, NULL), S4_OK);
    ck_assert_uint_ge(got, 1000);
    ck_assert_int_eq(memcmp(found, bytes, 1000), 0);
    *zeros = memchr(found, 0, got) != NULL;
    store_file_close(file);
    place_close(&place);
    return got;
}

START_TEST(crash_tears_what_was_not_synced)
{
    uint32_t some = 0, torn = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        bool zeros, again;
        size_t size = size_after_crash(seed, &zeros);
        ck_assert_uint_eq(size, size_after_crash(seed, &again)); /* one seed, one fate */
        ck_assert_int_eq(zeros, again);
        some += size > 1000 && size < 3000;
        torn += zeros;
    }
    ck_assert_uint_gt(some, 50);
    ck_assert_uint_gt(torn, 10);
}
END_TEST

START_TEST(crash_undoes_names_that_were_not_synced)
{
    uint32_t undone = 0, kept = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct place place;
        place_open(&place, PLACE_SIM, seed);
        place_put(&place, "old", "", 0);
        ck_assert_int_eq(store_sync(place.store, NULL), S4_OK);
        ck_assert_int_eq(store_rename(place.store, "old", "new", NULL), S4_OK);
        place_put(&place, "later", "", 0);
        store_sim_crash(place.store);
        ck_assert(is_there(&place, "old") != is_there(&place, "new"));
        if (is_there(&place, "later"))
            ck_assert(is_there(&place, "new")); /* steps keep their order */
        undone += is_there(&place, "old");
        kept += is_there(&place, "later");
        ck_assert_int_eq(store_sync(place.store, NULL), S4_OK);
        bool was = is_there(&place, "new");
        store_sim_crash(place.store);
        ck_assert_int_eq(is_there(&place, "new"), was);
        place_close(&place);
    }
    ck_assert_uint_gt(undone, 10);
    ck_assert_uint_gt(kept, 10);
}
END_TEST

/* What a kernel that forgot its dirty pages says: all is well. */
START_TEST(failed_sync_is_not_made_good_by_another)
{
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct place place;
        struct store_file *file;
        place_open(&place, PLACE_SIM, seed);
        place_put(&place, "log", "some bytes", 10);
        ck_assert_int_eq(store_sync(place.store, NULL), S4_OK);
        ck_assert_int_eq(store_open(place.store, "log", STORE_EXISTING, &file, NULL), S4_OK);
        store_sim_plan(place.store, STORE_IO_ERROR, store_sim_calls(place.store) + 1);
        ck_assert_int_eq(store_file_sync(file, NULL), S4_IO);
        ck_assert_int_eq(store_file_sync(file, NULL), S4_IO);
        ck_assert_int_eq(store_file_append(file, "x", 1, NULL), S4_IO);
        store_file_close(file);
        ck_assert_int_eq(store_open(place.store, "log", STORE_EXISTING, &file, NULL), S4_OK);
        ck_assert_int_eq(store_file_sync(file, NULL), S4_OK);
        store_file_close(file);
        store_sim_crash(place.store);
        lost += !place_has(&place, "log", "some bytes", 10);
        place_close(&place);
    }
    ck_assert_uint_gt(lost, 5);
}
END_TEST

START_TEST(bounded_size)
{
    struct store_sim_options options = { .seed = 1, .bytes_max = 100 };
    struct place place = { .kind = PLACE_SIM };
    struct store_file *file;
    char bytes[101] = { 0 };
    ck_assert_int_eq(store_sim_create(&options, &place.store), S4_OK);
    place_put(&place, "a", bytes, 60);
    ck_assert_int_eq(store_open(place.store, "b", STORE_NEW, &file, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 101, NULL), S4_FULL);
    ck_assert_int_eq(store_file_append(file, bytes, 41, NULL), S4_FULL);
    ck_assert_uint_eq(store_file_size(file), 0);
    ck_assert_int_eq(store_file_append(file, bytes, 40, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 1, NULL), S4_FULL);
    ck_assert_int_eq(store_file_cut(file, 39, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 1, NULL), S4_OK);
    ck_assert_int_eq(store_remove(place.store, "a", NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, bytes, 60, NULL), S4_OK);
    store_file_close(file);
    place_close(&place);
}
END_TEST

START_TEST(planned_and_drawn_faults)
{
    struct place place;
    struct store_file *file;
    struct store_names names = { 0 };
    struct diag diag = { 0 };
    place_open(&place, PLACE_SIM, 1);
    store_sim_plan(place.store, STORE_NO_SPACE, 2);
    ck_assert_int_eq(store_open(place.store, "a", STORE_NEW, &file, NULL), S4_OK);
    ck_assert_int_eq(store_file_append(file, "x", 1, &diag), S4_FULL);
    ck_assert_uint_gt(strlen(diag.text), 0);
    store_sim_plan(place.store, STORE_NO_SPACE, 3); /* a list takes no space */
    ck_assert_int_eq(store_list(place.store, &names, NULL), S4_OK);
    store_names_fini(&names);
    ck_assert_uint_eq(store_sim_faults(place.store, STORE_NO_SPACE), 1);
    store_sim_plan(place.store, STORE_OFF, 4);
    ck_assert_int_eq(store_sync(place.store, NULL), S4_UNAVAILABLE);
    ck_assert_int_eq(store_file_append(file, "x", 1, &diag), S4_UNAVAILABLE);
    ck_assert_uint_eq(store_sim_calls(place.store), 5);
    store_file_close(file);
    store_sim_crash(place.store);
    ck_assert_int_eq(store_sync(place.store, NULL), S4_OK);
    store_sim_set_rate(place.store, STORE_IO_ERROR, 4);
    uint32_t failures = 0;
    for (int i = 0; i < 1000; i++)
        failures += store_sync(place.store, NULL) == S4_IO;
    ck_assert_uint_ge(failures, 150);
    ck_assert_uint_le(failures, 350);
    ck_assert_uint_eq(store_sim_faults(place.store, STORE_IO_ERROR), failures);
    place_close(&place);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("store");
    suite_add(suite, "sim", sim_keeps_the_contract, 30);
    suite_add(suite, "posix", posix_keeps_the_contract, 60);
    suite_add(suite, "sim_model", sim_is_as_a_model_says, 60);
    suite_add(suite, "posix_model", posix_is_as_a_model_says, 60);
    suite_add(suite, "full", full_leaves_the_file_as_it_was, 10);
    suite_add(suite, "permission", no_permission, 10);
    suite_add(suite, "no_file", what_is_no_file, 10);
    suite_add(suite, "one_store", one_store_at_a_directory, 10);
    suite_add(suite, "errors", errors_are_told_apart, 10);
    suite_add(suite, "threads", threads_share_a_directory, 30);
    suite_add(suite, "torn", crash_tears_what_was_not_synced, 10);
    suite_add(suite, "undone", crash_undoes_names_that_were_not_synced, 10);
    suite_add(suite, "failed_sync", failed_sync_is_not_made_good_by_another, 10);
    suite_add(suite, "bounded", bounded_size, 10);
    suite_add(suite, "faults", planned_and_drawn_faults, 10);
    return suite;
}
