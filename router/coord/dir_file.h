/* The one file in which a directory's entries and sessions lie. Whoever writes holds the lock. */
#ifndef ROUTER_COORD_DIR_FILE_H
#define ROUTER_COORD_DIR_FILE_H

#include "router/coord/coord_tree.h"
#include "runtime/base/buffer.h"

#define DIR_SESSIONS_MAX 1024

struct dir_session {
    uint64_t number;
    uint64_t timeout_us;
};

struct dir_state {
    struct coord_tree tree;
    uint64_t next_session;
    uint32_t n_sessions;
    struct dir_session sessions[DIR_SESSIONS_MAX];
};

s4_status dir_state_init(struct dir_state *state) MUST_USE;
void dir_state_fini(struct dir_state *state);

/* To the end of `out`. */
s4_status dir_state_pack(const struct dir_state *state, struct buffer *out) MUST_USE;
/* Into one that was inited and is as that afterwards when it fails: S4_CORRUPT, S4_VERSION (another
 * layout), S4_NO_MEMORY. The bytes are not trusted. */
s4_status dir_state_unpack(struct dir_state *state, const char *bytes, size_t size,
                           struct diag *diag) MUST_USE;

struct dir_session *dir_state_find(struct dir_state *state, uint64_t number); /* NULL: none */
/* The session's entries go with it. */
void dir_state_end(struct dir_state *state, uint64_t number);

#endif
