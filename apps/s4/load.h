/* Bundles and plugins for commands. The answer is an exit code, EXIT_DONE with *bundle and *plugin,
 * which are the caller's to release, EXIT_FAILED or EXIT_BAD_BUNDLE; what is wrong is told on
 * stderr, except by load_try. */
#ifndef APPS_S4_LOAD_H
#define APPS_S4_LOAD_H

#include "pe/bundle/bundle.h"
#include "pe/host/plugin.h"

#define LOAD_BUNDLE_MAX (64 * MIB) /* bytes of a .s4r file */

int load_bundle(const char *path, struct bundle **bundle) MUST_USE;
/* The same, and its code, checked in a child process and loaded here. */
int load_app(const char *path, struct bundle **bundle, struct plugin **plugin) MUST_USE;
/* Adds what is wrong to `problems` instead of telling it. plugin NULL: the bundle alone. */
int load_try(const char *path, struct bundle **bundle, struct plugin **plugin,
             struct problems *problems) MUST_USE;

#endif
