/* The bundles of a cluster on one node: fetched by their hash from nodes that have them, checked,
 * and run or ended in the engine, one after the other on a thread of its own. They are kept as
 * files in the node's directory, until the cluster runs them no more.
 */
#ifndef APPS_S4_BUNDLES_H
#define APPS_S4_BUNDLES_H

#include "apps/s4/member.h"
#include "pe/bundle/bundle.h"

#define BUNDLES_FETCH_MS    10000 /* for one node's answer */
#define BUNDLES_FETCH_TRIES 10    /* over all nodes, before a bundle is taken for lost */

struct bundles;

/* What has become of one. */
struct bundles_news {
    struct bundles_news *next;
    struct map_app app;
    struct bundle *bundle; /* it runs now: the taker's; NULL: it does not run any more */
    uint64_t dropped;      /* events that waited when it ended */
};

struct bundles_options {
    const char *dir; /* the node's; a folder `bundles` is made in it */
    struct engine *engine;
    struct member *member; /* is told of each */
    struct keyring *ring;  /* by which other nodes are asked; NULL: no keys */
    const struct log *log;
    int wake; /* an eventfd, borrowed: rung when there are news */
};

s4_status bundles_create(const struct bundles_options *options, struct bundles **bundles,
                         struct diag *diag) MUST_USE;
/* Waits for what is under way. Before engine_stop. */
void bundles_stop(struct bundles *bundles);
void bundles_destroy(struct bundles *bundles); /* NULL is fine */

/* Control thread: what the map wants of a bundle. `map` is copied: its members are asked. */
void bundles_want(struct bundles *bundles, const struct map *map, const struct map_app *app,
                  enum cluster_app what);
struct bundles_news *bundles_take(struct bundles *bundles); /* NULL: none; mem_free */

/* Any thread: keeps the bytes of a bundle under its hash; gives them. */
s4_status bundles_keep(struct bundles *bundles, uint64_t hash, const void *bytes, size_t size,
                       struct diag *diag) MUST_USE;
s4_status bundles_read(struct bundles *bundles, const char *hash, struct buffer *bytes,
                       struct diag *diag) MUST_USE;

#endif
