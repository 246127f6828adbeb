/* s4 pack: reads what the shared object declares and app.yaml sets, and writes both with the code
 * into a bundle. The object is loaded for it, first in a process of its own, as a node would. */
#include "apps/s4/command.h"
#include "apps/s4/file.h"
#include "apps/s4/file_tree.h"
#include "apps/s4/load.h"
#include "apps/s4/say.h"
#include "pe/graph/limits.h"

struct pack {
    const char *manifest;
    const char *library;
    const char *output;
    const char *files; /* a folder; NULL: none */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct pack *pack = state->input;
    switch (key) {
    case 'o':
        pack->output = arg;
        return 0;
    case 'f':
        pack->files = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (!pack->manifest)
            pack->manifest = arg;
        else if (!pack->library)
            pack->library = arg;
        else
            command_usage(state, "'%s' is too much", arg);
        return 0;
    case ARGP_KEY_END:
        if (!pack->library)
            command_usage(state, "it takes a manifest and a shared object");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int write_bundle(const struct pack *pack, const struct bundle *bundle)
{
    char fallback[GRAPH_NAME_MAX + 8];
    snprintf(fallback, sizeof fallback, "%s.s4r", bundle->graph->app);
    const char *path = pack->output ? pack->output : fallback;
    struct buffer bytes;
    struct diag diag = { 0 };
    buffer_init(&bytes);
    int code = EXIT_FAILED;
    if (bundle_write(bundle, &bytes, &diag) == S4_OK) {
        if (package_check(bytes.data, bytes.size, &diag) != S4_OK)
            code = EXIT_BAD_BUNDLE;
        else if (file_write(path, bytes.data, bytes.size, &diag) == S4_OK)
            code = EXIT_DONE;
    }
    if (code != EXIT_DONE)
        say_error("%s", diag.text);
    buffer_fini(&bytes);
    return code;
}

static int pack_parts(const struct pack *pack, const struct buffer *manifest,
                      const struct buffer *library, const struct package *files)
{
    struct plugin *plugin;
    struct bundle *bundle;
    struct problems problems;
    problems_init(&problems);
    int code = EXIT_BAD_BUNDLE;
    if (plugin_load_library(library->data, library->size, NULL, &plugin, &problems) != S4_OK) {
        say_problems(pack->library, &problems);
    } else {
        struct bundle_parts parts = {
            .app = plugin_app(plugin),
            .place = pack->manifest,
            .manifest = manifest->data,
            .manifest_size = manifest->size,
            .library = library->data,
            .library_size = library->size,
            .files = files,
        };
        if (bundle_from_parts(&parts, &bundle, &problems) == S4_OK) {
            code = write_bundle(pack, bundle);
            bundle_release(bundle);
        } else {
            say_problems(NULL, &problems);
        }
        plugin_release(plugin);
    }
    problems_fini(&problems);
    return code;
}

int command_pack(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "output", 'o', "FILE", 0, "The bundle to write (default: APP.s4r)", 0 },
        { "files", 'f', "FOLDER", 0, "Take the files below FOLDER in, for s4_file", 0 },
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "APP.YAML LIBRARY.so",
        .doc = "Make a bundle of a manifest and a shared object, and files if the app has some. "
               "The object is loaded, and what it "
               "declares is checked against the manifest."
               "\vExample:\n  s4 pack app.yaml libhello.so -o hello.s4r\n\n" //
        EXIT_TEXT_USUAL EXIT_TEXT_BAD_BUNDLE ".",
    };
    struct pack pack = { 0 };
    command_parse(&argp, argc, argv, &pack);
    struct buffer manifest, library;
    struct package files;
    struct diag diag = { 0 };
    buffer_init(&manifest);
    buffer_init(&library);
    package_init(&files);
    int code = EXIT_FAILED;
    if (file_read(pack.manifest, MANIFEST_SIZE_MAX, &manifest, &diag) != S4_OK ||
        file_read(pack.library, LOAD_BUNDLE_MAX, &library, &diag) != S4_OK ||
        (pack.files && file_tree_add(pack.files, &files, &diag) != S4_OK))
        say_error("%s", diag.text);
    else if (!buffer_text(&manifest))
        say_error("out of memory");
    else
        code = pack_parts(&pack, &manifest, &library, &files);
    buffer_fini(&manifest);
    buffer_fini(&library);
    package_fini(&files);
    return code;
}
