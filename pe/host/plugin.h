/* Plugins: the code of a bundle, loaded. Counted; the code stays mapped while anybody holds it.
 *
 * Loading runs a library's constructors, so a bundle's library is first loaded and checked in a
 * child process (posix_spawn; a node never forks): what dies, hangs or lies there is refused and
 * never comes into this process. Here each load has a file of its own (a sealed memfd), so that two
 * versions of a library, and two loads of one version, do not share their variables.
 *
 * plugin_load: one control thread. hold and release: any thread.
 */
#ifndef PE_HOST_PLUGIN_H
#define PE_HOST_PLUGIN_H

#include "pe/bundle/bundle.h"

#define PLUGIN_CHECK_TIMEOUT_MS 10000

struct plugin_options {
    const char *checker; /* program that runs plugin_checker_main on PLUGIN_CHECKER_FLAG; NULL: this
                            program, /proc/self/exe */
    int timeout_ms;      /* of the first load; 0: PLUGIN_CHECK_TIMEOUT_MS */
};

struct plugin;

/* Loads the bundle's library (options NULL: defaults), and finds that its code says what the
 * bundle's graph and schema say. All problems of the code are added. */
s4_status plugin_load(const struct bundle *bundle, const struct plugin_options *options,
                      struct plugin **plugin, struct problems *problems) MUST_USE;

/* Loads a library that is in no bundle yet: to make one of plugin_app (bundle_from_app). */
s4_status plugin_load_library(const void *bytes, size_t size, const struct plugin_options *options,
                              struct plugin **plugin, struct problems *problems) MUST_USE;

/* A plugin whose code is linked into this program; `bundle` was made from this app. */
s4_status plugin_from_app(const s4_app *app, const struct bundle *bundle,
                          struct plugin **plugin) MUST_USE;

struct plugin *plugin_hold(struct plugin *plugin);
void plugin_release(struct plugin *plugin); /* NULL is fine; the last one unloads */

const s4_app *plugin_app(const struct plugin *plugin);
int plugin_file(const struct plugin *plugin); /* /proc/self/fd/N is its code; -1: linked in */
const char *plugin_build_id(const struct plugin *plugin); /* hexadecimal, "" if unknown */

/* What main() of a checking program does when its first argument is PLUGIN_CHECKER_FLAG. Answers
 * the process's exit code. */
#define PLUGIN_CHECKER_FLAG "--check-plugin"
int plugin_checker_main(int argc, char **argv);

#endif
