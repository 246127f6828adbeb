/* Bundles: what is packed comes back, and every way in which the parts may not fit each other is
 * told. */
#include "tests/support/suite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <s4/abi.h>

#include "pe/bundle/bundle.h"
#include "pe/bundle/package.h"
#include "pe/graph/graph.h"
#include "runtime/base/mem.h"
#include "tests/abi/library.h"

extern const s4_app s4_plugin; /* tests/abi/good.c */

static const char manifest[] = "app: renamed\nversion: 2.1\nprototypes: {counters: {ttl: 7s}}\n";

static const char *first(const struct problems *problems)
{
    return problems->count ? problems->list[0].text : "nothing";
}

static struct bundle *make(void)
{
    struct bundle *bundle = NULL;
    struct problems problems;
    struct buffer library = library_read("good");
    problems_init(&problems);
    s4_status status = bundle_from_app(&s4_plugin, "app.yaml", manifest, strlen(manifest),
                                       library.data, library.size, &bundle, &problems);
    ck_assert_msg(status == S4_OK, "%s", first(&problems));
    buffer_fini(&library);
    problems_fini(&problems);
    return bundle;
}

static struct buffer pack(const struct bundle *bundle)
{
    struct buffer bytes;
    buffer_init(&bytes);
    ck_assert_int_eq(bundle_write(bundle, &bytes, NULL), S4_OK);
    return bytes;
}

START_TEST(what_is_packed_comes_back)
{
    struct problems problems;
    struct bundle *bundle = make(), *back = NULL;
    struct buffer bytes = pack(bundle);
    problems_init(&problems);
    s4_status status = bundle_open_bytes(bytes.data, bytes.size, &back, &problems);
    ck_assert_msg(status == S4_OK, "%s", first(&problems));
    ck_assert_str_eq(back->graph->app, "renamed");
    ck_assert_str_eq(back->graph->library, "renamed.so");
    ck_assert_uint_eq(back->graph->prototypes[1]->ttl_us, 7000000);
    ck_assert_uint_eq(back->graph_hash, bundle->graph_hash);
    ck_assert_uint_eq(back->content_hash, bundle->content_hash);
    ck_assert_uint_eq(back->library_size, bundle->library_size);
    ck_assert_mem_eq(back->library, bundle->library, back->library_size);
    ck_assert_str_eq(back->manifest, manifest);
    ck_assert_str_eq(back->elf.build_id, bundle->elf.build_id);
    ck_assert_ptr_nonnull(schema_find(back->schema, "abi.Word"));
    ck_assert_ptr_eq(bundle_hold(back), back);
    bundle_release(back);
    ck_assert_str_eq(back->graph->version, "2.1");
    bundle_release(back);
    bundle_release(bundle);
    buffer_fini(&bytes);
    problems_fini(&problems);
}
END_TEST

START_TEST(an_app_without_a_manifest_has_one_made)
{
    struct problems problems;
    struct bundle *bundle;
    problems_init(&problems);
    ck_assert_int_eq(bundle_from_app(&s4_plugin, NULL, NULL, 0, NULL, 0, &bundle, &problems),
                     S4_OK);
    ck_assert_str_eq(bundle->graph->app, "good");
    ck_assert_str_eq(bundle->manifest, "app: good\nversion: \"0\"\n");
    ck_assert_ptr_null(bundle->library);
    bundle_release(bundle);
    problems_fini(&problems);
}
END_TEST

START_TEST(mistakes_in_the_manifest_are_told_with_its_path)
{
    struct problems problems;
    struct bundle *bundle;
    static const char text[] = "app: a\nversion: 1\nstrems: {}\n";
    problems_init(&problems);
    ck_assert_int_eq(bundle_from_app(&s4_plugin, "dir/app.yaml", text, strlen(text), NULL, 0,
                                     &bundle, &problems),
                     S4_NOT_FOUND);
    ck_assert_str_eq(first(&problems),
                     "dir/app.yaml:3:1: unknown key \"strems\"; did you mean \"streams\"?");
    problems_fini(&problems);
}
END_TEST

START_TEST(graph_problems_are_told_too)
{
    struct problems problems;
    struct bundle *bundle;
    static const char text[] = "app: a\nversion: 1\nclock: {event: text, unit: ms}\n";
    problems_init(&problems);
    ck_assert_int_eq(
        bundle_from_app(&s4_plugin, "app.yaml", text, strlen(text), NULL, 0, &bundle, &problems),
        S4_TYPE);
    ck_assert_str_eq(first(&problems),
                     "clock: attribute \"text\" of abi.Line is not a single int64 or uint64");
    problems_fini(&problems);
}
END_TEST

/* ---- parts that do not fit ----------------------------------------------------------------- */

/* The package of a good bundle, with one file left out or replaced. */
static struct buffer repack(const char *without, const char *path, const void *data, size_t size)
{
    struct bundle *bundle = make();
    struct buffer bytes = pack(bundle);
    struct package all, some;
    package_init(&some);
    ck_assert_int_eq(package_read(bytes.data, bytes.size, &package_limits_default, &all, NULL),
                     S4_OK);
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.entries[i].path, without) != 0)
            ck_assert_int_eq(package_add(&some, all.entries[i].path, all.entries[i].data,
                                         all.entries[i].size, NULL),
                             S4_OK);
    if (path)
        ck_assert_int_eq(package_add(&some, path, data, size, NULL), S4_OK);
    buffer_clear(&bytes);
    ck_assert_int_eq(package_write(&some, &bytes, NULL), S4_OK);
    package_fini(&all);
    package_fini(&some);
    bundle_release(bundle);
    return bytes;
}

static void expect(struct buffer *bytes, s4_status code, const char *message)
{
    struct problems problems;
    struct bundle *bundle;
    problems_init(&problems);
    s4_status status = bundle_open_bytes(bytes->data, bytes->size, &bundle, &problems);
    ck_assert_str_eq(first(&problems), message);
    ck_assert_int_eq(status, code);
    problems_fini(&problems);
    buffer_fini(bytes);
}

START_TEST(a_missing_part_is_told)
{
    static const char *const parts[] = { "app.yaml", "graph.pb", "schema.pb", "lib/renamed.so" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char message[64];
        snprintf(message, sizeof message, "the bundle has no %s", parts[i]);
        struct buffer bytes = repack(parts[i], NULL, NULL, 0);
        expect(&bytes, S4_NOT_FOUND, message);
    }
}
END_TEST

START_TEST(a_changed_part_is_told)
{
    static const char text[] = "app: renamed\nversion: 2.1\nprototypes: {counters: {ttl: 8s}}\n";
    struct buffer bytes = repack("app.yaml", "app.yaml", text, strlen(text));
    expect(&bytes, S4_CORRUPT, "app.yaml was changed after the bundle was packed; pack it again");
    bytes = repack("app.yaml", "app.yaml", "app: [", 6);
    expect(&bytes, S4_MALFORMED, "app.yaml:2:1: not YAML: did not find expected node content");
    bytes = repack("graph.pb", "graph.pb", "\x08", 1);
    expect(&bytes, S4_MALFORMED, "graph.pb is damaged: it is not a graph message");
    bytes = repack("lib/renamed.so", "lib/renamed.so", "hello", 5);
    expect(&bytes, S4_MALFORMED, "lib/renamed.so: the library is not a shared object (ELF)");
    bytes = repack("", "lib/other.so", "x", 1);
    expect(
        &bytes, S4_INVALID,
        "the bundle has the file \"lib/other.so\", which has no place in it; files of the app lie "
        "in files/");
}
END_TEST

START_TEST(a_schema_that_lacks_types_is_told)
{
    struct buffer bytes = repack("schema.pb", "schema.pb", "", 0);
    struct problems problems;
    struct bundle *bundle;
    problems_init(&problems);
    ck_assert_int_ne(bundle_open_bytes(bytes.data, bytes.size, &bundle, &problems), S4_OK);
    ck_assert_uint_ge(problems.count, 1);
    problems_fini(&problems);
    buffer_fini(&bytes);
}
END_TEST

START_TEST(files_of_the_app_are_found)
{
    struct buffer bytes = repack("", "files/stop.txt", "the\n", 4);
    struct problems problems;
    struct bundle *bundle;
    size_t size = 0;
    problems_init(&problems);
    ck_assert_int_eq(bundle_open_bytes(bytes.data, bytes.size, &bundle, &problems), S4_OK);
    const char *text = bundle_file(bundle, "stop.txt", &size);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(size, 4);
    ck_assert_mem_eq(text, "the\n", 4);
    ck_assert_ptr_null(bundle_file(bundle, "other.txt", &size));
    ck_assert_uint_eq(bundle_files(bundle, &size), 1);
    ck_assert_uint_eq(size, 4);
    bundle_release(bundle);
    problems_fini(&problems);
    buffer_fini(&bytes);
}
END_TEST

/* ---- files --------------------------------------------------------------------------------- */

static void expect_open(const char *path, s4_status code, const char *message)
{
    struct problems problems;
    struct bundle *bundle;
    problems_init(&problems);
    s4_status status = bundle_open(path, &bundle, &problems);
    if (status == S4_OK)
        bundle_release(bundle);
    ck_assert_str_eq(first(&problems), message);
    ck_assert_int_eq(status, code);
    problems_fini(&problems);
}

START_TEST(files_are_opened_or_refused)
{
    char dir[] = "/tmp/s4-bundle-XXXXXX";
    char path[64], message[128];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.s4r", dir);
    snprintf(message, sizeof message, "%s: No such file or directory", path);
    expect_open(path, S4_NOT_FOUND, message);
    snprintf(message, sizeof message, "%s: not a file", dir);
    expect_open(dir, S4_INVALID, message);

    struct bundle *bundle = make();
    struct buffer bytes = pack(bundle);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(file, bytes.data, bytes.size), (ssize_t)bytes.size);
    expect_open(path, S4_OK, "nothing");
    ck_assert_int_eq(ftruncate(file, (off_t)bytes.size / 2), 0);
    expect_open(path, S4_MALFORMED, "the bundle is damaged: Truncated zstd input");
    ck_assert_int_eq(ftruncate(file, 64 * MIB + 1), 0);
    snprintf(message, sizeof message, "%s: 67108865 bytes; the limit is 67108864", path);
    expect_open(path, S4_TOO_LARGE, message);
    close(file);
    unlink(path);
    rmdir(dir);
    buffer_fini(&bytes);
    bundle_release(bundle);
}
END_TEST

START_TEST(memory_may_run_out_anywhere)
{
    struct bundle *bundle = make(), *back = NULL;
    struct buffer bytes = pack(bundle);
    int64_t n = 0;
    for (s4_status status = S4_NO_MEMORY; status != S4_OK; n++) {
        struct problems problems;
        problems_init(&problems);
        mem_fail_after(n);
        status = bundle_open_bytes(bytes.data, bytes.size, &back, &problems);
        mem_fail_after(-1);
        ck_assert_msg(status == S4_OK || problems.first != S4_OK, "%lld", (long long)n);
        problems_fini(&problems);
    }
    ck_assert_int_gt(n, 100);
    bundle_release(back);
    n = 0;
    for (s4_status status = S4_NO_MEMORY; status != S4_OK; n++) {
        struct problems problems;
        problems_init(&problems);
        mem_fail_after(n);
        status = bundle_from_app(&s4_plugin, "app.yaml", manifest, strlen(manifest), NULL, 0, &back,
                                 &problems);
        mem_fail_after(-1);
        problems_fini(&problems);
    }
    ck_assert_int_gt(n, 100);
    bundle_release(back);
    bundle_release(bundle);
    buffer_fini(&bytes);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("bundle");
    suite_add(suite, "round trip", what_is_packed_comes_back, 10);
    suite_add(suite, "no manifest", an_app_without_a_manifest_has_one_made, 10);
    suite_add(suite, "manifest", mistakes_in_the_manifest_are_told_with_its_path, 10);
    suite_add(suite, "graph", graph_problems_are_told_too, 10);
    suite_add(suite, "missing", a_missing_part_is_told, 10);
    suite_add(suite, "changed", a_changed_part_is_told, 10);
    suite_add(suite, "schema", a_schema_that_lacks_types_is_told, 10);
    suite_add(suite, "app's files", files_of_the_app_are_found, 10);
    suite_add(suite, "opened", files_are_opened_or_refused, 10);
    suite_add(suite, "memory", memory_may_run_out_anywhere, 60);
    return suite;
}
