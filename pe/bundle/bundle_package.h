/* Where the parts of a bundle lie in its package. For pe/bundle alone. */
#ifndef PE_BUNDLE_BUNDLE_PACKAGE_H
#define PE_BUNDLE_BUNDLE_PACKAGE_H

#include "pe/bundle/bundle.h"

#define MANIFEST_PATH "app.yaml"
#define GRAPH_PATH    "graph.pb"
#define SCHEMA_PATH   "schema.pb"
#define LIBRARY_PATH  "lib/"

/* Reads what the package holds and checks it; consumes the package in any case. `place` begins the
 * messages about app.yaml; library: there must be one. */
s4_status bundle_from_package(struct package *package, const char *place, bool library,
                              struct bundle **bundle, struct problems *problems) MUST_USE;

#endif
