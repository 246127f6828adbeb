/* The files below a folder, as a bundle takes them in. */
#ifndef APPS_S4_FILE_TREE_H
#define APPS_S4_FILE_TREE_H

#include "pe/bundle/package.h"

/* Adds every file below `folder` under BUNDLE_FILES and its path from there, within the limits of a
 * package. What is neither a file nor a folder is S4_INVALID: a bundle has no links. */
s4_status file_tree_add(const char *folder, struct package *files, struct diag *diag) MUST_USE;

#endif
