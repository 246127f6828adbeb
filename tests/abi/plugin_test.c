/* The loader: plugins that each break one rule are refused with their reason, and this process
 * lives; the good one is loaded, twice at once, and unloaded. */
#include "tests/support/suite.h"

#include <unistd.h>
#include <elf.h>
#include <s4/abi.h>

#include "pe/host/plugin.h"
#include "pe/graph/graph.h"
#include "runtime/base/mem.h"
#include "tests/abi/library.h"

extern const s4_app s4_plugin; /* tests/abi/good.c, linked in */

static const struct plugin_options options = { .checker = ABI_CHECKER };
static const struct plugin_options impatient = { .checker = ABI_CHECKER, .timeout_ms = 300 };

#define FIRST_LOAD "the library's first load, in a process of its own, "

static const struct {
    const char *library;
    s4_status code;
    const char *message;
} rules[] = {
    { "no_note", S4_INVALID,
      "the library has no s4 note; define the app with S4_APP in one of its files" },
    { "too_new", S4_VERSION, "the library is built for s4's ABI 1.1; this node has 1.0" },
    { "short_table", S4_VERSION, "the app's table has 112 bytes; this node's version wants 120" },
    { "no_table", S4_NOT_FOUND,
      "the library does not export s4_plugin; define the app with S4_APP" },
    { "no_handler", S4_INVALID, "prototype \"counters\" has no handler for stream \"words\"" },
    { "merges", S4_UNSUPPORTED,
      "class \"counter\": this version does not serve the callback merge" },
    { "twice", S4_EXISTS, "two streams are named \"words\"" },
    { "unknown_type", S4_TYPE,
      "stream \"words\": its type is unknown; give the descriptor of a protobuf message" },
    { "other_type", S4_TYPE,
      "prototype \"counters\": the handler on_word takes abi.Line, but stream \"words\" carries "
      "abi.Word" },
    { "undefined", S4_FAILED,
      "the library cannot be loaded: undefined symbol: nobody_defines_this" },
    { "aborts", S4_FAILED, FIRST_LOAD "ended with signal 6 (Aborted)" },
    { "exits", S4_FAILED, FIRST_LOAD "ended with exit code 0" },
    { "floods", S4_FAILED, "the library's first load answered with nonsense" },
};

static s4_status load(const void *bytes, size_t size, const struct plugin_options *with,
                      struct problems *problems)
{
    struct plugin *plugin;
    problems_init(problems);
    s4_status status = plugin_load_library(bytes, size, with, &plugin, problems);
    if (status == S4_OK)
        plugin_release(plugin);
    return status;
}

static void expect(const struct problems *problems, s4_status status, s4_status code,
                   const char *message)
{
    ck_assert_str_eq(problems->count ? problems->list[0].text : "nothing", message);
    ck_assert_int_eq(status, code);
}

START_TEST(each_broken_rule_is_told)
{
    struct problems problems;
    struct buffer library = library_read(rules[_i].library);
    s4_status status = load(library.data, library.size, &options, &problems);
    expect(&problems, status, rules[_i].code, rules[_i].message);
    problems_fini(&problems);
    buffer_fini(&library);
}
END_TEST

START_TEST(another_layout_is_refused)
{
    struct problems problems;
    struct buffer library = library_read("wrong_layout");
    ck_assert_int_eq(load(library.data, library.size, &options, &problems), S4_VERSION);
    ck_assert_int_eq(strncmp(problems.list[0].text,
                             "the library lays its tables out in another way (signature ", 58),
                     0);
    problems_fini(&problems);
    buffer_fini(&library);
}
END_TEST

START_TEST(another_machine_is_refused)
{
    struct problems problems;
    struct buffer library = library_read("good");
    const uint16_t machine = EM_AARCH64;
    memcpy(library.data + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof machine);
    s4_status status = load(library.data, library.size, &options, &problems);
    expect(&problems, status, S4_UNSUPPORTED,
           "the library is built for aarch64 (machine 183); this one is x86-64");
    problems_fini(&problems);
    buffer_fini(&library);
}
END_TEST

START_TEST(what_is_no_shared_object_is_refused)
{
    struct problems problems;
    static const char text[] = "#!/bin/sh\necho hello\n";
    s4_status status = load(text, sizeof text, &options, &problems);
    expect(&problems, status, S4_MALFORMED, "the library is not a shared object (ELF)");
    problems_fini(&problems);
}
END_TEST

START_TEST(a_hanging_constructor_is_ended)
{
    struct problems problems;
    struct buffer library = library_read("hangs");
    s4_status status = load(library.data, library.size, &impatient, &problems);
    expect(&problems, status, S4_TIMEOUT, FIRST_LOAD "did not end within 300 ms");
    problems_fini(&problems);
    buffer_fini(&library);
}
END_TEST

START_TEST(a_missing_checker_is_told)
{
    struct problems problems;
    struct buffer library = library_read("good");
    const struct plugin_options none = { .checker = "/nowhere/s4" };
    s4_status status = load(library.data, library.size, &none, &problems);
    expect(&problems, status, S4_UNAVAILABLE,
           "/nowhere/s4 cannot be started to check the library: No such file or directory");
    problems_fini(&problems);
    buffer_fini(&library);
}
END_TEST

/* ---- bundles ------------------------------------------------------------------------------- */

static struct bundle *bundle_of(const s4_app *app, const struct buffer *library,
                                const char *manifest)
{
    struct bundle *bundle = NULL;
    struct problems problems;
    problems_init(&problems);
    s4_status status = bundle_from_app(app, "app.yaml", manifest, manifest ? strlen(manifest) : 0,
                                       library->data, library->size, &bundle, &problems);
    ck_assert_msg(status == S4_OK, "%s", problems.count ? problems.list[0].text : "");
    problems_fini(&problems);
    return bundle;
}

START_TEST(a_good_bundle_is_loaded_and_each_load_is_its_own)
{
    struct problems problems;
    struct plugin *a, *b;
    struct buffer library = library_read("good");
    struct bundle *bundle = bundle_of(&s4_plugin, &library, NULL);
    problems_init(&problems);
    s4_status status = plugin_load(bundle, &options, &a, &problems);
    ck_assert_msg(status == S4_OK, "%s", problems.count ? problems.list[0].text : "");
    ck_assert_int_eq(plugin_load(bundle, &options, &b, &problems), S4_OK);
    const s4_app *x = plugin_app(a), *y = plugin_app(b);
    ck_assert_ptr_ne(x, y);
    ck_assert_ptr_ne(x, &s4_plugin);
    ck_assert_ptr_ne(x->streams[1]->number, y->streams[1]->number);
    ck_assert_uint_eq(*x->streams[1]->number, 1);
    ck_assert_uint_eq(*y->streams[1]->number, 1);
    ck_assert_str_eq(plugin_build_id(a), bundle->elf.build_id);
    ck_assert_uint_ge(strlen(plugin_build_id(a)), 16);
    plugin_release(b);
    ck_assert_ptr_eq(plugin_hold(a), a);
    plugin_release(a);
    ck_assert_str_eq(plugin_app(a)->name, "good"); /* still mapped: held */
    plugin_release(a);
    plugin_release(NULL);
    problems_fini(&problems);
    bundle_release(bundle);
    buffer_fini(&library);
}
END_TEST

START_TEST(loading_and_unloading_leaves_nothing)
{
    struct problems problems;
    struct plugin *plugin;
    struct buffer library = library_read("tiny");
    problems_init(&problems);
    int first = -1;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(
            plugin_load_library(library.data, library.size, &options, &plugin, &problems), S4_OK);
        int next = dup(0);
        first = i == 0 ? next : first;
        ck_assert_int_eq(next, first); /* descriptors do not pile up */
        close(next);
        plugin_release(plugin);
    }
    problems_fini(&problems);
    buffer_fini(&library);
}
END_TEST

START_TEST(code_of_another_app_is_refused)
{
    struct problems problems;
    struct plugin *plugin;
    struct buffer library = library_read("tiny");
    struct bundle *bundle = bundle_of(&s4_plugin, &library, "app: good\nversion: 1\n");
    problems_init(&problems);
    s4_status status = plugin_load(bundle, &options, &plugin, &problems);
    expect(&problems, status, S4_CORRUPT,
           "graph.pb is not what the library's code and app.yaml say; pack the bundle again");
    problems_fini(&problems);
    bundle_release(bundle);
    buffer_fini(&library);
}
END_TEST

START_TEST(linked_code_needs_no_file)
{
    struct problems problems;
    struct bundle *bundle;
    struct plugin *plugin;
    problems_init(&problems);
    ck_assert_int_eq(bundle_from_app(&s4_plugin, NULL, NULL, 0, NULL, 0, &bundle, &problems),
                     S4_OK);
    ck_assert_int_eq(plugin_from_app(&s4_plugin, bundle, &plugin), S4_OK);
    ck_assert_ptr_eq(plugin_app(plugin), &s4_plugin);
    ck_assert_uint_eq(*s4_plugin.streams[1]->number, 1);
    ck_assert_str_eq(plugin_build_id(plugin), "");
    plugin_release(plugin);
    ck_assert_int_eq(plugin_load(bundle, &options, &plugin, &problems), S4_NOT_FOUND);
    ck_assert_str_eq(problems.list[0].text, "the bundle has no library");
    bundle_release(bundle);
    problems_fini(&problems);
}
END_TEST

START_TEST(memory_may_run_out_anywhere)
{
    struct buffer library = library_read("good");
    struct bundle *bundle = bundle_of(&s4_plugin, &library, NULL);
    struct plugin *plugin;
    s4_status status = S4_NO_MEMORY;
    int64_t n = 0;
    for (; status != S4_OK; n += 7) { /* each is a process */
        struct problems problems;
        problems_init(&problems);
        mem_fail_after(n);
        status = plugin_load(bundle, &options, &plugin, &problems);
        mem_fail_after(-1);
        ck_assert_msg(status == S4_OK || status == S4_NO_MEMORY, "%s", s4_status_name(status));
        problems_fini(&problems);
    }
    ck_assert_int_gt(n, 50);
    plugin_release(plugin);
    bundle_release(bundle);
    buffer_fini(&library);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("plugin");
    TCase *table = tcase_create("rules");
    tcase_add_loop_test(table, each_broken_rule_is_told, 0, (int)ARRAY_LEN(rules));
    suite_add_tcase(suite, table);
    suite_add(suite, "layout", another_layout_is_refused, 10);
    suite_add(suite, "machine", another_machine_is_refused, 10);
    suite_add(suite, "no object", what_is_no_shared_object_is_refused, 10);
    suite_add(suite, "hangs", a_hanging_constructor_is_ended, 10);
    suite_add(suite, "no checker", a_missing_checker_is_told, 10);
    suite_add(suite, "good", a_good_bundle_is_loaded_and_each_load_is_its_own, 20);
    suite_add(suite, "nothing left", loading_and_unloading_leaves_nothing, 60);
    suite_add(suite, "other code", code_of_another_app_is_refused, 10);
    suite_add(suite, "linked", linked_code_needs_no_file, 10);
    suite_add(suite, "memory", memory_may_run_out_anywhere, 60);
    return suite;
}
