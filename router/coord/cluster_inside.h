/* Between the files of the cluster; see cluster.h. */
#ifndef ROUTER_COORD_CLUSTER_INSIDE_H
#define ROUTER_COORD_CLUSTER_INSIDE_H

#include "router/coord/cluster.h"
#include "router/map/plan.h"
#include "router/map/planted.h"
#include "runtime/base/rng.h"

#define CLUSTER_VIEW_MAX (3 * PLAN_ENTRIES_MAX)

enum view_kind { VIEW_NODES, VIEW_APPS, VIEW_DRAINS, VIEW_KINDS };

/* An entry that the leader reads. */
struct view_item {
    struct cluster *cluster;
    char name[MAP_NAME_MAX + 1];
    enum view_kind kind;
    bool there;
    int64_t version;
    union { /* owned; NULL: it cannot be read */
        void *entry;
        struct entry_node *node;
        struct entry_wanted *wanted;
        struct entry_drain *drain;
    };
};

/* What the leader does; nothing outlives the session. */
struct lead {
    uint64_t attempt;        /* drawn when it was elected; 0: it is not */
    int64_t epoch;           /* the version of leader_epoch that is its own; 0: none yet */
    struct view_item *items; /* CLUSTER_VIEW_MAX, in the order of kinds and names */
    size_t n_items;
    size_t pending;  /* answers outstanding */
    bool incomplete; /* some of it could not be read: nothing is planned */
    uint64_t move_after_us;
    uint32_t avoid_slot;
    struct plan_result result; /* of what is being written */
};

enum request_kind { REQUEST_DEPLOY, REQUEST_UNDEPLOY, REQUEST_DRAIN };

struct request {
    enum request_kind kind;
    struct cluster_reply reply;
    struct entry_wanted wanted; /* deploy; undeploy: its app, and id once it was read */
    struct entry_drain drain;
    bool doubt; /* undeploy: its entry may be gone by this very request */
};

struct cluster {
    /* as it was made */
    char name[MAP_NAME_MAX + 1];
    struct cluster_service service;
    const struct clock *clock;
    const struct log *log;
    struct waker *waker;
    uint64_t reread_us, move_pause_us;
    const struct cluster_upcalls *upcalls;
    void *user;
    struct rng rng;
    struct buffer bytes; /* for packing */

    enum cluster_state state;
    struct diag why;

    /* the session */
    struct coord *coord; /* owned; NULL: none now */
    bool expired;        /* it is to be given up, after the callbacks returned */
    uint64_t connect_us; /* when the next try is due */

    /* what it knows */
    struct entry_spec spec; /* cluster 0: not read yet */
    bool spec_checked;      /* in this session */
    struct map *map;        /* NULL: none yet */
    struct map *next;       /* for planning; of the same size */
    int64_t map_version;    /* the entry's, of this session's last read */
    bool map_current;       /* `map` is what that read gave */
    uint32_t index;
    char leader[MAP_NAME_MAX + 1];

    /* its own entry */
    struct entry_node node;
    int64_t node_version;
    bool registered;
    uint64_t reports, reports_told; /* counts changes of `node` */
    uint64_t blocker;               /* the creation's number of who has the name */
    uint64_t blocked_since_us;

    /* reading and writing, one pass after the other */
    bool busy;       /* a pass is under way */
    bool again;      /* another one is wanted at once */
    bool fresh;      /* hints may have been lost: read past every lag */
    uint64_t due_us; /* when another one is wanted anyway */

    struct lead lead;

    struct request requests[CLUSTER_REQUESTS_MAX]; /* a queue; the first is under way */
    size_t n_requests;
    bool request_busy;
};

uint64_t cluster_now(const struct cluster *cluster);
/* The path of an entry, or of one in a folder (name not NULL). */
struct cluster_path {
    char text[COORD_PATH_MAX];
};
struct cluster_path cluster_path(const struct cluster *cluster, const char *entry,
                                 const char *name);
/* Remembers and logs what went wrong; a repetition of the last is not logged. */
void cluster_trouble(struct cluster *cluster, const struct diag *diag);
/* After the callbacks returned, the session is given up and another one is made. */
void cluster_expire(struct cluster *cluster, const char *why);
/* For good. */
void cluster_end(struct cluster *cluster, const struct diag *why);
/* A map that the service has: told if it is higher. Takes *map. */
void cluster_apply(struct cluster *cluster, struct map **map);

/* cluster_pass.c */
void cluster_pass_begin(struct cluster *cluster);
/* The pass is over; `again`: another one at once. */
void cluster_pass_end(struct cluster *cluster, bool again);
/* It is over because of a call that could not be made or an answer that nobody wants. */
void cluster_pass_fail(struct cluster *cluster, const char *what, s4_status status);

/* cluster_lead.c: the rest of a pass of the one who is elected. */
void lead_pass(struct cluster *cluster);
void lead_depose(struct cluster *cluster, const char *why);
/* cluster_view.c */
void lead_view(struct cluster *cluster); /* goes on with lead_plan */
void lead_forget_view(struct cluster *cluster);
void lead_plan(struct cluster *cluster);

/* cluster_request.c */
void cluster_request_step(struct cluster *cluster);
/* It ended: whoever waits is told. */
void cluster_request_refuse(struct cluster *cluster);

#endif
