/* Bundles and plugins for commands: what is wrong is told on stderr, the answer is an exit code. */
#ifndef APPS_S4_LOAD_H
#define APPS_S4_LOAD_H

#include "pe/bundle/bundle.h"
#include "pe/host/plugin.h"

#define LOAD_BUNDLE_MAX (64 * MIB) /* bytes of a .s4r file */

/* EXIT_DONE and *bundle, which is the caller's to release; EXIT_FAILED; EXIT_BAD_BUNDLE. */
int load_bundle(const char *path, struct bundle **bundle) MUST_USE;
/* The same, and its code, checked in a child process and loaded here. */
int load_app(const char *path, struct bundle **bundle, struct plugin **plugin) MUST_USE;

#endif
