/* The first load of a library, in a child process; see plugin.h. */
#ifndef PE_HOST_PLUGIN_CHECK_H
#define PE_HOST_PLUGIN_CHECK_H

#include "pe/host/plugin.h"

/* Opens a library by its file descriptor and finds its table; the handle is the caller's to
 * dlclose. A problem is added on failure. */
s4_status plugin_open(int file, void **handle, const s4_app **app,
                      struct problems *problems) MUST_USE;

/* Has a checking program load the library in `file` and check its table. What it found is added. */
s4_status plugin_check(int file, const struct plugin_options *options,
                       struct problems *problems) MUST_USE;

#endif
