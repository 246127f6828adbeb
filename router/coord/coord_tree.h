/* The entries of a simulated coordination service, as one of its servers has them: a pure function
 * of the writes that it applied, in order. One thread. */
#ifndef ROUTER_COORD_COORD_TREE_H
#define ROUTER_COORD_COORD_TREE_H

#include "router/coord/coord.h"

struct coord_entry {
    int64_t version;
    uint64_t created, changed, children_changed; /* numbers of writes */
    uint64_t session;                            /* ephemeral: whose; 0: persistent */
    uint64_t next_seq;                           /* of its sequential children */
    size_t size;
    char *data;  /* owned */
    char path[]; /* root: "" */
};

struct coord_tree {
    struct coord_entry **entries; /* in the order of their paths' bytes; the first is the root */
    size_t n, capacity;
    uint64_t applied; /* number of the last write */
};

s4_status coord_tree_init(struct coord_tree *tree) MUST_USE;
void coord_tree_fini(struct coord_tree *tree);

/* NULL: none. "/" and "" are the root. */
const struct coord_entry *coord_tree_find(const struct coord_tree *tree, const char *path);

/* The children's names, borrowed until the next write, into `names` (at most `max`); returns how
 * many there are. */
size_t coord_tree_children(const struct coord_tree *tree, const char *path, const char **names,
                           size_t max);

/* All of the ops or none, as write `number`. `made` (COORD_PATH_MAX + 1 bytes): the path of a
 * single creation. */
s4_status coord_tree_write(struct coord_tree *tree, uint64_t number, uint64_t session,
                           const struct coord_op *ops, size_t n, size_t *failed_op,
                           char *made) MUST_USE;
/* The session's ephemeral entries go, as write `number`. */
void coord_tree_end_session(struct coord_tree *tree, uint64_t number, uint64_t session);

#endif
