/* The entries of a simulated coordination service, as one of its servers has them: a pure function
 * of the writes that it applied, in order. One thread. */
#ifndef ROUTER_COORD_SIM_TREE_H
#define ROUTER_COORD_SIM_TREE_H

#include "router/coord/coord.h"

struct sim_entry {
    int64_t version;
    uint64_t created, changed, children_changed; /* numbers of writes */
    uint64_t session;                            /* ephemeral: whose; 0: persistent */
    uint64_t next_seq;                           /* of its sequential children */
    size_t size;
    char *data;  /* owned */
    char path[]; /* root: "" */
};

struct sim_tree {
    struct sim_entry **entries; /* in the order of their paths' bytes; the first is the root */
    size_t n, capacity;
    uint64_t applied; /* number of the last write */
};

s4_status sim_tree_init(struct sim_tree *tree) MUST_USE;
void sim_tree_fini(struct sim_tree *tree);

/* NULL: none. "/" and "" are the root. */
const struct sim_entry *sim_tree_find(const struct sim_tree *tree, const char *path);

/* The children's names, borrowed until the next write, into `names` (at most `max`); returns how
 * many there are. */
size_t sim_tree_children(const struct sim_tree *tree, const char *path, const char **names,
                         size_t max);

/* All of the ops or none, as write `number`. `made` (COORD_PATH_MAX + 1 bytes): the path of a
 * single creation. */
s4_status sim_tree_write(struct sim_tree *tree, uint64_t number, uint64_t session,
                         const struct coord_op *ops, size_t n, size_t *failed_op,
                         char *made) MUST_USE;
/* The session's ephemeral entries go, as write `number`. */
void sim_tree_end_session(struct sim_tree *tree, uint64_t number, uint64_t session);

#endif
