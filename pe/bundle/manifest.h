/* app.yaml: the settings of what the code names, written into its graph.
 *
 * The manifest adds nothing: a stream, prototype, output or parameter that the code does not have
 * is a mistake, told with its line and column and the name that was probably meant. What it does
 * not set stays as the code has it. `app` and `version` have to be there.
 *
 * Durations are 100us 5ms 10s 3m 2h 1d, sizes bytes or 64k 10M 1G (of 1024), numbers may have _.
 */
#ifndef PE_BUNDLE_MANIFEST_H
#define PE_BUNDLE_MANIFEST_H

#include "pe/graph/problems.h"
#include "proto/graph.pb-c.h"
#include "runtime/record/schema.h"

/* Messages begin with "place:line:column: ". The schema is the app's. Where problems were added the
 * graph is to be thrown away. */
s4_status manifest_apply(const char *place, const char *text, size_t size,
                         const struct schema *schema, S4__Graph__Graph *graph,
                         struct problems *problems) MUST_USE;

/* Only the app's name and its library's file name, of a manifest whose code is not loaded yet. The
 * rest is not looked at. */
struct manifest_names {
    char app[GRAPH_NAME_MAX + 1];
    char library[GRAPH_NAME_MAX + 4];
};
s4_status manifest_names(const char *place, const char *text, size_t size,
                         struct manifest_names *names, struct problems *problems) MUST_USE;

#endif
