/* Bundles and plugins for commands; see the header. */
#include "apps/s4/load.h"

#include "apps/s4/exit.h"
#include "apps/s4/file.h"
#include "apps/s4/say.h"

static int code_of(const struct problems *problems)
{
    return problems->first == S4_NO_MEMORY || problems->first == S4_IO ? EXIT_FAILED
                                                                       : EXIT_BAD_BUNDLE;
}

static int open_bundle(const char *path, struct bundle **bundle, struct problems *problems)
{
    struct buffer bytes;
    struct diag diag = { 0 };
    buffer_init(&bytes);
    int code = EXIT_DONE;
    s4_status status = file_read(path, LOAD_BUNDLE_MAX, &bytes, &diag);
    if (status != S4_OK) {
        (void)problems_add_diag(problems, &diag);
        code = status == S4_TOO_LARGE ? EXIT_BAD_BUNDLE : EXIT_FAILED;
    } else if (bundle_open_bytes(bytes.data, bytes.size, bundle, problems) != S4_OK) {
        code = code_of(problems);
    }
    buffer_fini(&bytes);
    return code;
}

int load_try(const char *path, struct bundle **bundle, struct plugin **plugin,
             struct problems *problems)
{
    struct bundle *opened;
    int code = open_bundle(path, &opened, problems);
    if (code != EXIT_DONE)
        return code;
    if (plugin && plugin_load(opened, NULL, plugin, problems) != S4_OK) {
        bundle_release(opened);
        return code_of(problems);
    }
    *bundle = opened;
    return EXIT_DONE;
}

int load_app(const char *path, struct bundle **bundle, struct plugin **plugin)
{
    struct problems problems;
    problems_init(&problems);
    int code = load_try(path, bundle, plugin, &problems);
    if (code != EXIT_DONE)
        say_problems(path, &problems);
    problems_fini(&problems);
    return code;
}

int load_bundle(const char *path, struct bundle **bundle)
{
    return load_app(path, bundle, NULL);
}
