/* The container: round trips, every limit at N and N + 1, what is not a plain file, what is
 * damaged. */
#include "tests/support/suite.h"

#include <archive.h>
#include <archive_entry.h>

#include "pe/bundle/package.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

/* ---- hostile archives, made with libarchive's own hands ------------------------------------ */

struct hostile {
    const char *path;
    unsigned type; /* AE_IF... */
    const char *hardlink, *symlink;
    size_t size;
};

static la_ssize_t append(struct archive *archive, void *out, const void *data, size_t size)
{
    return buffer_append(out, data, size) == S4_OK ? (la_ssize_t)size : -1;
}

static void write_hostile(const struct hostile *list, size_t n, int filters, struct buffer *out)
{
    struct archive *archive = archive_write_new();
    for (int i = 0; i < filters; i++)
        ck_assert_int_eq(archive_write_add_filter_zstd(archive), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_set_format_pax(archive), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_set_bytes_in_last_block(archive, 1), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_open(archive, out, NULL, append, NULL), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, list[i].path);
        archive_entry_set_filetype(entry, list[i].type);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)list[i].size);
        if (list[i].hardlink)
            archive_entry_set_hardlink(entry, list[i].hardlink);
        if (list[i].symlink)
            archive_entry_set_symlink(entry, list[i].symlink);
        ck_assert_int_eq(archive_write_header(archive, entry), ARCHIVE_OK);
        char *zeros = mem_zalloc(list[i].size);
        ck_assert_int_eq(archive_write_data(archive, zeros, list[i].size),
                         (la_ssize_t)list[i].size);
        mem_free(zeros);
        archive_entry_free(entry);
    }
    ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

static s4_status read_with(const struct buffer *bytes, const struct package_limits *limits,
                           struct diag *diag)
{
    struct package package;
    char *copy = mem_dup(bytes->data, bytes->size); /* of its own size, for the sanitizer */
    *diag = (struct diag){ .code = S4_OK };
    s4_status status = package_read(copy, bytes->size, limits, &package, diag);
    mem_free(copy);
    if (status == S4_OK)
        package_fini(&package);
    return status;
}

static void expect(const struct buffer *bytes, s4_status wanted, const char *text)
{
    struct diag diag;
    s4_status status = read_with(bytes, &package_limits_default, &diag);
    ck_assert_str_eq(diag.text, text);
    ck_assert_int_eq(status, wanted);
}

static void random_file(struct rng *rng, struct package *package, const char *path, size_t size)
{
    char *data = mem_alloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)rng_next(rng);
    ck_assert_int_eq(package_add(package, path, data, size, NULL), S4_OK);
    mem_free(data);
}

static void sample(struct package *package)
{
    struct rng rng;
    rng_init(&rng, 1);
    package_init(package);
    random_file(&rng, package, "lib/words.so", 5000);
    random_file(&rng, package, "app.yaml", 100);
    random_file(&rng, package, "graph.pb", 0);
    random_file(&rng, package, "files/a/b+c@d-e_f.txt", 511);
}

/* ---- what is good -------------------------------------------------------------------------- */

START_TEST(files_come_back_as_they_went)
{
    struct package package, back;
    struct buffer bytes, again;
    sample(&package);
    buffer_init(&bytes);
    buffer_init(&again);
    ck_assert_int_eq(package_write(&package, &bytes, NULL), S4_OK);
    ck_assert_int_eq(package_read(bytes.data, bytes.size, &package_limits_default, &back, NULL),
                     S4_OK);
    ck_assert_uint_eq(back.count, 4);
    for (size_t i = 0; i < back.count; i++) {
        ck_assert_str_eq(back.entries[i].path, package.entries[i].path);
        ck_assert_uint_eq(back.entries[i].size, package.entries[i].size);
        ck_assert_mem_eq(back.entries[i].data, package.entries[i].data, back.entries[i].size);
        ck_assert_int_eq(back.entries[i].data[back.entries[i].size], 0);
    }
    ck_assert_ptr_eq(package_find(&back, "app.yaml"), &back.entries[0]);
    ck_assert_ptr_null(package_find(&back, "app.yam"));
    ck_assert_uint_eq(package_hash(&back), package_hash(&package));
    back.entries[0].data[0]++;
    ck_assert_uint_ne(package_hash(&back), package_hash(&package));
    back.entries[0].data[0]--;
    ck_assert_int_eq(package_write(&back, &again, NULL), S4_OK);
    ck_assert_uint_eq(again.size, bytes.size);
    ck_assert_mem_eq(again.data, bytes.data, bytes.size);
    package_fini(&package);
    package_fini(&back);
    buffer_fini(&bytes);
    buffer_fini(&again);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------- */

static struct buffer packed(struct package *package)
{
    struct buffer bytes;
    buffer_init(&bytes);
    ck_assert_int_eq(package_write(package, &bytes, NULL), S4_OK);
    package_fini(package);
    return bytes;
}

START_TEST(entries_are_bounded)
{
    struct package package;
    struct diag diag, other;
    char path[32];
    for (uint32_t n = 1000; n <= 1001; n++) {
        package_init(&package);
        for (uint32_t i = 0; i < n; i++) {
            snprintf(path, sizeof path, "files/%u", i);
            ck_assert_int_eq(package_add(&package, path, "x", 1, &diag),
                             i < 1000 ? S4_OK : S4_TOO_LARGE);
        }
        struct buffer bytes = packed(&package);
        ck_assert_int_eq(package_check(bytes.data, bytes.size, NULL), S4_OK);
        struct package_limits limits = package_limits_default;
        limits.entries_max = n == 1000 ? 1000 : 999;
        ck_assert_int_eq(read_with(&bytes, &limits, &other), n == 1000 ? S4_OK : S4_TOO_LARGE);
        buffer_fini(&bytes);
    }
    ck_assert_str_eq(diag.text, "the bundle has more than 1000 files");
}
END_TEST

START_TEST(bytes_are_bounded)
{
    struct package package;
    struct diag diag;
    struct package_limits limits = package_limits_default;
    sample(&package);
    struct buffer bytes = packed(&package);
    /* Of the tar: four headers, the files in blocks of 512, two blocks of zeros at the end. */
    size_t tar = 4 * 512 + 5120 + 512 + 0 + 512 + 1024;
    limits.bytes_max = tar;
    ck_assert_int_eq(read_with(&bytes, &limits, &diag), S4_OK);
    limits.bytes_max = tar - 1;
    ck_assert_int_eq(read_with(&bytes, &limits, &diag), S4_TOO_LARGE);
    ck_assert_str_eq(diag.text, "the bundle unpacks to more than 9215 bytes");
    limits = package_limits_default;
    limits.packed_max = bytes.size;
    ck_assert_int_eq(read_with(&bytes, &limits, &diag), S4_OK);
    limits.packed_max--;
    ck_assert_int_eq(read_with(&bytes, &limits, &diag), S4_TOO_LARGE);
    buffer_fini(&bytes);
}
END_TEST

START_TEST(the_largest_bundle_is_read_and_no_larger)
{
    struct diag diag;
    struct package_limits limits = package_limits_default;
    limits.ratio_max = SIZE_MAX; /* zeros are quickly made */
    for (size_t over = 0; over <= 1; over++) {
        struct package package;
        package_init(&package);
        size_t size = limits.bytes_max - 1536 + over; /* a header, two blocks at the end */
        char *zeros = mem_zalloc(size);
        ck_assert_int_eq(package_add(&package, "files/x", zeros, size, NULL), S4_OK);
        mem_free(zeros);
        struct buffer bytes = packed(&package);
        ck_assert_int_eq(read_with(&bytes, &limits, &diag), over ? S4_TOO_LARGE : S4_OK);
        buffer_fini(&bytes);
    }
}
END_TEST

START_TEST(the_ratio_is_bounded)
{
    struct package package;
    struct diag diag;
    package_init(&package);
    char *zeros = mem_zalloc(20 * MIB);
    ck_assert_int_eq(package_add(&package, "files/zeros", zeros, 20 * MIB, NULL), S4_OK);
    mem_free(zeros);
    struct buffer bytes = packed(&package);
    ck_assert_int_eq(read_with(&bytes, &package_limits_default, &diag), S4_TOO_LARGE);
    ck_assert_str_eq(diag.text, "the bundle unpacks to more than 100 times its size");
    struct package_limits limits = package_limits_default;
    limits.ratio_max = (20 * MIB + 1536) / bytes.size;
    ck_assert_int_eq(read_with(&bytes, &limits, &diag), S4_OK);
    limits.ratio_max--;
    ck_assert_int_eq(read_with(&bytes, &limits, &diag), S4_TOO_LARGE);
    buffer_fini(&bytes);

    package_init(&package); /* a small one may be all zeros */
    zeros = mem_zalloc(900 * KIB);
    ck_assert_int_eq(package_add(&package, "files/zeros", zeros, 900 * KIB, NULL), S4_OK);
    mem_free(zeros);
    bytes = packed(&package);
    ck_assert_uint_lt(bytes.size, 900 * KIB / 200);
    ck_assert_int_eq(read_with(&bytes, &package_limits_default, &diag), S4_OK);
    buffer_fini(&bytes);
}
END_TEST

START_TEST(a_zip_bomb_is_met_early)
{
    struct diag diag;
    struct buffer bytes;
    buffer_init(&bytes);
    static const struct hostile bomb[] = { { "files/zeros", AE_IFREG, .size = 300 * MIB } };
    write_hostile(bomb, 1, 1, &bytes);
    ck_assert_int_eq(read_with(&bytes, &package_limits_default, &diag), S4_TOO_LARGE);
    buffer_fini(&bytes);
}
END_TEST

/* ---- what is not a plain file -------------------------------------------------------------- */

#define PATH_WRONG \
    " is not taken: a path in a bundle is relative, without .., of at most 200 plain letters"
#define TYPE_WRONG " is not a regular file; a bundle has no links, folders or devices"

START_TEST(strange_entries_are_refused)
{
    static const struct {
        struct hostile entry;
        const char *message;
    } table[] = {
        { { "../x", AE_IFREG }, "the path \"../x\"" PATH_WRONG },
        { { "a/../../x", AE_IFREG }, "the path \"a/../../x\"" PATH_WRONG },
        { { "/etc/x", AE_IFREG }, "the path \"/etc/x\"" PATH_WRONG },
        { { "./x", AE_IFREG }, "the path \"./x\"" PATH_WRONG },
        { { "a//x", AE_IFREG }, "the path \"a//x\"" PATH_WRONG },
        { { "a b", AE_IFREG }, "the path \"a b\"" PATH_WRONG },
        { { "a\nb", AE_IFREG }, "the path \"a?b\"" PATH_WRONG },
        { { "a\\b", AE_IFREG }, "the path \"a\\b\"" PATH_WRONG },
        { { "lib/", AE_IFDIR }, "\"lib/\"" TYPE_WRONG },
        { { "x", AE_IFLNK, .symlink = "/etc/passwd" }, "\"x\"" TYPE_WRONG },
        { { "x", AE_IFREG, .hardlink = "/etc/passwd" }, "\"x\"" TYPE_WRONG },
        { { "x", AE_IFIFO }, "\"x\"" TYPE_WRONG },
        { { "x", AE_IFCHR }, "\"x\"" TYPE_WRONG },
        { { "x", AE_IFBLK }, "\"x\"" TYPE_WRONG },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buffer bytes;
        buffer_init(&bytes);
        write_hostile(&table[i].entry, 1, 1, &bytes);
        expect(&bytes, S4_INVALID, table[i].message);
        buffer_fini(&bytes);
    }
}
END_TEST

START_TEST(paths_are_bounded)
{
    for (size_t len = 200; len <= 201; len++) {
        struct buffer bytes;
        struct diag diag;
        char path[256] = { 0 };
        memset(path, 'a', len);
        buffer_init(&bytes);
        const struct hostile entry = { path, AE_IFREG };
        write_hostile(&entry, 1, 1, &bytes);
        ck_assert_int_eq(read_with(&bytes, &package_limits_default, &diag),
                         len == 200 ? S4_OK : S4_INVALID);
        buffer_fini(&bytes);
    }
}
END_TEST

START_TEST(a_path_comes_once)
{
    struct buffer bytes;
    buffer_init(&bytes);
    static const struct hostile twice[] = { { "x", AE_IFREG, .size = 3 },
                                            { "y", AE_IFREG },
                                            { "x", AE_IFREG, .size = 3 } };
    write_hostile(twice, 3, 1, &bytes);
    expect(&bytes, S4_EXISTS, "the path \"x\" is there twice");
    buffer_fini(&bytes);
}
END_TEST

START_TEST(what_is_no_bundle_is_refused)
{
    struct buffer bytes;
    buffer_init(&bytes);
    static const char not_one[] = "it is not a bundle (a tar compressed with zstd)";
    static const struct hostile plain[] = { { "x", AE_IFREG, .size = 3 } };
    expect(&bytes, S4_MALFORMED, "the bundle is empty");
    ck_assert_int_eq(buffer_append_text(&bytes, "hello, this is no bundle"), S4_OK);
    expect(&bytes, S4_MALFORMED, not_one);
    buffer_clear(&bytes);
    write_hostile(plain, 1, 0, &bytes); /* a tar without zstd */
    expect(&bytes, S4_MALFORMED, not_one);
    buffer_clear(&bytes);
    write_hostile(plain, 1, 2, &bytes); /* a zstd in a zstd */
    expect(&bytes, S4_MALFORMED, not_one);
    buffer_fini(&bytes);
}
END_TEST

/* ---- damage -------------------------------------------------------------------------------- */

START_TEST(every_cut_is_found)
{
    struct package package;
    struct diag diag;
    sample(&package);
    struct buffer bytes = packed(&package);
    size_t whole = bytes.size;
    for (size_t size = 0; size < whole; size++) {
        bytes.size = size;
        ck_assert_msg(read_with(&bytes, &package_limits_default, &diag) == S4_MALFORMED,
                      "cut at %zu of %zu: %s", size, whole, diag.text);
    }
    bytes.size = whole;
    ck_assert_int_eq(read_with(&bytes, &package_limits_default, &diag), S4_OK);
    ck_assert_int_eq(buffer_append_text(&bytes, "more"), S4_OK);
    ck_assert_int_eq(read_with(&bytes, &package_limits_default, &diag), S4_MALFORMED);
    buffer_fini(&bytes);
}
END_TEST

START_TEST(flipped_bytes_are_survived)
{
    struct package package;
    struct diag diag;
    struct rng rng;
    sample(&package);
    struct buffer bytes = packed(&package);
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 3000; round++) {
        size_t at = rng_below(&rng, bytes.size);
        char before = bytes.data[at];
        bytes.data[at] = (char)rng_next(&rng);
        (void)!read_with(&bytes, &package_limits_default, &diag);
        bytes.data[at] = before;
    }
    ck_assert_int_eq(read_with(&bytes, &package_limits_default, &diag), S4_OK);
    buffer_fini(&bytes);
}
END_TEST

START_TEST(memory_may_run_out_anywhere)
{
    struct package package, back;
    sample(&package);
    struct buffer bytes;
    int64_t n = 0;
    for (s4_status status = S4_NO_MEMORY; status != S4_OK; n++) {
        buffer_init(&bytes);
        mem_fail_after(n);
        status = package_write(&package, &bytes, NULL);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
        if (status != S4_OK)
            buffer_fini(&bytes);
    }
    ck_assert_int_gt(n, 1);
    package_fini(&package);
    n = 0;
    for (s4_status status = S4_NO_MEMORY; status != S4_OK; n++) {
        mem_fail_after(n);
        status = package_read(bytes.data, bytes.size, &package_limits_default, &back, NULL);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
    }
    ck_assert_int_gt(n, 8);
    package_fini(&back);
    buffer_fini(&bytes);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("package");
    suite_add(suite, "round trip", files_come_back_as_they_went, 10);
    suite_add(suite, "entries", entries_are_bounded, 20);
    suite_add(suite, "bytes", bytes_are_bounded, 10);
    suite_add(suite, "largest", the_largest_bundle_is_read_and_no_larger, 60);
    suite_add(suite, "ratio", the_ratio_is_bounded, 30);
    suite_add(suite, "bomb", a_zip_bomb_is_met_early, 60);
    suite_add(suite, "strange", strange_entries_are_refused, 10);
    suite_add(suite, "paths", paths_are_bounded, 10);
    suite_add(suite, "twice", a_path_comes_once, 10);
    suite_add(suite, "no bundle", what_is_no_bundle_is_refused, 10);
    suite_add(suite, "cut", every_cut_is_found, 60);
    suite_add(suite, "flips", flipped_bytes_are_survived, 60);
    suite_add(suite, "memory", memory_may_run_out_anywhere, 10);
    return suite;
}
