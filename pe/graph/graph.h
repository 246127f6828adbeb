/* The graph of an app: one message (proto/graph.proto) that everything after the C table reads: the
 * host, tools, drawing, deploy.
 *
 * It is made from an app's table (graph_from_app), then app.yaml's settings are written into it
 * (bundle/manifest.h), then it is checked (check.h). Or it comes from a bundle (graph_unpack,
 * untrusted until checked). Every setting has its value: defaults are filled in, so that no reader
 * needs to know them. Immutable afterwards; any thread.
 *
 * Numbers: a stream, prototype, output, request is its index. A record's stream number is an index
 * in `pairs`, which are ordered by stream, then by prototype and subscription; equal ones are one.
 */
#ifndef PE_GRAPH_GRAPH_H
#define PE_GRAPH_GRAPH_H

#include <s4/abi.h>

#include "pe/graph/limits.h"
#include "proto/graph.pb-c.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/record/schema.h"

/* From a table that passed app_check, with the code's policies and all defaults. Name: the app's;
 * version "0"; library "NAME.so". */
s4_status graph_from_app(const s4_app *app, S4__Graph__Graph **graph) MUST_USE;

/* Untrusted bytes: only the encoding is checked here. */
s4_status graph_unpack(const void *bytes, size_t size, S4__Graph__Graph **graph,
                       struct diag *diag) MUST_USE;
s4_status graph_pack(const S4__Graph__Graph *graph, struct buffer *out) MUST_USE;
void graph_destroy(S4__Graph__Graph *graph); /* NULL is fine */

/* What two nodes compare before they exchange records: the graph and the types that it names. The
 * graph is checked. */
s4_status graph_hash(const S4__Graph__Graph *graph, const struct schema *schema,
                     uint64_t *hash) MUST_USE;

/* Index by name, or -1. */
int graph_find_stream(const S4__Graph__Graph *graph, const char *name);
int graph_find_prototype(const S4__Graph__Graph *graph, const char *name);
int graph_find_output(const S4__Graph__Graph *graph, const char *name);
int graph_find_request(const S4__Graph__Graph *graph, const char *name);

/* Does the prototype's class have this callback ("trigger")? */
bool graph_has_callback(const S4__Graph__Prototype *prototype, const char *name);

#endif
