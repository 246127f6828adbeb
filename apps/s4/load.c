/* Bundles and plugins for commands; see the header. */
#include "apps/s4/load.h"

#include "apps/s4/exit.h"
#include "apps/s4/file.h"
#include "apps/s4/say.h"

static int refuse(const char *path, const struct problems *problems)
{
    say_problems(path, problems);
    return problems->first == S4_NO_MEMORY || problems->first == S4_IO ? EXIT_FAILED
                                                                       : EXIT_BAD_BUNDLE;
}

int load_bundle(const char *path, struct bundle **bundle)
{
    struct buffer bytes;
    struct diag diag = { 0 };
    buffer_init(&bytes);
    s4_status status = file_read(path, LOAD_BUNDLE_MAX, &bytes, &diag);
    if (status != S4_OK) {
        say_error("%s", diag.text);
        buffer_fini(&bytes);
        return status == S4_TOO_LARGE ? EXIT_BAD_BUNDLE : EXIT_FAILED;
    }
    struct problems problems;
    problems_init(&problems);
    int code = EXIT_DONE;
    if (bundle_open_bytes(bytes.data, bytes.size, bundle, &problems) != S4_OK)
        code = refuse(path, &problems);
    problems_fini(&problems);
    buffer_fini(&bytes);
    return code;
}

int load_app(const char *path, struct bundle **bundle, struct plugin **plugin)
{
    struct bundle *opened;
    int code = load_bundle(path, &opened);
    if (code != EXIT_DONE)
        return code;
    struct problems problems;
    problems_init(&problems);
    if (plugin_load(opened, NULL, plugin, &problems) != S4_OK) {
        code = refuse(path, &problems);
        bundle_release(opened);
    } else {
        *bundle = opened;
    }
    problems_fini(&problems);
    return code;
}
