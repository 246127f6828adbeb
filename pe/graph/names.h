/* Names of apps, streams, prototypes, outputs, parameters: [A-Za-z_][A-Za-z0-9_]{0,63}; and the
 * name that somebody who mistyped one probably meant. No state; any thread. */
#ifndef PE_GRAPH_NAMES_H
#define PE_GRAPH_NAMES_H

#include "pe/graph/limits.h"

bool name_valid(const char *name);
/* A shared object's file name, "words.so": of plain letters, without a path. */
bool library_name_valid(const char *name);

/* The nearest of several names, found one by one: `name_nearest_init`, then `name_nearest_try` for
 * each; `best` is borrowed from what was tried, NULL if nothing is near enough to be meant. */
struct name_nearest {
    const char *wanted;
    const char *best;
    size_t distance;
};
void name_nearest_init(struct name_nearest *nearest, const char *wanted);
void name_nearest_try(struct name_nearest *nearest, const char *candidate);

/* `; did you mean "best"?`, or nothing. */
struct name_hint {
    char text[GRAPH_NAME_MAX + 24];
};
struct name_hint name_hint(const struct name_nearest *nearest);

#endif
