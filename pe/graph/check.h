/* The rules that a graph must keep, whether it was just made from code or comes from a bundle that
 * nobody vouches for. */
#ifndef PE_GRAPH_CHECK_H
#define PE_GRAPH_CHECK_H

#include "pe/graph/problems.h"
#include "proto/graph.pb-c.h"
#include "runtime/record/schema.h"

/* Adds a problem for each rule that is broken; S4_OK: none. Afterwards every index is in range,
 * every name valid and unique, every type known, every key part resolvable, every enum one of its
 * values and every setting present. */
s4_status graph_check(const S4__Graph__Graph *graph, const struct schema *schema,
                      struct problems *problems) MUST_USE;

#endif
