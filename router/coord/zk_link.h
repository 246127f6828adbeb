/* What stands between a coord_zk and the threads of ZooKeeper's C client.
 *
 * The library calls back on its own threads. Each of these calls becomes an event, in the order in
 * which they came, which the owner takes when it steps. Nothing is allocated for an event: it is
 * part of the call, the watch or the link that it is about.
 *
 * A link is shared by its owner and its keeper, a thread that opens and closes the library's
 * handle, because looking up names and saying goodbye may take long. Whoever is last frees it, and
 * the calls and watches that are left.
 */
#ifndef ROUTER_COORD_ZK_LINK_H
#define ROUTER_COORD_ZK_LINK_H

#include <pthread.h>
#include <zookeeper/zookeeper.h>

#include "router/coord/coord_queue.h"

enum zk_event_kind {
    ZK_UP,      /* connected: `handle`, `client_id` and `session_ms` are known */
    ZK_DOWN,    /* not any more */
    ZK_EXPIRED, /* for good */
    ZK_REFUSED, /* for good: by the service, `refused_rc` says why */
    ZK_NO_HOST, /* for good: a name that nobody has */
    ZK_LINK_EVENTS,
    ZK_CALLED = ZK_LINK_EVENTS, /* a zk_call is done */
    ZK_FIRED,                   /* a zk_watch */
};

struct zk_event {
    struct zk_event *next;
    enum zk_event_kind kind;
    bool queued;
};

enum zk_purpose {
    ZK_FOR_USER,
    ZK_FOR_ROOT, /* the first thing after a connection: is the root there? */
    ZK_FOR_BEAT, /* whether the session lives */
};

struct zk_watch {
    struct zk_event event; /* first */
    struct zk_watch *next; /* of the owner's */
    struct zk_link *link;
    struct coord_item *item; /* owned, until it is told; NULL: it was, or another one tells it */
    size_t users;            /* calls under way that rely on it: told after their answers */
    bool fired;              /* the library called back, or never took it */
};

/* One call of the user is up to three of the library, answered in this order. */
struct zk_call {
    struct zk_event event; /* first */
    struct zk_call *next;  /* of the owner's: in the order in which they were made */
    struct zk_link *link;
    enum zk_purpose purpose;
    bool done;
    bool proves;              /* whoever decides on the session answers it */
    uint64_t sent_us;         /* boot time */
    struct coord_item *item;  /* owned: what is told; NULL: it was, or nobody asked */
    struct coord_item *comes; /* owned: the same, as the library fills it */
    struct zk_watch *watch;   /* that the call sets or relies on */
    bool sets_watch;

    /* Under the link's lock. */
    unsigned issued; /* calls of the library; 0: not all are made yet */
    unsigned came;
    int rc;       /* the first that went wrong */
    int watch_rc; /* of the one that sets the watch */

    size_t n_ops;
    zoo_op_result_t results[COORD_OPS_MAX]; /* filled by the library */
    char made[COORD_PATH_MAX + 1];
};

struct zk_link {
    pthread_mutex_t lock;
    pthread_cond_t stopping;
    pthread_t keeper;
    char *servers; /* owned: hosts and root, as the library reads them */
    int session_ms_asked;

    /* Under the lock. */
    unsigned holders;
    bool stopped;
    struct waker *waker; /* borrowed; NULL once the owner has gone */
    struct zk_event *head;
    struct zk_event **tail;
    struct zk_event events[ZK_LINK_EVENTS];
    zhandle_t *handle; /* constant after the first ZK_UP */
    int64_t client_id;
    int session_ms;
    int refused_rc;

    /* The owner's; after it, of whoever frees the link. */
    struct zk_call *calls; /* that have not come back */
    struct zk_call **calls_tail;
    struct zk_watch *watches;
};

s4_status zk_link_create(const char *hosts, const char *root, int session_ms,
                         struct zk_link **out) MUST_USE;
/* The keeper begins to open. S4_NO_MEMORY: no thread. */
s4_status zk_link_start(struct zk_link *link, struct waker *waker) MUST_USE;
/* Ends the session, as COORD_ZK_CLOSE_MS says. Consumes the link; `started`: zk_link_start was. */
void zk_link_close(struct zk_link *link, bool started);

/* The first event, which stays where it is part of; NULL: none. */
struct zk_event *zk_link_pop(struct zk_link *link);
bool zk_link_has_events(struct zk_link *link);
/* The library's threads; the lock is held. One that is there already does not come twice. */
void zk_link_push(struct zk_link *link, struct zk_event *event);

/* ---- calls ---- */

/* As coord_item_create; in the link's list. */
struct zk_call *zk_call_create(struct zk_link *link, enum zk_purpose purpose, const char *path);
void zk_call_destroy(struct zk_call *call); /* not in the list any more */
struct zk_watch *zk_watch_create(struct zk_link *link, const char *path, enum coord_change change);
void zk_watch_destroy(
    struct zk_watch *watch); /* takes it out of the list; the library has not it */

/* What a call asks of the library. Of several, a read comes last. */
struct zk_request {
    bool fresh; /* first asks the leader to let all that was decided come here */
    bool reads; /* an entry, or its children */
    bool children;
    const struct coord_op *ops; /* a write: n_ops of them; 0: none */
    size_t n_ops;
};

/* What the answer to an op, or to a read, is by the library's word for it. S4_IN_DOUBT: there was
 * none. */
s4_status zk_status(int rc);

/* Makes the library's calls; the call is not destroyed until it comes as an event. False: none was
 * made, and none comes; `call->rc` says why. */
bool zk_call_issue(struct zk_call *call, const char *path, const struct zk_request *request);

#endif
