/* Every limit and every default of an app's graph, in one place. What app.yaml may set has a
 * default here and, where a value could hurt the node, a bound. */
#ifndef PE_GRAPH_LIMITS_H
#define PE_GRAPH_LIMITS_H

#include "runtime/base/base.h"

#define GIB (1024 * MIB)

/* What an app may consist of. */
#define GRAPH_NAME_MAX       64             /* letters of a name */
#define GRAPH_DEAD_LETTERS   "dead_letters" /* an output of every app, of the host's */
#define GRAPH_STREAMS_MAX    256
#define GRAPH_PAIRS_MAX      1024 /* (stream, key specification) */
#define GRAPH_PROTOTYPES_MAX 64
#define GRAPH_OUTPUTS_MAX    64
#define GRAPH_REQUESTS_MAX   64
#define GRAPH_PARAMETERS_MAX 64 /* of a class, of the app */
#define GRAPH_KEY_PARTS_MAX  8
#define GRAPH_TEXT_MAX       (64 * KIB) /* bytes of a text parameter; the version is a name's length */
#define GRAPH_STATE_MAX      (1 * MIB) /* bytes of a class's state struct */

/* What app.yaml may set, and what holds where it does not. */
#define EMITS_DEFAULT          65536u
#define EMITS_MAX              16777216u
#define PARKED_AFTER_DEFAULT   10u
#define DEAD_ROWS_DEFAULT      10000u
#define DEAD_BYTES_DEFAULT     (16 * MIB)
#define INSTANCES_DEFAULT      1000000u /* per partition */
#define INSTANCES_BOUND        (1u << 28)
#define INSTANCE_BYTES_DEFAULT (1 * GIB)
#define MAILBOX_DEFAULT        4096u /* records that wait for one instance */
#define MAILBOX_MAX            1048576u
#define MAILBOX_BYTES_DEFAULT  (1 * MIB)
#define BUDGET_DEFAULT         4096u /* records of one instance in a turn */
#define BUDGET_MAX             1048576u
#define ROWS_DEFAULT           1000000u /* per partition */
#define ROWS_MAX               (1u << 28)
#define ROWS_BYTES_DEFAULT     (256 * MIB)
#define ROWS_BYTES_MAX         (4 * GIB)
#define TTL_MAX_US             (37ull * 86400 * 1000000)    /* ages are exact up to here */
#define DURATION_MAX_US        (36525ull * 86400 * 1000000) /* a hundred years */

/* app.yaml itself. */
#define MANIFEST_SIZE_MAX  (1 * MIB)
#define MANIFEST_DEPTH_MAX 16
#define MANIFEST_NODES_MAX 10000

/* How many problems one check tells; the rest is counted. */
#define PROBLEMS_MAX 100

#endif
