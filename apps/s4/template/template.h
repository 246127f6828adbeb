/* The files of a new project, embedded by embed.py; {{name}} stands for the app's name in both. */
#ifndef APPS_S4_TEMPLATE_TEMPLATE_H
#define APPS_S4_TEMPLATE_TEMPLATE_H

#include <stddef.h>

struct new_file {
    const char *path;
    const char *text;
};
extern const struct new_file new_files[]; /* ends with NULLs */

#endif
