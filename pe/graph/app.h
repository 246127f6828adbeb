/* The app as the C code states it: the const table that a plugin exports, or that is linked in.
 *
 * The table is code of ours or of a bundle that was loaded, so its pointers are followed; what it
 * says is checked here, before anything is built from it. What the graph message can also show
 * (keys, types, pairs) is checked there (check.h), once, for tables and for bundles alike. Any
 * thread.
 */
#ifndef PE_GRAPH_APP_H
#define PE_GRAPH_APP_H

#include <s4/abi.h>

#include "pe/graph/problems.h"
#include "proto/graph.pb-c.h"
#include "runtime/record/schema.h"

/* Checks what only the table shows: sizes, names, descriptors, callbacks, handlers' types, states,
 * parameters. S4_OK: no problem was added. */
s4_status app_check(const s4_app *app, struct problems *problems) MUST_USE;

/* The streams that the app lists, then those that only its subscriptions name; their index is their
 * number in the graph. Stops at one too many, which app_check refuses. */
size_t app_streams(const s4_app *app, const s4_stream *list[GRAPH_STREAMS_MAX + 1]);

/* The schema of every type that the app names. The app passed app_check. */
s4_status app_schema(const s4_app *app, struct schema **schema, struct diag *diag) MUST_USE;

/* Writes the graph's numbers to the app's streams, outputs and requests. The graph was made from
 * this app. Writing the same numbers again is harmless while others read. */
void app_number(const s4_app *app, const S4__Graph__Graph *graph);

/* A parameter struct as the code reads it, filled with the graph's values, which have their
 * defaults; texts are borrowed from the graph. NULL in *memory where there are none. mem_free. */
s4_status app_params_create(const s4_param *params, uint32_t n, size_t size,
                            S4__Graph__Parameter *const *values, size_t n_values,
                            void **memory) MUST_USE;

#endif
