/* The coordination-service seam: a small tree of entries that all nodes of a cluster see, with
 * versions, sessions and watches, and nothing else. README.md has the rules that [R1] and so on
 * cite.
 *
 * A `coord` is one session in its whole life: it connects, may be suspended and connected again,
 * expires or is refused once, and never comes back; who wants to go on makes another one. It
 * belongs to one thread, which creates it, calls, steps and destroys it.
 *
 * A call returns at once. If it returns S4_OK, its answer comes once, through `call.answered`, in a
 * later coord_step of that thread; answers come in the order of the calls. If it returns anything
 * else, nothing was done and no answer comes: S4_INVALID (a path, an op), S4_TOO_LARGE (over a
 * limit below), S4_FULL (COORD_CALLS_MAX answers outstanding), S4_NO_MEMORY.
 *
 * An answer's status is
 *   S4_OK           done
 *   S4_NOT_FOUND    no such entry; creating: no such parent
 *   S4_EXISTS       creating: there is one
 *   S4_VERSION      there is one of another version than the expected one
 *   S4_BUSY         deleting: it has children
 *   S4_TYPE         creating: the parent is ephemeral, and such have no children
 *   S4_PERMISSION   the service does not let this session do that
 *   S4_TOO_LARGE    the service's own limit, or more than COORD_CHILDREN_MAX children
 *   S4_UNAVAILABLE  surely not done, and never will be: not connected, or expired
 *   S4_IN_DOUBT     done, or not, or done later, until the session's end [R4]
 *   and S4_NO_MEMORY, S4_IO, S4_CORRUPT, S4_PROTOCOL as everywhere; of these, a write is not done.
 *
 * In one process, with faults from a seed: coord_sim.h.
 */
#ifndef ROUTER_COORD_COORD_H
#define ROUTER_COORD_COORD_H

#include "runtime/base/clock.h"
#include "runtime/base/diag.h"
#include "runtime/net/waker.h"

#define COORD_DATA_MAX     (512 * KIB - 1) /* bytes of an entry; of all that one write carries */
#define COORD_NAME_MAX     128             /* bytes of a name, a sequential one's number included */
#define COORD_PATH_MAX     512             /* bytes of a path */
#define COORD_DEPTH_MAX    8               /* names of a path */
#define COORD_CHILDREN_MAX 4096            /* that coord_children tells */
#define COORD_OPS_MAX      16              /* of one coord_multi */
#define COORD_CALLS_MAX    1024            /* answers outstanding */
#define COORD_SEQ_DIGITS   10              /* that a sequential name ends with */

#define COORD_SESSION_MS_DEFAULT 10000 /* silence after which a session expires */
#define COORD_SESSION_MS_MIN     100
#define COORD_SESSION_MS_MAX     600000

#define COORD_ANY (-1) /* as a version: whatever it is */

struct coord;

enum coord_state {
    COORD_CONNECTING, /* there is no session yet; calls are S4_UNAVAILABLE */
    COORD_CONNECTED,
    COORD_SUSPENDED, /* connection lost; the session may live or be expired already */
    COORD_EXPIRED,   /* for good; its ephemeral entries are gone or will be */
    COORD_REFUSED,   /* for good: it cannot be used as it was asked for, coord_why says why */
};

enum coord_kind {
    COORD_PERSISTENT,
    COORD_EPHEMERAL,            /* goes when its session expires or is destroyed */
    COORD_EPHEMERAL_SEQUENTIAL, /* the same, and its name gets a number that only rises, per parent
                                 */
};

/* What a read does besides reading; ORed. */
enum coord_flag {
    COORD_WATCH = 1, /* `changed` comes once, soon after what was read changed [R5] */
    COORD_FRESH = 2, /* sees every write that was done before this call, by whomever [R3] */
};

struct coord_stat {
    int64_t version;  /* 0 when it is created, one more with each set */
    uint64_t created; /* the creation's number: never given twice; greater than all before */
    bool ephemeral;
    bool mine; /* ephemeral, and of this session */
};

/* Borrowed, until the callback returns. */
struct coord_answer {
    s4_status status;
    /* What the call named; a creation's (single) with its number. */
    const char *path;
    struct coord_stat stat;   /* of a get */
    const void *data;         /* of a get */
    size_t size;              /* of a get */
    const char *const *names; /* of children: in the order of their bytes */
    size_t n_names;           /* of children */
    size_t failed_op;         /* of a failed multi: which op; COORD_OPS_MAX: none by itself */
};

/* Where an answer goes. Called by step only. It may call, not step or destroy. */
struct coord_call {
    void (*answered)(void *user, const struct coord_answer *answer);
    void *user;
};

enum coord_op_kind { COORD_CREATE, COORD_SET, COORD_DELETE, COORD_CHECK };

/* A part of a write. Borrowed, until the call returns. */
struct coord_op {
    enum coord_op_kind op;
    enum coord_kind kind; /* create; sequential: only as a write's only op */
    const char *path;
    const void *data; /* create, set */
    size_t size;
    int64_t version; /* set, delete, check: the expected one, or COORD_ANY */
};

enum coord_change { COORD_CHANGED_ENTRY, COORD_CHANGED_CHILDREN };

/* Called by step only. They may call, not step or destroy. */
struct coord_upcalls {
    /* Each change of state, once. Answers that the change decides came before. */
    void (*session)(void *user, enum coord_state state);
    /* A hint that something may have changed [R5]. Borrowed path. */
    void (*changed)(void *user, const char *path, enum coord_change change);
};

struct coord_ops {
    s4_status (*get)(struct coord *coord, const char *path, unsigned flags, struct coord_call call);
    s4_status (*children)(struct coord *coord, const char *path, unsigned flags,
                          struct coord_call call);
    s4_status (*write)(struct coord *coord, const struct coord_op *ops, size_t n,
                       struct coord_call call);
    size_t (*step)(struct coord *coord, size_t max);
    uint64_t (*timeout_us)(struct coord *coord);
    s4_status (*attach)(struct coord *coord);
    void (*destroy)(struct coord *coord);
};

struct coord {
    const struct coord_ops *ops;
    const struct coord_upcalls *upcalls; /* set by coord_attach, before the first call and step */
    void *user;
    struct waker *waker; /* borrowed; NULL: nobody sleeps */
    enum coord_state state;
    size_t calls;           /* answers outstanding */
    uint64_t session_us;    /* silence after which it expires, as agreed with the service */
    uint64_t sure_until_us; /* see coord_sure_until_us */
    struct diag why;
};

/* Right after it was created. `waker` is called when a step would do something, and outlives the
 * coord; NULL in a simulation. */
s4_status coord_attach(struct coord *coord, const struct coord_upcalls *upcalls, void *user,
                       struct waker *waker) MUST_USE;

/* ---- reads ----------------------------------------------------------------------------------- */

/* An entry's data and stat. With COORD_WATCH, S4_NOT_FOUND watches too: for its creation. */
s4_status coord_get(struct coord *coord, const char *path, unsigned flags,
                    struct coord_call call) MUST_USE;
/* The names below an entry. With COORD_WATCH: for one more, one less, and the entry's own end;
 * S4_NOT_FOUND watches nothing. */
s4_status coord_children(struct coord *coord, const char *path, unsigned flags,
                         struct coord_call call) MUST_USE;

/* ---- writes ---------------------------------------------------------------------------------- */

/* The root exists always, and is neither written nor deleted. Parents are not made. */
s4_status coord_create(struct coord *coord, const char *path, enum coord_kind kind,
                       const void *data, size_t size, struct coord_call call) MUST_USE;
s4_status coord_set(struct coord *coord, const char *path, const void *data, size_t size,
                    int64_t version, struct coord_call call) MUST_USE;
s4_status coord_delete(struct coord *coord, const char *path, int64_t version,
                       struct coord_call call) MUST_USE;
/* All or none, in this order, each op seeing what those before it did. */
s4_status coord_multi(struct coord *coord, const struct coord_op *ops, size_t n,
                      struct coord_call call) MUST_USE;

/* ---- the session ----------------------------------------------------------------------------- */

/* Makes answers, changes and state known, up to `max` of them; returns how many. Also does what is
 * to be done in time, so it is called at least when coord_timeout_us says. */
static inline size_t coord_step(struct coord *coord, size_t max)
{
    return coord->ops->step(coord, max);
}

/* How long the owner may sleep on its waker before it steps again; WAKER_FOREVER. */
static inline uint64_t coord_timeout_us(struct coord *coord)
{
    return coord->ops->timeout_us(coord);
}

static inline enum coord_state coord_state(const struct coord *coord)
{
    return coord->state;
}

/* The session's timeout, as the service agreed to it; before it is connected, as asked for. */
static inline uint64_t coord_session_us(const struct coord *coord)
{
    return coord->session_us;
}

/* Until this instant of the boot-time clock (clock_boot_us) the session surely has not expired, so
 * that nobody acts on its end [R6]. 0: never proven, or over. Only a step moves it. */
static inline uint64_t coord_sure_until_us(const struct coord *coord)
{
    return coord->sure_until_us;
}

/* The last thing that went wrong with the connection or the session; code S4_OK: nothing did. */
static inline const struct diag *coord_why(const struct coord *coord)
{
    return &coord->why;
}

const char *coord_state_name(enum coord_state state);

/* Ends the session, and its ephemeral entries, as far as the service can be told. No upcalls, no
 * answers; NULL is fine. */
static inline void coord_destroy(struct coord *coord)
{
    if (coord)
        coord->ops->destroy(coord);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* "/", or up to COORD_DEPTH_MAX names, each after a '/': letters, digits, '.', '_' and '-', but not
 * only dots. */
bool coord_path_valid(const char *path);
/* A path's last name; "" of the root. Borrowed. */
const char *coord_path_name(const char *path);
/* Bytes of the parent's path; 0: the parent is the root. */
size_t coord_path_parent(const char *path);

#endif
